//! Rules over what works and waits: turns, questions, clients, programs, projects.

use polytree_protocol::{
    diagnose::{Diagnosis, DiagnosisIndex, DiagnosisSession, DiagnosisSymbols},
    diagnose_machine::{Advice, Severity},
    session::SessionStatus,
};

use super::advice::found;
use crate::stdx::human::{between, count, size};

const MINUTE: i64 = 60 * 1000;
/// Models speak or fail within this time.
const SILENT_MODEL: i64 = 3 * MINUTE;
/// Tools may be silent for longer; the longest that a command may run is ten minutes.
const SILENT_TOOL: i64 = 11 * MINUTE;
const QUESTION: i64 = 60 * MINUTE;
const ATTEMPTS: u32 = 4;
const PROMPTS: u64 = 20;
/// A client that lives takes what is sent to it at once.
const STALLED: u64 = 10_000;
const PROGRAM: i64 = 60 * MINUTE;
const PENDING: usize = 5;
/// So many appear for a moment while an index begins.
const UNWATCHED: u64 = 100;

/// Turns in which nothing has happened for minutes.
pub fn silent_turns(report: &Diagnosis) -> Vec<Advice> {
    report.sessions.iter().filter(|session| session.status == SessionStatus::Busy).flat_map(|session| silent(report, session)).collect()
}

fn silent(report: &Diagnosis, session: &DiagnosisSession) -> Vec<Advice> {
    let Some(sign) = session.sign else { return Vec::new() };
    let most = if session.tools.is_empty() { SILENT_MODEL } else { SILENT_TOOL };
    if report.time - sign <= most {
        return Vec::new();
    }
    let doing = match (&session.model, session.tools.first()) {
        (_, Some(tool)) => format!("the tool {}", tool.tool),
        (Some(call), None) => format!("the model {}", call.model),
        (None, None) => "its turn".to_owned(),
    };
    let text = format!("session {}: no sign of life from {doing} for {}", session.id, between(sign, report.time));
    found("turn.silent", Severity::Warning, text, "session.abort, or Ctrl-C in `polytree run`, ends the turn")
}

/// Turns that try again and again.
pub fn retries(report: &Diagnosis) -> Vec<Advice> {
    let retry = |session: &DiagnosisSession| match &session.status {
        SessionStatus::Retry(retry) if retry.attempt >= ATTEMPTS => {
            let text = format!("session {}: the model has failed {} times: {}", session.id, retry.attempt, retry.message);
            found("turn.retry", Severity::Warning, text, "check the network and the provider, or abort the turn and choose another model")
        }
        _ => Vec::new(),
    };
    report.sessions.iter().flat_map(retry).collect()
}

/// Questions that nobody answers.
pub fn questions(report: &Diagnosis) -> Vec<Advice> {
    let late: Vec<_> = report.questions.list.iter().filter(|question| report.time - question.since > QUESTION).collect();
    let Some(oldest) = late.iter().min_by_key(|question| question.since) else { return Vec::new() };
    let text = format!(
        "{} for more than an hour, the oldest ({}, session {}) for {}",
        if late.len() == 1 { "a question has been waiting".to_owned() } else { format!("{} questions have been waiting", late.len()) },
        oldest.kind,
        oldest.session_id,
        between(oldest.since, report.time)
    );
    found(
        "question.waiting",
        Severity::Warning,
        text,
        "permission.list tells what is asked; permission.reply answers, session.abort withdraws",
    )
}

/// A queue that nobody will read to its end.
pub fn prompts(report: &Diagnosis) -> Vec<Advice> {
    let longest = report.sessions.iter().max_by_key(|session| session.queued).filter(|session| session.queued > PROMPTS);
    let Some(session) = longest else { return Vec::new() };
    let text = format!("session {}: {} prompts wait for its turn to end", session.id, session.queued);
    found("prompts.many", Severity::Info, text, "session.abort cancels them")
}

/// Clients that do not take what is sent to them.
pub fn slow_clients(report: &Diagnosis) -> Vec<Advice> {
    let slow = report.clients.iter().filter(|client| client.stalled_ms > STALLED && !client.asks);
    slow.flat_map(|client| {
        let name = client.name.as_deref().map_or_else(String::new, |name| format!(" ({name})"));
        let waiting = size(client.waiting_bytes);
        let text = format!(
            "client {}{name} has not read for {}; {waiting} wait for it",
            client.id,
            crate::stdx::human::duration(client.stalled_ms)
        );
        found("client.slow", Severity::Warning, text, "it gets what it has missed once it reads again; if it hangs, end it")
    })
    .collect()
}

/// Programs that never end.
pub fn programs(report: &Diagnosis) -> Vec<Advice> {
    let long = report.children.iter().filter(|child| report.time - child.since > PROGRAM);
    long.flat_map(|child| {
        let whose = child.session_id.as_ref().map_or_else(String::new, |id| format!(" for session {id}"));
        let text = format!("{} (process {}) has been running{whose} for {}", child.program, child.pid, between(child.since, report.time));
        found("program.long", Severity::Warning, text, "session.abort ends it with the turn")
    })
    .collect()
}

/// Projects whose files wait for trust.
pub fn trust(report: &Diagnosis) -> Vec<Advice> {
    let waiting: Vec<_> = report.projects.list.iter().filter(|project| project.pending > 0).collect();
    if waiting.len() < PENDING {
        return Vec::new();
    }
    let files: u64 = waiting.iter().map(|project| project.pending).sum();
    let text = format!("{} in {} projects wait for trust and are not used", count(files, "file"), waiting.len());
    found(
        "trust.pending",
        Severity::Info,
        text,
        "`polytree trust --list` shows them, `polytree trust` uses them; leave them where you trust nobody",
    )
}

/// Checkouts of which `file.find` does not see everything.
pub fn partial_indexes(report: &Diagnosis) -> Vec<Advice> {
    let of = |index: &DiagnosisIndex| match &index.partial {
        Some(limit) => {
            let text = format!(
                "file.find sees only {} names of {}: the limit of {limit} is reached, and what lies deepest is left out",
                index.entries, index.directory
            );
            found(
                "index.partial",
                Severity::Info,
                text,
                "search in a directory further down, or have .gitignore or .ignore name what nobody searches",
            )
        }
        None => Vec::new(),
    };
    report.projects.indexes.iter().flat_map(of).collect()
}

/// Directories of which `symbol.find` does not see everything, now that they were read.
pub fn partial_symbols(report: &Diagnosis) -> Vec<Advice> {
    let of = |held: &DiagnosisSymbols| {
        if held.partial.as_deref() != Some("budget") {
            return Vec::new();
        }
        let text = format!("symbol.find sees only {} symbols of {}: more are not held in memory", held.symbols, held.directory);
        found(
            "symbols.partial",
            Severity::Info,
            text,
            "ask in a directory further down, or have .gitignore or .ignore name the source that nobody searches",
        )
    };
    report.projects.symbols.iter().flat_map(of).collect()
}

/// Directories that the system does not let us watch.
pub fn unwatched_files(report: &Diagnosis) -> Vec<Advice> {
    let unwatched: u64 = report.projects.indexes.iter().map(|index| index.unwatched).sum();
    let watched: u64 = report.projects.indexes.iter().map(|index| index.watched).sum();
    if unwatched < UNWATCHED {
        return Vec::new();
    }
    let text = format!("{unwatched} directories of {} are not watched, so changes in them are seen late", watched + unwatched);
    found("index.unwatched", Severity::Info, text, "on Linux, raise fs.inotify.max_user_watches and fs.inotify.max_user_instances")
}
