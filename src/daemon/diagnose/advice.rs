//! What is worth doing, as rules over the report: each looks at it and says what it has found. Pure, so that the same
//! report always gives the same advice. The names of rules are part of the contract.

use polytree_protocol::{
    diagnose::Diagnosis,
    diagnose_machine::{Advice, DiagnosisPlace, Severity},
};

use super::{is_late, work_advice};
use crate::stdx::{
    human::{duration, size},
    version::is_newer,
};

/// A rule.
pub type Rule = fn(&Diagnosis) -> Vec<Advice>;

/// All rules.
pub const RULES: &[Rule] = &[
    holder,
    version,
    settings,
    unset_variables,
    model,
    store_broken,
    set_aside,
    commit,
    store_size,
    store_slow,
    disk,
    places,
    git,
    shell,
    clock,
    memory,
    log_level,
    log_errors,
    incomplete,
    work_advice::silent_turns,
    work_advice::retries,
    work_advice::questions,
    work_advice::prompts,
    work_advice::slow_clients,
    work_advice::programs,
    work_advice::trust,
    work_advice::partial_indexes,
    work_advice::partial_symbols,
    work_advice::unwatched_files,
];

const MINUTE: u64 = 60 * 1000;
const MEBI: u64 = 1 << 20;
const GIBI: u64 = 1 << 30;
/// Less than this on the disk is a matter of minutes.
const DISK_FULL: u64 = 100 * MEBI;
/// Less than this is worth a look.
const DISK_LOW: u64 = GIBI;
/// A database of this size is slow to copy and to check.
const DATABASE: u64 = 4 * GIBI;
/// A write-ahead log of this size means that something keeps it from being moved into the database.
const WAL: u64 = 256 * MEBI;
/// Outputs of tools are swept; this much of them is odd.
const OUTPUTS: u64 = 2 * GIBI;
const RESIDENT: u64 = GIBI;
/// A commit or a read takes milliseconds.
const STORE_SLOW: u64 = 3000;
const WRITER_QUEUE: u64 = 1000;
/// A clock that is set right moves by less.
const CLOCK: u64 = MINUTE;
const ERRORS: usize = 10;
const ERRORS_WITHIN: i64 = 10 * 60 * 1000;
/// Older versions of git do not guard against repositories of others.
const GIT: [u32; 3] = [2, 35, 2];

/// What all rules find, the gravest first.
#[must_use]
pub fn advise(report: &Diagnosis) -> Vec<Advice> {
    let mut all: Vec<Advice> = RULES.iter().flat_map(|rule| rule(report)).collect();
    all.sort_by_key(|advice| advice.severity);
    all
}

pub(super) fn found(id: &str, severity: Severity, text: impl Into<String>, hint: &str) -> Vec<Advice> {
    vec![Advice { id: id.to_owned(), severity, text: text.into(), hint: (!hint.is_empty()).then(|| hint.to_owned()) }]
}

fn holder(report: &Diagnosis) -> Vec<Advice> {
    let Some(holder) = &report.owner.holder else { return Vec::new() };
    let text =
        format!("process {} (version {}) owns the data directory and does not answer: {}", holder.pid, holder.version, holder.problem);
    found(
        "daemon.silent",
        Severity::Error,
        text,
        &format!("look at its log; `kill {}` ends it, and the next command starts a new one", holder.pid),
    )
}

/// A client of ours that is newer than the daemon: the program was updated while it ran.
fn version(report: &Diagnosis) -> Vec<Advice> {
    let ours = report.clients.iter().filter(|client| client.name.as_deref() == Some("polytree"));
    let newer = ours.filter_map(|client| client.version.as_deref()).find(|version| is_newer(version, &report.version));
    newer.map_or_else(Vec::new, |newer| newer_client(report, newer))
}

/// What a client of the given version says to the daemon that made the report.
#[must_use]
pub fn newer_client(report: &Diagnosis, client: &str) -> Vec<Advice> {
    if report.pid.is_none() || !is_newer(client, &report.version) {
        return Vec::new();
    }
    let text = format!("the daemon has version {}, this program version {client}", report.version);
    found("daemon.old", Severity::Warning, text, "`polytree stop` ends it once its turns have ended; the next command starts the new one")
}

