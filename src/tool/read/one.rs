//! Reads one file by lines, an image or a PDF as a whole, a directory by names.

use std::{
    fmt::Write as _,
    fs::{File, Metadata},
    io::Read as _,
    time::{Duration, Instant},
};

use base64::Engine as _;
use polytree_protocol::part::Attachment;
use serde_json::{Value, json};

use super::{
    lines::{LINE_CHARACTERS, PAGE_BYTES, Page, Reader},
    nested,
};
use crate::{
    file::{
        image::{self, ImageError},
        media_type,
        open::{self, Extent},
        text_file::{Encoding, TextFile, is_binary},
    },
    overlay::BufferState,
    tool::{
        change::announced::{self, UNSAVED},
        context::{Ask, ToolContext},
        definition::{ToolError, ToolOutput},
        path::{self, Checked, Purpose, blocking},
    },
};

const DEFAULT_LIMIT: usize = 2000;
const PREVIEW_LINES: usize = 20;
const SUGGESTIONS: usize = 3;
/// Larger documents are not sent to models.
const DOCUMENT_BYTES: u64 = 5 * 1024 * 1024;
/// UTF-16 is decoded as a whole, so there is a limit to it.
const UTF16_BYTES: u64 = 32 * 1024 * 1024;
/// Of larger files, which no tool changes, nothing is read after the page that was asked for.
const WHOLE_BYTES: u64 = 32 * 1024 * 1024;
/// The longest that a page is looked for in one file.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// Of a directory with more entries only so many are listed.
const MAX_ENTRIES: usize = 100_000;
/// So many neighbours are looked through for what may have been meant.
const MAX_NEIGHBOURS: usize = 5_000;

/// Reads one file or directory.
pub(super) async fn one(context: &ToolContext, permission: &'static str, path: &str, window: Window) -> Result<ToolOutput, ToolError> {
    let file = path::check(context, path, Purpose::Read).await?;
    if context.overlay.state(file.real()) == BufferState::NotOpen {
        let found = file.clone();
        blocking(move || missing(&found)).await?;
    }
    context
        .ask(Ask {
            kind: permission.into(),
            patterns: file.patterns(),
            always: file.patterns().into_iter().filter(|pattern| !path::is_wild(pattern)).collect(),
            title: format!("Read {}", file.shown()),
            metadata: json!({ "filePath": file.real().to_string() }),
            ..Ask::default()
        })
        .await?;
    file.unmoved().await?;
    let document = announced::text(context, &file).await?;
    let (context, note) = (context.clone(), file.note().map(str::to_owned));
    let mut output = blocking(move || {
        let mut output = match document {
            Some(document) => read_announced(&context, &file, window, &document.text),
            None => read(&context, &file, window),
        }?;
        nested::add(&context, permission, file.real(), &mut output);
        Ok(output)
    })
    .await?;
    if let Some(note) = note {
        let _ = write!(output.output, "\n({note})");
    }
    Ok(output)
}

#[derive(Clone, Copy)]
pub(super) struct Window {
    pub first: usize,
    pub limit: usize,
}

impl Window {
    pub fn new(offset: Option<usize>, limit: Option<usize>) -> Self {
        Self { first: offset.unwrap_or(1).max(1), limit: limit.unwrap_or(DEFAULT_LIMIT).max(1) }
    }
}

/// The text that an editor holds of the file.
fn read_announced(context: &ToolContext, file: &Checked, window: Window, text: &str) -> Result<ToolOutput, ToolError> {
    let mut reader = Reader::new(window.first, window.limit, &context.guard.secrets);
    reader.push(text.as_bytes());
    let page = reader.finish();
    context.file_times.record(file.real(), blake3::hash(text.as_bytes()));
    check_window(file, window, &page)?;
    let mut output = render(file, window, &page, Extent::Whole);
    if !announced::is_on_disk(file, text) {
        let _ = write!(output.output, "\n(Take note: {UNSAVED}.)");
        output.metadata["unsaved"] = Value::Bool(true);
    }
    Ok(output)
}

fn check_window(file: &Checked, window: Window, page: &Page) -> Result<(), ToolError> {
    let wrong = window.first > page.total && !(page.total == 0 && window.first == 1);
    if wrong {
        return Err(ToolError::failed(format!(
            "offset {} lies beyond the end of {}, which has {} lines.",
            window.first,
            file.shown(),
            page.total
        )));
    }
    Ok(())
}

fn read(context: &ToolContext, file: &Checked, window: Window) -> Result<ToolOutput, ToolError> {
    let (mut handle, metadata) = match open::regular(file.real()) {
        Err(open::Error::Directory) => return list(file, window),
        other => other.map_err(|error| failed(file, error))?,
    };
    let mut head = Vec::new();
    handle.by_ref().take(4096).read_to_end(&mut head).map_err(|error| failed(file, error.into()))?;
    let mut source = Source { context, file, handle, hasher: blake3::Hasher::new(), metadata, began: Instant::now() };
    source.hasher.update(&head);
    if let Some(mime) = media_type::of_head(&head) {
        return attach(source, head, mime);
    }
    if is_binary(&head) {
        let text = format!("{} is a binary file of {} bytes and cannot be shown as text.", file.shown(), source.metadata.len());
        return Err(ToolError::failed(text));
    }
    let (page, extent) = page(&mut source, head, window)?;
    if extent == Extent::Whole {
        source.seen();
    }
    check_window(file, window, &page)?;
    let mut output = render(file, window, &page, extent);
    if let Some(note) = &page.note {
        let _ = write!(output.output, "\n({note})");
    }
    Ok(output)
}

