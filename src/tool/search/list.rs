//! Shows what is in a directory as a tree.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt::Write as _,
};

use async_trait::async_trait;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::walk::{self, CUT_NOTE, Hidden};
use crate::{
    find::EntryKind,
    git::ignore::is_too_nested,
    stdx::paths::AbsPath,
    tool::{
        context::{Ask, ToolContext},
        definition::{ALLOWED, Defaults, Tool, ToolError, ToolOutput},
        path,
    },
};

/// More files are not shown at once.
const MAX_FILES: usize = 100;

/// Directories of tools and products of builds: they hold no source.
const JUNK: [&str; 21] = [
    "node_modules",
    "__pycache__",
    "dist",
    "build",
    "target",
    "vendor",
    "obj",
    ".idea",
    ".vscode",
    ".zig-cache",
    "zig-out",
    ".coverage",
    "coverage",
    "tmp",
    "temp",
    ".cache",
    "cache",
    "logs",
    ".venv",
    "venv",
    ".git",
];

pub struct List;

/// What to list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListArgs {
    /// The directory, the working directory if not said.
    #[serde(default)]
    path: Option<String>,
    /// Patterns of what to leave out, as in an ignore file.
    #[serde(default)]
    ignore: Option<Vec<String>>,
}

#[async_trait]
impl Tool for List {
    const NAME: &'static str = "list";
    const DESCRIPTION: &'static str = include_str!("list.md");
    const PERMISSION: &'static str = "list";
    const DEFAULTS: Defaults = ALLOWED;
    const READS_ONLY: bool = true;
    type Args = ListArgs;

    fn subject(args: &ListArgs, directory: &AbsPath) -> String {
        args.path.as_deref().map_or_else(|| ".".to_owned(), |path| path::shortened(path, directory))
    }

    async fn run(&self, context: &ToolContext, args: ListArgs) -> Result<ToolOutput, ToolError> {
        let place = walk::place(context, args.path.as_deref()).await?;
        if !place.real().as_path().is_dir() {
            return Err(ToolError::failed(format!("{} is not a directory.", place.named())));
        }
        let root = place.real().clone();
        let ignore = ignored(&root, &args.ignore.unwrap_or_default())?;
        context
            .ask(Ask {
                kind: Self::PERMISSION.into(),
                patterns: place.patterns(),
                always: vec!["*".to_owned()],
                title: format!("List {}", place.shown()),
                metadata: json!({ "path": root.to_string() }),
                ..Ask::default()
            })
            .await?;
        place.unmoved().await?;
        let cancel = context.cancel.clone();
        let (from, at) = (root.clone(), context.clone());
        let (entries, is_cut, note) = path::blocking(move || {
            path::unmoved(&from, &from)?;
            let hidden = Hidden::below(&at, &from);
            let (mut entries, files) = (Vec::new(), walk::files(&from, &cancel)?);
            files.visit(
                |path, what| {
                    let is_directory = what == EntryKind::Directory;
                    let is_junk = is_directory && path.file_name().and_then(|name| name.to_str()).is_some_and(|name| JUNK.contains(&name));
                    !is_junk && !hidden.is(path) && !ignore.matched(path, is_directory).is_ignore()
                },
                |path, what| {
                    let names = path.strip_prefix(&from).into_iter().flatten();
                    let names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
                    entries.push(Entry { names, is_directory: what == EntryKind::Directory });
                },
            );
            Ok((entries, files.is_cut(), hidden.note))
        })
        .await?;
        let mut output = render(place.named(), place.shown(), entries, is_cut);
        if !note.is_empty() {
            output.output.extend(["\n\n", &note]);
        }
        Ok(output)
    }
}

fn ignored(root: &AbsPath, patterns: &[String]) -> Result<Gitignore, ToolError> {
    let mut builder = GitignoreBuilder::new(root);
    for pattern in patterns {
        if is_too_nested(pattern.as_bytes()) {
            return Err(ToolError::failed(format!("the pattern {pattern:?} in ignore has too many nested braces")));
        }
        let added = builder.add_line(None, pattern);
        added.map_err(|error| ToolError::failed(format!("the pattern {pattern:?} in ignore is malformed: {error}")))?;
    }
    builder.build().map_err(|error| ToolError::failed(format!("the patterns in ignore are malformed: {error}")))
}

struct Entry {
    names: Vec<String>,
    is_directory: bool,
}

#[derive(Default)]
struct Tree {
    directories: BTreeMap<String, Tree>,
    files: BTreeSet<String>,
}

