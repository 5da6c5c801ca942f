//! A conversation as a file for people: Markdown, and the same as an HTML page that loads nothing. Pure.

use polytree_protocol::{
    export::SessionExport,
    message::{Message, MessageWithParts},
    part::{Part, ToolPart, ToolState},
};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd, html as writer};

use super::sanitize;
use crate::session::in_order;

/// Nothing may be loaded or run: texts of models and files are hostile.
const HEAD: &str = r#"<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow: auto; padding: .75rem; border: 1px solid #8884; border-radius: .4rem; font-size: .85rem }
h2 { font-size: 1rem; border-top: 1px solid #8884; padding-top: 1rem; margin-top: 2rem }
blockquote { margin: 0; padding-left: 1rem; border-left: 3px solid #8884; opacity: .8 }
</style>
"#;

/// The conversation as Markdown.
#[must_use]
pub fn markdown(export: &SessionExport) -> String {
    let mut page = format!("# {}\n\n", escaped(&export.session.title));
    for message in in_order(export.messages.clone()) {
        page.push_str(&format!("## {}\n\n", escaped(&heading(&message))));
        for block in message.parts.iter().filter_map(|part| block(part, &message.info)) {
            page.push_str(&block);
            page.push_str("\n\n");
        }
    }
    page.truncate(page.trim_end().len());
    page + "\n"
}

/// The conversation as an HTML page.
#[must_use]
pub fn html(export: &SessionExport) -> String {
    let text = markdown(export);
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(&text, options).map(|event| match event {
        // HTML of a model is text like any other, and a picture would be loaded.
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Image { .. }) => Event::Start(Tag::Emphasis),
        Event::End(TagEnd::Image) => Event::End(TagEnd::Emphasis),
        Event::Start(Tag::Link { dest_url, .. }) if !is_address(&dest_url) => Event::Start(Tag::Strong),
        event => event,
    });
    let events = balanced(events);
    let mut body = String::new();
    writer::push_html(&mut body, events.into_iter());
    let mut title = String::new();
    writer::push_html(&mut title, std::iter::once(Event::Text(sanitize::line(&export.session.title).into())));
    format!("<!doctype html>\n<html>\n<head>\n{HEAD}<title>{title}</title>\n</head>\n<body>\n{body}</body>\n</html>\n")
}

fn is_address(url: &str) -> bool {
    ["https://", "http://", "mailto:"].iter().any(|scheme| url.to_ascii_lowercase().starts_with(scheme))
}

/// The end of a link that is shown as plain text ends that.
fn balanced<'a>(events: impl Iterator<Item = Event<'a>>) -> Vec<Event<'a>> {
    let mut open = Vec::new();
    events
        .map(|event| match event {
            Event::Start(tag) => {
                open.push(tag.to_end());
                Event::Start(tag)
            }
            Event::End(_) => open.pop().map_or(Event::SoftBreak, Event::End),
            event => event,
        })
        .collect()
}

fn heading(message: &MessageWithParts) -> String {
    match &message.info {
        Message::User(_) => "User".to_owned(),
        Message::Assistant(answer) => format!("Assistant ({}, {}/{})", answer.agent, answer.provider_id, answer.model_id),
    }
}

fn block(part: &Part, of: &Message) -> Option<String> {
    match part {
        Part::Text(part) if part.synthetic || part.text.trim().is_empty() => None,
        // A prompt is not written as Markdown: its line breaks count.
        Part::Text(part) if matches!(of, Message::User(_)) => Some(part.text.trim().lines().map(escaped).collect::<Vec<_>>().join("  \n")),
        Part::Text(part) => Some(sanitize::text(part.text.trim())),
        Part::Reasoning(part) if !part.text.trim().is_empty() => {
            Some(part.text.trim().lines().map(|line| format!("> {}", escaped(line))).collect::<Vec<_>>().join("\n"))
        }
        Part::File(part) => Some(format!("Attached: {}", escaped(part.filename.as_deref().unwrap_or(&part.mime)))),
        Part::Tool(part) => Some(tool(part)),
        Part::Compaction(_) => Some("*The conversation before this was summarised.*".to_owned()),
        _ => None,
    }
}

