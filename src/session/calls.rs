//! The tool calls of one answer: repaired where the model erred, run side by side, closed whatever happens.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use polytree_protocol::{
    id::MessageId,
    part::{Part, Span, ToolCompleted, ToolFailed, ToolPart, ToolRunning, ToolState},
};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Error, choices,
    circles::{self, Circles},
    fold::Call,
    host::CallHost,
    structured,
    turn::Turn,
};
use crate::{
    provider::definition::ToolSpec,
    stdx::{paths::AbsPath, secrets::known::KnownSecrets, tasks::Tasks, time::now_ms},
    store::Unit,
    tool::{
        context::{Ask, Sandboxing, ToolContext},
        definition::{AnyTool, Tool as _, ToolError, ToolOutput, erase},
        file_times::Stamp,
        invalid::Invalid,
        output, select,
    },
};

/// After an abort a tool has this long to give what it has.
const ABORT_GRACE: Duration = Duration::from_millis(30);
/// So many calls of an answer work at once; the others wait. Waiting for a person is no work.
const AT_ONCE: usize = 8;
/// So many calls of one answer are run; a model that wants more has lost its way, and is told so.
const MOST_CALLS: usize = 128;

/// What the calls of one answer share.
#[derive(Debug)]
pub(super) struct Batch {
    /// Cancelled with the turn, and when the end of one call cannot be stored.
    tasks: Tasks,
    slots: Arc<Semaphore>,
    /// The user has refused one of them: what has not begun will not.
    refused: AtomicBool,
    /// Why something that a call told while it ran could not be stored. Held to set it or to take it.
    failure: Mutex<Option<Error>>,
}

impl Batch {
    fn new(turn: &Turn) -> Arc<Self> {
        Arc::new(Self {
            tasks: turn.tasks.child(),
            slots: Arc::new(Semaphore::new(AT_ONCE)),
            refused: AtomicBool::new(false),
            failure: Mutex::default(),
        })
    }

    /// Something could not be stored, so the turn ends: every call is cancelled now, however long it would still run.
    pub(super) fn fail(&self, error: Error) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.tasks.cancel();
    }

    /// Waits until another call may work; `None` when they are cancelled before.
    pub(super) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.tasks.token().cancelled() => None,
            slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
        }
    }
}

/// How the calls of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallsEnd {
    /// Each has its result.
    Done,
    /// The user refused one without saying what to do instead.
    Rejected,
    /// The turn was aborted; every part is closed.
    Aborted,
    /// The daemon ends while a question is open; the waiting parts are left as they are.
    Left,
}

/// The tools that the model is offered.
pub(super) fn offered(turn: &Turn) -> Vec<ToolSpec> {
    available(turn)
        .map(|tool| ToolSpec { name: tool.name().to_owned(), description: tool.description().to_owned(), parameters: tool.parameters() })
        .collect()
}

fn available(turn: &Turn) -> impl Iterator<Item = &Arc<dyn AnyTool>> {
    let rules = turn.rules(&[]);
    let switches = [&turn.workspace.tool_switches, &turn.agent.tools];
    let prompt = turn.user.tools.clone().unwrap_or_default();
    let offered = turn.workspace.tools.iter().filter(move |tool| {
        let name = tool.name();
        name != "invalid" && select::is_offered(name, &[switches[0], switches[1], &prompt], |kind| rules.denies_all(kind))
    });
    // By it the answer is given: no switch takes it away.
    offered.chain(&turn.form_tool)
}

/// Arguments as a JSON object; no arguments are an empty one. Some models encode the object once more, as text.
pub(super) fn parse_input(arguments: &str) -> Result<Value, String> {
    if arguments.trim().is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_str(arguments) {
        Ok(Value::Object(input)) => Ok(Value::Object(input)),
        Ok(Value::Null) => Ok(json!({})),
        Ok(Value::String(text)) => parse_input(&text),
        Ok(_) => Err("the arguments are not a JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are not valid JSON: {error}")),
    }
}

/// Whether a call has no arguments: at the output limit they were about to come. Providers hand on none as `{}`.
fn is_unwritten(arguments: &str) -> bool {
    parse_input(arguments).is_ok_and(|input| input.as_object().is_none_or(serde_json::Map::is_empty))
}

struct Prepared {
    part: ToolPart,
    tool: Arc<dyn AnyTool>,
    input: Value,
    repeated: bool,
}

