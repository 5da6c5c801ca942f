//! Runs a command line, streams what it prints, and ends everything that it started.

mod ask;
mod background;
mod bounds;
pub mod commands;
mod directories;
mod environment;
mod files;
mod git_guard;
mod git_keys;
mod git_uses;
mod hidden;
mod output;
mod places;
mod programs;
mod sandbox;
mod screen;
mod start;
mod stored;

use std::{ffi::OsStr, process::ExitStatus, time::Duration};

use async_trait::async_trait;
use polytree_protocol::sandbox::SandboxPolicy;
use serde_json::json;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::{
    background::CALL,
    context::ToolContext,
    definition::{Tool, ToolError, ToolOutput},
};
use crate::stdx::{
    paths::AbsPath,
    process::{
        Group, SharedOutput, find_program,
        table::{self, Process},
    },
    secrets::known::Redactor,
    tasks::Tasks,
    text::{ellipsis, suffix},
};
use ask::{Allowed, BashArgs, ask, title, working_directory};
use commands::{Dialect, analyse};
use output::{Decoder, Keeper, Kept, Limits};
use sandbox::Execution;
use screen::Screen;
use start::{GRACE, Started, append, start};

const DEFAULT_TIMEOUT: u64 = 120_000;
/// The longest time that a command may take, in milliseconds.
pub(crate) const MAX_TIMEOUT: u64 = 600_000;
/// What Linux takes as one argument.
const MAX_COMMAND: usize = 128 * 1024 - 1;
const GRACE_AFTER_ABORT: Duration = Duration::from_millis(200);
/// How long what the shell leaves behind may still write.
const AFTER_EXIT: Duration = Duration::from_millis(100);
/// A longer output is not kept whole.
const MAX_KEPT_BYTES: u64 = 64 * 1024 * 1024;
/// Clients are not sent more than this while it runs; the result holds the end.
const STREAMED: usize = 1024 * 1024;
const PREVIEW: usize = 8_000;
/// The maximum number of background processes that are named.
const MAX_NAMED: usize = 10;

#[derive(Debug, Default, Clone, Copy)]
pub struct Bash;

#[async_trait]
impl Tool for Bash {
    const NAME: &'static str = "bash";
    const DESCRIPTION: &'static str = include_str!("bash.md");
    const PERMISSION: &'static str = "bash";
    type Args = BashArgs;

    fn subject(args: &BashArgs, _: &AbsPath) -> String {
        args.command.clone()
    }

    async fn run(&self, context: &ToolContext, args: BashArgs) -> Result<ToolOutput, ToolError> {
        if args.command.trim().is_empty() {
            return Err(ToolError::failed("The command is empty. Please give a command line to run."));
        }
        if args.command.contains('\0') {
            return Err(ToolError::failed("The command contains a zero byte, which no shell can read. Please leave it out."));
        }
        if args.command.len() > MAX_COMMAND {
            return Err(ToolError::failed(
                "The command line is longer than 128 KiB, which no shell takes. Please write it to a script file and run that.",
            ));
        }
        let directory = working_directory(context, args.workdir.as_deref())?;
        let path = context.environment.get("PATH").map(OsStr::new);
        let bash = find_program("bash", path).or_else(|| find_program("bash", None));
        let dialect = if bash.is_some() { Dialect::Bash } else { Dialect::Posix };
        let shell = bash.or_else(|| find_program("sh", path)).or_else(|| find_program("sh", None));
        let shell = shell.ok_or_else(|| ToolError::failed("There is neither bash nor sh on this machine, so no command can be run."))?;

        let is_background = args.background == Some(true);
        if is_background {
            background::check(context)?;
        }
        let line = args.command.clone();
        // Reading a long line takes its time, which must not be that of other sessions.
        let analysis = super::path::blocking(move || Ok(analyse(&line, dialect))).await?;
        let Allowed { how, git } = ask(context, &args, &directory, &analysis).await?;

        let title = title(context, &args);
        let mut metadata = json!({ "command": args.command, "description": args.description });
        if let Some(report) = how.report() {
            metadata["sandbox"] = json!(report);
        }
        context.host.progress(context, Some(title.clone()), metadata).await;
        let limit = args.timeout.filter(|limit| *limit > 0).unwrap_or(DEFAULT_TIMEOUT).min(MAX_TIMEOUT);
        let report = how.report().cloned();
        // What is allowed because it changes nothing needs no undo.
        let changes_files = report.as_ref().is_none_or(|report| report.policy != SandboxPolicy::ReadOnly);
        if changes_files {
            tokio::select! {
                noted = context.host.before_command(&directory) => noted?,
                () = context.cancel.cancelled() => return Err(ToolError::Aborted),
            }
        }
        if is_background {
            let line = background::Line { args: &args, title, shell: shell.as_os_str(), directory: &directory, git: &git };
            let output = background::run(context, how, line).await;
            if changes_files {
                context.host.after_command().await;
            }
            return output;
        }
        let finished = execute(context, &how, shell.as_os_str(), &args.command, &directory, &git, Duration::from_millis(limit)).await;
        // However it has ended.
        let after = sandbox::restore(how).await;
        if changes_files {
            context.host.after_command().await;
        }
        let finished = finished?;
        if finished.end == End::Aborted {
            return Err(ToolError::Aborted);
        }
        let mut output = result(&args, title, limit, finished);
        if let Some(mut report) = report {
            let has_failed = output.metadata["exit"] != 0;
            // Of several commands it is the exit code of one.
            let exit = (has_failed || analysis.commands.len() < 2).then_some(has_failed);
            report.refused = sandbox::refused(&report, &output.output, exit);
            after.tell(&mut report);
            let notes = [sandbox::note(&report, &output.output), after.note()];
            notes.into_iter().flatten().for_each(|note| append(&mut output.output, &note));
            output.metadata["sandbox"] = json!(report);
        }
        Ok(output)
    }
}

