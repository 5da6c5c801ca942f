//! The tool calls of one answer: repaired where the model erred, run side by side, closed whatever happens.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use polytree_protocol::{
    id::MessageId,
    part::{Part, Span, ToolCompleted, ToolFailed, ToolPart, ToolRunning, ToolState},
};
use serde_json::{Value, json};

use super::{Error, fold::Call, host::CallHost, turn::Turn};
use crate::{
    provider::definition::ToolSpec,
    stdx::time::now_ms,
    tool::{
        context::{Ask, ToolContext},
        definition::{AnyTool, ToolError, ToolOutput},
        output, select,
    },
};

/// After an abort a tool has this long to give what it has.
const ABORT_GRACE: Duration = Duration::from_millis(30);
/// The same call this many times in a row is asked about.
const REPEATS: usize = 3;

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

/// The last calls of a turn, to notice a model that goes in circles.
#[derive(Default)]
pub(super) struct Repeats(VecDeque<(String, Value)>);

impl Repeats {
    /// Notes a call; true when it is the same as the ones before it.
    fn note(&mut self, tool: &str, input: &Value) -> bool {
        self.0.push_back((tool.to_owned(), input.clone()));
        if self.0.len() > REPEATS {
            self.0.pop_front();
        }
        let circles = self.0.len() == REPEATS && self.0.iter().all(|(name, known)| name == tool && known == input);
        if circles {
            self.0.clear();
        }
        circles
    }
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
    turn.workspace.tools.iter().filter(move |tool| {
        let name = tool.name();
        name != "invalid" && select::is_offered(name, &[switches[0], switches[1], &prompt], |kind| rules.denies_all(kind))
    })
}

/// Arguments as a JSON object; no arguments are an empty one.
pub(super) fn parse_input(arguments: &str) -> Result<Value, String> {
    if arguments.trim().is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_str(arguments) {
        Ok(Value::Object(input)) => Ok(Value::Object(input)),
        Ok(_) => Err("the arguments are not a JSON object".to_owned()),
        Err(error) => Err(format!("the arguments are not valid JSON: {error}")),
    }
}

struct Prepared {
    part: ToolPart,
    tool: Arc<dyn AnyTool>,
    input: Value,
    repeated: bool,
}

/// Runs the calls of an answer.
pub(super) async fn run(turn: &Arc<Turn>, message: &MessageId, calls: Vec<Call>, repeats: &mut Repeats) -> Result<CallsEnd, Error> {
    let mut prepared = Vec::new();
    for call in calls {
        let (tool, input) = repair(turn, &call.name, &call.arguments);
        let repeated = repeats.note(tool.name(), &input);
        let part = ToolPart {
            id: call.part_id,
            session_id: turn.session.id.clone(),
            message_id: message.clone(),
            call_id: call.call_id,
            tool: tool.name().to_owned(),
            state: ToolState::Running(ToolRunning {
                input: input.clone(),
                title: None,
                metadata: None,
                time: Span { start: now_ms(), end: None },
            }),
            metadata: call.metadata,
        };
        prepared.push(Prepared { part, tool, input, repeated });
    }
    execute(turn, prepared).await
}

/// Runs those calls of an answer that a daemon before this one has left waiting; answers given by now are kept.
pub(super) async fn take_up(turn: &Arc<Turn>, _message: &MessageId, parts: Vec<Part>) -> Result<CallsEnd, Error> {
    let mut prepared = Vec::new();
    for part in parts {
        let Part::Tool(mut part) = part else { continue };
        let ToolState::Running(running) = &mut part.state else { continue };
        let input = running.input.clone();
        let (tool, input) = match turn.workspace.tools.iter().find(|tool| tool.name() == part.tool) {
            Some(tool) => (Arc::clone(tool), input),
            None => repair(turn, &part.tool, &input.to_string()),
        };
        running.metadata = None;
        prepared.push(Prepared { part, tool, input, repeated: false });
    }
    execute(turn, prepared).await
}

