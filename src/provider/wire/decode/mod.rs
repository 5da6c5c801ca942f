//! From the bytes of an answer to deltas: frames, the protocol's decoder, and the rules that all protocols share. Pure.
//!
//! An answer ends with `Finish` or with an error: one that simply stops is a broken connection, never a success. A frame
//! that is not JSON is a keep-alive message and skipped, unless its event is named `error`. A frame that begins as JSON and
//! is invalid is an error, unless the protocol does not know its event's name. An invalid field within JSON costs that
//! field, never the answer (`decode::json`).

pub(crate) mod answer;
pub(crate) mod calls;
pub(crate) mod frames;
pub(crate) mod json;
pub(crate) mod text;

use serde_json::Value;

use crate::provider::{
    definition::Delta,
    wire::{
        decode::{
            answer::Answer,
            frames::{Broken, Frame, Frames, Framing, MAX_FRAME, Wanted},
            json::Json,
        },
        error::shapes::{self, Shape},
    },
};

/// How an answer breaks.
#[derive(Debug, PartialEq)]
pub(crate) enum Fault {
    /// The service says so; the body of its error.
    Said(Value),
    /// What came is not the protocol.
    Malformed(String),
    /// The model wrote something that the service could not read; asking again may help.
    Garbled(String),
    /// More is kept of it than an answer may be long.
    TooLong,
    /// It stopped in the middle.
    Cut,
}

impl From<Broken> for Fault {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLong => Self::Malformed(format!("a piece of more than {} MiB", MAX_FRAME >> 20)),
        }
    }
}

/// A protocol's way of saying things.
pub(crate) trait Decode: Send {
    /// Reads an object that a frame carries. `Enough` is the protocol's mark for the end of an answer.
    fn read(&mut self, json: Json<'_>, frame: Frame<'_>, answer: &mut Answer) -> Result<Wanted, Fault>;

    /// Whether an event of this name is one that is read.
    fn knows(&self, event: &str) -> bool {
        event == "error"
    }

    /// Whether the frame `[DONE]` ends an answer. Where the protocol has a mark of its own, a proxy may add this one.
    fn ends_with_done(&self) -> bool {
        false
    }
}

/// One answer.
pub(crate) struct Decoding {
    frames: Frames,
    decoder: Box<dyn Decode>,
    answer: Answer,
    /// A frame has come.
    framed: bool,
    ended: bool,
}

impl Decoding {
    pub(crate) fn new(framing: Framing, decoder: Box<dyn Decode>) -> Self {
        Self { frames: Frames::new(framing), decoder, answer: Answer::default(), framed: false, ended: false }
    }

    /// Takes the next bytes. After an error, or once it [has ended](Self::has_ended), nothing more is taken.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Self { frames, decoder, answer, framed, .. } = self;
        let wanted = frames.push(bytes, &mut |frame| {
            *framed |= frame.data.trim_start().starts_with(['{', '[']);
            read(frame, decoder.as_mut(), answer)
        })?;
        if wanted == Wanted::Enough {
            self.finish();
        }
        Ok(())
    }

    /// The body has ended, or the connection has.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        let Self { frames, decoder, answer, .. } = self;
        let wanted = match frames.end(&mut |frame| read(frame, decoder.as_mut(), answer)) {
            Ok(wanted) => wanted,
            // Half a frame is what a cut connection leaves behind.
            Err(Fault::Malformed(_)) => Wanted::More,
            Err(fault) => return Err(fault),
        };
        // The last marker may be missing, or the connection may break after all has been said.
        if wanted == Wanted::Enough || answer.is_complete() {
            self.finish();
            return Ok(());
        }
        answer.end_text();
        Err(answer.suspected().map_or(Fault::Cut, Fault::Said))
    }

    pub(crate) fn pop(&mut self) -> Option<Delta> {
        self.answer.pop()
    }

    /// Whether anything has come that looks like a frame of the protocol.
    pub(crate) fn has_framed(&self) -> bool {
        self.framed
    }

    /// Whether the service has said why the answer ends.
    pub(crate) fn is_complete(&self) -> bool {
        self.answer.is_complete()
    }

    /// Whether nothing is missing but the usage: a reason for the end has come, and no content with it or after it.
    pub(crate) fn has_surely_ended(&self) -> bool {
        self.answer.is_complete() && !self.answer.is_end_doubtful()
    }

    /// Grows with all that belongs to the answer.
    pub(crate) fn progress(&self) -> u64 {
        self.answer.progress()
    }

    /// Whether `Finish` has been made.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self) {
        self.ended = true;
        self.answer.finish();
    }
}

