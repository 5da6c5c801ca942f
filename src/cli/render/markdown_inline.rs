//! Emphasis, code and links within a line of Markdown. Stricter than CommonMark, which would remove stars from arithmetic,
//! globs or pointers: a marker counts only with its partner on the same line, around a text without white space at its
//! ends, and not within a word. Underscores are never markers. The time is linear in the length of the text.

use std::{collections::HashMap, fmt::Write as _};

use anstyle::Style;

use super::style::{CODE, FAINT};

/// The part of a line that can be shown.
pub struct Scan {
    /// The styled text.
    pub output: String,
    /// The number of bytes of the line that it covers.
    pub consumed: usize,
    /// The last character of them.
    pub previous: Option<char>,
}

/// Shows the certain part of the text; all of it if it has `ended`.
#[must_use]
pub fn scan(text: &str, ended: bool, style: Style, previous: Option<char>) -> Scan {
    let (tokens, certain) = Tokenizer::new(text, ended).run(previous);
    let line = Line { text, closers: closers(&tokens), tokens };
    let mut output = String::with_capacity(certain + 16);
    // A marker without a partner so far holds back everything after it.
    let open = line.tokens.iter().enumerate();
    let mut next = 0;
    let mut end = line.tokens.len();
    for (index, token) in open {
        if index < next || ended {
            continue;
        }
        match (token.kind, line.closers[index]) {
            (Kind::Run { opens: true, .. }, Some(closer)) => next = closer + 1,
            (Kind::Run { opens: true, .. }, None) => {
                end = index;
                break;
            }
            _ => {}
        }
    }
    line.render(0, end, style, &mut output);
    let consumed = line.tokens.get(end).map_or(certain, |token| token.from);
    Scan { output, consumed, previous: text[..consumed].chars().next_back().or(previous) }
}

/// A token of the text.
struct Token {
    from: usize,
    to: usize,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// Plain text.
    Plain,
    /// A backslash and the character that it escapes.
    Escape,
    /// Code between markers of this length.
    Code(usize),
    /// `[text](address)`; the text ends at this byte.
    Link(usize),
    /// A marker of emphasis. Emphasis of one kind is not nested.
    Run { emphasis: usize, opens: bool, closes: bool },
}

/// The kinds of emphasis.
const EMPHASES: usize = 4;

fn emphasis(marker: char, run: usize) -> Option<usize> {
    match (marker, run) {
        ('*', 1..=3) => Some(run - 1),
        ('~', 2) => Some(3),
        _ => None,
    }
}

fn emphasised(style: Style, emphasis: usize) -> Style {
    match emphasis {
        0 => style.italic(),
        1 => style.bold(),
        2 => style.bold().italic(),
        _ => style.strikethrough(),
    }
}

/// For each opening token, the first token after it that closes it.
fn closers(tokens: &[Token]) -> Vec<Option<usize>> {
    let mut found = vec![None; tokens.len()];
    let mut next = [None; EMPHASES];
    for (index, token) in tokens.iter().enumerate().rev() {
        if let Kind::Run { emphasis, opens, closes } = token.kind {
            found[index] = next[emphasis].filter(|_| opens);
            if closes {
                next[emphasis] = Some(index);
            }
        }
    }
    found
}

struct Line<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    closers: Vec<Option<usize>>,
}

impl Line<'_> {
    /// Shows the tokens of a range. Recursion is limited by the number of kinds, because a kind is not nested in itself.
    fn render(&self, from: usize, to: usize, style: Style, output: &mut String) {
        let mut index = from;
        // Plain text, in one piece.
        let mut literal = self.tokens.get(from).map_or(0, |token| token.from);
        while index < to {
            let token = &self.tokens[index];
            let closer = self.closers[index].filter(|closer| *closer < to);
            if matches!(token.kind, Kind::Plain) || (matches!(token.kind, Kind::Run { .. }) && closer.is_none()) {
                index += 1;
                continue;
            }
            push(output, style, &self.text[literal..token.from]);
            let (source, mut end) = (&self.text[token.from..token.to], token.to);
            match (token.kind, closer) {
                (Kind::Escape, _) => push(output, style, &source[1..]),
                (Kind::Code(run), _) => push(output, merged(style, CODE), &source[run..source.len() - run]),
                (Kind::Link(close), _) => {
                    let text = &self.text[token.from + 1..close];
                    output.push_str(&scan(text, true, style.underline(), None).output);
                    push(output, merged(style, FAINT), &format!(" ({})", &self.text[close + 2..token.to - 1]));
                }
                (Kind::Run { emphasis, .. }, Some(closer)) => {
                    self.render(index + 1, closer, emphasised(style, emphasis), output);
                    end = self.tokens[closer].to;
                    index = closer;
                }
                (Kind::Plain | Kind::Run { .. }, _) => {}
            }
            literal = end;
            index += 1;
        }
        let end = if to > from { self.tokens[to - 1].to } else { literal };
        push(output, style, &self.text[literal..end.max(literal)]);
    }
}

/// Splits a text into tokens, from left to right. Remembers the results of searches, so that the time is linear.
struct Tokenizer<'a> {
    text: &'a str,
    ended: bool,
    /// The runs of backticks by length, the last first.
    ticks: HashMap<usize, Vec<usize>>,
    /// The next closing bracket, if it was searched.
    close: Option<usize>,
    /// The text after a closing bracket.
    address: Option<(usize, Address)>,
}

