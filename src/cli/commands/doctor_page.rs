//! The page of `polytree doctor`: a report in sections, what is worth doing at the end, where it is seen first.

use polytree_protocol::{
    daemon::LogLevel,
    diagnose::{Diagnosis, DiagnosisClient, DiagnosisDoor, DiagnosisProject, DiagnosisSession, DiagnosisStart},
    diagnose_machine::{Advice, DiagnosisFiles, DiagnosisPlace, Severity},
    sandbox::DiagnosisSandbox,
    session::SessionStatus,
};

use crate::{
    cli::render::{
        sanitize,
        style::{BAD, CODE, FAINT, GOOD, STRONG, WARNING, error_lines, paint},
        table,
    },
    stdx::{
        human::{between, count, duration, size},
        text::ellipsis,
    },
};

/// How many lines of a long list are shown; `--json` has them all.
const MOST: usize = 10;

type Rows = Vec<Vec<String>>;

/// The page.
#[must_use]
pub fn page(report: &Diagnosis) -> String {
    let sections = [
        section("Daemon", daemon(report), None),
        section("Clients", report.clients.iter().map(|client| self::client(report, client)).collect(), None),
        section("Sessions at work", report.sessions.iter().map(|session| self::session(report, session)).collect(), None),
        section("Open questions", questions(report), report.questions.error.as_ref()),
        section("Programs", programs(report), None),
        section("Projects", projects(report), report.projects.error.as_ref()),
        section("Store", store(report), report.store.error.as_ref()),
        section("Settings", settings(report), report.settings.error.as_ref()),
        section("Machine", machine(report), report.machine.error.as_ref()),
        section("Last warnings and errors", log(report), None),
    ];
    let head = heading(report) + "\n";
    let mut page = head;
    for section in sections.iter().filter(|section| !section.is_empty()) {
        page.push('\n');
        page.push_str(section);
    }
    page + "\n" + &advice(&report.advice)
}

fn heading(report: &Diagnosis) -> String {
    let name = paint(STRONG, &format!("polytree {}", text(&report.version)));
    match (report.pid, &report.owner.holder) {
        (Some(pid), _) => {
            let by = report.owner.start.map_or("", |start| match start {
                DiagnosisStart::Detached => ", started by a command that needed it",
                DiagnosisStart::Foreground => ", started as `polytree serve`",
                DiagnosisStart::Standalone => ", inside the process of its client",
            });
            format!("{name} runs as process {pid} for {}{by}", duration(report.uptime_ms.unwrap_or(0)))
        }
        (None, Some(holder)) => format!("{name}: a daemon (process {}) runs but does not answer", holder.pid),
        (None, None) => format!("{name}: no daemon runs; the next command starts one"),
    }
}

/// A heading and lines that line up; nothing when there is nothing to say.
fn section(title: &str, rows: Rows, error: Option<&String>) -> String {
    if rows.is_empty() && error.is_none() {
        return String::new();
    }
    let mut section = paint(STRONG, title) + "\n";
    if let Some(error) = error {
        section.push_str(&format!("  {}\n", paint(BAD, &text(error))));
    }
    let more = rows.len().saturating_sub(MOST);
    let rows: Rows = rows
        .into_iter()
        .take(MOST)
        .map(|mut row| {
            if let Some(first) = row.first_mut() {
                first.insert_str(0, "  ");
            }
            row
        })
        .collect();
    section.push_str(&table::render(&rows));
    if more > 0 {
        section.push_str(&format!("  {}\n", paint(FAINT, &format!("… {more} more"))));
    }
    section
}

