//! Tools among editors: whatever several clients announce, change, edit and close, and whatever happens on the disk, a
//! tool reads the newest text, and a change is made where that text is or not at all.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use futures::future::BoxFuture;
use polytree_protocol::buffer::{BufferEditInfo, TextChange};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    overlay::{Delivery, Editor, Overlay, Policy, Reply, apply, difference},
    stdx::paths::AbsPath,
    tool::{
        definition::{ToolOutput, erase},
        edit::Edit,
        read::Read,
        test_host::Place,
        write::Write,
    },
};

/// How a client answers an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    ReplyThenAnnounce,
    AnnounceThenReply,
    /// The announcement comes with the next change.
    ReplyAndAnnounceLater,
    Saves,
    Refuses,
    TypesAndRefuses,
    IsSilent,
    Leaves,
}

/// A client with one open file.
#[derive(Debug)]
struct Client {
    number: u64,
    overlay: Arc<Overlay>,
    file: AbsPath,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    manner: Manner,
    text: String,
    version: i64,
    announced: String,
}

impl Client {
    fn open(number: u64, overlay: &Arc<Overlay>, file: &AbsPath, text: &str) -> Arc<Self> {
        let state = State { manner: Manner::Refuses, text: text.to_owned(), version: 1, announced: text.to_owned() };
        let client = Arc::new(Self { number, overlay: Arc::clone(overlay), file: file.clone(), state: Mutex::new(state) });
        overlay.set_editor(number, Arc::clone(&client) as _);
        overlay.open(number, file, file, 1, Some(text.to_owned())).unwrap();
        client
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn text(&self) -> String {
        self.state().text.clone()
    }

    /// The user types.
    fn becomes(&self, text: &str) {
        let mut state = self.state();
        state.text = text.to_owned();
        state.version += 1;
        self.announce(&mut state);
    }

    fn announce(&self, state: &mut State) {
        let edits = match difference(&state.announced, &state.text) {
            edits if edits.is_empty() => vec![TextChange { range: None, text: state.text.clone() }],
            edits => edits,
        };
        self.overlay.change(self.number, &self.file, state.version, &edits).unwrap();
        state.announced = state.text.clone();
    }
}

impl Editor for Client {
    fn show(&self, edit: BufferEditInfo) -> BoxFuture<'_, Delivery> {
        let mut state = self.state();
        assert_eq!(edit.version, state.version, "nobody types while this test's tool runs");
        let reply = |reply| self.overlay.reply(self.number, &edit.edit_id, reply).unwrap();
        let manner = state.manner;
        match manner {
            Manner::Refuses => reply(Reply::Refused { message: None }),
            Manner::TypesAndRefuses => {
                state.text.push_str("typed\n");
                state.version += 1;
                self.announce(&mut state);
                reply(Reply::Refused { message: Some("it has changed".to_owned()) });
            }
            Manner::IsSilent => {}
            Manner::Leaves => self.overlay.forget(self.number),
            Manner::ReplyThenAnnounce | Manner::AnnounceThenReply | Manner::ReplyAndAnnounceLater | Manner::Saves => {
                state.text = apply(Some(&state.text), &edit.edits).unwrap();
                state.version += 1;
                if manner == Manner::AnnounceThenReply {
                    self.announce(&mut state);
                }
                if manner == Manner::Saves {
                    std::fs::write(&self.file, &state.text).unwrap();
                }
                reply(Reply::Applied { version: state.version, saved: manner == Manner::Saves });
                if matches!(manner, Manner::ReplyThenAnnounce | Manner::Saves) {
                    self.announce(&mut state);
                }
            }
        }
        Box::pin(std::future::ready(Delivery::Sent))
    }
}

/// A place with a file that may be on the disk, in editors, or both.
struct World {
    place: Place,
    file: AbsPath,
    /// In the order of their last announcements.
    clients: Vec<Arc<Client>>,
    next: u64,
}

impl World {
    fn new(unanswered: Unanswered) -> Self {
        let mut place = Place::new();
        place.context.buffers = Policy { timeout: Duration::ZERO, unanswered, diagnostics: Duration::ZERO };
        place.write("f", "a\nb\n");
        let file = place.worktree.join("f");
        Self { place, file, clients: Vec::new(), next: 1 }
    }

