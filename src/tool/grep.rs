//! Searches the contents of files for a regular expression, in the files changed last first.

use std::{
    fmt::Write as _,
    ops::ControlFlow,
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use async_trait::async_trait;
use polytree_protocol::text::TextCase;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    context::{Ask, ToolContext},
    definition::{Tool, ToolError, ToolOutput},
    path::{self, Checked},
    walk::{self, CUT_NOTE},
};
use crate::{
    file::open::{self, Extent},
    find::text::{Entry, Error, FileSearcher, Line, Options, Outcome, PathPattern, Query, Source, modified, newest_first, walk, window},
    git::ignore::{sees, walker},
    overlay::Overlay,
    stdx::paths::AbsPath,
};

/// More matches are not given at once.
const MAX_MATCHES: usize = 100;
/// Longer lines are cut.
const LINE_BYTES: usize = 2000;
const MAX_THREADS: usize = 8;
/// The longest that one call searches.
const PATIENCE: Duration = Duration::from_secs(30);
const LATE_NOTE: &str = "(The search was ended because it took too long, so there may be more. Give a narrower path or include.)";

/// Searches contents.
pub struct Grep;

/// What to search where.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrepArgs {
    /// The regular expression.
    pattern: String,
    /// The directory or file to search, the working directory if not said.
    #[serde(default)]
    path: Option<String>,
    /// Only files whose path matches this pattern, such as `*.rs` or `src/**/*.{ts,tsx}`.
    #[serde(default)]
    include: Option<String>,
}

/// A file with its matching lines: their numbers, from 1, and texts.
#[derive(Debug)]
struct Hit {
    path: PathBuf,
    lines: Vec<(u64, String)>,
}

#[async_trait]
impl Tool for Grep {
    const NAME: &'static str = "grep";
    const DESCRIPTION: &'static str = include_str!("grep.md");
    type Args = GrepArgs;

    async fn run(&self, context: &ToolContext, args: GrepArgs) -> Result<ToolOutput, ToolError> {
        let query = query(&args.pattern)?;
        let include = args.include.as_deref().filter(|include| !include.trim().is_empty()).map(PathPattern::new).transpose()?;
        let place = walk::place(context, args.path.as_deref()).await?;
        context
            .host
            .ask(
                context,
                Ask {
                    kind: "grep",
                    patterns: vec![args.pattern.clone()],
                    always: vec!["*".to_owned()],
                    force: false,
                    title: format!("Search {} in {}", args.pattern, place.shown()),
                    metadata: json!({ "pattern": args.pattern, "path": place.real().to_string(), "include": args.include }),
                },
            )
            .await?;
        let (root, cancel, overlay) = (place.clone(), context.cancel.clone(), context.overlay.clone());
        let searched = path::blocking(move || {
            let limits = Limits { cancel: &cancel, until: Instant::now() + PATIENCE };
            let search = Search { include: include.as_ref(), query: &query, overlay: &overlay, limits };
            search.run(&root).map(|(hits, extent)| (hits, extent, limits.is_late()))
        });
        let (hits, extent, late) = searched.await?;
        let mut note = if extent == Extent::Part { format!("\n{CUT_NOTE}\n") } else { String::new() };
        if late {
            let _ = writeln!(note, "\n{LATE_NOTE}");
        }
        let (hits, withheld) = readable(context, hits).await?;
        if withheld > 0 {
            let _ = writeln!(note, "\n(Matches in {withheld} files are not shown because a rule forbids reading them.)");
        }
        Ok(render(&args.pattern, &hits, &note))
    }
}

fn query(pattern: &str) -> Result<Query, ToolError> {
    let advice = "To search for the characters themselves put a backslash before each of . * + ? ( ) [ ] { } | ^ $ and the backslash.";
    Query::new(&Options { pattern: pattern.to_owned(), case: TextCase::Sensitive, ..Options::default() }).map_err(|error| match error {
        Error::Syntax { .. } => ToolError::failed(format!("{error}\n{advice}")),
        other => other.into(),
    })
}