/// The tool and arguments that the model meant, or the tool that tells it what was wrong.
fn repair(turn: &Turn, name: &str, arguments: &str) -> (Arc<dyn AnyTool>, Value) {
    let lower = name.to_lowercase();
    let found = available(turn).find(|tool| tool.name() == name).or_else(|| available(turn).find(|tool| tool.name() == lower)).cloned();
    let problem = match (found, parse_input(arguments)) {
        (None, _) => {
            let known: Vec<&str> = available(turn).map(|tool| tool.name()).collect();
            format!("There is no tool `{name}`. The tools are: {}.", known.join(", "))
        }
        (Some(_), Err(problem)) => problem,
        (Some(tool), Ok(input)) => match tool.check(&input) {
            Ok(()) => return (tool, input),
            Err(problem) => problem,
        },
    };
    let invalid = turn.workspace.tools.iter().find(|tool| tool.name() == "invalid");
    let input = json!({ "tool": name, "error": problem });
    (invalid.cloned().unwrap_or_else(|| crate::tool::definition::erase(crate::tool::invalid::Invalid)), input)
}

async fn execute(turn: &Arc<Turn>, prepared: Vec<Prepared>) -> Result<CallsEnd, Error> {
    let parts: Vec<Part> = prepared.iter().map(|call| Part::Tool(call.part.clone())).collect();
    let voice = turn.voice.clone();
    turn.shared
        .database
        .write::<_, Error>(move |write| {
            for part in &parts {
                voice.part(write, part)?;
            }
            Ok(())
        })
        .await?;
    turn.shared.statuses.begin_calls(&turn.session.id, prepared.len());
    let mut running = Vec::new();
    for call in prepared {
        let host = CallHost::new(turn, call.part.clone());
        let context = context(turn, &call.part, &host);
        let handle = turn.tasks.spawn("tool", one(Arc::clone(turn), call, context, Arc::clone(&host)));
        running.push((handle, host));
    }
    let mut end = CallsEnd::Done;
    for (handle, host) in running {
        let mut handle = handle;
        let result = tokio::select! {
            result = &mut handle => result.ok(),
            () = after_abort(turn) => None,
        };
        match result {
            Some(Ok(Finished::Result)) => {}
            Some(Ok(Finished::Rejected)) => end = if end == CallsEnd::Done { CallsEnd::Rejected } else { end },
            Some(Err(error)) => return Err(error),
            // It was cut off, or the tool has a defect that made it panic.
            Some(Ok(Finished::Aborted)) | None => {
                if turn.shared.is_leaving() && host.is_waiting() {
                    end = CallsEnd::Left;
                } else {
                    let aborted = turn.tasks.token().is_cancelled();
                    host.close(if aborted {
                        Err(ToolError::Aborted)
                    } else {
                        Err(ToolError::failed("the tool failed because of a defect of polytree; its log has the details"))
                    })
                    .await?;
                }
            }
        }
    }
    if end != CallsEnd::Left && turn.tasks.token().is_cancelled() {
        end = CallsEnd::Aborted;
    }
    Ok(end)
}

async fn after_abort(turn: &Turn) {
    turn.tasks.token().cancelled().await;
    tokio::time::sleep(ABORT_GRACE).await;
}

enum Finished {
    Result,
    Rejected,
    Aborted,
}

async fn one(turn: Arc<Turn>, call: Prepared, context: ToolContext, host: Arc<CallHost>) -> Result<Finished, Error> {
    let _running = turn.progress.runs(&call.part.call_id, &call.part.tool);
    let result = match ask_repeated(&call, &context).await {
        Ok(()) => call.tool.call(&context, call.input).await,
        Err(error) => Err(error),
    };
    turn.shared.statuses.end_call(&turn.session.id);
    if matches!(result, Err(ToolError::Aborted)) && turn.tasks.token().is_cancelled() {
        return Ok(Finished::Aborted);
    }
    let rejected = matches!(result, Err(ToolError::Rejected { message: None }));
    let result = match result {
        Ok(output) => Ok(output::cap(&context, call.tool.name(), output).await),
        Err(error) => Err(error),
    };
    host.close(result).await?;
    Ok(if rejected { Finished::Rejected } else { Finished::Result })
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
        force: false,
        title: format!("The model called {name} with the same arguments {REPEATS} times"),
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
        output_limits: turn.workspace.output_limits,
        cancel: turn.tasks.token().clone(),
        environment: Arc::clone(&turn.workspace.environment),
        file_times: turn.shared.file_times(&turn.session.id),
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
