//! A command that goes on after its call: its output is kept within limits, and it ends when it is told to, with its session
//! or with the daemon. Permissions and sandbox are those of any other command.

use std::{ffi::OsStr, sync::Arc, time::Duration};

use polytree_protocol::{
    id::ProcessId,
    process::{ProcessInfo, ProcessStatus},
};
use serde_json::json;
use tokio::time::timeout;

use super::{
    ask::BashArgs,
    git_guard,
    output::Decoder,
    sandbox::{self, Execution},
    start::{GRACE, Started, append, start},
};
use crate::{
    stdx::{ids, paths::AbsPath, process::table, secrets::known::Redactor, tasks::Tasks, time::now_ms},
    tool::{
        background::{Background, CALL, Processes},
        context::ToolContext,
        definition::{ToolError, ToolOutput},
        guard::Guard,
    },
};

/// How long the call waits for a command that ends at once.
const FIRST: Duration = Duration::from_millis(1000);
/// The grace of one that ends with the daemon.
const GRACE_AT_SHUTDOWN: Duration = Duration::from_millis(300);
/// The most bytes of output that the call gives.
const SHOWN: usize = 10_000;

/// What is run, once it is allowed.
pub(super) struct Line<'a> {
    pub args: &'a BashArgs,
    pub title: String,
    pub shell: &'a OsStr,
    pub directory: &'a AbsPath,
    pub git: &'a [git_guard::Setting],
}

/// Why it may not be started, before anybody is asked.
pub(super) fn check(context: &ToolContext) -> Result<(), ToolError> {
    let Some(processes) = &context.processes else {
        return Err(ToolError::failed("Commands cannot run in the background here. Call it again without `background`."));
    };
    processes.refusal(&context.session_id).map_or(Ok(()), |reason| Err(ToolError::Failed(reason)))
}

/// Starts it, and returns with what it has printed first.
pub(super) async fn run(context: &ToolContext, how: Execution, line: Line<'_>) -> Result<ToolOutput, ToolError> {
    // Between the check and now others may have been started.
    check(context)?;
    let processes = context.processes.clone().ok_or_else(|| ToolError::failed("Commands cannot run in the background here."))?;
    let call = ulid::Ulid::generate().to_string();
    let noted = processes.note(&call);
    noted.map_err(|error| ToolError::failed(format!("The command was not started: it could not be noted: {error}.")))?;
    let report = how.report().cloned();
    let started = match start(context, &how, line.shell, &line.args.command, line.directory, line.git, &call).await {
        Ok(started) => started,
        Err(error) => {
            processes.forget_note(&call);
            sandbox::restore(how).await;
            return Err(error);
        }
    };
    let (mut command, mut description) = (line.args.command.clone(), line.args.description.clone());
    std::iter::once(&mut command).chain(&mut description).for_each(|text| context.guard.secrets.clean(text));
    let info = ProcessInfo {
        id: ProcessId::from_ulid(ids::next()),
        session_id: context.session_id.clone(),
        command,
        description,
        directory: line.directory.to_string(),
        pid: started.group.number().unwrap_or_default(),
        started: now_ms(),
        status: ProcessStatus::Running,
        exit: None,
        ended: None,
    };
    let id = info.id.clone();
    let process = match processes.started(&context.session_id, info).await {
        Ok(process) => process,
        Err(reason) => {
            // The group is killed with its value.
            drop(started);
            processes.forget_note(&call);
            sandbox::restore(how).await;
            return Err(ToolError::failed(format!("The command was not started: {reason}.")));
        }
    };
    let watching = Watching { processes: Arc::clone(&processes), process: Arc::clone(&process), guard: Arc::clone(&context.guard), call };
    drop(processes.tasks.spawn("background command", watching.run(started, how)));
    tokio::select! {
        _ = timeout(FIRST, process.ended()) => {}
        () = context.cancel.cancelled() => {
            process.ending.cancel();
            return Err(ToolError::Aborted);
        }
    }
    let (piece, info) = (process.read(Some(0), SHOWN), process.info());
    let mut output = piece.text;
    let note = match (info.status, info.exit) {
        (ProcessStatus::Running, _) => format!(
            "[It runs in the background as {id} (pid {}). Read more of its output with the tool `process`, from offset {}, and end it when it is no longer needed.]",
            info.pid, piece.next
        ),
        (ProcessStatus::Exited, Some(code)) => format!("[It has already ended, with exit code {code}.]"),
        (ProcessStatus::Exited, None) => "[It has already ended, by a signal.]".to_owned(),
    };
    append(&mut output, &note);
    let mut metadata = json!({ "description": line.args.description, "process": info, "output": output });
    if let Some(code) = info.exit {
        metadata["exit"] = json!(code);
    }
    if let Some(report) = report {
        metadata["sandbox"] = json!(report);
    }
    Ok(ToolOutput::new(line.title, output, metadata))
}

struct Watching {
    processes: Arc<Processes>,
    process: Arc<Background>,
    guard: Arc<Guard>,
    call: String,
}

impl Watching {
    async fn run(self, mut started: Started, how: Execution) {
        let (mut decoder, mut redactor) = (Decoder::default(), Redactor::default());
        let mut buffer = vec![0; 16 * 1024];
        let (mut is_open, mut status) = (true, None);
        let secrets = &self.guard.secrets;
        // Until the shell has ended and with it the whole group, or until it is to end.
        while status.is_none() || started.group.is_alive() {
            tokio::select! {
                biased;
                () = self.process.ending.cancelled() => break,
                read = started.output.read(&mut buffer), if is_open => match read {
                    Ok(count) if count > 0 => self.process.push(&redactor.push(secrets, &decoder.push(&buffer[..count]))),
                    _ => is_open = false,
                },
                ended = started.group.wait(), if status.is_none() => status = Some(ended.unwrap_or_default()),
                // There is no event for the end of the last process of a group.
                () = tokio::time::sleep(Duration::from_millis(250)), if status.is_some() => {}
            }
        }
        if self.process.ending.is_cancelled() {
            let is_shutdown = self.processes.tasks.token().is_cancelled();
            started.group.terminate();
            let grace = if is_shutdown { GRACE_AT_SHUTDOWN } else { GRACE };
            let _ = timeout(grace, started.group.ended()).await;
        }
        started.group.kill();
        if status.is_none() {
            status = timeout(GRACE, started.group.wait()).await.ok().and_then(Result::ok);
        }
        // What is still in the pipe; who holds it open longer is ended below.
        while is_open {
            match timeout(Duration::from_millis(20), started.output.read(&mut buffer)).await {
                Ok(Ok(count)) if count > 0 => self.process.push(&redactor.push(secrets, &decoder.push(&buffer[..count]))),
                _ => is_open = false,
            }
        }
        let rest = redactor.push(secrets, &decoder.finish()) + &redactor.finish(secrets);
        self.process.push(&rest);
        let _ = timeout(GRACE, started.group.ended()).await;
        if let Some(number) = started.group.number() {
            let call = self.call.clone();
            let left = Tasks::spawn_blocking(move || table::end_escaped(number, CALL, &call)).await;
            if left.is_ok_and(|left| left.is_empty()) {
                self.processes.forget_note(&self.call);
            }
        }
        // Nothing of it writes any more.
        let after = sandbox::restore(how).await;
        if let Some(note) = after.note() {
            self.process.push(&format!("\n{note}\n"));
        }
        self.processes.has_ended(&self.process, status.and_then(|status| status.code()), now_ms()).await;
    }
}
