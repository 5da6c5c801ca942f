//! What runs on this machine, as far as the system tells: who is left of a group of processes, and who has left it.
//! Nothing is known where there is no `/proc`.

use std::{ffi::OsStr, path::Path, time::Duration};

/// A process that runs; a zombie is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// Its program and arguments in one line, else its name.
    pub command: String,
}

/// Whether a process of the group runs; `None` where the system does not tell.
pub fn is_group_alive(group: u32) -> Option<bool> {
    let mut processes = since(group)?.peekable();
    // There is always one, if only this process.
    processes.peek()?;
    Some(processes.any(|pid| stat(pid).is_some_and(|(state, of)| of == group && is_running(state))))
}

/// The processes that have this variable with this value and are in another group: they were started, directly or not,
/// by the group's leader, and have left the group.
pub fn escaped(group: u32, variable: &str, value: &str) -> Vec<Process> {
    let entry = format!("{variable}={value}");
    let mut found: Vec<Process> = since(group)
        .into_iter()
        .flatten()
        .filter(|pid| stat(*pid).is_some_and(|(state, of)| of != group && is_running(state)))
        .filter(|pid| read(*pid, "environ").is_some_and(|list| list.split(|byte| *byte == 0).any(|one| one == entry.as_bytes())))
        .map(|pid| Process { pid, command: command(pid) })
        .collect();
    found.sort_by_key(|process| process.pid);
    found
}

/// The same, but they are ended first; gives those that cannot be ended. Blocks.
pub fn end_escaped(group: u32, variable: &str, value: &str) -> Vec<Process> {
    /// One that starts others may be quicker than this for a while.
    const ROUNDS: usize = 100;
    let mut found = escaped(group, variable, value);
    for _ in 0..ROUNDS {
        if found.is_empty() {
            break;
        }
        found.iter().for_each(|process| kill(process.pid));
        std::thread::sleep(Duration::from_millis(2));
        found = escaped(group, variable, value);
    }
    found
}

#[cfg(unix)]
fn kill(pid: u32) {
    use rustix::process::{Pid, Signal, kill_process};
    // It may have ended meanwhile.
    let _ = i32::try_from(pid).ok().and_then(Pid::from_raw).map(|pid| kill_process(pid, Signal::KILL));
}

#[cfg(not(unix))]
fn kill(_: u32) {}

/// The processes that may have been started after this one: all that have a greater number, unless the numbers have
/// begun again since.
fn since(first: u32) -> Option<impl Iterator<Item = u32>> {
    let last = std::fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().last()?.parse::<u32>().ok()?;
    let entries = std::fs::read_dir("/proc").ok()?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    Some(pids.filter(move |pid| last < first || *pid >= first))
}

/// State and process group.
fn stat(pid: u32) -> Option<(u8, u32)> {
    let text = read(pid, "stat")?;
    // The name in parentheses may hold anything.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = String::from_utf8_lossy(text.get(end + 1..)?).into_owned();
    let mut fields = rest.split_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    Some((state, fields.nth(1)?.parse().ok()?))
}

fn is_running(state: u8) -> bool {
    !matches!(state, b'Z' | b'X' | b'x')
}

fn command(pid: u32) -> String {
    let line = read(pid, "cmdline").unwrap_or_default();
    let words: Vec<_> = line.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(String::from_utf8_lossy).collect();
    if !words.is_empty() {
        return words.join(" ");
    }
    read(pid, "comm").map(|name| String::from_utf8_lossy(&name).trim().to_owned()).unwrap_or_default()
}

fn read(pid: u32, file: impl AsRef<OsStr>) -> Option<Vec<u8>> {
    std::fs::read(Path::new("/proc").join(pid.to_string()).join(file.as_ref())).ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{os::unix::process::CommandExt as _, process::Stdio};

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a child that nobody waits for")]
    fn leader(program: &str, argument: &str) -> std::process::Child {
        let mut command = std::process::Command::new(program);
        command.arg(argument).env("TEST_CALL", "a b").process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    #[test]
    fn a_zombie_is_not_alive() {
        let mut child = leader("true", "");
        let pid = child.id();
        while stat(pid).unwrap().0 != b'Z' {
            std::thread::yield_now();
        }
        let id = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        assert!(rustix::process::test_kill_process_group(id).is_ok());
        assert_eq!(is_group_alive(pid), Some(false));
        child.wait().unwrap();
    }

    #[test]
    fn what_has_left_a_group_is_found_by_its_variable() {
        let (mut first, mut other) = (leader("sleep", "1000"), leader("sleep", "1001"));
        assert_eq!(is_group_alive(first.id()), Some(true));
        // Before the program is started, its variables are not yet those of the process.
        while command(other.id()) != "sleep 1001" {
            std::thread::yield_now();
        }
        let found = escaped(first.id(), "TEST_CALL", "a b");
        assert!(found.contains(&Process { pid: other.id(), command: "sleep 1001".to_owned() }), "{found:?}");
        assert!(found.iter().all(|process| process.pid != first.id()));
        assert_eq!(escaped(first.id(), "TEST_CALL", "a"), []);
        assert_eq!(end_escaped(first.id(), "TEST_CALL", "a b"), []);
        assert_eq!(is_group_alive(first.id()), Some(true));
        assert!(!other.wait().unwrap().success());
        first.kill().unwrap();
        first.wait().unwrap();
    }
}
