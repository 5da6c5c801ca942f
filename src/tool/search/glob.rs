//! Finds files by a pattern for their paths, newest first.

use std::path::Path;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::walk::{self, CUT_NOTE, Hidden};
use crate::{
    find::{
        EntryKind,
        files::{Dated, newest_first},
        text::PathPattern,
    },
    stdx::{lookalike, paths::AbsPath},
    tool::{
        context::{Ask, ToolContext},
        definition::{ALLOWED, Defaults, Tool, ToolError, ToolOutput},
        path,
    },
};

/// More paths are not given at once.
const MAX_FILES: usize = 100;

pub struct Glob;

/// What to find where.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GlobArgs {
    /// The pattern, such as `*.rs`, `src/**/*.ts` or `docs/*.{md,txt}`.
    pattern: String,
    /// The directory to search, the working directory if not said.
    #[serde(default)]
    path: Option<String>,
}

#[async_trait]
impl Tool for Glob {
    const NAME: &'static str = "glob";
    const DESCRIPTION: &'static str = include_str!("glob.md");
    const PERMISSION: &'static str = "glob";
    const DEFAULTS: Defaults = ALLOWED;
    const READS_ONLY: bool = true;
    type Args = GlobArgs;

    fn subject(args: &GlobArgs, directory: &AbsPath) -> String {
        walk::subject(&args.pattern, args.path.as_deref(), directory)
    }

    async fn run(&self, context: &ToolContext, args: GlobArgs) -> Result<ToolOutput, ToolError> {
        let (base, rest) = split_absolute(&args.pattern);
        let pattern = PathPattern::new(rest)?;
        // Names on the disk may look as the pattern does and be written otherwise.
        let folded = PathPattern::new(&lookalike::fold(rest))?;
        let place = walk::place(context, base.or(args.path.as_deref())).await?;
        if !place.real().as_path().is_dir() {
            return Err(ToolError::failed(format!("{} is not a directory.", place.named())));
        }
        context
            .ask(Ask {
                kind: Self::PERMISSION.into(),
                patterns: vec![args.pattern.clone()],
                always: vec!["*".to_owned()],
                title: format!("Find {} in {}", args.pattern, place.shown()),
                metadata: json!({ "pattern": args.pattern, "path": place.real().to_string() }),
                ..Ask::default()
            })
            .await?;
        place.unmoved().await?;
        let (root, cancel, at) = (place.real().clone(), context.cancel.clone(), context.clone());
        let (mut files, is_cut, note) = path::blocking(move || {
            path::unmoved(&root, &root)?;
            let hidden = Hidden::below(&at, &root);
            let (mut found, files) = (Vec::new(), walk::files(&root, &cancel)?);
            files.visit(
                |path, _| !hidden.is(path),
                |path, what| {
                    let is_match = || pattern.is_match(root.as_path(), path) || is_alike(&folded, root.as_path(), path);
                    // A link to a directory is one itself and holds no files of this project.
                    if what == EntryKind::File && is_match() && !path.is_dir() {
                        found.push(Dated::now(path));
                    }
                },
            );
            Ok((found, files.is_cut(), hidden.note))
        })
        .await?;
        newest_first(&mut files);
        let mut output = render(&args.pattern, &files, is_cut);
        if !note.is_empty() {
            output.output.extend(["\n\n", &note]);
        }
        Ok(output)
    }
}

/// Whether the pattern, folded, matches what the path looks like.
fn is_alike(folded: &PathPattern, root: &Path, path: &Path) -> bool {
    let (below, name) = (path.strip_prefix(root).unwrap_or(path), path.to_string_lossy());
    // Only names beyond ASCII look like others.
    !name.is_ascii() && folded.is_match(root, &root.join(lookalike::fold(&below.to_string_lossy())))
}

fn render(pattern: &str, files: &[Dated], is_cut: bool) -> ToolOutput {
    let shown = files.len().min(MAX_FILES);
    let mut lines: Vec<_> = files[..shown].iter().map(|file| file.path.to_string_lossy().into_owned()).collect();
    if files.is_empty() {
        lines.push("No files found".to_owned());
    }
    if files.len() > shown {
        lines.push(format!("\n({} files match; these are the {shown} newest. Use a narrower pattern or path to see others.)", files.len()));
    }
    if is_cut {
        lines.push(format!("\n{CUT_NOTE}"));
    }
    ToolOutput::new(pattern, lines.join("\n"), json!({ "count": shown, "truncated": files.len() > shown || is_cut }))
}

