//! What the model can do with the background commands of its session: list them, read their output, end them.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use async_trait::async_trait;
use polytree_protocol::{
    id::ProcessId,
    process::{ProcessInfo, ProcessStatus},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    background::Background,
    context::ToolContext,
    definition::{Tool, ToolError, ToolOutput},
};
use crate::stdx::{paths::AbsPath, text::ellipsis, time::now_ms};

/// The longest wait for new output.
const MAX_WAIT: u64 = 60_000;
/// The most bytes of output that the model gets at once.
const MAX_READ: usize = 30_000;

pub struct Process;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProcessArgs {
    /// What to do.
    action: Action,
    /// The background command, for "read" and "end".
    #[serde(default)]
    id: Option<String>,
    /// For "read": where to begin, as an earlier result has said.
    #[serde(default)]
    offset: Option<u64>,
    /// For "read": how many milliseconds to wait for new output, at most 60000.
    #[serde(default)]
    wait: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Action {
    List,
    Read,
    End,
}

#[async_trait]
impl Tool for Process {
    const NAME: &'static str = "process";
    const DESCRIPTION: &'static str = include_str!("process.md");
    // No question: a session looks only at what it was allowed to start.
    const PERMISSION: &'static str = "bash";
    type Args = ProcessArgs;

    fn subject(args: &ProcessArgs, _: &AbsPath) -> String {
        let action = match args.action {
            Action::List => "list",
            Action::Read => "read",
            Action::End => "end",
        };
        [Some(action), args.id.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    async fn run(&self, context: &ToolContext, args: ProcessArgs) -> Result<ToolOutput, ToolError> {
        let processes = context.processes.as_ref().ok_or_else(|| ToolError::failed("There are no background commands here."))?;
        let own: Vec<Arc<Background>> = processes
            .list()
            .into_iter()
            .map(|(process, _)| process)
            .filter(|process| process.info().session_id == context.session_id)
            .collect();
        if args.action == Action::List {
            let infos: Vec<ProcessInfo> = own.iter().map(|process| process.info()).collect();
            let output = if infos.is_empty() { "This session has no background commands.".to_owned() } else { lines(&infos) };
            return Ok(ToolOutput::new(format!("{} background commands", infos.len()), output, json!({ "processes": infos })));
        }
        let named = args.id.as_deref().unwrap_or_default();
        let known = || own.iter().map(|process| process.info().id.to_string()).collect::<Vec<_>>().join(", ");
        let found = ProcessId::parse(named).ok().and_then(|id| own.iter().find(|process| process.info().id == id));
        let process = found.ok_or_else(|| match own.as_slice() {
            [] => ToolError::failed("This session has no background commands. Start one with `bash` and `background: true`."),
            _ => ToolError::failed(format!("`id` must be one of {}, not {named:?}.", known())),
        })?;
        match args.action {
            Action::End => {
                let was_running = process.is_running();
                process.ending.cancel();
                tokio::select! {
                    () = process.ended() => {}
                    () = context.cancel.cancelled() => return Err(ToolError::Aborted),
                }
                let info = process.info();
                let text = if was_running { "It was ended, with everything that it had started." } else { "It had ended before." };
                Ok(ToolOutput::new(ellipsis(&info.command, 200), format!("{text}\n{}", line(&info)), json!({ "processes": [info] })))
            }
            Action::Read | Action::List => read(context, process, &args).await,
        }
    }
}

async fn read(context: &ToolContext, process: &Background, args: &ProcessArgs) -> Result<ToolOutput, ToolError> {
    if let Some(wait) = args.wait.filter(|wait| *wait > 0) {
        let from = args.offset.unwrap_or_else(|| process.read(None, 0).next);
        tokio::select! {
            () = process.beyond(from) => {}
            () = tokio::time::sleep(Duration::from_millis(wait.min(MAX_WAIT))) => {}
            () = context.cancel.cancelled() => return Err(ToolError::Aborted),
        }
    }
    let piece = process.read(args.offset, MAX_READ);
    let info = process.info();
    let mut output = String::new();
    if let Some(offset) = args.offset.filter(|offset| *offset < piece.offset) {
        let _ = writeln!(output, "[the output from {offset} to {} is no longer kept]", piece.offset);
    }
    output.push_str(&piece.text);
    if !output.is_empty() && !output.ends_with('\n') {
        output.push('\n');
    }
    let _ = write!(output, "[{}; next offset {}]", state(&info), piece.next);
    let metadata = json!({ "processes": [info], "offset": piece.offset, "next": piece.next });
    Ok(ToolOutput::new(ellipsis(&info.command, 200), output, metadata))
}

fn state(info: &ProcessInfo) -> String {
    match (info.status, info.exit) {
        (ProcessStatus::Running, _) => "it is running".to_owned(),
        (ProcessStatus::Exited, Some(code)) => format!("it has ended with exit code {code}"),
        (ProcessStatus::Exited, None) => "it was ended".to_owned(),
    }
}

fn line(info: &ProcessInfo) -> String {
    let seconds = (info.ended.unwrap_or_else(now_ms) - info.started).max(0) / 1000;
    let command = ellipsis(&info.command.split_whitespace().collect::<Vec<_>>().join(" "), 200);
    format!("{} (pid {}, {seconds} s): {command}: {}", info.id, info.pid, state(info))
}

fn lines(infos: &[ProcessInfo]) -> String {
    infos.iter().map(line).collect::<Vec<_>>().join("\n")
}
