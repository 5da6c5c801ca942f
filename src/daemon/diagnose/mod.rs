//! Reports the state of the daemon. It always answers, within a second: state in memory is read without blocking, and all
//! other parts have a timeout. A report contains no secrets.

pub mod advice;
pub mod offline;

mod machine;
mod parts;
mod requester;

pub use requester::Requester;

use std::{convert::Infallible, fmt::Display, future::Future, sync::Arc};

use polytree_protocol::{
    PROTOCOL_VERSION,
    diagnose::{Diagnosis, DiagnosisListener, DiagnosisOwner, DiagnosisProjects, DiagnosisQuestions, DiagnosisQueues},
    diagnose_machine::{DiagnosisMachine, DiagnosisSettings, DiagnosisStore},
    session::SessionStatus,
};

use self::requester::{PART_TIMEOUT, TIMED_OUT};
use super::Daemon;
use crate::{
    sandbox,
    stdx::{
        memory,
        process::children,
        tasks::Tasks,
        time::{Moment, ms, now_ms},
        version::version,
    },
    store::{KnownProject, ReadersState},
};

/// While the store's readers hang, no further reads are started once this many are queued.
const MAX_WAITING_READS: usize = 16;

/// The state of a running daemon.
pub async fn diagnose(daemon: &Arc<Daemon>, requester: &Requester) -> Diagnosis {
    // Boxed because the future is large.
    Box::pin(collect(daemon, requester)).await
}

async fn collect(daemon: &Arc<Daemon>, requester: &Requester) -> Diagnosis {
    let clean = |text: String| requester.clean(&text);
    let (now, places) = (now_ms(), &daemon.places);
    let (writer, readers) = daemon.store.state();
    let (mut clients, outbox_messages) = daemon.clients.list();
    clients.iter_mut().for_each(|client| client.asks = Some(client.id) == requester.connection);
    let outbox_bytes = clients.iter().map(|client| client.waiting_bytes).sum();
    let mut sessions = daemon.sessions.working();
    for session in &mut sessions {
        if let SessionStatus::Retry(retry) = &mut session.status {
            retry.message = requester.clean(&retry.message);
        }
    }
    let accounted = parts::accounted(daemon, outbox_messages, outbox_bytes);
    // Before git is started.
    let children = children::list();
    let data = places.data.clone();
    let files = move || (memory::own(), parts::with_memory(children), parts::files(&data));
    let (rows, questions, inquiries, known, machine, sandbox, settings, files) = tokio::join!(
        read(readers, daemon.store.counts()),
        read(readers, daemon.broker.open()),
        read(readers, daemon.inquirer.open()),
        read(readers, daemon.projects.known()),
        within(machine::look(places.clone(), Arc::clone(&requester.environment))),
        within(async { Ok::<_, Infallible>(daemon.projects.sandbox().abilities().await) }),
        within(async { Ok::<_, Infallible>(daemon.projects.settings_of(requester.directory.as_ref(), &requester.environment).await) }),
        within(Tasks::spawn_blocking(files)),
    );
    let ((memory, children, store), files_error) = match files {
        Ok(files) => (files, None),
        Err(error) => (Default::default(), Some(clean(error))),
    };
    let mut machine = machine.unwrap_or_else(|error| DiagnosisMachine { error: Some(clean(error)), ..DiagnosisMachine::default() });
    machine.error = machine.error.or(files_error);
    machine.clock_moved_ms = daemon.began.moved_until(Moment::now());
    let socket = daemon.socket().into_iter().map(|socket| DiagnosisListener { address: socket.to_string(), since: daemon.started });
    let (rows, rows_error) = split(rows);
    let (questions, questions_error) = split(questions);
    let (inquiries, inquiries_error) = split(inquiries);
    let questions_error = questions_error.map(clean).or(inquiries_error.map(clean));
    let mut report = Diagnosis {
        time: now,
        version: version().to_owned(),
        protocol_version: PROTOCOL_VERSION,
        pid: Some(std::process::id()),
        started: Some(daemon.started),
        uptime_ms: u64::try_from(now - daemon.started).ok(),
        owner: DiagnosisOwner { start: Some(daemon.life.kind()), ..machine::owner(places) },
        listeners: socket.chain(daemon.listeners.list()).collect(),
        queues: DiagnosisQueues {
            writer: writer.waiting as u64,
            writer_busy_ms: writer.busy.map_or(0, ms),
            readers: readers.waiting as u64,
            reader_busy_ms: readers.busy.map_or(0, ms),
            outbox_messages,
            outbox_bytes,
            prompts: sessions.iter().map(|session| session.queued).sum(),
        },
        clients,
        projects: DiagnosisProjects {
            indexes: daemon.finder.state(),
            symbols: daemon.symbols.state(),
            ..projects(daemon, known.map_err(clean)).await
        },
        sessions,
        questions: DiagnosisQuestions {
            error: questions_error,
            list: parts::questions(questions.unwrap_or_default(), inquiries.unwrap_or_default()),
        },
        children,
        memory: parts::memory(memory, accounted),
        store: DiagnosisStore {
            error: rows_error.map(clean),
            commit_error: writer.failure.map(clean),
            rows,
            check: daemon.store.damage().map(clean),
            ..store
        },
        calls: daemon.calls.diagnosis(),
        log: parts::log(requester),
        sandbox: sandbox.ok().map(sandbox::diagnosis),
        machine,
        settings: parts::settings(
            settings.unwrap_or_else(|late| DiagnosisSettings { error: Some(late), ..DiagnosisSettings::default() }),
            requester,
        ),
        advice: Vec::new(),
    };
    report.advice = advice::advise(&report);
    report
}

