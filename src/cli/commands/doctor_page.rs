//! The page of `polytree doctor`: the report in sections. The advice comes last, where it is seen first.

use polytree_protocol::{
    daemon::LogLevel,
    diagnose::{Diagnosis, DiagnosisClient, DiagnosisProject, DiagnosisSession},
    diagnose_machine::{Advice, DiagnosisFiles, Severity},
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

/// The limit of lines in a section; `--json` has all.
const MAX_LINES: usize = 10;

type Row = Vec<String>;

#[must_use]
pub fn page(report: &Diagnosis) -> String {
    let age = |since: i64| format!("for {}", between(since, report.time));
    let sections = [
        section("Daemon", daemon(report), None),
        section("Clients", list(&report.clients, |client| self::client(report, client)), None),
        section("Sessions at work", list(&report.sessions, |session| self::session(report, session)), None),
        section(
            "Open questions",
            list(&report.questions.list, |question| {
                vec![question.id.clone(), text(&question.kind), age(question.since), faint(&question.directory)]
            }),
            report.questions.error.as_ref(),
        ),
        section(
            "Programs",
            list(&report.children, |child| {
                let processes = child.processes.filter(|count| *count > 1).map_or_else(String::new, |number| format!("{number} processes"));
                let (memory, session) = (child.resident.map_or_else(String::new, size), child.session_id.as_deref().unwrap_or(""));
                vec![child.pid.to_string(), text(&child.program), age(child.since), memory, processes, faint(session)]
            }),
            None,
        ),
        section("Projects", list(&report.projects.list, |project| self::project(report, project)), report.projects.error.as_ref()),
        section("Store", store(report), report.store.error.as_ref()),
        section("Settings", settings(report), report.settings.error.as_ref()),
        section("Machine", machine(report), report.machine.error.as_ref()),
        section(
            "Last warnings and errors",
            list(report.log.last.iter().rev().take(MAX_LINES), |line| {
                let level = if line.level == LogLevel::Error { paint(BAD, "error") } else { paint(WARNING, "warning") };
                vec![paint(FAINT, &table::ago(line.time, report.time)), level, text(&ellipsis(&line.message, 120))]
            }),
            None,
        ),
    ];
    let advice: String = report.advice.iter().map(advice).collect();
    let advice = if advice.is_empty() { paint(GOOD, "All is well.") + "\n" } else { advice };
    heading(report) + "\n\n" + &sections.concat() + &advice
}

fn heading(report: &Diagnosis) -> String {
    let name = paint(STRONG, &format!("polytree {}", text(&report.version)));
    match (report.pid, &report.owner.holder) {
        (Some(pid), _) => {
            let start = report.owner.start.map_or_else(String::new, |start| format!(" ({})", word(start)));
            format!("{name} runs as process {pid} for {}{start}", duration(report.uptime_ms.unwrap_or(0)))
        }
        (None, Some(holder)) => format!("{name}: a daemon (process {}) runs but does not answer", holder.pid),
        (None, None) => format!("{name}: no daemon runs; the next command starts one"),
    }
}

fn list<T>(items: impl IntoIterator<Item = T>, row: impl Fn(T) -> Row) -> Vec<Row> {
    items.into_iter().map(row).collect()
}

fn row<const N: usize>(cells: [&str; N]) -> Row {
    cells.map(str::to_owned).into()
}

/// A title above aligned rows, and an empty line; nothing if there are no rows.
fn section(title: &str, mut rows: Vec<Row>, error: Option<&String>) -> String {
    if rows.is_empty() && error.is_none() {
        return String::new();
    }
    let error = error.map_or_else(String::new, |error| format!("  {}\n", paint(BAD, &text(error))));
    let more = rows.len().saturating_sub(MAX_LINES);
    rows.truncate(MAX_LINES);
    rows.iter_mut().filter_map(|row| row.first_mut()).for_each(|cell| cell.insert_str(0, "  "));
    let more = if more > 0 { format!("  {}\n", paint(FAINT, &format!("… {more} more"))) } else { String::new() };
    format!("{}\n{error}{}{more}\n", paint(STRONG, title), table::render(&rows))
}

fn daemon(report: &Diagnosis) -> Vec<Row> {
    let mut rows = vec![row(["data", &text(&report.owner.data_directory)])];
    if report.pid.is_none() {
        return rows;
    }
    rows.extend(report.listeners.iter().map(|listener| row(["listens", &text(&listener.address)])));
    let (memory, calls) = (&report.memory, &report.calls);
    let shares = memory.accounted.iter().filter(|share| share.bytes > 0).take(3);
    let shares: Vec<_> = shares.map(|share| format!("{} {}", text(&share.owner), size(share.bytes))).collect();
    let memory = memory.resident.map_or_else(String::new, size);
    rows.push(row(["memory", &format!("{memory} {}", faint(&format!("({})", shares.join(", "))))]));
    rows.push(row(["calls", &format!("{}, {} failed", calls.total, calls.failed.values().sum::<u64>())]));
    let (errors, warnings) = (count(report.log.errors, "error"), count(report.log.warnings, "warning"));
    rows.push(row(["log", &format!("level {}; {errors}, {warnings}", text(&report.log.level))]));
    rows
}

fn client(report: &Diagnosis, client: &DiagnosisClient) -> Row {
    let name = client.name.as_deref().unwrap_or(if client.asks { "this command" } else { "unnamed" });
    let name = ellipsis(&format!("{name} {}", client.version.as_deref().unwrap_or("")), 40);
    let mut state = format!("{}, {}", count(client.subscriptions, "subscription"), count(client.requests, "request"));
    if client.waiting_bytes > 0 {
        state += &format!(", {} waiting for {}", size(client.waiting_bytes), duration(client.stalled_ms));
    }
    let directory = faint(client.directory.as_deref().unwrap_or(""));
    vec![client.id.to_string(), word(client.door), text(name.trim_end()), between(client.since, report.time), state, directory]
}

fn session(report: &Diagnosis, session: &DiagnosisSession) -> Row {
    let age = |since: i64| format!("for {}", between(since, report.time));
    let state = match &session.status {
        SessionStatus::Idle => "ending".to_owned(),
        SessionStatus::Busy => format!("busy {}", age(session.since.unwrap_or(report.time))),
        SessionStatus::Waiting(waiting) => paint(WARNING, &format!("waits for an answer {}", age(waiting.since))),
        SessionStatus::Retry(retry) => {
            paint(WARNING, &format!("failed {} times, next attempt in {}", retry.attempt, between(report.time, retry.next)))
        }
    };
    let model = session.model.iter().map(|call| format!("calls {} {}", text(&call.model), age(call.since)));
    let tools = session.tools.iter().map(|tool| format!("{} {}", text(&tool.tool), age(tool.since)));
    let queued = (session.queued > 0).then(|| format!("{} queued", session.queued));
    let doing: Vec<String> = model.chain(tools).chain(queued).collect();
    vec![session.id.to_string(), state, doing.join(", "), faint(session.directory.as_deref().unwrap_or(""))]
}

fn project(report: &Diagnosis, project: &DiagnosisProject) -> Row {
    let trust = match (project.missing, project.pending, project.trusted) {
        (true, ..) => paint(WARNING, "missing"),
        (_, 0, true) => "trusted".to_owned(),
        (_, 0, false) => paint(FAINT, "not trusted"),
        (_, pending, _) => paint(WARNING, &format!("{} not trusted yet", count(pending, "file"))),
    };
    let open = if project.open.is_empty() { String::new() } else { format!("{} open", project.open.len()) };
    vec![text(&project.worktree), trust, open, faint(&table::ago(project.used, report.time))]
}

fn store(report: &Diagnosis) -> Vec<Row> {
    let store = &report.store;
    if store.database.count == 0 {
        return Vec::new();
    }
    let more = |files: &DiagnosisFiles| if files.more { " and more" } else { "" };
    let files = |files: &DiagnosisFiles| format!("{} in {}{}", size(files.bytes), count(files.count, "file"), more(files));
    let mut rows = vec![row(["database", &format!("{}, {} in its log", size(store.database.bytes), size(store.wal.bytes))])];
    rows.extend(store.rows.iter().map(|found| {
        let bound = if found.approximate { " at most" } else { "" };
        let counts = [(found.sessions, "session"), (found.messages, "message"), (found.parts, "part"), (found.events, "event")];
        let counts = counts.map(|(number, noun)| count(number, noun)).join(", ");
        row(["rows", &format!("{counts}{bound}; {} of events", size(found.event_bytes))])
    }));
    rows.extend(store.rows.iter().filter(|found| found.archived > 0).map(|found| {
        let bytes = found.archived_bytes.map_or_else(String::new, |bytes| format!(", {}", size(bytes)));
        row(["archived", &format!("{}{bytes}", count(found.archived, "session"))])
    }));
    rows.push(row(["outputs", &files(&store.outputs)]));
    rows.push(row(["undo", &files(&store.snapshots)]));
    rows.push(row(["logs", &files(&store.logs)]));
    rows.extend(store.check.iter().map(|check| row(["check", &paint(if check == "ok" { GOOD } else { BAD }, &text(check))])));
    rows
}

fn settings(report: &Diagnosis) -> Vec<Row> {
    let settings = &report.settings;
    if settings.error.is_some() {
        return Vec::new();
    }
    let mut rows = list(&settings.files, |file| row(["file", &text(file)]));
    let agents = settings.agents.iter().map(|agent| ("agent", agent));
    for (kind, defined) in agents.chain(settings.commands.iter().map(|command| ("command", command))) {
        // The last file wins; the others still count for what it does not say.
        let Some((winner, others)) = defined.files.split_last() else { continue };
        let others = others.iter().rev().map(|file| text(file)).collect::<Vec<_>>().join(", ");
        let others = if others.is_empty() { others } else { format!("over {others}") };
        rows.push(row([&format!("{kind} {}", text(&defined.name)), &text(winner), &faint(&others)]));
    }
    rows.extend(settings.model.iter().map(|model| {
        let state = settings.model_error.as_ref().map_or_else(|| paint(GOOD, "ready"), |error| paint(BAD, &text(error)));
        row(["model", &text(model), &state])
    }));
    let (ready, others): (Vec<_>, Vec<_>) = settings.providers.iter().partition(|provider| provider.connected);
    rows.extend(ready.into_iter().map(|provider| row(["provider", &text(&provider.id), &paint(GOOD, "ready")])));
    if !others.is_empty() {
        rows.push(row(["providers", &format!("{} others", others.len()), &faint("no key; `polytree models` shows what they need")]));
    }
    rows
}

fn machine(report: &Diagnosis) -> Vec<Row> {
    let machine = &report.machine;
    let mut rows = list(&machine.places, |place| {
        let mode = place.mode.as_ref().map_or_else(String::new, |mode| format!("mode {mode}"));
        row([&text(&place.name), &text(&place.path), &faint(if place.exists { &mode } else { "does not exist yet" })])
    });
    rows.extend(machine.disk.iter().map(|disk| row(["disk", &format!("{} free of {}", size(disk.free), size(disk.total))])));
    for (name, program) in [("git", &machine.git), ("shell", &machine.shell)] {
        let Some(program) = program else { continue };
        let path = program.path.as_ref().map_or_else(|| paint(BAD, "not found"), |path| text(path));
        rows.push(row([name, &path, &faint(program.version.as_deref().unwrap_or(""))]));
    }
    rows.extend(report.sandbox.iter().map(sandbox));
    rows
}

/// What this machine does not enforce of each policy.
fn sandbox(sandbox: &DiagnosisSandbox) -> Row {
    let policies = sandbox.policies.iter().map(|(policy, promise)| {
        let missing: Vec<String> = promise.missing.iter().map(word).collect();
        let state = if missing.is_empty() { paint(GOOD, "complete") } else { paint(WARNING, &format!("without {}", missing.join(", "))) };
        format!("{}: {state}", text(policy))
    });
    row(["sandbox", &policies.collect::<Vec<_>>().join("; ")])
}

fn advice(advice: &Advice) -> String {
    let hint = advice.hint.as_deref();
    let (style, label) = match advice.severity {
        Severity::Error => return error_lines(&advice.text, hint) + "\n",
        Severity::Warning => (WARNING, "warning:"),
        Severity::Info => (CODE, "note:"),
    };
    let hint = hint.map_or_else(String::new, |hint| paint(FAINT, &format!("hint: {}", sanitize::text(hint))) + "\n");
    format!("{} {}\n{hint}", paint(style.bold(), label), sanitize::text(&advice.text))
}

/// The name of a value on the wire.
fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn faint(value: &str) -> String {
    paint(FAINT, &text(value))
}

fn text(text: &str) -> String {
    sanitize::line(text)
}
