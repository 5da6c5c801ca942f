//! From the bytes of an answer to deltas: frames, the protocol's decoder, and the rules that all protocols share. Pure.
//!
//! An answer ends with `Finish` or with an error: one that simply stops is a broken connection, never a success. What is
//! no JSON at all is a sign of life and skipped, unless its event is named `error`. What begins as JSON and is none is an
//! error, unless it is an event of a name that the protocol does not know. What is odd within JSON costs a field, never
//! the answer (`remote_json`).

use serde_json::Value;

use super::{
    definition::Delta,
    remote_answer::Answer,
    remote_anthropic_stream::AnthropicDecoder,
    remote_frames::{Broken, Frame, Frames, Framing, LONGEST_FRAME, Wanted},
    remote_gemini_stream::GeminiDecoder,
    remote_json::Json,
    remote_ollama_stream::OllamaDecoder,
    remote_openai_stream::OpenAiDecoder,
    remote_responses_stream::ResponsesDecoder,
    remote_shapes::{self, Shape},
    remote_wire::Wire,
};

/// How an answer breaks.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
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
            Broken::TooLong => Self::Malformed(format!("a piece of more than {} MiB", LONGEST_FRAME >> 20)),
        }
    }
}

/// A protocol's way of saying things.
pub(super) trait Decode: Send {
    /// Reads an object that a frame carries. `Enough` is the protocol's mark for the end of an answer.
    fn read(&mut self, json: Json<'_>, frame: Frame<'_>, answer: &mut Answer) -> Result<Wanted, Fault>;

    /// Whether an event of this name is one that is read.
    fn knows(&self, event: &str) -> bool {
        event == "error"
    }
}

/// One answer.
pub(super) struct Decoding {
    frames: Frames,
    decoder: Box<dyn Decode>,
    answer: Answer,
    /// The mark that ends every answer of this protocol may come without a reason before it.
    lenient: bool,
    /// A frame has come.
    framed: bool,
    ended: bool,
}

impl Decoding {
    pub(super) fn new(wire: Wire) -> Self {
        let (framing, decoder): (_, Box<dyn Decode>) = match wire {
            Wire::OpenAi => (Framing::Events, Box::new(OpenAiDecoder::default())),
            Wire::OpenAiResponses => (Framing::ShortenedEvents, Box::new(ResponsesDecoder::default())),
            Wire::Anthropic => (Framing::Events, Box::new(AnthropicDecoder::default())),
            Wire::Gemini => (Framing::Events, Box::new(GeminiDecoder)),
            Wire::Ollama => (Framing::Lines, Box::new(OllamaDecoder)),
        };
        Self {
            frames: Frames::new(framing),
            decoder,
            answer: Answer::default(),
            lenient: wire == Wire::OpenAi,
            framed: false,
            ended: false,
        }
    }

    /// Takes the next bytes. After an error, or once it [has ended](Self::has_ended), nothing more is taken.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let Self { frames, decoder, answer, lenient, framed, .. } = self;
        let wanted = frames.push(bytes, &mut |frame| {
            *framed |= frame.data.trim_start().starts_with(['{', '[']);
            read(frame, decoder.as_mut(), answer, *lenient)
        })?;
        if wanted == Wanted::Enough {
            self.finish();
        }
        Ok(())
    }

    /// The body has ended, or the connection has.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        let Self { frames, decoder, answer, lenient, .. } = self;
        let wanted = match frames.end(&mut |frame| read(frame, decoder.as_mut(), answer, *lenient)) {
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

    /// The next delta.
    pub(super) fn pop(&mut self) -> Option<Delta> {
        self.answer.pop()
    }

    /// Whether anything has come that looks like a frame of the protocol.
    pub(super) fn has_framed(&self) -> bool {
        self.framed
    }

    /// Whether the service has said why the answer ends.
    pub(super) fn is_complete(&self) -> bool {
        self.answer.is_complete()
    }

    /// Whether nothing is missing but the usage: a reason for the end has come, and no content with it or after it.
    pub(super) fn has_surely_ended(&self) -> bool {
        self.answer.is_complete() && !self.answer.is_end_doubtful()
    }

    /// Grows with all that belongs to the answer.
    pub(super) fn progress(&self) -> u64 {
        self.answer.progress()
    }

    /// Whether `Finish` has been made.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    fn finish(&mut self) {
        self.ended = true;
        self.answer.finish();
    }
}

fn read(frame: Frame<'_>, decoder: &mut dyn Decode, answer: &mut Answer, lenient: bool) -> Result<Wanted, Fault> {
    let mut data = frame.data.trim_ascii();
    if data == "[DONE]" {
        // Where the protocol has a mark of its own, this one is only what a proxy adds.
        return Ok(if lenient || answer.is_complete() { Wanted::Enough } else { Wanted::More });
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
        match remote_shapes::shape(&value) {
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

    #[test]
    fn an_event_named_error_is_an_error_in_any_form() {
        for (data, expected) in [
            ("the backend is gone", json!("the backend is gone")),
            ("\"quoted\"", json!("quoted")),
            (r#"{"status":"error","reason":"no worker"}"#, json!({"status": "error", "reason": "no worker"})),
        ] {
            for wire in [Wire::OpenAi, Wire::Gemini] {
                let fault = Decoding::new(wire).push(format!("event: error\ndata: {data}\n\n").as_bytes());
                assert_eq!(fault, Err(Fault::Said(expected.clone())), "{wire:?} {data}");
            }
        }
        assert_eq!(Decoding::new(Wire::OpenAi).push(b"event: note\ndata: still here\n\n"), Ok(()));
    }

    #[test]
    fn a_reason_with_content_is_no_sure_end() {
        let gemini = |text: &str, reason: Value| json!({"candidates": [{"content": {"parts": [{"text": text}]}, "finishReason": reason}]});
        let chat = |text: &str, reason: Value| json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": reason}]});
        for (wire, pieces, surely) in [
            (Wire::Gemini, vec![gemini("a", json!("STOP"))], false),
            (Wire::Gemini, vec![gemini("a", Value::Null), gemini("", json!("STOP"))], true),
            (Wire::OpenAi, vec![chat("a", json!("stop"))], false),
            (Wire::OpenAi, vec![chat("a", Value::Null), chat("", json!("stop"))], true),
            (Wire::OpenAi, vec![chat("", json!("stop")), chat("a", Value::Null)], false),
            (
                Wire::OpenAi,
                vec![chat("a", Value::Null), chat("", json!("stop")), json!({"choices": [], "usage": {"prompt_tokens": 1}})],
                true,
            ),
        ] {
            let mut decoding = Decoding::new(wire);
            for piece in &pieces {
                decoding.push(format!("data: {piece}\n\n").as_bytes()).unwrap();
            }
            assert!(decoding.is_complete() && !decoding.has_ended());
            assert_eq!(decoding.has_surely_ended(), surely, "{wire:?} {pieces:?}");
        }
    }
}
