//! All kinds of repositories: submodules, nested, linked and bare ones, and formats that only the git program can read.

use std::fs;

use super::support::{Sandbox, ask, command, git, read, status};

#[test]
fn submodules_and_repositories_inside() {
    let sandbox = Sandbox::new();
    let (library, root) = (sandbox.repository("library"), sandbox.repository("r"));
    git(&root, &["submodule", "--quiet", "add", &library.to_string(), "module"]);
    git(&root, &["commit", "--quiet", "--message=module"]);
    assert_eq!(status(&root), [""; 0]);
    // A submodule changes only with its commit, not with its work tree.
    fs::write(root.join("module/file"), "edited\n").unwrap();
    fs::write(root.join("module/new"), "new\n").unwrap();
    assert_eq!(status(&root), [""; 0]);
    assert_eq!(status(&root.join("module")), ["M file +1 -1", "A new +1 -0"]);
    assert!(read(&root, "module/file").starts_with("Pdiff --git a/file b/file\n"));
    git(&root.join("module"), &["commit", "--quiet", "-a", "--message=two"]);
    assert_eq!(status(&root), ["M module +1 -1"]);
    git(&root, &["reset", "--quiet", "--hard"]);
    git(&root, &["submodule", "--quiet", "update", "--force"]);
    sandbox.repository("r/nested");
    fs::create_dir(root.join("empty")).unwrap();
    assert_eq!(status(&root), ["A nested/ +0 -0"]);
}

#[test]
fn linked_worktrees_bare_ones_and_none() {
    let sandbox = Sandbox::new();
    let main = sandbox.repository("main");
    let linked = sandbox.linked(&main, "linked");
    fs::write(linked.join("file"), "other\n").unwrap();
    assert_eq!((status(&main).len(), status(&linked)), (0, vec!["M file +1 -1".to_owned()]));
    git(&sandbox.root, &["clone", "--quiet", "--bare", "main", "bare"]);
    for nowhere in [sandbox.path("bare"), main.join(".git"), sandbox.make_directory("plain")] {
        assert_eq!(status(&nowhere), [""; 0], "{nowhere}");
    }
    assert_eq!(read(&main, ".git/HEAD"), "ref: refs/heads/main\n");
    let (bare, from_bare) = (sandbox.path("bare"), sandbox.path("from bare"));
    git(&bare, &["worktree", "add", "--quiet", &from_bare.to_string(), "-b", "new"]);
    fs::remove_file(from_bare.join("file")).unwrap();
    assert_eq!(status(&from_bare), ["D file +0 -1"]);
}

#[test]
fn sparse_checkouts_lack_files_without_a_change() {
    let sandbox = Sandbox::new();
    let root = sandbox.make_directory("r");
    git(&root, &["init", "--quiet"]);
    for name in ["in/a", "out/b"] {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), "x\n").unwrap();
    }
    git(&root, &["add", "-A"]);
    git(&root, &["commit", "--quiet", "--message=x"]);
    git(&root, &["sparse-checkout", "set", "--cone", "--sparse-index", "in"]);
    fs::write(root.join("in/a"), "y\n").unwrap();
    assert!(!root.join("out").as_path().exists());
    assert_eq!(status(&root), ["M in/a +1 -1"]);
}

#[test]
fn other_formats_and_other_owners() {
    let sandbox = Sandbox::new();
    for (name, option) in [("sha256", "--object-format=sha256"), ("reftable", "--ref-format=reftable")] {
        let root = sandbox.make_directory(name);
        git(&root, &["init", "--quiet", option]);
        fs::write(root.join("file"), "one\n").unwrap();
        assert_eq!(status(&root), ["A file +1 -0"], "{name}");
        git(&root, &["add", "-A"]);
        git(&root, &["commit", "--quiet", "--message=x"]);
        fs::write(root.join("file"), "two\n").unwrap();
        assert_eq!(status(&root), ["M file +1 -1"], "{name}");
        assert!(read(&root, "file").ends_with("@@ -1 +1 @@\n-one\n+two\n"), "{name}");
    }
    if rustix::process::getuid().is_root() {
        let root = sandbox.repository("foreign");
        fs::write(root.join("file"), "two\n").unwrap();
        for path in [root.clone(), root.join(".git")] {
            std::os::unix::fs::chown(path, Some(54321), Some(54321)).unwrap();
        }
        assert_eq!(status(&root), ["M file +1 -1"]);
    }
}

#[test]
fn a_partial_clone_fetches_nothing() {
    let sandbox = Sandbox::new();
    let origin = sandbox.repository("origin");
    git(&origin, &["config", "uploadpack.allowFilter", "true"]);
    fs::write(origin.join("second"), "text\n").unwrap();
    git(&origin, &["add", "-A"]);
    git(&origin, &["commit", "--quiet", "--message=two"]);
    git(&sandbox.root, &["clone", "--quiet", "--filter=blob:none", "--no-checkout", &format!("file://{origin}"), "part"]);
    let part = sandbox.path("part");
    git(&part, &["reset", "--quiet", "--mixed"]);
    let objects = || ask(&part, &["count-objects", "-v"]);
    let before = objects();
    fs::write(part.join("second"), "other\n").unwrap();
    // Without the old contents lines cannot be counted, but the files that differ are known.
    assert_eq!(status(&part), ["D file +0 -0", "M second +0 -0"]);
    assert_eq!(objects(), before);
    let output = command("git").current_dir(&part).args(["checkout", "--quiet", "--", "file"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    // Both have the same content, which has been fetched now.
    assert_eq!(status(&part), ["M second +1 -1"]);
}
