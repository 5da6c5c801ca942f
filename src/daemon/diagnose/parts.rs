//! The parts of the report, from what their owners tell to what goes over the wire.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use polytree_protocol::{
    daemon::LogLevel,
    diagnose::{
        DiagnosisCall, DiagnosisCalls, DiagnosisChild, DiagnosisIndex, DiagnosisLog, DiagnosisLogLine, DiagnosisModelCall,
        DiagnosisProject, DiagnosisProjects, DiagnosisQuestion, DiagnosisSession, DiagnosisSymbols, DiagnosisToolCall,
    },
    diagnose_machine::{
        DiagnosisFiles, DiagnosisMemory, DiagnosisProvider, DiagnosisRows, DiagnosisSetAside, DiagnosisSettings, DiagnosisShare,
        DiagnosisStore,
    },
    id::ProjectId,
    session::SessionStatus,
};

use super::part::{Asker, Missing, late};
use crate::{
    config::{self, Places},
    daemon::{Daemon, calls::Calls, clients::Description},
    find::{
        Cut, Finder, IndexState,
        symbols::{Partial, Symbols, SymbolsState},
    },
    permission::Question,
    project::{
        Projects,
        overview::{OpenDirectory, Outlook},
    },
    session::Working,
    stdx::{
        memory::{self, Memory},
        paths::AbsPath,
        process::children::Child,
        recent,
        tasks::Tasks,
    },
    store::{
        KnownProject, aside,
        size::{self, Counts},
    },
};

/// The longest list of projects and of questions.
const MAX_LISTED: usize = 100;
/// More files than this of one kind are not looked at.
const MAX_FILES: u64 = 5_000;
/// What the task of a session takes, with its queues and channels; reckoned.
const SESSION_BYTES: u64 = 8 * 1024;
/// What a session's notes of the files that it has read take; reckoned.
const NOTES_BYTES: u64 = 2 * 1024;

/// What is found by looking at files, of the system and our own.
#[derive(Default)]
pub(super) struct Looked {
    pub memory: Memory,
    pub children: Vec<DiagnosisChild>,
    pub store: DiagnosisStore,
    pub pending: BTreeMap<ProjectId, u64>,
}

impl Looked {
    pub async fn now(children: Vec<Child>, places: Places, projects: Arc<Projects>) -> Result<Self, tokio::task::JoinError> {
        Tasks::spawn_blocking(move || Self {
            memory: memory::own(),
            children: children.into_iter().map(child).collect(),
            store: files(&places),
            pending: projects.pending(),
        })
        .await
    }
}

fn child(child: Child) -> DiagnosisChild {
    let tree = memory::of_tree(child.pid);
    DiagnosisChild {
        pid: child.pid,
        since: child.since,
        session_id: child.label("session").map(str::to_owned),
        call_id: child.label("call").map(str::to_owned),
        processes: tree.map(|(processes, _)| processes),
        resident: tree.map(|(_, bytes)| bytes),
        program: child.program,
    }
}

/// The sizes of what is kept below the data directory.
pub(super) fn files(places: &Places) -> DiagnosisStore {
    let one = |name: &str| {
        let found = std::fs::metadata(places.data.join(name)).ok();
        found.map_or_else(DiagnosisFiles::default, |found| DiagnosisFiles { count: 1, bytes: found.len(), more: false })
    };
    let below = |name: &str| {
        let mut found = DiagnosisFiles::default();
        walk(&places.data.join(name), &mut found);
        found
    };
    DiagnosisStore {
        database: one("polytree.db"),
        wal: one("polytree.db-wal"),
        outputs: below("output"),
        logs: below("log"),
        set_aside: aside::all(places.data.join("polytree.db").as_path()).iter().map(|path| set_aside(path)).collect(),
        ..DiagnosisStore::default()
    }
}

fn set_aside(path: &std::path::Path) -> DiagnosisSetAside {
    DiagnosisSetAside { path: path.display().to_string(), bytes: std::fs::metadata(path).map_or(0, |found| found.len()) }
}

fn walk(directory: &AbsPath, found: &mut DiagnosisFiles) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        if found.count >= MAX_FILES {
            found.more = true;
            return;
        }
        // Of the entry itself: links are not followed.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            walk(&directory.join(entry.file_name()), found);
        } else {
            found.count += 1;
            found.bytes += metadata.len();
        }
    }
}

