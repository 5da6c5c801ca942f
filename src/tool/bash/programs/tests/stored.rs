//! What git has stored, and what links lead to.

use polytree_protocol::permission::Action;

use super::{Place, rules};
use crate::git::tests::support::git;

/// A place in which git tracks these files.
fn tracking(files: &[&str]) -> Place {
    let place = Place::new();
    let work = place.path("work");
    std::fs::remove_dir(work.join(".git")).unwrap();
    git(&work, &["init", "--quiet"]);
    if !files.is_empty() {
        git(&work, &[&["add", "--force"], files].concat());
    }
    place
}

const ALLOW: &str = r#"[["*","*","allow"],["read",".env","deny"],["read","secret/*","ask"]]"#;

/// Lines that show all that git has stored.
const ALL: &[&str] = &[
    "git log -p",
    "git ls-files | xargs cat",
    "git ls-files -z sub | xargs -0 head -50",
    "git diff --name-only main | xargs grep -n needle",
    "git grep needle HEAD:",
    "git diff HEAD:sub..HEAD:",
    "git merge-tree main~1 main other",
    "git log -u -3 | head",
    "git log --patch -- '*.env'",
    "git log -U5",
    "git log --cc",
    "git show",
    "git show HEAD~3",
    "git show HEAD -- ':(top)*'",
    "git diff HEAD~1",
    "git diff main other",
    "git diff main --",
    "git --no-pager -C sub log -p",
    "cd sub; git show",
    "git stash show -p",
    "git format-patch --stdout -1",
    "git grep needle HEAD",
    "git grep --cached needle",
    "git grep -e needle HEAD~3",
    "git archive --format=tar HEAD",
    "git cat-file -p 1234567",
    "git status -v",
    "git diff HEAD:sub main",
    "git show 'HEAD^{/a:b}'",
    "git whatchanged -p",
    "bash -c 'git log -p'",
    "git log -pS x",
    "git log --pat",
    "git log -L1,9:.env",
    "git log --full-diff -p a.txt",
    "git diff HEAD .",
    "git show HEAD -- .",
    "git show HEAD:./.env",
    "git show 'HEAD^{tree}:.env'",
    "(cd sub && git log -p ..)",
    "git reflog -p",
    "git stash list -p",
    "git rev-list --all | xargs git show",
    "git fast-export --all",
    "git bundle create x --all",
    "git diff-tree --root -p HEAD",
    "git diff-files -p",
    "git log --patch-with-stat",
    "git unpack-file 1234567",
    "git commit -v --dry-run",
    "git commit --dry-run --verb -m x",
    "git diff --cached",
    "git diff --sta",
    "git diff --no-index . /dev/null",
];

/// Lines that show how files differ from the index.
const DIFFERS: &[&str] = &[
    "git diff",
    "git diff --stat -p",
    "git diff -- .",
    "git diff -- ':/'",
    "git diff -- ':!a.txt'",
    "cd sub && git diff",
    "git diff > out.patch",
    "cargo fmt; git diff | head -100",
];

/// The same, but the line changes the index first, or the file.
const CHANGES_FIRST: &[&str] = &[
    "git reset -q HEAD~1; git diff",
    "git rm --cached .env; git diff",
    "git update-index --force-remove .env && git diff",
    "touch .env; git diff",
    "mv sub .env; git diff",
    "cp a.txt \"$(pwd)/$x\"; git diff",
];

/// Lines that show names, or nothing but what they name.
const SOME: &[&str] = &[
    "git log",
    "git log --stat",
    "git log -S needle --oneline",
    "git show --stat",
    "git show -s HEAD",
    "git show --name-only",
    "git diff --stat HEAD~1",
    "git diff --name-status main",
    "git diff --quiet",
    "git diff -- sub",
    "git diff a.txt",
    "git diff HEAD~1 -- a.txt sub",
    "git log -p -- sub/b.txt",
    "git show HEAD:sub/b.txt",
    "git show HEAD:a.txt HEAD:sub/b.txt",
    "git grep needle -- sub",
    "git grep -n needle -- '*.txt'",
    "git grep -n needle -- '*.txt' 'sub/*.md'",
    "git log -p -- '*.rs'",
    "git diff main -- '*.txt' sub",
    "git cat-file -t HEAD",
    "git status",
    "git stash list",
    "git stash show",
];