/// A file that is being read, and what is learned about it on the way.
struct Source<'a> {
    context: &'a ToolContext,
    file: &'a Checked,
    handle: File,
    hasher: blake3::Hasher,
    metadata: Metadata,
    began: Instant,
}

impl Source<'_> {
    /// The next bytes; empty at the end.
    fn next<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], ToolError> {
        if self.context.cancel.is_cancelled() {
            return Err(ToolError::Aborted);
        }
        if self.began.elapsed() > READ_TIMEOUT {
            return Err(ToolError::failed(format!(
                "{} is too large: the part that was asked for was not reached in {} seconds. Use a command such as tail, sed or dd for it.",
                self.file.shown(),
                READ_TIMEOUT.as_secs()
            )));
        }
        let count = self.handle.read(buffer).map_err(|error| failed(self.file, error.into()))?;
        self.hasher.update(&buffer[..count]);
        Ok(&buffer[..count])
    }

    /// All of it; an error where it is longer than it said.
    fn rest(&mut self, mut bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, ToolError> {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match self.next(&mut buffer)? {
                [] => return Ok(bytes),
                more => bytes.extend(more),
            }
            if bytes.len() as u64 > limit {
                return Err(ToolError::failed(format!("{} grows while it is read; at most {limit} bytes are taken.", self.file.shown())));
            }
        }
    }

    /// The session knows the file now. Only after all of it went through the hasher.
    fn seen(&self) {
        self.context.recent.note(&self.context.worktree, self.file.real());
        self.context.file_times.record(self.file.real(), self.hasher.finalize());
    }
}

fn page(source: &mut Source<'_>, head: Vec<u8>, window: Window) -> Result<(Page, Extent), ToolError> {
    let mut reader = Reader::new(window.first, window.limit, &source.context.guard.secrets);
    let encoding = Encoding::by_mark(&head);
    if matches!(encoding, Encoding::Utf16Le | Encoding::Utf16Be) {
        if source.metadata.len() > UTF16_BYTES {
            return Err(ToolError::failed(format!("{} is stored as UTF-16 and too long for this tool.", source.file.shown())));
        }
        let bytes = source.rest(head, UTF16_BYTES)?;
        let text =
            TextFile::decode(&bytes).map_err(|error| ToolError::failed(format!("{} cannot be read: {error}.", source.file.shown())))?;
        reader.push(text.text.as_bytes());
        return Ok((Page { note: text.note(), ..reader.finish() }, Extent::Whole));
    }
    if encoding == Encoding::Utf8Mark {
        reader = reader.after_mark();
    }
    reader.push(&head[encoding.mark().len()..]);
    let mut buffer = vec![0; 64 * 1024];
    let is_large = source.metadata.len() > WHOLE_BYTES;
    loop {
        if is_large && reader.is_done() {
            return Ok((reader.finish_early(), Extent::Part));
        }
        match source.next(&mut buffer)? {
            [] => break,
            bytes => reader.push(bytes),
        }
    }
    Ok((reader.finish(), Extent::Whole))
}

fn render(file: &Checked, window: Window, page: &Page, extent: Extent) -> ToolOutput {
    let mut output = format!("<path>{}</path>\n<type>file</type>\n<content>\n", file.named());
    for (index, line) in page.lines.iter().enumerate() {
        let _ = writeln!(output, "{}: {line}", window.first + index);
    }
    let next = window.first + page.lines.len();
    let more = next <= page.total;
    let note = match () {
        () if page.total == 0 => "(The file is empty.)".to_owned(),
        () if extent == Extent::Part => {
            format!("(Lines {} to {} of a very large file. Go on with offset {next}.)", window.first, next - 1)
        }
        () if page.full => format!("(Cut at 50 KB. Lines {} to {} of {}. Go on with offset {next}.)", window.first, next - 1, page.total),
        () if more => format!("(Lines {} to {} of {}. Go on with offset {next}.)", window.first, next - 1, page.total),
        () => format!("(End of file, {} lines in total.)", page.total),
    };
    let _ = write!(output, "\n{note}");
    if let Some(note) = cut_note(window, page) {
        let _ = write!(output, "\n{note}");
    }
    output.push_str("\n</content>");
    let preview = page.lines.iter().take(PREVIEW_LINES).map(String::as_str).collect::<Vec<_>>().join("\n");
    ToolOutput::new(file.shown(), output, json!({ "preview": preview, "truncated": more || !page.cut.is_empty(), "lines": page.total }))
}