/// Searching a file shows what is in it, so the rules for reading apply to each file with matches.
async fn readable(context: &ToolContext, hits: Vec<Hit>) -> Result<(Vec<Hit>, usize), ToolError> {
    if hits.is_empty() {
        return Ok((hits, 0));
    }
    let name = |hit: &Hit| AbsPath::new(&hit.path).map_or_else(String::new, |path| path.relative_to(&context.worktree));
    let ask = |patterns: Vec<String>| Ask {
        kind: "read",
        title: if let [one] = patterns.as_slice() { format!("Search in {one}") } else { format!("Search in {} files", patterns.len()) },
        always: patterns.iter().filter(|pattern| !path::is_wild(pattern)).cloned().collect(),
        force: false,
        metadata: json!({ "files": patterns }),
        patterns,
    };
    match context.host.ask(context, ask(hits.iter().map(name).collect())).await {
        Ok(()) => return Ok((hits, 0)),
        Err(ToolError::Denied(_)) => {}
        Err(error) => return Err(error),
    }
    // One of them is forbidden: the others are still worth asking for.
    let (mut allowed, total) = (Vec::new(), hits.len());
    for hit in hits {
        match context.host.ask(context, ask(vec![name(&hit)])).await {
            Ok(()) => allowed.push(hit),
            Err(ToolError::Denied(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let withheld = total - allowed.len();
    Ok((allowed, withheld))
}

/// When a search ends before it is complete.
#[derive(Clone, Copy)]
struct Limits<'a> {
    cancel: &'a CancellationToken,
    until: Instant,
}

impl Limits<'_> {
    fn is_late(&self) -> bool {
        Instant::now() > self.until
    }

    fn is_over(&self) -> bool {
        self.cancel.is_cancelled() || self.is_late()
    }
}

struct Search<'a> {
    include: Option<&'a PathPattern>,
    query: &'a Query,
    overlay: &'a Overlay,
    limits: Limits<'a>,
}

impl Search<'_> {
    fn run(&self, place: &Checked) -> Result<(Vec<Hit>, Extent), ToolError> {
        let (root, cancel) = (place.real(), self.limits.cancel);
        if !root.as_path().is_dir() {
            if self.overlay.get(root).is_none() {
                // Named itself, a file that cannot be searched is an error and not merely without matches.
                open::regular(root).map_err(|error| ToolError::failed(format!("{} cannot be searched: {error}.", place.shown())))?;
            }
            let lines = self.file(&mut FileSearcher::new(self.query), root);
            let hits = if lines.is_empty() { Vec::new() } else { vec![Hit { path: root.as_path().to_owned(), lines }] };
            return if cancel.is_cancelled() { Err(ToolError::Aborted) } else { Ok((hits, Extent::Whole)) };
        }
        let includes = |path: &std::path::Path| self.include.is_none_or(|include| include.is_match(root.as_path(), path));
        // What an editor holds is the newest there is.
        let now = SystemTime::now();
        let mut unsaved: Vec<Entry> = Vec::new();
        for document in self.overlay.below(root) {
            let path = document.path.as_path();
            if path.symlink_metadata().is_err() && includes(path) && sees(root, &document.path) {
                unsaved.push(Entry { path: path.to_owned(), modified: now });
            }
        }
        let mut files = unsaved.clone();
        let extent = walk(
            &walker(root, |_| true),
            || cancel.is_cancelled(),
            |entry| {
                let is_new = || unsaved.iter().any(|file| file.path == entry.path());
                if entry.file_type().is_some_and(|kind| kind.is_file()) && includes(entry.path()) && !is_new() {
                    let modified = modified(&entry);
                    files.push(Entry { modified, path: entry.into_path() });
                }
            },
        );
        let extent = extent.ok_or(ToolError::Aborted)?;
        newest_first(&mut files);
        let hits = self.files(&files);
        if cancel.is_cancelled() { Err(ToolError::Aborted) } else { Ok((hits, extent)) }
    }

    /// Searches the files in their order until there are enough matches. Files are taken in order, so those that were
    /// searched are always the first ones, and the matches kept are the same however many threads there are.
    fn files(&self, files: &[Entry]) -> Vec<Hit> {
        let (next, found) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let hits = Mutex::new(Vec::new());
        let work = || {
            let mut searcher = FileSearcher::new(self.query);
            while found.load(Ordering::Relaxed) <= MAX_MATCHES && !self.limits.is_over() {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(file) = files.get(index) else { break };
                let Some(path) = AbsPath::new(&file.path) else { continue };
                let lines = self.file(&mut searcher, &path);
                if !lines.is_empty() {
                    found.fetch_add(lines.len(), Ordering::Relaxed);
                    hits.lock().unwrap_or_else(PoisonError::into_inner).push((index, Hit { path: file.path.clone(), lines }));
                }
            }
        };
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS).min(files.len());
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
        let mut hits = hits.into_inner().unwrap_or_else(PoisonError::into_inner);
        hits.sort_by_key(|(index, _)| *index);
        hits.into_iter().map(|(_, hit)| hit).collect()
    }

    /// The matching lines of one file, at most one more than are shown; none where it is binary or cannot be read.
    fn file(&self, searcher: &mut FileSearcher, path: &AbsPath) -> Vec<(u64, String)> {
        let mut lines = Vec::new();
        let mut search = |source: &Source<'_>| {
            searcher.search(source, &|| self.limits.is_over(), &mut |line| {
                lines.push((line.number, shown(&line)));
                if lines.len() > MAX_MATCHES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
        };
        let outcome = match (self.overlay.get(path), open::regular(path)) {
            (Some(document), _) => search(&Source::Text(&document.text)),
            (None, Ok((file, metadata))) => search(&Source::File(&file, metadata.len())),
            // An unreadable file has no matches to show, as far as the model is concerned.
            (None, Err(_)) => return lines,
        };
        if matches!(outcome, Ok(Outcome::Binary)) {
            // What matched before the first NUL is no text either.
            lines.clear();
        }
        lines
    }
}

