//! Announcements of several clients, and edits that they are asked to apply.

use std::sync::Mutex;

use futures::future::BoxFuture;
use polytree_protocol::{
    buffer::{BufferEditInfo, TextPosition, TextRange},
    id::SessionId,
};

use super::{apply::InvalidChange, *};

fn path(text: &str) -> AbsPath {
    AbsPath::new(text).unwrap()
}

fn document(at: &str, connection: u64, text: &str) -> Document {
    Document { path: path(at), version: 1, text: text.into(), connection }
}

fn text(overlay: &Overlay, at: &str) -> Option<String> {
    overlay.get(&path(at)).map(|document| document.text.to_string())
}

fn open(overlay: &Overlay, connection: u64, at: &str, version: i64, text: Option<&str>) -> Result<(), Error> {
    overlay.open(connection, &path(at), &path(at), version, text.map(str::to_owned))
}

fn change(line: u32, from: u32, to: u32, text: &str) -> TextChange {
    let at = |character| TextPosition { line, character };
    TextChange { range: Some(TextRange { start: at(from), end: at(to) }), text: text.to_owned() }
}

#[test]
fn the_newest_announcement_counts() {
    let overlay = Overlay::default();
    overlay.announce(document("/a/b", 1, "one"));
    overlay.announce(document("/a/b", 2, "two"));
    assert_eq!(text(&overlay, "/a/b").as_deref(), Some("two"));
    overlay.announce(document("/a/b", 1, "one again"));
    assert_eq!(text(&overlay, "/a/b").as_deref(), Some("one again"));
    assert!(overlay.close(1, &path("/a/b")));
    assert!(!overlay.close(1, &path("/a/b")));
    assert_eq!(text(&overlay, "/a/b").as_deref(), Some("two"));
    overlay.forget(2);
    assert_eq!(text(&overlay, "/a/b"), None);
}

#[test]
fn below_compares_whole_path_components() {
    let overlay = Overlay::default();
    for at in ["/a", "/a/b", "/a/b/c", "/a-b", "/ab"] {
        overlay.announce(document(at, 1, at));
    }
    open(&overlay, 2, "/a/b", 1, None).unwrap();
    let below = overlay.below(&path("/a"));
    assert_eq!(below.iter().map(|document| document.text.to_string()).collect::<Vec<_>>(), ["/a", "/a/b/c"]);
    assert_eq!(overlay.unknown_below(&path("/a")), [path("/a/b")]);
}

#[test]
fn changes_apply_to_the_announced_text() {
    let overlay = Overlay::default();
    let at = path("/f");
    let not_open = overlay.change(1, &at, 2, &[change(0, 0, 0, "x")]);
    assert_eq!(not_open.unwrap_err(), Error::NotOpen(at.clone()));
    open(&overlay, 1, "/f", 5, Some("one\n")).unwrap();
    overlay.change(1, &at, 7, &[change(0, 3, 3, "!"), change(0, 0, 1, "O")]).unwrap();
    assert_eq!(text(&overlay, "/f").as_deref(), Some("One!\n"));
    // An outdated version changes nothing.
    for version in [7, 6] {
        let outdated = overlay.change(1, &at, version, &[change(0, 0, 0, "late")]).unwrap_err();
        assert_eq!(outdated, Error::Outdated { path: at.clone(), version: 7 });
    }
    assert_eq!(text(&overlay, "/f").as_deref(), Some("One!\n"));
    // After an invalid change the text is unknown until it is sent whole.
    assert!(matches!(overlay.change(1, &at, 8, &[change(9, 0, 0, "x")]), Err(Error::InvalidChange(_))));
    assert_eq!(overlay.state(&at), BufferState::Unknown);
    assert!(matches!(overlay.change(1, &at, 9, &[change(0, 0, 0, "x")]), Err(Error::InvalidChange(InvalidChange::NoText { .. }))));
    overlay.change(1, &at, 9, &[TextChange { range: None, text: "whole".into() }]).unwrap();
    assert_eq!(text(&overlay, "/f").as_deref(), Some("whole"));
    // After opening it again, versions may start from any number.
    open(&overlay, 1, "/f", 1, Some("again")).unwrap();
    assert_eq!(overlay.get(&at).unwrap().version, 1);
}