fn daemon(report: &Diagnosis) -> Rows {
    let mut rows = vec![vec!["data".to_owned(), text(&report.owner.data_directory)]];
    rows.extend(report.owner.user_name.iter().map(|name| vec!["user".to_owned(), text(name)]));
    if report.pid.is_none() {
        return rows;
    }
    rows.extend(report.listeners.iter().map(|listener| vec!["listens".to_owned(), text(&listener.address)]));
    rows.push(vec!["memory".to_owned(), memory(report)]);
    let calls = &report.calls;
    let failed: u64 = calls.failed.values().sum();
    let kinds: Vec<String> = calls.failed.iter().map(|(kind, count)| format!("{} {count}", text(kind))).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let slowest =
        calls.slowest.first().map_or_else(String::new, |call| format!("; slowest {} {:.1} ms", text(&call.method), call.duration_ms));
    rows.push(vec!["calls".to_owned(), format!("{}, {failed} failed{kinds}{slowest}", calls.total)]);
    let queues = &report.queues;
    rows.push(vec![
        "waiting".to_owned(),
        format!(
            "{}, {}, {} to clients, {}",
            count(queues.writer, "change"),
            count(queues.readers, "read"),
            size(queues.outbox_bytes),
            count(queues.prompts, "prompt")
        ),
    ]);
    let (errors, warnings) = (count(report.log.errors, "error"), count(report.log.warnings, "warning"));
    rows.push(vec!["log".to_owned(), format!("{}; {errors}, {warnings}", text(&report.log.level))]);
    rows
}

fn memory(report: &Diagnosis) -> String {
    let memory = &report.memory;
    let figure = |bytes: Option<u64>, what: &str| bytes.map(|bytes| format!("{} {what}", size(bytes)));
    let figures: Vec<String> =
        [figure(memory.resident, "resident"), figure(memory.proportional, "proportional"), figure(memory.peak, "at most")]
            .into_iter()
            .flatten()
            .collect();
    let mut known: Vec<String> = memory
        .accounted
        .iter()
        .filter(|share| share.bytes > 0)
        .take(3)
        .map(|share| format!("{} {}", text(&share.owner), size(share.bytes)))
        .collect();
    known.extend(memory.rest.map(|rest| format!("{} not accounted for", size(rest))));
    let known = if known.is_empty() { String::new() } else { paint(FAINT, &format!(" ({})", known.join(", "))) };
    if figures.is_empty() { format!("not told by the system{known}") } else { figures.join(", ") + &known }
}

fn client(report: &Diagnosis, client: &DiagnosisClient) -> Vec<String> {
    let door = match client.door {
        DiagnosisDoor::Stdio => "stdio",
        DiagnosisDoor::Local => "socket",
        DiagnosisDoor::WebSocket => "websocket",
        DiagnosisDoor::Http => "http",
    };
    let name = client.name.as_deref().unwrap_or(if client.asks { "this command" } else { "unnamed" });
    let version = client.version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
    let mut state = vec![count(client.subscriptions, "subscription"), count(client.requests, "request")];
    if client.waiting_bytes > 0 {
        state.push(format!("{} waiting for {}", size(client.waiting_bytes), duration(client.stalled_ms)));
    }
    vec![
        client.id.to_string(),
        door.to_owned(),
        text(&ellipsis(&format!("{name}{version}"), 40)),
        between(client.since, report.time),
        state.join(", "),
        paint(FAINT, &client.directory.as_deref().map_or_else(String::new, text)),
    ]
}

fn session(report: &Diagnosis, session: &DiagnosisSession) -> Vec<String> {
    let since = session.since.unwrap_or(report.time);
    let state = match &session.status {
        SessionStatus::Idle => "ending".to_owned(),
        SessionStatus::Busy => format!("busy for {}", between(since, report.time)),
        SessionStatus::Waiting(waiting) => paint(WARNING, &format!("waits for an answer for {}", between(waiting.since, report.time))),
        SessionStatus::Retry(retry) => {
            paint(WARNING, &format!("failed {} times, again in {}", retry.attempt, between(report.time, retry.next)))
        }
    };
    let mut doing: Vec<String> =
        session.model.iter().map(|call| format!("calls {} for {}", text(&call.model), between(call.since, report.time))).collect();
    doing.extend(session.tools.iter().map(|tool| format!("{} for {}", text(&tool.tool), between(tool.since, report.time))));
    if session.queued > 0 {
        doing.push(format!("{} queued", session.queued));
    }
    vec![session.id.to_string(), state, doing.join(", "), paint(FAINT, &session.directory.as_deref().map_or_else(String::new, text))]
}

