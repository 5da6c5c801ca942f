//! Every rule: silent on a healthy report, and heard as soon as what it looks for is there.

use std::collections::BTreeSet;

use expect_test::expect;
use polytree_protocol::{
    daemon::LogLevel,
    diagnose::{
        Diagnosis, DiagnosisChild, DiagnosisClient, DiagnosisHolder, DiagnosisIndex, DiagnosisLog, DiagnosisLogLine, DiagnosisModelCall,
        DiagnosisOwner, DiagnosisQuestion, DiagnosisSession, DiagnosisToolCall,
    },
    diagnose_machine::{
        DiagnosisDisk, DiagnosisMachine, DiagnosisProgram, DiagnosisProvider, DiagnosisSetAside, DiagnosisSettings, DiagnosisShare,
    },
    id::SessionId,
    session::{SessionStatus, StatusRetry, StatusWaiting},
};

use super::*;

const NOW: i64 = 1_000_000_000;
const HOUR: i64 = 60 * 60 * 1000;

fn session(status: SessionStatus) -> DiagnosisSession {
    DiagnosisSession {
        id: SessionId::default(),
        directory: None,
        status,
        since: Some(NOW - HOUR),
        message_id: None,
        model: Some(DiagnosisModelCall { model: "test/main".into(), since: NOW - HOUR }),
        tools: Vec::new(),
        sign: Some(NOW),
        queued: 1,
    }
}

fn tool() -> DiagnosisToolCall {
    DiagnosisToolCall { call_id: "c".into(), tool: "bash".into(), since: NOW - HOUR }
}

/// A busy daemon in the best of health.
fn healthy() -> Diagnosis {
    let place = |name: &str| DiagnosisPlace {
        name: name.into(),
        path: format!("/{name}"),
        exists: true,
        mode: Some("700".into()),
        own: true,
        writable: true,
        network: None,
    };
    let program = |path: &str, version: &str| Some(DiagnosisProgram { path: Some(path.into()), version: Some(version.into()) });
    Diagnosis {
        time: NOW,
        version: "1.2.3".into(),
        pid: Some(7),
        owner: DiagnosisOwner { data_directory: "/data".into(), ..DiagnosisOwner::default() },
        clients: vec![
            DiagnosisClient {
                id: 1,
                name: Some("polytree".into()),
                version: Some("1.2.3".into()),
                stalled_ms: 9000,
                ..DiagnosisClient::default()
            },
            DiagnosisClient { id: 2, stalled_ms: 60_000, asks: true, ..DiagnosisClient::default() },
        ],
        sessions: vec![session(SessionStatus::Busy)],
        log: DiagnosisLog { level: "info".into(), ..DiagnosisLog::default() },
        machine: DiagnosisMachine {
            places: ["config", "data", "runtime"].map(place).into(),
            disk: Some(DiagnosisDisk { free: 10 * GIBI, total: 20 * GIBI }),
            git: program("/usr/bin/git", "2.39.5"),
            shell: program("/bin/bash", "5"),
            ..DiagnosisMachine::default()
        },
        settings: DiagnosisSettings {
            model: Some("test/main".into()),
            providers: vec![DiagnosisProvider { id: "test".into(), connected: true, ..DiagnosisProvider::default() }],
            ..DiagnosisSettings::default()
        },
        ..Diagnosis::default()
    }
}

/// The advice that a change of a healthy report leads to, a line for each.
fn after(change: impl FnOnce(&mut Diagnosis)) -> String {
    let mut report = healthy();
    change(&mut report);
    let line = |advice: Advice| {
        let hint = advice.hint.map_or_else(String::new, |hint| format!("\n    {hint}"));
        format!("{:?} {}: {}{hint}\n", advice.severity, advice.id, advice.text)
    };
    advise(&report).into_iter().map(line).collect()
}

#[test]
fn a_healthy_daemon_needs_no_advice_and_neither_does_a_healthy_machine_without_one() {
    assert_eq!(after(|_| {}), "");
    assert_eq!(after(|report| (report.pid, report.clients, report.sessions) = (None, Vec::new(), Vec::new())), "");
}