/// Runs the calls of an answer. With `at_limit` it ended at the output limit: then the last call may have been cut.
pub(super) async fn run(
    turn: &Arc<Turn>,
    message: &MessageId,
    calls: Vec<Call>,
    at_limit: bool,
    circles: &mut Circles,
) -> Result<CallsEnd, Error> {
    let tools: Vec<_> = available(turn).cloned().collect();
    let (mut prepared, mut beyond) = (Vec::new(), Vec::new());
    let last = calls.len().saturating_sub(1);
    let (mut was_cut, mut usable) = (false, false);
    for (place, call) in calls.into_iter().enumerate() {
        let may_be_cut = at_limit && place == last;
        let (tool, input, cut) = match repair(&tools, &call.name, &call.arguments) {
            Ok((tool, input)) if !may_be_cut || !is_unwritten(&call.arguments) => (tool, input, false),
            _ if may_be_cut => {
                let (tool, input) = invalid(turn, &call.name, &cut_call(turn));
                (tool, input, true)
            }
            Ok((tool, input)) => (tool, input, false),
            Err(problem) => {
                let (tool, input) = invalid(turn, &call.name, &problem);
                (tool, input, false)
            }
        };
        was_cut |= cut;
        usable |= tool.name() != Invalid::NAME;
        let running = ToolRunning { input: input.clone(), title: None, metadata: None, time: Span { start: now_ms(), end: None } };
        let mut part = ToolPart {
            id: call.part_id,
            session_id: turn.session.id.clone(),
            message_id: message.clone(),
            call_id: call.call_id,
            tool: tool.name().to_owned(),
            state: ToolState::Running(running.clone()),
            metadata: call.metadata,
        };
        if prepared.len() < MOST_CALLS {
            // How often an answer may be given wrongly is the prompt's to say.
            let repeated = !cut && call.name != structured::TOOL && circles.call(tool.name(), &input);
            prepared.push(Prepared { part, tool, input, repeated });
        } else {
            let text = format!(
                "This call was not run: an answer may hold at most {MOST_CALLS} tool calls. If it is still needed, make it in your next answer."
            );
            part.state = closed(&running, Err(ToolError::Failed(text)));
            beyond.push(Part::Tool(part));
        }
    }
    circles.answer(was_cut, usable);
    execute(turn, prepared, beyond).await
}

/// Runs those calls of an answer that a daemon before this one has left waiting; answers given by now are kept.
pub(super) async fn take_up(turn: &Arc<Turn>, message: &MessageId, parts: Vec<Part>) -> Result<CallsEnd, Error> {
    remember_files(turn, message).await?;
    let tools: Vec<_> = available(turn).cloned().collect();
    let mut prepared = Vec::new();
    for part in parts {
        let Part::Tool(mut part) = part else { continue };
        let ToolState::Running(running) = &mut part.state else { continue };
        let input = running.input.clone();
        let (tool, input) = match turn.workspace.tools.iter().find(|tool| tool.name() == part.tool) {
            Some(tool) => (Arc::clone(tool), input),
            None => repair(&tools, &part.tool, &input.to_string()).unwrap_or_else(|problem| invalid(turn, &part.tool, &problem)),
        };
        running.metadata = None;
        prepared.push(Prepared { part, tool, input, repeated: false });
    }
    execute(turn, prepared, Vec::new()).await
}

/// What the session had read before the restart, as far as the questions tell: a change is resumed only if the file is
/// still what the question was about.
async fn remember_files(turn: &Turn, message: &MessageId) -> Result<(), Error> {
    let asked = turn.shared.store.asked_in(turn.session.id.clone(), message.clone()).await?;
    let file_times = turn.shared.file_times(&turn.session.id);
    for question in asked.iter().filter(|question| question.kind == "edit") {
        let text = |field: &str| question.metadata[field].as_str();
        if let Some(path) = text("filePath").and_then(AbsPath::new)
            && let Some(hash) = text("version").and_then(|version| blake3::Hash::from_hex(version).ok())
            && file_times.last(&path).is_none()
        {
            file_times.record(&path, Stamp { hash, length: 0, modified: None });
        }
    }
    Ok(())
}

/// The tool and arguments that the model meant.
///
/// # Errors
/// What is wrong with the call, for the model.
fn repair(tools: &[Arc<dyn AnyTool>], name: &str, arguments: &str) -> Result<(Arc<dyn AnyTool>, Value), String> {
    let lower = name.to_lowercase();
    let found = tools.iter().find(|tool| tool.name() == name).or_else(|| tools.iter().find(|tool| tool.name() == lower)).cloned();
    let Some(tool) = found else {
        let known: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
        return Err(format!("There is no tool `{name}`. The tools are: {}.", known.join(", ")));
    };
    let input = parse_input(arguments)?;
    let input = tool.check(&input)?;
    Ok((tool, input))
}

