//! What each protocol can, as a table of cells: a request in neutral terms, the request that goes out, a recorded
//! stream, and the deltas that it means. Every protocol has a cell for every ability; a cell says what happens also
//! where the protocol cannot. The streams are written after the services' own documentation, which each cell names.

mod anthropic;
mod gemini;
mod limits;
mod mutations;
mod odd;
mod ollama;
mod openai;
mod requests;
mod responses;
mod splits;

use expect_test::Expect;
use futures::StreamExt as _;
use serde_json::Value;

use super::{
    definition::{Delta, Error, ModelRequest, Provider as _},
    model_server::{Answer, ModelServer, Recorded},
    remote_testing::{remote, settings},
    remote_wire::Wire,
};

/// What is asked of every protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ability {
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
pub(super) struct Cell {
    ability: Ability,
    /// The documentation after which the stream is written.
    source: &'static str,
    stream: &'static str,
    /// What goes out, where it is not the same as for a text.
    sent: Option<Expect>,
    /// What comes out.
    heard: Expect,
}

fn cells(wire: Wire) -> Vec<Cell> {
    match wire {
        Wire::OpenAi => openai::cells(),
        Wire::OpenAiResponses => responses::cells(),
        Wire::Anthropic => anthropic::cells(),
        Wire::Gemini => gemini::cells(),
        Wire::Ollama => ollama::cells(),
    }
}

#[test]
fn every_protocol_has_a_cell_for_every_ability() {
    for wire in Wire::ALL {
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
async fn play(wire: Wire) {
    let server = ModelServer::start().await;
    let mime = if wire == Wire::Ollama { "application/x-ndjson" } else { "text/event-stream" };
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

async fn items(service: &super::remote::Remote, request: ModelRequest) -> Vec<Result<Delta, Error>> {
    service.stream(request).collect().await
}

#[tokio::test]
async fn chat_completions() {
    play(Wire::OpenAi).await;
}

#[tokio::test]
async fn responses() {
    play(Wire::OpenAiResponses).await;
}

#[tokio::test]
async fn messages() {
    play(Wire::Anthropic).await;
}

#[tokio::test]
async fn generate_content() {
    play(Wire::Gemini).await;
}

#[tokio::test]
async fn ollama_chat() {
    play(Wire::Ollama).await;
}

/// Path, the headers that count, and each field of the body on a line.
fn shown_request(sent: &Recorded, wire: Wire) -> String {
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
pub(super) fn shown(items: &[Result<Delta, Error>]) -> String {
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
