//! Decodes an answer from bytes to deltas: frames, the protocol's decoder, and the rules that all protocols share.
//! Pure.
//!
//! An answer ends with `Finish` or with an error: one that just stops is a broken connection, never a success. A frame
//! that is not JSON is a keep-alive message and skipped, unless its event is named `error`. A frame that begins as JSON
//! and is invalid is an error, unless its event is unknown to the protocol. An invalid field is ignored and never fails
//! the answer (`decode::json`).

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
            frames::{Flow, Frame, FrameError, Frames, Framing, MAX_FRAME_BYTES},
            json::Json,
        },
        error::shapes::{self, Shape},
    },
};

#[derive(Debug, PartialEq)]
pub(crate) enum Fault {
    /// An error from the service, with its body.
    Said(Value),
    /// The data violates the protocol.
    Malformed(String),
    /// The model wrote something that the service could not parse; a retry may help.
    Garbled(String),
    /// The kept data exceeds the limit of an answer.
    TooLong,
    /// The stream ended too early.
    Cut,
}

impl From<FrameError> for Fault {
    fn from(broken: FrameError) -> Self {
        match broken {
            FrameError::TooLong => Self::Malformed(format!("a piece of more than {} MiB", MAX_FRAME_BYTES >> 20)),
        }
    }
}

/// The decoder of a protocol.
pub(crate) trait Decode: Send {
    /// Decodes the object of a frame. Returns `Stop` at the protocol's end marker.
    fn read(&mut self, json: Json<'_>, frame: Frame<'_>, answer: &mut Answer) -> Result<Flow, Fault>;

    /// Whether the protocol has an event of this name.
    fn knows(&self, event: &str) -> bool {
        event == "error"
    }

    /// Whether the frame `[DONE]` ends an answer. For a protocol with another end marker, a proxy may add this one.
    fn ends_with_done(&self) -> bool {
        false
    }
}

pub(crate) struct Decoding {
    frames: Frames,
    decoder: Box<dyn Decode>,
    answer: Answer,
    framed: bool,
    ended: bool,
}

impl Decoding {
    pub(crate) fn new(framing: Framing, decoder: Box<dyn Decode>) -> Self {
        Self { frames: Frames::new(framing), decoder, answer: Answer::default(), framed: false, ended: false }
    }

    /// Adds bytes. Ignored after an error, and once it [has ended](Self::has_ended).
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Self { frames, decoder, answer, framed, .. } = self;
        let flow = frames.push(bytes, &mut |frame| {
            *framed |= frame.data.trim_start().starts_with(['{', '[']);
            read(frame, decoder.as_mut(), answer)
        })?;
        if flow == Flow::Stop {
            self.finish();
        }
        Ok(())
    }

    /// Called at the end of the body or the connection.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        let Self { frames, decoder, answer, .. } = self;
        let flow = match frames.end(&mut |frame| read(frame, decoder.as_mut(), answer)) {
            Ok(flow) => flow,
            // An incomplete frame means a broken connection.
            Err(Fault::Malformed(_)) => Flow::Continue,
            Err(fault) => return Err(fault),
        };
        // The end marker may be missing, or the connection may break after a complete answer.
        if flow == Flow::Stop || answer.is_complete() {
            self.finish();
            return Ok(());
        }
        answer.end_text();
        Err(answer.take_suspect().map_or(Fault::Cut, Fault::Said))
    }

    pub(crate) fn pop(&mut self) -> Option<Delta> {
        self.answer.pop()
    }

    /// Whether a frame of the protocol was received.
    pub(crate) fn has_framed(&self) -> bool {
        self.framed
    }

    /// Whether there is a finish reason.
    pub(crate) fn is_complete(&self) -> bool {
        self.answer.is_complete()
    }

    /// Whether only the usage is missing: there is a finish reason, and no content with it or after it.
    pub(crate) fn has_certainly_ended(&self) -> bool {
        self.answer.is_complete() && !self.answer.is_end_uncertain()
    }

    /// Grows with each piece of the answer.
    pub(crate) fn progress(&self) -> u64 {
        self.answer.progress()
    }

    /// Whether `Finish` was produced.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self) {
        self.ended = true;
        self.answer.finish();
    }
}

fn read(frame: Frame<'_>, decoder: &mut dyn Decode, answer: &mut Answer) -> Result<Flow, Fault> {
    let mut data = frame.data.trim_ascii();
    if data == "[DONE]" {
        return Ok(if decoder.ends_with_done() || answer.is_complete() { Flow::Stop } else { Flow::Continue });
    }
    if frame.event == Some("error") && !data.is_empty() && !data.starts_with(['{', '[']) {
        let text = serde_json::from_str::<String>(data).unwrap_or_else(|_| data.to_owned());
        return Err(Fault::Said(Value::String(text)));
    }
    // Usually one value; several if the empty line between two events is missing.
    while data.starts_with(['{', '[']) {
        let Some((json, rest)) = Json::parse(data) else {
            let is_unknown = frame.event.is_some_and(|event| !decoder.knows(event));
            return if is_unknown { Ok(Flow::Continue) } else { Err(Fault::Malformed(json_error(data))) };
        };
        let elements = json.is_list().then(|| json.objects()).into_iter().flatten();
        for object in json.is_object().then_some(json).into_iter().chain(elements) {
            if read_object(object, frame, decoder, answer)? == Flow::Stop {
                return Ok(Flow::Stop);
            }
            if answer.is_too_long() {
                return Err(Fault::TooLong);
            }
        }
        data = rest.trim_ascii_start();
    }
    Ok(Flow::Continue)
}

fn read_object(object: Json<'_>, frame: Frame<'_>, decoder: &mut dyn Decode, answer: &mut Answer) -> Result<Flow, Fault> {
    let (before, was_complete) = (answer.progress(), answer.is_complete());
    let flow = decoder.read(object, frame, answer);
    // The first finish reason counts as progress.
    let of_the_reason = u64::from(!was_complete && answer.is_complete());
    if answer.is_complete() && answer.progress() > before + of_the_reason {
        answer.mark_end_uncertain();
    }
    // JSON that adds nothing to the answer, or is not understood, may be an error in another shape.
    if matches!(flow, Ok(Flow::Continue) | Err(Fault::Malformed(_))) && answer.progress() == before {
        let value = object.value();
        match shapes::shape(&value) {
            Shape::Error => return Err(Fault::Said(value)),
            Shape::Message => answer.set_suspect(value),
            Shape::Piece => {}
        }
    }
    flow
}

/// Why a text is not valid JSON.
fn json_error(text: &str) -> String {
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
    fn a_reason_with_content_is_an_uncertain_end() {
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
            assert_eq!(decoding.has_certainly_ended(), surely, "{wire:?} {pieces:?}");
        }
    }
}
