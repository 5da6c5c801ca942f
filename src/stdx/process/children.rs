//! Which programs of this process run now. Every program that `stdx::process` starts is entered here until it ends.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::process::Command;

use crate::stdx::time::now_ms;

/// What a program runs for: names and values that its starter gives.
pub type Labels = Vec<(&'static str, String)>;

/// A running program. Its arguments are not kept: they may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    pub pid: u32,
    /// The program's name, without directory and arguments.
    pub program: String,
    /// When it was started, in milliseconds since 1970.
    pub since: i64,
    /// What it runs for.
    pub labels: Labels,
}

impl Child {
    /// The value of a label.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

static RUNNING: Mutex<BTreeMap<u64, Child>> = Mutex::new(BTreeMap::new());

fn running() -> MutexGuard<'static, BTreeMap<u64, Child>> {
    // Every operation leaves the map sound, so a panic elsewhere does too.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The programs that run, in the order in which they were started.
pub fn list() -> Vec<Child> {
    running().values().cloned().collect()
}

/// The name of the program that a command starts.
pub fn program(command: &Command) -> String {
    let program = Path::new(command.as_std().get_program());
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// Enters a program, until the value is dropped.
pub(super) fn enter(pid: u32, program: String, labels: Labels) -> Entry {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    running().insert(number, Child { pid, program, since: now_ms(), labels });
    Entry(number)
}

/// The stay of a program in the list.
#[derive(Debug)]
pub(super) struct Entry(u64);

impl Drop for Entry {
    fn drop(&mut self) {
        running().remove(&self.0);
    }
}
