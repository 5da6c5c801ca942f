//! Unsaved text takes precedence over the file on disk.

use super::Place;
use crate::overlay::Document;

fn announce(place: &Place, path: &str, connection: u64, version: i64, text: &str) {
    place.overlay.announce(Document { path: place.root.join(path), version, text: text.into(), connection });
}

#[tokio::test]
async fn unsaved_text_takes_precedence() {
    let place = Place::new(&[("a.rs", "fn saved() {}"), ("b.rs", "fn other() {}")]);
    announce(&place, "a.rs", 1, 1, "fn unsaved_one() {}");
    announce(&place, "new/c.py", 1, 1, "def unsaved_two(): pass");
    announce(&place, "notes.txt", 1, 1, "fn unsaved_three() {}");
    assert_eq!(place.find("").await, ["a.rs unsaved_one", "b.rs other", "new/c.py unsaved_two"]);
    announce(&place, "a.rs", 1, 2, "fn unsaved_again() {}");
    assert_eq!(place.find("unsaved").await, ["new/c.py unsaved_two", "a.rs unsaved_again"]);
    announce(&place, "a.rs", 2, 1, "fn unsaved_of_another() {}");
    assert_eq!(place.find("another").await, ["a.rs unsaved_of_another"]);
    place.overlay.forget(2);
    assert_eq!(place.find("again").await, ["a.rs unsaved_again"]);
    let mut request = place.request("");
    request.path = Some(place.root.join("new"));
    assert_eq!(place.listed(request).await, ["new/c.py unsaved_two"]);
    place.overlay.forget(1);
    assert_eq!(place.find("").await, ["a.rs saved", "b.rs other"]);
}

#[tokio::test]
async fn unsaved_text_without_symbols_hides_the_file() {
    let place = Place::new(&[("a.rs", "fn saved() {}")]);
    announce(&place, "a.rs", 1, 1, "");
    assert_eq!(place.find("saved").await, Vec::<String>::new());
    announce(&place, "a.rs", 1, 2, &"x".repeat(100_000));
    assert_eq!(place.find("saved").await, Vec::<String>::new());
}