#[test]
fn a_name_resolves_until_its_file_is_closed() {
    let overlay = Overlay::default();
    overlay.open(1, &path("/link/f"), &path("/real/f"), 1, Some("x".to_owned())).unwrap();
    assert_eq!(overlay.named(1, &path("/link/f")), Some(path("/real/f")));
    assert_eq!(overlay.named(2, &path("/link/f")), None);
    assert!(overlay.close(1, &path("/real/f")));
    assert_eq!(overlay.named(1, &path("/link/f")), None);
}

#[test]
fn texts_have_limits_and_are_counted_exactly() {
    let overlay = Overlay::default();
    assert_eq!(open(&overlay, 1, "/large", 1, Some(&"x".repeat(TEXT_LIMIT + 1))), Err(Error::TooLong));
    assert_eq!(overlay.state(&path("/large")), BufferState::NotOpen, "it was not known before either");
    open(&overlay, 1, "/grows", 1, Some(&"x".repeat(TEXT_LIMIT))).unwrap();
    assert_eq!(overlay.change(1, &path("/grows"), 2, &[change(0, 0, 0, "x")]).unwrap_err(), Error::TooLong);
    assert_eq!(overlay.state(&path("/grows")), BufferState::Unknown, "the old text is outdated");
    let large = "x".repeat(TEXT_LIMIT);
    let fitting = (CONNECTION_LIMIT / TEXT_LIMIT) - 1;
    for number in 0..fitting {
        open(&overlay, 1, &format!("/{number}"), 1, Some(&large)).unwrap();
    }
    assert_eq!(open(&overlay, 1, "/last", 1, Some(&large)), Err(Error::TooMuch));
    open(&overlay, 2, "/last", 1, Some(&large)).unwrap();
    open(&overlay, 1, "/0", 2, Some(&large)).unwrap();
    open(&overlay, 1, "/0", 3, Some("small")).unwrap();
    open(&overlay, 1, "/last", 1, Some(&large)).unwrap();
    for at in (0..fitting).map(|number| format!("/{number}")).chain(["/last".to_owned(), "/grows".to_owned()]) {
        assert!(overlay.close(1, &path(&at)));
    }
    assert_eq!(overlay.read().bytes(1), 0);
}

#[tokio::test]
async fn an_unknown_text_is_waited_for() {
    let overlay = Arc::new(Overlay::default());
    let at = path("/f");
    assert_eq!(overlay.wait_for_text(&at, Duration::ZERO).await, Ok(None));
    open(&overlay, 1, "/f", 1, None).unwrap();
    assert_eq!(overlay.wait_for_text(&at, Duration::ZERO).await, Err(TextUnknown));
    let long = Duration::from_secs(3600);
    let mut waiting = Box::pin(overlay.wait_for_text(&at, long));
    assert!(futures::poll!(&mut waiting).is_pending());
    open(&overlay, 1, "/other", 1, Some("other")).unwrap();
    assert!(futures::poll!(&mut waiting).is_pending());
    open(&overlay, 1, "/f", 1, Some("told")).unwrap();
    assert_eq!(&*waiting.await.unwrap().unwrap().text, "told");
    // When the client disconnects, its unknown text no longer counts.
    open(&overlay, 1, "/f", 1, None).unwrap();
    let mut waiting = Box::pin(overlay.wait_for_text(&at, long));
    assert!(futures::poll!(&mut waiting).is_pending());
    overlay.forget(1);
    assert_eq!(waiting.await, Ok(None));
}

/// A client that records the edits it gets.
#[derive(Debug, Default)]
struct RecordingEditor(Mutex<Vec<BufferEditInfo>>);

impl Editor for RecordingEditor {
    fn show(&self, edit: BufferEditInfo) -> BoxFuture<'_, Delivery> {
        self.0.lock().unwrap().push(edit);
        Box::pin(std::future::ready(Delivery::Sent))
    }
}

struct Asking {
    overlay: Overlay,
    editor: Arc<RecordingEditor>,
    document: Arc<Document>,
}

const LONG: Duration = Duration::from_secs(3600);

impl Asking {
    fn new() -> Self {
        let (overlay, editor) = (Overlay::default(), Arc::new(RecordingEditor::default()));
        overlay.set_editor(1, Arc::clone(&editor) as _);
        open(&overlay, 1, "/f", 5, Some("old\n")).unwrap();
        let document = overlay.get(&path("/f")).unwrap();
        Self { overlay, editor, document }
    }

    async fn edit(&self, timeout: Duration) -> Result<Applied, NotApplied> {
        let text: Arc<str> = "new\n".into();
        let edits = difference(&self.document.text, &text);
        self.overlay.edit(&self.document, &text, edits, SessionId::default(), timeout).await
    }