/// How a command came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// By itself.
    Exited,
    /// By itself, but it left something running, which was ended.
    LeftBehind,
    /// Its time was over.
    TimedOut,
    /// The turn was aborted.
    Aborted,
}

struct Finished {
    kept: Kept,
    status: Option<ExitStatus>,
    end: End,
    /// Processes that it has started and that still run.
    gone_on: Vec<Process>,
}

async fn execute(
    context: &ToolContext,
    how: &Execution,
    shell: &OsStr,
    line: &str,
    directory: &AbsPath,
    git: &[git_guard::Setting],
    limit: Duration,
) -> Result<Finished, ToolError> {
    let call = ulid::Ulid::generate().to_string();
    // The next daemon ends what this one could not, because it was killed.
    if let Some(processes) = &context.processes
        && let Err(error) = processes.note(&call)
    {
        tracing::warn!(%error, "a command could not be noted");
    }
    // Its proxy ends with the command.
    let Started { group, output, _proxy } = start(context, how, shell, line, directory, git, &call).await?;
    let mut run = Run {
        context,
        group,
        output,
        is_open: true,
        buffer: vec![0; 64 * 1024],
        decoder: Decoder::default(),
        screen: Screen::default(),
        kept_back: Redactor::default(),
        streamed_back: Redactor::default(),
        keeper: Keeper::new(context.output_directory.clone(), Limits::new(context.output_limits, MAX_KEPT_BYTES)),
        streamed: 0,
        status: None,
    };
    let end = run.finish(Instant::now() + limit).await;
    run.group.kill();
    let mut rest = run.decoder.finish();
    rest = run.screen.push(&rest) + &run.screen.finish();
    rest = run.kept_back.push(&context.guard.secrets, &rest) + &run.kept_back.finish(&context.guard.secrets);
    run.keeper.push(&rest).await;
    let number = run.group.number();
    let is_confined = matches!(how, Execution::Confined(_));
    if is_confined {
        // What it should not have changed is put back after this, and nothing of it may write then.
        let _ = timeout(GRACE, run.group.ended()).await;
    }
    let look = if is_confined { table::end_escaped } else { table::escaped };
    let sought = call.clone();
    let gone_on = Tasks::spawn_blocking(move || number.map(|group| look(group, CALL, &sought)).unwrap_or_default());
    let mut gone_on = gone_on.await.unwrap_or_default();
    if let Some(processes) = &context.processes {
        processes.forget_note(&call);
    }
    // Before they are cut.
    gone_on.iter_mut().for_each(|process| context.guard.secrets.clean(&mut process.command));
    Ok(Finished { kept: run.keeper.finish().await, status: run.status, end, gone_on })
}

enum Event {
    /// The size of the buffer in bytes.
    Output(usize),
    Closed,
    Exited(ExitStatus),
}

/// A command that runs.
struct Run<'a> {
    context: &'a ToolContext,
    group: Group,
    output: SharedOutput,
    /// Whether more output may come.
    is_open: bool,
    buffer: Vec<u8>,
    decoder: Decoder,
    screen: Screen,
    /// Takes keys out of what is kept, and out of what is sent as it comes.
    kept_back: Redactor,
    streamed_back: Redactor,
    keeper: Keeper,
    streamed: usize,
    status: Option<ExitStatus>,
}

