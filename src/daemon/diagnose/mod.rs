//! What the daemon tells about its own state. It always answers, and within a second: what is in memory is read without
//! waiting, everything else is asked at once and given up when it takes too long. Nothing that may be secret is told.

pub mod advice;
pub mod offline;

mod machine;
mod part;
mod parts;

pub use self::part::Asker;

use std::{collections::BTreeMap, fmt::Display, future::Future, sync::Arc};

use polytree_protocol::{
    PROTOCOL_VERSION,
    diagnose::{
        Diagnosis, DiagnosisClient, DiagnosisDoor, DiagnosisListener, DiagnosisOwner, DiagnosisProjects, DiagnosisQuestions,
        DiagnosisQueues, DiagnosisStart,
    },
    diagnose_machine::{DiagnosisMachine, DiagnosisStore},
    id::ProjectId,
};

use self::part::{LATE, PART_TIMEOUT, wait, within};
use super::{Daemon, clients::Door};
use crate::{
    project::overview::OpenDirectory,
    sandbox,
    stdx::{
        process::children,
        tasks::Tasks,
        time::{Moment, ms, now_ms},
        version::version,
    },
    store::{Kind, KnownProject, ReadersState},
};

/// How many reads may wait while the store's readers hang; after that no more are started.
const MAX_WAITING_READS: usize = 16;

/// The state of a running daemon.
pub async fn diagnose(daemon: &Arc<Daemon>, asker: &Asker) -> Diagnosis {
    // Large, for it waits for many things at once.
    Box::pin(collect(daemon, asker)).await
}

async fn collect(daemon: &Arc<Daemon>, asker: &Asker) -> Diagnosis {
    let now = now_ms();
    let (writer, readers) = daemon.store.state();
    let clients = daemon.clients.list();
    let open = daemon.projects.open_directories();
    let sessions = parts::sessions(daemon.sessions.working(), asker);
    let accounted = parts::accounted(daemon, &clients, &open);
    let places = daemon.places.clone();
    // Before we run a program ourselves.
    let children = children::list();
    let (rows, questions, known, machine, sandbox, settings, looked) = tokio::join!(
        stored(readers, daemon.store.counts()),
        stored(readers, daemon.broker.open()),
        stored(readers, daemon.projects.known()),
        within(machine::look(places.clone(), Arc::clone(&asker.environment))),
        within(async { Ok::<_, std::convert::Infallible>(daemon.projects.sandbox().abilities().await) }),
        wait(daemon.projects.outlook(asker.directory.as_ref(), &asker.environment)),
        within(parts::Looked::now(children, places.clone(), Arc::clone(&daemon.projects))),
    );
    let looked_error = looked.as_ref().err().cloned();
    let looked = looked.unwrap_or_default();
    let mut projects = projects(known, open, looked.pending, asker).await;
    projects.indexes = parts::indexes(&daemon.finder);
    projects.symbols = parts::symbols(&daemon.symbols);
    let mut report = Diagnosis {
        time: now,
        version: version().to_owned(),
        protocol_version: PROTOCOL_VERSION,
        pid: Some(std::process::id()),
        started: Some(daemon.started),
        uptime_ms: u64::try_from(now - daemon.started).ok(),
        owner: owner(daemon),
        listeners: listeners(daemon),
        queues: DiagnosisQueues {
            writer: writer.waiting as u64,
            writer_busy_ms: writer.busy.map_or(0, ms),
            readers: readers.waiting as u64,
            reader_busy_ms: readers.busy.map_or(0, ms),
            outbox_messages: clients.iter().map(|client| client.waiting_messages as u64).sum(),
            outbox_bytes: clients.iter().map(|client| client.waiting_bytes as u64).sum(),
            prompts: sessions.iter().map(|session| session.queued).sum(),
        },
        clients: clients
            .into_iter()
            .map(|client| DiagnosisClient {
                asks: Some(client.id) == asker.connection,
                id: client.id,
                door: door(client.door),
                name: client.name,
                version: client.version,
                directory: client.directory,
                since: client.since,
                subscriptions: client.subscriptions as u64,
                requests: client.requests as u64,
                waiting_bytes: client.waiting_bytes as u64,
                stalled_ms: client.stalled_ms,
            })
            .collect(),
        projects,
        sessions,
        questions: match questions {
            Ok(open) => DiagnosisQuestions { error: None, list: parts::questions(open) },
            Err(error) => DiagnosisQuestions { error: Some(asker.clean(&error)), list: Vec::new() },
        },
        children: looked.children,
        memory: parts::memory(looked.memory, accounted),
        store: DiagnosisStore {
            error: rows.as_ref().err().map(|error| asker.clean(error)),
            commit_error: writer.failure.map(|error| asker.clean(&error)),
            rows: rows.ok().map(parts::rows),
            check: daemon.store.damage().map(|problem| asker.clean(&problem)),
            ..looked.store
        },
        calls: parts::calls(&daemon.calls),
        log: parts::log(asker),
        sandbox: sandbox.ok().map(sandbox::diagnosis),
        machine: machine.unwrap_or_else(|error| DiagnosisMachine { error: Some(asker.clean(&error)), ..DiagnosisMachine::default() }),
        settings: parts::settings(settings, asker),
        advice: Vec::new(),
    };
    report.machine.error = report.machine.error.or(looked_error.map(|error| asker.clean(&error)));
    report.machine.clock_moved_ms = daemon.began.moved_until(Moment::now());
    report.advice = advice::advise(&report);
    report
}