    fn open(&mut self, text: &str) -> Arc<Client> {
        let client = Client::open(self.next, &self.place.context.overlay, &self.file, text);
        self.next += 1;
        self.clients.push(Arc::clone(&client));
        client
    }

    fn disk(&self) -> String {
        String::from_utf8(self.place.read("f")).unwrap()
    }

    fn newest(&self) -> String {
        self.clients.last().map_or_else(|| self.disk(), |client| client.text())
    }

    async fn call(&self, tool: &str, input: Value) -> Result<ToolOutput, ToolError> {
        let tool = match tool {
            "read" => erase(Read),
            "edit" => erase(Edit),
            _ => erase(Write),
        };
        self.place.call(&tool, input).await
    }

    async fn read(&self) -> ToolOutput {
        self.call("read", json!({ "filePath": "f" })).await.unwrap()
    }

    async fn edit(&self, old: &str, new: &str) -> Result<ToolOutput, ToolError> {
        self.call("edit", json!({ "filePath": "f", "oldString": old, "newString": new })).await
    }
}

#[tokio::test]
async fn an_editor_s_text_is_read_and_edited_in_the_editor() {
    let mut world = World::new(Unanswered::Refuse);
    let editor = world.open("unsaved\ntext\n");
    editor.state().manner = Manner::ReplyThenAnnounce;
    let output = world.read().await;
    assert!(output.output.contains("1: unsaved") && output.output.contains("not saved"), "{}", output.output);
    assert_eq!(output.metadata["unsaved"], true);
    let output = world.edit("text", "words").await.unwrap();
    assert!(output.output.contains("not saved"), "{}", output.output);
    assert!(world.place.host.asks().last().unwrap().metadata["diff"].as_str().unwrap().contains(" unsaved\n-text\n+words\n"));
    assert_eq!((editor.text().as_str(), world.disk().as_str()), ("unsaved\nwords\n", "a\nb\n"));
    assert_eq!(world.place.host.edited(), [world.file.clone()]);
    // The session knows what it has made, and a text that is saved is no longer remarkable.
    editor.state().manner = Manner::Saves;
    let output = world.edit("words", "all").await.unwrap();
    assert!(!output.output.contains("not saved"), "{}", output.output);
    assert_eq!(world.disk(), "unsaved\nall\n");
    assert!(!world.read().await.output.contains("not saved"));
    // Closed, the file goes on as it is, and is still known.
    world.place.context.overlay.close(editor.number, &world.file);
    world.edit("all", "done").await.unwrap();
    assert_eq!(world.disk(), "unsaved\ndone\n");
}

#[tokio::test]
async fn what_was_typed_since_it_was_read_is_never_changed_over() {
    let mut world = World::new(Unanswered::Refuse);
    let editor = world.open("one\n");
    editor.state().manner = Manner::ReplyThenAnnounce;
    let error = world.edit("one", "two").await.unwrap_err().to_string();
    assert!(error.contains("have not read it"), "{error}");
    world.read().await;
    editor.becomes("one\nmore\n");
    let error = world.edit("one", "two").await.unwrap_err().to_string();
    assert!(error.contains("changed by someone else"), "{error}");
    world.read().await;
    editor.state().manner = Manner::TypesAndRefuses;
    let error = world.edit("one", "two").await.unwrap_err().to_string();
    assert!(error.contains("it has changed") && error.contains("Read it again"), "{error}");
    assert_eq!(editor.text(), "one\nmore\ntyped\n");
    // Also while the user thinks about the question.
    world.read().await;
    editor.state().manner = Manner::ReplyThenAnnounce;
    let typing = Arc::clone(&editor);
    let type_more = move || typing.becomes("one\nmost\n");
    world.place.host.answer("edit", crate::tool::test_host::Answer::After(Arc::new(type_more)));
    let error = world.edit("one", "two").await.unwrap_err().to_string();
    assert!(error.contains("changed by someone else"), "{error}");
    assert_eq!((editor.text().as_str(), world.disk().as_str()), ("one\nmost\n", "a\nb\n"));
    assert!(world.place.host.edited().is_empty());
}

