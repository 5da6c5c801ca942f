//! The built-in model, which needs no key and no network: a deterministic program that understands a few English
//! sentences, calls the real tools and describes their results.

mod answer;
mod grammar;

#[cfg(test)]
mod tests;

use futures::{StreamExt as _, stream, stream::BoxStream};
use polytree_protocol::{
    message::Tokens,
    provider::{Model, ModelRef},
};
use serde_json::{Value, json};
use ulid::Ulid;

use grammar::Intent;

use crate::{
    provider::definition::{
        AssistantContent, Delta, Error, FinishReason, ModelMessage, ModelRequest, Provider, ToolResult, UserContent, unknown_model,
    },
    stdx::text::ellipsis,
};

pub(crate) const PROVIDER: &str = "offline";

pub(crate) const MODEL: &str = "guide";

pub(crate) fn reference() -> ModelRef {
    ModelRef { provider_id: PROVIDER.to_owned(), model_id: MODEL.to_owned() }
}

pub(crate) fn model() -> Model {
    Model { name: "Offline guide".to_owned(), ..unknown_model(MODEL) }
}

#[derive(Debug, Clone, Copy)]
pub struct Offline;

impl Provider for Offline {
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<Delta, Error>> {
        let step = next_step(&request);
        stream::iter(deltas(step, history_tokens(&request))).map(Ok).boxed()
    }
}

/// What the model does in one request.
#[derive(Debug, PartialEq)]
enum Step {
    Call(Vec<Call>),
    Say(String),
}

#[derive(Debug, PartialEq)]
struct Call {
    tool: &'static str,
    input: Value,
}

fn call(tool: &'static str, input: Value) -> Step {
    Step::Call(vec![Call { tool, input }])
}

fn next_step(request: &ModelRequest) -> Step {
    if request.tools.is_empty() {
        return Step::Say(without_tools(request));
    }
    let said = last_sentence(&request.messages);
    let Some(intent) = grammar::parse(said) else { return Step::Say(answer::not_understood(said)) };
    let results = results_since_last_user(&request.messages);
    if let Some(failed) = results.iter().find(|result| result.is_error) {
        return Step::Say(answer::failed(&failed.name, &failed.output));
    }
    let step = step_of(&intent, &results);
    let missing = match &step {
        Step::Call(calls) => calls.iter().find(|call| !request.tools.iter().any(|tool| tool.name == call.tool)),
        Step::Say(_) => None,
    };
    match missing {
        Some(call) => Step::Say(answer::tool_missing(call.tool)),
        None => step,
    }
}

/// The next step of an intent, given the results so far.
fn step_of(intent: &Intent, results: &[&ToolResult]) -> Step {
    match (intent, results) {
        (Intent::Help, _) => Step::Say(answer::help()),
        (Intent::Read { file, lines }, []) => call("read", read_input(file, *lines)),
        (Intent::Read { file, .. }, [result, ..]) => Step::Say(answer::read(file, &result.output)),
        (Intent::Find { pattern, .. }, []) => call("glob", json!({"pattern": pattern})),
        (Intent::Find { name, .. }, [result, ..]) => Step::Say(answer::found(name, &result.output)),
        (Intent::Search { text, include }, []) => {
            let mut input = json!({"pattern": literal(text)});
            if let Some(include) = include {
                input["include"] = json!(include);
            }
            call("grep", input)
        }
        (Intent::Search { text, .. }, [result, ..]) => Step::Say(answer::searched(text, &result.output)),
        // A file must be read before it may be changed.
        (Intent::Replace { file, .. }, []) => call("read", read_input(file, None)),
        (Intent::Replace { old, new, file, every }, [_]) => {
            let mut input = json!({"filePath": file, "oldString": old, "newString": new});
            if *every {
                input["replaceAll"] = json!(true);
            }
            call("edit", input)
        }
        (Intent::Replace { old, new, file, .. }, [_, result, ..]) => Step::Say(answer::replaced(old, new, file, &result.output)),
        (Intent::Run { command }, []) => call("bash", json!({"command": command, "description": ellipsis(&format!("Run {command}"), 60)})),
        (Intent::Run { command }, [result, ..]) => Step::Say(answer::ran(command, &result.output)),
        (Intent::Changed, []) => {
            let bash =
                |command: &str, description: &str| Call { tool: "bash", input: json!({"command": command, "description": description}) };
            Step::Call(vec![bash("git status --short", "List changed files"), bash("git diff --stat", "Count changed lines")])
        }
        (Intent::Changed, results) => {
            let diff = results.get(1).map_or("", |result| result.output.as_str());
            Step::Say(answer::changed(&results[0].output, diff))
        }
        (Intent::Explain, []) => call("list", json!({"path": "."})),
        (Intent::Explain, [listing]) => match answer::readme_in(&listing.output) {
            Some(readme) => call("read", read_input(&readme, None)),
            None => Step::Say(answer::explained(&listing.output, None)),
        },
        (Intent::Explain, [listing, readme, ..]) => Step::Say(answer::explained(&listing.output, Some(&readme.output))),
    }
}

