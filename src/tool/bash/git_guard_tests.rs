//! Hostile settings of repositories against the git that a command starts, with real git.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::*;
use crate::tool::{
    bash::{
        commands::{Dialect, analyse},
        git_uses,
    },
    test_host::Place,
};

#[path = "git_hostile_tests.rs"]
mod hostile;

/// The versions of git on this machine.
fn versions() -> Vec<PathBuf> {
    let found = ["/usr/local/bin/git", "/usr/bin/git", "/opt/homebrew/bin/git"].map(PathBuf::from).into_iter().filter(|path| path.exists());
    let found: Vec<PathBuf> = found.collect();
    assert!(!found.is_empty());
    found
}

#[expect(clippy::disallowed_methods, reason = "tests start real programs")]
fn git(program: &Path, directory: &AbsPath, args: &[&str], variables: &[(OsString, OsString)]) -> String {
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", directory.join("../outside").as_path());
    for name in ["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"] {
        command.env(name, "a@b");
    }
    let output = command.envs(variables.iter().map(|(name, value)| (name, value))).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn line(args: &[&str]) -> String {
    format!("git '{}'", args.join("' '"))
}

/// A checkout with a commit, and a program in it that leaves a witness.
struct Repository {
    place: Place,
    program: PathBuf,
    zap: String,
}

impl Repository {
    fn new(program: &Path) -> Self {
        let place = Place::new();
        place.write("a.txt", "alpha\n");
        place.write("zap", "#!/bin/sh\necho \"$0 $*\" >> \"$(dirname \"$0\")/../outside/witness\"\ncat\n");
        let zap = place.worktree.join("zap");
        fs::set_permissions(&zap, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let repository = Self { place, program: program.to_owned(), zap: zap.to_string() };
        repository.git(&["init", "-q"]);
        repository.git(&["add", "a.txt"]);
        repository.git(&["commit", "-qm", "first"]);
        repository.place.write("a.txt", "beta\n");
        repository
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.program, &self.place.worktree, args, &[])
    }

    /// What a line with this command of git prints, told what the tool tells it.
    async fn guarded(&self, args: &[&str], client: &[(&str, &str)]) -> String {
        let analysis = analyse(&line(args), Dialect::Bash);
        let usage = git_uses::usage(&analysis, &git_uses::commands(&analysis));
        let told = settings(usage, &self.repositories().await, &self.place.worktree);
        let client: BTreeMap<String, String> = client.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut variables: Vec<(OsString, OsString)> = client.iter().map(|(name, value)| (name.into(), value.into())).collect();
        variables.extend(super::variables(&client, &told));
        git(&self.program, &self.place.worktree, args, &variables)
    }

    async fn repositories(&self) -> RepositorySettings {
        settings_of_repositories(vec![self.place.worktree.clone()]).await
    }

    /// What has to be asked about a line that only rules for everything allow.
    async fn question(&self, line: &str) -> Question {
        let commands = git_uses::commands(&analyse(line, Dialect::Bash));
        question(&commands, &self.repositories().await, true, |_| false)
    }

    fn witness(&self) -> bool {
        let path = self.place.outside.join("witness");
        let found = path.as_path().exists();
        let _ = fs::remove_file(path);
        found
    }
}

#[tokio::test]
async fn reading_runs_no_program_of_the_repository() {
    for program in versions() {
        let repository = Repository::new(&program);
        for (key, attribute, args, shown) in [
            ("diff.external", "", &["diff"][..], "+beta"),
            ("diff.evil.command", "diff=evil", &["diff"], "+beta"),
            ("diff.evil.textconv", "diff=evil", &["diff"], "+beta"),
            ("diff.a.b=c.textconv", "diff=a.b=c", &["log", "-p"], "+alpha"),
            ("filter.evil.clean", "filter=evil", &["status", "--short"], "M a.txt"),
            ("filter.evil.process", "filter=evil", &["diff"], "+beta"),
            ("core.fsmonitor", "", &["status", "--short"], "M a.txt"),
            ("core.hooksPath", "", &["status", "--short"], "M a.txt"),
        ] {
            repository.place.write(".gitattributes", format!("a.txt {attribute}\n"));
            // The time of the file must differ from that in the index, or git does not look at it.
            repository.place.write("a.txt", "beta\n");
            repository.git(&["config", key, &repository.zap]);
            let output = repository.guarded(args, &[]).await;
            assert!(!repository.witness(), "{program:?} {key}: {output}");
            assert!(output.contains(shown) && !output.contains("fatal"), "{program:?} {key}: {output}");
            for client in [
                [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "x.y"), ("GIT_CONFIG_VALUE_0", "1")].as_slice(),
                &[("GIT_CONFIG_PARAMETERS", "'x.y'='it'\\''s'")],
            ] {
                let output = repository.guarded(args, client).await;
                assert!(!repository.witness() && output.contains(shown), "{program:?} {key}: {output}");
                assert_ne!(repository.guarded(&["config", "x.y"], client).await, "", "{program:?} the client's own stays");
            }
            repository.git(&["config", "--unset", key]);
        }
    }
}

#[tokio::test]
async fn where_git_works_and_which_settings_count_has_to_be_certain() {
    let program = versions().remove(0);
    let repository = Repository::new(&program);
    let commands = git_uses::commands(&analyse("git status", Dialect::Bash));
    let settings = repository.repositories().await;
    assert_eq!(question(&commands, &settings, true, |_| true), Question::default());
    assert!(question(&commands, &settings, false, |_| true).is_unclear);
    // The work tree lies elsewhere: a difference would show files of another directory.
    repository.git(&["config", "core.worktree", repository.place.outside.to_string().as_str()]);
    assert!(repository.question("git diff").await.is_unclear);
    repository.git(&["config", "core.worktree", ".."]);
    assert_eq!(repository.question("git diff").await, Question::default());
    // More submodules than are looked at.
    for number in 0..40 {
        let sub = repository.place.worktree.join(format!("s{number}"));
        fs::create_dir(&sub).unwrap();
        git(&program, &sub, &["init", "-q"], &[]);
        git(&program, &sub, &["commit", "-q", "--allow-empty", "-m", "x"], &[]);
        repository.git(&["add", &format!("s{number}")]);
    }
    assert!(repository.question("git status").await.is_unclear);
}

