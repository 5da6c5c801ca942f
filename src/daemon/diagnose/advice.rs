//! What to do, as rules over the report. Pure, so that the same report always gives the same advice.

use polytree_protocol::{
    daemon::LogLevel,
    diagnose::{Diagnosis, DiagnosisSession},
    diagnose_machine::{Advice, DiagnosisPlace, Severity},
    session::SessionStatus,
};

use super::part::is_late;
use crate::stdx::{
    human::{between, duration, size},
    version::is_newer,
};

const MINUTE: i64 = 60 * 1000;
const HOUR: i64 = 60 * MINUTE;
const MEBI: u64 = 1 << 20;
const GIBI: u64 = 1 << 30;
const DISK_FULL: u64 = 100 * MEBI;
const DISK_LOW: u64 = GIBI;
/// A database of this size is slow to copy and to check.
const LARGE_DATABASE: u64 = 4 * GIBI;
const LARGE_MEMORY: u64 = GIBI;
/// A commit takes milliseconds.
const SLOW_COMMIT_MS: u64 = 3000;
const LONG_WRITER_QUEUE: u64 = 1000;
const MANY_ERRORS: usize = 10;
/// Models answer or fail within this time.
const SILENT_MODEL: i64 = 3 * MINUTE;
/// The longest timeout of a command is ten minutes.
const SILENT_TOOL: i64 = 11 * MINUTE;
const MANY_RETRIES: u32 = 4;
const STALLED_CLIENT_MS: u64 = 10_000;
/// While an index is built, some directories are not watched yet.
const UNWATCHED: u64 = 100;
/// Older versions of git trust repositories of other users.
const OLDEST_GIT: [u32; 3] = [2, 35, 2];

type Rule = fn(&Diagnosis, &mut Found);

const RULES: &[Rule] = &[daemon, settings, store, disk, places, programs, memory, log, incomplete, turns, questions, clients, indexes];

/// What the rules have found.
#[derive(Default)]
struct Found(Vec<Advice>);

impl Found {
    fn add(&mut self, severity: Severity, id: &str, text: String, hint: &str) {
        self.0.push(Advice { id: id.to_owned(), severity, text, hint: (!hint.is_empty()).then(|| hint.to_owned()) });
    }

    fn error(&mut self, id: &str, text: String, hint: &str) {
        self.add(Severity::Error, id, text, hint);
    }

    fn warn(&mut self, id: &str, text: String, hint: &str) {
        self.add(Severity::Warning, id, text, hint);
    }

    fn info(&mut self, id: &str, text: String, hint: &str) {
        self.add(Severity::Info, id, text, hint);
    }
}

/// What all rules find, errors first.
#[must_use]
pub fn advise(report: &Diagnosis) -> Vec<Advice> {
    let mut found = Found::default();
    RULES.iter().for_each(|rule| rule(report, &mut found));
    found.0.sort_by_key(|advice| advice.severity);
    found.0
}

/// The advice to a client that is newer than the daemon that made the report.
#[must_use]
pub fn newer_client(report: &Diagnosis, client: &str) -> Vec<Advice> {
    let mut found = Found::default();
    if report.pid.is_some() && is_newer(client, &report.version) {
        let text = format!("the daemon has version {}, this program version {client}", report.version);
        found.warn("daemon.old", text, "`polytree stop` ends it once its turns have ended; the next command starts the new one");
    }
    found.0
}

fn daemon(report: &Diagnosis, found: &mut Found) {
    if let Some(holder) = &report.owner.holder {
        let (pid, version, problem) = (holder.pid, &holder.version, &holder.problem);
        let text = format!("process {pid} (version {version}) owns the data directory and does not answer: {problem}");
        found.error("daemon.silent", text, &format!("look at its log; `kill {pid}` ends it, and the next command starts a new one"));
    }
    // Versions of other programs say nothing.
    let ours = report.clients.iter().filter(|client| client.name.as_deref() == Some("polytree"));
    let mut versions = ours.filter_map(|client| client.version.as_deref());
    found.0.extend(versions.find(|version| is_newer(version, &report.version)).map_or_else(Vec::new, |newer| newer_client(report, newer)));
}

