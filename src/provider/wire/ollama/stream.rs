//! Reads the lines of Ollama's own `/api/chat`. Pure.
//!
//! Not read by genai, whose decoder takes an error in mid-stream for nothing and a broken connection for a good end.

use polytree_protocol::message::{CacheTokens, Tokens};

use crate::provider::wire::decode::{
    Decode, Fault,
    answer::{Answer, reason},
    frames::{Frame, Wanted},
    json::Json,
};

#[derive(Debug)]
pub(crate) struct Decoder;

impl Decode for Decoder {
    fn read(&mut self, json: Json<'_>, _: Frame<'_>, answer: &mut Answer) -> Result<Wanted, Fault> {
        let [message, done, done_reason, prompt, cached, output, error] =
            json.fields(["message", "done", "done_reason", "prompt_eval_count", "prompt_eval_cached_count", "eval_count", "error"]);
        if error.is_something() {
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
            return Ok(Wanted::More);
        }
        let [prompt, read, output] = [prompt, cached, output].map(|count| count.count().unwrap_or(0));
        answer.tokens = Tokens { input: prompt.saturating_sub(read), output, reasoning: 0, cache: CacheTokens { read, write: 0 } };
        answer.ends(reason(done_reason.word().as_deref().unwrap_or("stop")));
        Ok(Wanted::Enough)
    }
}
