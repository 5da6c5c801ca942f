//! The calls of one answer run side by side, and are closed whatever happens.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use polytree_protocol::part::{Part, ToolPart};
use serde_json::{Value, json};

use super::{batch::Batch, host::CallHost};
use crate::{
    session::{
        Error,
        turn::{next::StepEnd, repeats, state::Turn},
    },
    stdx::secrets::known::KnownSecrets,
    store::Unit,
    tool::{
        context::{Ask, Sandboxing, ToolContext},
        definition::{AnyTool, ToolError, ToolOutput},
        output,
    },
};

/// After an abort a tool has this long to give what it has.
const ABORT_GRACE: Duration = Duration::from_millis(30);

/// A call that can be run.
pub(super) struct Prepared {
    pub part: ToolPart,
    pub tool: Arc<dyn AnyTool>,
    pub input: Value,
    /// The same call was made before, so a person is asked.
    pub repeated: bool,
}

/// Runs calls side by side and stores the end of each. `beyond` are parts that are closed already.
pub(super) async fn execute(turn: &Arc<Turn>, prepared: Vec<Prepared>, beyond: Vec<Part>) -> Result<StepEnd, Error> {
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
    let mut end = StepEnd::Called;
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
            Some(Ok(Finished::Rejected)) => end = if end == StepEnd::Called { StepEnd::Rejected } else { end },
            // Its end is not in the store. Nothing may run on behind the turn's back.
            Some(Err(error)) => batch.fail(error),
            // It was cut off, or the tool has a defect that made it panic.
            Some(Ok(Finished::Aborted)) | None => {
                if turn.shared.is_leaving() && host.is_waiting() {
                    end = StepEnd::Suspended;
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
    if let Some(failure) = batch.take_failure() {
        return Err(failure);
    }
    if end != StepEnd::Suspended && turn.tasks.token().is_cancelled() {
        end = StepEnd::Aborted;
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
        title: format!("The model called {name} with the same arguments {} times", repeats::REPEATS),
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
