//! The lifetime of indexes, sharing, lost events, and notifications.

use std::{fs, sync::Arc};

use super::support::{Place, git, walked};
use crate::{
    find::{Error, Recent, Wanted},
    git::Checkout,
    stdx::time::now_ms,
};

#[tokio::test]
async fn worktrees_share_equal_directories() {
    let place = Place::new(10_000);
    git(place.root.as_path(), &["init", "--quiet"]);
    for number in 0..200 {
        place.write(&format!("src/part{}/file{number}.rs", number % 20), "");
    }
    git(place.root.as_path(), &["add", "-A"]);
    git(place.root.as_path(), &["commit", "--quiet", "-m", "first"]);
    git(place.root.as_path(), &["worktree", "add", "--quiet", "../linked"]);
    let linked = place.root.join("../linked");
    fs::write(linked.join("src/part3/more.rs"), "").unwrap();
    place.find("", "file7").await;
    let checkout = Checkout { directory: linked.clone(), worktree: linked.clone(), ..place.checkout("") };
    let wanted = Wanted { query: "more".into(), limit: 5, what: None };
    assert_eq!(place.finder.find(&checkout, &wanted).await.unwrap(), ["src/part3/more.rs"]);
    let trees: Vec<_> = place.finder.indexes.list().iter().map(|pooled| pooled.value.snapshot().tree).collect();
    let [one, other] = &trees[..] else { panic!("two worktrees, two indexes") };
    let alike =
        one.nodes().iter().filter(|node| other.get(node.listing.directory()).is_some_and(|other| other.listing.is_same(&node.listing)));
    assert_eq!((alike.count(), one.nodes().len()), (21, 22), "all but the one that differs");
}

#[tokio::test]
async fn after_an_overflow_everything_is_read_again() {
    let place = Place::new(1000);
    place.write("many/first", "");
    place.write("quiet/first", "");
    place.names().await;
    place.settled().await;
    let max_events: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    // With a single thread the index processes nothing before the next await.
    for number in 0..=max_events {
        fs::write(place.root.join(format!("many/{number}")), "").unwrap();
    }
    place.write("quiet/late", "");
    assert_eq!(place.names().await, walked(&place.root));
    // Thousands of files, reported in a few events.
    place.until(async || !place.reported().await.is_empty()).await;
    place.write("quiet/later", "");
    place.until(async || place.reported().await.iter().any(|reported| reported == "add quiet/later")).await;
    let reported = place.reported().await;
    assert!(reported.len() <= 500, "{} events", reported.len());
    assert!(reported.contains(&"change many".to_owned()) || reported.contains(&"change .".to_owned()), "{reported:?}");
}

#[tokio::test]
async fn changes_before_all_watches_are_added_are_detected() {
    let place = Place::new(10_000);
    // Far more than one batch of watches.
    for number in 0..2000 {
        fs::create_dir(place.root.join(format!("d{number:04}"))).unwrap();
    }
    place.names().await;
    place.write("d1999/new", "");
    assert!(place.names().await.contains(&b"d1999/new"[..]));
}

#[tokio::test]
async fn clients_get_events_about_files() {
    let place = Place::new(1000);
    git(place.root.as_path(), &["init", "--quiet", "--initial-branch=main"]);
    git(place.root.as_path(), &["commit", "--quiet", "--allow-empty", "-m", "first"]);
    place.write(".gitignore", "*.log\n");
    place.write("src/old.rs", "1");
    let _follower = place.finder.follow(&place.checkout(""));
    place.names().await;
    place.settled().await;
    let expect = async |events: &[&str]| {
        place.until(async || place.reported().await.len() >= events.len()).await;
        let mut reported = place.reported().await;
        reported.sort();
        assert_eq!(reported, events);
    };
    place.write("src/old.rs", "2");
    place.write("src/noise.log", "");
    place.write(".git/noise", "");
    expect(&["change src/old.rs"]).await;
    place.write("new/deep/file.rs", "");
    expect(&["add new/deep/file.rs", "change src/old.rs"]).await;
    fs::rename(place.root.join("new"), place.root.join("moved")).unwrap();
    expect(&["add moved/deep/file.rs", "add new/deep/file.rs", "change src/old.rs", "unlink new/deep/file.rs"]).await;
    // The watch moves with its directory.
    place.write("moved/deep/file.rs", "2");
    let mut all =
        vec!["add moved/deep/file.rs", "add new/deep/file.rs", "change moved/deep/file.rs", "change src/old.rs", "unlink new/deep/file.rs"];
    expect(&all).await;
    git(place.root.as_path(), &["switch", "--quiet", "-c", "topic/one"]);
    all.insert(2, "branch topic/one");
    expect(&all).await;
    git(place.root.as_path(), &["checkout", "--quiet", "--detach"]);
    all.insert(2, "branch -");
    expect(&all).await;
}

#[tokio::test]
async fn an_ignored_directory_can_be_searched_by_itself() {
    let place = Place::new(1000);
    git(place.root.as_path(), &["init", "--quiet"]);
    place.write(".gitignore", "/out/\n");
    place.write("out/deep/result.txt", "");
    assert_eq!(place.find("", "result").await, Vec::<String>::new());
    assert_eq!(place.find("out", "result").await, ["deep/result.txt"]);
    assert_eq!(place.find("out/deep", "result").await, ["result.txt"]);
}

#[tokio::test]
async fn an_idle_index_is_dropped() {
    let place = Place::new(1000);
    place.write("a", "");
    place.find("", "a").await;
    let follower = place.finder.follow(&place.checkout(""));
    place.finder.close_idle(now_ms());
    assert_eq!(place.finder.state().len(), 1, "somebody follows it");
    drop(follower);
    let began = now_ms();
    place.finder.close_idle(began - 60_000);
    assert_eq!(place.finder.state().len(), 1);
    place.finder.close_idle(began + 60_000);
    assert_eq!(place.finder.state().len(), 0);
    place.tasks.finished().await;
    assert_eq!(place.find("", "a").await, ["a"], "and begins again");
}

#[tokio::test]
async fn a_root_that_is_removed_and_created_again() {
    let place = Place::new(1000);
    place.write("d/a", "");
    place.find("", "a").await;
    place.settled().await;
    fs::remove_dir_all(&place.root).unwrap();
    let wanted = Wanted { query: "a".into(), limit: 5, what: None };
    place.until(async || matches!(place.finder.find(&place.checkout(""), &wanted).await, Err(Error::Unreadable { .. }))).await;
    place.write("e/a2", "");
    place.until(async || matches!(place.finder.find(&place.checkout(""), &wanted).await, Ok(found) if found == ["e/a2"])).await;
}

#[tokio::test]
async fn recent_files_are_found_first() {
    let place = Place::new(1000);
    for path in ["a/one.rs", "b/one.rs"] {
        place.write(path, "");
    }
    assert_eq!(place.find("", "one").await, ["a/one.rs", "b/one.rs"]);
    let recent: Arc<Recent> = place.finder.recent(&place.project);
    recent.note(&place.root, &place.root.join("b/one.rs"));
    assert_eq!(place.find("", "one").await, ["b/one.rs", "a/one.rs"]);
    assert_eq!(place.find("", "").await[0], "b/one.rs");
}
