//! Reads a shell script into a tree. Where bash would report a syntax error, or where this reader does not follow, it
//! fails: it never skips anything.

use super::syntax::{Findings, Parsed, Position, Script, Word};

/// The script cannot be read.
#[derive(Debug)]
pub(super) struct Fault;

pub(super) type Reading<T> = Result<T, Fault>;

/// How deep things may be nested.
const MAX_DEPTH: usize = 40;
/// The maximum number of words, quotes and expansions of a script. One with more takes too long to judge.
pub(super) const MAX_PARTS: usize = 4_000;

/// A reader at a place in a script.
pub(super) struct Parser<'a> {
    source: &'a str,
    position: usize,
    /// Where the source begins in the whole text.
    base: usize,
    depth: usize,
    /// How many more characters may be taken: reading again after a wrong guess must not multiply.
    fuel: usize,
    /// How many more words, quotes and expansions may come.
    parts: usize,
    /// Here-documents whose bodies come after the next newline.
    pending: Vec<Pending>,
    /// A here-document outside of the current substitution still waits for its body.
    has_outer_pending: bool,
    pub(super) bodies: Vec<Word>,
    pub(super) findings: Findings,
}

struct Pending {
    delimiter: String,
    is_quoted: bool,
    strips_tabs: bool,
    body: usize,
}

/// What is kept of outer here-documents while a substitution is read.
pub(super) struct Suspended {
    pending: Vec<Pending>,
    has_outer: bool,
}

/// A place to go back to.
pub(super) struct State {
    position: usize,
    starts: usize,
    bodies: usize,
    pending: usize,
    evaluated: usize,
    assigned: usize,
}

/// Reads a whole script.
pub(super) fn parse(source: &str) -> Reading<Parsed> {
    let mut parser = Parser::new(source, 0, 0);
    let script = parser.whole()?;
    Ok(Parsed { script, bodies: parser.bodies, findings: parser.findings })
}

impl<'a> Parser<'a> {
    fn new(source: &'a str, base: usize, depth: usize) -> Self {
        Self {
            source,
            position: 0,
            base,
            depth,
            fuel: 64 * source.len() + 1_000,
            parts: MAX_PARTS,
            pending: Vec::new(),
            has_outer_pending: false,
            bodies: Vec::new(),
            findings: Findings::default(),
        }
    }

    fn whole(&mut self) -> Reading<Script> {
        let script = self.script()?;
        if self.position < self.source.len() && self.offset() < self.source.len() {
            return Err(Fault);
        }
        self.findings.doubtful |= !self.pending.is_empty();
        Ok(script)
    }

    #[expect(clippy::redundant_closure_for_method_calls, reason = "the method alone holds for one lifetime only")]
    /// Reads text that was cut out of this source at `at` as a script of its own.
    pub(super) fn parse_inside(&mut self, text: &str, at: usize) -> Reading<Script> {
        self.inside(text, at, |parser| parser.whole())
    }

    /// The expansions in the body of a here-document.
    fn parse_body(&mut self, text: &str, at: usize) -> Reading<Word> {
        self.inside(text, at, |parser| {
            let mut word = Word { start: at, pieces: Vec::new() };
            while parser.look(0).is_some() {
                parser.inside_quotes(&mut word, "$`\\")?;
            }
            if parser.fuel == 0 { Err(Fault) } else { Ok(word) }
        })
    }

    fn inside<T>(&mut self, text: &str, at: usize, read: impl FnOnce(&mut Parser<'_>) -> Reading<T>) -> Reading<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault);
        }
        let mut inner = Parser::new(text, self.base + at, self.depth + 1);
        inner.bodies = std::mem::take(&mut self.bodies);
        inner.findings = std::mem::take(&mut self.findings);
        (inner.fuel, inner.parts) = (self.fuel, self.parts);
        let result = read(&mut inner);
        (self.fuel, self.parts) = (inner.fuel, inner.parts);
        self.bodies = inner.bodies;
        self.findings = inner.findings;
        result
    }