/// A line as the model reads it: of a long one what is around its first match, and which part of it that is.
fn shown(line: &Line<'_>) -> String {
    let window = window(line.bytes, line.matches.and_then(<[_]>::first), LINE_BYTES);
    let text = String::from_utf8_lossy(&line.bytes[window.clone()]);
    let (start, end, length) = (window.start, window.end, line.bytes.len());
    if end - start == length {
        return text.into_owned();
    }
    let [before, after] = [start > 0, end < length].map(|is_cut| if is_cut { "..." } else { "" });
    format!("{before}{text}{after} [bytes {} to {end} of the {length} of this line]", start + 1)
}

fn render(pattern: &str, hits: &[Hit], note: &str) -> ToolOutput {
    let total: usize = hits.iter().map(|hit| hit.lines.len()).sum();
    let shown = total.min(MAX_MATCHES);
    let mut output = match total {
        0 => "No files found\n".to_owned(),
        _ if total > shown => format!("Found more than {shown} matches; these are the first {shown}, from the files changed last.\n"),
        1 => "Found 1 match\n".to_owned(),
        _ => format!("Found {total} matches\n"),
    };
    let mut left = shown;
    for hit in hits {
        if left == 0 {
            break;
        }
        let _ = writeln!(output, "\n{}:", hit.path.display());
        for (number, line) in hit.lines.iter().take(left) {
            let _ = writeln!(output, "  Line {number}: {line}");
        }
        left -= hit.lines.len().min(left);
    }
    if total > shown {
        output.push_str("\n(Use a narrower pattern, path or include to see others.)\n");
    }
    output.push_str(note);
    ToolOutput {
        title: pattern.to_owned(),
        output: output.trim_end().to_owned(),
        metadata: json!({ "matches": shown, "truncated": total > shown || note.contains(CUT_NOTE) || note.contains(LATE_NOTE) }),
        attachments: Vec::new(),
    }
}

#[cfg(test)]
#[path = "grep_tests.rs"]
mod tests;
