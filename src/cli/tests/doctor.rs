//! The doctor's page: everything that can stand on it, in columns, and nothing that a terminal would obey.

use anstream::adapter::strip_str;
use expect_test::expect;
use polytree_protocol::diagnose::Diagnosis;
use serde_json::{Value, json};

use super::fake::id;
use crate::cli::commands::doctor_page::page;

const NOW: i64 = 1_000_000_000;

fn shown(report: Value) -> String {
    let report: Diagnosis = serde_json::from_value(report).unwrap();
    strip_str(&page(&report)).to_string()
}

fn empty() -> Value {
    let mut report = serde_json::to_value(Diagnosis::default()).unwrap();
    report["time"] = json!(NOW);
    report["version"] = json!("1.2.3");
    report
}

#[test]
fn a_busy_daemon_in_all_its_parts() {
    let mut report = empty();
    let more = json!({
        "pid": 77, "uptimeMs": 7_200_000,
        "owner": { "userID": 1000, "userName": "ann", "dataDirectory": "/home/ann/data", "start": "detached" },
        "listeners": [{ "address": "/run/d.sock", "since": 1 }, { "address": "ws://127.0.0.1:8080/", "since": 1 }],
        "clients": [
            { "id": 1, "door": "stdio", "name": "edi\u{1b}[2Jtor", "version": "1.2", "directory": "/w", "since": NOW - 60_000, "subscriptions": 2, "requests": 1, "waitingBytes": 0, "stalledMs": 0 },
            { "id": 12, "door": "websocket", "since": NOW - 5000, "subscriptions": 0, "requests": 0, "waitingBytes": 70_000, "stalledMs": 30_000 },
        ],
        "projects": { "known": 3, "list": [
            { "id": id("prj", "AA"), "worktree": "/w", "open": ["/w", "/w/x"], "used": NOW, "trusted": true, "pending": 0 },
            { "id": id("prj", "AB"), "worktree": "/gone", "open": [], "used": 0, "missing": true, "trusted": false, "pending": 0 },
            { "id": id("prj", "AC"), "worktree": "/long/path/to/it", "open": ["/l"], "used": NOW - 7_200_000, "trusted": false, "pending": 1 },
        ] },
        "sessions": [
            { "id": id("ses", "AA"), "status": { "type": "busy" }, "since": NOW - 125_000, "tools": [{ "callID": "c", "tool": "bash", "since": NOW - 3000 }, { "callID": "d", "tool": "grep", "since": NOW }], "queued": 2, "directory": "/w" },
            { "id": id("ses", "AB"), "status": { "type": "retry", "attempt": 2, "message": "busy", "next": NOW + 4000 }, "since": NOW - 1000, "tools": [], "queued": 0 },
        ],
        "queues": { "writer": 1, "writerBusyMs": 0, "readers": 0, "readerBusyMs": 0, "outboxMessages": 3, "outboxBytes": 70_000, "prompts": 2 },
        "children": [{ "pid": 4242, "program": "bash", "since": NOW - 3000, "sessionID": id("ses", "AA"), "callID": "c", "processes": 3, "resident": 5_000_000 }],
        "memory": { "resident": 20_000_000, "proportional": 15_000_000, "accounted": [{ "owner": "events", "bytes": 1_048_576, "count": 7 }, { "owner": "log", "bytes": 0 }], "rest": 18_951_424 },
        "store": {
            "database": { "count": 1, "bytes": 9_000_000 }, "wal": { "count": 1, "bytes": 100_000 }, "outputs": { "count": 5000, "bytes": 1, "more": true }, "logs": { "count": 1, "bytes": 2048 },
            "rows": { "sessions": 1, "messages": 20, "parts": 60, "events": 90_000, "approximate": true, "eventBytes": 4096, "oldestCursor": 5, "newestCursor": 90_004 },
        },
        "calls": { "total": 12, "failed": { "busy": 1, "not_found": 2 }, "slowest": [{ "method": "session.list", "connectionID": 1, "durationMs": 12.345, "ended": 1 }] },
        "log": { "level": "debug", "errors": 1, "warnings": 2, "last": [
            { "time": NOW - 120_000, "level": "warn", "target": "t", "message": "odd\u{1b}[8m" }, { "time": NOW, "level": "error", "target": "t", "message": "broken" },
        ] },
        "settings": { "error": "/home/ann/polytree.json:3:7: unknown key", "files": [], "providers": [] },
        "machine": { "places": [], "disk": { "free": 1 << 30, "total": 1i64 << 34 }, "git": { "path": "/usr/bin/git", "version": "2.39.5" }, "shell": {} },
        "advice": [
            { "id": "a", "severity": "error", "text": "the settings cannot be used", "hint": "correct them" },
            { "id": "b", "severity": "warning", "text": "client 12 is slow\u{1b}[2J" },
            { "id": "c", "severity": "info", "text": "the log is long", "hint": "make it shorter" },
        ],
    });
    for (name, value) in more.as_object().unwrap() {
        report[name] = value.clone();
    }
    expect![[r#"
        polytree 1.2.3 runs as process 77 for 2 h (detached)

        Daemon
          data     /home/ann/data
          listens  /run/d.sock
          listens  ws://127.0.0.1:8080/
          memory   19 MiB (events 1.0 MiB)
          calls    12, 3 failed
          log      level debug; 1 error, 2 warnings

        Clients
          1   stdio      editor 1.2  60 s  2 subscriptions, 1 request                            /w
          12  websocket  unnamed     5 s   0 subscriptions, 0 requests, 68 KiB waiting for 30 s

        Sessions at work
          ses_01ARZ3NDEKTSV4RRFFQ69G5FAA  busy for 2 min                       bash for 3 s, grep for 0 ms, 2 queued  /w
          ses_01ARZ3NDEKTSV4RRFFQ69G5FAB  failed 2 times, next attempt in 4 s

        Programs
          4242  bash  for 3 s  4.7 MiB  3 processes  ses_01ARZ3NDEKTSV4RRFFQ69G5FAA

        Projects
          /w                trusted                 2 open  just now
          /gone             missing                         11 days ago
          /long/path/to/it  1 file not trusted yet  1 open  2 h ago

        Store
          database  8.5 MiB, 97 KiB in its log
          rows      1 session, 20 messages, 60 parts, 90000 events at most; 4.0 KiB of events
          outputs   1 B in 5000 files and more
          undo      0 B in 0 files
          logs      2.0 KiB in 1 file

        Settings
          /home/ann/polytree.json:3:7: unknown key

        Machine
          disk   1.0 GiB free of 16 GiB
          git    /usr/bin/git            2.39.5
          shell  not found

        Last warnings and errors
          just now   error    broken
          2 min ago  warning  odd

        error: the settings cannot be used
        hint: correct them
        warning: client 12 is slow
        note: the log is long
        hint: make it shorter
    "#]]
    .assert_eq(&shown(report));
}

#[test]
fn long_lists_are_cut_and_a_silent_daemon_is_named() {
    let mut report = empty();
    report["owner"] = json!({ "dataDirectory": "/d", "holder": { "pid": 9, "version": "1.0.0", "problem": "no answer" } });
    report["settings"]["files"] = json!((0..14).map(|number| format!("/{number}.json")).collect::<Vec<_>>());
    let page = shown(report.clone());
    assert!(page.starts_with("polytree 1.2.3: a daemon (process 9) runs but does not answer\n"), "{page}");
    assert!(page.contains("/9.json\n  … 4 more\n") && !page.contains("/10.json") && page.ends_with("\nAll is well.\n"), "{page}");
    report["owner"] = json!({ "dataDirectory": "/d" });
    assert!(shown(report).starts_with("polytree 1.2.3: no daemon runs; the next command starts one\n"));
}
