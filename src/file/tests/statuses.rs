//! The status of every kind of change.

use std::{fs, os::unix::fs::PermissionsExt as _};

use super::support::{Sandbox, ask, git, status};

#[test]
fn each_file_appears_once_with_correct_counts() {
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
    // The status of a subdirectory contains only what is in it.
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
fn a_change_at_the_time_of_the_index_is_detected() {
    let sandbox = Sandbox::new();
    let root = sandbox.repository("r");
    let (file, index) = (root.join("file"), root.join(".git/index"));
    let opened = || fs::File::options().write(true).open(&file).unwrap();
    let moment = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    opened().set_modified(moment).unwrap();
    git(&root, &["update-index", "--refresh"]);
    // The same size and time, and the index is not newer: only the content differs.
    fs::write(&file, "TEXT\n").unwrap();
    opened().set_modified(moment).unwrap();
    git(&root, &["config", "core.trustctime", "false"]);
    fs::File::options().write(true).open(&index).unwrap().set_modified(moment).unwrap();
    assert_eq!(status(&root), ["M file +1 -1"]);
}

/// With any kind of index the status equals that with an index that is left to git.
#[test]
fn every_kind_of_index_gives_the_same_status() {
    let sandbox = Sandbox::new();
    let root = sandbox.make_directory("r");
    git(&root, &["init", "--quiet"]);
    for directory in ["a", "a/b", "a.b", "only ignored", "t"] {
        fs::create_dir_all(root.join(directory)).unwrap();
        for name in ["one", "two", "three.log"] {
            fs::write(root.join(directory).join(name), format!("{directory}\n{name}\n")).unwrap();
        }
    }
    fs::write(root.join(".gitignore"), "*.log\n/only ignored/\n/t/\n").unwrap();
    git(&root, &["add", "-A"]);
    git(&root, &["add", "-f", "t/one"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    // With an index that is newer than the files.
    git(&root, &["read-tree", "HEAD"]);
    let moment = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    let same = |what: &str| {
        let shown = [root.clone(), root.join("a"), root.join("t")].map(|directory| status(&directory));
        git(&root, &["update-index", "--split-index"]);
        let statuses = [root.clone(), root.join("a"), root.join("t")].map(|directory| status(&directory));
        git(&root, &["update-index", "--no-split-index"]);
        assert_eq!(shown, statuses, "{what}");
        shown[0].clone()
    };
    assert_eq!(same("nothing"), [""; 0]);
    git(&root, &["update-index", "--refresh"]);
    fs::File::options().write(true).open(root.join("a/one")).unwrap().set_modified(moment).unwrap();
    assert_eq!(same("touched"), [""; 0]);
    fs::write(root.join("a.b/one"), "other\n").unwrap();
    assert_eq!(same("edited"), ["M a.b/one +1 -2"]);
    git(&root, &["update-index", "--assume-unchanged", "a.b/one"]);
    assert_eq!(same("assumed unchanged"), [""; 0]);
    git(&root, &["update-index", "--no-assume-unchanged", "a.b/one"]);
    git(&root, &["update-index", "--skip-worktree", "a/b/two"]);
    fs::remove_file(root.join("a/b/two")).unwrap();
    assert_eq!(same("kept off the disk"), ["M a.b/one +1 -2"]);
    git(&root, &["update-index", "--no-skip-worktree", "a/b/two"]);
    fs::create_dir_all(root.join("a/b/two/deep")).unwrap();
    fs::write(root.join("a/b/two/deep/new"), "1\n").unwrap();
    fs::write(root.join("t/new"), "1\n").unwrap();
    let both = ["M a.b/one +1 -2", "D a/b/two +0 -2", "A a/b/two/deep/new +1 -0"];
    assert_eq!(same("a directory in the place of a file, a new file in an ignored directory"), both);
    fs::write(root.join("intended"), "1\n").unwrap();
    git(&root, &["add", "-N", "intended"]);
    git(&root, &["mv", "a/two", "a.b/moved"]);
    let all = ["M a.b/one +1 -2", "R a.b/moved +0 -0 <- a/two", "D a/b/two +0 -2", "A a/b/two/deep/new +1 -0", "A intended +1 -0"];
    let mut shown = same("an intended and a renamed file");
    shown.sort_by_key(|line| all.iter().position(|known| known == line));
    assert_eq!(shown, all);
    fs::rename(root.join("a.b"), root.join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", root.join("a.b")).unwrap();
    let shown = same("a link in the place of a directory");
    assert!(shown.contains(&"A a.b +1 -0".to_owned()), "{shown:?}");
    git(&root, &["add", "-A"]);
    git(&root, &["update-index", "--untracked-cache", "--index-version=4"]);
    same("all staged");
    git(&root, &["commit", "--quiet", "--message=y"]);
    fs::create_dir_all(root.join("elsewhere/.git-no")).unwrap();
    sandbox.repository("r/a/nested");
    assert_eq!(same("a repository inside"), ["A a/nested/ +0 -0"]);
}

#[test]
fn more_changes_than_pathspecs() {
    let sandbox = Sandbox::new();
    let root = sandbox.make_directory("r");
    git(&root, &["init", "--quiet"]);
    for number in 0..700 {
        fs::create_dir_all(root.join(format!("d{}", number % 7))).unwrap();
        fs::write(root.join(format!("d{}/{number}", number % 7)), "x\n").unwrap();
    }
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    for number in 0..350 {
        fs::write(root.join(format!("d{}/{number}", number % 7)), "y\ny\n").unwrap();
        fs::create_dir(root.join(format!("new{number}"))).unwrap();
        fs::write(root.join(format!("new{number}/x")), "x\n").unwrap();
    }
    let shown = status(&root);
    let of = |start: &str, end: &str| shown.iter().filter(|line| line.starts_with(start) && line.ends_with(end)).count();
    assert_eq!((shown.len(), of("M d", " +2 -1"), of("A new", "/x +1 -0")), (700, 350, 350));
}
