//! Selects the files to search. Patterns narrow the selection; they never include ignored files.

use std::path::Path;

use ignore::{
    gitignore::{Gitignore, GitignoreBuilder},
    types::{Types, TypesBuilder},
};

use super::{error::Error, literal::literal_variants};
use crate::{git::ignore::is_too_nested, stdx::paths::AbsPath};

/// The number of suggestions for an unknown name.
const MAX_SUGGESTIONS: usize = 3;

#[derive(Debug, Clone, Default)]
pub struct Filter {
    include: Option<Gitignore>,
    exclude: Option<Gitignore>,
    types: Option<Types>,
}

impl Filter {
    /// Parses patterns, which are relative to the root, and names of file types.
    pub fn new(root: &AbsPath, include: &[String], exclude: &[String], types: &[String]) -> Result<Self, Error> {
        Ok(Self {
            include: parse_patterns(root, "include", include)?,
            exclude: parse_patterns(root, "exclude", exclude)?,
            types: parse_types(types)?,
        })
    }

    /// Whether a walk enters the directory.
    pub fn enters(&self, directory: &Path) -> bool {
        !self.exclude.as_ref().is_some_and(|exclude| exclude.matched(directory, true).is_ignore())
    }

    /// Whether a file in an entered directory is searched.
    pub fn takes(&self, file: &Path) -> bool {
        !self.exclude.as_ref().is_some_and(|exclude| exclude.matched(file, false).is_ignore())
            && self.include.as_ref().is_none_or(|include| include.matched_path_or_any_parents(file, false).is_ignore())
            && self.types.as_ref().is_none_or(|types| !types.matched(file, false).is_ignore())
    }

    /// Whether a file is searched, with a check of all its parents.
    pub fn takes_at_any_depth(&self, file: &Path) -> bool {
        !self.exclude.as_ref().is_some_and(|exclude| exclude.matched_path_or_any_parents(file, false).is_ignore()) && self.takes(file)
    }
}

fn parse_patterns(root: &AbsPath, field: &'static str, parse_patterns: &[String]) -> Result<Option<Gitignore>, Error> {
    if parse_patterns.is_empty() {
        return Ok(None);
    }
    let mut builder = GitignoreBuilder::new(root);
    // git treats an unclosed bracket as a literal; here it is more likely a mistake.
    builder.allow_unclosed_class(false);
    for pattern in parse_patterns {
        let wrong = |reason: String| Error::Glob { field, pattern: pattern.clone(), reason };
        if pattern.trim().is_empty() {
            return Err(wrong("it is empty".to_owned()));
        }
        if is_too_nested(pattern.as_bytes()) {
            return Err(wrong("it has too many nested braces".to_owned()));
        }
        for variant in literal_variants(pattern.strip_prefix("./").unwrap_or(pattern)) {
            builder.add_line(None, &variant).map_err(|error| wrong(error.to_string()))?;
        }
    }
    let whole = || Error::Glob { field, pattern: parse_patterns.join(" "), reason: "together they are too large".to_owned() };
    builder.build().map(Some).map_err(|_| whole())
}

fn parse_types(names: &[String]) -> Result<Option<Types>, Error> {
    if names.is_empty() {
        return Ok(None);
    }
    let mut builder = TypesBuilder::new();
    builder.add_defaults();
    let definitions = builder.definitions();
    for name in names {
        if name != "all" && !definitions.iter().any(|definition| definition.name() == name) {
            let mut near: Vec<_> =
                definitions.iter().map(|definition| (strsim::jaro_winkler(definition.name(), name), definition.name())).collect();
            near.sort_by(|one, other| other.0.total_cmp(&one.0).then_with(|| one.1.cmp(other.1)));
            let near = near.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_owned()).collect();
            return Err(Error::UnknownType { name: name.clone(), near });
        }
        builder.select(name);
    }
    builder.build().map(Some).map_err(|error| Error::Glob { field: "types", pattern: names.join(" "), reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str], types: &[&str]) -> Result<Filter, Error> {
        let [include, exclude, types] = [include, exclude, types].map(|list| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>());
        Filter::new(&AbsPath::new("/root").unwrap(), &include, &exclude, &types)
    }

    #[test]
    fn patterns_are_those_of_ignore_files() {
        for (include, path, taken) in [
            ("*.rs", "a.rs", true),
            ("*.rs", "src/deep/a.rs", true),
            ("src/*.rs", "src/deep/a.rs", false),
            ("./src/*.rs", "src/a.rs", true),
            ("src/**/*.rs", "src/a.rs", true),
            ("src", "src/deep/a.rs", true),
            ("src/", "lib/src/a.rs", true),
            ("/src/", "lib/src/a.rs", false),
            ("*.{rs,md}", "a.md", true),
            ("app/[slug]/", "app/[slug]/page.tsx", true),
            ("[...all].ts", "app/[...all].ts", true),
            ("api/{id}/*.ts", "api/{id}/get.ts", true),
            ("app/[slug]/*", "app/s/page.tsx", true),
            ("app/[slug]/*", "app/[other]/page.tsx", false),
        ] {
            assert_eq!(filter(&[include], &[], &[]).unwrap().takes(&Path::new("/root").join(path)), taken, "{include} {path}");
        }
        let filter = filter(&["*.rs", "!b.rs"], &["gone/", "*.gen.rs"], &["rust"]).unwrap();
        let takes = |path: &str| filter.takes(&Path::new("/root").join(path));
        assert_eq!(["a.rs", "b.rs", "x.gen.rs"].map(takes), [true, false, false]);
        assert!(!filter.enters(Path::new("/root/a/gone")) && filter.enters(Path::new("/root/a")));
        assert!(!filter.takes_at_any_depth(Path::new("/root/gone/a.rs")) && filter.takes_at_any_depth(Path::new("/root/here/a.rs")));
    }

    #[test]
    fn types_by_name() {
        let markup = filter(&[], &[], &["md", "html"]).unwrap();
        assert!(markup.takes(Path::new("/root/a.md")) && !markup.takes(Path::new("/root/a.rs")));
        let all = filter(&[], &[], &["all"]).unwrap();
        assert!(all.takes(Path::new("/root/a.rs")) && !all.takes(Path::new("/root/a.unheardof")));
        let error = filter(&[], &[], &["rusty"]).unwrap_err().to_string();
        assert!(error.starts_with("there is no file type \"rusty\"; near it are rust, "), "{error}");
    }

    #[test]
    fn malformed_patterns_are_named() {
        for pattern in ["a[", "  ", &"{".repeat(40)] {
            let error = filter(&[], &["ok", pattern], &[]).unwrap_err();
            assert!(matches!(&error, Error::Glob { field: "exclude", pattern: named, .. } if named == pattern), "{error}");
        }
    }
}
