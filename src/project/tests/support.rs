//! A directory to play in, git with nothing of the user's settings, and a registry.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    sync::{Arc, LazyLock},
};

use polytree_protocol::id::ProjectId;

use crate::{
    project::{
        directory,
        git_layout::{GitLayout, Location, locate},
        recognise,
    },
    stdx::paths::AbsPath,
    store::{CheckoutId, Durability, Known, KnownProject, ProjectChange, Seen, Store, Told},
};

/// A temporary directory.
pub struct Sandbox {
    /// Its real path.
    pub root: AbsPath,
    _directory: tempfile::TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { root: AbsPath::new(directory.path()).unwrap().real().unwrap(), _directory: directory }
    }

    pub fn path(&self, name: &str) -> AbsPath {
        self.root.join(name)
    }

    pub fn make_directory(&self, name: &str) -> AbsPath {
        fs::create_dir_all(self.path(name)).unwrap();
        self.path(name)
    }

    /// A repository with one commit.
    pub fn repository(&self, name: &str) -> AbsPath {
        let path = self.make_directory(name);
        git(&path, &["init", "--quiet", "--initial-branch=main"]);
        commit(&path);
        path
    }

    /// `git -C from worktree add name`, with a branch of that name.
    pub fn linked(&self, from: &AbsPath, name: &str) -> AbsPath {
        let path = self.path(name);
        git(from, &["worktree", "add", "--quiet", "--force", path.to_string().as_str()]);
        path
    }

    pub fn rename(&self, from: &str, to: &str) -> AbsPath {
        fs::rename(self.path(from), self.path(to)).unwrap();
        self.path(to)
    }

    /// `cp -a`.
    pub fn copy(&self, from: &str, to: &str) -> AbsPath {
        let output = command("cp").arg("-a").arg(self.path(from).as_path()).arg(self.path(to).as_path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        self.path(to)
    }
}

pub fn commit(path: &AbsPath) {
    fs::write(path.join("file"), "text\n").unwrap();
    git(path, &["add", "file"]);
    git(path, &["commit", "--quiet", "--message=one"]);
}

#[expect(clippy::disallowed_methods, reason = "tests prepare the world outside with ordinary programs")]
pub fn command(program: impl AsRef<Path>) -> Command {
    Command::new(program.as_ref())
}

/// Runs the body in a process of its own, by running the test that calls this again: for what a thread cannot have
/// alone, as its user or its environment.
pub fn again(name: &str, prepare: impl FnOnce(&mut Command), body: impl FnOnce()) {
    const MARK: &str = "POLYTREE_TEST_AGAIN";
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The program may lie where another user cannot go.
    let program = directory.path().join("tests");
    let this = std::env::current_exe().unwrap();
    if fs::hard_link(&this, &program).is_err() {
        fs::copy(&this, &program).unwrap();
    }
    let mut command = command(&program);
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).current_dir("/").env("HOME", "/").env(MARK, "1");
    prepare(command.env_remove("TMPDIR"));
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn run_git(directory: &AbsPath, args: &[&str]) -> Output {
    static NOTHING: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    let mut git = command("git");
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("GIT_")) {
        git.env_remove(name);
    }
    git.current_dir(directory).args(["-c", "protocol.file.allow=always", "-c", "user.name=N", "-c", "user.email=n@example.com"]).args(args);
    git.env("HOME", NOTHING.path()).env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap()
}

/// Runs git, which must succeed.
pub fn git(directory: &AbsPath, args: &[&str]) {
    let output = run_git(directory, args);
    assert!(output.status.success(), "git {args:?} in {directory}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What git prints; `None` when it ends with status 1, which is its word for "there is none".
pub fn git_text(directory: &AbsPath, args: &[&str]) -> Option<String> {
    let output = run_git(directory, args);
    match output.status.code() {
        Some(0) => Some(String::from_utf8(output.stdout).unwrap()),
        Some(1) => None,
        _ => panic!("git {args:?} in {directory}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// The location of a directory that is spelled in any way.
pub fn location(path: &AbsPath) -> Location {
    locate(&directory::resolve(&path.to_string()).unwrap()).unwrap()
}

pub fn layout(path: &AbsPath) -> GitLayout {
    match location(path) {
        Location::Git(layout) => layout,
        plain @ Location::Plain { .. } => panic!("{plain:?}"),
    }
}

/// What a daemon remembers, with a clock that goes on by one at each look.
#[derive(Clone)]
pub struct Registry {
    pub store: Arc<Store>,
    now: i64,
    _directory: Arc<tempfile::TempDir>,
}

impl Registry {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(Store::open(&directory.path().join("store.db"), Durability::Process).unwrap());
        Self { store, now: 1000, _directory: Arc::new(directory) }
    }

    fn look(&mut self, path: &AbsPath, begins: bool) -> Seen {
        self.now += 1;
        let directory = directory::resolve(&path.to_string()).unwrap();
        let told = Told { directory: directory.to_string(), files: Vec::new(), missing: false };
        wait(async {
            let mut sight = recognise::see(&directory).await.unwrap();
            let found = sight.find(&self.store).await.unwrap();
            let seen = sight.remember(&self.store, begins, self.now, told).await.unwrap();
            if let Known::Exactly(found) = found {
                assert_eq!((&found.project.id, found.checkout), (&seen.project.id, seen.checkout), "a read alone tells the same");
                assert!(!seen.changed);
            }
            let again = recognise::see(&directory).await.unwrap().find(&self.store).await.unwrap();
            assert_eq!(again, Known::Exactly(Box::new(Seen { changed: false, ..seen.clone() })), "what was remembered is found");
            seen
        })
    }

    pub fn peek(&mut self, path: &AbsPath) -> Seen {
        self.look(path, false)
    }

    pub fn claim(&mut self, path: &AbsPath) -> Seen {
        self.look(path, true)
    }

    pub fn peek_id(&mut self, path: &AbsPath) -> ProjectId {
        self.peek(path).project.id
    }

    pub fn claim_id(&mut self, path: &AbsPath) -> ProjectId {
        self.claim(path).project.id
    }

    pub fn list(&self) -> Vec<KnownProject> {
        wait(self.store.projects()).unwrap()
    }

    pub fn get(&self, id: &ProjectId) -> Option<KnownProject> {
        wait(self.store.project(id.clone())).unwrap()
    }

    /// Whether clients are told that the project is missing.
    pub fn is_missing(&self, id: &ProjectId) -> bool {
        let project = self.get(id).unwrap();
        project.to_wire(Vec::new(), !project.worktree.as_path().is_dir()).missing
    }

    pub fn change(&self, id: &ProjectId, change: ProjectChange) {
        let told = Told { directory: String::new(), files: Vec::new(), missing: false };
        assert!(wait(self.store.change_project(id.clone(), change, 2000, told)).unwrap());
    }

    /// Where git has moved a linked worktree.
    pub fn moved(&self, id: CheckoutId) -> Option<AbsPath> {
        wait(self.store.linked_worktrees(vec![id])).unwrap().first().and_then(recognise::moved)
    }
}

/// Waits without a runtime around.
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The names in a directory and below, sorted: what a mere read must not change.
pub fn names_below(path: &AbsPath) -> Vec<String> {
    let mut names = Vec::new();
    let mut waiting = vec![path.clone()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let child = directory.join(entry.file_name());
            names.push(child.relative_to(path));
            if entry.file_type().unwrap().is_dir() {
                waiting.push(child);
            }
        }
    }
    names.sort();
    names
}

pub fn id_file(path: &AbsPath) -> Option<String> {
    fs::read_to_string(layout(path).common_dir.join("polytree-id")).ok()
}
