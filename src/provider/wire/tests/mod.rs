//! A table of protocols and abilities. Each cell has a neutral request, the request on the wire, a recorded stream and
//! its deltas. Every protocol has a cell for every ability, even if it does not support it. The streams follow the
//! services' documentation, which each cell names.

mod anthropic;
mod compatible;
mod failure;
mod key;
mod limits;
mod mutations;
mod network;
mod openai;
mod requests;
mod splits;
mod unexpected;

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

/// The abilities of every protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ability {
    /// Streamed text.
    Text,
    /// A streamed call.
    Tool,
    /// Two parallel calls, after two others with their results.
    ParallelCalls,
    /// An image from the user, and one in a result.
    Image,
    Document,
    /// Thinking that is received, and thinking that is sent back.
    Thinking,
    /// Prompt caching.
    Caching,
    /// All counts of the usage.
    Usage,
    Length,
    /// A refusal by the model or the service.
    Refusal,
    /// An error within the stream.
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

/// A cell of the table.
pub(crate) struct Cell {
    pub(crate) ability: Ability,
    /// The documentation of the stream.
    pub(crate) source: &'static str,
    pub(crate) stream: &'static str,
    /// The request on the wire, if it differs from that for a text.
    pub(crate) sent: Option<Expect>,
    pub(crate) decoded: Expect,
}

/// The test data of one protocol. In its JSON, `$X` is a placeholder for text between the quotes of a JSON string; each
/// piece of JSON is a frame.
pub(crate) struct Column {
    /// A recorded stream for each ability.
    pub(crate) cells: Vec<Cell>,
    pub(crate) model: &'static str,
    /// The signature of thinking that is sent back.
    pub(crate) signature: Option<&'static str>,
    /// The metadata of a call that is sent back.
    pub(crate) metadata: Option<Value>,
    /// The fields with the text, the event type, and the finish reason.
    pub(crate) spine: &'static [&'static str],
    pub(crate) text: &'static str,
    pub(crate) thinking: &'static str,
    /// A call of the tool `write` with the id `c` and the arguments `$1` and `$2`, in several frames if the protocol
    /// streams arguments.
    pub(crate) call: &'static [&'static str],
    /// A call in one frame, with the JSON value `$X` as arguments.
    pub(crate) whole_call: &'static str,
    /// The end of an answer, with a usage of 3 and 2.
    pub(crate) end: &'static [&'static str],
    /// The answer of `a` and half a character, without streaming.
    pub(crate) unstreamed: &'static str,
    /// Unusual frames without content.
    pub(crate) unusual: &'static [&'static str],
    /// The beginning of an answer, and frames that are repeated: `$X` is a long text, `$N` a number.
    pub(crate) endless: &'static [(&'static str, &'static str)],
    /// The conversion of images and documents.
    pub(crate) media: Block,
}

/// Wraps JSON in a frame.
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

/// Plays each cell over real HTTP: as a whole, byte by byte, and truncated.
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
        cell.decoded.assert_eq(&shown(&whole));

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

/// The path, the relevant headers, and each field of the body on a line.
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

/// One line per delta; generated ids are replaced by `*`.
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
        Ok(Delta::ToolCallArguments { .. }) => String::new(),
        Err(error) => format!("error {error:?}\n"),
    };
    items.iter().map(line).collect()
}
