//! A repository that names every program that it can.

use super::*;

/// Every setting by which a repository can name a program.
const HOSTILE: &[&str] = &[
    "core.fsmonitor",
    "core.pager",
    "core.editor",
    "core.sshCommand",
    "core.gitProxy",
    "core.askPass",
    "core.alternateRefsCommand",
    "sequence.editor",
    "interactive.diffFilter",
    "credential.helper",
    "diff.external",
    "diff.evil.textconv",
    "diff.e2.command",
    "filter.evil.clean",
    "filter.evil.smudge",
    "filter.evil.process",
    "merge.evil.driver",
    "gpg.program",
    "gpg.openpgp.program",
    "gpg.ssh.program",
    "gpg.ssh.defaultKeyCommand",
    "trailer.a.command",
    "trailer.a.cmd",
    "tar.zz.command",
    "pager.log",
    "pager.status",
    "remote.loc.uploadpack",
    "remote.loc.receivepack",
    "remote.loc.vcs",
    "gc.recentObjectsHook",
    "difftool.t.cmd",
    "mergetool.t.cmd",
    "browser.b.cmd",
    "man.m.cmd",
    "man.m.path",
];

/// A repository with all of them, two branches that conflict, and a commit that looks signed.
fn hostile(program: &Path) -> Repository {
    let repository = Repository::new(program);
    let git = |args: &[&str]| repository.git(args);
    repository.place.write(".gitattributes", "*.txt diff=evil filter=evil merge=evil\n*.md diff=e2\n");
    repository.place.write("b.md", "one\n");
    git(&["add", "-A"]);
    git(&["commit", "-qm", "attributes"]);
    for (branch, text) in [("one", "alpha\none\n"), ("two", "alpha\ntwo\n")] {
        git(&["checkout", "-qb", branch, "HEAD"]);
        repository.place.write("a.txt", text);
        repository.place.write("b.md", text);
        git(&["commit", "-qam", branch]);
        git(&["checkout", "-q", "-"]);
    }
    git(&["checkout", "-q", "one"]);
    git(&["merge", "-q", "-s", "ours", "two"]);
    let commit = git(&["cat-file", "commit", "HEAD"]);
    let (head, message) = commit.split_once("\n\n").unwrap();
    let signed = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n abc\n -----END PGP SIGNATURE-----";
    repository.place.write("signed", format!("{head}\n{signed}\n\n{message}"));
    let id = git(&["hash-object", "-t", "commit", "-w", "signed"]);
    git(&["update-ref", "HEAD", id.trim()]);
    git(&["tag", "t"]);
    repository.place.write("a.txt", "gamma\n");
    repository.place.write("b.md", "gamma\n");
    for key in HOSTILE {
        git(&["config", key, &repository.zap]);
    }
    for (key, value) in [
        ("alias.zz", format!("!{}", repository.zap)),
        ("log.showSignature", "true".to_owned()),
        ("diff.submodule", "diff".to_owned()),
        ("protocol.ext.allow", "always".to_owned()),
        ("protocol.file.allow", "always".to_owned()),
        ("remote.loc.url", repository.place.worktree.to_string()),
        ("remote.e.url", format!("ext::{}", repository.zap)),
        ("core.hooksPath", "hk".to_owned()),
    ] {
        git(&["config", key, &value]);
    }
    for hook in ["post-index-change", "reference-transaction", "pre-commit", "post-checkout", "pre-auto-gc"] {
        repository.place.write(&format!("hk/{hook}"), "#!/bin/sh\n./zap hook\n");
        let path = repository.place.worktree.join(format!("hk/{hook}"));
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    repository.witness();
    repository
}

/// Commands that count as looking, in forms by which a program might run.
const LOOKING: &[&str] = &[
    "status",
    "status -s",
    "status --porcelain=v2",
    "diff",
    "diff HEAD~1",
    "diff --cached",
    "diff two",
    "diff --stat",
    "diff --word-diff",
    "diff --color-words",
    "diff --no-index a.txt b.md",
    "diff-files -p",
    "diff-index -p HEAD",
    "diff-tree -p HEAD~1 HEAD",
    "log -3",
    "log -p -3",
    "log -p --remerge-diff -1",
    "log --format=%G? -2",
    "log --format=%GG%GK -1",
    "log --show-signature -1",
    "log -L 1,1:a.txt",
    "--paginate log -1",
    "-p status",
    "show",
    "show HEAD~1",
    "show HEAD:a.txt",
    "show --textconv HEAD:a.txt",
    "show --remerge-diff HEAD",
    "blame a.txt",
    "blame --contents b.md a.txt",
    "annotate a.txt",
    "grep gamma",
    "grep --textconv gamma",
    "cat-file --textconv HEAD:a.txt",
    "cat-file --filters HEAD:a.txt",
    "cat-file -p HEAD",
    "branch -a",
    "branch -v",
    "branch new",
    "branch -D new",
    "tag -l",
    "tag x",
    "tag -s -m x signed-tag",
    "for-each-ref --format=%(signature)",
    "for-each-ref --format=%(contents:trailers)",
    "verify-commit HEAD",
    "verify-tag t",
    "describe --always --dirty",
    "ls-files -m",
    "ls-files -o",
    "ls-files --eol",
    "ls-tree HEAD",
    "stash list",
    "stash show -p",
    "rev-parse HEAD",
    "rev-list --alternate-refs",
    "shortlog HEAD",
    "range-diff HEAD~1...two",
    "merge-tree one two",
    "merge-tree --write-tree one two",
    "cherry two",
    "check-attr -a a.txt",
    "hash-object a.txt",
    "hash-object -w a.txt",
    "count-objects -v",
    "var GIT_PAGER",
    "reflog",
    "worktree list",
    "notes list",
    "submodule status",
    "remote -v",
    "remote add new /nowhere",
    "remote rename new newer",
    "config --list",
    "show-branch one two",
    "whatchanged -p -1",
    "name-rev HEAD",
];

#[tokio::test]
async fn looking_runs_nothing_of_a_repository_that_names_every_program() {
    for program in versions() {
        let repository = hostile(&program);
        let mut would_run = 0;
        for args in LOOKING {
            let args: Vec<&str> = args.split(' ').collect();
            let line = line(&args);
            // The times of files make git look at them again.
            repository.place.write("a.txt", "gamma\n");
            let output = repository.guarded(&args, &[]).await;
            assert!(!repository.witness(), "{program:?} {line}: {output}");
            assert_eq!(repository.question(&line).await, Question::default(), "{line}");
            repository.place.write("a.txt", "gamma\n");
            repository.git(&args);
            would_run += usize::from(repository.witness());
        }
        assert!(would_run * 2 > LOOKING.len(), "{would_run} of {}", LOOKING.len());
    }
}

#[tokio::test]
async fn what_would_run_a_program_of_the_repository_is_asked_and_the_program_is_named() {
    let program = versions().remove(0);
    let repository = hostile(&program);
    for line in [
        "git commit -m x",
        "git add a.txt",
        "git checkout two",
        "git switch two",
        "git restore a.txt",
        "git reset --hard",
        "git stash",
        "git merge two",
        "git rebase two",
        "git cherry-pick two",
        "git archive --format=zz HEAD",
        "git gc --auto",
        "git format-patch --stdout -1",
        "git interpret-trailers --trailer A=b a.txt",
        "git help -w log",
        "git worktree add ../w",
        "git update-index --refresh",
        "git zz",
        "git lg",
    ] {
        let question = repository.question(line).await;
        let reasons = question.reasons.join(" ");
        assert!(
            reasons.contains("names programs") && reasons.contains("core.hookspath, core.sshcommand") && !question.is_unclear,
            "{line}: {question:?}"
        );
    }
    for line in [
        "git fetch",
        "git pull loc",
        "git push loc main",
        "git ls-remote e",
        "git remote show loc",
        "git remote update",
        "git remote prune loc",
        "git clone . c",
        "git submodule update",
        "git archive --remote=loc HEAD",
    ] {
        let question = repository.question(line).await;
        assert!(question.reasons.iter().any(|reason| reason.contains("talks to a remote")), "{line}: {question:?}");
    }
    // A repository with nothing special in it, and what the user's own settings name too, is no reason.
    let plain = Repository::new(&program);
    assert_eq!(plain.question("git commit -am x; git checkout -b y; git stash").await, Question::default());
    plain.git(&["config", "filter.lfs.clean", "git-lfs clean -- %f"]);
    assert!(!plain.question("git add a.txt").await.reasons.is_empty());
    let hook = plain.place.worktree.join(".git/hooks/pre-commit");
    plain.git(&["config", "--unset", "filter.lfs.clean"]);
    fs::write(&hook, "#!/bin/sh\n").unwrap();
    assert_eq!(plain.question("git commit -am x").await, Question::default(), "a hook that cannot be run is none");
    fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    assert!(plain.question("git commit -am x").await.reasons[0].ends_with("git commit to run: hooks/pre-commit"));
}
