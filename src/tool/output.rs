//! Limits for what a tool gives to the model. What is too long is kept whole in a private file, and the model gets its
//! beginning and end with a word on how to see the rest.

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
};

use serde_json::{Map, Value, json};

use super::{
    context::{OutputLimits, ToolContext},
    outcome::ToolOutput,
};
use crate::stdx::{
    paths::AbsPath,
    tasks::Tasks,
    text::{prefix, suffix},
};

/// Of what is shown, how much is from the beginning; the rest is from the end.
const HEAD_PERCENT: usize = 60;

/// The output as the model gets it. Every tool's output goes through here.
pub async fn cap(context: &ToolContext, is_paged: bool, output: ToolOutput) -> ToolOutput {
    // To keep a page of a file as a file would lead the model in a circle.
    let limits = context.output_limits;
    // What a tool has kept whole and shortened by itself is not kept again in that form.
    let is_kept = output.metadata.get("outputPath").is_some();
    if is_paged || is_kept || !is_too_long(&output.output, limits) {
        return output;
    }
    let directory = context.output_directory.clone();
    let name = format!("{}-{}.txt", file_name(&context.call_id), ulid::Ulid::generate());
    let work = move || {
        let path = directory.join(name);
        let kept = keep(&directory, &path, &output.output);
        (output, path, kept)
    };
    let Ok((mut output, path, kept)) = Tasks::spawn_blocking(work).await else {
        // The runtime is ending: this will not be read.
        return ToolOutput::default();
    };
    let hint = match &kept {
        Ok(()) => {
            format!("The whole output is in {path}. To see more of it use the read tool with offset and limit, or grep with that path.")
        }
        Err(error) => format!("The whole output could not be kept: {error}."),
    };
    output.output = preview(&output.output, &hint, limits);
    let mut metadata = match output.metadata {
        Value::Object(object) => object,
        Value::Null => Map::new(),
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    metadata.insert("truncated".to_owned(), json!(true));
    if kept.is_ok() {
        metadata.insert("outputPath".to_owned(), json!(path.to_string()));
    }
    output.metadata = Value::Object(metadata);
    output
}

fn is_too_long(text: &str, limits: OutputLimits) -> bool {
    text.len() > limits.bytes || text.lines().nth(limits.lines).is_some()
}

/// The call's id comes from a model service and becomes part of a name.
fn file_name(call_id: &str) -> String {
    let name: String =
        call_id.chars().filter(|character| character.is_ascii_alphanumeric() || matches!(character, '-' | '_')).take(60).collect();
    if name.is_empty() { "call".to_owned() } else { name }
}

/// Makes a directory for the owner alone, with its parents.
pub(super) fn make_private(directory: &AbsPath) -> io::Result<()> {
    let mut make = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut make, 0o700);
    make.recursive(true).create(directory)
}