impl Tree {
    fn insert(&mut self, entry: &Entry) {
        let (last, above) = match entry.names.split_last() {
            Some((last, above)) if !entry.is_directory => (Some(last), above),
            _ => (None, entry.names.as_slice()),
        };
        let tree = above.iter().fold(self, |tree, name| tree.directories.entry(name.clone()).or_default());
        tree.files.extend(last.cloned());
    }

    /// First directories with what is in them, then files.
    fn write(&self, output: &mut String, depth: usize) {
        let indentation = "  ".repeat(depth);
        for (name, tree) in &self.directories {
            output.extend(["\n", &indentation, name, "/"]);
            tree.write(output, depth + 1);
        }
        for name in &self.files {
            output.extend(["\n", &indentation, name]);
        }
    }
}

fn render(named: &AbsPath, shown: &str, mut entries: Vec<Entry>, is_cut: bool) -> ToolOutput {
    let parents: HashSet<Vec<String>> = entries.iter().map(|entry| entry.names[..entry.names.len() - 1].to_vec()).collect();
    // A directory with something in it is shown by what is in it.
    entries.retain(|entry| !entry.is_directory || !parents.contains(&entry.names));
    // What lies near the top says more about a project than what lies deep.
    entries.sort_by(|one, other| (one.names.len(), &one.names).cmp(&(other.names.len(), &other.names)));
    let total = entries.len();
    entries.truncate(MAX_FILES);
    let mut tree = Tree::default();
    for entry in &entries {
        tree.insert(entry);
    }
    let mut output = format!("{}/", named.to_string().trim_end_matches('/'));
    tree.write(&mut output, 1);
    if total == 0 {
        output.push_str("\n(The directory is empty, or everything in it is ignored.)");
    }
    if total > entries.len() {
        let more = total - entries.len();
        let _ = write!(output, "\n\n({more} more files, deeper down, are not shown. List a directory of these to see them.)");
    }
    if is_cut {
        output.push_str("\n\n");
        output.push_str(CUT_NOTE);
    }
    let count = entries.iter().filter(|entry| !entry.is_directory).count();
    ToolOutput::new(shown, output, json!({ "count": count, "truncated": total > entries.len() || is_cut }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use expect_test::expect;

    use super::*;
    use crate::tool::{definition::erase, test_host::Place};

    #[tokio::test]
    async fn a_tree_with_directories_first() {
        let place = Place::new();
        for path in [
            "b.txt",
            "a.txt",
            "src/deep/x.rs",
            "src/a.rs",
            "dist/x",
            "mydist/y",
            "robin/z",
            "src/build/w",
            "logs",
            ".hidden",
            "gone.log",
            ".git/x",
        ] {
            place.write(path, "");
        }
        place.write(".gitignore", "*.log\n");
        fs::create_dir(place.worktree.join("void")).unwrap();
        let output = place.call(&erase(List), json!({})).await.unwrap();
        expect![[r"
            TREE/
              mydist/
                y
              robin/
                z
              src/
                deep/
                  x.rs
                a.rs
              void/
              .gitignore
              .hidden
              a.txt
              b.txt
              logs"]]
        .assert_eq(&place.neutral(&output.output));
        assert_eq!(output.metadata, json!({ "count": 9, "truncated": false }));
        assert_eq!(place.host.kinds(), ["list"]);
        let output = place.call(&erase(List), json!({ "path": "src", "ignore": ["deep/", "build"] })).await.unwrap();
        assert_eq!(place.neutral(&output.output), "TREE/src/\n  a.rs");
        let output = place.call(&erase(List), json!({ "path": "src/build" })).await.unwrap();
        assert_eq!(place.neutral(&output.output), "TREE/src/build/\n  w");
    }

    #[tokio::test]
    async fn the_top_before_the_depths() {
        let place = Place::new();
        for number in 0..120 {
            place.write(&format!("a/deep/f{number:03}"), "");
        }
        place.write("z/top", "");
        let output = place.call(&erase(List), json!({})).await.unwrap();
        assert!(output.output.contains("\n    top") && output.output.contains("21 more files"), "{}", output.output);
        assert_eq!(output.metadata, json!({ "count": 100, "truncated": true }));
    }

    #[tokio::test]
    async fn places_that_cannot_be_listed() {
        let place = Place::new();
        place.write("file", "");
        for path in ["file", "missing"] {
            assert!(place.call(&erase(List), json!({ "path": path })).await.is_err());
        }
        place.call(&erase(List), json!({ "path": "../outside" })).await.unwrap();
        assert_eq!(place.host.kinds(), ["external_directory", "list"]);
    }
}
