//! `polytree run`: sends a prompt in this directory, and shows its turn until it has ended. The turn belongs to the daemon:
//! it goes on if this command is killed, and is aborted if the user interrupts it.

mod ask;
mod attach;
mod begin;
mod form;
mod report;
mod watch;

use std::time::Duration;

use polytree_protocol::{
    id::{MessageId, SessionId},
    methods::SessionAbort,
    session::SessionAbortParams,
};
use serde_json::json;

use self::{
    begin::{SubmittedPrompt, begin},
    report::Report,
    watch::Watch,
};
use crate::{
    cli::{
        args::RunArgs,
        client::{Daemon, Exit, Failure},
        input::Input,
        render::{
            follow::{Follow, Stage},
            sanitize,
            style::{FAINT, WARNING, error_lines, paint},
            table,
        },
        screen::Screen,
    },
    stdx::{ids, paths::AbsPath},
};

/// After this time without input from a pipe a notice is printed.
const PIPE_NOTICE_DELAY: Duration = Duration::from_secs(1);
/// The timeout of aborting the turn after the output was closed.
const ABORT_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs the command.
pub async fn run(args: RunArgs, daemon: Daemon, mut screen: Screen, mut input: Input, directory: AbsPath) -> Exit {
    let mut report = Report::default();
    let result = go(&args, daemon, &mut screen, &mut input, &directory, &mut report).await;
    screen.end_error_line();
    let exit = match &result {
        Ok(exit) => *exit,
        Err(failure) => {
            // The output is closed.
            if failure.is_broken_pipe() {
                return Exit::Interrupted;
            }
            report.error.get_or_insert_with(|| json!({ "message": failure.to_string(), "hint": failure.hint() }));
            if !matches!(failure, Failure::Interrupted) {
                screen.status(&failure.shown());
            }
            if let (Failure::Closed, Some(session)) = (failure, &report.session) {
                screen.status(&paint(FAINT, &format!("hint: the turn may go on: polytree sessions show {session}")));
            }
            failure.exit()
        }
    };
    if args.json {
        let mut line = json!({ "type": "result" });
        let fields = [
            ("sessionID", report.session.map(|id| json!(id))),
            ("messageID", report.message.map(|id| json!(id))),
            ("exitCode", Some(json!(exit.code()))),
            ("error", report.error),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                line[name] = value;
            }
        }
        // An error here cannot be reported.
        let _ = screen.text(&format!("{line}\n"));
    }
    exit
}

async fn go(
    args: &RunArgs,
    daemon: Daemon,
    screen: &mut Screen,
    input: &mut Input,
    directory: &AbsPath,
    report: &mut Report,
) -> Result<Exit, Failure> {
    let parts = if args.again {
        Vec::new()
    } else {
        let piped = read_pipe(screen, input).await?;
        attach::parts(args.command.as_deref(), &args.prompt, piped.as_deref(), &args.files, directory)?
    };
    let prompt = MessageId::from_ulid(ids::next());
    let (begun, interrupted) = begin_or_interrupt(begin(args, &daemon, screen, directory, &prompt, parts, report), input).await?;
    let SubmittedPrompt { session, open, queued, media } = begun;
    let follow = Follow::new(session.id.clone(), prompt);
    let mut watch = Watch::new(args, daemon, screen, input, follow);
    watch.media = media;
    let watched = if !interrupted {
        watch.until_the_end(open).await
    } else {
        // The events would report this soon.
        if queued {
            watch.follow.stage = Stage::Queued;
        }
        match watch.interrupt() {
            Ok(()) => watch.until_the_end(open).await,
            Err(failure) => Err(failure),
        }
    };
    report.message = watch.follow.last().map(|answer| answer.id.clone()).or(report.message.take());
    if let Err(failure) = watched {
        if matches!(failure, Failure::Output(_)) {
            abort(&watch.daemon, &session.id).await;
        }
        return Err(failure);
    }
    let Watch { follow, refused, interrupted, .. } = watch;
    conclude(args, screen, &follow, refused, interrupted, report)
}

async fn abort(daemon: &Daemon, session: &SessionId) {
    let params = SessionAbortParams { session_id: session.clone(), ..SessionAbortParams::default() };
    // The error was already printed.
    let _ = tokio::time::timeout(ABORT_TIMEOUT, daemon.request::<SessionAbort>(&params)).await;
}

async fn read_pipe(screen: &mut Screen, input: &mut Input) -> Result<Option<String>, Failure> {
    let Input { piped, interrupts, .. } = input;
    let read = piped.read();
    tokio::pin!(read);
    let mut told = false;
    let text = loop {
        tokio::select! {
            text = &mut read => break text,
            () = interrupts.next() => return Err(Failure::Interrupted),
            () = tokio::time::sleep(PIPE_NOTICE_DELAY), if screen.can_ask() && !told => {
                told = true;
                screen.status(&paint(FAINT, "reading the standard input to its end (Ctrl-C to stop)"));
            }
        }
    };
    text.map_err(|error| Failure::Usage(format!("the standard input cannot be read: {error}")))
}

/// Waits until the prompt is stored, and returns whether the user has interrupted it. An interrupt does not drop the
/// request: if it was sent already, its turn must be aborted.
async fn begin_or_interrupt(
    begin: impl Future<Output = Result<SubmittedPrompt, Failure>>,
    input: &mut Input,
) -> Result<(SubmittedPrompt, bool), Failure> {
    tokio::pin!(begin);
    tokio::select! {
        begun = &mut begin => return Ok((begun?, false)),
        () = input.interrupts.next() => {}
    }
    tokio::select! {
        begun = begin => Ok((begun?, true)),
        () = input.interrupts.next() => Err(Failure::Interrupted),
        () = tokio::time::sleep(ABORT_TIMEOUT) => Err(Failure::Interrupted),
    }
}

/// Prints the end, and returns the exit code.
fn conclude(
    args: &RunArgs,
    screen: &mut Screen,
    follow: &Follow,
    refused: bool,
    interrupted: bool,
    report: &mut Report,
) -> Result<Exit, Failure> {
    if !args.json
        && let Some(usage) = follow.usage()
    {
        if screen.is_shared() {
            screen.blank();
        }
        let facts = usage.iter().map(|fact| sanitize::line(fact)).chain([follow.session.to_string()]);
        for line in table::facts(facts, screen.width) {
            screen.status(&paint(FAINT, &line));
        }
    }
    if follow.stage == Stage::Deleted {
        return Err(Failure::Failed("the session was deleted".to_owned(), None));
    }
    if interrupted {
        screen.status(&format!("{}; the session is kept: polytree run -s {} …", paint(WARNING, "aborted"), follow.session));
        return Ok(Exit::Interrupted);
    }
    if let Some(error) = follow.error() {
        report.error = Some(json!({ "name": error.name, "message": error.data.message, "hint": error.data.hint }));
        screen.status(&error_lines(&error.data.message, error.data.hint.as_deref()));
        return Ok(Exit::Failed);
    }
    if follow.was_aborted() {
        let hint = format!("to send it again: polytree run -s {} --again", follow.session);
        return Err(Failure::Failed("the prompt was cancelled before its turn began".to_owned(), Some(hint)));
    }
    Ok(if refused { Exit::Refused } else { Exit::Done })
}
