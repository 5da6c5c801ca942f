//! Recordings in real files: a replay gives the same deltas, and unknown requests fail.

use std::sync::Arc;

use futures::StreamExt as _;
use polytree_protocol::provider::ModelRef;
use serde_json::{Value, json};

use crate::{
    provider::{
        definition::{Delta, Error, ModelMessage, ModelRequest, Provider, ToolResult, UserContent},
        recording::{
            format::Sanitizer,
            record::{Recorded, Recorder},
            replay::{Replay, Replayed},
        },
        retry,
        scripted::{Script, Scripted, Step},
        secret::Secret,
        testing::{items, request},
    },
    stdx::paths::AbsPath,
};

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> AbsPath {
        AbsPath::new(self.0.path().join("tape.jsonl")).unwrap()
    }

    fn recorded(&self, script: Script) -> Recorded {
        let sanitizer = Sanitizer { secrets: vec![Secret::new("sk-secret-key").unwrap()], directory: "/home/ann".to_owned() };
        Recorded { inner: Arc::new(Scripted::new(script)), recorder: Arc::new(Recorder::new(self.path())), sanitizer }
    }

    fn replayed(&self) -> Replayed {
        let sanitizer = Sanitizer { directory: "/srv/bob".to_owned(), ..Sanitizer::default() };
        Replayed { replay: Arc::new(Replay::read(&self.path()).unwrap()), sanitizer, timed: false }
    }

    fn lines(&self) -> Vec<Value> {
        std::fs::read_to_string(self.path()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn asked(session: &str, texts: &[&str]) -> ModelRequest {
    let user = |text: &&str| ModelMessage::User(vec![UserContent::Text((*text).to_owned())]);
    ModelRequest { cache_key: session.to_owned(), messages: texts.iter().map(user).collect(), ..request("m") }
}

fn quiet(request: ModelRequest) -> ModelRequest {
    ModelRequest { tools: Vec::new(), ..request }
}

fn failure() -> Step {
    Step::Fail { status: 429, message: "slow down".to_owned(), retry_after: Some(7) }
}

#[tokio::test]
async fn a_recording_replays() {
    let place = Place::new();
    let script = Script {
        calls: vec![
            vec![failure()],
            vec![
                Step::Reasoning { text: "hm".to_owned(), signature: Some("s".to_owned()) },
                Step::Tool { name: "read".to_owned(), input: json!({ "filePath": "/home/ann/a" }), call_id: Some("c".to_owned()) },
            ],
            vec![Step::text("in /home/ann: "), Step::text("done")],
        ],
        others: vec![vec![Step::text("A title")]],
    };
    let recorded = place.recorded(script);
    let mut after = asked("ses_1", &["in /home/ann"]);
    let result = ToolResult {
        call_id: "c".to_owned(),
        name: "read".to_owned(),
        output: "/home/ann/a: x".to_owned(),
        is_error: false,
        media: vec![],
    };
    after.messages.push(ModelMessage::Tool(vec![result]));
    let requests = [asked("ses_1", &["in /home/ann"]), quiet(asked("ses_1", &["title"])), asked("ses_1", &["in /home/ann"]), after];
    let mut first = Vec::new();
    for request in requests.clone() {
        first.push(items(&recorded, request).await);
    }
    assert_eq!(first[0], [Err(Error::Status { status: 429, message: "slow down".to_owned(), retry_after: Some(7) })]);

    // In another directory, by another session, with the small job first.
    let replayed = place.replayed();
    let moved = |mut request: ModelRequest| {
        request.cache_key = "ses_2".to_owned();
        let text = |text: &mut String| *text = text.replace("/home/ann", "/srv/bob");
        for message in &mut request.messages {
            match message {
                ModelMessage::User(content) => {
                    for piece in content {
                        if let UserContent::Text(piece) = piece {
                            text(piece);
                        }
                    }
                }
                ModelMessage::Tool(results) => results.iter_mut().for_each(|result| text(&mut result.output)),
                ModelMessage::Assistant(_) => {}
            }
        }
        request
    };
    for place in [1, 0, 2, 3] {
        let again = items(&replayed, moved(requests[place].clone())).await;
        let expected = format!("{:?}", first[place]).replace("/home/ann", "/srv/bob");
        assert_eq!(format!("{again:?}"), expected, "{place}");
    }
    // All answers are played.
    let end = items(&replayed, moved(requests[0].clone())).await;
    assert!(matches!(&end[..], [Err(Error::Request { message })] if message.contains("no further answer")), "{end:?}");
    // Another session starts from the beginning.
    assert_eq!(items(&replayed, ModelRequest { cache_key: "ses_3".to_owned(), ..moved(requests[0].clone()) }).await, first[0]);

    assert_eq!(replayed.replay.first_model(true), ModelRef::parse("test/m"));
    assert!(replayed.replay.model(&ModelRef::parse("test/m").unwrap()).is_some_and(|model| model.tool_call));
    assert_eq!(replayed.replay.model(&ModelRef::parse("test/n").unwrap()), None);
}

#[tokio::test]
async fn an_unknown_request_reports_the_first_difference() {
    let place = Place::new();
    let recorded = place.recorded(Script::new([vec![Step::text("a")], vec![Step::text("b")]]));
    items(&recorded, asked("ses_1", &["one"])).await;
    items(&recorded, asked("ses_1", &["one", "the second question"])).await;
    let replayed = place.replayed();
    let told = |items: Vec<Result<Delta, Error>>| match &items[..] {
        [Err(error @ Error::Request { message })] => {
            assert!(!retry::is_retryable(error));
            message.clone()
        }
        other => panic!("{other:?}"),
    };
    let first = told(items(&replayed, asked("ses_9", &["two"])).await);
    assert!(first.contains(r#"at /messages/0/user/0/text the recording has "one", now it is "two""#), "{first}");
    assert!(first.contains("tape.jsonl"), "{first}");
    assert!(items(&replayed, asked("ses_9", &["one"])).await[0].is_ok());
    let second = told(items(&replayed, asked("ses_9", &["one", "the last question"])).await);
    assert!(second.contains("/messages/1/user/0/text") && second.contains("second question"), "{second}");
    let mut hot = asked("ses_9", &["one", "the second question"]);
    hot.temperature = Some(0.5);
    let third = told(items(&replayed, hot).await);
    assert!(third.contains("at /temperature the recording has \"null\", now it is \"0.5\""), "{third}");
}

#[tokio::test]
async fn only_new_messages_are_written_and_no_key() {
    let place = Place::new();
    let recorded = place.recorded(Script::new((0..3).map(|_| vec![Step::text("the key is sk-sec"), Step::text("ret-key")])));
    let texts = ["x".repeat(10_000), "use sk-secret-key".to_owned(), "third".to_owned()];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for count in 1..=3 {
        items(&recorded, asked("ses_1", &texts[..count])).await;
    }
    let lines = place.lines();
    let kinds: Vec<_> = lines.iter().map(|line| line["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["recording", "request", "answer", "request", "answer", "request", "answer"]);
    let kept: Vec<_> =
        [1, 3, 5].map(|place: usize| (lines[place]["kept"].clone(), lines[place]["messages"].as_array().unwrap().len())).into();
    assert_eq!(kept, [(json!(0), 1), (json!(1), 1), (json!(2), 1)]);
    assert!(lines[1]["system"].is_array() && lines[3].get("system").is_none());
    let text = std::fs::read_to_string(place.path()).unwrap();
    assert!(!text.contains("sk-secret") && !text.contains("ret-key") && text.contains("use ***"), "{text}");
    // The same key gives the same session.
    let Replayed { replay, .. } = place.replayed();
    let sanitizer = Sanitizer { secrets: vec![Secret::new("sk-secret-key").unwrap()], directory: "/srv/bob".to_owned() };
    let replayed = Replayed { replay, sanitizer, timed: false };
    for count in 1..=3 {
        let said = items(&replayed, asked("ses_1", &texts[..count])).await;
        assert_eq!(said[0], Ok(Delta::Text("the key is ***".to_owned())), "{count}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_private_and_appended_to() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    std::fs::write(place.path(), "").unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    for session in ["ses_1", "ses_2"] {
        // A new daemon each time.
        items(&place.recorded(Script::new([vec![Step::text("a")]])), asked(session, &["one"])).await;
    }
    assert_eq!(std::fs::metadata(place.path()).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(place.lines().len(), 6);
    let replayed = place.replayed();
    for session in ["ses_a", "ses_b", "ses_c"] {
        assert!(items(&replayed, asked(session, &["one"])).await[0].is_ok(), "{session}");
    }
    // If it is deleted meanwhile, it is created again with complete requests.
    let recorded = place.recorded(Script::new([vec![Step::text("a")], vec![Step::text("b")]]));
    items(&recorded, asked("ses_1", &["one"])).await;
    std::fs::remove_file(place.path()).unwrap();
    items(&recorded, asked("ses_1", &["one", "two"])).await;
    assert_eq!((place.lines()[0]["type"].as_str(), &place.lines()[1]["kept"]), (Some("recording"), &json!(0)));
}

#[tokio::test]
async fn an_unwritable_file_fails_before_the_request_is_sent() {
    let place = Place::new();
    let recorded = Recorded {
        recorder: Arc::new(Recorder::new(AbsPath::new(place.0.path().join("no/such/place")).unwrap())),
        ..place.recorded(Script::new([vec![Step::text("a")]]))
    };
    let told = items(&recorded, asked("ses_1", &["one"])).await;
    assert!(matches!(&told[..], [Err(Error::Request { message })] if message.contains("no/such/place cannot be written")), "{told:?}");
}

#[tokio::test]
async fn aborts_and_crashes_are_recognised() {
    let place = Place::new();
    let recorded = place.recorded(Script::new([vec![Step::text("half"), Step::Wait { milliseconds: 3_600_000 }]]));
    let mut stream = recorded.stream(asked("ses_1", &["one"]));
    assert!(stream.next().await.unwrap().is_ok());
    drop(stream);
    assert_eq!(place.lines()[2]["dropped"], true);
    let played = items(&place.replayed(), asked("ses_1", &["one"])).await;
    assert_eq!(played[0], Ok(Delta::Text("half".to_owned())));
    assert!(matches!(&played[1], Err(Error::Request { message }) if message.contains("aborted here")), "{played:?}");

    // Without the answer, and with an incomplete line.
    let text = std::fs::read_to_string(place.path()).unwrap();
    let cut: String = text.lines().take(2).map(|line| format!("{line}\n")).collect();
    std::fs::write(place.path(), format!("{cut}{{\"type\":\"ans")).unwrap();
    let played = items(&place.replayed(), asked("ses_1", &["one"])).await;
    assert!(matches!(&played[..], [Err(Error::Request { message })] if message.contains("ends before the answer")), "{played:?}");
}

#[test]
fn invalid_recordings_are_reported_with_their_position() {
    let place = Place::new();
    let told = |text: &str| {
        std::fs::write(place.path(), text).unwrap();
        Replay::read(&place.path()).map(drop).unwrap_err()
    };
    assert!(told("").contains("holds no request"));
    assert!(told("{}\n{}\n").contains("line 1: "));
    assert!(told("{\"type\":\"recording\",\"format\":99,\"version\":\"9\"}\n").contains("line 1: its format is 99"));
    assert!(told("\n{\"type\":\"answer\",\"id\":\"x\",\"deltas\":[]}\n").contains("line 2: it answers a request that is not there"));
    std::fs::remove_file(place.path()).unwrap();
    assert!(Replay::read(&place.path()).map(drop).unwrap_err().contains("tape.jsonl cannot be played"));
}

#[tokio::test(start_paused = true)]
async fn answers_can_have_their_original_timing() {
    let place = Place::new();
    items(&place.recorded(Script::new([vec![Step::text("a")]])), asked("ses_1", &["one"])).await;
    let text = std::fs::read_to_string(place.path()).unwrap();
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines[2]["deltas"][0][0] = json!(1000);
    lines[2]["deltas"][1][0] = json!(4000);
    std::fs::write(place.path(), lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    for (timed, seconds) in [(true, 4), (false, 0)] {
        let begun = tokio::time::Instant::now();
        assert_eq!(items(&Replayed { timed, ..place.replayed() }, asked("ses_1", &["one"])).await.len(), 2);
        assert_eq!(begun.elapsed().as_secs(), seconds);
    }
}
