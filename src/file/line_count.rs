//! Counts the lines of untracked files, which git does not count.

use std::io::Read as _;

use tokio_util::sync::CancellationToken;

use super::open;
use crate::{
    git::path::git_bytes,
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// How many leading bytes are searched for a NUL, which makes a file binary, as in git.
const BINARY_CHECK_BYTES: usize = 8000;
/// The size limit of a text, in bytes; a larger file counts as binary, as in git.
const MAX_BYTES: u64 = 512 << 20;
const THREADS: usize = 4;

/// The lines of each file, as git would count them after `git add`: 0 for binary and unreadable files.
pub(super) async fn count(files: Vec<AbsPath>) -> Result<Vec<u64>, tokio::task::JoinError> {
    // Stops the threads when the caller stops waiting.
    let token = CancellationToken::new();
    let _guard = token.clone().drop_guard();
    let share = files.len().div_ceil(THREADS).max(32);
    let work: Vec<_> = files
        .chunks(share)
        .map(|files| {
            let (files, token) = (files.to_owned(), token.clone());
            Tasks::spawn_blocking(move || files.iter().map(|file| lines(file, &token)).collect::<Vec<_>>())
        })
        .collect();
    let mut counts = Vec::with_capacity(files.len());
    for part in work {
        counts.extend(part.await?);
    }
    Ok(counts)
}

fn lines(path: &AbsPath, token: &CancellationToken) -> u64 {
    let Ok((mut file, metadata)) = open::regular(path) else {
        // The content of a symbolic link is its target.
        return std::fs::read_link(path).map_or(0, |target| in_bytes(&git_bytes(target.as_os_str())));
    };
    if metadata.len() > MAX_BYTES {
        return 0;
    }
    let mut buffer = vec![0; 64 << 10];
    let (mut count, mut read, mut last) = (0u64, 0u64, b'\n');
    while !token.is_cancelled() && read <= MAX_BYTES {
        let Ok(length) = file.read(&mut buffer) else { return 0 };
        let Some(end) = buffer[..length].last() else { break };
        last = *end;
        let head = BINARY_CHECK_BYTES.saturating_sub(usize::try_from(read).unwrap_or(BINARY_CHECK_BYTES)).min(length);
        if buffer[..head].contains(&0) {
            return 0;
        }
        count += line_feeds(&buffer[..length]);
        read += length as u64;
    }
    count + u64::from(last != b'\n')
}

fn in_bytes(bytes: &[u8]) -> u64 {
    line_feeds(bytes) + u64::from(bytes.last().is_some_and(|last| *last != b'\n'))
}

fn line_feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
