//! The calls of one answer run side by side, and are closed whatever happens.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::FutureExt as _;
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
        context::{Ask, ToolContext},
        definition::{AnyTool, ToolError, ToolOutput},
        output,
    },
};

/// After an abort a tool has this long to return what it has.
const ABORT_GRACE: Duration = Duration::from_millis(30);

/// A call that can be run.
pub(super) struct Prepared {
    pub part: ToolPart,
    pub tool: Arc<dyn AnyTool>,
    pub input: Value,
    /// The same call was made before, so a person is asked.
    pub repeated: bool,
}

/// Runs calls side by side and stores the end of each. `beyond` are parts that are closed already. Calls of the user ask
/// nothing.
pub(super) async fn execute(turn: &Arc<Turn>, prepared: Vec<Prepared>, beyond: Vec<Part>, is_of_user: bool) -> Result<StepEnd, Error> {
    let parts = prepared.iter().map(|call| Part::Tool(call.part.clone())).chain(beyond);
    turn.shared.store.commit(parts.fold(turn.unit(), Unit::part)).await?;
    turn.shared.statuses.begin_calls(&turn.session.id, prepared.len());
    let batch = Batch::new(turn, is_of_user);
    if turn.workspace.keeps_changes && !prepared.is_empty() && !turn.rules(&[]).denies_all("edit") {
        // So that the first command finds the files scanned.
        turn.shared.follow(&turn.workspace.checkout);
    }
    let mut running = Vec::new();
    for call in prepared {
        let host = CallHost::new(turn, call.part.clone(), &batch);
        let context = context(turn, &call.part, &host);
        let handle = batch.tasks.spawn("tool", one(Arc::clone(turn), call, context, Arc::clone(&host)));
        running.push((handle, host));
    }
    let mut end = StepEnd::Called;
    // One grace for all calls: an abort must not take longer because there are many.
    let grace = after_abort(&batch).shared();
    for (mut handle, host) in running {
        let result = tokio::select! {
            biased;
            result = &mut handle => result.ok(),
            () = grace.clone() => None,
        };
        match result {
            Some(Ok(Finished::Result)) => {}
            Some(Ok(Finished::Rejected)) => end = if end == StepEnd::Called { StepEnd::Rejected } else { end },
            // Its end is not stored, so no other call may go on.
            Some(Err(error)) => batch.fail(error),
            // It was aborted, or the tool panicked.
            Some(Ok(Finished::Aborted)) | None if turn.shared.is_shutting_down() && host.is_waiting() => end = StepEnd::Suspended,
            Some(Ok(Finished::Aborted)) | None => {
                let is_aborted = batch.tasks.token().is_cancelled();
                let defect = || ToolError::failed("the tool failed because of a defect of polytree; its log has the details");
                if let Err(error) = host.close(Err(if is_aborted { ToolError::Aborted } else { defect() })).await {
                    batch.fail(error);
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

/// When a call ends, its slot is released and it is no longer counted.
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
    let _running = turn.progress.begin_tool_call(&call.part.call_id, &call.part.tool);
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
    // Before a long result is written to a file.
    let result = redacted(&context.guard.secrets, result);
    let result = match result {
        Ok(output) => Ok(output::cap(&context, call.tool.is_paged(), output).await),
        Err(error) => Err(error),
    };
    host.close(result).await?;
    Ok(if rejected { Finished::Rejected } else { Finished::Result })
}

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
        kind: "repeat".into(),
        patterns: vec![name.clone()],
        always: vec![name.clone()],
        title: format!("The model called {name} with the same arguments {} times", repeats::REPEATS),
        metadata: json!({ "tool": name, "input": call.input }),
        ..Ask::default()
    };
    context.ask(ask).await
}

fn context(turn: &Arc<Turn>, part: &ToolPart, host: &Arc<CallHost>) -> ToolContext {
    let (cancel, file_times) = (host.batch().tasks.token().clone(), turn.shared.file_times(&turn.session.id));
    let context = turn.workspace.tool_context(&part.session_id, &part.message_id, file_times, cancel, Arc::clone(host) as _);
    ToolContext {
        call_id: part.call_id.clone(),
        agent: turn.agent.name.clone(),
        processes: Some(Arc::clone(&turn.shared.processes)),
        ..context
    }
}