fn settings(report: &Diagnosis, found: &mut Found) {
    let settings = &report.settings;
    if let Some(error) = settings.error.as_ref().filter(|error| !is_late(error)) {
        let file = settings.file.as_deref().unwrap_or("the settings");
        let hint = format!("correct {file}; until then prompts are refused, everything else works");
        found.error("settings.invalid", format!("the settings cannot be used: {error}"), &hint);
    }
    for text in &settings.unset {
        let hint = "set it in the environment that the command or the editor is started in, or take it out of the settings";
        found.warn("settings.variable", text.clone(), hint);
    }
    let Some(model) = &settings.model else { return };
    if let Some(error) = &settings.model_error {
        let text = format!("the model {model} cannot be used: {error}");
        found.error("model.unusable", text, "`polytree models --all` tells what each provider needs");
    } else if !settings.providers.iter().any(|provider| provider.connected && provider.id != "offline") {
        let hint = "set a key such as ANTHROPIC_API_KEY or OPENAI_API_KEY, or name a provider in the settings";
        found.info("model.offline", "no model service is set up; only the built-in offline model answers".to_owned(), hint);
    }
}

fn store(report: &Diagnosis, found: &mut Found) {
    let (store, queues) = (&report.store, &report.queues);
    match (&store.error, store.check.as_deref()) {
        (Some(error), _) if is_late(error) => {
            found.warn("store.silent", format!("the store does not answer: {error}"), "check the disk and the data directory");
        }
        (Some(error), _) => {
            found.error("store.unreadable", format!("the store cannot be read: {error}"), "check the disk and the data directory");
        }
        (None, None | Some("ok")) => {}
        (None, Some(result)) if result.starts_with("not finished") => {
            found.info("store.unchecked", format!("the check of the store was {result}"), "");
        }
        (None, Some(result)) => {
            let hint = "the next start of the daemon renames it to polytree.db.damaged-TIME and begins a new one; `sqlite3 FILE .recover` may save what is in it";
            found.error("store.broken", format!("the store is damaged: {result}"), hint);
        }
    }
    if let Some(last) = store.set_aside.last() {
        let count = match store.set_aside.len() {
            1 => "a damaged store was set aside as".to_owned(),
            count => format!("{count} damaged stores were set aside, the last as"),
        };
        let text = format!("{count} {} ({}); what was in it is not in the present store", last.path, size(last.bytes));
        let hint = "`sqlite3 FILE .recover` may save what is in it; delete it, with its -wal and -shm, when it is not needed";
        found.warn("store.set_aside", text, hint);
    }
    if let Some(error) = &store.commit_error {
        let hint = "make room on the disk and check that the data directory can be written; nothing is lost that was confirmed";
        found.error("store.unwritable", format!("the last commit failed: {error}"), hint);
    }
    if store.database.bytes > LARGE_DATABASE {
        let hint = "delete sessions that are not needed, or lower storage.log_bytes in the settings";
        found.warn("store.large", format!("the store takes {}", size(store.database.bytes)), hint);
    }
    let busy = queues.writer_busy_ms.max(queues.reader_busy_ms);
    if busy > SLOW_COMMIT_MS || queues.writer > LONG_WRITER_QUEUE {
        let text = format!("{} changes and {} reads wait for the store; one has taken {}", queues.writer, queues.readers, duration(busy));
        found.warn("store.slow", text, "the disk is slow or busy: look for other programs that use it");
    }
}

fn disk(report: &Diagnosis, found: &mut Found) {
    let Some(disk) = report.machine.disk.filter(|disk| disk.free < DISK_LOW) else { return };
    let severity = if disk.free < DISK_FULL { Severity::Error } else { Severity::Warning };
    let text = format!("the disk under {} has {} left", report.owner.data_directory, size(disk.free));
    found.add(severity, "disk.full", text, "make room, or move the data directory with POLYTREE_DATA_DIR");
}