    fn shown(&self) -> BufferEditInfo {
        self.editor.0.lock().unwrap().pop().unwrap()
    }

    fn now(&self) -> (i64, String) {
        let document = self.overlay.get(&path("/f")).unwrap();
        (document.version, document.text.to_string())
    }
}

#[tokio::test]
async fn an_edit_is_visible_from_its_answer_on_and_applied_once() {
    for change_first in [false, true] {
        let asking = Asking::new();
        let mut waiting = Box::pin(asking.edit(LONG));
        assert!(futures::poll!(&mut waiting).is_pending());
        let shown = asking.shown();
        assert_eq!((shown.version, shown.path.as_str(), shown.timeout), (5, "/f", 3_600_000));
        let announce = |version| asking.overlay.change(1, &path("/f"), version, &shown.edits).map(drop);
        if change_first {
            announce(6).unwrap();
        }
        let reply = |version| asking.overlay.reply(1, &shown.edit_id, Reply::Applied { version, saved: true });
        assert_eq!(reply(5), Err(Error::NoNewVersion(5)));
        let other = asking.overlay.reply(2, &shown.edit_id, Reply::Applied { version: 6, saved: true });
        assert_eq!(other, Err(Error::NoSuchEdit(shown.edit_id.clone())), "a client cannot answer for another");
        reply(6).unwrap();
        assert_eq!(asking.now(), (6, "new\n".to_owned()));
        assert_eq!(waiting.await, Ok(Applied { saved: true }));
        if !change_first {
            announce(6).unwrap();
        }
        assert_eq!(asking.now(), (6, "new\n".to_owned()), "not applied twice");
        asking.overlay.change(1, &path("/f"), 7, &[change(0, 3, 3, "er")]).unwrap();
        assert_eq!(asking.now(), (7, "newer\n".to_owned()));
        assert_eq!(reply(8), Err(Error::NoSuchEdit(shown.edit_id.clone())));
    }
}

#[tokio::test]
async fn an_edit_with_further_changes_is_read_as_announced() {
    let asking = Asking::new();
    let mut waiting = Box::pin(asking.edit(LONG));
    assert!(futures::poll!(&mut waiting).is_pending());
    let shown = asking.shown();
    // The client applies the edit and formats the file: it reports version 7.
    asking.overlay.reply(1, &shown.edit_id, Reply::Applied { version: 7, saved: false }).unwrap();
    assert_eq!(asking.now(), (7, "new\n".to_owned()));
    asking.overlay.change(1, &path("/f"), 6, &shown.edits).unwrap();
    assert_eq!(asking.now(), (7, "new\n".to_owned()), "an older version never replaces a newer one");
    asking.overlay.change(1, &path("/f"), 7, &[change(0, 0, 0, "  ")]).unwrap();
    assert_eq!(asking.now(), (7, "  new\n".to_owned()));
    // Opening the file again replaces everything.
    asking.overlay.open(1, &path("/f"), &path("/f"), 1, Some("anew".to_owned())).unwrap();
    assert_eq!(asking.now(), (1, "anew".to_owned()));
}

#[tokio::test]
async fn an_edit_that_is_not_applied_has_one_outcome() {
    let asking = Asking::new();
    assert_eq!(asking.edit(Duration::ZERO).await, Err(NotApplied::TimedOut));
    let late = Reply::Applied { version: 6, saved: false };
    let id = asking.shown().edit_id;
    assert_eq!(asking.overlay.reply(1, &id, late), Err(Error::NoSuchEdit(id)));
    assert_eq!(asking.now(), (5, "old\n".to_owned()));

    let mut waiting = Box::pin(asking.edit(LONG));
    assert!(futures::poll!(&mut waiting).is_pending());
    let refused = Reply::Refused { message: Some("no".to_owned()) };
    asking.overlay.reply(1, &asking.shown().edit_id, refused).unwrap();
    assert_eq!(waiting.await, Err(NotApplied::Refused { message: Some("no".to_owned()) }));

    // The caller stops waiting.
    let mut waiting = Box::pin(asking.edit(LONG));
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(waiting);
    assert!(asking.overlay.edits.is_empty());

    // The client disconnects.
    let mut waiting = Box::pin(asking.edit(LONG));
    assert!(futures::poll!(&mut waiting).is_pending());
    asking.overlay.forget(1);
    assert_eq!(waiting.await, Err(NotApplied::Disconnected));
    assert_eq!(asking.edit(LONG).await, Err(NotApplied::Disconnected));
}