fn questions(report: &Diagnosis) -> Rows {
    let row = |question: &polytree_protocol::diagnose::DiagnosisQuestion| {
        let waits = format!("for {}", between(question.since, report.time));
        vec![question.id.to_string(), text(&question.kind), waits, paint(FAINT, &text(&question.directory))]
    };
    report.questions.list.iter().map(row).collect()
}

fn programs(report: &Diagnosis) -> Rows {
    let row = |child: &polytree_protocol::diagnose::DiagnosisChild| {
        let memory = child.resident.map_or_else(String::new, size);
        let processes = child.processes.filter(|count| *count > 1).map_or_else(String::new, |number| format!("{number} processes"));
        let session = paint(FAINT, &child.session_id.as_deref().map_or_else(String::new, text));
        vec![child.pid.to_string(), text(&child.program), format!("for {}", between(child.since, report.time)), memory, processes, session]
    };
    report.children.iter().map(row).collect()
}

fn projects(report: &Diagnosis) -> Rows {
    let row = |project: &DiagnosisProject| {
        let trust = match (project.missing, project.pending, project.trusted) {
            (true, ..) => paint(WARNING, "gone"),
            (_, 0, true) => "trusted".to_owned(),
            (_, 0, false) => paint(FAINT, "not trusted"),
            (_, pending, _) => paint(
                WARNING,
                &format!("{} for trust", if pending == 1 { "1 file waits".to_owned() } else { format!("{pending} files wait") }),
            ),
        };
        let open = if project.open.is_empty() { String::new() } else { format!("{} open", project.open.len()) };
        vec![text(&project.worktree), trust, open, paint(FAINT, &table::ago(project.used, report.time))]
    };
    report.projects.list.iter().map(row).collect()
}

fn store(report: &Diagnosis) -> Rows {
    let store = &report.store;
    if store.database.count == 0 {
        return Vec::new();
    }
    let files = |files: &DiagnosisFiles| {
        let more = if files.more { "more than " } else { "" };
        format!("{more}{} in {}", size(files.bytes), count(files.count, "file"))
    };
    let mut rows = vec![vec!["database".to_owned(), format!("{}, {} in its log", size(store.database.bytes), size(store.wal.bytes))]];
    if let Some(found) = &store.rows {
        let about = if found.approximate { " at most" } else { "" };
        let counts = [(found.sessions, "session"), (found.messages, "message"), (found.parts, "part"), (found.events, "event")];
        let counts = counts.map(|(number, noun)| count(number, noun)).join(", ");
        rows.push(vec!["rows".to_owned(), counts + about]);
        rows.push(vec![
            "events".to_owned(),
            format!("{}, cursors {} to {}", size(found.event_bytes), found.oldest_cursor, found.newest_cursor),
        ]);
    }
    rows.push(vec!["outputs".to_owned(), files(&store.outputs)]);
    rows.push(vec!["logs".to_owned(), files(&store.logs)]);
    if let Some(check) = &store.check {
        rows.push(vec!["check".to_owned(), paint(if check == "ok" { GOOD } else { BAD }, &text(check))]);
    }
    rows
}

fn settings(report: &Diagnosis) -> Rows {
    let settings = &report.settings;
    if settings.error.is_some() {
        return Vec::new();
    }
    let mut rows: Rows = settings.files.iter().map(|file| vec!["file".to_owned(), text(file)]).collect();
    if let Some(model) = &settings.model {
        let state = settings.model_error.as_ref().map_or_else(|| paint(GOOD, "ready"), |error| paint(BAD, &text(error)));
        rows.push(vec!["model".to_owned(), text(model), state]);
    }
    let ready = settings.providers.iter().filter(|provider| provider.connected);
    rows.extend(ready.map(|provider| vec!["provider".to_owned(), text(&provider.id), paint(GOOD, "ready")]));
    let keyless = settings.providers.iter().filter(|provider| !provider.connected).count();
    if keyless > 0 {
        let hint = paint(FAINT, "no key; `polytree models` tells what they need");
        rows.push(vec!["providers".to_owned(), format!("{keyless} others"), hint]);
    }
    rows
}