fn places(report: &Diagnosis, found: &mut Found) {
    for DiagnosisPlace { name, path, mode, own, writable, network, .. } in report.machine.places.iter().filter(|place| place.exists) {
        let variable = format!("POLYTREE_{}_DIR", name.to_uppercase());
        // Settings are only read.
        let severity = if name == "config" { Severity::Warning } else { Severity::Error };
        if let Some(kind) = network.as_deref().filter(|_| name == "data") {
            let text = format!("the data directory {path} is on a network file system ({kind}), where the store's locks are not reliable");
            found.error("places.network", text, &format!("set {variable} to a directory on a local disk"));
        }
        if !own {
            let text = format!("the {name} directory {path} belongs to another user");
            found.add(severity, "places.foreign", text, &format!("set {variable} to a directory of your own"));
        } else if !writable && name != "config" {
            found.error("places.unwritable", format!("the {name} directory {path} cannot be written"), "check its mode and the disk");
        }
        let bits = mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok()).unwrap_or(0);
        if bits & 0o077 != 0 && *own {
            let text = format!("others can look into the {name} directory {path} (mode {bits:o})");
            found.add(severity, "places.open", text, &format!("chmod 700 {path}"));
        }
    }
}

fn programs(report: &Diagnosis, found: &mut Found) {
    if let Some(git) = &report.machine.git {
        let numbers = |version: &str| -> [u32; 3] {
            let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
            std::array::from_fn(|_| numbers.next().unwrap_or(0))
        };
        if git.path.is_none() {
            found.error("git.missing", "git was not found in PATH".to_owned(), "install git");
        } else if let Some(version) = git.version.as_deref().filter(|version| numbers(version) < OLDEST_GIT) {
            let text = format!("git {version} is old; from 2.35.2 on it does not trust the repositories of others");
            found.warn("git.old", text, "install a newer git");
        }
    }
    match report.machine.shell.as_ref().map(|shell| shell.path.as_deref()) {
        Some(None) => {
            found.error("shell.missing", "there is neither bash nor sh, so no command can be run".to_owned(), "install bash");
        }
        Some(Some(path)) if !path.ends_with("/bash") && !path.ends_with("bash.exe") => {
            found.info("shell.plain", format!("there is no bash; commands run in {path}"), "install bash");
        }
        _ => {}
    }
    for child in report.children.iter().filter(|child| report.time - child.since > HOUR) {
        let session = child.session_id.as_ref().map_or_else(String::new, |id| format!(" for session {id}"));
        let text = format!("{} (process {}) has been running{session} for {}", child.program, child.pid, between(child.since, report.time));
        found.warn("program.long", text, "session.abort ends it with the turn");
    }
}

fn memory(report: &Diagnosis, found: &mut Found) {
    let Some(resident) = report.memory.resident.filter(|resident| *resident > LARGE_MEMORY) else { return };
    let largest = report.memory.accounted.first().filter(|share| share.bytes * 4 > resident);
    let owner = largest.map_or_else(String::new, |share| format!(", {} of it for {}", size(share.bytes), share.owner));
    let hint = "restart it once its sessions are idle, and report what it was doing";
    found.warn("memory.large", format!("the daemon has {} of memory{owner}", size(resident)), hint);
}

fn log(report: &Diagnosis, found: &mut Found) {
    let level = &report.log.level;
    if matches!(level.as_str(), "debug" | "trace") {
        let text = format!("the daemon logs at level {level}, which is slow and fills the disk");
        found.info("log.verbose", text, "start it without --log-level");
    }
    let is_recent_error = |time: i64, level| level == LogLevel::Error && report.time - time < 10 * MINUTE;
    let count = report.log.last.iter().filter(|line| is_recent_error(line.time, line.level)).count();
    if count >= MANY_ERRORS {
        let text = format!("{count} errors in the last ten minutes");
        found.warn("log.errors", text, "look at the newest file in log below the data directory");
    }
}