fn read(frame: Frame<'_>, decoder: &mut dyn Decode, answer: &mut Answer) -> Result<Wanted, Fault> {
    let mut data = frame.data.trim_ascii();
    if data == "[DONE]" {
        return Ok(if decoder.ends_with_done() || answer.is_complete() { Wanted::Enough } else { Wanted::More });
    }
    if frame.event == Some("error") && !data.is_empty() && !data.starts_with(['{', '[']) {
        let text = serde_json::from_str::<String>(data).unwrap_or_else(|_| data.to_owned());
        return Err(Fault::Said(Value::String(text)));
    }
    // Usually one value; several where the empty line between two events is missing.
    while data.starts_with(['{', '[']) {
        let Some((json, rest)) = Json::parse(data) else {
            let is_unknown = frame.event.is_some_and(|event| !decoder.knows(event));
            return if is_unknown { Ok(Wanted::More) } else { Err(Fault::Malformed(what_is_wrong(data))) };
        };
        let elements = json.is_list().then(|| json.objects()).into_iter().flatten();
        for object in json.is_object().then_some(json).into_iter().chain(elements) {
            if read_object(object, frame, decoder, answer)? == Wanted::Enough {
                return Ok(Wanted::Enough);
            }
            if answer.is_too_long() {
                return Err(Fault::TooLong);
            }
        }
        data = rest.trim_ascii_start();
    }
    Ok(Wanted::More)
}

fn read_object(object: Json<'_>, frame: Frame<'_>, decoder: &mut dyn Decode, answer: &mut Answer) -> Result<Wanted, Fault> {
    let (before, was_complete) = (answer.progress(), answer.is_complete());
    let wanted = decoder.read(object, frame, answer);
    // The first reason is progress by itself.
    let of_the_reason = u64::from(!was_complete && answer.is_complete());
    if answer.is_complete() && answer.progress() > before + of_the_reason {
        answer.doubt_the_end();
    }
    // What adds nothing to the answer, or is not understood, may be an error in a shape that the protocol does not have.
    if matches!(wanted, Ok(Wanted::More) | Err(Fault::Malformed(_))) && answer.progress() == before {
        let value = object.value();
        match shapes::shape(&value) {
            Shape::Error => return Err(Fault::Said(value)),
            Shape::Message => answer.suspect(value),
            Shape::Piece => {}
        }
    }
    wanted
}

/// Why a text is no JSON.
fn what_is_wrong(text: &str) -> String {
    serde_json::from_str::<serde::de::IgnoredAny>(text).err().map_or_else(|| "broken JSON".to_owned(), |error| error.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::wire::tests::{GEMINI, OPENAI, decoding};

    #[test]
    fn an_event_named_error_is_an_error_in_any_form() {
        for (data, expected) in [
            ("the backend is gone", json!("the backend is gone")),
            ("\"quoted\"", json!("quoted")),
            (r#"{"status":"error","reason":"no worker"}"#, json!({"status": "error", "reason": "no worker"})),
        ] {
            for wire in [OPENAI, GEMINI] {
                let fault = decoding(wire).push(format!("event: error\ndata: {data}\n\n").as_bytes());
                assert_eq!(fault, Err(Fault::Said(expected.clone())), "{wire:?} {data}");
            }
        }
        assert_eq!(decoding(OPENAI).push(b"event: note\ndata: still here\n\n"), Ok(()));
    }

    #[test]
    fn a_reason_with_content_is_no_sure_end() {
        let gemini = |text: &str, reason: Value| json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": reason}]});
        let chat = |text: &str, reason: Value| json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]});
        for (wire, pieces, surely) in [
            (GEMINI, vec![gemini("a", json!("STOP"))], false),
            (GEMINI, vec![gemini("a", Value::Null), gemini("", json!("STOP"))], true),
            (OPENAI, vec![chat("a", json!("stop"))], false),
            (OPENAI, vec![chat("a", Value::Null), chat("", json!("stop"))], true),
            (OPENAI, vec![chat("", json!("stop")), chat("a", Value::Null)], false),
            (OPENAI, vec![chat("a", Value::Null), chat("", json!("stop")), json!({"choices": [], "usage": {"prompt_tokens": 1}})], true),
        ] {
            let mut decoding = decoding(wire);
            for piece in &pieces {
                decoding.push(format!("data: {piece}\n\n").as_bytes()).unwrap();
            }
            assert!(decoding.is_complete() && !decoding.has_ended());
            assert_eq!(decoding.has_surely_ended(), surely, "{wire:?} {pieces:?}");
        }
    }
}