#[tokio::test]
async fn who_does_not_answer_decides_nothing_and_the_setting_does() {
    for manner in [Manner::IsSilent, Manner::Leaves] {
        let mut world = World::new(Unanswered::Refuse);
        world.open("a\nb\nunsaved\n").state().manner = manner;
        world.read().await;
        let error = world.edit("b", "c").await.unwrap_err().to_string();
        assert!(error.contains("Nothing was changed") && error.contains("ead the file again"), "{error}");
        assert_eq!(world.disk(), "a\nb\n");

        let mut world = World::new(Unanswered::Disk);
        let editor = world.open("a\nb\nunsaved\n");
        editor.state().manner = manner;
        world.read().await;
        let output = world.edit("b", "c").await.unwrap();
        assert!(output.output.contains("on the disk alone"), "{}", output.output);
        assert_eq!(world.disk(), "a\nc\n", "the change alone, not what is unsaved");
        assert_eq!(editor.text(), "a\nb\nunsaved\n");
        // A part that is not there, and a whole that nobody has read, are not written.
        let mut world = World::new(Unanswered::Disk);
        world.open("a\nb\nunsaved\n").state().manner = manner;
        world.read().await;
        let error = world.edit("unsaved", "c").await.unwrap_err().to_string();
        assert!(error.contains("On the disk it was not possible either"), "{error}");
        let mut world = World::new(Unanswered::Disk);
        world.open("a\nb\nunsaved\n").state().manner = manner;
        world.read().await;
        let error = world.call("write", json!({ "filePath": "f", "content": "all new" })).await.unwrap_err().to_string();
        assert!(error.contains("On the disk it was not possible either"), "{error}");
        assert_eq!(world.disk(), "a\nb\n");
    }
}

#[tokio::test]
async fn a_new_file_in_an_editor_is_there_for_tools() {
    let world = World::new(Unanswered::Refuse);
    let new = world.place.worktree.join("src/new.rs");
    let editor = Client::open(9, &world.place.context.overlay, &new, "fn new() {}\n");
    editor.state().manner = Manner::ReplyThenAnnounce;
    let output = world.call("read", json!({ "filePath": "src/new.rs" })).await.unwrap();
    assert!(output.output.contains("1: fn new() {}"), "{}", output.output);
    world.call("write", json!({ "filePath": "src/new.rs", "content": "fn newer() {}\n" })).await.unwrap();
    assert_eq!(editor.text(), "fn newer() {}\n");
    assert!(!new.as_path().exists());
}

#[tokio::test]
async fn what_an_editor_has_not_told_is_not_taken_from_the_disk() {
    let world = World::new(Unanswered::Disk);
    world.read().await;
    world.place.context.overlay.open(1, &world.file, &world.file, 1, None).unwrap();
    for result in [
        world.call("read", json!({ "filePath": "f" })).await,
        world.edit("a", "x").await,
        world.call("write", json!({ "filePath": "f", "content": "x" })).await,
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("has not told that text yet"), "{error}");
    }
    assert_eq!(world.disk(), "a\nb\n");
}

#[derive(Debug, Clone)]
enum Step {
    Open(String),
    Type(usize, String),
    Close(usize),
    Leave(usize),
    Disk(String),
    Read,
    Edit(String),
    Write(String),
    Manner(usize, Manner),
}

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec("[abc]{0,2}", 0..5).prop_map(|lines| lines.iter().map(|line| format!("{line}\n")).collect())
}

fn step() -> impl Strategy<Value = Step> {
    let manner = prop::sample::select(vec![
        Manner::ReplyThenAnnounce,
        Manner::AnnounceThenReply,
        Manner::ReplyAndAnnounceLater,
        Manner::Saves,
        Manner::Refuses,
        Manner::TypesAndRefuses,
        Manner::IsSilent,
        Manner::Leaves,
    ]);
    prop_oneof![
        2 => text().prop_map(Step::Open),
        4 => (0..4usize, text()).prop_map(|(client, text)| Step::Type(client, text)),
        1 => (0..4usize).prop_map(Step::Close),
        1 => (0..4usize).prop_map(Step::Leave),
        1 => text().prop_map(Step::Disk),
        4 => Just(Step::Read),
        4 => "[abc]".prop_map(Step::Edit),
        2 => text().prop_map(Step::Write),
        4 => (0..4usize, manner).prop_map(|(client, manner)| Step::Manner(client, manner)),
    ]
}

