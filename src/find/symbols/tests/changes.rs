//! After any changes the index equals a new one.

use std::{collections::BTreeMap, fs};

use proptest::prelude::*;

use super::{super::Symbols, Place};
use crate::stdx::tasks::Tasks;

#[tokio::test]
async fn reported_changes_are_visible_at_once() {
    let place = Place::new(&[("a.rs", "fn one() {}"), ("b.rs", "fn two() {}")]);
    assert_eq!(place.find("").await, ["a.rs one", "b.rs two"]);
    place.write("a.rs", "fn uno() {}");
    place.symbols.changed(&[place.root.join("a.rs")]);
    assert_eq!(place.find("").await, ["a.rs uno", "b.rs two"]);
    place.write("new/c.rs", "fn three() {}");
    place.symbols.changed(&[place.root.join("new/c.rs")]);
    assert_eq!(place.find("").await, ["a.rs uno", "b.rs two", "new/c.rs three"]);
    fs::remove_file(place.root.join("b.rs")).unwrap();
    fs::rename(place.root.join("new"), place.root.join("old")).unwrap();
    place.symbols.changed(&[place.root.join("b.rs"), place.root.join("new"), place.root.join("old/c.rs")]);
    assert_eq!(place.find("").await, ["a.rs uno", "old/c.rs three"]);
    place.write(".gitignore", "old\n");
    place.symbols.changed(&[place.root.join(".gitignore")]);
    assert_eq!(place.find("").await, ["a.rs uno"]);
}

#[tokio::test]
async fn unreported_changes_are_found_by_a_check() {
    let place = Place::new(&[("a.rs", "fn one() {}")]);
    assert_eq!(place.find("").await, ["a.rs one"]);
    place.write("a.rs", "fn uno() {}");
    place.write("b.rs", "fn two() {}");
    let expected = ["a.rs uno", "b.rs two"];
    tokio::time::timeout(std::time::Duration::from_secs(60), async {
        // A query may only start the check whose result a later one sees.
        while place.find("").await != expected {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("no check has seen it");
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, u32),
    Remove(usize),
    Rename(usize, usize),
    Link(usize),
    /// With the same length, as fast as possible.
    Swap(usize),
    Ask,
}

const PATHS: [&str; 6] = ["a.rs", "b.py", "d/a.rs", "d/e/c.js", "d/e/x.txt", "run"];

fn text(path: &str, number: u32) -> String {
    match path.rsplit('.').next() {
        Some("py") => format!("def f{number:03}():\n  pass\n"),
        Some("js") => format!("function f{number:03}() {{}}\n"),
        _ => format!("fn f{number:03}() {{}}\n"),
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let path = || 0..PATHS.len();
    let step = prop_oneof![
        4 => (path(), 0..1000u32).prop_map(|(path, number)| Step::Write(path, number)),
        1 => path().prop_map(Step::Remove),
        1 => (path(), path()).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => path().prop_map(Step::Link),
        2 => path().prop_map(Step::Swap),
        2 => Just(Step::Ask),
    ];
    proptest::collection::vec(step, 1..25)
}

fn take(place: &Place, step: &Step) {
    let at = |index: usize| place.root.join(PATHS[index]);
    match *step {
        Step::Write(path, number) => place.write(PATHS[path], &text(PATHS[path], number)),
        Step::Remove(path) => drop(fs::remove_file(at(path))),
        Step::Rename(from, to) => {
            fs::create_dir_all(at(to).parent().unwrap()).unwrap();
            drop(fs::rename(at(from), at(to)));
        }
        Step::Link(path) => {
            drop(fs::remove_file(at(path)));
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            #[cfg(unix)]
            drop(std::os::unix::fs::symlink("nowhere", at(path)));
        }
        Step::Swap(path) => {
            if at(path).as_path().is_file() {
                for number in [1, 2, 3] {
                    place.write(PATHS[path], &text(PATHS[path], number));
                }
            }
        }
        Step::Ask => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn after_any_edits_it_equals_a_new_index(steps in steps(), is_reported in proptest::bool::ANY) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let place = Place::new(&[("a.rs", "fn first() {}")]);
            place.find("").await;
            for step in &steps {
                take(&place, step);
                if matches!(step, Step::Ask) {
                    place.find("f").await;
                }
                if is_reported {
                    place.symbols.changed(&PATHS.map(|path| place.root.join(path)));
                }
            }
            if !is_reported {
                place.symbols.invalidate(&place.root);
            }
            let listed = place.find("").await;
            let fresh = Symbols::new(std::sync::Arc::clone(&place.overlay), Tasks::new());
            let expected: Vec<String> = fresh.find(place.request("")).await.unwrap().into_iter().map(|hit| format!("{} {}", hit.path.relative_to(&place.root), hit.name)).collect();
            assert_eq!(listed, expected);
            let by_file: BTreeMap<&str, usize> = listed.iter().map(|line| (line.split(' ').next().unwrap(), 1)).collect();
            assert_eq!(by_file.len(), listed.len(), "one symbol a file");
        });
    }
}