impl Run<'_> {
    async fn finish(&mut self, deadline: Instant) -> End {
        let cancel = self.context.cancel.clone();
        let natural = tokio::select! {
            biased;
            () = cancel.cancelled() => End::Aborted,
            () = sleep_until(deadline) => End::TimedOut,
            end = self.natural_end() => end,
        };
        let grace = match natural {
            End::Exited | End::LeftBehind => return natural,
            End::TimedOut => GRACE,
            End::Aborted => GRACE_AFTER_ABORT,
        };
        self.group.terminate();
        if natural == End::Aborted {
            // What it still prints is not read; back-pressure stops a flood.
            let _ = timeout(grace, self.group.wait()).await;
            self.group.kill();
            return natural;
        }
        tokio::select! {
            biased;
            () = cancel.cancelled() => {}
            () = sleep(grace) => {}
            () = self.quiet_end() => {}
        }
        self.group.kill();
        // What is in the pipe now is still worth keeping; who has left the group may hold it open for ever.
        let _ = timeout(Duration::from_millis(20), self.quiet_end()).await;
        natural
    }

    /// Until the shell has ended, and what it started has ended too or has reached its timeout.
    async fn natural_end(&mut self) -> End {
        while self.status.is_none() {
            let event = self.next().await;
            self.handle(event, true).await;
        }
        let last = Instant::now() + AFTER_EXIT;
        while self.is_open || self.group.is_alive() {
            if Instant::now() >= last {
                // Who has left the group may hold the pipe, and is not ended.
                return if self.group.is_alive() { End::LeftBehind } else { End::Exited };
            }
            // There is no event for the end of the last process of a group.
            let event = timeout(Duration::from_millis(5), self.next()).await;
            if let Ok(event) = event {
                self.handle(event, true).await;
            }
        }
        End::Exited
    }

    /// Until everything has ended, without telling clients.
    async fn quiet_end(&mut self) {
        while self.status.is_none() || self.is_open {
            let event = self.next().await;
            self.handle(event, false).await;
        }
    }

    /// What happens next; for ever nothing once all has ended. May be dropped: nothing is lost.
    async fn next(&mut self) -> Event {
        tokio::select! {
            read = self.output.read(&mut self.buffer), if self.is_open => match read {
                Ok(count) if count > 0 => Event::Output(count),
                _ => Event::Closed,
            },
            // Where the system does not tell how it ended, it has ended all the same.
            status = self.group.wait(), if self.status.is_none() => Event::Exited(status.unwrap_or_default()),
            else => std::future::pending().await,
        }
    }

    async fn handle(&mut self, event: Event, streams: bool) {
        match event {
            Event::Output(count) => self.take(count, streams).await,
            Event::Closed => self.is_open = false,
            Event::Exited(status) => self.status = Some(status),
        }
    }

    async fn take(&mut self, count: usize, streams: bool) {
        let text = self.decoder.push(&self.buffer[..count]);
        let secrets = &self.context.guard.secrets;
        self.keeper.push(&self.kept_back.push(secrets, &self.screen.push(&text))).await;
        if !streams || self.streamed >= STREAMED {
            return;
        }
        let text = self.streamed_back.push(secrets, &text);
        if text.is_empty() {
            return;
        }
        self.streamed += text.len();
        self.context.host.output(self.context, text).await;
        if self.streamed >= STREAMED {
            self.context.host.output(self.context, "\n[more output follows, which is not shown while the command runs]\n".to_owned()).await;
        }
    }
}

fn result(args: &BashArgs, title: String, limit: u64, finished: Finished) -> ToolOutput {
    let Finished { kept, status, end, gone_on } = finished;
    let exit = if end == End::TimedOut { None } else { status.and_then(|status| status.code()) };
    let mut notes = Vec::new();
    match (end, status) {
        (End::TimedOut, _) => notes.push(format!(
            "[The command was ended because it took longer than {limit} ms. If it needs more time, call it again with a larger `timeout`.]"
        )),
        (_, Some(status)) if !status.success() => notes.push(match status.code() {
            Some(code) => format!("[exit code {code}]"),
            None => format!("[ended by {status}]"),
        }),
        _ => {}
    }
    if end == End::LeftBehind {
        notes.push("[Processes that the command had left running in the background were ended.]".to_owned());
    }
    if let Some(note) = note_of(&gone_on) {
        notes.push(note);
    }
    let mut metadata = json!({
        "exit": exit,
        "description": args.description,
        "output": suffix(&kept.text, PREVIEW),
        "truncated": kept.truncated,
    });
    if !gone_on.is_empty() {
        metadata["running"] = gone_on.iter().map(|process| json!({ "pid": process.pid, "command": shortened(process) })).collect();
    }
    if let Some(path) = &kept.path {
        metadata["outputPath"] = json!(path);
    }
    let mut output = kept.text;
    notes.iter().for_each(|note| append(&mut output, note));
    ToolOutput::new(title, output, metadata)
}

fn shortened(process: &Process) -> String {
    ellipsis(&process.command.split_whitespace().collect::<Vec<_>>().join(" "), 100)
}

/// What goes on after the call, because it has made itself independent of it.
fn note_of(gone_on: &[Process]) -> Option<String> {
    let named: Vec<String> = gone_on.iter().take(MAX_NAMED).map(|process| format!("{} ({})", process.pid, shortened(process))).collect();
    let more = match gone_on.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty()).then(|| {
        format!("[Still running, because they have left the process group of the command: {}{more}. End those that are not needed with `kill`.]", named.join(", "))
    })
}

#[cfg(all(test, unix))]
mod tests;
