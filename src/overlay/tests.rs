//! Announcements of several clients, and edits that they are asked to make.

use std::sync::Mutex;

use futures::future::BoxFuture;
use polytree_protocol::{
    buffer::{BufferEditInfo, TextPosition, TextRange},
    id::SessionId,
};

use super::*;

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
fn below_is_by_whole_names() {
    let overlay = Overlay::default();
    for at in ["/a", "/a/b", "/a/b/c", "/a-b", "/ab"] {
        overlay.announce(document(at, 1, at));
    }
    open(&overlay, 2, "/a/b", 1, None).unwrap();
    let below = overlay.below(&path("/a"));
    assert_eq!(below.iter().map(|document| document.text.to_string()).collect::<Vec<_>>(), ["/a", "/a/b/c"]);
    assert_eq!(overlay.untold_below(&path("/a")), [path("/a/b")]);
}

#[test]
fn changes_go_on_from_what_was_announced() {
    let overlay = Overlay::default();
    let at = path("/f");
    let not_open = overlay.change(1, &at, 2, &[change(0, 0, 0, "x")]);
    assert_eq!(not_open.unwrap_err(), Error::NotOpen(at.clone()));
    open(&overlay, 1, "/f", 5, Some("one\n")).unwrap();
    overlay.change(1, &at, 7, &[change(0, 3, 3, "!"), change(0, 0, 1, "O")]).unwrap();
    assert_eq!(text(&overlay, "/f").as_deref(), Some("One!\n"));
    // What comes too late changes nothing.
    for version in [7, 6] {
        let outdated = overlay.change(1, &at, version, &[change(0, 0, 0, "late")]).unwrap_err();
        assert_eq!(outdated, Error::Outdated { path: at.clone(), version: 7 });
    }
    assert_eq!(text(&overlay, "/f").as_deref(), Some("One!\n"));
    // What does not fit leaves a text that nobody knows, until it is told whole.
    assert!(matches!(overlay.change(1, &at, 8, &[change(9, 0, 0, "x")]), Err(Error::Misfit(_))));
    assert_eq!(overlay.look(&at), Look::Untold);
    assert!(matches!(overlay.change(1, &at, 9, &[change(0, 0, 0, "x")]), Err(Error::Misfit(Misfit::NoText { .. }))));
    overlay.change(1, &at, 9, &[TextChange { range: None, text: "whole".into() }]).unwrap();
    assert_eq!(text(&overlay, "/f").as_deref(), Some("whole"));
    // Opened again, the numbers may begin anew.
    open(&overlay, 1, "/f", 1, Some("again")).unwrap();
    assert_eq!(overlay.get(&at).unwrap().version, 1);
}

#[test]
fn names_outlive_what_they_lead_to() {
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
    assert_eq!(overlay.look(&path("/large")), Look::Disk, "it was not known before either");
    open(&overlay, 1, "/grows", 1, Some(&"x".repeat(TEXT_LIMIT))).unwrap();
    assert_eq!(overlay.change(1, &path("/grows"), 2, &[change(0, 0, 0, "x")]).unwrap_err(), Error::TooLong);
    assert_eq!(overlay.look(&path("/grows")), Look::Untold, "the old text is not the client's any more");
    let large = "x".repeat(TEXT_LIMIT);
    let fitting = (BUDGET / TEXT_LIMIT) - 1;
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
async fn a_text_that_is_not_told_is_waited_for() {
    let overlay = Arc::new(Overlay::default());
    let at = path("/f");
    assert_eq!(overlay.settled(&at, Duration::ZERO).await, Ok(None));
    open(&overlay, 1, "/f", 1, None).unwrap();
    assert_eq!(overlay.settled(&at, Duration::ZERO).await, Err(Untold));
    let long = Duration::from_secs(3600);
    let mut waiting = Box::pin(overlay.settled(&at, long));
    assert!(futures::poll!(&mut waiting).is_pending());
    open(&overlay, 1, "/other", 1, Some("other")).unwrap();
    assert!(futures::poll!(&mut waiting).is_pending());
    open(&overlay, 1, "/f", 1, Some("told")).unwrap();
    assert_eq!(&*waiting.await.unwrap().unwrap().text, "told");
    // A client that goes takes what it has not told along.
    open(&overlay, 1, "/f", 1, None).unwrap();
    let mut waiting = Box::pin(overlay.settled(&at, long));
    assert!(futures::poll!(&mut waiting).is_pending());
    overlay.forget(1);
    assert_eq!(waiting.await, Ok(None));
}

/// A client that notes what it is shown.
#[derive(Debug, Default)]
struct Noting(Mutex<Vec<BufferEditInfo>>);

impl Editor for Noting {
    fn show(&self, edit: BufferEditInfo) -> BoxFuture<'_, Shown> {
        self.0.lock().unwrap().push(edit);
        Box::pin(std::future::ready(Shown::Yes))
    }
}

