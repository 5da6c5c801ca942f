//! A pattern for paths, as the tools take it.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{error::Error, literal::readings};
use crate::git::ignore::is_too_nested;

/// A pattern for paths: without a slash it is about names at any depth, with one about the path from the root on.
#[derive(Debug, Clone)]
pub struct PathPattern {
    matcher: GlobSet,
    about_names: bool,
}

impl PathPattern {
    /// Parses the pattern: `*`, `**`, `?`, `[a-z]`, `{a,b}`; a file that has such brackets in its name matches too.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Glob { field: "pattern", pattern: pattern.to_owned(), reason };
        if is_too_nested(pattern.as_bytes()) {
            return Err(wrong("it has too many nested braces".to_owned()));
        }
        let clean = pattern.trim_start_matches("./");
        let mut globs = GlobSetBuilder::new();
        for reading in readings(clean.trim_start_matches('/')) {
            globs.add(GlobBuilder::new(&reading).literal_separator(true).build().map_err(|error| wrong(error.kind().to_string()))?);
        }
        Ok(Self { matcher: globs.build().map_err(|error| wrong(error.kind().to_string()))?, about_names: !clean.contains('/') })
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
            ("[slug].tsx", "app/[slug].tsx", true),
            ("[slug].tsx", "app/s.tsx", true),
            ("app/[slug]/*.{ts,tsx}", "app/[slug]/page.tsx", true),
            ("app/[...all]/**", "app/[...all]/deep/page.tsx", true),
            ("app/[[...all]]/*", "app/[[...all]]/page.tsx", true),
            ("api/{id}/*.ts", "api/{id}/get.ts", true),
            ("api/{id}/[a-c].ts", "api/{id}/b.ts", true),
            ("{a,b}.ts", "{a,b}.ts", true),
            ("app/[slug]/x", "app/[other]/x", false),
        ] {
            let root = Path::new("/root");
            assert_eq!(PathPattern::new(pattern).unwrap().is_match(root, &root.join(path)), matches, "{pattern} {path}");
        }
        assert!(PathPattern::new("a[").is_err());
        assert!(PathPattern::new(&"{".repeat(40)).is_err());
    }
}
