//! The running subprocesses. Every program that `stdx::process` starts is listed here until it ends.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use polytree_protocol::diagnose::DiagnosisChild;
use tokio::process::Command;

use crate::stdx::time::now_ms;

/// What a program runs for.
#[derive(Debug, Clone, Default)]
pub struct Purpose {
    pub session_id: Option<String>,
    pub call_id: Option<String>,
}

// Without arguments, which may contain secrets.
static RUNNING: Mutex<BTreeMap<u64, DiagnosisChild>> = Mutex::new(BTreeMap::new());

fn running() -> MutexGuard<'static, BTreeMap<u64, DiagnosisChild>> {
    // Each operation is a single insert or removal, so a panic elsewhere leaves the map valid.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The running subprocesses, in the order in which they were started; without their memory.
#[must_use]
pub fn list() -> Vec<DiagnosisChild> {
    running().values().cloned().collect()
}

/// The name of the program that a command starts.
pub fn program(command: &Command) -> String {
    let program = Path::new(command.as_std().get_program());
    program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()
}

/// Lists a program until the value is dropped.
pub(super) fn enter(pid: u32, program: String, Purpose { session_id, call_id }: Purpose) -> Entry {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    running().insert(number, DiagnosisChild { pid, program, since: now_ms(), session_id, call_id, processes: None, resident: None });
    Entry(number)
}

#[derive(Debug)]
pub(super) struct Entry(u64);

impl Drop for Entry {
    fn drop(&mut self) {
        running().remove(&self.0);
    }
}