fn keep(directory: &AbsPath, path: &AbsPath, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    make_private(directory)?;
    options.write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

fn preview(text: &str, hint: &str, limits: OutputLimits) -> String {
    let share = |whole: usize| whole / 100 * HEAD_PERCENT + whole % 100 * HEAD_PERCENT / 100;
    let (lines, bytes) = (share(limits.lines), share(limits.bytes));
    let head = first_part(text, lines, bytes);
    let rest = &text[head.len()..];
    let tail = last_part(rest, limits.lines - lines, limits.bytes - bytes);
    let left_out = &rest[..rest.len() - tail.len()];
    let size = match left_out.lines().count() {
        0 | 1 => format!("{} bytes", left_out.len()),
        lines => format!("{lines} lines ({} bytes)", left_out.len()),
    };
    format!("{}\n\n... {size} left out here. {hint} ...\n\n{tail}", head.trim_end_matches('\n'))
}

/// The first lines within the limits; of a line that is too long by itself its beginning.
pub(super) fn first_part(text: &str, lines: usize, bytes: usize) -> &str {
    let end = text.match_indices('\n').nth(lines - 1).map_or(text.len(), |(at, _)| at + 1);
    let part = prefix(&text[..end], bytes);
    match part.rfind('\n') {
        Some(at) if part.len() < end => &part[..=at],
        _ => part,
    }
}

/// The last lines within the limits; of a line that is too long by itself its end.
pub(super) fn last_part(text: &str, lines: usize, bytes: usize) -> &str {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let start = body.rmatch_indices('\n').nth(lines - 1).map_or(0, |(at, _)| at + 1);
    let part = suffix(&text[start..], bytes);
    match part.find('\n') {
        Some(at) if part.len() < text.len() - start && at + 1 < part.len() => &part[at + 1..],
        _ => part,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    const LIMITS: OutputLimits = OutputLimits { lines: 2000, bytes: 50 * 1024 };
    use crate::tool::test_host::Place;

    fn output(text: &str) -> ToolOutput {
        ToolOutput::new("t", text, json!({ "exit": 0 }))
    }

    #[tokio::test]
    async fn short_outputs_and_pages_pass() {
        let place = Place::new();
        let short = output(&"x\n".repeat(LIMITS.lines));
        assert_eq!(cap(&place.context, false, short.clone()).await, short);
        let page = output(&"x\n".repeat(LIMITS.lines + 10));
        assert_eq!(cap(&place.context, true, page.clone()).await, page);
        assert_eq!(fs::read_dir(&place.context.output_directory).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn long_outputs_are_kept_whole() {
        let mut place = Place::new();
        place.context.output_directory = place.context.output_directory.join("made");
        place.context.call_id = "../../x y".to_owned();
        let lines: Vec<_> = (1..=3000).map(|number| format!("line {number}")).collect();
        let text = lines.join("\n");
        let capped = cap(&place.context, false, output(&text)).await;
        let path = AbsPath::new(capped.metadata["outputPath"].as_str().unwrap()).unwrap();
        assert!(path.is_within(&place.context.output_directory) && path.to_string().contains("/xy-"), "{path}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!((&capped.metadata["exit"], &capped.metadata["truncated"]), (&json!(0), &json!(true)));
        let shown: Vec<_> = capped.output.lines().filter(|line| line.starts_with("line ")).collect();
        assert_eq!((shown.len(), shown[1199], shown[1200], shown[1999]), (2000, "line 1200", "line 2201", "line 3000"));
        assert!(capped.output.contains("1000 lines") && capped.output.contains(&path.to_string()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = |path: &AbsPath| fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!((mode(&path), mode(&place.context.output_directory)), (0o600, 0o700));
        }
    }

    #[tokio::test]
    async fn where_nothing_can_be_kept_the_preview_remains() {
        let mut place = Place::new();
        place.write("file", "");
        place.context.output_directory = place.worktree.join("file");
        let capped = cap(&place.context, false, output(&"x\n".repeat(5000))).await;
        assert!(capped.output.contains("could not be kept") && capped.output.len() < 10_000, "{}", capped.output);
        assert_eq!(capped.metadata.get("outputPath"), None);
    }

    proptest! {
        #[test]
        fn previews_are_bounded_and_true(lines in prop::collection::vec(("[a\u{e4}]{1,3}", 1..9000usize), 1..40), repeat in 1..200usize) {
            let text = lines.iter().map(|(text, times)| text.repeat(*times)).collect::<Vec<_>>().join("\n").repeat(repeat.min(3)) + &"\n.".repeat(repeat * 10);
            prop_assume!(is_too_long(&text, LIMITS));
            let shown = preview(&text, "HINT", LIMITS);
            prop_assert!(shown.len() <= LIMITS.bytes + 100 && shown.lines().count() <= LIMITS.lines + 5);
            let (head, rest) = shown.split_once("\n\n... ").unwrap();
            let tail = rest.split_once("HINT ...\n\n").unwrap().1;
            prop_assert!(text.starts_with(head) && text.ends_with(tail) && !head.is_empty() && !tail.is_empty());
        }
    }
}
