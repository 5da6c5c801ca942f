//! Unsaved text is searched in place of the file.

use super::*;

#[test]
fn unsaved_text_is_searched() {
    let tree = Tree::of(&[("a", "old hit"), ("b", "hit"), ("ignored", "hit"), (".gitignore", "ignored\nout/\n")]);
    tree.announce("a", "one\nnew hit");
    tree.announce("ignored", "hit in what is ignored");
    assert_eq!(tree.lines("hit"), ["a:2:new hit", "b:1:hit"]);
    // New unsaved files too, if they are not ignored.
    for path in ["new/deep/c", ".git/config", "out/d", "new/ignored"] {
        tree.announce(path, "hit before it is saved");
    }
    assert_eq!(tree.lines("hit"), ["a:2:new hit", "b:1:hit", "new/deep/c:1:hit before it is saved"]);
    assert!(tree.overlay.close(1, &tree.root.join("a")));
    assert_eq!(tree.lines("old"), ["a:1:old hit"]);
}

#[test]
fn patterns_and_directories_apply_to_unsaved_files() {
    let tree = Tree::of(&[("a/x.rs", "hit")]);
    tree.announce("a/new.rs", "hit");
    tree.announce("a/new.md", "hit");
    tree.announce("b/new.rs", "hit");
    let paths = |from: &str, include: &[&str], exclude: &[&str], types: &[&str]| {
        let [include, exclude, types] = [include, exclude, types].map(|list| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        let place = Place { directory: tree.root.clone(), from: tree.root.join(from) };
        let filter = Filter::new(&tree.root, &include, &exclude, &types).unwrap();
        let (items, _) = tree.find_in(&place, &plain("hit"), &filter, 10);
        items.iter().map(place_of).collect::<Vec<_>>()
    };
    assert_eq!(paths(".", &[], &["b"], &["rust"]), ["a/new.rs", "a/x.rs"]);
    assert_eq!(paths("a", &["*.md"], &[], &[]), ["a/new.md"]);
    assert_eq!(paths("b/new.rs", &[], &[], &[]), ["b/new.rs"]);
    assert_eq!(paths(".", &["b/**"], &[], &[]), ["b/new.rs"]);
}

#[test]
fn a_long_unsaved_text_is_searched_like_a_file() {
    let tree = Tree::new();
    let text = format!("{}hit\r\n{}", "nothing\n".repeat(20_000), "hit ".repeat(3));
    tree.announce("a", &text);
    assert_eq!(tree.lines("hit$"), ["a:20001:hit"]);
    tree.announce("a", "bin\0ary hit");
    assert_eq!(tree.lines("hit"), <[&str; 0]>::default());
}

#[test]
fn a_file_with_unknown_text_is_not_searched() {
    let tree = Tree::of(&[("a", "old hit"), ("b", "hit")]);
    let untold = tree.root.join("a");
    tree.overlay.open(1, &untold, &untold, 1, None).unwrap();
    let filter = Filter::new(&tree.root, &[], &[], &[]).unwrap();
    let (items, summary) = tree.find(&plain("hit"), &filter, 10);
    assert_eq!((items.iter().map(place_of).collect::<Vec<_>>(), summary.unreadable), (vec!["b".to_owned()], 1));
}
