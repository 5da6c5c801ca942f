//! What each protocol can, as a table of cells: a request in neutral terms, the request that goes out, a recorded
//! stream, and the deltas that it means. Every protocol has a cell for every ability; a cell says what happens also
//! where the protocol cannot. The streams are written after the services' own documentation, which each cell names.

mod anthropic;
mod compatible;
mod failure;
mod key;
mod limits;
mod mutations;
mod network;
mod odd;
mod openai;
mod requests;
mod splits;

use expect_test::Expect;
use futures::{StreamExt as _, future::join_all};
use serde_json::Value;

use crate::provider::{
    definition::{Delta, Error, ModelRequest, Provider as _},
    model_server::{Answer, ModelServer, Recorded},
    testing::{remote, settings},
    wire::{
        self, ALL,
        decode::{Decoding, frames::Framing},
        media::Block,
        protocol::Wire,
        remote::Remote,
    },
};

pub(crate) const OPENAI: &dyn Wire = wire::openai::WIRE;
pub(crate) const RESPONSES: &dyn Wire = wire::responses::WIRE;
pub(crate) const ANTHROPIC: &dyn Wire = wire::anthropic::WIRE;
pub(crate) const GEMINI: &dyn Wire = wire::gemini::WIRE;
pub(crate) const OLLAMA: &dyn Wire = wire::ollama::WIRE;

/// What is asked of every protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ability {
    /// A text in pieces.
    Text,
    /// A call in pieces.
    Tool,
    /// Two calls at once; before them two others with their results.
    ParallelCalls,
    /// An image from the user and one in a result.
    Image,
    /// A PDF document.
    Document,
    /// Thinking that comes, and thinking that goes back.
    Thinking,
    /// A prompt that is cached.
    Caching,
    /// All counts that the service gives.
    Usage,
    /// The output limit.
    Length,
    /// The model or the service refuses.
    Refusal,
    /// An error after the answer has begun.
    ErrorInStream,
}

impl Ability {
    const ALL: [Self; 11] = [
        Self::Text,
        Self::Tool,
        Self::ParallelCalls,
        Self::Image,
        Self::Document,
        Self::Thinking,
        Self::Caching,
        Self::Usage,
        Self::Length,
        Self::Refusal,
        Self::ErrorInStream,
    ];
}

/// One protocol and one ability.
pub(crate) struct Cell {
    pub(crate) ability: Ability,
    /// The documentation after which the stream is written.
    pub(crate) source: &'static str,
    pub(crate) stream: &'static str,
    /// What goes out, where it is not the same as for a text.
    pub(crate) sent: Option<Expect>,
    /// What comes out.
    pub(crate) heard: Expect,
}

/// What the tests of all protocols know of one of them. In JSON that stands here, `$X` is a text as it stands between the
/// quotes of a JSON string; each piece of JSON is a frame.
pub(crate) struct Column {
    /// A recorded stream for every ability.
    pub(crate) cells: Vec<Cell>,
    /// The model that is asked.
    pub(crate) model: &'static str,
    /// What the protocol has given with thinking, and wants back with it.
    pub(crate) signature: Option<&'static str>,
    /// What the protocol has given with a call, and wants back with it.
    pub(crate) metadata: Option<Value>,
    /// The fields that carry the text, that say what an event is, and why the answer ends.
    pub(crate) spine: &'static [&'static str],
    /// Text.
    pub(crate) text: &'static str,
    /// Thinking.
    pub(crate) thinking: &'static str,
    /// A call of the tool `write` with the id `c`, whose arguments are `$1` and `$2`: several frames where the protocol
    /// streams arguments.
    pub(crate) call: &'static [&'static str],
    /// A call in one frame, whose arguments are the JSON value `$X`.
    pub(crate) whole_call: &'static str,
    /// The end of an answer, with a usage of 3 and 2.
    pub(crate) end: &'static [&'static str],
    /// The same answer, `a` and half a character, without streaming.
    pub(crate) unstreamed: &'static str,
    /// Odd frames that say nothing.
    pub(crate) odd: &'static [&'static str],
    /// The beginning of an answer, and what comes again and again after it: `$X` is a long text, `$N` a number.
    pub(crate) endless: &'static [(&'static str, &'static str)],
    /// How images and documents are written.
    pub(crate) media: Block,
}

/// A piece of JSON as a frame.
pub(crate) fn event(wire: &dyn Wire, json: &str) -> String {
    if wire.framing() == Framing::Lines { format!("{json}\n") } else { format!("data: {json}\n\n") }
}

/// A decoder for one answer.
pub(crate) fn decoding(wire: &dyn Wire) -> Decoding {
    Decoding::new(wire.framing(), wire.decoder())
}

