//! Writes a whole file. An existing one must have been read, and keeps its encoding and line endings.

use std::{fmt::Write as _, sync::Arc};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::{
    change::{self, Current, OnOwnChange, Planned},
    context::ToolContext,
    definition::{Tool, ToolError, ToolOutput},
    path::{self, Purpose},
};
use crate::{
    file::text_file::{Encoding, TextFile},
    stdx::paths::AbsPath,
};

pub struct Write;

/// What to write where.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WriteArgs {
    /// The file, absolute or relative to the working directory.
    file_path: String,
    /// The whole content.
    content: String,
}

#[async_trait]
impl Tool for Write {
    const NAME: &'static str = "write";
    const DESCRIPTION: &'static str = include_str!("write.md");
    const PERMISSION: &'static str = "edit";
    type Args = WriteArgs;

    fn subject(args: &WriteArgs, directory: &AbsPath) -> String {
        path::shortened(&args.file_path, directory)
    }

    async fn run(&self, context: &ToolContext, args: WriteArgs) -> Result<ToolOutput, ToolError> {
        let file = path::check(context, &args.file_path, Purpose::Write).await?;
        let shown = file.shown().to_owned();
        let planner = move |current: Option<&Current>| plan(&shown, current, &args.content);
        let changed = change::change(context, &file, OnOwnChange::Refuse, Arc::new(planner)).await?;
        Ok(ToolOutput::new(
            file.shown(),
            changed.report,
            json!({
                "filePath": file.real().to_string(),
                "exists": !changed.created,
                "diff": changed.diff,
                "additions": changed.additions,
                "deletions": changed.deletions,
            }),
        ))
    }
}

fn plan(shown: &str, current: Option<&Current>, content: &str) -> Result<Planned, ToolError> {
    let lines = content.lines().count();
    let Some(current) = current else {
        let report = format!("Created {shown} ({lines} lines).");
        return Ok(Planned { bytes: content.as_bytes().to_vec(), texts: (String::new(), content.to_owned()), report });
    };
    let mut report = format!("Wrote {shown} ({lines} lines).");
    // What is no text has no conventions to keep.
    let Ok(old) = TextFile::decode(&current.bytes) else {
        return Ok(Planned { bytes: content.as_bytes().to_vec(), texts: (String::new(), content.to_owned()), report });
    };
    let refused = |why: String| {
        ToolError::failed(format!(
            "{shown} was not changed: {why}. To change a part, use the edit tool. To change the encoding, make sure with the user which one it is, and convert the file with a command such as iconv."
        ))
    };
    // The content was made from what was shown of the file: what could not be shown would be lost.
    if old.is_lossy() || (old.strays > 0 && content.contains('\u{fffd}')) {
        return Err(refused(format!("some of its bytes are not valid {} and would be lost", old.encoding.name())));
    }
    let text = like(&old.text, content);
    // A mark in the content itself would be doubled.
    let text = if old.encoding.mark().is_empty() { text } else { text.trim_start_matches('\u{feff}').to_owned() };
    let bytes = old.encoding.encode(&text).map_err(|error| refused(error.to_string()))?;
    let _ = match (old.encoding, old.strays) {
        (Encoding::Legacy(encoding), _) => write!(report, " It is stored as {}, which its bytes looked like before.", encoding.name()),
        (_, 0) => Ok(()),
        (_, count) => write!(report, " It is all valid UTF-8 now; {count} bytes of the old content were not."),
    };
    Ok(Planned { bytes, texts: (old.shown(&old.text), text), report })
}

