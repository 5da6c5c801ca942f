//! Searches the contents of files for a regular expression, in the files changed last first.

use std::{
    collections::HashSet,
    fmt::Write as _,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use polytree_protocol::text::TextCase;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::walk::{self, CUT_NOTE, Hidden};
use crate::{
    file::open,
    find::{
        EntryKind,
        files::{Dated, newest_first},
        text::{Collect, Error, Line, Options, PathPattern, Place, Query, Stop, Targets, search, unsaved, window},
    },
    overlay::Overlay,
    stdx::{paths::AbsPath, secrets::known::KnownSecrets},
    tool::{
        context::{Ask, ToolContext},
        definition::{ALLOWED, Defaults, Tool, ToolError, ToolOutput},
        path::{self, Checked},
    },
};

/// More matches are not given at once.
const MAX_MATCHES: usize = 100;
/// Longer lines are cut.
const LINE_BYTES: usize = 2000;
/// How long one call searches.
const TIMEOUT: Duration = Duration::from_secs(30);
const LATE_NOTE: &str = "(The search was ended because it took too long, so there may be more. Give a narrower path or include.)";

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
    const PERMISSION: &'static str = "grep";
    const DEFAULTS: Defaults = ALLOWED;
    const READS_ONLY: bool = true;
    type Args = GrepArgs;

    fn subject(args: &GrepArgs, directory: &AbsPath) -> String {
        walk::subject(&args.pattern, args.path.as_deref(), directory)
    }

    async fn run(&self, context: &ToolContext, args: GrepArgs) -> Result<ToolOutput, ToolError> {
        let query = query(&args.pattern)?;
        let include = args.include.as_deref().filter(|include| !include.trim().is_empty()).map(PathPattern::new).transpose()?;
        let place = walk::place(context, args.path.as_deref()).await?;
        context
            .ask(Ask {
                kind: Self::PERMISSION.into(),
                patterns: vec![args.pattern.clone()],
                always: vec!["*".to_owned()],
                title: format!("Search {} in {}", args.pattern, place.shown()),
                metadata: json!({ "pattern": args.pattern, "path": place.real().to_string(), "include": args.include }),
                ..Ask::default()
            })
            .await?;
        place.unmoved().await?;
        let (root, at) = (place.clone(), context.clone());
        let stop = Stop::at(Instant::now() + TIMEOUT);
        let until = stop.clone();
        let searched = path::blocking(move || {
            path::unmoved(root.real(), root.real())?;
            let hidden = Hidden::below(&at, root.real());
            let (hits, is_cut) = find(&at, &root, include.as_ref(), &hidden, &query, &until)?;
            Ok((hits, is_cut, hidden.note))
        });
        let (hits, is_cut, left_out) = {
            let _guard = stop.on_drop();
            tokio::select! {
                found = searched => found?,
                () = context.cancel.cancelled() => return Err(ToolError::Aborted),
            }
        };
        let mut note = if is_cut { format!("\n{CUT_NOTE}\n") } else { String::new() };
        if stop.is_late() {
            let _ = writeln!(note, "\n{LATE_NOTE}");
        }
        if !left_out.is_empty() {
            let _ = writeln!(note, "\n{left_out}");
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
        kind: "read".into(),
        title: if let [one] = patterns.as_slice() { format!("Search in {one}") } else { format!("Search in {} files", patterns.len()) },
        always: patterns.iter().filter(|pattern| !path::is_wild(pattern)).cloned().collect(),
        metadata: json!({ "files": patterns }),
        patterns,
        ..Ask::default()
    };
    match context.ask(ask(hits.iter().map(name).collect())).await {
        Ok(()) => return Ok((hits, 0)),
        Err(ToolError::Denied(_)) => {}
        Err(error) => return Err(error),
    }
    // One of them is forbidden: the others are still worth asking for.
    let (mut allowed, total) = (Vec::new(), hits.len());
    for hit in hits {
        match context.ask(ask(vec![name(&hit)])).await {
            Ok(()) => allowed.push(hit),
            Err(ToolError::Denied(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let withheld = total - allowed.len();
    Ok((allowed, withheld))
}

/// What the search has found so far.
struct Newest<'a> {
    /// They are not cut in two.
    secrets: &'a KnownSecrets,
    /// By the numbers of the files, which come newest first.
    hits: Mutex<Vec<(usize, Hit)>>,
    matches: AtomicUsize,
}

impl Collect for Newest<'_> {
    type Part = (usize, Hit);

    /// Files are begun in order, so those that were searched are always the first ones, and the matches that are shown are
    /// the same however many threads there are.
    fn skips(&self, _: &Path) -> bool {
        self.matches.load(Ordering::Relaxed) > MAX_MATCHES
    }

    fn begin(&self, number: usize, path: &Path, _: &str) -> Self::Part {
        (number, Hit { path: path.to_owned(), lines: Vec::new() })
    }

    fn line(&self, (_, hit): &mut Self::Part, line: &Line<'_>) -> ControlFlow<()> {
        hit.lines.push((line.number, shown(line, self.secrets)));
        if hit.lines.len() > MAX_MATCHES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn end(&self, (number, hit): Self::Part, is_binary: bool) -> ControlFlow<()> {
        // What matched before the first NUL is no text either.
        if !is_binary {
            self.matches.fetch_add(hit.lines.len(), Ordering::Relaxed);
            self.hits.lock().unwrap_or_else(PoisonError::into_inner).push((number, hit));
        }
        if self.skips(Path::new("")) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// The files at a place, newest first, and whether there are more than a search looks at.
fn targets(
    place: &Checked,
    include: Option<&PathPattern>,
    hidden: &Hidden,
    overlay: &Overlay,
    cancel: &CancellationToken,
) -> Result<Targets, ToolError> {
    let root = place.real();
    if !root.as_path().is_dir() {
        if overlay.get(root).is_none() {
            // Named itself, a file that cannot be searched is an error and not merely without matches.
            open::regular(root).map_err(|error| ToolError::failed(format!("{} cannot be searched: {error}.", place.shown())))?;
        }
        return Ok(Targets::of_paths(vec![root.as_path().to_owned()], false));
    }
    let includes = |path: &Path| include.is_none_or(|include| include.is_match(root.as_path(), path));
    // What an editor holds is the newest there is.
    let mut files: Vec<PathBuf> = unsaved(root, overlay, |path| includes(path) && !hidden.holds(path));
    files.sort();
    let unsaved: HashSet<PathBuf> = files.iter().cloned().collect();
    let all = walk::files(root, cancel)?;
    let mut dated = Vec::new();
    all.visit(
        |path, what| !hidden.is(path) && (what == EntryKind::Directory || (includes(path) && !unsaved.contains(path))),
        |path, what| {
            if what == EntryKind::File {
                dated.push(Dated::now(path));
            }
        },
    );
    newest_first(&mut dated);
    files.extend(dated.into_iter().map(|file| file.path));
    Ok(Targets::of_paths(files, all.is_cut()))
}

/// Searches a place for the first matches in the files changed last.
fn find(
    context: &ToolContext,
    place: &Checked,
    include: Option<&PathPattern>,
    hidden: &Hidden,
    query: &Query,
    stop: &Stop,
) -> Result<(Vec<Hit>, bool), ToolError> {
    let ToolContext { overlay, cancel, .. } = context;
    let targets = targets(place, include, hidden, overlay, cancel)?;
    let at = Place { directory: place.real().clone(), from: place.real().clone() };
    let newest = Newest { secrets: &context.guard.secrets, hits: Mutex::default(), matches: AtomicUsize::new(0) };
    search(&at, &targets, query, overlay, stop, &newest);
    if cancel.is_cancelled() {
        return Err(ToolError::Aborted);
    }
    let mut hits = newest.hits.into_inner().unwrap_or_else(PoisonError::into_inner);
    hits.sort_by_key(|(number, _)| *number);
    Ok((hits.into_iter().map(|(_, hit)| hit).collect(), targets.is_cut))
}

/// A line as the model reads it: of a long one what is around its first match, and which part of it that is.
fn shown(line: &Line<'_>, secrets: &KnownSecrets) -> String {
    let window = secrets.whole(line.bytes, window(line.bytes, line.matches.and_then(<[_]>::first), LINE_BYTES));
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
    ToolOutput::new(
        pattern,
        output.trim_end(),
        json!({ "matches": shown, "truncated": total > shown || note.contains(CUT_NOTE) || note.contains(LATE_NOTE) }),
    )
}

#[cfg(test)]
#[path = "grep_tests.rs"]
mod tests;