#[test]
fn the_daemon_and_its_version() {
    let holder = DiagnosisHolder { pid: 9, version: "1.0.0".into(), problem: "no answer within 5 s".into() };
    expect![[r#"
        Error daemon.silent: process 9 (version 1.0.0) owns the data directory and does not answer: no answer within 5 s
            look at its log; `kill 9` ends it, and the next command starts a new one
    "#]]
    .assert_eq(&after(|report| report.owner.holder = Some(holder)));
    expect![[r#"
        Warning daemon.old: the daemon has version 1.2.3, this program version 1.10.0
            `polytree stop` ends it once its turns have ended; the next command starts the new one
    "#]]
    .assert_eq(&after(|report| report.clients[0].version = Some("1.10.0".into())));
    assert_eq!(after(|report| report.clients[0].version = Some("1.2.2".into())), "", "an older client is its own matter");
    assert_eq!(after(|report| report.clients[1].version = Some("9.9".into())), "", "versions of other programs say nothing");
    assert_eq!(newer_client(&healthy(), "1.2.3-rc1"), []);
}

#[test]
fn settings_and_models() {
    expect![[r#"
        Error settings.invalid: the settings cannot be used: /a.json:1:2: odd
            correct /a.json; until then prompts are refused, everything else works
    "#]]
    .assert_eq(&after(|report| {
        report.settings =
            DiagnosisSettings { error: Some("/a.json:1:2: odd".into()), file: Some("/a.json".into()), ..DiagnosisSettings::default() };
    }));
    expect![[r#"
        Warning settings.variable: the variable KEY, which model in the settings names, is not set
            set it in the environment that the command or the editor is started in, or take it out of the settings
    "#]]
    .assert_eq(&after(|report| report.settings.unset = vec!["the variable KEY, which model in the settings names, is not set".into()]));
    expect![[r#"
        Error model.unusable: the model test/main cannot be used: the provider test has no key: set TEST_KEY
            `polytree models --all` tells what each provider needs
    "#]]
    .assert_eq(&after(|report| report.settings.model_error = Some("the provider test has no key: set TEST_KEY".into())));
    expect![[r#"
        Info model.offline: no model service is set up; only the built-in offline model answers
            set a key such as ANTHROPIC_API_KEY or OPENAI_API_KEY, or name a provider in the settings
    "#]]
    .assert_eq(&after(|report| report.settings.providers[0].connected = false));
}

#[test]
fn the_store() {
    expect![[r#"
        Error store.unreadable: the store cannot be read: store: disk I/O error
            check the disk and the data directory
    "#]]
    .assert_eq(&after(|report| report.store.error = Some("store: disk I/O error".into())));
    expect![[r#"
        Warning store.silent: the store does not answer: no answer within 400 ms
            check the disk and the data directory
    "#]]
    .assert_eq(&after(|report| report.store.error = Some("no answer within 400 ms".into())));
    expect![[r#"
        Error store.broken: the store is damaged: row 7 missing from index x
            the next start of the daemon renames it to polytree.db.damaged-TIME and begins a new one; `sqlite3 FILE .recover` may save what is in it
    "#]]
    .assert_eq(&after(|report| report.store.check = Some("row 7 missing from index x".into())));
    assert_eq!(after(|report| report.store.check = Some("ok".into())), "");
    let aside = |name: &str| DiagnosisSetAside { path: format!("/data/polytree.db.damaged-{name}"), bytes: 3 * MEBI };
    expect![[r#"
        Warning store.set_aside: a damaged store was set aside as /data/polytree.db.damaged-1 (3.0 MiB); what was in it is not in the present store
            `sqlite3 FILE .recover` may save what is in it; delete it, with its -wal and -shm, when it is not needed
    "#]]
    .assert_eq(&after(|report| report.store.set_aside = vec![aside("1")]));
    assert!(
        after(|report| report.store.set_aside = vec![aside("1"), aside("2")])
            .contains("2 damaged stores were set aside, the last as /data/polytree.db.damaged-2")
    );
    expect![[r#"
        Info store.unchecked: the check of the store was not finished within 20 s
    "#]]
    .assert_eq(&after(|report| report.store.check = Some("not finished within 20 s".into())));
    expect![[r#"
        Error store.unwritable: the last commit failed: database or disk is full
            make room on the disk and check that the data directory can be written; nothing is lost that was confirmed
    "#]]
    .assert_eq(&after(|report| report.store.commit_error = Some("database or disk is full".into())));
    expect![[r#"
        Warning store.large: the store takes 5.0 GiB
            delete sessions that are not needed, or lower storage.log_bytes in the settings
    "#]]
    .assert_eq(&after(|report| {
        report.store.database.bytes = 5 * GIBI;
    }));
    expect![[r#"
        Warning store.slow: 3 changes and 2 reads wait for the store; one has taken 5 s
            the disk is slow or busy: look for other programs that use it
    "#]]
    .assert_eq(&after(|report| {
        let queues = &mut report.queues;
        (queues.writer, queues.writer_busy_ms, queues.readers, queues.reader_busy_ms) = (3, 4000, 2, 5000);
    }));
    assert!(after(|report| report.queues.writer = 1001).contains("store.slow"));
}

#[test]
fn the_machine() {
    let free = |free| after(move |report| report.machine.disk = Some(DiagnosisDisk { free, total: 20 * GIBI }));
    expect![[r#"
        Error disk.full: the disk under /data has 50 MiB left
            make room, or move the data directory with POLYTREE_DATA_DIR
    "#]]
    .assert_eq(&free(50 * MEBI));
    assert!(free(0).starts_with("Error disk.full") && free(DISK_FULL).starts_with("Warning disk.full"));
    assert_eq!(free(DISK_LOW), "");
    expect![[r#"
        Error places.network: the data directory /data is on a network file system (NFS), where the store's locks are not reliable
            set POLYTREE_DATA_DIR to a directory on a local disk
        Error places.unwritable: the data directory /data cannot be written
            check its mode and the disk
        Error places.open: others can look into the data directory /data (mode 755)
            chmod 700 /data
        Error places.foreign: the runtime directory /runtime belongs to another user
            set POLYTREE_RUNTIME_DIR to a directory of your own
    "#]]
    .assert_eq(&after(|report| {
        let places = &mut report.machine.places;
        (places[0].writable, places[0].network) = (false, Some("NFS".into()));
        (places[1].writable, places[1].network, places[1].mode) = (false, Some("NFS".into()), Some("755".into()));
        (places[2].own, places[2].mode) = (false, Some("777".into()));
    }));
    assert_eq!(
        after(|report| report.machine.places[1] = DiagnosisPlace { name: "data".into(), ..DiagnosisPlace::default() }),
        "",
        "not yet made"
    );
    expect![[r#"
        Error git.missing: git was not found in PATH
            install git
        Error shell.missing: there is neither bash nor sh, so no command can be run
            install bash
    "#]]
    .assert_eq(&after(|report| {
        (report.machine.git, report.machine.shell) = (Some(DiagnosisProgram::default()), Some(DiagnosisProgram::default()));
    }));
    expect![[r#"
        Warning git.old: git 2.35.1 is old; from 2.35.2 on it does not trust the repositories of others
            install a newer git
        Info shell.plain: there is no bash; commands run in /bin/sh
            install bash
    "#]]
    .assert_eq(&after(|report| {
        report.machine.git = Some(DiagnosisProgram { path: Some("/git".into()), version: Some("2.35.1".into()) });
        report.machine.shell = Some(DiagnosisProgram { path: Some("/bin/sh".into()), version: None });
    }));
    expect![[r#"
        Warning memory.large: the daemon has 2.0 GiB of memory, 1.0 GiB of it for events
            restart it once its sessions are idle, and report what it was doing
    "#]]
    .assert_eq(&after(|report| {
        report.memory.resident = Some(2 * GIBI);
        report.memory.accounted = vec![DiagnosisShare { owner: "events".into(), bytes: GIBI, ..DiagnosisShare::default() }];
    }));
}

#[test]
fn the_log_and_the_report_itself() {
    expect![[r#"
        Info log.verbose: the daemon logs at level debug, which is slow and fills the disk
            start it without --log-level
    "#]]
    .assert_eq(&after(|report| report.log.level = "debug".into()));
    let lines = |count: usize, age: i64, level| {
        after(move |report| {
            report.log.last = vec![DiagnosisLogLine { time: NOW - age, level, ..DiagnosisLogLine::default() }; count];
        })
    };
    expect![[r#"
        Warning log.errors: 12 errors in the last ten minutes
            look at the newest file in log below the data directory
    "#]]
    .assert_eq(&lines(12, 1000, LogLevel::Error));
    assert_eq!(lines(9, 1000, LogLevel::Error) + &lines(50, 1000, LogLevel::Warn) + &lines(50, HOUR, LogLevel::Error), "");
    expect![[r#"
        Warning report.incomplete: this report is not complete: projects (no answer within 400 ms), settings (no answer within 400 ms), machine (odd)
    "#]]
    .assert_eq(&after(|report| {
        (report.projects.error, report.machine.error) = (Some("no answer within 400 ms".into()), Some("odd".into()));
        report.settings = DiagnosisSettings { error: report.projects.error.clone(), ..DiagnosisSettings::default() };
    }));
}

#[test]
fn turns() {
    expect![[r#"
        Warning turn.silent: session ses_00000000000000000000000000: no sign of life from the model test/main for 4 min
            session.abort, or Ctrl-C in `polytree run`, ends the turn
    "#]]
    .assert_eq(&after(|report| report.sessions[0].sign = Some(NOW - 4 * 60 * 1000)));
    let quiet_tool = |minutes: i64| {
        after(move |report| (report.sessions[0].tools, report.sessions[0].sign) = (vec![tool()], Some(NOW - minutes * 60 * 1000)))
    };
    assert_eq!(quiet_tool(10), "", "a command may take ten minutes");
    assert!(quiet_tool(12).contains("from the tool bash for 12 min"), "{}", quiet_tool(12));
    let waiting = SessionStatus::Waiting(StatusWaiting { permission_id: None, question_id: None, since: 1 });
    assert_eq!(after(|report| (report.sessions[0].status, report.sessions[0].sign) = (waiting, Some(1))), "", "it waits for a person");
    let retry = |attempt| {
        let status = SessionStatus::Retry(StatusRetry { attempt, message: "busy".into(), next: NOW });
        after(move |report| report.sessions = vec![session(status)])
    };
    expect![[r#"
        Warning turn.retry: session ses_00000000000000000000000000: the model has failed 4 times: busy
            check the network and the provider, or abort the turn and choose another model
    "#]]
    .assert_eq(&retry(4));
    assert_eq!(retry(3), "");
}

#[test]
fn people_programs_and_projects() {
    let question = |since| DiagnosisQuestion { kind: "bash".into(), since, ..DiagnosisQuestion::default() };
    expect![[r#"
        Warning question.waiting: 2 questions have been waiting for more than an hour, the oldest (bash, session ses_00000000000000000000000000) for 3 h
            permission.list tells what is asked; permission.reply answers, session.abort withdraws
    "#]]
    .assert_eq(&after(|report| report.questions.list = vec![question(NOW - 2 * HOUR), question(NOW - 3 * HOUR), question(NOW - 1)]));
    assert_eq!(after(|report| report.questions.list = vec![question(NOW - HOUR)]), "");
    expect![[r#"
        Warning client.slow: client 1 (polytree) has not read for 30 s; 1.0 MiB wait for it
            it gets what it has missed once it reads again; if it hangs, end it
    "#]]
    .assert_eq(&after(|report| (report.clients[0].stalled_ms, report.clients[0].waiting_bytes) = (30_000, MEBI)));
    expect![[r#"
        Warning program.long: bash (process 5) has been running for session ses_x for 2 h
            session.abort ends it with the turn
    "#]]
    .assert_eq(&after(|report| {
        let child =
            |since| DiagnosisChild { pid: 5, program: "bash".into(), since, session_id: Some("ses_x".into()), ..DiagnosisChild::default() };
        report.children = vec![child(NOW - 2 * HOUR), child(NOW - HOUR)];
    }));
}

#[test]
fn file_indexes() {
    let index = |partial: Option<&str>, unwatched| DiagnosisIndex {
        directory: "/home/ann".into(),
        entries: 300_000,
        unwatched,
        partial: partial.map(str::to_owned),
        ..DiagnosisIndex::default()
    };
    expect![[r#"
        Info index.partial: file.find sees only 300000 names of /home/ann: the limit of entries is reached, and what lies deepest is left out
            search in a directory further down, or have .gitignore or .ignore name what nobody searches
        Info index.unwatched: 100 directories of 100 are not watched, so changes in them are seen late
            on Linux, raise fs.inotify.max_user_watches and fs.inotify.max_user_instances
    "#]]
    .assert_eq(&after(|report| report.projects.indexes = vec![index(None, 40), index(Some("entries"), 60)]));
    assert_eq!(after(|report| report.projects.indexes = vec![index(None, 99)]), "");
}

#[test]
fn the_gravest_comes_first_and_rules_are_listed_once() {
    let text = after(|report| {
        report.log.level = "trace".into();
        report.machine.disk = Some(DiagnosisDisk { free: 0, total: 1 });
        report.clients[0].version = Some("2.0.0".into());
    });
    let severities: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(severities, ["Error", "Warning", "Info"]);
    let rules: BTreeSet<usize> = RULES.iter().map(|rule| *rule as usize).collect();
    assert_eq!(rules.len(), RULES.len());
}
