//! Several files in one call: each with its own error, all within one limit.

use serde_json::{Value, json};

use super::one::{Window, one};
use crate::tool::{
    context::ToolContext,
    definition::{ToolError, ToolOutput},
};

/// The most files of a call, and the most bytes of their texts together.
const MAX_FILES: usize = 20;
const MAX_BYTES: usize = 200 * 1024;
/// The most images and documents.
const MAX_ATTACHMENTS: usize = 5;

/// Reads this file, and further ones from their first lines.
pub(super) async fn read(
    context: &ToolContext,
    permission: &'static str,
    first: (String, Window),
    further: Vec<String>,
) -> Result<ToolOutput, ToolError> {
    let window = Window { first: 1, ..first.1 };
    let mut paths = vec![first];
    for path in further {
        if !paths.iter().any(|(known, _)| *known == path) {
            paths.push((path, window));
        }
    }
    if paths.len() > MAX_FILES {
        return Err(ToolError::failed(format!("{} files are too many for one call; the limit is {MAX_FILES}.", paths.len())));
    }
    let (mut text, mut files, mut attachments) = (String::new(), Vec::new(), Vec::new());
    let (mut read, mut left_out) = (0, false);
    for (path, window) in paths {
        let mut told = json!({ "filePath": path });
        let part = if text.len() >= MAX_BYTES {
            Err(ToolError::failed(format!(
                "It was not read, because the files before it have more than {} KiB. Read it by itself.",
                MAX_BYTES / 1024
            )))
        } else {
            one(context, permission, &path, window).await
        };
        text.push_str(&format!("==> {path} <==\n"));
        match part {
            Ok(mut output) => {
                read += 1;
                left_out |= output.metadata["truncated"] == Value::Bool(true);
                if output.attachments.len() + attachments.len() > MAX_ATTACHMENTS {
                    output.output =
                        format!("(It is not given: a call may have at most {MAX_ATTACHMENTS} images and documents. Read it by itself.)");
                } else {
                    attachments.append(&mut output.attachments);
                }
                if let Some(lines) = output.metadata.get("lines") {
                    told["lines"] = lines.clone();
                }
                text.push_str(&output.output);
            }
            // An answer of the user, or the end of the turn, is about the whole call.
            Err(error @ (ToolError::Rejected { .. } | ToolError::Aborted)) => return Err(error),
            Err(error) => {
                told["error"] = json!(error.to_string());
                text.push_str(&format!("(Error: {error})"));
            }
        }
        text.push_str("\n\n");
        files.push(told);
    }
    if read == 0 {
        return Err(ToolError::failed(text.trim_end()));
    }
    let title = format!("{read} of {} files", files.len());
    let metadata = json!({ "truncated": left_out, "files": files });
    Ok(ToolOutput { title, output: text.trim_end().to_owned(), metadata, attachments })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tool::{
        definition::erase,
        read::Read,
        test_host::{Answer, Place},
    };

    #[tokio::test]
    async fn each_file_has_its_own_error() {
        let place = Place::new();
        place.write("a.txt", "one\ntwo\n");
        place.write("b.txt", "three\n");
        place.write("secret.txt", "no\n");
        place.host.answer("read", Answer::DenyContaining("secret"));
        let input = json!({ "filePath": "a.txt", "offset": 2, "filePaths": ["b.txt", "missing.txt", "secret.txt", "a.txt"] });
        let output = place.call(&erase(Read), input).await.unwrap();
        let text = &output.output;
        let of = |name: &str| text.split("==> ").find(|part| part.starts_with(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(text.starts_with("==> a.txt <==\n") && of("a.txt").contains("\n2: two") && !text.contains("1: one"), "{text}");
        assert!(of("b.txt").contains("\n1: three") && text.contains("==> secret.txt <==\n(Error: "), "{text}");
        assert!(text.contains("==> missing.txt <==\n(Error: "), "{text}");
        let files = output.metadata["files"].as_array().unwrap();
        assert_eq!((files.len(), output.title.as_str()), (4, "2 of 4 files"));
        assert!(files[2]["error"].is_string() && files[1].get("error").is_none());
        // All of them may be changed now.
        assert!(place.context.file_times.last(&place.worktree.join("b.txt")).is_some());
    }

    #[tokio::test]
    async fn the_whole_is_bounded() {
        let place = Place::new();
        let names: Vec<String> = (0..10).map(|number| format!("{number}.txt")).collect();
        for name in &names {
            place.write(name, format!("{}\n", "y".repeat(90)).repeat(500));
        }
        let output = place.call(&erase(Read), json!({ "filePath": names[0], "filePaths": names[1..] })).await.unwrap();
        assert!(output.output.len() < MAX_BYTES + 80 * 1024, "{}", output.output.len());
        assert!(output.output.contains("(Error: It was not read"));
        let many: Vec<String> = (0..MAX_FILES).map(|number| format!("m{number}")).collect();
        let error = place.call(&erase(Read), json!({ "filePath": "0.txt", "filePaths": many })).await.unwrap_err();
        assert!(error.to_string().contains("the limit is 20"), "{error}");
        let none = place.call(&erase(Read), json!({ "filePath": "no", "filePaths": ["nope"] })).await.unwrap_err();
        assert!(none.to_string().contains("==> nope <=="), "{none}");
    }
}
