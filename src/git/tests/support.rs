//! A temporary directory, and git without the user's settings.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
    sync::LazyLock,
};

use crate::{
    git::{
        layout::{GitLayout, Location, locate},
        path::os_string,
    },
    stdx::paths::AbsPath,
};

pub struct Sandbox {
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

/// Runs the body in a process of its own, by running the calling test again: for state that belongs to a process, such
/// as its user or environment.
pub fn again(name: &str, prepare: impl FnOnce(&mut Command), body: impl FnOnce()) {
    const MARK: &str = "POLYTREE_TEST_AGAIN";
    if std::env::var_os(MARK).is_some() {
        return body();
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // The program may be in a directory that another user cannot access.
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

/// Runs git and checks that it succeeds.
pub fn git(directory: &AbsPath, args: &[&str]) {
    let output = run_git(directory, args);
    assert!(output.status.success(), "git {args:?} in {directory}: {}", String::from_utf8_lossy(&output.stderr));
}

/// git's output; `None` for status 1, which means "none".
pub fn git_text(directory: &AbsPath, args: &[&str]) -> Option<String> {
    let output = run_git(directory, args);
    match output.status.code() {
        Some(0) => Some(String::from_utf8(output.stdout).unwrap()),
        Some(1) => None,
        _ => panic!("git {args:?} in {directory}: {}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// The location of a directory, which need not be a real path.
pub fn location(path: &AbsPath) -> Location {
    locate(&path.real().unwrap()).unwrap()
}

pub fn layout(path: &AbsPath) -> GitLayout {
    match location(path) {
        Location::Git(layout) => layout,
        plain @ Location::Plain { .. } => panic!("{plain:?}"),
    }
}

/// Runs git without hardening.
pub fn ask(directory: &AbsPath, args: &[&str]) -> Vec<u8> {
    ask_os(directory, &args.iter().map(|arg| arg.as_bytes().to_vec()).collect::<Vec<_>>())
}

pub fn ask_os(directory: &AbsPath, args: &[Vec<u8>]) -> Vec<u8> {
    let output = command("git").current_dir(directory).args(args.iter().map(|arg| os_string(arg))).output().unwrap();
    assert!(output.status.code().is_some_and(|code| code <= 1), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
