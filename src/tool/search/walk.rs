//! What the searching tools share: the place to search, and what the model is told of a walk that has bounds.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

use crate::{
    find::{files::Files, text, walk::Bounds},
    stdx::paths::AbsPath,
    tool::{
        context::ToolContext,
        definition::ToolError,
        path::{self, Checked, Purpose},
    },
};

/// Told to the model where a walk did not see everything.
pub const CUT_NOTE: &str = "(The directory is so large that only a part of it was looked at. Give a path further down.)";

/// The directory or file to search, by default the session's directory. A file may be one that only an editor has yet.
///
/// # Errors
/// When it does not exist, or permission is refused.
pub async fn place(context: &ToolContext, given: Option<&str>) -> Result<Checked, ToolError> {
    let checked = path::check(context, given.filter(|text| !text.trim().is_empty()).unwrap_or("."), Purpose::Read).await?;
    if !checked.real().as_path().exists() && context.overlay.get(checked.real()).is_none() {
        return Err(ToolError::failed(format!("{} does not exist.", checked.named())));
    }
    Ok(checked)
}

/// What a walk leaves out: places that hold keys, and polytree's own.
#[derive(Debug, Clone, Default)]
pub struct Hidden {
    paths: HashSet<PathBuf>,
    /// What the model is told about it; empty where there is nothing.
    pub note: String,
}

/// How many places are named.
const MAX_NAMED: usize = 10;

impl Hidden {
    /// What is left out below a directory, a real path. Looks at the disk.
    pub fn below(context: &ToolContext, root: &AbsPath) -> Self {
        let hidden: Vec<&AbsPath> = context.guard.private.below(root).collect();
        let named: Vec<String> = hidden.iter().take(MAX_NAMED).map(|path| path.relative_to(&context.worktree)).collect();
        let more = if hidden.len() > MAX_NAMED { ", ..." } else { "" };
        let note = if named.is_empty() {
            String::new()
        } else {
            format!(
                "(Left out, because keys or polytree's own files are kept there: {}{more}. For one of them, give it as `path`: then the user is asked.)",
                named.join(", ")
            )
        };
        Self { paths: hidden.into_iter().map(|path| path.as_path().to_owned()).collect(), note }
    }

    /// Whether an entry of the walk is left out.
    pub fn is(&self, path: &Path) -> bool {
        !self.paths.is_empty() && self.paths.contains(path)
    }

    /// The same for a file at any depth.
    pub fn holds(&self, path: &Path) -> bool {
        path.ancestors().any(|path| self.is(path))
    }
}

/// All files below a directory, as far as a tool looks at them.
///
/// # Errors
/// When it cannot be read, or the call was cancelled.
pub fn files(root: &AbsPath, cancel: &CancellationToken) -> Result<Files, ToolError> {
    let files = Files::walk(root, Bounds::SEARCH, &|| cancel.is_cancelled());
    if cancel.is_cancelled() {
        return Err(ToolError::Aborted);
    }
    files.map_err(|error| ToolError::failed(format!("{root} cannot be read: {error}")))
}

impl From<text::Error> for ToolError {
    fn from(error: text::Error) -> Self {
        Self::failed(error.to_string())
    }
}

/// What a search is about: the pattern, and where, if that is not the session's directory.
pub(super) fn subject(pattern: &str, place: Option<&str>, directory: &AbsPath) -> String {
    match place.map(|place| path::shortened(place, directory)) {
        Some(place) if place != "." => format!("{pattern} in {place}"),
        _ => pattern.to_owned(),
    }
}
