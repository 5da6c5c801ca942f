//! Every rule finds nothing in a healthy report, and its problem as soon as it is in the report.

use expect_test::expect;
use polytree_protocol::{
    diagnose::{Diagnosis, DiagnosisHolder, DiagnosisIndex, DiagnosisModelCall, DiagnosisOwner, DiagnosisSession, DiagnosisToolCall},
    diagnose_machine::{DiagnosisDisk, DiagnosisMachine, DiagnosisProgram, DiagnosisProvider, DiagnosisSetAside, DiagnosisSettings},
    id::SessionId,
    session::{SessionStatus, StatusWaiting},
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

/// A busy daemon without problems.
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
        sessions: vec![session(SessionStatus::Busy)],
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

fn line(advice: Advice) -> String {
    let hint = advice.hint.map_or_else(String::new, |hint| format!("\n    {hint}"));
    format!("{:?} {}: {}{hint}\n", advice.severity, advice.id, advice.text)
}

/// The advice that a change of a healthy report leads to, a line for each.
fn after(change: impl FnOnce(&mut Diagnosis)) -> String {
    let mut report = healthy();
    change(&mut report);
    advise(&report).into_iter().map(line).collect()
}

#[test]
fn a_healthy_daemon_needs_no_advice_and_neither_does_a_healthy_machine_without_one() {
    assert_eq!(after(|_| {}), "");
    assert_eq!(after(|report| (report.pid, report.sessions) = (None, Vec::new())), "");
}

#[test]
fn the_daemon_and_its_version() {
    let holder = DiagnosisHolder { pid: 9, version: "1.0.0".into(), problem: "no answer within 5 s".into() };
    expect![[r#"
        Error daemon.silent: process 9 (version 1.0.0) owns the data directory and does not answer: no answer within 5 s
            look at its log; `kill PID` ends it, and the next command starts a new one
    "#]]
    .assert_eq(&after(|report| report.owner.holder = Some(holder)));
    expect![[r#"
        Warning daemon.old: the daemon has version 1.2.3, this program version 1.10.0
            `polytree stop` ends it after its turns; the next command starts the new version
    "#]]
    .assert_eq(&line(newer_client(&healthy(), "1.10.0").unwrap()));
    assert_eq!(newer_client(&healthy(), "1.2.3-rc1"), None);
}

#[test]
fn settings_and_models() {
    expect![[r#"
        Error settings.invalid: the settings are invalid: /a.json:1:2: odd
            correct the file; until then prompts are refused, everything else works
    "#]]
    .assert_eq(&after(|report| {
        report.settings =
            DiagnosisSettings { error: Some("/a.json:1:2: odd".into()), file: Some("/a.json".into()), ..DiagnosisSettings::default() };
    }));
    expect![[r#"
        Error settings.broken: /c/agent/a.md:1:2: odd
            correct the file; until then what it defines cannot be used, everything else works
    "#]]
    .assert_eq(&after(|report| report.settings.broken = vec!["/c/agent/a.md:1:2: odd".into()]));
    expect![[r#"
        Warning settings.variable: the variable KEY, which model in the settings names, is not set
            set it in the environment that the command or the editor is started in, or remove it from the settings
    "#]]
    .assert_eq(&after(|report| report.settings.unset = vec!["the variable KEY, which model in the settings names, is not set".into()]));
    expect![[r#"
        Error model.unusable: the default model cannot be used: the provider test has no key: set TEST_KEY
            `polytree models --all` shows what each provider needs
    "#]]
    .assert_eq(&after(|report| report.settings.model_error = Some("the provider test has no key: set TEST_KEY".into())));
    expect![[r#"
        Info model.offline: no model service is set up; only the built-in offline model answers
            set a key such as ANTHROPIC_API_KEY or OPENAI_API_KEY, or add a provider to the settings
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
            the next start of the daemon renames it to polytree.db.damaged-TIME and creates a new one; `sqlite3 FILE .recover` may save its contents
    "#]]
    .assert_eq(&after(|report| report.store.check = Some("row 7 missing from index x".into())));
    assert_eq!(after(|report| report.store.check = Some("ok".into())), "");
    let aside = |name: &str| DiagnosisSetAside { path: format!("/data/polytree.db.damaged-{name}"), bytes: 3 * MEBI };
    expect![[r#"
        Warning store.set_aside: a damaged store was set aside as /data/polytree.db.damaged-1 (3.0 MiB)
            `sqlite3 FILE .recover` may save its contents; delete it, with its -wal and -shm, when it is not needed
    "#]]
    .assert_eq(&after(|report| report.store.set_aside = vec![aside("1")]));
    assert!(
        after(|report| report.store.set_aside = vec![aside("1"), aside("2")])
            .contains("a damaged store was set aside as /data/polytree.db.damaged-2")
    );
    assert_eq!(after(|report| report.store.check = Some("not finished within 20 s".into())), "");
    expect![[r#"
        Error store.unwritable: the last commit failed: database or disk is full
            free disk space and check that the data directory is writable; confirmed changes are not lost
    "#]]
    .assert_eq(&after(|report| report.store.commit_error = Some("database or disk is full".into())));
}

#[test]
fn the_machine() {
    let free = |free| after(move |report| report.machine.disk = Some(DiagnosisDisk { free, total: 20 * GIBI }));
    expect![[r#"
        Error disk.full: the file system of /data has 50 MiB left
            free disk space (lower limits in `storage` and `polytree gc` help), or move the data directory with POLYTREE_DATA_DIR
    "#]]
    .assert_eq(&free(50 * MEBI));
    assert!(free(0).starts_with("Error disk.full") && free(DISK_FULL).starts_with("Warning disk.full"));
    assert_eq!(free(DISK_LOW), "");
    expect![[r#"
        Error places.network: the data directory is on a network file system (NFS), where the store's locks are not reliable
            set POLYTREE_DATA_DIR to a directory on a local disk
        Error places.foreign: the runtime directory /runtime belongs to another user (mode 777)
            set POLYTREE_CONFIG_DIR, POLYTREE_DATA_DIR or POLYTREE_RUNTIME_DIR to a directory of your own
        Error places.unwritable: the data directory /data is not writable (mode 755)
            check its mode and the disk
        Error places.open: the data directory /data is open to other users (mode 755)
            `chmod 700` it
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
        Error shell.missing: neither bash nor sh was found, so no command can be run
            install bash
    "#]]
    .assert_eq(&after(|report| {
        (report.machine.git, report.machine.shell) = (Some(DiagnosisProgram::default()), Some(DiagnosisProgram::default()));
    }));
    expect![[r#"
        Warning git.old: git 2.35.1 is old; from 2.35.2 on it does not trust the repositories of other users
            install a newer git
    "#]]
    .assert_eq(&after(|report| {
        report.machine.git = Some(DiagnosisProgram { path: Some("/git".into()), version: Some("2.35.1".into()) });
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
}

#[test]
fn file_indexes() {
    let index = |unwatched| DiagnosisIndex { directory: "/home/ann".into(), unwatched, ..DiagnosisIndex::default() };
    expect![[r#"
        Info index.unwatched: 100 of 100 directories are not watched, so changes in them are found late
            on Linux, raise fs.inotify.max_user_watches and fs.inotify.max_user_instances
    "#]]
    .assert_eq(&after(|report| report.projects.indexes = vec![index(40), index(60)]));
    assert_eq!(after(|report| report.projects.indexes = vec![index(99)]), "");
}

#[test]
fn errors_come_first() {
    let text = after(|report| {
        report.settings.providers.clear();
        report.machine.disk = Some(DiagnosisDisk { free: 0, total: 1 });
        report.settings.unset = vec!["the variable KEY is not set".into()];
    });
    let severities: Vec<&str> = text.lines().filter(|line| !line.starts_with(' ')).map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(severities, ["Error", "Warning", "Info"]);
}