async fn projects(daemon: &Daemon, known: Result<Vec<KnownProject>, String>) -> DiagnosisProjects {
    let (projects, (known, error)) = (Arc::clone(&daemon.projects), split(known));
    match within(Tasks::spawn_blocking(move || projects.diagnosis(known))).await {
        Ok(projects) => DiagnosisProjects { error, ..projects },
        Err(late) => DiagnosisProjects { error: error.or(Some(late)), ..DiagnosisProjects::default() },
    }
}

fn split<T>(result: Result<T, String>) -> (Option<T>, Option<String>) {
    match result {
        Ok(value) => (Some(value), None),
        Err(error) => (None, Some(error)),
    }
}

/// Reads from the store unless it hangs: reads that timed out are still in its queue.
async fn read<T, E: Display>(readers: ReadersState, part: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    if readers.waiting > MAX_WAITING_READS && readers.busy.is_some_and(|busy| busy > PART_TIMEOUT) {
        return Err(format!("{TIMED_OUT} from the store's readers for {} ms", readers.busy.map_or(0, ms)));
    }
    within(part).await
}

async fn within<T, E: Display>(part: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match tokio::time::timeout(PART_TIMEOUT, part).await {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err(format!("{TIMED_OUT} within {} ms", PART_TIMEOUT.as_millis())),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::channel,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::{config::Places, daemon::Ending, stdx::paths::AbsPath, store::OwnerKind, tool::context::Environment};

    #[tokio::test]
    async fn it_answers_while_the_readers_of_the_store_hang() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        let places = Places { config: root.join("config"), data: root.join("data"), runtime: root.join("run") };
        let ownership = Daemon::own(&places, OwnerKind::Foreground, &root.join("socket")).unwrap();
        let daemon = Daemon::start(ownership, places, &Environment::default(), None).await.unwrap();
        let healthy = diagnose(&daemon, &Requester::default()).await;
        assert_eq!((healthy.store.error, healthy.store.rows.map(|rows| rows.sessions)), (None, Some(0)));

        let ((release_one, one), (release_two, two)) = (channel(), channel());
        let mut reads = Box::pin(async { tokio::join!(daemon.store.hold(false, one), daemon.store.hold(false, two)) });
        assert!(futures::poll!(&mut reads).is_pending());
        for _ in 0..8 {
            let began = Instant::now();
            let requester = Requester { directory: Some(root.clone()), ..Requester::default() };
            let report = diagnose(&daemon, &requester).await;
            assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
            assert!(report.store.error.is_some() && report.store.rows.is_none() && report.projects.error.is_some(), "{report:#?}");
            assert!(report.pid.is_some() && report.machine.error.is_none() && report.store.database.count == 1, "{report:#?}");
            assert!(report.advice.iter().any(|advice| advice.id == "store.silent"));
        }
        let (_, readers) = daemon.store.state();
        assert!(readers.waiting <= 4 * MAX_WAITING_READS, "the queue of hanging readers is limited: {readers:?}");
        drop((release_one, release_two));
        let (one, two) = reads.await;
        assert!(one.is_ok() && two.is_ok());
        // Queued reads are answered first.
        let again = async { while diagnose(&daemon, &Requester::default()).await.store.error.is_some() {} };
        tokio::time::timeout(Duration::from_secs(30), again).await.expect("the readers answer again");
        daemon.interrupt(Ending::Abort).await;
        daemon.close();
    }
}
