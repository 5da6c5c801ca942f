//! Limits return the first results in any order of files; streams return the same ones; both can be cancelled.

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;

use super::{
    super::{
        Line,
        file::{FileSearcher, Source},
        ordered::{Bounds, find_within},
        search::{Collect, search},
        stream::stream,
    },
    *,
};

/// A tree with this many matches in each file.
fn numbered(counts: &[usize]) -> Tree {
    let tree = Tree::new();
    for (number, count) in counts.iter().enumerate() {
        let path = format!("{}/{}{number}", ["b", "a.c", "a", "a/d"][number % 4], ["x", "Y", "z.z"][number % 3]);
        tree.write(Path::new(&path), "hit\nmiss\n".repeat(*count).as_bytes());
    }
    tree
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_limit_returns_the_first_matches(counts in prop::collection::vec(0..6usize, 0..30), limit in 1..60u64, context in 0..2usize) {
        let tree = numbered(&counts);
        let options = Options { context, ..plain("hit") };
        let (all, whole) = tree.find(&options, &Filter::default(), 1_000_000);
        let mut sorted = all.clone();
        sorted.sort_by_key(place);
        prop_assert_eq!(&sorted, &all);
        prop_assert_eq!(whole.matches, counts.iter().sum::<usize>() as u64);
        let (some, summary) = tree.find(&options, &Filter::default(), limit);
        prop_assert_eq!(&some[..], &all[..some.len()]);
        prop_assert_eq!(summary.matches, whole.matches.min(limit));
        prop_assert_eq!(summary.truncated, whole.matches > limit);
        prop_assert_eq!(some.iter().filter_map(matched).count() as u64, summary.matches);
        // A limit of bytes truncates the same way.
        let bytes = 100 * usize::try_from(limit).unwrap();
        let bounds = Bounds { matches: 1_000_000, bytes };
        let found = find_within(&tree.place(), &tree.targets(), &Query::new(&options).unwrap(), &tree.overlay, &Stop::default(), bounds);
        prop_assert!(found.items.len() <= bytes.max(1));
        let some = items(&found.items);
        prop_assert_eq!(&some[..], &all[..some.len()]);
        prop_assert_eq!(found.summary.truncated, some.len() < all.len());
    }

    #[test]
    fn a_stream_returns_the_same_matches(counts in prop::collection::vec(0..6usize, 0..30), limit in 1..60u64) {
        let tree = numbered(&counts);
        let (all, _) = tree.find(&plain("hit"), &Filter::default(), 1_000_000);
        let streamed = |limit| {
            let items = Mutex::new(Vec::new());
            let send = |chunk: super::super::stream::Chunk| {
                items.lock().unwrap().extend(chunk.items().map(|item| serde_json::from_str::<TextItem>(item.get()).unwrap()));
                true
            };
            let query = Query::new(&plain("hit")).unwrap();
            let summary = stream(&tree.place(), &tree.targets(), &query, &tree.overlay, &Stop::default(), limit, &send);
            (items.into_inner().unwrap(), summary)
        };
        let (mut whole, summary) = streamed(1_000_000);
        whole.sort_by_key(place);
        prop_assert_eq!(&whole, &all);
        prop_assert_eq!((summary.files, summary.truncated), (counts.len() as u64, false));
        let (some, summary) = streamed(limit);
        prop_assert_eq!(some.len() as u64, limit.min(all.len() as u64));
        prop_assert_eq!((summary.matches, summary.truncated), (some.len() as u64, all.len() as u64 > limit));
        let places: BTreeSet<_> = some.iter().map(place).collect();
        prop_assert_eq!(places.len(), some.len(), "something came twice");
    }
}

#[test]
fn each_file_has_a_limit() {
    let tree = numbered(&[5, 1, 3]);
    let (items, summary) = tree.find(&Options { limit_per_file: Some(2), ..plain("hit") }, &Filter::default(), 100);
    assert_eq!((items.len(), summary.matches, summary.truncated), (5, 5, false));
}

/// Stops the search at the first line.
struct StopAtFirst<'a> {
    stop: &'a Mutex<Option<super::super::search::StopOnDrop>>,
    ended: AtomicUsize,
}

impl Collect for StopAtFirst<'_> {
    type Part = ();
    fn skips(&self, _: &Path) -> bool {
        false
    }
    fn begin(&self, _: usize, _: &Path, _: &str) {}
    fn line(&self, (): &mut (), _: &Line<'_>) -> ControlFlow<()> {
        drop(self.stop.lock().unwrap().take());
        ControlFlow::Continue(())
    }
    fn end(&self, (): (), _: bool) -> ControlFlow<()> {
        self.ended.fetch_add(1, Ordering::Relaxed);
        ControlFlow::Continue(())
    }
}

#[test]
fn a_dropped_search_ends_on_all_threads() {
    let tree = numbered(&[3; 1000]);
    let stop = Stop::default();
    let guard = Mutex::new(Some(stop.on_drop()));
    let collect = StopAtFirst { stop: &guard, ended: AtomicUsize::new(0) };
    let summary = search(&tree.place(), &tree.targets(), &Query::new(&plain("hit")).unwrap(), &tree.overlay, &stop, &collect);
    // Each thread finishes at most its current file. The call has returned, so all threads have ended.
    assert!(summary.files + summary.unreadable <= 16, "{summary:?}");
    assert_eq!(collect.ended.into_inner(), 0, "nobody wants what was found");
}

#[test]
fn a_large_file_is_abandoned_at_the_next_chunk() {
    let tree = Tree::of(&[("large", &"nothing of interest\n".repeat(200_000))]);
    let file = fs::File::open(tree.root.join("large")).unwrap();
    let size = file.metadata().unwrap().len();
    let asked = AtomicUsize::new(0);
    let is_over = || asked.fetch_add(1, Ordering::Relaxed) >= 3;
    let mut searcher = FileSearcher::new(&Query::new(&plain("hit")).unwrap());
    let searched = searcher.search(&Source::File(&file, size), &is_over, &mut |_| ControlFlow::Continue(()));
    assert!(searched.is_err());
    assert_eq!(asked.into_inner(), 4, "the search continues after it was stopped");
}

#[test]
fn a_consumer_can_end_a_stream() {
    let tree = numbered(&[3; 500]);
    let sent = AtomicUsize::new(0);
    let query = Query::new(&plain("hit")).unwrap();
    let summary = stream(&tree.place(), &tree.targets(), &query, &tree.overlay, &Stop::default(), 100_000, &|_| {
        sent.fetch_add(1, Ordering::Relaxed);
        false
    });
    assert!(summary.files <= 16 && sent.into_inner() <= 16, "{summary:?}");
}

#[test]
fn a_file_that_is_too_large_is_counted_as_unreadable() {
    let tree = Tree::of(&[("small", "hit\nend")]);
    let large = fs::File::create(tree.root.join("large")).unwrap();
    large.set_len(65 * 1024 * 1024).unwrap();
    let options = Options { multiline: true, ..plain("hit\\nend") };
    let (items, summary) = tree.find(&options, &Filter::default(), 10);
    assert_eq!((items.len(), summary.files, summary.unreadable), (1, 1, 1));
}
