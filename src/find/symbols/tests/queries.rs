//! The scope of queries, and the lifetime of indexes.

use std::{fs, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    super::{
        SymbolKind,
        project::{Budget, Project},
        rank::Query,
        search::{SymbolQuery, search},
    },
    Place, file,
};
use crate::stdx::time::now_ms;

#[tokio::test]
async fn directories_paths_and_kinds_filter_the_results() {
    let place = Place::new(&[("a/x.rs", "fn target() {}"), ("ab/y.py", "class target: pass"), ("a/b/z.go", "package p\nfunc target() {}")]);
    assert_eq!(place.find("target").await, ["ab/y.py target", "a/b/z.go target", "a/x.rs target"]);
    let mut request = place.request("target");
    request.checkout.directory = place.root.join("a");
    assert_eq!(place.listed(request.clone()).await, ["a/b/z.go target", "a/x.rs target"]);
    request.path = Some(place.root.join("a/b"));
    assert_eq!(place.listed(request.clone()).await, ["a/b/z.go target"]);
    request.path = Some(place.root.join("a/x.rs"));
    assert_eq!(place.listed(request.clone()).await, ["a/x.rs target"]);
    let mut request = place.request("target");
    request.kinds = vec![SymbolKind::Class.number(), SymbolKind::Struct.number()];
    assert_eq!(place.listed(request.clone()).await, ["ab/y.py target"]);
    request.limit = 1;
    request.kinds.clear();
    assert_eq!(place.listed(request).await.len(), 1);
}

#[tokio::test]
async fn ignored_files_are_skipped_unless_the_query_is_inside() {
    let place = Place::new(&[
        (".gitignore", "/out\n"),
        ("a.rs", "fn target() {}"),
        ("out/b.rs", "fn target() {}"),
        ("node_modules/p/c.js", "function target() {}"),
        ("bundle.js", &format!("function target() {{}}; {}", "x();".repeat(20_000))),
        ("big.rs", &format!("fn target() {{}}\n{}", "// line\n".repeat(200_000))),
        ("note.txt", "fn target() {}"),
    ]);
    fs::create_dir(place.root.join(".git")).unwrap();
    assert_eq!(place.find("target").await, ["a.rs target"]);
    let mut request = place.request("target");
    request.checkout.directory = place.root.join("out");
    assert_eq!(place.listed(request.clone()).await, ["out/b.rs target"]);
    request.checkout.directory = place.root.join("node_modules/p");
    assert_eq!(place.listed(request).await, ["node_modules/p/c.js target"]);
    assert_eq!(place.symbols.state().len(), 3);
}

#[cfg(unix)]
#[tokio::test]
async fn symbolic_links_and_special_files_are_not_followed() {
    let place = Place::new(&[("a.rs", "fn target() {}")]);
    let outside = Place::new(&[("secret.rs", "fn target() {}")]);
    std::os::unix::fs::symlink(outside.root.join("secret.rs"), place.root.join("link.rs")).unwrap();
    std::os::unix::fs::symlink(&outside.root, place.root.join("directory")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place.root.join("pipe.rs").as_path(), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    assert_eq!(place.find("target").await, ["a.rs target"]);
}

#[tokio::test]
async fn idle_indexes_are_dropped() {
    let place = Place::new(&[("a.rs", "fn target() {}")]);
    assert_eq!(place.find("target").await.len(), 1);
    let state = place.symbols.state();
    let [held] = &state[..] else { panic!("{state:?}") };
    assert_eq!((held.directory.as_str(), held.files, held.symbols, &held.partial), (&*place.root.to_string(), 1, 1, &None));
    assert!(held.bytes > 0);
    place.symbols.close_idle(now_ms() - 60_000);
    assert_eq!(place.symbols.state().len(), 1);
    // A task of the query may hold it for a moment longer.
    while !place.symbols.state().is_empty() {
        place.symbols.close_idle(now_ms() + 1);
        tokio::task::yield_now().await;
    }
    assert_eq!(place.find("target").await.len(), 1, "and read again");
}

#[tokio::test]
async fn a_dropped_query_does_not_affect_others() {
    let place = Place::new(&[("a.rs", "fn target() {}")]);
    for _ in 0..20 {
        let _ = tokio::time::timeout(Duration::ZERO, place.symbols.find(place.request("target"))).await;
    }
    assert_eq!(place.find("target").await.len(), 1);
}

#[test]
fn a_cancelled_search_ends_at_the_next_file() {
    let files: Vec<_> = (0..100).map(|number| Arc::new(file(&format!("{number:03}.rs"), "fn target() {}"))).collect();
    let wanted = SymbolQuery { query: Query::new("target", true), kinds: u32::MAX, limit: 1000 };
    let token = CancellationToken::new();
    assert_eq!(search(&files, &wanted, &token).len(), 100);
    token.cancel();
    assert_eq!(search(&files, &wanted, &token), []);
}

#[tokio::test]
async fn a_project_stays_within_its_budget() {
    let place = Place::new(&[]);
    for number in 0..50 {
        place.write(&format!("{number:02}.rs"), "fn a() {}\nfn b() {}\n");
    }
    for (budget, most) in [
        (Budget { symbols: 7, bytes: 1 << 20 }, 7),
        (Budget { symbols: 1000, bytes: 1000 }, 8),
        (Budget { symbols: 1000, bytes: 1 << 20 }, 100),
    ] {
        let project = Project::new(place.root.clone(), budget, CancellationToken::new());
        project.prepare().await;
        let files = project.files();
        let held: usize = files.iter().map(|file| file.symbols.len()).sum();
        assert_eq!((files.len(), project.symbols()), (50, held));
        assert!(held > 0 && held <= most, "{held}");
        assert_eq!(project.describe(0).partial, (held < 100).then(|| "budget".to_owned()));
    }
}
