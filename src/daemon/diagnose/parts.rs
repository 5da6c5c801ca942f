//! The parts of the report.

use std::cmp::Reverse;

use polytree_protocol::{
    diagnose::{DiagnosisChild, DiagnosisLog, DiagnosisLogLine, DiagnosisQuestion},
    diagnose_machine::{DiagnosisFiles, DiagnosisMemory, DiagnosisSetAside, DiagnosisSettings, DiagnosisShare, DiagnosisStore},
};

use super::requester::Requester;
use crate::{
    daemon::Daemon,
    permission::{Inquiry, Question},
    stdx::{memory, paths::AbsPath, recent},
    store::{aside, size},
    tool::{self, definition::Tool as _},
};

/// The limit of listed questions.
const MAX_LISTED: usize = 100;
/// The limit of counted files of one kind.
const MAX_FILES: u64 = 5_000;
/// The estimated memory of a session's task with its queues and channels.
const SESSION_BYTES: u64 = 8 * 1024;
/// The estimated memory of a session's record of the files that it has read.
const READ_FILES_BYTES: u64 = 2 * 1024;

pub(super) fn with_memory(children: Vec<DiagnosisChild>) -> Vec<DiagnosisChild> {
    let with_memory = |child: DiagnosisChild| {
        let (processes, resident) = memory::of_tree(child.pid).unzip();
        DiagnosisChild { processes, resident, ..child }
    };
    children.into_iter().map(with_memory).collect()
}

/// The sizes of the files in the data directory.
pub(super) fn files(data: &AbsPath) -> DiagnosisStore {
    let count = |name: &str| {
        let mut found = DiagnosisFiles::default();
        count_files(&data.join(name), &mut found);
        found
    };
    let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |found| found.len());
    let set_aside = aside::all(data.join("polytree.db").as_path()).into_iter();
    DiagnosisStore {
        database: count("polytree.db"),
        wal: count("polytree.db-wal"),
        outputs: count("output"),
        snapshots: count("snapshots/objects"),
        logs: count("log"),
        set_aside: set_aside.map(|path| DiagnosisSetAside { bytes: size(&path), path: path.display().to_string() }).collect(),
        ..DiagnosisStore::default()
    }
}

/// Counts a file, or the files below a directory. Symbolic links are not followed.
fn count_files(path: &AbsPath, found: &mut DiagnosisFiles) {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return };
    if found.count >= MAX_FILES {
        found.more = true;
    } else if metadata.is_dir() {
        std::fs::read_dir(path).into_iter().flatten().flatten().for_each(|entry| count_files(&path.join(entry.file_name()), found));
    } else {
        found.count += 1;
        found.bytes += metadata.len();
    }
}

pub(super) fn questions(open: Vec<Question>, inquiries: Vec<Inquiry>) -> Vec<DiagnosisQuestion> {
    let question = |Question { permission, directory, .. }: Question| DiagnosisQuestion {
        id: permission.id.to_string(),
        session_id: permission.session_id,
        kind: permission.kind,
        since: permission.time.created,
        directory,
    };
    let inquiry = |Inquiry { question, directory, .. }: Inquiry| DiagnosisQuestion {
        id: question.id.to_string(),
        session_id: question.session_id,
        kind: tool::question::Question::NAME.to_owned(),
        since: question.time.created,
        directory,
    };
    let mut list: Vec<_> = open.into_iter().map(question).chain(inquiries.into_iter().map(inquiry)).collect();
    list.sort_by_key(|question| question.since);
    list.truncate(MAX_LISTED);
    list
}

/// The memory whose use is known, the largest share first.
pub(super) fn accounted(daemon: &Daemon, outbox_messages: u64, outbox_bytes: u64) -> Vec<DiagnosisShare> {
    let (directories, directory_bytes) = daemon.projects.open_directories();
    let (events, event_bytes) = daemon.events.in_memory();
    let census = daemon.sessions.census();
    let (live, readers) = (census.live as u64, census.readers as u64);
    let lines = recent::LOG.lines();
    let line_bytes: usize = lines.iter().map(|line| line.message.len() + line.target.len() + size_of::<DiagnosisLogLine>()).sum();
    let mut shares = [
        ("store", size::memory(), None, false),
        ("events", event_bytes as u64, Some(events as u64), false),
        ("outboxes", outbox_bytes, Some(outbox_messages), false),
        ("directories", directory_bytes as u64, Some(directories as u64), true),
        ("sessions", live * SESSION_BYTES, Some(live), true),
        ("files", readers * READ_FILES_BYTES, Some(readers), true),
        ("log", line_bytes as u64, Some(lines.len() as u64), false),
    ]
    .map(|(owner, bytes, count, estimated)| DiagnosisShare { owner: owner.to_owned(), bytes, count, estimated });
    shares.sort_by_key(|share| Reverse(share.bytes));
    shares.into()
}

pub(super) fn memory(own: DiagnosisMemory, accounted: Vec<DiagnosisShare>) -> DiagnosisMemory {
    let known: u64 = accounted.iter().map(|share| share.bytes).sum();
    DiagnosisMemory { rest: own.resident.map(|resident| resident.saturating_sub(known)), accounted, ..own }
}

pub(super) fn log(requester: &Requester) -> DiagnosisLog {
    let (errors, warnings) = recent::LOG.counts();
    let clean = |line: DiagnosisLogLine| DiagnosisLogLine {
        target: requester.clean(&line.target),
        message: requester.clean(&line.message),
        ..line
    };
    let level = tracing::level_filters::LevelFilter::current().to_string();
    DiagnosisLog { level, errors, warnings, last: recent::LOG.lines().into_iter().map(clean).collect() }
}

pub(super) fn settings(found: DiagnosisSettings, requester: &Requester) -> DiagnosisSettings {
    let clean = |text: Option<String>| text.map(|text| requester.clean(&text));
    let broken = found.broken.iter().map(|text| requester.clean(text)).collect();
    DiagnosisSettings { error: clean(found.error), model_error: clean(found.model_error), broken, ..found }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_without_a_known_use_is_the_rest() {
        let share = |bytes| DiagnosisShare { bytes, ..DiagnosisShare::default() };
        let own = || DiagnosisMemory { resident: Some(100), ..DiagnosisMemory::default() };
        assert_eq!(memory(own(), vec![share(30), share(20)]).rest, Some(50));
        assert_eq!(memory(own(), vec![share(300)]).rest, Some(0));
        assert_eq!(memory(DiagnosisMemory::default(), vec![share(1)]).rest, None);
    }

    #[test]
    fn files_are_counted_and_links_are_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        std::fs::create_dir_all(root.join("log/deep")).unwrap();
        std::fs::write(root.join("log/a"), "123").unwrap();
        std::fs::write(root.join("log/deep/b"), "4567").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("/", root.join("log/deep/root")).unwrap();
        let found = files(&root);
        assert_eq!((found.database, found.outputs), (DiagnosisFiles::default(), DiagnosisFiles::default()));
        assert!(found.logs.count <= 3 && found.logs.bytes < 20 && !found.logs.more, "{found:?}");
    }
}
