//! Renders a stored conversation like a running turn, on one stream. Pure.

use polytree_protocol::{
    message::{Message, MessageWithParts, PromptState},
    part::{Part, ToolState},
    session::Session,
};

use super::{
    excerpt::Excerpt,
    follow::count,
    markdown::Markdown,
    sanitize,
    style::{FAINT, STRONG, THOUGHT, WARNING, error_lines, paint},
    table, tool_line,
};

/// The lines above a conversation.
#[must_use]
pub fn heading(session: &Session, now: i64, width: usize) -> String {
    let mut lines = vec![paint(STRONG, &sanitize::line(&session.title))];
    let mut facts = vec![session.id.to_string(), sanitize::line(&session.directory)];
    if session.missing {
        facts.push("the directory is gone".to_owned());
    }
    facts.push(table::ago(session.time.updated, now));
    lines.extend(table::facts(facts, width).iter().map(|line| paint(FAINT, line)));
    let mut used: Vec<String> = Vec::new();
    used.extend(session.agent.as_deref().map(sanitize::line));
    used.extend(session.model.as_ref().map(|model| sanitize::line(&model.to_string())));
    let tokens = &session.tokens;
    let (input, output) = (tokens.input + tokens.cache.read + tokens.cache.write, tokens.output + tokens.reasoning);
    if input + output > 0 {
        used.push(format!("{} tokens in, {} out", count(input), count(output)));
    }
    if session.cost > 0.0 {
        used.push(format!("${:.4}", session.cost));
    }
    if !used.is_empty() {
        lines.extend(table::facts(used, width).iter().map(|line| paint(FAINT, line)));
    }
    lines.join("\n") + "\n"
}

/// A message on lines of at most `width` columns; Markdown is rendered if styles are supported.
#[must_use]
pub fn message(message: &MessageWithParts, styled: bool, width: usize) -> String {
    let mut blocks: Vec<String> = Vec::new();
    let is_user = matches!(message.info, Message::User(_));
    for part in &message.parts {
        match part {
            // Without the parts that the daemon added for the model.
            Part::Text(part) if is_user && part.synthetic => {}
            Part::Text(part) if is_user => {
                let text = sanitize::text(&part.text);
                blocks.push(
                    text.trim_end()
                        .lines()
                        .map(|line| format!("{} {}", paint(STRONG, ">"), paint(STRONG, line)).trim_end().to_owned())
                        .collect::<Vec<_>>()
                        .join("\n"),
                );
            }
            Part::File(part) => {
                let name = part.filename.as_deref().unwrap_or(if part.url.starts_with("data:") { "attachment" } else { &part.url });
                blocks.push(paint(FAINT, &format!("  attached: {} ({})", sanitize::line(name), sanitize::line(&part.mime))));
            }
            Part::Text(part) if !part.text.trim().is_empty() => blocks.push(text(&part.text, styled, width)),
            Part::Reasoning(part) if !part.text.trim().is_empty() => {
                let lines = sanitize::text(part.text.trim());
                blocks.push(format!("thinking: {lines}").lines().map(|line| paint(THOUGHT, line)).collect::<Vec<_>>().join("\n"));
            }
            Part::Tool(part) => {
                let mut lines = vec![tool_line::start(part, width)];
                if let Some(output) = tool_line::output(part) {
                    let mut excerpt = Excerpt::default();
                    lines.extend(excerpt.push(output));
                    lines.extend(excerpt.finish());
                }
                if matches!(part.state, ToolState::Pending(_) | ToolState::Running(_)) {
                    lines.push(paint(WARNING, "  not finished"));
                }
                lines.extend(tool_line::result(&part.state).iter().map(|line| format!("  {line}")));
                lines.extend(tool_line::change(&part.state, "    ").map(|change| change.trim_end().to_owned()));
                blocks.push(lines.join("\n"));
            }
            Part::Compaction(_) => blocks.push(paint(FAINT, "  the history before this was summarised")),
            _ => {}
        }
    }
    if let Message::User(prompt) = &message.info {
        let session = &prompt.session_id;
        match prompt.state {
            PromptState::Queued => blocks.push(paint(WARNING, "  waits for its turn")),
            PromptState::Cancelled => {
                blocks.push(paint(WARNING, &format!("  cancelled; send again: polytree run -s {session} --again")));
            }
            PromptState::Running | PromptState::Answered => {}
        }
    }
    if let Message::Assistant(assistant) = &message.info
        && let Some(error) = &assistant.error
    {
        blocks.push(error_lines(&error.data.message, error.data.hint.as_deref()));
    }
    blocks.iter().map(|block| format!("\n{block}\n")).collect()
}

fn text(text: &str, styled: bool, width: usize) -> String {
    let shown = if styled {
        let mut markdown = Markdown::new(width);
        markdown.push(text) + &markdown.finish()
    } else {
        sanitize::text(text)
    };
    shown.trim_end().to_owned()
}