/// The tool that tells the model what was wrong with a call.
fn invalid(turn: &Turn, name: &str, problem: &str) -> (Arc<dyn AnyTool>, Value) {
    let invalid = turn.workspace.tools.iter().find(|tool| tool.name() == Invalid::NAME);
    (invalid.cloned().unwrap_or_else(|| erase(Invalid)), json!({ "tool": name, "error": problem }))
}

/// What the model is told of a call that the output limit has cut off.
fn cut_call(turn: &Turn) -> String {
    let limit = choices::choices(&turn.user, &turn.agent, &turn.model).max_output_tokens;
    format!(
        "Your answer reached the output limit (at most {limit} tokens), which cut this call off in the middle of its arguments: it was not \
         run. Do not repeat it as it was. Make it shorter: write a long file in several calls, each with a part of it, or change \
         only the lines that differ."
    )
}

async fn execute(turn: &Arc<Turn>, prepared: Vec<Prepared>, beyond: Vec<Part>) -> Result<CallsEnd, Error> {
    let parts = prepared.iter().map(|call| Part::Tool(call.part.clone())).chain(beyond);
    turn.shared.store.commit(parts.fold(turn.unit(), Unit::part)).await?;
    turn.shared.statuses.begin_calls(&turn.session.id, prepared.len());
    let batch = Batch::new(turn);
    let mut running = Vec::new();
    for call in prepared {
        let host = CallHost::new(turn, call.part.clone(), &batch);
        let context = context(turn, &call.part, &host);
        let handle = batch.tasks.spawn("tool", one(Arc::clone(turn), call, context, Arc::clone(&host)));
        running.push((handle, host));
    }
    let mut end = CallsEnd::Done;
    let grace = after_abort(&batch);
    tokio::pin!(grace);
    let mut grace_is_over = false;
    for (mut handle, host) in running {
        let result = tokio::select! {
            biased;
            result = &mut handle => result.ok(),
            () = &mut grace, if !grace_is_over => {
                grace_is_over = true;
                None
            }
            // One grace for all of them: an abort must not take longer because there are many.
            () = std::future::ready(()), if grace_is_over => None,
        };
        match result {
            Some(Ok(Finished::Result)) => {}
            Some(Ok(Finished::Rejected)) => end = if end == CallsEnd::Done { CallsEnd::Rejected } else { end },
            // Its end is not in the store. Nothing may run on behind the turn's back.
            Some(Err(error)) => batch.fail(error),
            // It was cut off, or the tool has a defect that made it panic.
            Some(Ok(Finished::Aborted)) | None => {
                if turn.shared.is_leaving() && host.is_waiting() {
                    end = CallsEnd::Left;
                } else {
                    let aborted = batch.tasks.token().is_cancelled();
                    let closed = host.close(if aborted {
                        Err(ToolError::Aborted)
                    } else {
                        Err(ToolError::failed("the tool failed because of a defect of polytree; its log has the details"))
                    });
                    if let Err(error) = closed.await {
                        batch.fail(error);
                    }
                }
            }
        }
    }
    if let Some(failure) = batch.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(failure);
    }
    if end != CallsEnd::Left && turn.tasks.token().is_cancelled() {
        end = CallsEnd::Aborted;
    }
    Ok(end)
}

async fn after_abort(batch: &Batch) {
    batch.tasks.token().cancelled().await;
    tokio::time::sleep(ABORT_GRACE).await;
}

enum Finished {
    Result,
    Rejected,
    Aborted,
}

/// The end of a call: its slot is given back, and it is no longer counted.
struct Ending<'a> {
    turn: &'a Turn,
    host: &'a CallHost,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.host.rest();
        self.turn.shared.statuses.end_call(&self.turn.session.id);
    }
}

async fn one(turn: Arc<Turn>, call: Prepared, context: ToolContext, host: Arc<CallHost>) -> Result<Finished, Error> {
    // Also where the tool panics.
    let _ending = Ending { turn: &turn, host: &host };
    if !host.begin().await {
        return Ok(Finished::Aborted);
    }
    let _running = turn.progress.runs(&call.part.call_id, &call.part.tool);
    let result = if host.batch().refused.load(Ordering::Relaxed) {
        Err(ToolError::failed("this call was not run, because the user rejected another one of the same answer"))
    } else {
        match ask_repeated(&call, &context).await {
            Ok(()) => call.tool.call(&context, call.input).await,
            Err(error) => Err(error),
        }
    };
    if matches!(result, Err(ToolError::Aborted)) && host.batch().tasks.token().is_cancelled() {
        return Ok(Finished::Aborted);
    }
    let rejected = matches!(result, Err(ToolError::Rejected { message: None }));
    if rejected {
        host.batch().refused.store(true, Ordering::Relaxed);
    }
    // Before the whole of a long result is kept in a file.
    let result = redacted(&context.guard.secrets, result);
    let result = match result {
        Ok(output) => Ok(output::cap(&context, call.tool.name(), output).await),
        Err(error) => Err(error),
    };
    host.close(result).await?;
    Ok(if rejected { Finished::Rejected } else { Finished::Result })
}