/// Parts an absolute pattern into the directory before its first wildcard and the rest.
fn split_absolute(pattern: &str) -> (Option<&str>, &str) {
    if !(Path::new(pattern).is_absolute() || pattern.starts_with("~/")) {
        return (None, pattern);
    }
    let wild = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    match pattern[..wild].rfind('/') {
        Some(0) => (Some("/"), &pattern[0..]),
        // The slash stays with the rest: the pattern is about the path and not about names.
        Some(at) => (Some(&pattern[..at]), &pattern[at..]),
        None => (None, pattern),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        time::{Duration, SystemTime},
    };

    use proptest::prelude::*;

    use super::*;
    use crate::tool::{definition::erase, test_host::Place};

    fn touch(place: &Place, path: &str, seconds: u64) {
        place.write(path, "");
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds);
        File::options().write(true).open(place.worktree.join(path)).unwrap().set_modified(time).unwrap();
    }

    async fn glob(place: &Place, input: serde_json::Value) -> String {
        place.neutral(&place.call(&erase(Glob), input).await.unwrap().output)
    }

    #[tokio::test]
    async fn newest_first_over_all() {
        let place = Place::new();
        for number in 0..150 {
            touch(&place, &format!("d{}/f{number:03}.txt", number % 7), number);
        }
        touch(&place, "other.md", 500);
        let output = place.call(&erase(Glob), json!({ "pattern": "*.txt" })).await.unwrap();
        let lines: Vec<_> = output.output.lines().collect();
        assert!(lines[0].ends_with("f149.txt") && lines[99].ends_with("f050.txt"), "{lines:?}");
        assert!(lines[101].contains("150 files match"), "{lines:?}");
        assert_eq!(output.metadata, json!({ "count": 100, "truncated": true }));
        assert_eq!(output.title, "*.txt");
        assert_eq!(place.host.kinds(), ["glob"]);
    }

    #[tokio::test]
    async fn hidden_yes_ignored_no() {
        let place = Place::new();
        for (path, age) in [(".github/a.yml", 3), (".git/b.yml", 2), ("out/c.yml", 1), ("d.yml", 0)] {
            touch(&place, path, age);
        }
        place.write(".gitignore", "out/\n");
        assert_eq!(glob(&place, json!({ "pattern": "**/*.yml" })).await, "TREE/.github/a.yml\nTREE/d.yml");
        assert_eq!(glob(&place, json!({ "pattern": "*.yml", "path": ".github" })).await, "TREE/.github/a.yml");
        assert_eq!(glob(&place, json!({ "pattern": "*.none" })).await, "No files found");
    }

    #[tokio::test]
    async fn brackets_may_be_part_of_a_name() {
        let place = Place::new();
        touch(&place, "app/[slug]/page.tsx", 1);
        touch(&place, "app/s/page.tsx", 0);
        let absolute = place.worktree.join("app/[slug]/page.tsx").to_string();
        for pattern in ["app/[slug]/page.tsx", "app/[slug]/*.{ts,tsx}", &absolute] {
            assert_eq!(glob(&place, json!({ "pattern": pattern })).await, "TREE/app/[slug]/page.tsx\nTREE/app/s/page.tsx", "{pattern}");
        }
    }

    #[tokio::test]
    async fn absolute_patterns_and_places_outside() {
        let place = Place::new();
        fs::create_dir(place.outside.join("d")).unwrap();
        fs::write(place.outside.join("d/x.c"), "").unwrap();
        assert_eq!(glob(&place, json!({ "pattern": format!("{}/d/*.c", place.outside) })).await, "OUT/d/x.c");
        assert_eq!(place.host.kinds(), ["external_directory", "glob"]);
        assert_eq!(place.host.asks()[0].patterns, [format!("{}/d/*", place.outside)]);
        for input in [json!({ "pattern": "*", "path": "missing" }), json!({ "pattern": "[" })] {
            assert!(place.call(&erase(Glob), input).await.is_err());
        }
    }

    #[tokio::test]
    async fn names_that_look_as_the_pattern_does() {
        let place = Place::new();
        place.write("Gro\u{308}\u{df}e/a\u{a0}b.txt", "");
        for pattern in ["**/a b.txt", "Gr\u{f6}\u{df}e/*.txt", "Gr\u{f6}\u{df}e/a ?.{txt,md}", "a\u{a0}b.txt"] {
            assert_eq!(glob(&place, json!({ "pattern": pattern })).await, "TREE/Gro\u{308}\u{df}e/a\u{a0}b.txt", "{pattern}");
        }
        assert_eq!(glob(&place, json!({ "pattern": "*.txt", "path": "Gr\u{f6}\u{df}e" })).await, "TREE/Gro\u{308}\u{df}e/a\u{a0}b.txt");
        assert_eq!(glob(&place, json!({ "pattern": "ab.txt" })).await, "No files found");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn links_are_named_and_not_followed() {
        let place = Place::new();
        fs::write(place.outside.join("x.c"), "").unwrap();
        std::os::unix::fs::symlink(&place.outside, place.worktree.join("dir.c")).unwrap();
        std::os::unix::fs::symlink(place.outside.join("x.c"), place.worktree.join("link.c")).unwrap();
        assert_eq!(glob(&place, json!({ "pattern": "*.c" })).await, "TREE/link.c");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn as_a_plain_walk_finds(paths in prop::collection::btree_set("([abc]/){0,2}[abc]\\.(rs|md)", 0..12), pattern in prop::sample::select(vec!["*.rs", "a/*.md", "**/b.*", "a/**/*.rs", "{a,b}/*"])) {
            let place = Place::new();
            for path in &paths {
                place.write(path, "");
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let output = runtime.block_on(glob(&place, json!({ "pattern": pattern })));
            let mut found: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("TREE/")).map(str::to_owned).collect();
            found.sort();
            let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
            let expected: Vec<_> = paths.iter().filter(|path| {
                let parts = parts(path);
                let name = parts.last().unwrap().clone();
                let ends = |end: &str| name.ends_with(end);
                match pattern {
                    "*.rs" => ends(".rs"),
                    "a/*.md" => parts.len() == 2 && parts[0] == "a" && ends(".md"),
                    "**/b.*" => name.starts_with("b."),
                    "a/**/*.rs" => parts.len() >= 2 && parts[0] == "a" && ends(".rs"),
                    _ => parts.len() == 2 && parts[0] != "c",
                }
            }).cloned().collect();
            prop_assert_eq!(found, expected);
        }
    }
}