/// Looks whether the projects' directories are there; where the store is silent, at those that are open.
async fn projects(
    known: Result<Vec<KnownProject>, String>,
    open: Vec<OpenDirectory>,
    pending: BTreeMap<ProjectId, u64>,
    asker: &Asker,
) -> DiagnosisProjects {
    let (known, missing) = match known {
        Ok(known) => (Some(known), None),
        Err(error) => (None, Some(asker.clean(&error))),
    };
    let list = move || match known {
        Some(known) => parts::projects(known, &open, &pending),
        None => parts::open_projects(&open, &pending),
    };
    match within(Tasks::spawn_blocking(list)).await {
        Ok(projects) => DiagnosisProjects { error: missing, ..projects },
        Err(late) => DiagnosisProjects { error: missing.or(Some(late)), ..DiagnosisProjects::default() },
    }
}

/// Asks the store, unless it hangs already: what nobody waits for any more would still be done once it goes on.
async fn stored<T, E: Display>(readers: ReadersState, part: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    if readers.waiting > MAX_WAITING_READS && readers.busy.is_some_and(|busy| busy > PART_TIMEOUT) {
        return Err(format!("{LATE} from the store's readers for {} ms", readers.busy.map_or(0, ms)));
    }
    within(part).await
}

fn owner(daemon: &Daemon) -> DiagnosisOwner {
    let (user_id, user_name) = machine::user();
    let start = match daemon.life.kind() {
        Kind::Detached => DiagnosisStart::Detached,
        Kind::Foreground => DiagnosisStart::Foreground,
        Kind::Standalone => DiagnosisStart::Standalone,
    };
    DiagnosisOwner { user_id, user_name, data_directory: daemon.places.data.to_string(), start: Some(start), holder: None }
}

fn listeners(daemon: &Daemon) -> Vec<DiagnosisListener> {
    let socket = daemon.socket().into_iter().map(|socket| DiagnosisListener { address: socket.to_string(), since: daemon.started });
    let network = daemon.listeners.list().into_iter().map(|listener| DiagnosisListener { address: listener.url, since: listener.since });
    socket.chain(network).collect()
}

fn door(door: Door) -> DiagnosisDoor {
    match door {
        Door::Stdio => DiagnosisDoor::Stdio,
        Door::Local => DiagnosisDoor::Local,
        Door::WebSocket => DiagnosisDoor::WebSocket,
        Door::Http => DiagnosisDoor::Http,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::mpsc::channel,
        time::{Duration, Instant},
    };

    use super::*;
    use crate::{config::Places, daemon::Ending, stdx::paths::AbsPath, tool::context::Environment};

    #[tokio::test]
    async fn it_answers_while_the_readers_of_the_store_hang() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        let places = Places { config: root.join("config"), data: root.join("data"), runtime: root.join("run") };
        let ownership = Daemon::own(&places, Kind::Foreground, &root.join("socket")).unwrap();
        let daemon = Daemon::start(ownership, places, &Environment::default(), None).await.unwrap();
        let healthy = diagnose(&daemon, &Asker::default()).await;
        assert_eq!((healthy.store.error, healthy.store.rows.map(|rows| rows.sessions)), (None, Some(0)));

        let ((release_one, one), (release_two, two)) = (channel(), channel());
        let mut reads = Box::pin(async { tokio::join!(daemon.store.hold(false, one), daemon.store.hold(false, two)) });
        assert!(futures::poll!(&mut reads).is_pending());
        for _ in 0..8 {
            let began = Instant::now();
            let asker = Asker { directory: Some(root.clone()), ..Asker::default() };
            let report = diagnose(&daemon, &asker).await;
            assert!(began.elapsed() < Duration::from_secs(1), "it took {:?}", began.elapsed());
            assert!(report.store.error.is_some() && report.store.rows.is_none() && report.projects.error.is_some(), "{report:#?}");
            assert!(report.pid.is_some() && report.machine.error.is_none() && report.store.database.count == 1, "{report:#?}");
            assert!(report.advice.iter().any(|advice| advice.id == "store.silent"));
        }
        let (_, readers) = daemon.store.state();
        assert!(readers.waiting <= 4 * MAX_WAITING_READS, "what hangs is not buried under more questions: {readers:?}");
        drop((release_one, release_two));
        let (one, two) = reads.await;
        assert!(one.is_ok() && two.is_ok());
        // What was asked meanwhile is answered first.
        let again = async { while diagnose(&daemon, &Asker::default()).await.store.error.is_some() {} };
        tokio::time::timeout(Duration::from_secs(30), again).await.expect("the readers answer again");
        daemon.interrupt(Ending::Abort).await;
        daemon.close();
    }
}
