//! What the searching tools share: the place to search, and what the model is told of a walk that has bounds.

use tokio_util::sync::CancellationToken;

use super::{
    context::ToolContext,
    definition::ToolError,
    path::{self, Checked, Purpose},
};
use crate::{
    find::{files::Files, text, walk::Bounds},
    stdx::paths::AbsPath,
};

/// Told to the model where a walk did not see everything.
pub const CUT_NOTE: &str = "(The directory is so large that only a part of it was looked at. Give a path further down.)";

/// The directory or file to search, by default the session's directory. A file may be one that only an editor has yet.
///
/// # Errors
/// When it does not exist, or leave is refused.
pub async fn place(context: &ToolContext, given: Option<&str>) -> Result<Checked, ToolError> {
    let checked = path::check(context, given.filter(|text| !text.trim().is_empty()).unwrap_or("."), Purpose::Read).await?;
    if !checked.real().as_path().exists() && context.overlay.get(checked.real()).is_none() {
        return Err(ToolError::failed(format!("{} does not exist.", checked.named())));
    }
    Ok(checked)
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
