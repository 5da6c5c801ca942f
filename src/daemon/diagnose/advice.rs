//! What to do about problems: rules over the report. They are pure: the same report always leads to the same advice.

use std::ops::Range;

use polytree_protocol::{
    diagnose::{Diagnosis, DiagnosisSession},
    diagnose_machine::{
        Advice, DiagnosisPlace,
        Severity::{self, Error, Info, Warning},
    },
    session::SessionStatus,
};

use super::requester::TIMED_OUT;
use crate::stdx::{
    human::{between, size},
    version::is_newer,
};

const MINUTE: i64 = 60 * 1000;
const MEBI: u64 = 1 << 20;
const GIBI: u64 = 1 << 30;
const DISK_FULL: u64 = 100 * MEBI;
const DISK_LOW: u64 = GIBI;
/// Models send something, or fail, within this time.
const SILENT_MODEL: i64 = 3 * MINUTE;
/// The maximum timeout of a command is ten minutes.
const SILENT_TOOL: i64 = 11 * MINUTE;
/// While an index is built, some directories are not watched yet.
const MANY_UNWATCHED: u64 = 100;
/// Older versions of git trust repositories of other users.
const OLDEST_GIT: &str = "2.35.2";

/// Severity, id, the problems that it finds, and what to do about them.
type Rule = (Severity, &'static str, fn(&Diagnosis) -> Vec<String>, &'static str);

#[rustfmt::skip]
const RULES: &[Rule] = &[
    (Error, "daemon.silent", silent_daemon, "look at its log; `kill PID` ends it, and the next command starts a new one"),
    (Error, "settings.invalid", |report| error(report.settings.error.as_ref(), false, "the settings are invalid"), "correct the file; until then prompts are refused, everything else works"),
    (Error, "settings.broken", |report| report.settings.broken.clone(), "correct the file; until then what it defines cannot be used, everything else works"),
    (Warning, "settings.variable", |report| report.settings.unset.clone(),
        "set it in the environment that the command or the editor is started in, or remove it from the settings"),
    (Error, "model.unusable",
        |report| report.settings.model_error.iter().map(|error| format!("the default model cannot be used: {error}")).collect(),
        "`polytree models --all` shows what each provider needs"),
    (Info, "model.offline", no_provider, "set a key such as ANTHROPIC_API_KEY or OPENAI_API_KEY, or add a provider to the settings"),
    (Warning, "store.silent", |report| error(report.store.error.as_ref(), true, "the store does not answer"), "check the disk and the data directory"),
    (Error, "store.unreadable", |report| error(report.store.error.as_ref(), false, "the store cannot be read"), "check the disk and the data directory"),
    (Error, "store.broken", damaged_store,
        "the next start of the daemon renames it to polytree.db.damaged-TIME and creates a new one; `sqlite3 FILE .recover` may save its contents"),
    (Warning, "store.set_aside",
        |report| report.store.set_aside.iter().map(|store| format!("a damaged store was set aside as {} ({})", store.path, size(store.bytes))).collect(),
        "`sqlite3 FILE .recover` may save its contents; delete it, with its -wal and -shm, when it is not needed"),
    (Error, "store.unwritable", |report| report.store.commit_error.iter().map(|error| format!("the last commit failed: {error}")).collect(),
        "free disk space and check that the data directory is writable; confirmed changes are not lost"),
    (Error, "disk.full", |report| disk(report, 0..DISK_FULL), "free disk space (lower limits in `storage` and `polytree gc` help), or move the data directory with POLYTREE_DATA_DIR"),
    (Warning, "disk.full", |report| disk(report, DISK_FULL..DISK_LOW), "free disk space (lower limits in `storage` and `polytree gc` help), or move the data directory with POLYTREE_DATA_DIR"),
    (Error, "places.network", network_data, "set POLYTREE_DATA_DIR to a directory on a local disk"),
    (Error, "places.foreign", |report| places(report, |place| !place.own, "belongs to another user"),
        "set POLYTREE_CONFIG_DIR, POLYTREE_DATA_DIR or POLYTREE_RUNTIME_DIR to a directory of your own"),
    // Settings are only read.
    (Error, "places.unwritable", |report| places(report, |place| place.own && !place.writable && place.name != "config", "is not writable"),
        "check its mode and the disk"),
    (Error, "places.open", |report| places(report, |place| is_open(place) && place.name != "config", "is open to other users"), "`chmod 700` it"),
    (Warning, "places.open", |report| places(report, |place| is_open(place) && place.name == "config", "is open to other users"), "`chmod 700` it"),
    (Error, "git.missing", |report| missing(report.machine.git.as_ref(), "git was not found in PATH"), "install git"),
    (Warning, "git.old", old_git, "install a newer git"),
    (Error, "shell.missing", |report| missing(report.machine.shell.as_ref(), "neither bash nor sh was found, so no command can be run"),
        "install bash"),
    (Warning, "turn.silent", |report| report.sessions.iter().filter_map(|session| silent_turn(report, session)).collect(),
        "session.abort, or Ctrl-C in `polytree run`, ends the turn"),
    (Info, "index.unwatched", unwatched, "on Linux, raise fs.inotify.max_user_watches and fs.inotify.max_user_instances"),
];