fn read_input(file: &str, lines: Option<(u64, u64)>) -> Value {
    match lines {
        None => json!({"filePath": file}),
        Some((first, last)) => json!({"filePath": file, "offset": first, "limit": last - first + 1}),
    }
}

/// Escapes a text for use as a regular expression.
fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        if "\\.+*?()|[]{}^$#&-~".contains(character) {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

/// The user's last text, without texts that were added by programs, which are in tags.
fn last_sentence(messages: &[ModelMessage]) -> &str {
    let users = messages.iter().rev().filter_map(|message| match message {
        ModelMessage::User(content) => Some(content),
        _ => None,
    });
    users.flat_map(|content| texts(content)).next().unwrap_or_default()
}

fn texts(content: &[UserContent]) -> impl Iterator<Item = &str> {
    content.iter().filter_map(|content| match content {
        UserContent::Text(text) if !text.trim().is_empty() && !text.trim_start().starts_with('<') => Some(text.as_str()),
        _ => None,
    })
}

fn results_since_last_user(messages: &[ModelMessage]) -> Vec<&ToolResult> {
    let mut results: Vec<_> = messages
        .iter()
        .rev()
        .take_while(|message| !matches!(message, ModelMessage::User(_)))
        .filter_map(|message| match message {
            ModelMessage::Tool(results) => Some(results),
            _ => None,
        })
        .collect();
    results.reverse();
    results.into_iter().flatten().collect()
}

/// Requests without tools ask for a summary or a title.
fn without_tools(request: &ModelRequest) -> String {
    let asked = last_sentence(&request.messages);
    let wants_summary = request.system.iter().map(String::as_str).chain([asked]).any(|text| text.to_lowercase().contains("summar"));
    let said: Vec<_> = request
        .messages
        .iter()
        .filter_map(|message| match message {
            ModelMessage::User(content) => texts(content).next(),
            _ => None,
        })
        .collect();
    if wants_summary { answer::summary(&said) } else { answer::title(said.first().copied().unwrap_or_default()) }
}

fn deltas(step: Step, input: u64) -> Vec<Delta> {
    let (mut deltas, reason, written) = match step {
        Step::Say(text) => {
            let words = text.split_inclusive(char::is_whitespace).map(|word| Delta::Text(word.to_owned())).collect();
            (words, FinishReason::Stop, text.len())
        }
        Step::Call(calls) => {
            let calls: Vec<_> = calls
                .into_iter()
                .map(|call| (format!("call_{}", Ulid::generate()), call.tool.to_owned(), call.input.to_string()))
                .collect();
            let written = calls.iter().map(|(.., arguments)| arguments.len()).sum();
            let starts = calls.iter().map(|(id, name, _)| Delta::ToolCallStart { call_id: id.clone(), name: name.clone() });
            let dones = calls.iter().map(|(id, name, arguments)| Delta::ToolCallDone {
                call_id: id.clone(),
                name: name.clone(),
                arguments: arguments.clone(),
                metadata: None,
            });
            (starts.chain(dones).collect::<Vec<_>>(), FinishReason::ToolCalls, written)
        }
    };
    let tokens = Tokens { input, output: tokens_of(written), ..Tokens::default() };
    deltas.push(Delta::Finish { reason, tokens });
    deltas
}

/// About four bytes per token, as with real models, so that the usage is plausible.
fn tokens_of(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX)
}

fn history_tokens(request: &ModelRequest) -> u64 {
    let system: usize = request.system.iter().map(String::len).sum();
    let messages: usize = request
        .messages
        .iter()
        .map(|message| match message {
            ModelMessage::User(content) => texts(content).map(str::len).sum::<usize>(),
            ModelMessage::Tool(results) => results.iter().map(|result| result.output.len()).sum(),
            ModelMessage::Assistant(content) => content
                .iter()
                .map(|piece| match piece {
                    AssistantContent::Text(text) | AssistantContent::Reasoning { text, .. } => text.len(),
                    AssistantContent::ToolCall { .. } => 0,
                })
                .sum(),
        })
        .sum();
    tokens_of(system + messages)
}