/// The text after a closing bracket.
#[derive(Clone, Copy)]
enum Address {
    /// An address; the link ends before this byte.
    End(usize),
    Missing,
    /// More input is needed.
    Unknown,
}

impl<'a> Tokenizer<'a> {
    fn new(text: &'a str, ended: bool) -> Self {
        let mut ticks: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut at = 0;
        while let Some(found) = text[at..].find('`') {
            let run = run_length(&text[at + found..], b'`');
            at += found + run;
            // A marker at the end may become another one.
            if ended || at < text.len() {
                ticks.entry(run).or_default().push(at - run);
            }
        }
        for positions in ticks.values_mut() {
            positions.reverse();
        }
        Self { text, ended, ticks, close: Some(0), address: None }
    }

    /// The tokens, and the number of bytes that they cover; the rest is ambiguous.
    fn run(mut self, previous: Option<char>) -> (Vec<Token>, usize) {
        let (mut tokens, mut at): (Vec<Token>, usize) = (Vec::new(), 0);
        let mut before = previous;
        while at < self.text.len() {
            let rest = &self.text[at..];
            let plain = rest.find(['\\', '`', '*', '~', '[']).unwrap_or(rest.len());
            let token = if plain > 0 { Some((plain, Kind::Plain)) } else { self.special(at, before) };
            let Some((length, kind)) = token else { break };
            match tokens.last_mut() {
                Some(last) if matches!((last.kind, kind), (Kind::Plain, Kind::Plain)) => last.to += length,
                _ => tokens.push(Token { from: at, to: at + length, kind }),
            }
            before = rest[..length].chars().next_back();
            at += length;
        }
        (tokens, at)
    }

    /// The token at a special character: its length and kind; `None` if more input is needed.
    fn special(&mut self, at: usize, before: Option<char>) -> Option<(usize, Kind)> {
        let rest = &self.text[at..];
        let marker = rest.chars().next()?;
        // Other characters are not special.
        let run = if matches!(marker, '\\' | '[') { 1 } else { run_length(rest, rest.as_bytes()[0]) };
        let next = rest[run..].chars().next();
        if next.is_none() && !self.ended {
            return None;
        }
        match marker {
            '\\' => match rest[1..].chars().next() {
                Some('`' | '*' | '_' | '~' | '[' | ']' | '#' | '|' | '<' | '>') => Some((2, Kind::Escape)),
                _ => Some((1, Kind::Plain)),
            },
            '`' => match self.code_end(at + run, run) {
                Some(end) => Some((end - at, Kind::Code(run))),
                None => self.ended.then_some((run, Kind::Plain)),
            },
            '*' | '~' => {
                let opens = next.is_some_and(|c| !c.is_whitespace()) && !before.is_some_and(char::is_alphanumeric);
                let closes = before.is_some_and(|c| !c.is_whitespace()) && !next.is_some_and(char::is_alphanumeric);
                let kind = emphasis(marker, run).filter(|_| opens || closes);
                Some((run, kind.map_or(Kind::Plain, |emphasis| Kind::Run { emphasis, opens, closes })))
            }
            // An index followed by a call in code looks the same.
            _ if before.is_some_and(|c| c.is_alphanumeric() || c == ']' || c == ')') => Some((1, Kind::Plain)),
            _ => {
                let Some(close) = self.next_close(at) else { return self.ended.then_some((1, Kind::Plain)) };
                match self.address(close) {
                    Address::Unknown => None,
                    Address::End(end) if close > at + 1 => Some((end - at, Kind::Link(close))),
                    Address::End(_) | Address::Missing => Some((1, Kind::Plain)),
                }
            }
        }
    }

    /// The end of the code that begins with a marker of this length before `from`, including its closing marker.
    fn code_end(&mut self, from: usize, run: usize) -> Option<usize> {
        let positions = self.ticks.get_mut(&run)?;
        while positions.last().is_some_and(|position| *position < from) {
            positions.pop();
        }
        positions.last().map(|position| position + run)
    }

    fn next_close(&mut self, at: usize) -> Option<usize> {
        if self.close.is_some_and(|close| close <= at) {
            self.close = self.text[at..].find(']').map(|found| at + found);
        }
        self.close
    }

    fn address(&mut self, close: usize) -> Address {
        if let Some((known, address)) = self.address
            && known == close
        {
            return address;
        }
        let address = self.read_address(close + 1);
        self.address = Some((close, address));
        address
    }

    fn read_address(&self, at: usize) -> Address {
        let missing = if self.ended { Address::Missing } else { Address::Unknown };
        match self.text[at..].chars().next() {
            None => return missing,
            Some('(') => {}
            Some(_) => return Address::Missing,
        }
        let address = &self.text[at + 1..];
        match address.find([')', '(', ' ']) {
            None => missing,
            Some(end) if end > 0 && address[end..].starts_with(')') => Address::End(at + 1 + end + 1),
            Some(_) => Address::Missing,
        }
    }
}

fn run_length(text: &str, marker: u8) -> usize {
    text.bytes().take_while(|byte| *byte == marker).count()
}

fn push(output: &mut String, style: Style, text: &str) {
    if style.is_plain() || text.is_empty() {
        output.push_str(text);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(output, "{style}{text}{style:#}");
    }
}

/// Combines two styles; the second one wins.
fn merged(style: Style, top: Style) -> Style {
    style.fg_color(top.get_fg_color().or(style.get_fg_color())).effects(style.get_effects() | top.get_effects())
}