/// The result without keys.
fn redacted(secrets: &KnownSecrets, result: Result<ToolOutput, ToolError>) -> Result<ToolOutput, ToolError> {
    match result {
        Ok(mut output) => {
            secrets.clean(&mut output.title);
            secrets.clean(&mut output.output);
            secrets.clean_value(&mut output.metadata);
            Ok(output)
        }
        Err(ToolError::Failed(text)) => Err(ToolError::Failed(secrets.redact(&text).into_owned())),
        Err(error) => Err(error),
    }
}

async fn ask_repeated(call: &Prepared, context: &ToolContext) -> Result<(), ToolError> {
    if !call.repeated {
        return Ok(());
    }
    let name = call.tool.name().to_owned();
    let ask = Ask {
        kind: "repeat",
        patterns: vec![name.clone()],
        always: vec![name.clone()],
        quiet: Vec::new(),
        force: false,
        title: format!("The model called {name} with the same arguments {} times", circles::REPEATS),
        metadata: json!({ "tool": name, "input": call.input }),
    };
    context.host.ask(context, ask).await
}

fn context(turn: &Arc<Turn>, part: &ToolPart, host: &Arc<CallHost>) -> ToolContext {
    ToolContext {
        session_id: part.session_id.clone(),
        message_id: part.message_id.clone(),
        call_id: part.call_id.clone(),
        agent: turn.agent.name.clone(),
        directory: turn.workspace.directory.clone(),
        worktree: turn.workspace.worktree.clone(),
        output_directory: turn.workspace.output_directory.clone(),
        unfinished: turn.workspace.unfinished.clone(),
        device: turn.workspace.device,
        output_limits: turn.workspace.output_limits,
        cancel: host.batch().tasks.token().clone(),
        environment: Arc::clone(&turn.workspace.environment),
        guard: Arc::clone(&turn.workspace.guard),
        file_times: turn.shared.file_times(&turn.session.id),
        overlay: Arc::clone(&turn.workspace.overlay),
        buffers: turn.workspace.buffers,
        recent: Arc::clone(&turn.workspace.recent),
        sandbox: Some(Arc::new(Sandboxing {
            sandbox: Arc::clone(&turn.workspace.sandbox),
            settings: Arc::clone(&turn.workspace.sandbox_settings),
        })),
        host: Arc::clone(host) as _,
    }
}

/// The closed state of a call.
pub(super) fn closed(running: &ToolRunning, result: Result<ToolOutput, ToolError>) -> ToolState {
    let time = Span { start: running.time.start, end: Some(now_ms()) };
    match result {
        Ok(output) => ToolState::Completed(ToolCompleted {
            input: running.input.clone(),
            output: output.output,
            title: output.title,
            metadata: if output.metadata.is_null() { json!({}) } else { output.metadata },
            time,
            attachments: output.attachments,
        }),
        Err(error) => {
            let mut metadata = running.metadata.clone();
            if error == ToolError::Aborted {
                let fields = metadata.get_or_insert_with(|| json!({}));
                fields["aborted"] = Value::Bool(true);
            }
            ToolState::Error(ToolFailed { input: running.input.clone(), error: error.to_string(), metadata, time })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_however_often_they_were_encoded() {
        let object = json!({ "filePath": "a" });
        let mut arguments = object.to_string();
        for _ in 0..3 {
            assert_eq!(parse_input(&arguments), Ok(object.clone()), "{arguments}");
            arguments = json!(arguments).to_string();
        }
        for nothing in ["", " ", "null", "\"\"", "\"null\""] {
            assert_eq!(parse_input(nothing), Ok(json!({})), "{nothing}");
        }
        for nothing in ["", "{}", " { } ", "null"] {
            assert!(is_unwritten(nothing), "{nothing}");
        }
        assert!(!is_unwritten("{\"a\":1}") && !is_unwritten("{"));
        for wrong in ["[1]", "\"text\"", "{", "5"] {
            assert!(parse_input(wrong).is_err(), "{wrong}");
        }
    }
}
