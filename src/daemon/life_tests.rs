//! All situations against the rules.

use proptest::prelude::*;

use super::*;

/// Work that a test counts.
#[derive(Default)]
struct Counted {
    load: Mutex<(Load, bool)>,
    changed: watch::Sender<()>,
}

impl Counted {
    fn set(&self, load: Load) {
        self.load.lock().unwrap().0 = load;
        self.changed.send_replace(());
    }
}

impl Work for Counted {
    fn load(&self) -> Load {
        self.load.lock().unwrap().0
    }
    fn close_if_idle(&self) -> bool {
        let mut state = self.load.lock().unwrap();
        state.1 = state.1 || state.0.is_nothing();
        state.1
    }
    fn close(&self) {
        self.load.lock().unwrap().1 = true;
    }
    fn changed(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

struct Daemon {
    life: Arc<Life>,
    work: Arc<Counted>,
    clients: watch::Sender<usize>,
    listeners: watch::Sender<usize>,
}

fn daemon_that_stays(kind: OwnerKind, idle: Duration) -> Daemon {
    let (work, clients, listeners) = (Arc::new(Counted::default()), watch::Sender::new(0), watch::Sender::new(0));
    let life = Life::new(kind, Some(idle), Arc::clone(&work) as _, clients.subscribe(), listeners.subscribe());
    Daemon { life, work, clients, listeners }
}

/// A daemon that would shut down at once.
fn daemon(kind: OwnerKind) -> Daemon {
    daemon_that_stays(kind, Duration::ZERO)
}

fn running(running: usize) -> Load {
    Load { running, ..Load::default() }
}

fn situations() -> impl Strategy<Value = Situation> {
    let kind = prop_oneof![Just(OwnerKind::Detached), Just(OwnerKind::Foreground), Just(OwnerKind::Standalone)];
    let stop = prop_oneof![Just(None), Just(Some(StopMode::Wait)), Just(Some(StopMode::Now))];
    let load = (0usize..3, 0usize..3, 0usize..3).prop_map(|(running, queued, busy)| Load { running, queued, busy, ..Load::default() });
    let room = prop_oneof![Just(None), Just(Some("9.0.0".to_owned()))];
    let idle = prop_oneof![Just(None), (1u64..5).prop_map(|seconds| Some(Duration::from_secs(seconds)))];
    (kind, 0usize..3, 0usize..3, load, stop, room, idle, (0u64..10).prop_map(Duration::from_secs)).prop_map(
        |(kind, clients, listeners, load, stop, room, idle, quiet)| Situation { kind, clients, listeners, load, stop, room, idle, quiet },
    )
}

proptest! {
    #[test]
    fn nothing_is_cut_off_unless_it_was_said_to(situation in situations()) {
        let Situation { kind, clients, listeners, load, stop, room, idle, quiet } = situation.clone();
        match decide(&situation) {
            Decision::ShutDown(Reason::Stop) => {
                prop_assert!(stop == Some(StopMode::Now) || stop == Some(StopMode::Wait) && load.running + load.busy == 0);
            }
            Decision::ShutDown(reason) => {
                prop_assert!(kind == OwnerKind::Detached && listeners == 0 && load.is_nothing() && stop.is_none());
                match reason {
                    Reason::Idle => prop_assert!(clients == 0 && idle.is_some_and(|idle| quiet >= idle)),
                    Reason::Room(version) => prop_assert_eq!(Some(version), room),
                    Reason::Stop | Reason::Lost | Reason::Damaged => unreachable!(),
                }
            }
            Decision::Stay(left) => {
                prop_assert!(stop != Some(StopMode::Now));
                prop_assert!(left.is_none_or(|left| !left.is_zero() && Some(left + quiet) == idle));
                let nobody = kind == OwnerKind::Detached && listeners == 0 && load.is_nothing() && stop.is_none();
                prop_assert!(!(nobody && room.is_some()), "the newer version would wait forever");
                prop_assert!(!(nobody && clients == 0 && idle.is_some()) || left.is_some(), "it would run forever");
            }
        }
    }
}

/// Whether it has no reason to shut down, even after a long time without changes.
macro_rules! stays {
    ($end:ident) => {
        futures::poll!(&mut $end).is_pending()
    };
}

#[tokio::test(start_paused = true)]
async fn a_daemon_leaves_whose_data_directory_has_gone() {
    use crate::store::{Owner, Ownership};
    for kind in [OwnerKind::Detached, OwnerKind::Foreground, OwnerKind::Standalone] {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner { pid: 1, version: "1".into(), socket: "/x".into(), kind };
        let Daemon { life, work, clients, .. } = daemon(kind);
        clients.send_replace(1);
        life.depend_on(Arc::new(Ownership::take(directory.path(), &owner).unwrap().unwrap()));
        let end = life.end();
        tokio::pin!(end);
        assert!(!life.is_lost() && stays!(end));
        drop(directory);
        assert_eq!(tokio::time::timeout(2 * CHECK_INTERVAL, end).await, Ok(Reason::Lost), "it checks without a call");
        assert!(life.is_lost() && life.is_shutting_down() && work.load.lock().unwrap().1);
    }
}

#[tokio::test]
async fn an_idle_daemon_leaves_and_whoever_is_there_keeps_it() {
    let Daemon { life, work, clients, listeners } = daemon(OwnerKind::Detached);
    clients.send_replace(1);
    let end = life.end();
    tokio::pin!(end);
    assert!(stays!(end));
    work.set(running(1));
    clients.send_replace(0);
    assert!(stays!(end));
    work.set(Load { queued: 1, ..Load::default() });
    assert!(stays!(end));
    listeners.send_replace(1);
    work.set(Load::default());
    assert!(stays!(end));
    assert!(!life.is_shutting_down());
    listeners.send_replace(0);
    assert_eq!(end.await, Reason::Idle);
    assert!(life.is_shutting_down() && work.load.lock().unwrap().1);
}

#[tokio::test]
async fn it_waits_for_the_time_that_was_set() {
    let daemon_for_a_moment = daemon_that_stays(OwnerKind::Detached, Duration::from_millis(30));
    let began = Instant::now();
    assert_eq!(daemon_for_a_moment.life.end().await, Reason::Idle);
    assert!(began.elapsed() >= Duration::from_millis(30));
    let never = Daemon {
        life: Life::new(
            OwnerKind::Detached,
            None,
            Arc::<Counted>::default(),
            watch::Sender::new(0).subscribe(),
            watch::Sender::new(0).subscribe(),
        ),
        ..daemon(OwnerKind::Detached)
    };
    assert_eq!(decide(&never.life.situation(Duration::from_secs(1 << 30))), Decision::Stay(None));
}

#[tokio::test]
async fn other_daemons_stay() {
    for kind in [OwnerKind::Foreground, OwnerKind::Standalone] {
        let daemon = daemon(kind);
        assert_eq!(daemon.life.make_room("99.0.0"), Some(Handover::Never));
        let end = daemon.life.end();
        tokio::pin!(end);
        assert!(stays!(end));
    }
}

#[tokio::test]
async fn a_stop_waits_for_turns_and_a_second_one_does_not() {
    let Daemon { life, work, .. } = daemon(OwnerKind::Foreground);
    work.set(Load { running: 2, queued: 1, ..Load::default() });
    assert_eq!(life.stop(StopMode::Wait), Some(2));
    assert!(work.close_if_idle(), "new work is refused");
    let end = life.end();
    tokio::pin!(end);
    assert!(stays!(end));
    work.set(Load { queued: 1, ..Load::default() });
    assert_eq!(end.await, Reason::Stop);
    let Daemon { life, work, .. } = daemon(OwnerKind::Detached);
    work.set(running(1));
    assert_eq!(life.stop(StopMode::Now), Some(0));
    assert_eq!(life.stop(StopMode::Wait), Some(0), "mode `now` does not wait");
    assert_eq!(life.end().await, Reason::Stop);
    assert_eq!(daemon(OwnerKind::Standalone).life.stop(StopMode::Now), None);
}

#[tokio::test]
async fn room_is_made_for_newer_ones_only_and_never_under_a_turn() {
    let Daemon { life, work, clients, listeners } = daemon(OwnerKind::Detached);
    clients.send_replace(3);
    assert_eq!([life.make_room(version()), life.make_room("0.0.1"), life.make_room("")], [None; 3]);
    work.set(running(1));
    assert_eq!([life.make_room("98.0.0"), life.make_room("99.0.0"), life.make_room("97.0.0")], [Some(Handover::Later); 3]);
    listeners.send_replace(1);
    assert_eq!(life.make_room("99.0.0"), Some(Handover::Never));
    work.set(Load::default());
    let end = life.end();
    tokio::pin!(end);
    assert!(stays!(end));
    listeners.send_replace(0);
    assert_eq!(end.await, Reason::Room("99.0.0".into()));

    let Daemon { life, work, listeners, .. } = daemon(OwnerKind::Detached);
    assert_eq!(life.make_room("99.0.0"), Some(Handover::Now));
    // The decision is final.
    work.set(running(1));
    listeners.send_replace(1);
    assert!(life.is_shutting_down());
    assert_eq!(life.end().await, Reason::Room("99.0.0".into()));
}