#[tokio::test]
async fn what_is_missing_is_not_fetched() {
    for program in versions() {
        let repository = Repository::new(&program);
        repository.place.write("zap-and-end", "#!/bin/sh\n./zap < /dev/null\n");
        let ends = repository.place.worktree.join("zap-and-end");
        fs::set_permissions(ends, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let blob = repository.git(&["rev-parse", "HEAD:a.txt"]);
        fs::remove_file(repository.place.worktree.join(format!(".git/objects/{}/{}", &blob[..2], blob[2..].trim()))).unwrap();
        for (key, value) in [
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", "o"),
            ("remote.o.promisor", "true"),
            ("remote.o.url", "ext::./zap-and-end"),
            ("protocol.ext.allow", "always"),
        ] {
            repository.git(&["config", key, value]);
        }
        for args in ["show HEAD", "show HEAD:a.txt", "log -p", "diff", "cat-file -p HEAD:a.txt", "grep alpha HEAD", "blame a.txt"] {
            let args: Vec<&str> = args.split(' ').collect();
            repository.guarded(&args, &[]).await;
            assert!(!repository.witness(), "{program:?} {args:?}");
            // For a git that does not know GIT_NO_LAZY_FETCH.
            let told = settings(Use::Looks, &repository.repositories().await, &repository.place.worktree);
            git(&program, &repository.place.worktree, &args, &setting_variables(0, told.iter().map(|(key, value)| (key, value))));
            assert!(!repository.witness(), "{program:?} {args:?}");
        }
        repository.git(&["show", "HEAD"]);
        assert!(repository.witness(), "{program:?}");
    }
}

#[tokio::test]
async fn a_bare_repository_inside_is_none() {
    for program in versions() {
        let repository = Repository::new(&program);
        for (name, text) in
            [("HEAD", "ref: refs/heads/main\n"), ("objects/keep", ""), ("refs/keep", ""), ("config", "[core]\nbare = true\n")]
        {
            repository.place.write(&format!("bare/{name}"), text);
        }
        let output = repository.guarded(&["-C", "bare", "rev-parse", "--git-dir"], &[]).await;
        assert!(output.contains("cannot use bare repository"), "{output}");
    }
}

#[tokio::test]
async fn submodules_are_looked_at_too() {
    for program in versions() {
        let repository = Repository::new(&program);
        let sub = repository.place.worktree.join("sub");
        fs::create_dir(&sub).unwrap();
        for args in [&["init", "-q"][..], &["commit", "-q", "--allow-empty", "-m", "x"], &["config", "filter.deep.clean", &repository.zap]]
        {
            git(&program, &sub, args, &[]);
        }
        fs::write(sub.join("b.txt"), "b\n").unwrap();
        git(&program, &sub, &["add", "b.txt"], &[]);
        git(&program, &sub, &["commit", "-qm", "b"], &[]);
        repository.git(&["add", "sub"]);
        fs::write(sub.join(".gitattributes"), "b.txt filter=deep\n").unwrap();
        fs::write(sub.join("b.txt"), "c\n").unwrap();
        repository.witness();
        let output = repository.guarded(&["status", "--short"], &[]).await;
        assert!(!repository.witness() && output.contains("sub"), "{output}");
    }
}

#[tokio::test]
async fn what_the_user_sets_and_what_changes_something_goes_on() {
    for program in versions() {
        let repository = Repository::new(&program);
        // The user's own filter, as git-lfs has one, also where the repository names the same.
        fs::write(repository.place.outside.join(".gitconfig"), format!("[filter \"own\"]\nclean = {}\n", repository.zap)).unwrap();
        repository.place.write(".gitattributes", "a.txt filter=own\n");
        repository.place.write("a.txt", "gamma\n");
        repository.guarded(&["status", "--short"], &[]).await;
        assert!(repository.witness(), "{program:?}");
        // A commit that a rule has allowed is made with its hooks and filters.
        fs::write(repository.place.worktree.join(".git/hooks/pre-commit"), "#!/bin/sh\n./zap hook\n").unwrap();
        fs::set_permissions(repository.place.worktree.join(".git/hooks/pre-commit"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        repository.guarded(&["commit", "-qam", "second"], &[]).await;
        assert!(repository.witness() && repository.git(&["log", "--oneline"]).contains("second"), "{program:?}");
    }
}

#[test]
fn ours_come_behind_the_clients() {
    let told = [("core.fsmonitor".into(), "it's!".into())];
    let of = |client: &[(&str, &str)]| {
        let client = client.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        variables(&client, &told)
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of(&[]), "GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0=it's! GIT_CONFIG_COUNT=1");
    assert!(of(&[("GIT_CONFIG_COUNT", "2")]).starts_with("GIT_CONFIG_KEY_2="));
    assert!(of(&[("GIT_CONFIG_COUNT", "many")]).starts_with("GIT_CONFIG_KEY_0="));
    assert!(of(&[("GIT_CONFIG_PARAMETERS", "'a.b'='c'")]).ends_with(r"GIT_CONFIG_PARAMETERS='a.b'='c' 'core.fsmonitor'='it'\''s'\!''"));
}
