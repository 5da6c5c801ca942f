//! Decodes the lines of Ollama's own `/api/chat`. Pure.
//!
//! It does not use genai, whose decoder ignores an error within the stream and takes a broken connection for a complete
//! answer.

use polytree_protocol::message::{CacheTokens, Tokens};

use crate::provider::wire::decode::{
    Decode, Fault,
    answer::{Answer, reason},
    frames::{Flow, Frame},
    json::Json,
};

#[derive(Debug)]
pub(crate) struct Decoder;

impl Decode for Decoder {
    fn read(&mut self, json: Json<'_>, _: Frame<'_>, answer: &mut Answer) -> Result<Flow, Fault> {
        let [message, done, done_reason, prompt, cached, output, error] =
            json.fields(["message", "done", "done_reason", "prompt_eval_count", "prompt_eval_cached_count", "eval_count", "error"]);
        if error.is_truthy() {
            return Err(Fault::Said(json.value()));
        }
        let [content, thinking, calls] = message.fields(["content", "thinking", "tool_calls"]);
        answer.reasoning(thinking.text());
        answer.text(content.text());
        for call in calls.objects() {
            let [id, function] = call.fields(["id", "function"]);
            let [name, arguments] = function.fields(["name", "arguments"]);
            let arguments = arguments.arguments().unwrap_or_else(|| "{}".to_owned());
            answer.call(id.word(), name.word().unwrap_or_default(), arguments, None);
        }
        if !done.is_true() {
            return Ok(Flow::Continue);
        }
        let [prompt, read, output] = [prompt, cached, output].map(|count| count.count().unwrap_or(0));
        answer.tokens = Tokens { input: prompt.saturating_sub(read), output, reasoning: 0, cache: CacheTokens { read, write: 0 } };
        answer.set_reason(reason(done_reason.word().as_deref().unwrap_or("stop")));
        Ok(Flow::Stop)
    }
}