fn cells(wire: &dyn Wire) -> Vec<Cell> {
    wire.column().cells
}

#[test]
fn every_protocol_has_a_cell_for_every_ability() {
    for &wire in ALL {
        let cells = cells(wire);
        for ability in Ability::ALL {
            let found: Vec<_> = cells.iter().filter(|cell| cell.ability == ability).collect();
            assert_eq!(found.len(), 1, "{wire:?} x {ability:?}");
            assert!(!found[0].source.is_empty());
            let asks = matches!(
                ability,
                Ability::Text
                    | Ability::Tool
                    | Ability::ParallelCalls
                    | Ability::Image
                    | Ability::Document
                    | Ability::Thinking
                    | Ability::Caching
            );
            assert_eq!(found[0].sent.is_some(), asks, "{wire:?} x {ability:?}: the request is part of the cell");
        }
    }
}

/// Each cell over real HTTP: whole, then a byte at a time, then with an end in the middle.
async fn play(wire: &'static dyn Wire) {
    let server = ModelServer::start().await;
    let mime = wire.framing().media_type();
    let service = remote(settings(&server, wire));
    for cell in cells(wire) {
        let request = || requests::request(wire, cell.ability);
        let answer = Answer::body(200, mime, cell.stream);
        server.push(answer.clone());
        let whole = items(&service, request()).await;
        let sent = server.requests().pop().unwrap();
        if let Some(expected) = &cell.sent {
            expected.assert_eq(&shown_request(&sent, wire));
        }
        cell.heard.assert_eq(&shown(&whole));

        server.push(answer.trickle(1));
        assert_eq!(shown(&items(&service, request()).await), shown(&whole), "{wire:?} {:?} in single bytes", cell.ability);

        let half = &cell.stream[..cell.stream.floor_char_boundary(cell.stream.len() / 2)];
        server.push(Answer::body(200, mime, half).cut());
        let cut = items(&service, request()).await;
        assert!(matches!(cut.last(), Some(Err(Error::Connection { .. }))), "{wire:?} {:?}: {cut:?}", cell.ability);
    }
}

async fn items(service: &Remote, request: ModelRequest) -> Vec<Result<Delta, Error>> {
    service.stream(request).collect().await
}

#[tokio::test]
async fn every_cell_over_http() {
    join_all(ALL.iter().map(|wire| play(*wire))).await;
}

/// Path, the headers that count, and each field of the body on a line.
fn shown_request(sent: &Recorded, wire: &dyn Wire) -> String {
    let mut shown = format!("POST {}\n", sent.path.strip_prefix("/v1").unwrap_or(&sent.path));
    for name in ["accept", "content-type", "authorization", "x-api-key", "x-goog-api-key", "anthropic-version"] {
        if let Some(value) = sent.header(name) {
            shown.push_str(&format!("{name}: {value}\n"));
        }
    }
    let Value::Object(fields) = &sent.body else { panic!("{wire:?}: {:?}", sent.body) };
    for (name, value) in fields {
        match value {
            Value::Array(elements) if matches!(name.as_str(), "messages" | "input" | "contents") => {
                shown.push_str(&format!("{name}:\n"));
                elements.iter().for_each(|element| shown.push_str(&format!("  {element}\n")));
            }
            value => shown.push_str(&format!("{name}: {value}\n")),
        }
    }
    shown
}

/// One line for each delta; ids that were made up here are stars.
pub(crate) fn shown(items: &[Result<Delta, Error>]) -> String {
    let known = |id: &str| if id.len() == 31 && id.starts_with("call_") { "call_*".to_owned() } else { id.to_owned() };
    let line = |item: &Result<Delta, Error>| match item {
        Ok(Delta::Text(text)) => format!("text {text:?}\n"),
        Ok(Delta::Reasoning(text)) => format!("think {text:?}\n"),
        Ok(Delta::ReasoningSignature(signature)) => format!("sign {signature}\n"),
        Ok(Delta::ToolCallStart { call_id, name }) => format!("start {} {name}\n", known(call_id)),
        Ok(Delta::ToolCallDone { call_id, name, arguments, metadata }) => {
            let metadata = metadata.as_ref().map(|metadata| format!(" {metadata}")).unwrap_or_default();
            format!("done {} {name} {arguments}{metadata}\n", known(call_id))
        }
        Ok(Delta::Finish { reason, tokens }) => format!(
            "finish {}: input {}, cached {}, written {}, output {}, reasoning {}\n",
            reason.word(),
            tokens.input,
            tokens.cache.read,
            tokens.cache.write,
            tokens.output,
            tokens.reasoning
        ),
        Err(error) => format!("error {error:?}\n"),
    };
    items.iter().map(line).collect()
}