/// The advice of all rules, errors first.
#[must_use]
pub fn advise(report: &Diagnosis) -> Vec<Advice> {
    let mut found = Vec::new();
    for (severity, id, find, hint) in RULES {
        found.extend(find(report).into_iter().map(|text| advice(*severity, id, text, hint)));
    }
    found.sort_by_key(|advice| advice.severity);
    found
}

/// The advice to a client that is newer than the daemon.
#[must_use]
pub fn newer_client(report: &Diagnosis, client: &str) -> Option<Advice> {
    let text = format!("the daemon has version {}, this program version {client}", report.version);
    let hint = "`polytree stop` ends it after its turns; the next command starts the new version";
    (report.pid.is_some() && is_newer(client, &report.version)).then(|| advice(Warning, "daemon.old", text, hint))
}

fn advice(severity: Severity, id: &str, text: String, hint: &str) -> Advice {
    Advice { id: id.to_owned(), severity, text, hint: Some(hint.to_owned()) }
}

fn silent_daemon(report: &Diagnosis) -> Vec<String> {
    let holder = report.owner.holder.iter();
    let text = holder.map(|holder| {
        format!("process {} (version {}) owns the data directory and does not answer: {}", holder.pid, holder.version, holder.problem)
    });
    text.collect()
}

fn no_provider(report: &Diagnosis) -> Vec<String> {
    let settings = &report.settings;
    let has_provider = settings.providers.iter().any(|provider| provider.connected && provider.id != "offline");
    let is_offline = settings.model.is_some() && settings.model_error.is_none() && !has_provider;
    is_offline.then(|| "no model service is set up; only the built-in offline model answers".to_owned()).into_iter().collect()
}

/// An error of a part, if it is a timeout or not.
fn error(error: Option<&String>, timed_out: bool, problem: &str) -> Vec<String> {
    error.filter(|error| error.starts_with(TIMED_OUT) == timed_out).map(|error| format!("{problem}: {error}")).into_iter().collect()
}

fn damaged_store(report: &Diagnosis) -> Vec<String> {
    let check =
        report.store.check.iter().filter(|check| report.store.error.is_none() && *check != "ok" && !check.starts_with("not finished"));
    check.map(|problem| format!("the store is damaged: {problem}")).collect()
}

fn disk(report: &Diagnosis, range: Range<u64>) -> Vec<String> {
    let disk = report.machine.disk.iter().filter(|disk| range.contains(&disk.free));
    disk.map(|disk| format!("the file system of {} has {} left", report.owner.data_directory, size(disk.free))).collect()
}

fn places(report: &Diagnosis, has_problem: fn(&DiagnosisPlace) -> bool, problem: &str) -> Vec<String> {
    let places = report.machine.places.iter().filter(|place| place.exists && has_problem(place));
    let mode = |place: &DiagnosisPlace| place.mode.as_ref().map_or_else(String::new, |mode| format!(" (mode {mode})"));
    places.map(|place| format!("the {} directory {} {problem}{}", place.name, place.path, mode(place))).collect()
}

fn is_open(place: &DiagnosisPlace) -> bool {
    place.own && place.mode.as_deref().is_some_and(|mode| u32::from_str_radix(mode, 8).is_ok_and(|bits| bits & 0o077 != 0))
}

fn network_data(report: &Diagnosis) -> Vec<String> {
    let data = report.machine.places.iter().filter(|place| place.name == "data");
    let text = |kind: &String| format!("the data directory is on a network file system ({kind}), where the store's locks are not reliable");
    data.filter_map(|place| place.network.as_ref()).map(text).collect()
}

fn missing(program: Option<&polytree_protocol::diagnose_machine::DiagnosisProgram>, text: &str) -> Vec<String> {
    program.filter(|program| program.path.is_none()).map(|_| text.to_owned()).into_iter().collect()
}

fn old_git(report: &Diagnosis) -> Vec<String> {
    let version = report.machine.git.iter().filter_map(|git| git.version.as_deref());
    let old = version.filter(|version| is_newer(OLDEST_GIT, version));
    old.map(|version| format!("git {version} is old; from 2.35.2 on it does not trust the repositories of other users")).collect()
}

fn silent_turn(report: &Diagnosis, session: &DiagnosisSession) -> Option<String> {
    let limit = if session.tools.is_empty() { SILENT_MODEL } else { SILENT_TOOL };
    let sign = session.sign.filter(|sign| session.status == SessionStatus::Busy && report.time - sign > limit)?;
    let source = match (&session.model, session.tools.first()) {
        (_, Some(tool)) => format!("the tool {}", tool.tool),
        (Some(call), None) => format!("the model {}", call.model),
        (None, None) => "its turn".to_owned(),
    };
    Some(format!("session {}: no sign of life from {source} for {}", session.id, between(sign, report.time)))
}

fn unwatched(report: &Diagnosis) -> Vec<String> {
    let (unwatched, watched) = report.projects.indexes.iter().fold((0, 0), |(no, yes), index| (no + index.unwatched, yes + index.watched));
    let text = || format!("{unwatched} of {} directories are not watched, so changes in them are found late", watched + unwatched);
    (unwatched >= MANY_UNWATCHED).then(text).into_iter().collect()
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
