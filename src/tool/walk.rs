//! What the searching tools share: the place to search, a walk with bounds, and patterns for paths.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};

use globset::{GlobBuilder, GlobMatcher};
use ignore::{DirEntry, WalkBuilder};
use tokio_util::sync::CancellationToken;

use super::{
    context::ToolContext,
    definition::ToolError,
    path::{self, Checked, Purpose},
};
use crate::file::open::Extent;

/// A walk ends after this many entries: what is larger is no project but a disk.
pub const MAX_ENTRIES: usize = 200_000;

/// Told to the model where a walk did not see everything.
pub const CUT_NOTE: &str = "(The directory is so large that only a part of it was looked at. Give a path further down.)";

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The absolute path.
    pub path: PathBuf,
    /// When it was changed last.
    pub modified: SystemTime,
}

/// The directory or file to search, by default the session's directory.
///
/// # Errors
/// When it does not exist, or leave is refused.
pub async fn place(context: &ToolContext, given: Option<&str>) -> Result<Checked, ToolError> {
    let checked = path::check(context, given.filter(|text| !text.trim().is_empty()).unwrap_or("."), Purpose::Read).await?;
    if !checked.real().as_path().exists() {
        return Err(ToolError::failed(format!("{} does not exist.", checked.named())));
    }
    Ok(checked)
}

/// Visits everything below the root, at most [`MAX_ENTRIES`]. What cannot be read is left out.
///
/// # Errors
/// When the call is aborted.
pub fn walk(builder: &WalkBuilder, cancel: &CancellationToken, mut visit: impl FnMut(DirEntry)) -> Result<Extent, ToolError> {
    for (count, entry) in builder.build().enumerate() {
        if cancel.is_cancelled() {
            return Err(ToolError::Aborted);
        }
        if count > MAX_ENTRIES {
            return Ok(Extent::Part);
        }
        if let Ok(entry) = entry
            && entry.depth() > 0
        {
            visit(entry);
        }
    }
    Ok(Extent::Whole)
}

/// When an entry was changed last; long ago where nobody knows.
#[must_use]
pub fn modified(entry: &DirEntry) -> SystemTime {
    entry.metadata().ok().and_then(|metadata| metadata.modified().ok()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// Newest first; of equal age by path, so that the order is always the same.
pub fn newest_first(files: &mut [Found]) {
    files.sort_by(|one, other| other.modified.cmp(&one.modified).then_with(|| one.path.cmp(&other.path)));
}

/// A pattern for paths: without a slash it is about names at any depth, with one about the path from the root on.
#[derive(Debug, Clone)]
pub struct PathPattern {
    matcher: GlobMatcher,
    about_names: bool,
}

impl PathPattern {
    /// Parses the pattern: `*`, `**`, `?`, `[a-z]`, `{a,b}`.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn new(pattern: &str) -> Result<Self, ToolError> {
        let pattern = pattern.trim_start_matches("./");
        if crate::file::ignore_rules::is_too_nested(pattern.as_bytes()) {
            return Err(ToolError::failed("the pattern has too many nested braces"));
        }
        let glob = GlobBuilder::new(pattern.trim_start_matches('/')).literal_separator(true).build();
        let glob = glob.map_err(|error| ToolError::failed(format!("the pattern is malformed: {error}")))?;
        Ok(Self { matcher: glob.compile_matcher(), about_names: !pattern.contains('/') })
    }

    /// Whether a path below the root matches.
    #[must_use]
    pub fn is_match(&self, root: &Path, path: &Path) -> bool {
        let subject = if self.about_names { path.file_name().map(Path::new) } else { path.strip_prefix(root).ok() };
        subject.is_some_and(|subject| self.matcher.is_match(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, matches) in [
            ("*.rs", "a.rs", true),
            ("*.rs", "src/deep/a.rs", true),
            ("src/*.rs", "src/a.rs", true),
            ("src/*.rs", "src/deep/a.rs", false),
            ("src/**/*.rs", "src/a.rs", true),
            ("**/*.rs", "a.rs", true),
            ("./src/*.{rs,md}", "src/a.md", true),
            ("/a.rs", "a.rs", true),
            ("/a.rs", "src/a.rs", false),
            ("*", ".hidden", true),
        ] {
            let root = Path::new("/root");
            assert_eq!(PathPattern::new(pattern).unwrap().is_match(root, &root.join(path)), matches, "{pattern} {path}");
        }
        assert!(PathPattern::new("a[").is_err());
    }
}
