//! Malicious repositories that would run a program, read other files or block for ever.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::support::{Sandbox, checkout, command, git, read, read_as, status, wait};
use crate::{
    file::{Error, list, read::Form, status::status as all_changes},
    git,
    stdx::paths::AbsPath,
};

/// A repository whose every setting runs a program that creates a marker file, and that file.
fn trap(sandbox: &Sandbox) -> (AbsPath, AbsPath) {
    let (root, mark) = (sandbox.repository("r"), sandbox.path("mark"));
    let program = sandbox.path("program");
    fs::write(&program, format!("#!/bin/sh\necho \"$0 $*\" >> {mark}\ncat\n")).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(root.join(".gitattributes"), "* filter=evil diff=evil merge=evil\nodd filter=a=b.c\n").unwrap();
    fs::write(root.join("odd"), "x\n").unwrap();
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    let run = program.to_string();
    for key in [
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.editor",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "credential.helper",
        "diff.external",
        "diff.evil.command",
        "diff.evil.textconv",
        "merge.evil.driver",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "filter.a=b.c.clean",
        "gpg.program",
        "pager.diff",
        "pager.ls-files",
        "interactive.diffFilter",
        "trace2.normalTarget",
        "uploadpack.packObjectsHook",
        "sendemail.smtpserver",
    ] {
        let key = if key == "trace2.normalTarget" { "ssh.variant" } else { key };
        git(&root, &["config", key, &run]);
    }
    git(&root, &["config", "filter.evil.required", "true"]);
    git(&root, &["config", "alias.diff", &format!("!{run}")]);
    git(&root, &["config", "include.path", "more"]);
    fs::write(root.join(".git/more"), format!("[filter \"evil\"]\n\tclean = {run} more\n[core]\n\thooksPath = {}\n", sandbox.root))
        .unwrap();
    for hook in ["post-index-change", "pre-auto-gc", "post-checkout", "reference-transaction", "fsmonitor-watchman"] {
        fs::copy(&program, sandbox.path(hook)).unwrap();
        fs::create_dir_all(root.join(".git/hooks")).unwrap();
        fs::copy(&program, root.join(".git/hooks").join(hook)).unwrap();
    }
    (root, mark)
}

#[test]
fn no_setting_runs_a_program() {
    let sandbox = Sandbox::new();
    let (root, mark) = trap(&sandbox);
    // Preparing it may have run some of these programs.
    drop(fs::remove_file(&mark));
    fs::write(root.join("file"), "changed\n").unwrap();
    fs::write(root.join("odd"), "changed\n").unwrap();
    fs::write(root.join("new"), "new\n").unwrap();
    let index = fs::read(root.join(".git/index")).unwrap();
    assert_eq!(status(&root), ["M file +1 -1", "A new +1 -0", "M odd +1 -1"]);
    assert!(read(&root, "file").ends_with("-text\n+changed\n"));
    assert_eq!(read(&root, "new"), "new\n");
    assert_eq!(wait(list::list(&checkout(&root, &root), "")).unwrap().len(), 4);
    assert!(!mark.as_path().exists(), "{}", fs::read_to_string(&mark).unwrap());
    assert!(index == fs::read(root.join(".git/index")).unwrap(), "git's own state is not touched");
    // The settings are effective: plain git runs the programs.
    drop(command("git").current_dir(&root).arg("status").output().unwrap());
    assert!(mark.as_path().exists());
}

#[test]
fn a_submodule_with_such_settings_runs_none() {
    let sandbox = Sandbox::new();
    let (inner, mark) = trap(&sandbox);
    let outer = sandbox.repository("outer");
    fs::rename(&inner, outer.join("module")).unwrap();
    git(&outer, &["add", "module"]);
    git(&outer, &["commit", "--quiet", "--message=module"]);
    drop(fs::remove_file(&mark));
    fs::write(outer.join("module/file"), "changed\n").unwrap();
    assert_eq!(status(&outer), [""; 0]);
    assert_eq!(status(&outer.join("module")), ["M file +1 -1"]);
    assert!(!mark.as_path().exists(), "{}", fs::read_to_string(&mark).unwrap());
}