    /// Goes one level deeper.
    pub(super) fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Reading<T>) -> Reading<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault);
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    /// Counts a word, a quote or an expansion. After too many nothing more can be read.
    pub(super) fn count_part(&mut self) {
        self.count_parts(1);
    }

    /// Counts an operator with which the second reader is slow where there are many.
    pub(super) fn count_slow_operator(&mut self) {
        self.count_parts(4);
    }

    fn count_parts(&mut self, count: usize) {
        self.parts = self.parts.saturating_sub(count);
        if self.parts == 0 {
            self.fuel = 0;
        }
    }

    /// The character that is `count` characters ahead; a backslash before a newline vanishes with it.
    pub(super) fn look(&self, count: usize) -> Option<char> {
        if self.fuel == 0 {
            return None;
        }
        let mut rest = &self.source[self.position..];
        let mut remaining = count;
        loop {
            while let Some(after) = rest.strip_prefix("\\\n") {
                rest = after;
            }
            let character = rest.chars().next()?;
            if remaining == 0 {
                return Some(character);
            }
            remaining -= 1;
            rest = &rest[character.len_utf8()..];
        }
    }

    pub(super) fn skip_continuations(&mut self) {
        while self.source[self.position..].starts_with("\\\n") {
            self.position += 2;
        }
    }

    /// Takes the character that [`Parser::look`] shows.
    pub(super) fn take(&mut self) -> Option<char> {
        self.skip_continuations();
        self.take_raw()
    }

    pub(super) fn take_several(&mut self, count: usize) {
        for _ in 0..count {
            self.take();
        }
    }

    pub(super) fn peek_raw(&self) -> Option<char> {
        if self.fuel == 0 {
            return None;
        }
        self.source[self.position..].chars().next()
    }

    pub(super) fn take_raw(&mut self) -> Option<char> {
        let character = self.peek_raw()?;
        self.fuel = self.fuel.saturating_sub(1);
        self.position += character.len_utf8();
        Some(character)
    }

    /// Takes `text` if it comes next.
    pub(super) fn accept(&mut self, text: &str) -> bool {
        let matches = text.chars().enumerate().all(|(ahead, character)| self.look(ahead) == Some(character));
        if matches {
            self.take_several(text.chars().count());
        }
        matches
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Where the next character stands in the source.
    pub(super) fn offset(&self) -> usize {
        let rest = &self.source[self.position..];
        let mut skipped = 0;
        while rest[skipped..].starts_with("\\\n") {
            skipped += 2;
        }
        self.position + skipped
    }

    pub(super) fn text_between(&self, start: usize, end: usize) -> &'a str {
        &self.source[start.min(end)..end]
    }

    /// Notes that a command or a keyword begins at an offset of this source.
    pub(super) fn note_start(&mut self, offset: usize) {
        self.findings.starts.push(self.base + offset);
    }

    pub(super) fn save(&self) -> State {
        State {
            position: self.position,
            starts: self.findings.starts.len(),
            bodies: self.bodies.len(),
            pending: self.pending.len(),
            evaluated: self.findings.evaluated.len(),
            assigned: self.findings.assigned.len(),
        }
    }

    pub(super) fn restore(&mut self, state: &State) {
        self.position = state.position;
        self.findings.starts.truncate(state.starts);
        self.bodies.truncate(state.bodies);
        self.pending.truncate(state.pending);
        self.findings.evaluated.truncate(state.evaluated);
        self.findings.assigned.truncate(state.assigned);
    }

    pub(super) fn has_pending(&self) -> bool {
        self.has_outer_pending || !self.pending.is_empty()
    }

    pub(super) fn suspend_pending(&mut self) -> Suspended {
        let suspended = Suspended { has_outer: self.has_outer_pending, pending: std::mem::take(&mut self.pending) };
        self.has_outer_pending |= !suspended.pending.is_empty();
        suspended
    }

    pub(super) fn resume_pending(&mut self, suspended: Suspended) {
        self.findings.doubtful |= !self.pending.is_empty();
        self.pending = suspended.pending;
        self.has_outer_pending = suspended.has_outer;
    }

    /// Blanks and a comment; stops before a newline.
    pub(super) fn skip_blanks(&mut self) {
        while matches!(self.look(0), Some(' ' | '\t')) {
            self.take();
        }
        if self.look(0) == Some('#') {
            self.skip_continuations();
            let rest = &self.source[self.position..];
            self.position += rest.find('\n').unwrap_or(rest.len());
        }
    }

    pub(super) fn skip_newlines(&mut self) -> Reading<()> {
        loop {
            self.skip_blanks();
            if self.look(0) != Some('\n') {
                return Ok(());
            }
            self.newline()?;
        }
    }

    /// Takes a newline and the bodies of the here-documents that wait for it.
    pub(super) fn newline(&mut self) -> Reading<()> {
        self.take();
        self.findings.doubtful |= self.has_outer_pending;
        for pending in std::mem::take(&mut self.pending) {
            self.body(&pending)?;
        }
        Ok(())
    }

    fn body(&mut self, pending: &Pending) -> Reading<()> {
        let start = self.position;
        let end = loop {
            let line_start = self.position;
            if line_start >= self.source.len() {
                self.findings.doubtful = true;
                break line_start;
            }
            let line = self.body_line(pending.is_quoted);
            let line = if pending.strips_tabs { line.trim_start_matches('\t') } else { &line };
            if line == pending.delimiter {
                break line_start;
            }
        };
        if pending.is_quoted {
            self.bodies[pending.body].pieces =
                vec![super::syntax::Piece::Text { text: self.text_between(start, end).to_owned(), quoted: true }];
        } else {
            let body = self.parse_body(self.text_between(start, end), start)?;
            self.bodies[pending.body] = body;
        }
        Ok(())
    }

    /// One line of a body without its newline; unless quoted, a backslash at the end joins the next line to it.
    fn body_line(&mut self, is_quoted: bool) -> String {
        let mut line = String::new();
        loop {
            let rest = &self.source[self.position..];
            let length = rest.find('\n').unwrap_or(rest.len());
            line.push_str(&rest[..length]);
            self.position += (length + 1).min(rest.len());
            let backslashes = line.chars().rev().take_while(|c| *c == '\\').count();
            if is_quoted || backslashes % 2 == 0 || self.position >= self.source.len() {
                return line;
            }
            line.pop();
        }
    }

    /// After `<<` or `<<-`: the delimiter.
    pub(super) fn here_document(&mut self, strips_tabs: bool) -> Reading<(Word, usize)> {
        self.skip_blanks();
        let word = self.word(Position::Argument)?.ok_or(Fault)?;
        let delimiter = word.literal().ok_or(Fault)?;
        // A delimiter that looks odd is read differently by different versions.
        self.findings.doubtful |= delimiter.is_empty() || delimiter.contains(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c)));
        let body = self.bodies.len();
        self.bodies.push(Word::default());
        self.pending.push(Pending { delimiter, is_quoted: word.has_quotes(), strips_tabs, body });
        Ok((word, body))
    }
}
