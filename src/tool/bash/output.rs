//! What a command prints, kept within limits: the beginning and the end in memory, all of it in a file once it is long.

use std::{collections::VecDeque, io, path::PathBuf};

use tokio::{fs::File, io::AsyncWriteExt as _};

use crate::{
    stdx::paths::AbsPath,
    tool::{context::OutputLimits, output},
};

/// How many bytes of the result are reserved for notes: where the whole output is, how the command ended, what still runs.
const NOTE_LINES: usize = 10;
const NOTE_BYTES: usize = 3_000;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Bytes kept from the beginning.
    pub head: usize,
    /// Bytes kept from the end.
    pub tail: usize,
    /// Of a longer output, lines kept from the beginning and from the end.
    pub lines: (usize, usize),
    /// Bytes written to the file at most.
    pub file: u64,
}

impl Limits {
    /// Limits that leave room for notes; the end of an output tells more than its beginning.
    pub(super) fn new(shown: OutputLimits, file: u64) -> Self {
        let bytes = shown.bytes - NOTE_BYTES.min(shown.bytes / 2);
        let lines = shown.lines - NOTE_LINES.min(shown.lines / 2);
        let (head, first) = (bytes / 5 * 2, (lines / 5 * 2).max(1));
        Self { head, tail: bytes - head, lines: (first, lines - first), file }
    }
}

/// Bytes that arrive in any portions become text: characters are never torn, what is not UTF-8 is replaced, zeros are left out.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    pending: Vec<u8>,
}

impl Decoder {
    /// The text of what has arrived, except for the beginning of a character that is not whole yet.
    pub(super) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend(bytes.iter().filter(|byte| **byte != 0));
        let mut text = String::new();
        let mut rest = self.pending.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    self.pending.clear();
                    return text;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    let Some(invalid) = error.error_len() else {
                        self.pending = after.to_vec();
                        return text;
                    };
                    text.push('\u{fffd}');
                    rest = &after[invalid..];
                }
            }
        }
    }

    /// What is left at the end.
    pub(super) fn finish(&mut self) -> String {
        if std::mem::take(&mut self.pending).is_empty() { String::new() } else { "\u{fffd}".to_owned() }
    }
}

/// The output of one command.
#[derive(Debug)]
pub(super) struct Keeper {
    limits: Limits,
    directory: AbsPath,
    head: String,
    tail: VecDeque<u8>,
    total: u64,
    lines: usize,
    file: Option<(File, PathBuf, u64)>,
    problem: Option<String>,
}

/// What became of the output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Kept {
    /// All of it, or its beginning and its end with a hint in between.
    pub text: String,
    /// Whether something is missing in the text.
    pub truncated: bool,
    /// The file that holds all of it, as far as the limit allows.
    pub path: Option<PathBuf>,
}

impl Keeper {
    /// Keeps what is too long in a new file in `directory`.
    pub(super) fn new(directory: AbsPath, limits: Limits) -> Self {
        Self { limits, directory, head: String::new(), tail: VecDeque::new(), total: 0, lines: 0, file: None, problem: None }
    }

    /// Takes more text. Memory stays within the limits; a file that cannot be written costs only the file.
    pub(super) async fn push(&mut self, text: &str) {
        self.total += text.len() as u64;
        self.lines += text.bytes().filter(|byte| *byte == b'\n').count();
        if self.file.is_none() && self.problem.is_none() && self.is_too_long() {
            let opened = self.open().await;
            self.note(opened);
        }
        let written = self.write(text.as_bytes()).await;
        self.note(written);
        let room = self.limits.head - self.head.len();
        // Once something has gone to the end, nothing more may be put at the beginning.
        let beginning = if self.tail.is_empty() { crate::stdx::text::prefix(text, room) } else { "" };
        self.head.push_str(beginning);
        let rest = &text.as_bytes()[beginning.len()..];
        self.tail.extend(&rest[rest.len().saturating_sub(self.limits.tail)..]);
        let excess = self.tail.len().saturating_sub(self.limits.tail);
        self.tail.drain(..excess);
    }

    fn is_too_long(&self) -> bool {
        self.total > (self.limits.head + self.limits.tail) as u64 || self.lines > self.limits.lines.0 + self.limits.lines.1
    }

