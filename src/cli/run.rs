//! `polytree run`: one prompt in this directory, watched until its turn has ended. The turn belongs to the daemon: when
//! this command dies, the turn goes on; when the user interrupts it, the turn is aborted.

use std::time::Duration;

use polytree_protocol::{event::EventSubscribeParams, method::Method as _};
use polytree_protocol::{
    id::{MessageId, SessionId},
    methods::{
        EventSubscribe, PermissionList, ProjectTrust, SessionAbort, SessionCreate, SessionDelete, SessionGet, SessionList, SessionSubmit,
    },
    permission::PermissionListParams,
    project::ProjectTrustParams,
    session::{
        PartInput, Session, SessionAbortParams, SessionCreateParams, SessionDeleteParams, SessionGetParams, SessionListParams,
        SessionScope, SessionSubmitParams,
    },
};
use serde_json::{Value, json};

use super::{
    args::RunArgs,
    attach,
    client::{Daemon, Exit, Failure, shown},
    follow::{Follow, Stage},
    input::Input,
    sanitize,
    screen::Screen,
    style::{FAINT, WARNING, paint},
    watch::Watch,
};
use crate::stdx::{ids, paths::AbsPath};

/// A pipe that says nothing for so long is waited for aloud.
const QUIET_PIPE: Duration = Duration::from_secs(1);
/// How long the daemon has to abort a turn whose output nobody reads.
const LAST_ABORT: Duration = Duration::from_secs(2);