/// The content with the line endings of the old text where that has one kind and the content says nothing about it.
fn like(old: &str, content: &str) -> String {
    let returns = old.matches("\r\n").count();
    if returns > 0 && returns == old.matches('\n').count() && !content.contains("\r\n") {
        content.replace('\n', "\r\n")
    } else {
        content.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use serde_json::{Value, json};

    use super::*;
    use crate::tool::{
        definition::{AnyTool, erase},
        read::Read,
        test_host::{Answer, Place},
    };

    fn tools() -> (Arc<dyn AnyTool>, Arc<dyn AnyTool>) {
        (erase(Write), erase(Read))
    }

    fn write(path: &str, content: &str) -> Value {
        json!({ "filePath": path, "content": content })
    }

    #[tokio::test]
    async fn creates_with_parents_and_tells() {
        let place = Place::new();
        let output = place.call(&tools().0, write("a/b/new.txt", "one\ntwo\n")).await.unwrap();
        assert_eq!(place.read("a/b/new.txt"), b"one\ntwo\n");
        assert_eq!(output.title, "a/b/new.txt");
        assert_eq!((&output.metadata["exists"], &output.metadata["additions"]), (&json!(false), &json!(2)));
        assert_eq!(place.host.kinds(), ["edit"]);
        assert_eq!(place.host.asks()[0].patterns, ["a/b/new.txt"]);
        assert_eq!(place.host.edited(), [place.worktree.join("a/b/new.txt")]);
        // What was written is known: it may be changed without reading.
        place.call(&tools().0, write("a/b/new.txt", "three\n")).await.unwrap();
        assert_eq!(place.read("a/b/new.txt"), b"three\n");
    }

    #[tokio::test]
    async fn an_existing_file_must_be_known() {
        let place = Place::new();
        let (tool, read) = tools();
        place.write("f", "old");
        let error = place.call(&tool, write("f", "new")).await.unwrap_err().to_string();
        assert!(error.contains("not read it"), "{error}");
        place.call(&read, json!({ "filePath": "f" })).await.unwrap();
        place.write("f", "theirs");
        let error = place.call(&tool, write("f", "new")).await.unwrap_err().to_string();
        assert!(error.contains("Read it again"), "{error}");
        assert_eq!(place.read("f"), b"theirs");
        assert!(place.host.edited().is_empty());
    }

    #[tokio::test]
    async fn conventions_are_kept() {
        let place = Place::new();
        let (tool, read) = tools();
        for (old, content, new) in [
            (&b"a\r\nb\r\n"[..], "x\ny\n", &b"x\r\ny\r\n"[..]),
            (b"a\r\nb\n", "x\ny\n", b"x\ny\n"),
            (b"\xEF\xBB\xBFa\n", "x\n", b"\xEF\xBB\xBFx\n"),
            (b"\xFF\xFEa\0", "x", b"\xFF\xFEx\0"),
            (b"gr\xFCn", "röt", b"r\xF6t"),
            (b"\xd6\xd0\xce\xc4\xd7\xa2\xca\xcd", "中", b"\xd6\xd0"),
            (b"\xC3\xA9\xC3\xA8\xFF\n", "é\n", b"\xC3\xA9\n"),
        ] {
            place.write("f", old);
            place.call(&read, json!({ "filePath": "f" })).await.unwrap();
            place.call(&tool, write("f", content)).await.unwrap();
            assert_eq!(place.read("f"), new, "{old:?}");
        }
    }

    #[tokio::test]
    async fn what_was_shown_wrong_is_not_written_back() {
        let place = Place::new();
        let (tool, read) = tools();
        for (old, content) in [
            // A letter that the encoding lacks: as UTF-8, whatever was shown wrong would be wrong for good.
            (&b"gr\xFCn"[..], "gr\u{fc}n \u{2192}"),
            (b"\xC3\xA9\xC3\xA8\xFF\n", "\u{e9}\u{e8}\u{fffd}\n"),
            (b"\xFF\xFEa\0b", "a"),
        ] {
            place.write("f", old);
            place.call(&read, json!({ "filePath": "f" })).await.unwrap();
            let error = place.call(&tool, write("f", content)).await.unwrap_err().to_string();
            assert!(error.contains("was not changed") && error.contains("iconv"), "{error}");
            assert_eq!(place.read("f"), old);
        }
    }

    #[tokio::test]
    async fn nothing_is_lost_while_the_user_thinks() {
        let place = Place::new();
        let file = place.worktree.join("f");
        let target = file.clone();
        place.host.answer("edit", Answer::After(Arc::new(move || fs::write(&target, "theirs").unwrap())));
        let error = place.call(&tools().0, write("f", "mine")).await.unwrap_err().to_string();
        assert!(error.contains("changed by someone else"), "{error}");
        assert_eq!(fs::read(&file).unwrap(), b"theirs");
        assert!(place.host.edited().is_empty());
    }

    #[tokio::test]
    async fn refused_or_aborted_means_untouched() {
        let place = Place::new();
        place.host.answer("edit", Answer::Reject);
        assert_eq!(place.call(&tools().0, write("f", "x")).await, Err(ToolError::Rejected { message: None }));
        let cancel = place.context.cancel.clone();
        place.host.answer("edit", Answer::After(Arc::new(move || cancel.cancel())));
        assert_eq!(place.call(&tools().0, write("f", "x")).await, Err(ToolError::Aborted));
        assert!(!place.worktree.join("f").as_path().exists());
    }

    #[tokio::test]
    async fn a_project_that_is_gone_is_not_made_again() {
        let place = Place::new();
        let tool = tools().0;
        let moved = place.outside.join("moved");
        // While the user thinks, and before.
        let (from, to) = (place.worktree.clone(), moved.clone());
        place.host.answer("edit", Answer::After(Arc::new(move || fs::rename(&from, &to).unwrap())));
        for _ in 0..2 {
            let error = place.call(&tool, write("src/new.txt", "x")).await.unwrap_err().to_string();
            assert!(error.contains("is gone") && error.contains("not written"), "{error}");
            assert!(!place.worktree.as_path().exists());
        }
        assert_eq!(place.host.kinds(), ["edit"], "nobody is asked about what cannot be done");
        // Of what was unmounted, an empty directory on another file system stays.
        fs::rename(&moved, &place.worktree).unwrap();
        place.host.answer("edit", Answer::After(Arc::new(|| ())));
        let mut elsewhere = place.context.clone();
        elsewhere.device = elsewhere.device.map(|device| device + 1);
        let unmounted = tool.call(&elsewhere, write("src/new.txt", "x")).await;
        assert_eq!(unmounted.is_err(), elsewhere.device.is_some());
        // A session in a directory of the project.
        let mut below = place.context.clone();
        below.directory = place.worktree.join("sub");
        for path in ["new.txt", "../else/new.txt"] {
            assert!(tool.call(&below, write(path, "x")).await.is_err());
        }
        assert_eq!(fs::read_dir(&place.worktree).unwrap().count(), 0);
        fs::create_dir(&below.directory).unwrap();
        tool.call(&below, write("../else/new.txt", "x")).await.unwrap();
    }

    #[tokio::test]
    async fn the_name_that_looks_the_same_is_written_and_told() {
        let place = Place::new();
        let (tool, read) = tools();
        place.write("it\u{2019}s a\u{a0}b.txt", "old");
        let error = place.call(&tool, write("it's a b.txt", "new")).await.unwrap_err().to_string();
        assert!(error.contains("not read it"), "{error}");
        let output = place.call(&read, json!({ "filePath": "it's a b.txt" })).await.unwrap().output;
        assert!(output.contains("1: old") && output.contains("U+2019"), "{output}");
        let output = place.call(&tool, write("it's a b.txt", "new")).await.unwrap().output;
        assert!(output.contains("was taken for"), "{output}");
        assert_eq!(place.read("it\u{2019}s a\u{a0}b.txt"), b"new");
        assert_eq!(fs::read_dir(&place.worktree).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn through_a_link_its_target_is_written() {
        let place = Place::new();
        std::os::unix::fs::symlink("real", place.worktree.join("link")).unwrap();
        place.call(&tools().0, write("link", "x")).await.unwrap();
        assert!(fs::symlink_metadata(place.worktree.join("link")).unwrap().is_symlink());
        assert_eq!(place.read("real"), b"x");
        std::os::unix::fs::symlink(&place.outside, place.worktree.join("out")).unwrap();
        place.host.answer("external_directory", Answer::Deny);
        assert!(matches!(place.call(&tools().0, write("out/x", "x")).await, Err(ToolError::Denied(_))));
        assert_eq!(fs::read_dir(&place.outside).unwrap().count(), 0);
    }
}