fn machine(report: &Diagnosis) -> Rows {
    let machine = &report.machine;
    let place = |place: &DiagnosisPlace| {
        let state = match (&place.mode, place.exists) {
            (_, false) => paint(FAINT, "not made yet"),
            (Some(mode), true) => paint(FAINT, &format!("mode {}", text(mode))),
            (None, true) => String::new(),
        };
        vec![text(&place.name), text(&place.path), state]
    };
    let mut rows: Rows = machine.places.iter().map(place).collect();
    rows.extend(machine.disk.iter().map(|disk| vec!["disk".to_owned(), format!("{} free of {}", size(disk.free), size(disk.total))]));
    for (name, program) in [("git", &machine.git), ("shell", &machine.shell)] {
        let Some(program) = program else { continue };
        let path = program.path.as_ref().map_or_else(|| paint(BAD, "not found"), |path| text(path));
        rows.push(vec![name.to_owned(), path, paint(FAINT, &program.version.as_deref().map_or_else(String::new, text))]);
    }
    rows.extend(report.sandbox.iter().map(sandbox));
    rows
}

/// What commands can be confined by, and what of each policy this machine does not enforce.
fn sandbox(sandbox: &DiagnosisSandbox) -> Vec<String> {
    let mut means = Vec::new();
    if sandbox.landlock > 0 {
        means.push(format!("Landlock (ABI {})", sandbox.landlock));
    }
    let others = [("seccomp", sandbox.seccomp), ("namespaces", sandbox.namespaces), ("bubblewrap", sandbox.bubblewrap)];
    means.extend(others.into_iter().filter(|(_, is_there)| *is_there).map(|(name, _)| name.to_owned()));
    let means = if means.is_empty() { paint(WARNING, "nothing to confine commands by") } else { means.join(", ") };
    let policies = sandbox.policies.iter().map(|(policy, promise)| {
        let words: Vec<String> = promise.missing.iter().map(|word| format!("{word:?}").to_lowercase()).collect();
        let state = if words.is_empty() { paint(GOOD, "whole") } else { paint(WARNING, &format!("without {}", words.join(", "))) };
        format!("{}: {state}", text(policy))
    });
    vec!["sandbox".to_owned(), means, policies.collect::<Vec<_>>().join("; ")]
}

fn log(report: &Diagnosis) -> Rows {
    let row = |line: &polytree_protocol::diagnose::DiagnosisLogLine| {
        let level = if line.level == LogLevel::Error { paint(BAD, "error") } else { paint(WARNING, "warning") };
        vec![paint(FAINT, &table::ago(line.time, report.time)), level, text(&ellipsis(&line.message, 120))]
    };
    report.log.last.iter().rev().take(MOST).map(row).collect()
}

fn advice(advice: &[Advice]) -> String {
    if advice.is_empty() {
        return paint(GOOD, "All is well.") + "\n";
    }
    let mut page = String::new();
    for advice in advice {
        let hint = advice.hint.as_deref();
        page.push_str(&match advice.severity {
            Severity::Error => error_lines(&advice.text, hint),
            Severity::Warning => told(paint(WARNING.bold(), "warning:"), &advice.text, hint),
            Severity::Info => told(paint(CODE.bold(), "note:"), &advice.text, hint),
        });
        page.push('\n');
    }
    page
}

fn told(word: String, what: &str, hint: Option<&str>) -> String {
    let hint = hint.map_or_else(String::new, |hint| "\n".to_owned() + &paint(FAINT, &format!("hint: {}", sanitize::text(hint))));
    format!("{word} {}{hint}", sanitize::text(what))
}

fn text(text: &str) -> String {
    sanitize::line(text)
}
