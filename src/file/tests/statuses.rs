//! What status tells of everything that can happen to a file.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::support::{Sandbox, ask, git, status};

#[test]
fn each_file_once_with_true_counts() {
    let sandbox = Sandbox::new();
    let root = sandbox.make_directory("r");
    git(&root, &["init", "--quiet"]);
    for (name, text) in
        [("edited", "a\nb\nc\n"), ("gone", "1\n2\n"), ("old name", "q\nw\ne\nr\nt\nz\n"), ("untracked later", "x\n"), ("mode", "m\n")]
    {
        fs::write(root.join(name), text).unwrap();
    }
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    fs::write(root.join("edited"), "a\nB\nc\nno end").unwrap();
    fs::remove_file(root.join("gone")).unwrap();
    fs::create_dir_all(root.join("new/deep")).unwrap();
    git(&root, &["mv", "old name", "new/name"]);
    fs::write(root.join("new/name"), "q\nw\ne\nr\nt\nz\nmore\n").unwrap();
    git(&root, &["rm", "--quiet", "--cached", "untracked later"]);
    fs::write(root.join("untracked later"), "x\ny\n").unwrap();
    fs::write(root.join("new/deep/two lines"), "1\n2\n").unwrap();
    fs::write(root.join("new/no end"), "1\n2").unwrap();
    fs::write(root.join("new/binary"), "1\n\0\n").unwrap();
    std::os::unix::fs::symlink("edited", root.join("new/link")).unwrap();
    fs::write(root.join("staged"), "s\n").unwrap();
    git(&root, &["add", "staged"]);
    fs::write(root.join("staged"), "s\nt\n").unwrap();
    fs::set_permissions(root.join("mode"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(
        status(&root),
        [
            "M edited +2 -1",
            "D gone +0 -2",
            "M mode +0 -0",
            "A new/binary +0 -0",
            "A new/deep/two lines +2 -0",
            "A new/link +1 -0",
            "R new/name +1 -0 <- old name",
            "A new/no end +2 -0",
            "A staged +2 -0",
            "M untracked later +1 -0",
        ]
    );
    // A subdirectory tells what lies below it; nothing climbs out.
    assert_eq!(status(&root.join("new")), ["A binary +0 -0", "A deep/two lines +2 -0", "A link +1 -0", "A name +7 -0", "A no end +2 -0"]);
    assert_eq!(status(&root.join("new/deep")), ["A two lines +2 -0"]);
}

#[test]
fn before_the_first_commit_all_is_new() {
    let sandbox = Sandbox::new();
    let root = sandbox.make_directory("r");
    git(&root, &["init", "--quiet"]);
    fs::write(root.join("staged"), "1\n").unwrap();
    git(&root, &["add", "staged"]);
    fs::write(root.join("other"), "1\n2\n").unwrap();
    assert_eq!(status(&root), ["A other +2 -0", "A staged +1 -0"]);
}

#[test]
fn a_merge_in_conflict() {
    let sandbox = Sandbox::new();
    let root = sandbox.make_directory("r");
    git(&root, &["init", "--quiet", "--initial-branch=main"]);
    for name in ["both", "theirs gone", "ours gone"] {
        fs::write(root.join(name), "base\n").unwrap();
    }
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "--quiet", "--message=base"]);
    git(&root, &["checkout", "--quiet", "-b", "other"]);
    fs::write(root.join("both"), "other\n").unwrap();
    fs::write(root.join("ours gone"), "other\n").unwrap();
    git(&root, &["rm", "--quiet", "theirs gone"]);
    git(&root, &["commit", "--quiet", "-a", "--message=other"]);
    git(&root, &["checkout", "--quiet", "main"]);
    fs::write(root.join("both"), "main\n").unwrap();
    fs::write(root.join("theirs gone"), "main\n").unwrap();
    git(&root, &["rm", "--quiet", "ours gone"]);
    git(&root, &["commit", "--quiet", "-a", "--message=main"]);
    ask(&root, &["-c", "user.name=n", "-c", "user.email=e@example.invalid", "merge", "other"]);
    assert_eq!(status(&root), ["M both +4 -0", "M ours gone +1 -0", "M theirs gone +0 -0"]);
}

#[test]
fn lines_are_counted_as_git_converts_them() {
    let sandbox = Sandbox::new();
    let root = sandbox.make_directory("r");
    git(&root, &["init", "--quiet"]);
    git(&root, &["config", "core.autocrlf", "true"]);
    fs::write(root.join("same"), "a\nb\n").unwrap();
    fs::write(root.join("other"), "a\nb\n").unwrap();
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    fs::write(root.join("same"), "a\r\nb\r\n").unwrap();
    fs::write(root.join("other"), "a\r\nb\r\nc\r\n").unwrap();
    assert_eq!(status(&root), ["M other +1 -0"]);
}

#[test]
fn a_change_in_the_moment_of_the_index_is_seen() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    let (file, index) = (root.join("file"), root.join(".git/index"));
    let opened = || fs::File::options().write(true).open(&file).unwrap();
    let moment = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    opened().set_modified(moment).unwrap();
    git(&root, &["update-index", "--refresh"]);
    // The same size and time, and git's index is not newer: only the content tells.
    fs::write(&file, "TEXT\n").unwrap();
    opened().set_modified(moment).unwrap();
    git(&root, &["config", "core.trustctime", "false"]);
    fs::File::options().write(true).open(&index).unwrap().set_modified(moment).unwrap();
    assert_eq!(status(&root), ["M file +1 -1"]);
}
