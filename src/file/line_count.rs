//! How many lines files have that git does not count itself: those that are not tracked.

use std::{
    io::Read as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::open;
use crate::{
    git::path::git_bytes,
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// git, too, looks so far for a NUL, which makes a file binary.
const BINARY_HEAD: usize = 8000;
/// git, too, takes larger files for binary ones.
const MOST_BYTES: u64 = 512 << 20;
/// Reading is shared by so many threads.
const THREADS: usize = 4;

/// Ends the counting of files that nobody waits for any more.
struct Unwanted(Arc<AtomicBool>);

impl Drop for Unwanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The lines of each file, as git would count them if it were added: none in binary files and in what cannot be read.
pub(super) async fn count(files: Vec<AbsPath>) -> Result<Vec<u64>, tokio::task::JoinError> {
    let unwanted = Unwanted(Arc::default());
    let share = files.len().div_ceil(THREADS).max(32);
    let work: Vec<_> = files
        .chunks(share)
        .map(|files| {
            let (files, unwanted) = (files.to_owned(), Arc::clone(&unwanted.0));
            Tasks::spawn_blocking(move || files.iter().map(|file| lines(file, &unwanted)).collect::<Vec<_>>())
        })
        .collect();
    let mut counts = Vec::with_capacity(files.len());
    for part in work {
        counts.extend(part.await?);
    }
    Ok(counts)
}

fn lines(path: &AbsPath, unwanted: &AtomicBool) -> u64 {
    let Ok((mut file, metadata)) = open::regular(path) else {
        // Of a symbolic link git keeps where it leads.
        return std::fs::read_link(path).map_or(0, |target| in_bytes(&git_bytes(target.as_os_str())));
    };
    if metadata.len() > MOST_BYTES {
        return 0;
    }
    let mut buffer = vec![0; 64 << 10];
    let (mut count, mut read, mut last) = (0u64, 0u64, b'\n');
    while !unwanted.load(Ordering::Relaxed) && read <= MOST_BYTES {
        let Ok(length) = file.read(&mut buffer) else { return 0 };
        let Some(end) = buffer[..length].last() else { break };
        last = *end;
        let head = BINARY_HEAD.saturating_sub(usize::try_from(read).unwrap_or(BINARY_HEAD)).min(length);
        if buffer[..head].contains(&0) {
            return 0;
        }
        count += feeds(&buffer[..length]);
        read += length as u64;
    }
    count + u64::from(last != b'\n')
}

fn in_bytes(bytes: &[u8]) -> u64 {
    feeds(bytes) + u64::from(bytes.last().is_some_and(|last| *last != b'\n'))
}

fn feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