fn tool(part: &ToolPart) -> String {
    let (input, title, output) = match &part.state {
        ToolState::Pending(_) => (None, None, None),
        ToolState::Running(running) => (Some(&running.input), running.title.as_deref(), None),
        ToolState::Completed(done) => (Some(&done.input), Some(done.title.as_str()), Some(done.output.as_str())),
        ToolState::Error(failed) => (Some(&failed.input), None, Some(failed.error.as_str())),
    };
    let mut block = format!("**{}** {}", escaped(&part.tool), escaped(title.unwrap_or_default())).trim_end().to_owned();
    if let Some(input) = input.and_then(|input| serde_json::to_string_pretty(input).ok()).filter(|input| input != "{}") {
        block.push_str(&format!("\n\n{}", fenced("json", &input)));
    }
    if let Some(output) = output.filter(|output| !output.trim().is_empty()) {
        block.push_str(&format!("\n\n{}", fenced("", output)));
    }
    block
}

/// A code block whose fence is longer than any in the text.
fn fenced(language: &str, text: &str) -> String {
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{}\n{fence}", sanitize::text(text.trim_end_matches('\n')))
}

/// Text that Markdown shows as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in sanitize::line(text).chars() {
        if character.is_ascii_punctuation() && "\\`*_{}[]()<>#+-.!|~&".contains(character) {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn export(prompt: &str, answer: &str) -> SessionExport {
        let (ses, one, two) = ("ses_01ARZ3NDEKTSV4RRFFQ69G5FAV", "msg_01ARZ3NDEKTSV4RRFFQ69G5FAV", "msg_01ARZ3NDEKTSV4RRFFQ69G5FAW");
        let part =
            |id: &str, message: &str, text: &str| json!({ "type": "text", "id": id, "sessionID": ses, "messageID": message, "text": text });
        let tokens = json!({ "input": 0, "output": 0, "reasoning": 0, "cache": { "read": 0, "write": 0 } });
        serde_json::from_value(json!({
            "format": 1,
            "session": { "id": ses, "projectID": "prj_01ARZ3NDEKTSV4RRFFQ69G5FAV", "directory": "/w", "title": "A *title*", "version": "1",
                "cost": 0.0, "tokens": tokens, "time": { "created": 1, "updated": 1 } },
            "messages": [
                { "cursor": 0, "info": { "role": "user", "id": one, "sessionID": ses, "time": { "created": 1 }, "state": "answered", "agent": "build",
                    "model": { "providerID": "p", "modelID": "m" } }, "parts": [part("prt_01ARZ3NDEKTSV4RRFFQ69G5FA1", one, prompt)] },
                { "cursor": 0, "info": { "role": "assistant", "id": two, "sessionID": ses, "parentID": one, "time": { "created": 1, "completed": 2 },
                    "agent": "build", "mode": "build", "providerID": "p", "modelID": "m", "path": { "cwd": "/w", "root": "/w" }, "cost": 0.0,
                    "tokens": tokens }, "parts": [
                    { "type": "tool", "id": "prt_01ARZ3NDEKTSV4RRFFQ69G5FA2", "sessionID": ses, "messageID": two, "callID": "c", "tool": "bash",
                        "state": { "status": "completed", "input": { "command": "ls" }, "output": "a ``` b\n", "title": "ls", "metadata": {},
                            "time": { "start": 1, "end": 2 } } },
                    part("prt_01ARZ3NDEKTSV4RRFFQ69G5FA3", two, answer),
                ] },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn a_conversation_as_markdown() {
        expect_test::expect![[r#"
            # A \*title\*

            ## User

            List  
            \# it

            ## Assistant \(build, p/m\)

            **bash** ls

            ```json
            {
              "command": "ls"
            }
            ```

            ````
            a ``` b
            ````

            **Done**
        "#]]
        .assert_eq(&markdown(&export("List\n# it", "**Done**\u{1b}[31m")));
    }

    #[test]
    fn a_page_loads_and_runs_nothing() {
        let hostile =
            "![i](https://e.example/i.png) [go](javascript:x) [ok](https://e.example) <script>x</script>\n\n<img src=x onerror=x>";
        let page = html(&export("<b>p</b>", hostile));
        let body = page.split_once("<body>").unwrap().1;
        for part in ["<script", "<img", "<b>", "javascript:"] {
            assert!(!body.contains(part), "{part}: {body}");
        }
        assert!(body.contains(r#"<a href="https://e.example">ok</a>"#) && body.contains("<strong>go</strong>"), "{body}");
        assert!(page.contains("default-src 'none'"));
    }
}