    fn note(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.file = None;
            self.problem = Some(error.to_string());
        }
    }

    /// Begins the file with what is in memory, which is everything so far.
    async fn open(&mut self) -> io::Result<()> {
        output::make_private(&self.directory)?;
        // Such files can be read and written by the owner only.
        let (file, path) =
            tempfile::Builder::new().prefix("bash-").suffix(".txt").tempfile_in(&self.directory)?.keep().map_err(|error| error.error)?;
        self.file = Some((File::from_std(file), path, 0));
        let (first, second) = self.tail.as_slices();
        let before = [self.head.as_bytes(), first, second].concat();
        self.write(&before).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some((file, _, written)) = self.file.as_mut() else { return Ok(()) };
        let room = usize::try_from(self.limits.file - *written).unwrap_or(usize::MAX);
        let bytes = &bytes[..bytes.len().min(room)];
        *written += bytes.len() as u64;
        file.write_all(bytes).await
    }

    /// The end of the output.
    pub(super) async fn finish(mut self) -> Kept {
        if let Some((file, ..)) = self.file.as_mut() {
            let flushed = file.flush().await;
            self.note(flushed);
        }
        let bytes = Vec::from(self.tail);
        // The cut may have gone through a character.
        let start = bytes.iter().take(4).take_while(|byte| (**byte & 0xc0) == 0x80).count();
        let tail = String::from_utf8_lossy(&bytes[start..]);
        let (first, last) = self.limits.lines;
        let (head, tail) = if self.total > (self.head.len() + tail.len()) as u64 {
            (
                output::first_part(&self.head, first, self.limits.head).to_owned(),
                output::last_part(&tail, last, self.limits.tail).to_owned(),
            )
        } else {
            let whole = format!("{}{tail}", self.head);
            if self.lines <= first + last {
                return Kept { text: whole, truncated: false, path: None };
            }
            let head = output::first_part(&whole, first, self.limits.head);
            (head.to_owned(), output::last_part(&whole[head.len()..], last, self.limits.tail).to_owned())
        };
        let missing = self.total - (head.len() + tail.len()) as u64;
        let place = match (&self.file, &self.problem) {
            (Some((_, path, written)), _) if *written < self.total => {
                format!("The first {written} bytes of {} are in {}, the rest was dropped.", self.total, path.display())
            }
            (Some((_, path, _)), _) => format!("All {} bytes are in {}.", self.total, path.display()),
            (None, problem) => format!("They could not be kept in a file: {}.", problem.as_deref().unwrap_or("no place")),
        };
        let hint = format!("[{missing} bytes left out here. {place} Read or search that file for the part you need.]");
        let hint = if self.file.is_some() { hint } else { format!("[{missing} bytes left out here. {place}]") };
        let head = head.trim_end_matches('\n');
        Kept { text: format!("{head}\n\n{hint}\n\n{tail}"), truncated: true, path: self.file.map(|(_, path, _)| path) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Decoder, Keeper, Limits};
    use crate::stdx::paths::AbsPath;

    proptest! {
        #[test]
        fn portions_do_not_matter(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xe2), Just(0x82), Just(0xac), Just(b'a')], 0..60), cuts in prop::collection::vec(0usize..60, 0..6)) {
            let clean: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
            let mut decoder = Decoder::default();
            let mut text = String::new();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut <= bytes.len()).collect();
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts.into_iter().chain([bytes.len()]) {
                text.push_str(&decoder.push(&bytes[from..cut]));
                from = cut;
            }
            text.push_str(&decoder.finish());
            prop_assert_eq!(text, String::from_utf8_lossy(&clean).into_owned());
        }
    }

    const LIMITS: Limits = Limits { head: 4, tail: 6, lines: (2, 3), file: 20 };

    async fn keep(directory: &tempfile::TempDir, portions: &[&str]) -> super::Kept {
        let mut keeper = Keeper::new(AbsPath::new(directory.path()).unwrap(), LIMITS);
        for portion in portions {
            keeper.push(portion).await;
        }
        keeper.finish().await
    }

    #[tokio::test]
    async fn what_fits_is_kept_whole_and_makes_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let kept = keep(&directory, &["abc", "défg", ""]).await;
        assert_eq!((kept.text.as_str(), kept.truncated, kept.path), ("abcdéfg", false, None));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_is_long_is_in_a_file_and_its_ends_are_shown() {
        let directory = tempfile::tempdir().unwrap();
        let kept = keep(&directory, &["abc", "défghi", "jklmnop"]).await;
        let path = kept.path.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abcdéfghijklmnop");
        assert!(kept.text.starts_with("abcd\n\n[7 bytes left out here. All 17 bytes are in "), "{}", kept.text);
        assert!(kept.text.ends_with("]\n\nklmnop"), "{}", kept.text);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[tokio::test]
    async fn many_short_lines_are_long_too() {
        let directory = tempfile::tempdir().unwrap();
        let made = AbsPath::new(directory.path().join("made/here")).unwrap();
        let mut keeper = Keeper::new(made.clone(), Limits { head: 4000, tail: 6000, file: 10_000, ..LIMITS });
        for number in 1..=9 {
            keeper.push(&format!("{number}\n")).await;
        }
        let kept = keeper.finish().await;
        let path = kept.path.unwrap();
        assert!(AbsPath::new(&path).unwrap().is_within(&made), "the directory is made");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
        assert!(kept.text.starts_with("1\n2\n\n[8 bytes left out here. All 18 bytes are in "), "{}", kept.text);
        assert!(kept.truncated && kept.text.ends_with("]\n\n7\n8\n9\n"), "{}", kept.text);
    }

    #[tokio::test]
    async fn the_file_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let kept = keep(&directory, &["0123456789"; 5]).await;
        assert_eq!(std::fs::read_to_string(kept.path.unwrap()).unwrap(), "01234567890123456789");
        assert!(kept.text.contains("The first 20 bytes of 50 are in "), "{}", kept.text);
    }

    #[tokio::test]
    async fn without_a_place_for_the_file_the_ends_are_still_there() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        let mut keeper = Keeper::new(AbsPath::new(directory.path().join("file/below")).unwrap(), LIMITS);
        keeper.push("0123456789abcdef").await;
        let kept = keeper.finish().await;
        assert!(kept.text.contains("could not be kept in a file"), "{}", kept.text);
        assert!(kept.truncated && kept.path.is_none());
    }
}
