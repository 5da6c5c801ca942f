//! Reads a file for clients: text as it is, anything else as bytes; a range of lines of a file of any size; and a patch
//! if it differs from the last commit. Unsaved text of an editor takes precedence over the file on disk.

use std::{ffi::OsString, fs::Metadata, io::Read as _, sync::Arc};

use super::{
    Error, client_path, head_patch, media_type, open,
    text_file::{Encoding, TextFile, is_binary},
};
use crate::{
    git::{
        Checkout,
        program::{Answer, Git},
    },
    overlay::{Overlay, Policy},
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// The size limit of one read, in bytes; the message may need three times as much.
const MAX_BYTES: usize = 10 << 20;
/// The size limit of a patch, in bytes: a larger one would not fit into a message.
const MAX_PATCH_BYTES: usize = 14 << 20;
/// By so many bytes the kind of a file is known.
const HEAD_BYTES: usize = 8192;
/// How often reading is tried for a file that changes while git reads it.
const MAX_ATTEMPTS: usize = 3;

/// What to read of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A patch if it differs from the last commit, otherwise its content.
    Patch,
    Whole,
    Lines {
        /// The first, from 1.
        first: u64,
        limit: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub body: Body,
    pub encoding: Encoding,
    /// Whether some bytes could not be decoded.
    pub is_lossy: bool,
    /// Whether there are lines after the range.
    pub more: bool,
    /// BLAKE3 of the bytes that were read.
    pub version: blake3::Hash,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Text; a byte order mark is U+FEFF.
    Text {
        text: String,
        /// Its media type, if it is more than plain text.
        mime: Option<String>,
    },
    Bytes {
        bytes: Vec<u8>,
        mime: String,
    },
    /// A patch from the last commit, with all lines as context.
    Patch(String),
}

/// Reads a file, given by a client's path.
///
/// # Errors
/// When it is not a regular file in the worktree, cannot be read, or is too large.
pub async fn read(checkout: &Checkout, overlay: &Overlay, given: &str, form: Form) -> Result<Content, Error> {
    if given.is_empty() {
        return Err(Error::Path("`path` is empty"));
    }
    for attempt in 1.. {
        let (at, path) = (checkout.clone(), given.to_owned());
        let real = Tasks::spawn_blocking(move || client_path::resolve(&at, &path)).await??;
        let unsaved = overlay.wait_for_text(&real, Policy::default().timeout).await.map_err(|_| Error::TextUnknown(given.to_owned()))?;
        let unsaved = unsaved.map(|document| Arc::clone(&document.text));
        let (source, path) = (real.clone(), given.to_owned());
        let is_unsaved = unsaved.is_some();
        let (mut content, before) = Tasks::spawn_blocking(move || load(&source, &path, unsaved, form)).await??;
        let Body::Text { text, .. } = &content.body else { return Ok(content) };
        if form != Form::Patch {
            return Ok(content);
        }
        let is_wide = matches!(content.encoding, Encoding::Utf16Le | Encoding::Utf16Be);
        let patch = head_patch::against_head(&real, (is_unsaved || is_wide).then_some(text.as_str())).await?;
        // git has read the file separately: both must have read the same state.
        if before.is_some_and(|before| real.as_path().symlink_metadata().map_or(true, |now| stamp(&now) != stamp(&before))) {
            if attempt < MAX_ATTEMPTS {
                continue;
            }
            return Err(Error::Changed(given.to_owned()));
        }
        if let Some(patch) = patch {
            if patch.len() > MAX_PATCH_BYTES {
                return Err(Error::TooLarge {
                    what: format!("the patch of {given} has {} bytes", patch.len()),
                    limit: MAX_PATCH_BYTES as u64,
                    hint: "read the file as `raw`",
                });
            }
            content.body = Body::Patch(patch);
        }
        return Ok(content);
    }
    Err(Error::Changed(given.to_owned()))
}

/// The real path of a client's path.
///
/// # Errors
/// When it is not a valid path, or is outside the worktree.
pub async fn resolve(checkout: &Checkout, given: &str) -> Result<AbsPath, Error> {
    if given.is_empty() {
        return Err(Error::Path("`path` is empty"));
    }
    let (at, given) = (checkout.clone(), given.to_owned());
    Tasks::spawn_blocking(move || client_path::resolve(&at, &given)).await?
}

/// A file as the last commit has it.
///
/// # Errors
/// When the commit does not contain it, or git fails.
pub async fn at_head(checkout: &Checkout, given: &str, form: Form) -> Result<Content, Error> {
    let real = resolve(checkout, given).await?;
    let missing = || Error::NotFound(format!("{given} in HEAD"));
    let git = Git::in_work_tree(&checkout.worktree).await?.ok_or_else(missing)?;
    let relative = real.as_path().strip_prefix(&checkout.worktree).map_err(|_| missing())?;
    let mut name = OsString::from("HEAD:");
    name.push(relative);
    match git.ask(&[OsString::from("cat-file"), OsString::from("blob"), name]).await? {
        Answer::Yes(bytes) => of_bytes(&real, given, &bytes, form),
        Answer::No | Answer::Failed(_) => Err(missing()),
    }
}

/// A file with this content.
///
/// # Errors
/// When it is too large.
pub fn of_bytes(real: &AbsPath, given: &str, bytes: &[u8], form: Form) -> Result<Content, Error> {
    decode(real, given, &bytes[..bytes.len().min(HEAD_BYTES)], bytes, form)
}

/// A value that differs after a change of the file.
fn stamp(metadata: &Metadata) -> impl PartialEq {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        (metadata.dev(), metadata.ino(), metadata.len(), metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
    }
    #[cfg(not(unix))]
    {
        (metadata.len(), metadata.modified().ok())
    }
}

/// The error for a broken symbolic link in the path, which opening reports as one that was put there meanwhile.
fn dangling(real: &AbsPath, given: &str) -> Option<Error> {
    let is_broken_link =
        |path: &AbsPath| path.as_path().symlink_metadata().is_ok_and(|found| found.is_symlink()) && !path.as_path().exists();
    let link = real.ancestors().find(is_broken_link)?;
    let target = std::fs::read_link(link.as_path()).ok()?.display().to_string();
    Some(Error::Dangling { path: given.to_owned(), link: link.to_string(), target })
}

/// The content, and the metadata of a file on disk before reading.
fn load(real: &AbsPath, given: &str, unsaved: Option<Arc<str>>, form: Form) -> Result<(Content, Option<Metadata>), Error> {
    if let Some(text) = unsaved {
        let window = match form {
            Form::Lines { first, limit } => window(text.as_bytes(), first, limit).map_err(|error| Error::io(given, error))?,
            Form::Patch | Form::Whole => Window { bytes: text.as_bytes().to_owned(), more: false, is_cut: false },
        };
        let window = window.within(given)?;
        let text = String::from_utf8_lossy(&window.bytes).into_owned();
        return Ok((content(Body::Text { text, mime: text_mime(real) }, Encoding::Utf8, &window), None));
    }
    let (mut file, metadata) =
        open::regular(real).map_err(|error| dangling(real, given).unwrap_or_else(|| Error::opening(given, error)))?;
    let failed = |error| Error::io(given, error);
    let mut head = Vec::new();
    file.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(failed)?;
    Ok((decode(real, given, &head, head.as_slice().chain(file), form)?, Some(metadata)))
}

/// The content of a file. `head` is the beginning of `all`.
fn decode(real: &AbsPath, given: &str, head: &[u8], all: impl std::io::Read, form: Form) -> Result<Content, Error> {
    let failed = |error| Error::io(given, error);
    let encoding = Encoding::by_mark(head);
    let is_wide = matches!(encoding, Encoding::Utf16Le | Encoding::Utf16Be);
    let window = match form {
        Form::Lines { first, limit } if !is_wide && !is_binary(head) => window(all, first, limit).map_err(failed)?,
        _ => {
            let mut bytes = Vec::new();
            all.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
            Window { is_cut: bytes.len() > MAX_BYTES, bytes, more: false }
        }
    };
    let window = window.within(given)?;
    let Some((mut text, encoding, is_lossy)) = text_of(&window.bytes) else {
        let guess = || mime_guess::from_path(real.as_path()).first_or_octet_stream().to_string();
        let mime = media_type::of_head(head).map_or_else(guess, str::to_owned);
        let body = Body::Bytes { bytes: window.bytes.clone(), mime };
        return Ok(content(body, Encoding::Utf8, &window));
    };
    if let Form::Lines { first, limit } = form
        && is_wide
    {
        let lines = self::window(text.as_bytes(), first, limit).map_err(failed)?;
        text = String::from_utf8_lossy(&lines.bytes).into_owned();
        return Ok(Content { is_lossy, more: lines.more, ..content(Body::Text { text, mime: None }, encoding, &window) });
    }
    Ok(Content { is_lossy, ..content(Body::Text { text, mime: text_mime(real) }, encoding, &window) })
}

fn content(body: Body, encoding: Encoding, window: &Window) -> Content {
    Content { body, encoding, is_lossy: false, more: window.more, version: blake3::hash(&window.bytes) }
}

/// The text with its byte order mark, and whether bytes could not be decoded; `None` for binary content.
fn text_of(bytes: &[u8]) -> Option<(String, Encoding, bool)> {
    let file = TextFile::decode(bytes).ok()?;
    let mark = if file.encoding.mark().is_empty() { "" } else { "\u{feff}" };
    Some((format!("{mark}{}", file.shown(&file.text)), file.encoding, file.is_lossy() || file.strays > 0))
}

/// SVG is the only text with a media type of its own.
fn text_mime(path: &AbsPath) -> Option<String> {
    let is_svg = path.as_path().extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    is_svg.then(|| "image/svg+xml".to_owned())
}

/// A part of a file.
struct Window {
    bytes: Vec<u8>,
    more: bool,
    /// It exceeds the limit.
    is_cut: bool,
}

impl Window {
    fn within(self, given: &str) -> Result<Self, Error> {
        if self.is_cut || self.bytes.len() > MAX_BYTES {
            return Err(Error::TooLarge {
                what: format!("{given} is too large to be read at once"),
                limit: MAX_BYTES as u64,
                hint: "read text in parts, with `offset` and `limit`",
            });
        }
        Ok(self)
    }
}

/// At most `limit` lines from `first` on, with their terminators. Stops reading after them.
fn window(mut source: impl std::io::Read, first: u64, limit: u64) -> std::io::Result<Window> {
    let mut kept = Window { bytes: Vec::new(), more: false, is_cut: false };
    let mut line = 1u64;
    let end = first.saturating_add(limit);
    let mut buffer = vec![0; 64 << 10];
    loop {
        let length = source.read(&mut buffer)?;
        let mut rest = &buffer[..length];
        if rest.is_empty() {
            return Ok(kept);
        }
        while !rest.is_empty() {
            if line >= end {
                kept.more = true;
                return Ok(kept);
            }
            let (part, left) = rest.split_at(rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1));
            if line >= first {
                kept.bytes.extend(part);
                if kept.bytes.len() > MAX_BYTES {
                    kept.is_cut = true;
                    return Ok(kept);
                }
            }
            line += u64::from(part.ends_with(b"\n"));
            rest = left;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn windows_are_lines(text in "[ab\r\n]{0,30}", first in 1..6u64, limit in 0..6u64) {
            let lines: Vec<&str> = text.split_inclusive('\n').collect();
            let (from, count) = (usize::try_from(first - 1).unwrap(), usize::try_from(limit).unwrap());
            let expected: String = lines.iter().skip(from).take(count).copied().collect();
            let found = window(text.as_bytes(), first, limit).unwrap();
            prop_assert_eq!(String::from_utf8(found.bytes).unwrap(), expected);
            prop_assert_eq!(found.more, lines.len() > from + count);
        }
    }
}