fn incomplete(report: &Diagnosis, found: &mut Found) {
    let parts = [
        ("projects", report.projects.error.as_ref()),
        ("questions", report.questions.error.as_ref()),
        ("settings", report.settings.error.as_ref().filter(|error| is_late(error))),
        ("machine", report.machine.error.as_ref()),
    ];
    let missing: Vec<String> = parts.iter().filter_map(|(name, error)| Some(format!("{name} ({})", (*error)?))).collect();
    if !missing.is_empty() {
        found.warn("report.incomplete", format!("this report is not complete: {}", missing.join(", ")), "");
    }
}

fn turns(report: &Diagnosis, found: &mut Found) {
    for session in &report.sessions {
        match &session.status {
            SessionStatus::Busy => silent_turn(report, session, found),
            SessionStatus::Retry(retry) if retry.attempt >= MANY_RETRIES => {
                let text = format!("session {}: the model has failed {} times: {}", session.id, retry.attempt, retry.message);
                found.warn("turn.retry", text, "check the network and the provider, or abort the turn and choose another model");
            }
            _ => {}
        }
    }
}

fn silent_turn(report: &Diagnosis, session: &DiagnosisSession, found: &mut Found) {
    let limit = if session.tools.is_empty() { SILENT_MODEL } else { SILENT_TOOL };
    let Some(sign) = session.sign.filter(|sign| report.time - sign > limit) else { return };
    let doing = match (&session.model, session.tools.first()) {
        (_, Some(tool)) => format!("the tool {}", tool.tool),
        (Some(call), None) => format!("the model {}", call.model),
        (None, None) => "its turn".to_owned(),
    };
    let text = format!("session {}: no sign of life from {doing} for {}", session.id, between(sign, report.time));
    found.warn("turn.silent", text, "session.abort, or Ctrl-C in `polytree run`, ends the turn");
}

fn questions(report: &Diagnosis, found: &mut Found) {
    let late: Vec<_> = report.questions.list.iter().filter(|question| report.time - question.since > HOUR).collect();
    let Some(oldest) = late.iter().min_by_key(|question| question.since) else { return };
    let count = match late.len() {
        1 => "a question has been waiting".to_owned(),
        count => format!("{count} questions have been waiting"),
    };
    let (kind, session, age) = (&oldest.kind, &oldest.session_id, between(oldest.since, report.time));
    let text = format!("{count} for more than an hour, the oldest ({kind}, session {session}) for {age}");
    found.warn("question.waiting", text, "permission.list tells what is asked; permission.reply answers, session.abort withdraws");
}

fn clients(report: &Diagnosis, found: &mut Found) {
    for client in report.clients.iter().filter(|client| client.stalled_ms > STALLED_CLIENT_MS && !client.asks) {
        let name = client.name.as_deref().map_or_else(String::new, |name| format!(" ({name})"));
        let (stalled, waiting) = (duration(client.stalled_ms), size(client.waiting_bytes));
        let text = format!("client {}{name} has not read for {stalled}; {waiting} wait for it", client.id);
        found.warn("client.slow", text, "it gets what it has missed once it reads again; if it hangs, end it");
    }
}

fn indexes(report: &Diagnosis, found: &mut Found) {
    for index in &report.projects.indexes {
        let Some(limit) = &index.partial else { continue };
        let (names, directory) = (index.entries, &index.directory);
        let text =
            format!("file.find sees only {names} names of {directory}: the limit of {limit} is reached, and what lies deepest is left out");
        let hint = "search in a directory further down, or have .gitignore or .ignore name what nobody searches";
        found.info("index.partial", text, hint);
    }
    let unwatched: u64 = report.projects.indexes.iter().map(|index| index.unwatched).sum();
    let watched: u64 = report.projects.indexes.iter().map(|index| index.watched).sum();
    if unwatched >= UNWATCHED {
        let text = format!("{unwatched} directories of {} are not watched, so changes in them are seen late", watched + unwatched);
        found.info("index.unwatched", text, "on Linux, raise fs.inotify.max_user_watches and fs.inotify.max_user_instances");
    }
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