pub(super) fn sessions(working: Vec<Working>, asker: &Asker) -> Vec<DiagnosisSession> {
    let session = |working: Working| {
        let turn = working.turn;
        let mut status = working.status;
        if let SessionStatus::Retry(retry) = &mut status {
            retry.message = asker.clean(&retry.message);
        }
        DiagnosisSession {
            id: working.id,
            directory: turn.as_ref().and_then(|turn| turn.directory.clone()),
            status,
            since: turn.as_ref().map(|turn| turn.since),
            message_id: turn.as_ref().map(|turn| turn.message.clone()),
            sign: turn.as_ref().map(|turn| turn.sign),
            model: turn
                .as_ref()
                .and_then(|turn| turn.model.as_ref())
                .map(|(model, since)| DiagnosisModelCall { model: model.to_string(), since: *since }),
            tools: turn
                .into_iter()
                .flat_map(|turn| turn.tools)
                .map(|(call_id, tool, since)| DiagnosisToolCall { call_id, tool, since })
                .collect(),
            queued: working.queued as u64,
        }
    };
    working.into_iter().map(session).collect()
}

pub(super) fn questions(open: Vec<Question>) -> Vec<DiagnosisQuestion> {
    let question = |question: Question| DiagnosisQuestion {
        id: question.permission.id,
        session_id: question.permission.session_id,
        kind: question.permission.kind,
        since: question.permission.time.created,
        directory: question.directory,
    };
    open.into_iter().take(MAX_LISTED).map(question).collect()
}

/// The checkouts whose file names are held.
pub(super) fn indexes(finder: &Finder) -> Vec<DiagnosisIndex> {
    let index = |state: IndexState| DiagnosisIndex {
        directory: state.root.to_string(),
        entries: state.entries as u64,
        bytes: state.bytes as u64,
        watched: state.watched as u64,
        unwatched: state.unwatched as u64,
        partial: state.cut.map(|cut| {
            let word = match cut {
                Cut::Entries => "entries",
                Cut::Depth => "depth",
                Cut::Time => "time",
            };
            word.to_owned()
        }),
        used: state.used,
    };
    finder.state().into_iter().map(index).collect()
}

/// The directories whose symbols are held.
pub(super) fn symbols(symbols: &Symbols) -> Vec<DiagnosisSymbols> {
    let of = |state: SymbolsState| DiagnosisSymbols {
        directory: state.root.to_string(),
        files: state.files as u64,
        symbols: state.symbols as u64,
        bytes: state.bytes as u64,
        partial: state.partial.map(|partial| {
            let word = match partial {
                Partial::Reading => "reading",
                Partial::Budget => "budget",
            };
            word.to_owned()
        }),
        used: state.used,
    };
    symbols.state().into_iter().map(of).collect()
}

/// Those with open directories first, then the last used.
pub(super) fn projects(known: Vec<KnownProject>, open: &[OpenDirectory], pending: &BTreeMap<ProjectId, u64>) -> DiagnosisProjects {
    let is_open: BTreeSet<&ProjectId> = open.iter().map(|open| &open.project.id).collect();
    let count = known.len() as u64;
    let (first, rest): (Vec<_>, Vec<_>) = known.into_iter().partition(|project| is_open.contains(&project.id));
    let list = first.into_iter().chain(rest).take(MAX_LISTED).map(|known| project(&known, open, pending)).collect();
    DiagnosisProjects { error: None, known: count, list, indexes: Vec::new(), symbols: Vec::new() }
}

/// Where the store does not answer: what is known without it.
pub(super) fn open_projects(open: &[OpenDirectory], pending: &BTreeMap<ProjectId, u64>) -> DiagnosisProjects {
    let mut seen = BTreeSet::new();
    let known: Vec<_> = open.iter().filter(|open| seen.insert(&open.project.id)).map(|open| open.project.clone()).collect();
    projects(known, open, pending)
}

fn project(known: &KnownProject, open: &[OpenDirectory], pending: &BTreeMap<ProjectId, u64>) -> DiagnosisProject {
    let project = known.to_wire(Vec::new(), !known.worktree.as_path().is_dir());
    let open: Vec<&OpenDirectory> = open.iter().filter(|open| open.project.id == project.id).collect();
    DiagnosisProject {
        used: open.iter().map(|open| open.used).max().unwrap_or(0).max(project.time.updated),
        open: open.iter().map(|open| open.directory.to_string()).collect(),
        pending: pending.get(&project.id).copied().unwrap_or(0),
        id: project.id,
        worktree: project.worktree,
        missing: project.missing,
        trusted: project.trusted,
    }
}

