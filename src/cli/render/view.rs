//! Shows a running turn: the text of the answer on the standard output; thoughts, tool calls and everything else on the
//! standard error.

use std::{
    collections::{HashMap, HashSet},
    io,
};

use polytree_protocol::{
    events::{EventPayload, PartDelta},
    id::{PartId, SessionId},
    part::{Part, ToolPart, ToolState},
    session::SessionStatus,
};

use super::{
    excerpt::Excerpt,
    follow::Follow,
    markdown::Markdown,
    sanitize::{self, Sanitizer},
    style::{FAINT, THOUGHT, WARNING, paint},
    tool_line,
};
use crate::{cli::screen::Screen, stdx::time::now_ms};

/// The kind of the last output; a blank line separates two kinds.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    Nothing,
    Text(PartId),
    Thought(PartId),
    Tool,
    Status,
}

/// Shows one turn.
pub struct View {
    root: SessionId,
    last: Block,
    /// The number of shown bytes of each text and thought.
    shown: HashMap<PartId, usize>,
    thoughts: HashSet<PartId>,
    markdown: Markdown,
    cleaner: Sanitizer,
    calls: HashMap<PartId, Call>,
    last_call: Option<PartId>,
    children: HashMap<SessionId, String>,
    wrote_text: bool,
}

#[derive(Debug, Default)]
struct Call {
    label: String,
    ended: bool,
    excerpt: Excerpt,
    streamed: bool,
}

impl View {
    /// Shows a turn of the session on a screen of so many columns.
    #[must_use]
    pub fn new(root: SessionId, width: usize) -> Self {
        Self {
            root,
            last: Block::Nothing,
            shown: HashMap::new(),
            thoughts: HashSet::new(),
            markdown: Markdown::new(width),
            cleaner: Sanitizer::default(),
            calls: HashMap::new(),
            last_call: None,
            children: HashMap::new(),
            wrote_text: false,
        }
    }