struct Asking {
    overlay: Overlay,
    editor: Arc<Noting>,
    document: Arc<Document>,
}

const LONG: Duration = Duration::from_secs(3600);

impl Asking {
    fn new() -> Self {
        let (overlay, editor) = (Overlay::default(), Arc::new(Noting::default()));
        overlay.enter(1, Arc::clone(&editor) as _);
        open(&overlay, 1, "/f", 5, Some("old\n")).unwrap();
        let document = overlay.get(&path("/f")).unwrap();
        Self { overlay, editor, document }
    }

    async fn edit(&self, patience: Duration) -> Result<Applied, Unapplied> {
        let text: Arc<str> = "new\n".into();
        let edits = difference(&self.document.text, &text);
        self.overlay.edit(&self.document, &text, edits, SessionId::default(), patience).await
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
async fn an_edit_is_read_from_its_answer_on_and_made_once() {
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
        assert_eq!(other, Err(Error::NoSuchEdit(shown.edit_id.clone())), "nobody answers for another");
        reply(6).unwrap();
        assert_eq!(asking.now(), (6, "new\n".to_owned()));
        assert_eq!(waiting.await, Ok(Applied { saved: true }));
        if !change_first {
            announce(6).unwrap();
        }
        assert_eq!(asking.now(), (6, "new\n".to_owned()), "not made twice");
        asking.overlay.change(1, &path("/f"), 7, &[change(0, 3, 3, "er")]).unwrap();
        assert_eq!(asking.now(), (7, "newer\n".to_owned()));
        assert_eq!(reply(8), Err(Error::NoSuchEdit(shown.edit_id.clone())));
    }
}

#[tokio::test]
async fn an_edit_and_more_is_read_as_the_client_announces_it() {
    let asking = Asking::new();
    let mut waiting = Box::pin(asking.edit(LONG));
    assert!(futures::poll!(&mut waiting).is_pending());
    let shown = asking.shown();
    // The client makes the edit and formats: it says that its text is at 7 now.
    asking.overlay.reply(1, &shown.edit_id, Reply::Applied { version: 7, saved: false }).unwrap();
    assert_eq!(asking.now(), (7, "new\n".to_owned()));
    asking.overlay.change(1, &path("/f"), 6, &shown.edits).unwrap();
    assert_eq!(asking.now(), (7, "new\n".to_owned()), "nothing older than what was read is read again");
    asking.overlay.change(1, &path("/f"), 7, &[change(0, 0, 0, "  ")]).unwrap();
    assert_eq!(asking.now(), (7, "  new\n".to_owned()));
    // Whatever was said to come, a text that is opened anew is the text.
    asking.overlay.open(1, &path("/f"), &path("/f"), 1, Some("anew".to_owned())).unwrap();
    assert_eq!(asking.now(), (1, "anew".to_owned()));
}

#[tokio::test]
async fn an_edit_that_is_not_made_has_one_end() {
    let asking = Asking::new();
    assert_eq!(asking.edit(Duration::ZERO).await, Err(Unapplied::Silent));
    let late = Reply::Applied { version: 6, saved: false };
    let id = asking.shown().edit_id;
    assert_eq!(asking.overlay.reply(1, &id, late), Err(Error::NoSuchEdit(id)));
    assert_eq!(asking.now(), (5, "old\n".to_owned()));

    let mut waiting = Box::pin(asking.edit(LONG));
    assert!(futures::poll!(&mut waiting).is_pending());
    let refused = Reply::Refused { message: Some("no".to_owned()) };
    asking.overlay.reply(1, &asking.shown().edit_id, refused).unwrap();
    assert_eq!(waiting.await, Err(Unapplied::Refused { message: Some("no".to_owned()) }));

    // Who asked gives up.
    let mut waiting = Box::pin(asking.edit(LONG));
    assert!(futures::poll!(&mut waiting).is_pending());
    drop(waiting);
    assert!(asking.overlay.questions.is_empty());

    // The client goes.
    let mut waiting = Box::pin(asking.edit(LONG));
    assert!(futures::poll!(&mut waiting).is_pending());
    asking.overlay.forget(1);
    assert_eq!(waiting.await, Err(Unapplied::Gone));
    assert_eq!(asking.edit(LONG).await, Err(Unapplied::Gone));
}