/// Says which lines go on beyond what is given of them, and how to see the rest.
fn cut_note(window: Window, page: &Page) -> Option<String> {
    let first = window.first + page.cut.first()?;
    let which = match page.cut.len() {
        1 => format!("Line {first} goes on: it is"),
        count => format!("{count} lines go on, the first of them line {first}: they are"),
    };
    Some(format!(
        "({which} cut after {LINE_CHARACTERS} characters. grep shows the part around a match; a command such as `sed -n {first}p FILE | cut -c 2001-4000` shows any part.)"
    ))
}

fn attach(mut source: Source<'_>, head: Vec<u8>, mime: &str) -> Result<ToolOutput, ToolError> {
    let file = source.file;
    let is_image = mime.starts_with("image/");
    let most = if is_image { image::MAX_BYTES as u64 } else { DOCUMENT_BYTES };
    let size = source.metadata.len();
    if size > most {
        let why = if is_image {
            ImageError::TooLarge(size).to_string()
        } else {
            format!("it has {size} bytes, and at most {most} can be attached")
        };
        return Err(ToolError::failed(format!("{} ({mime}) cannot be attached: {why}.", file.shown())));
    }
    let bytes = source.rest(head, most)?;
    // A service that refuses it would refuse every later request of the session too.
    if is_image && let Err(unfit) = image::check(&bytes) {
        return Err(ToolError::failed(format!("{} ({mime}) cannot be attached: {unfit}.", file.shown())));
    }
    source.seen();
    let what = if is_image { "image" } else { "PDF document" };
    let filename = file.named().as_path().file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(ToolOutput {
        title: file.shown().to_owned(),
        output: format!("<path>{}</path>\n<type>{mime}</type>\nThe {what} is attached ({} bytes).", file.named(), bytes.len()),
        metadata: json!({ "mime": mime, "truncated": false }),
        attachments: vec![Attachment {
            mime: mime.to_owned(),
            url: format!("data:{mime};base64,{}", base64::engine::general_purpose::STANDARD.encode(&bytes)),
            filename,
        }],
    })
}

fn list(file: &Checked, window: Window) -> Result<ToolOutput, ToolError> {
    let (entries, extent) = open::directory(file.real(), MAX_ENTRIES).map_err(|error| failed(file, error))?;
    let name = |(name, kind): &(std::ffi::OsString, open::Kind)| {
        let slash = if *kind == open::Kind::Directory { "/" } else { "" };
        format!("{}{slash}", name.to_string_lossy())
    };
    let mut names: Vec<_> = entries.iter().map(name).collect();
    names.sort();
    let mut bytes = 0;
    let fits = |name: &&String| {
        bytes += name.len() + 1;
        bytes <= PAGE_BYTES
    };
    let page: Vec<_> = names.iter().skip(window.first - 1).take(window.limit).take_while(fits).map(String::as_str).collect();
    let next = window.first + page.len();
    let note = match () {
        () if names.is_empty() => "(The directory is empty.)".to_owned(),
        () if extent == Extent::Part => {
            format!("(The directory has more than {MAX_ENTRIES} entries, of which {} are shown. Use glob or a command.)", page.len())
        }
        () if next <= names.len() => format!("(Entries {} to {} of {}. Go on with offset {next}.)", window.first, next - 1, names.len()),
        () => format!("({} entries in total.)", names.len()),
    };
    Ok(ToolOutput::new(
        file.shown(),
        format!("<path>{}</path>\n<type>directory</type>\n<entries>\n{}\n\n{note}\n</entries>", file.named(), page.join("\n")),
        json!({
            "preview": page.iter().take(PREVIEW_LINES).copied().collect::<Vec<_>>().join("\n"),
            "truncated": next <= names.len(),
        }),
    ))
}

/// Says what may have been meant where the path names nothing.
fn missing(file: &Checked) -> Result<(), ToolError> {
    match file.real().as_path().symlink_metadata() {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {}
        // Whatever else is wrong, opening it will tell.
        _ => return Ok(()),
    }
    let mut text = format!("{} does not exist.", file.named());
    let (Some(parent), Some(base)) = (file.real().parent(), file.real().as_path().file_name()) else { return Err(ToolError::Failed(text)) };
    let base = base.to_string_lossy().to_lowercase();
    match open::directory(&parent, MAX_NEIGHBOURS) {
        Err(_) => {
            let _ = write!(text, " Neither does the directory {parent}.");
        }
        Ok((entries, _)) => {
            let mut names: Vec<_> = entries.into_iter().filter_map(|(name, _)| alike(&base, &name.to_string_lossy())).collect();
            names.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
            let paths: Vec<_> = names.into_iter().take(SUGGESTIONS).map(|(_, name)| parent.join(name).to_string()).collect();
            if !paths.is_empty() {
                let _ = write!(text, " Did you mean one of these?\n{}", paths.join("\n"));
            }
        }
    }
    Err(ToolError::Failed(text))
}

fn alike(base: &str, name: &str) -> Option<(f64, String)> {
    let lower = name.to_lowercase();
    let score = strsim::jaro_winkler(base, &lower);
    (lower.contains(base) || base.contains(&lower) || score > 0.88).then(|| (score, name.to_owned()))
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(file: &Checked, error: open::Error) -> ToolError {
    ToolError::failed(format!("{} cannot be read: {error}.", file.shown()))
}