#[tokio::test]
async fn what_git_has_stored_is_read_where_it_is_shown() {
    let held = rules(ALLOW);
    let place = tracking(&[".env", "a.txt", "sub/b.txt"]);
    for line in ALL {
        let verdict = place.judge(&held, line).await;
        assert_eq!((verdict.action, verdict.kinds.as_slice()), (Action::Deny, &["read".to_owned()][..]), "{line}");
    }
    for line in SOME {
        assert_eq!(place.judge(&held, line).await.action, Action::Allow, "{line}");
    }
    let named = tracking(&["secret/key", "a.txt"]);
    let verdict = named.judge(&held, "git log -p").await;
    assert_eq!((verdict.action, verdict.always), (Action::Ask, vec!["secret/key".to_owned()]));
    assert_eq!(named.judge(&held, "git show HEAD -- secret").await.action, Action::Ask);
}

#[tokio::test]
async fn a_comparison_with_the_index_reads_only_what_differs() {
    let held = rules(ALLOW);
    let place = tracking(&[".env", "a.txt", "sub/b.txt"]);
    std::fs::write(place.path("work/a.txt"), "changed\n").unwrap();
    for line in DIFFERS {
        assert_eq!(place.judge(&held, line).await.action, Action::Allow, "{line}");
    }
    for line in CHANGES_FIRST {
        assert_ne!(place.judge(&held, line).await.action, Action::Allow, "{line}");
    }
    std::fs::write(place.path("work/.env"), "changed\n").unwrap();
    for line in DIFFERS {
        let verdict = place.judge(&held, line).await;
        assert_eq!((verdict.action, verdict.kinds.as_slice()), (Action::Deny, &["read".to_owned()][..]), "{line}");
    }
}

#[tokio::test]
async fn a_repository_without_tracked_secrets_asks_nothing() {
    let held = rules(ALLOW);
    let place = tracking(&["a.txt", "sub/b.txt"]);
    // The search looks at what is there too.
    for line in ALL.iter().filter(|line| !line.contains("grep") && !line.contains("archive")).chain(SOME) {
        // Words that are added may be options, and are asked about.
        if !line.contains('*') && !line.contains(".env") && !line.contains("xargs") {
            assert_eq!(place.judge(&held, line).await.action, Action::Allow, "{line}");
        }
    }
    // Also of a repository that has nothing yet.
    let place = tracking(&[]);
    assert_eq!(place.judge(&held, "git log -p").await.action, Action::Allow);
}

#[tokio::test]
async fn links_that_are_followed_count_for_where_they_lead() {
    let held = rules(r#"[["*","*","allow"],["external_directory","*","deny"],["read",".env","deny"]]"#);
    let place = Place::new();
    let work = place.path("work");
    std::fs::create_dir_all(work.join("plain/deep")).unwrap();
    std::fs::write(work.join("plain/x"), "x").unwrap();
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, work.join(name)).unwrap();
    link("../../link", "sub/deep/away");
    std::fs::create_dir(work.join("inner")).unwrap();
    link("../plain", "inner/more");
    link("../../.env", "plain/deep/e");
    for line in [
        "grep -R x sub",
        "grep -Rn x --include='*.txt' sub",
        "grep --dereference-recursive x sub",
        "cd sub && grep -R x",
        "rg -L x sub",
        "rg --follow x sub",
        "tar chf x.tar sub",
        "tar -c -h -f x.tar sub",
        "tar cf x.tar --dereference sub",
        "cp -rL sub copy",
        "zip -r x.zip sub",
        "rsync -aL sub/ copy/",
        "scp -r sub h:",
        "diff -r sub other",
    ] {
        let verdict = place.judge(&held, line).await;
        assert_eq!((verdict.action, verdict.kinds.first().map(String::as_str)), (Action::Deny, Some("external_directory")), "{line}");
    }
    for line in ["grep -r x sub", "rg x sub", "tar cf x.tar sub", "cp -r sub copy", "rg -L x inner/more/x", "zip -ry x.zip sub"] {
        assert_eq!(place.judge(&held, line).await.action, Action::Allow, "{line}");
    }
    let verdict = place.judge(&held, "grep -R x inner").await;
    assert_eq!((verdict.action, verdict.kinds), (Action::Deny, vec!["read".to_owned()]));
}