/// Runs the command.
pub async fn run(args: RunArgs, daemon: Daemon, mut screen: Screen, mut input: Input, directory: AbsPath) -> Exit {
    let mut report = Report::default();
    let result = go(&args, daemon, &mut screen, &mut input, &directory, &mut report).await;
    screen.end_error_line();
    let exit = match &result {
        Ok(exit) => *exit,
        Err(failure) => {
            // Nobody reads any more, so nothing is said.
            if failure.is_broken_pipe() {
                return Exit::Interrupted;
            }
            report.error.get_or_insert_with(|| json!({ "message": failure.to_string(), "hint": failure.hint() }));
            if !matches!(failure, Failure::Interrupted) {
                screen.status(&failure.shown());
            }
            if let (Failure::Closed, Some(session)) = (failure, &report.session) {
                screen.status(&paint(FAINT, &format!("hint: the turn may go on without this command: polytree sessions show {session}")));
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
        // When that cannot be written there is nobody to tell.
        let _ = screen.text(&format!("{line}\n"));
    }
    exit
}

/// What the last line of `--json` tells.
#[derive(Default)]
struct Report {
    session: Option<SessionId>,
    message: Option<MessageId>,
    error: Option<Value>,
}

async fn go(
    args: &RunArgs,
    daemon: Daemon,
    screen: &mut Screen,
    input: &mut Input,
    directory: &AbsPath,
    report: &mut Report,
) -> Result<Exit, Failure> {
    let piped = read_pipe(screen, input).await?;
    let parts = attach::parts(&args.prompt, piped.as_deref(), &args.files, directory)?;
    let prompt = MessageId::from_ulid(ids::next());
    let (begun, interrupted) = begin_or_interrupt(begin(args, &daemon, directory, &prompt, parts, report), input).await?;
    let Begun { session, questions, queued } = begun;
    let place = AbsPath::new(&session.directory).unwrap_or_else(|| directory.clone());
    let follow = Follow::new(session.id.clone(), prompt);
    let mut watch = Watch::new(args, daemon, screen, input, follow, place);
    let watched = if !interrupted {
        watch.until_the_end(questions).await
    } else {
        // What the events would tell soon.
        if queued {
            watch.follow.stage = Stage::Queued;
        }
        match watch.interrupt() {
            Ok(()) => watch.until_the_end(questions).await,
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
    // It has been said already that something is wrong.
    let _ = tokio::time::timeout(LAST_ABORT, daemon.request::<SessionAbort>(&params)).await;
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
            () = tokio::time::sleep(QUIET_PIPE), if screen.can_ask() && !told => {
                told = true;
                screen.status(&paint(FAINT, "reading the standard input to its end (Ctrl-C to stop)"));
            }
        }
    };
    text.map_err(|error| Failure::Usage(format!("the standard input cannot be read: {error}")))
}

/// A prompt that is stored.
struct Begun {
    session: Session,
    questions: Vec<polytree_protocol::permission::Permission>,
    queued: bool,
}

/// Waits until the prompt is stored, and tells whether the user does not want it any more. An interrupt does not cut it
/// off at once: if it was sent already, its turn has to be aborted.
async fn begin_or_interrupt(begin: impl Future<Output = Result<Begun, Failure>>, input: &mut Input) -> Result<(Begun, bool), Failure> {
    tokio::pin!(begin);
    tokio::select! {
        begun = &mut begin => return Ok((begun?, false)),
        () = input.interrupts.next() => {}
    }
    tokio::select! {
        begun = begin => Ok((begun?, true)),
        () = input.interrupts.next() => Err(Failure::Interrupted),
        () = tokio::time::sleep(LAST_ABORT) => Err(Failure::Interrupted),
    }
}

/// Everything up to the stored prompt. The subscription comes before the prompt, so that nothing of its turn is missed.
async fn begin(
    args: &RunArgs,
    daemon: &Daemon,
    directory: &AbsPath,
    prompt: &MessageId,
    parts: Vec<PartInput>,
    report: &mut Report,
) -> Result<Begun, Failure> {
    let here = Some(directory.to_string());
    if args.trust {
        daemon
            .request::<ProjectTrust>(&ProjectTrustParams { trusted: true, directory: here.clone(), ..ProjectTrustParams::default() })
            .await?;
    }
    let is_new = args.session.is_none() && !args.resume;
    let session = match &args.session {
        Some(id) => daemon.request::<SessionGet>(&SessionGetParams { session_id: id.clone(), ..SessionGetParams::default() }).await?,
        None if args.resume => latest(daemon, here).await?,
        None => {
            let params = SessionCreateParams { title: args.title.clone(), directory: here, ..SessionCreateParams::default() };
            daemon.request::<SessionCreate>(&params).await?
        }
    };
    report.session = Some(session.id.clone());
    let events = EventSubscribeParams { session_id: Some(session.id.clone()), ..EventSubscribeParams::default() };
    daemon.peer.call(EventSubscribe::NAME, &events).await?;
    let questions = if is_new {
        Vec::new()
    } else {
        let params = PermissionListParams { session_id: Some(session.id.clone()), ..PermissionListParams::default() };
        daemon.request::<PermissionList>(&params).await?
    };
    let submit = SessionSubmitParams {
        session_id: Some(session.id.clone()),
        parts,
        message_id: Some(prompt.clone()),
        model: args.model.clone(),
        agent: args.agent.clone(),
        variant: args.variant.clone(),
        ..SessionSubmitParams::default()
    };
    match daemon.request::<SessionSubmit>(&submit).await {
        Ok(submitted) => {
            report.message = Some(submitted.message_id);
            Ok(Begun { session, questions, queued: submitted.queued })
        }
        Err(failure) => {
            // A session in which nothing could be asked is of no use to anybody.
            if is_new {
                let params = SessionDeleteParams { session_id: session.id.clone(), ..SessionDeleteParams::default() };
                if daemon.request::<SessionDelete>(&params).await.is_ok() {
                    report.session = None;
                }
            }
            Err(failure)
        }
    }
}

/// The session that was used last in the directory.
async fn latest(daemon: &Daemon, directory: Option<String>) -> Result<Session, Failure> {
    let params = SessionListParams { scope: Some(SessionScope::Directory), directory, ..SessionListParams::default() };
    let sessions = daemon.request::<SessionList>(&params).await?;
    let found = sessions.into_iter().find(|session| session.time.archived.is_none() && session.parent_id.is_none());
    found.ok_or_else(|| {
        Failure::Failed(
            "there is no session in this directory to go on with".to_owned(),
            Some("leave out --continue to begin one".to_owned()),
        )
    })
}

/// The last words, and how it all ended.
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
        screen.status(&paint(FAINT, &format!("{} · {}", sanitize::line(&usage), follow.session)));
    }
    if follow.stage == Stage::Deleted {
        return Err(Failure::Failed("the session was deleted".to_owned(), None));
    }
    if interrupted {
        screen.status(&format!("{}; the session is kept: polytree run --session {} …", paint(WARNING, "aborted"), follow.session));
        return Ok(Exit::Interrupted);
    }
    if let Some(error) = follow.error() {
        report.error = Some(json!({ "name": error.name, "message": error.data.message, "hint": error.data.hint }));
        screen.status(&shown(&error.data.message, error.data.hint.as_deref()));
        return Ok(Exit::Failed);
    }
    if follow.was_aborted() {
        return Err(Failure::Failed("the prompt was cancelled before its turn began".to_owned(), None));
    }
    Ok(if refused { Exit::Refused } else { Exit::Done })
}