/// What the daemon knows to have in memory.
pub(super) fn accounted(daemon: &Daemon, clients: &[Description], open: &[OpenDirectory]) -> Vec<DiagnosisShare> {
    let share = |owner: &str, bytes: u64, count: Option<usize>, estimated| DiagnosisShare {
        owner: owner.to_owned(),
        bytes,
        count: count.map(|count| count as u64),
        estimated,
    };
    let (events, event_bytes) = daemon.events.in_memory();
    let outbox_messages = clients.iter().map(|client| client.waiting_messages).sum();
    let outbox_bytes: usize = clients.iter().map(|client| client.waiting_bytes).sum();
    let directory_bytes: usize = open.iter().map(|open| open.bytes).sum();
    let census = daemon.sessions.census();
    let lines = recent::LOG.lines();
    let line_bytes: usize = lines.iter().map(|line| line.message.len() + line.target.len() + size_of::<recent::Line>()).sum();
    let mut all = vec![
        share("store", size::memory(), None, false),
        share("events", event_bytes as u64, Some(events), false),
        share("outboxes", outbox_bytes as u64, Some(outbox_messages), false),
        share("directories", directory_bytes as u64, Some(open.len()), true),
        share("sessions", census.live as u64 * SESSION_BYTES, Some(census.live), true),
        share("files", census.readers as u64 * NOTES_BYTES, Some(census.readers), true),
        share("log", line_bytes as u64, Some(lines.len()), false),
    ];
    all.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    all
}

pub(super) fn memory(own: Memory, accounted: Vec<DiagnosisShare>) -> DiagnosisMemory {
    let known: u64 = accounted.iter().map(|share| share.bytes).sum();
    DiagnosisMemory {
        resident: own.resident,
        proportional: own.proportional,
        peak: own.peak,
        swapped: own.swapped,
        accounted,
        rest: own.resident.map(|resident| resident.saturating_sub(known)),
    }
}

pub(super) fn rows(rows: Counts) -> DiagnosisRows {
    DiagnosisRows {
        sessions: rows.sessions,
        messages: rows.messages,
        parts: rows.parts,
        events: rows.events,
        approximate: rows.approximate,
        event_bytes: rows.event_bytes,
        oldest_cursor: rows.oldest_cursor,
        newest_cursor: rows.newest_cursor,
    }
}

pub(super) fn calls(calls: &Calls) -> DiagnosisCalls {
    #[expect(clippy::cast_precision_loss, reason = "durations are far below 2^52 microseconds")]
    let slowest = calls.slowest().into_iter().map(|slow| DiagnosisCall {
        method: slow.method.to_owned(),
        connection_id: slow.connection,
        duration_ms: slow.micros as f64 / 1000.0,
        ended: slow.ended,
        error: slow.error.map(|kind| kind.word().to_owned()),
    });
    DiagnosisCalls {
        total: calls.total(),
        slowest: slowest.collect(),
        failed: calls.failed().into_iter().map(|(kind, count)| (kind.word().to_owned(), count)).collect(),
    }
}

pub(super) fn log(asker: &Asker) -> DiagnosisLog {
    let (errors, warnings) = recent::LOG.counts();
    let line = |line: recent::Line| DiagnosisLogLine {
        time: line.time,
        level: if line.level == tracing::Level::ERROR { LogLevel::Error } else { LogLevel::Warn },
        target: asker.clean(&line.target),
        message: asker.clean(&line.message),
    };
    DiagnosisLog {
        level: tracing::level_filters::LevelFilter::current().to_string(),
        errors,
        warnings,
        last: recent::LOG.lines().into_iter().map(line).collect(),
    }
}

pub(super) fn settings(outlook: Result<Outlook, Missing<config::Error>>, asker: &Asker) -> DiagnosisSettings {
    let outlook = match outlook {
        Ok(outlook) => outlook,
        Err(Missing::Late) => return DiagnosisSettings { error: Some(late()), ..DiagnosisSettings::default() },
        Err(Missing::Failed(error)) => {
            let position = error.position();
            return DiagnosisSettings {
                error: Some(asker.clean(&error.to_string())),
                file: error.file().map(str::to_owned),
                line: position.map(|(line, _)| line),
                column: position.map(|(_, column)| column),
                ..DiagnosisSettings::default()
            };
        }
    };
    DiagnosisSettings {
        directory: asker.directory.as_ref().map(ToString::to_string),
        files: outlook.settings.files.iter().map(ToString::to_string).collect(),
        unset: outlook.settings.unset.iter().map(ToString::to_string).collect(),
        model: Some(outlook.model.to_string()),
        model_error: outlook.problem.map(|problem| asker.clean(&problem)),
        providers: outlook
            .providers
            .into_iter()
            .map(|provider| DiagnosisProvider {
                connected: outlook.connected.contains(&provider.id),
                id: provider.id,
                env: provider.env,
                models: provider.models.len() as u64,
            })
            .collect(),
        ..DiagnosisSettings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_accounted_for_is_the_rest() {
        let share = |bytes| DiagnosisShare { bytes, ..DiagnosisShare::default() };
        let own = Memory { resident: Some(100), ..Memory::default() };
        assert_eq!(memory(own, vec![share(30), share(20)]).rest, Some(50));
        assert_eq!(memory(own, vec![share(300)]).rest, Some(0));
        assert_eq!(memory(Memory::default(), vec![share(1)]).rest, None);
    }
}
