//! Reading words: quotes, expansions and what is nested in them. The rules are those of bash for a non-interactive shell.

use super::{
    numbers::is_no_expression,
    parameter,
    parser::{Fault, Parser, Reading},
    syntax::{Evaluated, Piece, Position, Script, Word, is_name},
};

impl Parser<'_> {
    /// Reads one word; `None` where none begins.
    pub(super) fn word(&mut self, position: Position) -> Reading<Option<Word>> {
        self.skip_continuations();
        let mut word = Word { start: self.offset(), pieces: Vec::new() };
        let mut subscript = 0_usize;
        while let Some(character) = self.look(0) {
            match character {
                '[' if subscript > 0 || (position == Position::Front && word.plain().is_some_and(is_name)) => {
                    subscript += 1;
                    self.take_into(&mut word);
                }
                ']' if subscript > 0 => {
                    subscript -= 1;
                    self.take_into(&mut word);
                }
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' if subscript > 0 => {
                    self.findings.doubtful = true;
                    self.take_into(&mut word);
                }
                '(' if is_array_start(&word) => self.array(&mut word)?,
                '(' if position == Position::Regex => self.regex_group(&mut word)?,
                '|' if position == Position::Regex => self.take_into(&mut word),
                '<' | '>' if self.look(1) == Some('(') => self.process_substitution(&mut word)?,
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>' => break,
                _ => self.piece(&mut word)?,
            }
        }
        if subscript > 0 {
            return Err(Fault);
        }
        if word.pieces.is_empty() {
            return Ok(None);
        }
        self.count_part();
        let end = self.position();
        if self.has_pending() && self.text_between(word.start, end).contains('\n') {
            self.findings.doubtful = true;
        }
        Ok(Some(word))
    }

    fn take_into(&mut self, word: &mut Word) {
        if let Some(character) = self.take() {
            word.push(character, false);
        }
    }

    /// One quoted part, one expansion or one plain character, outside double quotes.
    fn piece(&mut self, word: &mut Word) -> Reading<()> {
        match self.look(0) {
            Some('\\') => {
                self.take();
                match self.take_raw() {
                    Some(character) => word.push(character, true),
                    None => word.push('\\', false),
                }
            }
            Some('\'') => {
                self.take();
                self.count_part();
                let text = self.raw_until('\'')?;
                word.pieces.push(Piece::Text { text, quoted: true });
            }
            Some('"') => {
                self.take();
                self.double_quoted(word)?;
            }
            Some('`') => self.backtick(word, false)?,
            Some('$') => self.dollar(word, false)?,
            Some('{') => {
                self.count_slow_operator();
                self.take_into(word);
            }
            Some(_) => self.take_into(word),
            None => {}
        }
        Ok(())
    }

    /// After the opening `"`, up to and with the closing one.
    fn double_quoted(&mut self, word: &mut Word) -> Reading<()> {
        self.count_part();
        word.pieces.push(Piece::Text { text: String::new(), quoted: true });
        loop {
            match self.look(0).ok_or(Fault)? {
                '"' => {
                    self.take();
                    return Ok(());
                }
                _ => self.inside_quotes(word, "\"$`\\")?,
            }
        }
    }

    /// One element of text in which only `$`, backticks and some backslashes are special.
    pub(super) fn inside_quotes(&mut self, word: &mut Word, escapable: &str) -> Reading<()> {
        match self.look(0).ok_or(Fault)? {
            '\\' => {
                self.take();
                match self.take_raw() {
                    Some(character) if escapable.contains(character) => word.push(character, true),
                    Some(character) => {
                        word.push('\\', true);
                        word.push(character, true);
                    }
                    None => word.push('\\', true),
                }
                Ok(())
            }
            '$' => self.dollar(word, true),
            '`' => self.backtick(word, true),
            _ => {
                if let Some(character) = self.take() {
                    word.push(character, true);
                }
                Ok(())
            }
        }
    }

    /// Everything that begins with `$`.
    fn dollar(&mut self, word: &mut Word, quoted: bool) -> Reading<()> {
        let start = self.offset();
        let mut scripts = Vec::new();
        match self.look(1) {
            Some('(') if self.look(2) == Some('(') => {
                let state = self.save();
                self.take_several(3);
                if let Ok(expression) = self.arithmetic() {
                    scripts.extend(expression.scripts().cloned());
                } else {
                    self.restore(&state);
                    self.findings.doubtful = true;
                    self.take_several(2);
                    scripts.push(self.substitution()?);
                }
            }
            Some('(') => {
                self.take_several(2);
                scripts.push(self.substitution()?);
            }
            Some('{') => {
                self.take_several(2);
                self.parameter(quoted, &mut scripts)?;
            }
            Some('[') => {
                self.take_several(2);
                self.findings.beyond_posix = true;
                scripts.extend(self.bracket_arithmetic()?.scripts().cloned());
            }
            Some('\'') if !quoted => {
                self.take_several(2);
                self.findings.beyond_posix = true;
                let text = self.ansi_c()?;
                word.pieces.push(Piece::Text { text, quoted: true });
                return Ok(());
            }
            Some('"') if !quoted => {
                self.take_several(2);
                return self.double_quoted(word);
            }
            Some(first) if first == '_' || first.is_ascii_alphabetic() => {
                self.take();
                while self.look(0).is_some_and(|c| c == '_' || c.is_ascii_alphanumeric()) {
                    self.take();
                }
            }
            Some(special) if special.is_ascii_digit() || "@*#?-$!".contains(special) => self.take_several(2),
            _ => {
                self.take();
                word.push('$', quoted);
                return Ok(());
            }
        }
        self.count_part();
        let raw = self.text_between(start, self.position()).to_owned();
        word.pieces.push(Piece::Hole { raw, quoted, scripts });
        Ok(())
    }

    /// After `$(`, `<(` or `>(`: the script and its closing bracket.
    fn substitution(&mut self) -> Reading<Script> {
        self.nested(|parser| {
            let outer = parser.suspend_pending();
            let script = parser.script()?;
            parser.expect_close()?;
            parser.resume_pending(outer);
            Ok(script)
        })
    }

    fn process_substitution(&mut self, word: &mut Word) -> Reading<()> {
        let start = self.offset();
        self.take_several(2);
        self.findings.beyond_posix = true;
        let scripts = vec![self.substitution()?];
        self.count_part();
        let raw = self.text_between(start, self.position()).to_owned();
        word.pieces.push(Piece::Hole { raw, quoted: true, scripts });
        Ok(())
    }

    /// The old form of command substitution. Its text is cut out first and read separately, as shells do.
    fn backtick(&mut self, word: &mut Word, quoted: bool) -> Reading<()> {
        let start = self.offset();
        self.take();
        let inner_start = self.position();
        let mut text = String::new();
        loop {
            match self.take_raw().ok_or(Fault)? {
                '`' => break,
                '\\' => {
                    self.findings.doubtful = true;
                    match self.take_raw().ok_or(Fault)? {
                        escaped @ ('`' | '$' | '\\') => text.push(escaped),
                        other => text.extend(['\\', other]),
                    }
                }
                other => text.push(other),
            }
        }
        let script = self.parse_inside(&text, inner_start)?;
        self.count_part();
        let raw = self.text_between(start, self.position()).to_owned();
        word.pieces.push(Piece::Hole { raw, quoted, scripts: vec![script] });
        Ok(())
    }

    /// After `${`, up to and with `}`.
    fn parameter(&mut self, quoted: bool, scripts: &mut Vec<Script>) -> Reading<()> {
        if self.look(0).is_none_or(|c| c.is_whitespace() || c == '|') {
            self.findings.doubtful = true;
        }
        let mut inner = Word::default();
        loop {
            match self.look(0).ok_or(Fault)? {
                '}' => break,
                '\'' if quoted => {
                    self.findings.doubtful = true;
                    self.take_into(&mut inner);
                }
                '<' | '>' if !quoted && self.look(1) == Some('(') => self.process_substitution(&mut inner)?,
                '\\' | '\'' | '"' | '`' | '$' => self.nested(|parser| parser.piece_in(&mut inner, quoted))?,
                _ => self.take_into(&mut inner),
            }
        }
        self.take();
        scripts.extend(inner.scripts().cloned());
        parameter::note(&inner, &mut self.findings);
        Ok(())
    }

    fn piece_in(&mut self, word: &mut Word, quoted: bool) -> Reading<()> {
        match self.look(0) {
            Some('$') => self.dollar(word, quoted),
            Some('`') => self.backtick(word, quoted),
            _ => self.piece(word),
        }
    }

    /// After the opening brackets, up to and with `))`. Fails where the brackets do not close together.
    pub(super) fn arithmetic(&mut self) -> Reading<Word> {
        let mut expression = Word::default();
        let mut depth = 0_usize;
        loop {
            match self.look(0).ok_or(Fault)? {
                ')' if depth > 0 => {
                    self.count_slow_operator();
                    depth -= 1;
                }
                ')' if self.look(1) == Some(')') => {
                    self.take_several(2);
                    self.evaluates(&expression);
                    return Ok(expression);
                }
                ')' => return Err(Fault),
                '(' => {
                    self.count_slow_operator();
                    depth += 1;
                }
                _ => {
                    self.arithmetic_piece(&mut expression)?;
                    continue;
                }
            }
            self.take_into(&mut expression);
        }
    }

    /// After `$[`, up to and with `]`.
    fn bracket_arithmetic(&mut self) -> Reading<Word> {
        let mut expression = Word::default();
        let mut depth = 0_usize;
        loop {
            match self.look(0).ok_or(Fault)? {
                ']' if depth == 0 => break,
                ']' => depth -= 1,
                '[' => depth += 1,
                _ => {
                    self.arithmetic_piece(&mut expression)?;
                    continue;
                }
            }
            self.take_into(&mut expression);
        }
        self.take();
        self.evaluates(&expression);
        Ok(expression)
    }

    /// Notes an arithmetic expression. The second reader takes long for one that is none.
    fn evaluates(&mut self, expression: &Word) {
        let parts = expression.parts();
        self.findings.doubtful |= is_no_expression(&parts);
        self.findings.evaluated.push(Evaluated::Arithmetic(parts));
    }

    fn arithmetic_piece(&mut self, expression: &mut Word) -> Reading<()> {
        if matches!(self.look(0), Some('\'' | '\\' | '{' | '}')) {
            self.findings.doubtful = true;
        }
        if self.look(0).is_some_and(|c| !c.is_ascii_alphanumeric()) {
            self.count_slow_operator();
        }
        self.nested(|parser| parser.piece(expression))
    }

    /// `name=( ... )`: its elements become holes of the word, which the caller takes apart.
    fn array(&mut self, word: &mut Word) -> Reading<()> {
        let start = self.offset();
        self.take();
        self.findings.beyond_posix = true;
        let mut scripts = Vec::new();
        loop {
            self.skip_blanks();
            match self.look(0).ok_or(Fault)? {
                ')' => break,
                '\n' => self.newline()?,
                _ => {
                    let element = self.nested(|parser| parser.word(Position::Argument))?.ok_or(Fault)?;
                    if element.front().starts_with('[') {
                        self.findings.evaluated.push(keyed(word, &element));
                    }
                    scripts.extend(element.scripts().cloned());
                }
            }
        }
        self.take();
        self.count_part();
        let raw = self.text_between(start, self.position()).to_owned();
        word.pieces.push(Piece::Hole { raw, quoted: false, scripts });
        Ok(())
    }

    /// A bracket in a regular expression: blanks and operators inside belong to it.
    fn regex_group(&mut self, word: &mut Word) -> Reading<()> {
        let mut depth = 0_usize;
        loop {
            match self.look(0).ok_or(Fault)? {
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {
                    self.nested(|parser| parser.piece(word))?;
                    continue;
                }
            }
            self.take_into(word);
            if depth == 0 {
                return Ok(());
            }
        }
    }

    fn raw_until(&mut self, end: char) -> Reading<String> {
        let mut text = String::new();
        loop {
            match self.take_raw().ok_or(Fault)? {
                found if found == end => return Ok(text),
                other => text.push(other),
            }
        }
    }

    /// After `$'`, up to and with the closing quote.
    fn ansi_c(&mut self) -> Reading<String> {
        let mut text = String::new();
        let mut is_cut = false;
        loop {
            let character = match self.take_raw().ok_or(Fault)? {
                '\'' => return Ok(text),
                '\\' => match self.take_raw().ok_or(Fault)? {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    'e' | 'E' => '\u{1b}',
                    same @ ('\\' | '\'' | '"' | '?') => same,
                    first @ '0'..='7' => self.code(first.to_digit(8), 8, 2),
                    'x' => self.code(None, 16, 2),
                    'u' => self.code(None, 16, 4),
                    'U' => self.code(None, 16, 8),
                    other => {
                        self.findings.doubtful = true;
                        other
                    }
                },
                other => other,
            };
            // A zero byte ends the string that the shell works with.
            is_cut |= character == '\0';
            if !is_cut {
                text.push(character);
            }
        }
    }

    /// A character by its number, of which `digits` more digits may follow.
    fn code(&mut self, first: Option<u32>, radix: u32, digits: usize) -> char {
        let mut value = first;
        for _ in 0..digits {
            let Some(digit) = self.peek_raw().and_then(|c| c.to_digit(radix)) else { break };
            self.take_raw();
            value = Some(value.unwrap_or(0).wrapping_mul(radix).wrapping_add(digit));
        }
        let character = value.and_then(char::from_u32).unwrap_or('\u{fffd}');
        if !character.is_ascii() || character == '\0' {
            self.findings.doubtful = true;
        }
        character
    }
}

/// What is evaluated for an element such as `[key]=value` of an array; its name stands in the word.
fn keyed(word: &Word, element: &Word) -> Evaluated {
    let array = word.front().split(['=', '+', '[']).next().unwrap_or_default().to_owned();
    match element.without("[").split_at(&[']']) {
        Some((key, _)) => Evaluated::Subscript { array, key: key.parts() },
        None => Evaluated::Unknown,
    }
}

/// Whether the word so far is `name=` or `name+=`, with or without a subscript.
fn is_array_start(word: &Word) -> bool {
    let Some(Piece::Text { text: first, quoted: false }) = word.pieces.first() else { return false };
    let Some(Piece::Text { text: last, quoted: false }) = word.pieces.last() else { return false };
    let name = first.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric())).map_or(first.as_str(), |end| &first[..end]);
    last.ends_with('=') && is_name(name) && first[name.len()..].starts_with(['=', '+', '['])
}