#[test]
fn another_work_tree_is_not_shown() {
    let sandbox = Sandbox::new();
    let (root, elsewhere) = (sandbox.repository("r"), sandbox.make_directory("elsewhere"));
    fs::write(elsewhere.join("secret"), "s\n").unwrap();
    git(&root, &["config", "core.worktree", &elsewhere.to_string()]);
    let count = wait(all_changes(&root)).map(|changes| changes.len());
    assert!(matches!(count, Ok(0)), "{count:?}");
}

#[test]
fn no_path_leaves_the_worktree() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    sandbox.make_directory("r/sub");
    fs::write(sandbox.path("secret"), "s").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("link")).unwrap();
    std::os::unix::fs::symlink("..", root.join("up")).unwrap();
    std::os::unix::fs::symlink("file", root.join("inside")).unwrap();
    let secret = sandbox.path("secret").to_string();
    for path in ["../secret", "link", "up/secret", "sub/../../secret", "../missing", secret.as_str(), "/etc/passwd", "~"] {
        assert!(matches!(read_as(&root, path, Form::Whole), Err(Error::Outside { .. })), "{path}");
        assert!(matches!(wait(list::list(&checkout(&root, &root), path)), Err(Error::Outside { .. })), "{path}");
    }
    for path in ["file", "./sub/../file", "inside", root.join("file").to_string().as_str()] {
        assert_eq!(read(&root, path), "text\n", "{path}");
    }
    // From a subdirectory the rest of the worktree is accessible.
    let below = checkout(&root.join("sub"), &root);
    let entries = wait(list::list(&below, "..")).unwrap();
    let shown: Vec<&str> = entries.iter().map(|entry| entry.shown.as_str()).collect();
    assert_eq!(shown, ["", "../up", "../file", "../inside", "../link"]);
}

#[test]
fn special_files_are_refused_without_blocking() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe").as_path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    for (path, word) in [("pipe", "pipe"), ("socket", "socket")] {
        let error = read_as(&root, path, Form::Patch).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    assert!(matches!(read_as(&root, ".", Form::Patch), Err(Error::Directory(_))));
    assert!(matches!(read_as(&root, "", Form::Patch), Err(Error::Path(_))));
    assert!(matches!(read_as(&root, "a\0", Form::Patch), Err(Error::Path(_))));
    for missing in ["none", "none/deeper", "file/below"] {
        assert!(matches!(read_as(&root, missing, Form::Patch), Err(Error::NotFound(_))), "{missing}");
    }
    assert!(matches!(wait(list::list(&checkout(&root, &root), "file")), Err(Error::NotDirectory(_))));
    assert_eq!(status(&root), [""; 0]);
}

#[test]
fn a_pipe_as_an_ignore_file_times_out() {
    let sandbox = Sandbox::new();
    let roots = [".gitignore", "sub/.gitignore"].map(|name| {
        let root = sandbox.repository(if name.contains('/') { "below" } else { "top" });
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("sub/tracked"), "").unwrap();
        git(&root, &["add", "-A"]);
        git(&root, &["commit", "--quiet", "--message=x"]);
        fs::write(root.join("sub/untracked"), "").unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.join(name).as_path(), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        root
    });
    let started = std::time::Instant::now();
    let answers = wait(async { futures::join!(all_changes(&roots[0]), all_changes(&roots[1])) });
    assert!(started.elapsed() < std::time::Duration::from_secs(15), "{:?}", started.elapsed());
    assert!(matches!(answers, (Err(Error::Git(git::Error::Timeout(10))), Err(Error::Git(git::Error::Timeout(10))))), "{answers:?}");
}
