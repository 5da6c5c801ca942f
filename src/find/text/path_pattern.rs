//! Path patterns of the tools.

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use super::{error::Error, literal::literal_variants};
use crate::git::ignore::is_too_nested;

/// A glob for paths. Without a slash it matches file names at any depth, otherwise the path relative to the root.
#[derive(Debug, Clone)]
pub struct PathPattern {
    matcher: GlobSet,
    matches_name_only: bool,
}

impl PathPattern {
    /// Parses a pattern with `*`, `**`, `?`, `[a-z]` and `{a,b}`; brackets also match literally.
    pub fn new(pattern: &str) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Glob { field: "pattern", pattern: pattern.to_owned(), reason };
        if is_too_nested(pattern.as_bytes()) {
            return Err(wrong("it has too many nested braces".to_owned()));
        }
        let clean = pattern.trim_start_matches("./");
        let mut globs = GlobSetBuilder::new();
        for variant in literal_variants(clean.trim_start_matches('/')) {
            globs.add(GlobBuilder::new(&variant).literal_separator(true).build().map_err(|error| wrong(error.kind().to_string()))?);
        }
        Ok(Self { matcher: globs.build().map_err(|error| wrong(error.kind().to_string()))?, matches_name_only: !clean.contains('/') })
    }

    /// Whether a path below the root matches.
    pub fn is_match(&self, root: &Path, path: &Path) -> bool {
        let subject = if self.matches_name_only { path.file_name().map(Path::new) } else { path.strip_prefix(root).ok() };
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