/// Does the step; the tools' words are checked against what is there.
async fn go(world: &mut World, step: Step) {
    let pick = |world: &World, index: usize| (!world.clients.is_empty()).then(|| index % world.clients.len());
    match step {
        Step::Open(text) => drop(world.open(&text)),
        Step::Type(index, text) => {
            if let Some(index) = pick(world, index) {
                let client = world.clients.remove(index);
                client.becomes(&text);
                world.clients.push(client);
            }
        }
        Step::Close(index) => {
            if let Some(index) = pick(world, index) {
                let client = world.clients.remove(index);
                assert!(world.place.context.overlay.close(client.number, &world.file));
            }
        }
        Step::Leave(index) => {
            if let Some(index) = pick(world, index) {
                let client = world.clients.remove(index);
                world.place.context.overlay.forget(client.number);
            }
        }
        Step::Disk(text) => world.place.write("f", text),
        Step::Read => {
            let output = world.read().await;
            let newest = world.newest();
            assert_eq!(output.metadata["preview"], json!(newest.lines().collect::<Vec<_>>().join("\n")));
            assert_eq!(output.metadata["unsaved"] == json!(true), newest != world.disk());
        }
        Step::Manner(index, manner) => {
            if let Some(index) = pick(world, index) {
                world.clients[index].state().manner = manner;
            }
        }
        Step::Edit(letter) => {
            let input = json!({ "filePath": "f", "oldString": letter, "newString": "d", "replaceAll": true });
            changed(world, "edit", input, &|text| text.replace(&letter, "d")).await;
        }
        Step::Write(text) => changed(world, "write", json!({ "filePath": "f", "content": text }), &|_| text.clone()).await,
    }
}

async fn changed(world: &mut World, tool: &str, input: Value, expected: &(dyn Fn(&str) -> String + Sync)) {
    let texts = |world: &World| -> BTreeMap<u64, String> { world.clients.iter().map(|client| (client.number, client.text())).collect() };
    let (before, disk, newest) = (texts(world), world.disk(), world.newest());
    let editor = world.clients.last().cloned();
    let manner = editor.as_ref().map(|editor| editor.state().manner);
    let result = world.call(tool, input).await;
    if let Some(editor) = &editor
        && world.place.context.overlay.of(editor.number, &world.file).is_none()
    {
        // It left when it was asked.
        world.clients.pop();
    } else if let Some(editor) = world.clients.pop() {
        // An announcement by the way makes it the newest, which it was.
        world.clients.push(editor);
    }
    let mut after = texts(world);
    match (result, &editor) {
        (Ok(_), None) => assert_eq!((world.disk(), after), (expected(&disk), before)),
        (Ok(_), Some(editor)) => {
            assert_eq!(after.remove(&editor.number), Some(expected(&newest)), "{manner:?}");
            assert!(after.iter().all(|(number, text)| before[number] == *text), "only the newest is changed");
            assert_eq!(world.disk(), if manner == Some(Manner::Saves) && expected(&newest) != newest { expected(&newest) } else { disk });
        }
        (Err(_), _) => {
            assert_eq!(world.disk(), disk);
            for (number, text) in &after {
                let typed = manner == Some(Manner::TypesAndRefuses) && Some(*number) == editor.as_ref().map(|editor| editor.number);
                assert!(before[number] == *text || (typed && *text == format!("{}typed\n", before[number])));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_tool_reads_or_changes_anything_but_the_newest_text(steps in prop::collection::vec(step(), 1..30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut world = World::new(Unanswered::Refuse);
        for step in steps {
            runtime.block_on(go(&mut world, step));
            let newest = world.newest();
            let known = world.place.context.overlay.get(&world.file);
            prop_assert_eq!(known.map(|known| known.text.to_string()), world.clients.last().map(|_| newest));
        }
    }
}