    /// Shows an event, if there is anything to show.
    ///
    /// # Errors
    /// If the standard output cannot be written.
    pub fn show(&mut self, event: &EventPayload, follow: &Follow, screen: &mut Screen) -> io::Result<()> {
        match event {
            EventPayload::SessionCreated(created) | EventPayload::SessionUpdated(created) if created.info.id != self.root => {
                self.children.insert(created.info.id.clone(), created.info.title.clone());
            }
            EventPayload::MessagePartUpdated(updated) => match &updated.part {
                Part::Text(part) if follow.is_answer(&part.message_id) => {
                    self.text_up_to(&part.id, &part.text, screen)?;
                    if part.time.is_none_or(|time| time.end.is_some()) {
                        self.end_text(&part.id, screen)?;
                    }
                }
                Part::Reasoning(part) if follow.is_answer(&part.message_id) => {
                    self.thoughts.insert(part.id.clone());
                    self.text_up_to(&part.id, &part.text, screen)?;
                }
                Part::Tool(part) if follow.is_answer(&part.message_id) => self.tool(part, screen)?,
                Part::Tool(part) if part.session_id != self.root => self.child_tool(part, screen)?,
                Part::Compaction(_) if updated.part.session_id() == &self.root => self.status("the history is being summarised", screen)?,
                _ => {}
            },
            EventPayload::MessagePartDelta(delta) if follow.is_answer(&delta.message_id) => self.delta(delta, screen)?,
            EventPayload::SessionStatusChanged(changed) if changed.session_id == self.root => {
                if let SessionStatus::Retry(retry) = &changed.status {
                    let seconds = (retry.next - now_ms()).max(0) / 1000;
                    let wait = if seconds > 0 { format!("in {seconds} s") } else { "now".to_owned() };
                    let text = format!("attempt {} failed: {}; trying again {wait}", retry.attempt, sanitize::line(&retry.message));
                    self.status(&paint(WARNING, &text), screen)?;
                }
            }
            EventPayload::TodoUpdated(updated) if updated.session_id == self.root => {
                self.begin(Block::Tool, screen)?;
                self.last_call = None;
                for line in tool_line::todos(&updated.todos) {
                    screen.status(&format!("  {line}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The title of a child session.
    #[must_use]
    pub fn child(&self, session: &SessionId) -> Option<&str> {
        self.children.get(session).map(String::as_str)
    }

    /// Shows a line about the turn.
    ///
    /// # Errors
    /// If the text before it cannot be ended.
    pub fn status(&mut self, line: &str, screen: &mut Screen) -> io::Result<()> {
        self.begin(Block::Status, screen)?;
        screen.status(line);
        Ok(())
    }

    /// Ends the open line.
    ///
    /// # Errors
    /// If the standard output cannot be written.
    pub fn finish(&mut self, screen: &mut Screen) -> io::Result<()> {
        self.close(screen)?;
        screen.end_error_line();
        Ok(())
    }

    fn delta(&mut self, delta: &PartDelta, screen: &mut Screen) -> io::Result<()> {
        match delta.field.as_str() {
            "text" => {
                *self.shown.entry(delta.part_id.clone()).or_default() += delta.delta.len();
                self.append(&delta.part_id, &delta.delta, screen)
            }
            "output" => self.output(&delta.part_id, &delta.delta, screen),
            _ => Ok(()),
        }
    }

    /// Shows the part of the text that was not shown yet.
    fn text_up_to(&mut self, id: &PartId, text: &str, screen: &mut Screen) -> io::Result<()> {
        let shown = self.shown.entry(id.clone()).or_default();
        let Some(rest) = text.get(*shown..).filter(|rest| !rest.is_empty()) else { return Ok(()) };
        *shown = text.len();
        self.append(id, rest, screen)
    }

    fn append(&mut self, id: &PartId, text: &str, screen: &mut Screen) -> io::Result<()> {
        if self.thoughts.contains(id) {
            let begins = self.last != Block::Thought(id.clone());
            self.begin(Block::Thought(id.clone()), screen)?;
            let text = self.cleaner.push(if begins { text.trim_start() } else { text });
            let text = if begins { format!("thinking: {text}") } else { text };
            // Line by line, so that a style never spans a line end.
            for piece in text.split_inclusive('\n') {
                let line = piece.trim_end_matches('\n');
                screen.status_piece(&(paint(THOUGHT, line) + &piece[line.len()..]));
            }
            return Ok(());
        }
        self.begin(Block::Text(id.clone()), screen)?;
        self.wrote_text = true;
        match (screen.out.colour, screen.out.terminal) {
            (true, _) => screen.text(&self.markdown.push(text)),
            (false, true) => screen.text(&self.cleaner.push(text)),
            (false, false) => screen.text(text),
        }
    }

    fn end_text(&mut self, id: &PartId, screen: &mut Screen) -> io::Result<()> {
        if self.last == Block::Text(id.clone()) { self.close(screen) } else { Ok(()) }
    }

    /// Ends the open line of text or thought.
    fn close(&mut self, screen: &mut Screen) -> io::Result<()> {
        match self.last {
            Block::Text(_) => {
                let rest = self.markdown.finish();
                screen.text(&rest)?;
                self.cleaner = Sanitizer::default();
                screen.end_text()
            }
            Block::Thought(_) => {
                self.cleaner = Sanitizer::default();
                screen.end_error_line();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Separates the next output from the last one.
    fn begin(&mut self, next: Block, screen: &mut Screen) -> io::Result<()> {
        if self.last == next {
            return Ok(());
        }
        self.close(screen)?;
        if self.last != Block::Nothing && screen.is_shared() {
            screen.blank();
        } else if self.wrote_text && matches!(next, Block::Text(_)) {
            // Two texts are two paragraphs, independent of output on the other stream between them.
            screen.text("\n")?;
        }
        if next != Block::Tool {
            self.last_call = None;
        }
        self.last = next;
        Ok(())
    }

    fn tool(&mut self, part: &ToolPart, screen: &mut Screen) -> io::Result<()> {
        if !tool_line::has_started(&part.state) {
            return Ok(());
        }
        if !self.calls.contains_key(&part.id) {
            self.begin(Block::Tool, screen)?;
            screen.status(&tool_line::start(part, screen.width));
            self.calls.insert(part.id.clone(), Call { label: tool_line::label(part), ..Call::default() });
            self.last_call = Some(part.id.clone());
        }
        if matches!(part.state, ToolState::Running(_)) || self.calls.get(&part.id).is_some_and(|call| call.ended) {
            return Ok(());
        }
        if let Some(output) = tool_line::output(part).filter(|_| self.calls.get(&part.id).is_some_and(|call| !call.streamed)) {
            self.output(&part.id, output, screen)?;
        }
        let mut lines = Vec::new();
        if let Some(call) = self.calls.get_mut(&part.id) {
            call.ended = true;
            lines = call.excerpt.finish();
        }
        // The result of a parallel call names the call.
        let is_last = self.last_call.as_ref() == Some(&part.id);
        if !lines.is_empty() && !is_last {
            lines.insert(0, paint(FAINT, &format!("  {}:", tool_line::label(part))));
            self.last_call = Some(part.id.clone());
        }
        let mut results = tool_line::result(&part.state);
        if let Some(first) = results.first_mut()
            && self.last_call.as_ref() != Some(&part.id)
        {
            *first = format!("{} {first}", paint(FAINT, &format!("{}:", tool_line::label(part))));
            self.last_call = Some(part.id.clone());
        }
        lines.extend(results.iter().map(|line| format!("  {line}")));
        lines.extend(tool_line::change(&part.state, "    "));
        if !lines.is_empty() {
            self.begin(Block::Tool, screen)?;
            screen.status(&lines.join("\n"));
        }
        Ok(())
    }

    /// Of a child session only the starts of calls are shown: its result is part of the parent's.
    fn child_tool(&mut self, part: &ToolPart, screen: &mut Screen) -> io::Result<()> {
        if tool_line::has_started(&part.state) && !self.calls.contains_key(&part.id) {
            self.begin(Block::Tool, screen)?;
            screen.status(&format!("  {}", tool_line::start(part, screen.width.saturating_sub(2))));
            self.calls.insert(part.id.clone(), Call { ended: true, ..Call::default() });
            self.last_call = Some(part.id.clone());
        }
        Ok(())
    }

    fn output(&mut self, id: &PartId, text: &str, screen: &mut Screen) -> io::Result<()> {
        let Some(call) = self.calls.get_mut(id) else { return Ok(()) };
        call.streamed = true;
        let mut lines = call.excerpt.push(text);
        if !lines.is_empty() {
            if self.last_call.as_ref() != Some(id) {
                lines.insert(0, paint(FAINT, &format!("  {}:", call.label)));
                self.last_call = Some(id.clone());
            }
            self.begin(Block::Tool, screen)?;
            screen.status(&lines.join("\n"));
        }
        Ok(())
    }
}