/// The numbers at the beginning of a version, for comparing.
fn numbers(version: &str) -> [u32; 3] {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

fn settings(report: &Diagnosis) -> Vec<Advice> {
    let Some(error) = report.settings.error.as_ref().filter(|error| !is_late(error)) else { return Vec::new() };
    let file = report.settings.file.as_deref().unwrap_or("the settings");
    let hint = format!("correct {file}; until then prompts are refused, everything else works");
    found("settings.invalid", Severity::Error, format!("the settings cannot be used: {error}"), &hint)
}

fn unset_variables(report: &Diagnosis) -> Vec<Advice> {
    let hint = "set it in the environment that the command or the editor is started in, or take it out of the settings";
    report.settings.unset.iter().flat_map(|text| found("settings.variable", Severity::Warning, text.clone(), hint)).collect()
}

fn model(report: &Diagnosis) -> Vec<Advice> {
    let (Some(model), error) = (&report.settings.model, &report.settings.model_error) else { return Vec::new() };
    if let Some(error) = error {
        let text = format!("the model {model} cannot be used: {error}");
        return found("model.unusable", Severity::Error, text, "`polytree models --all` tells what each provider needs");
    }
    let real = report.settings.providers.iter().any(|provider| provider.connected && provider.id != "offline");
    if real {
        return Vec::new();
    }
    let hint = "set a key such as ANTHROPIC_API_KEY or OPENAI_API_KEY, or name a provider in the settings";
    found("model.offline", Severity::Info, "no model service is set up; only the built-in offline model answers", hint)
}

fn store_broken(report: &Diagnosis) -> Vec<Advice> {
    let store = &report.store;
    if let Some(error) = &store.error {
        let hint = "check the disk and the data directory";
        if is_late(error) {
            return found("store.silent", Severity::Warning, format!("the store does not answer: {error}"), hint);
        }
        return found("store.unreadable", Severity::Error, format!("the store cannot be read: {error}"), hint);
    }
    match store.check.as_deref() {
        None | Some("ok") => Vec::new(),
        Some(result) if result.starts_with("not finished") => {
            found("store.unchecked", Severity::Info, format!("the check of the store was {result}"), "")
        }
        Some(result) => {
            let hint = "the next start of the daemon renames it to polytree.db.damaged-TIME and begins a new one; `sqlite3 FILE .recover` may save what is in it";
            found("store.broken", Severity::Error, format!("the store is damaged: {result}"), hint)
        }
    }
}

/// They are no fault any more, but sessions are missing that somebody may look for.
fn set_aside(report: &Diagnosis) -> Vec<Advice> {
    let all = &report.store.set_aside;
    let Some(last) = all.last() else { return Vec::new() };
    let count = if all.len() == 1 {
        "a damaged store was set aside as".to_owned()
    } else {
        format!("{} damaged stores were set aside, the last as", all.len())
    };
    let text = format!("{count} {} ({}); what was in it is not in the present store", last.path, size(last.bytes));
    found(
        "store.set_aside",
        Severity::Warning,
        text,
        "`sqlite3 FILE .recover` may save what is in it; delete it, with its -wal and -shm, when it is not needed",
    )
}

fn commit(report: &Diagnosis) -> Vec<Advice> {
    let Some(error) = &report.store.commit_error else { return Vec::new() };
    let hint = "make room on the disk and check that the data directory can be written; nothing is lost that was confirmed";
    found("store.unwritable", Severity::Error, format!("the last commit failed: {error}"), hint)
}

fn store_size(report: &Diagnosis) -> Vec<Advice> {
    let store = &report.store;
    let mut all = Vec::new();
    if store.database.bytes > DATABASE {
        let text = format!("the store takes {}", size(store.database.bytes));
        all.extend(found(
            "store.large",
            Severity::Warning,
            text,
            "delete sessions that are not needed, or lower storage.log_bytes in the settings",
        ));
    }
    if store.wal.bytes > WAL {
        let text = format!("the store's write-ahead log takes {}", size(store.wal.bytes));
        all.extend(found(
            "store.wal",
            Severity::Warning,
            text,
            "a read that never ends keeps it from shrinking; restarting the daemon helps",
        ));
    }
    if store.outputs.bytes > OUTPUTS {
        let text = format!("long outputs of tools take {}", size(store.outputs.bytes));
        all.extend(found(
            "outputs.large",
            Severity::Warning,
            text,
            "they are removed after some days; the directory output below the data directory may be emptied",
        ));
    }
    all
}

fn store_slow(report: &Diagnosis) -> Vec<Advice> {
    let queues = &report.queues;
    let mut all = Vec::new();
    if queues.writer_busy_ms > STORE_SLOW || queues.writer > WRITER_QUEUE {
        let text =
            format!("{} changes wait for the store; the commit under way has taken {}", queues.writer, duration(queues.writer_busy_ms));
        all.extend(found("store.slow", Severity::Warning, text, "the disk is slow or busy: look for other programs that use it"));
    }
    if queues.reader_busy_ms > STORE_SLOW {
        let text = format!("a read of the store has taken {} so far; {} wait behind it", duration(queues.reader_busy_ms), queues.readers);
        all.extend(found("store.reader", Severity::Warning, text, "the disk is slow or busy: look for other programs that use it"));
    }
    all
}

fn disk(report: &Diagnosis) -> Vec<Advice> {
    let Some(disk) = report.machine.disk else { return Vec::new() };
    let severity = match disk.free {
        0..DISK_FULL => Severity::Error,
        DISK_FULL..DISK_LOW => Severity::Warning,
        _ => return Vec::new(),
    };
    let text = format!("the disk under {} has {} left", report.owner.data_directory, size(disk.free));
    found("disk.full", severity, text, "make room, or move the data directory with POLYTREE_DATA_DIR")
}

fn places(report: &Diagnosis) -> Vec<Advice> {
    report.machine.places.iter().filter(|place| place.exists).flat_map(place).collect()
}

fn place(place: &DiagnosisPlace) -> Vec<Advice> {
    let DiagnosisPlace { name, path, .. } = place;
    let variable = format!("POLYTREE_{}_DIR", name.to_uppercase());
    // Settings are only read.
    let severity = if name == "config" { Severity::Warning } else { Severity::Error };
    let mut all = Vec::new();
    if let Some(kind) = place.network.as_deref().filter(|_| name == "data") {
        let text = format!("the data directory {path} is on a network file system ({kind}), where the store's locks are not reliable");
        all.extend(found("places.network", Severity::Error, text, &format!("set {variable} to a directory on a local disk")));
    }
    if !place.own {
        let text = format!("the {name} directory {path} belongs to another user");
        all.extend(found("places.foreign", severity, text, &format!("set {variable} to a directory of your own")));
    } else if !place.writable && name != "config" {
        all.extend(found(
            "places.unwritable",
            Severity::Error,
            format!("the {name} directory {path} cannot be written"),
            "check its mode and the disk",
        ));
    }
    let open = place.mode.as_deref().and_then(|mode| u32::from_str_radix(mode, 8).ok()).is_some_and(|mode| mode & 0o077 != 0);
    if open && place.own {
        let text = format!("others can look into the {name} directory {path} (mode {})", place.mode.as_deref().unwrap_or_default());
        all.extend(found("places.open", severity, text, &format!("chmod 700 {path}")));
    }
    all
}

fn git(report: &Diagnosis) -> Vec<Advice> {
    let Some(git) = &report.machine.git else { return Vec::new() };
    if git.path.is_none() {
        return found("git.missing", Severity::Error, "git was not found in PATH", "install git");
    }
    let Some(version) = git.version.as_deref().filter(|version| numbers(version) < GIT) else { return Vec::new() };
    let wanted = GIT.map(|number| number.to_string()).join(".");
    let text = format!("git {version} is old; from {wanted} on it does not trust the repositories of others");
    found("git.old", Severity::Warning, text, "install a newer git")
}

fn shell(report: &Diagnosis) -> Vec<Advice> {
    let Some(shell) = &report.machine.shell else { return Vec::new() };
    match shell.path.as_deref() {
        None => found("shell.missing", Severity::Error, "there is neither bash nor sh, so no command can be run", "install bash"),
        Some(path) if path.ends_with("/bash") || path.ends_with("bash.exe") => Vec::new(),
        Some(path) => found("shell.plain", Severity::Info, format!("there is no bash; commands run in {path}"), "install bash"),
    }
}

fn clock(report: &Diagnosis) -> Vec<Advice> {
    let Some(moved) = report.machine.clock_moved_ms.filter(|moved| moved.unsigned_abs() > CLOCK) else { return Vec::new() };
    let direction = if moved > 0 { "forward" } else { "back" };
    let text = format!("the clock was moved {direction} by {} since the daemon started", duration(moved.unsigned_abs()));
    found("clock.moved", Severity::Warning, text, "times in the store may be out of order; check how the clock is set")
}

fn memory(report: &Diagnosis) -> Vec<Advice> {
    let Some(resident) = report.memory.resident.filter(|resident| *resident > RESIDENT) else { return Vec::new() };
    let largest = report.memory.accounted.first().filter(|share| share.bytes * 4 > resident);
    let whose = largest.map_or_else(String::new, |share| format!(", {} of it for {}", size(share.bytes), share.owner));
    let text = format!("the daemon has {} of memory{whose}", size(resident));
    found("memory.large", Severity::Warning, text, "restart it once its sessions are idle, and report what it was doing")
}

fn log_level(report: &Diagnosis) -> Vec<Advice> {
    if !matches!(report.log.level.as_str(), "debug" | "trace") {
        return Vec::new();
    }
    let text = format!("the daemon logs at level {}, which is slow and fills the disk", report.log.level);
    found("log.verbose", Severity::Info, text, "start it without --log-level")
}

fn log_errors(report: &Diagnosis) -> Vec<Advice> {
    use polytree_protocol::daemon::LogLevel;
    let recent = report.log.last.iter().filter(|line| line.level == LogLevel::Error && report.time - line.time < ERRORS_WITHIN);
    let count = recent.count();
    if count < ERRORS {
        return Vec::new();
    }
    found(
        "log.errors",
        Severity::Warning,
        format!("{count} errors in the last ten minutes"),
        "look at the newest file in log below the data directory",
    )
}

fn incomplete(report: &Diagnosis) -> Vec<Advice> {
    let settings = report.settings.error.as_ref().filter(|error| is_late(error));
    let parts = [
        ("projects", report.projects.error.as_ref()),
        ("questions", report.questions.error.as_ref()),
        ("settings", settings),
        ("machine", report.machine.error.as_ref()),
    ];
    let missing: Vec<String> = parts.iter().filter_map(|(name, error)| Some(format!("{name} ({})", (*error)?))).collect();
    if missing.is_empty() {
        return Vec::new();
    }
    found("report.incomplete", Severity::Warning, format!("this report is not complete: {}", missing.join(", ")), "")
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
