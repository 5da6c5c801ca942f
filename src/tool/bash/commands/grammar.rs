//! The grammar above words: lists, pipelines, compound commands, functions, redirections.

use super::{
    condition,
    parser::{Fault, Parser, Reading},
    syntax::{Assignment, Command, Compound, Item, Joined, Piece, Position, Redirect, Scope, Script, Simple, Value, Word, is_name},
};

const OPENING: [&str; 11] = ["{", "if", "while", "until", "for", "select", "case", "[[", "function", "coproc", "time"];
const CLOSING: [&str; 8] = ["}", "then", "elif", "else", "fi", "do", "done", "esac"];

/// The longest first.
const REDIRECTIONS: [&str; 12] = ["<<<", "<<-", "&>>", "<<", "<&", "<>", ">>", ">&", ">|", "&>", "<", ">"];

impl Parser<'_> {
    /// Pipelines up to the end, a closing bracket, a closing keyword or `;;`.
    pub(super) fn script(&mut self) -> Reading<Script> {
        let mut script = Script::default();
        loop {
            self.skip_newlines()?;
            if self.at_script_end() {
                return Ok(script);
            }
            self.and_or(&mut script)?;
            self.skip_blanks();
            match self.look(0) {
                Some('\n') => self.newline()?,
                Some(';') if !self.at_case_separator() => {
                    self.take();
                }
                Some('&') => {
                    self.take();
                    if let Some(last) = script.items.last_mut() {
                        last.background = true;
                    }
                }
                _ if self.at_script_end() => return Ok(script),
                _ => return Err(Fault),
            }
        }
    }

    fn at_case_separator(&self) -> bool {
        self.look(0) == Some(';') && matches!(self.look(1), Some(';' | '&'))
    }

    fn at_script_end(&self) -> bool {
        matches!(self.look(0), None | Some(')')) || self.at_case_separator() || self.keyword_in(&CLOSING).is_some()
    }

    fn and_or(&mut self, script: &mut Script) -> Reading<()> {
        let mut joined = Joined::Next;
        loop {
            let commands = self.pipeline()?;
            script.items.push(Item { joined, background: false, commands });
            self.skip_blanks();
            joined = match (self.look(0), self.look(1)) {
                (Some('&'), Some('&')) => Joined::And,
                (Some('|'), Some('|')) => Joined::Or,
                _ => return Ok(()),
            };
            self.take_several(2);
            self.skip_newlines()?;
        }
    }

    fn pipeline(&mut self) -> Reading<Vec<Command>> {
        let mut commands = Vec::new();
        loop {
            let is_bare = self.prefixes();
            if !(is_bare && self.at_pipeline_end()) {
                commands.push(self.nested(Self::command)?);
            }
            self.skip_blanks();
            if self.look(0) != Some('|') || self.look(1) == Some('|') {
                return Ok(commands);
            }
            self.take();
            self.count_slow_operator();
            if self.accept("&") {
                self.findings.beyond_posix = true;
                if let Some(Command::Simple(simple)) = commands.last_mut() {
                    simple.redirects.push(Redirect::of_errors());
                }
            }
            self.skip_newlines()?;
        }
    }

    /// `!` and `time` before a command; whether there were any, after which a command may be missing.
    fn prefixes(&mut self) -> bool {
        let mut any = false;
        loop {
            self.skip_blanks();
            let start = self.offset();
            if self.keyword("!") {
                any = true;
            } else if self.keyword("time") {
                any = true;
                for option in ["-p", "--"] {
                    self.skip_blanks();
                    self.keyword(option);
                }
            } else {
                return any;
            }
            self.note_start(start);
        }
    }

    fn at_pipeline_end(&self) -> bool {
        matches!(self.look(0), None | Some('\n' | ';' | '&' | '|' | ')'))
    }

    fn command(&mut self) -> Reading<Command> {
        self.skip_blanks();
        let start = self.offset();
        if self.look(0) == Some('(') {
            return self.bracket().map(Command::Compound);
        }
        let Some(keyword) = self.keyword_in(&OPENING) else {
            if self.keyword_in(&CLOSING).is_some() {
                return Err(Fault);
            }
            return self.simple();
        };
        self.note_start(start);
        self.keyword(keyword);
        let mut compound = match keyword {
            "{" => Compound { scope: Scope::Same, ..conditional(vec![self.block("}")?], Vec::new()) },
            "if" => self.if_command()?,
            "while" | "until" => conditional(vec![self.block("do")?, self.block("done")?], Vec::new()),
            "for" | "select" => self.for_command()?,
            "case" => self.case_command()?,
            "[[" => self.condition()?,
            "function" => self.function()?,
            "coproc" => return self.coprocess(),
            _ => return Err(Fault),
        };
        self.redirections(&mut compound.redirects)?;
        Ok(Command::Compound(compound))
    }

    /// `( ... )` or `(( ... ))`.
    fn bracket(&mut self) -> Reading<Compound> {
        let mut compound = Compound { scope: Scope::Subshell, ..conditional(Vec::new(), Vec::new()) };
        let state = self.save();
        if self.look(1) == Some('(') {
            self.findings.beyond_posix = true;
            self.take_several(2);
            if let Ok(expression) = self.arithmetic() {
                compound.scripts.extend(expression.scripts().cloned());
                self.redirections(&mut compound.redirects)?;
                return Ok(compound);
            }
            self.restore(&state);
            self.findings.doubtful = true;
        }
        self.take();
        compound.scripts.push(self.script()?);
        self.expect_close()?;
        self.redirections(&mut compound.redirects)?;
        Ok(compound)
    }

    pub(super) fn expect_close(&mut self) -> Reading<()> {
        self.skip_blanks();
        if self.accept(")") { Ok(()) } else { Err(Fault) }
    }

    /// A script and the keyword that ends it.
    fn block(&mut self, end: &str) -> Reading<Script> {
        let script = self.nested(Self::script)?;
        self.expect_keyword(end)?;
        Ok(script)
    }

    fn if_command(&mut self) -> Reading<Compound> {
        let mut scripts = vec![self.block("then")?];
        loop {
            scripts.push(self.nested(Self::script)?);
            if self.keyword("elif") {
                scripts.push(self.block("then")?);
            } else if self.keyword("else") {
                scripts.push(self.block("fi")?);
                return Ok(conditional(scripts, Vec::new()));
            } else {
                self.expect_keyword("fi")?;
                return Ok(conditional(scripts, Vec::new()));
            }
        }
    }

    fn for_command(&mut self) -> Reading<Compound> {
        self.skip_blanks();
        let mut scripts = Vec::new();
        let mut words = Vec::new();
        if self.look(0) == Some('(') && self.look(1) == Some('(') {
            self.take_several(2);
            scripts.extend(self.arithmetic()?.scripts().cloned());
        } else {
            let variable = self.word(Position::Argument)?.ok_or(Fault)?;
            let name = variable.plain().filter(|text| is_name(text)).ok_or(Fault)?.to_owned();
            self.skip_newlines()?;
            if self.keyword("in") {
                loop {
                    self.skip_blanks();
                    let Some(word) = self.word(Position::Argument)? else { break };
                    self.findings.assigned.push((name.clone(), Value::Text(word.parts())));
                    words.push(word);
                }
            } else {
                self.findings.assigned.push((name.clone(), Value::Unknown));
            }
            // Also where there is nothing to go through.
            self.findings.assigned.push((name, Value::Number));
        }
        self.skip_blanks();
        if self.look(0) == Some(';') {
            self.take();
        }
        self.skip_newlines()?;
        let end = if self.keyword("do") {
            "done"
        } else {
            self.expect_keyword("{")?;
            "}"
        };
        scripts.push(self.block(end)?);
        Ok(Compound { lists: true, ..conditional(scripts, words) })
    }

    fn case_command(&mut self) -> Reading<Compound> {
        self.skip_blanks();
        let mut words = vec![self.word(Position::Argument)?.ok_or(Fault)?];
        let mut scripts = Vec::new();
        self.skip_newlines()?;
        self.expect_keyword("in")?;
        loop {
            self.skip_newlines()?;
            if self.keyword("esac") {
                return Ok(conditional(scripts, words));
            }
            self.accept("(");
            loop {
                self.skip_blanks();
                words.push(self.word(Position::Argument)?.ok_or(Fault)?);
                self.skip_blanks();
                if !self.accept("|") {
                    break;
                }
            }
            self.expect_close()?;
            scripts.push(self.nested(Self::script)?);
            if !(self.accept(";;&") || self.accept(";;") || self.accept(";&")) {
                self.expect_keyword("esac")?;
                return Ok(conditional(scripts, words));
            }
        }
    }

    /// After `[[`.
    fn condition(&mut self) -> Reading<Compound> {
        self.findings.beyond_posix = true;
        let mut words: Vec<Word> = Vec::new();
        let mut position = Position::Argument;
        let mut follows_operand = false;
        loop {
            self.skip_newlines()?;
            if position == Position::Argument && self.keyword("]]") {
                self.findings.evaluated.extend(condition::evaluated(&words));
                return Ok(conditional(Vec::new(), words));
            }
            if let Some(word) = self.word(position)? {
                position = if word.plain() == Some("=~") { Position::Regex } else { Position::Argument };
                // bash takes no two operands side by side, and the second reader takes long for them.
                let is_operand = !word.plain().is_some_and(condition::is_operator);
                self.findings.doubtful |= is_operand && follows_operand;
                follows_operand = is_operand;
                words.push(word);
                continue;
            }
            (position, follows_operand) = (Position::Argument, false);
            let is_operator = ["&&", "||", "(", ")", "<", ">"].iter().any(|operator| self.accept(operator));
            if !is_operator {
                return Err(Fault);
            }
        }
    }

    /// After `function`.
    fn function(&mut self) -> Reading<Compound> {
        self.findings.beyond_posix = true;
        self.skip_blanks();
        let name = self.word(Position::Argument)?.ok_or(Fault)?;
        self.skip_blanks();
        if self.accept("(") {
            self.expect_close()?;
        }
        self.function_body(&name)
    }

    fn function_body(&mut self, name: &Word) -> Reading<Compound> {
        self.skip_newlines()?;
        match self.nested(Self::command)? {
            Command::Compound(mut body) => {
                body.scope = Scope::Subshell;
                body.defines = Some(name.literal().ok_or(Fault)?);
                self.findings.has_functions = true;
                Ok(body)
            }
            Command::Simple(_) => Err(Fault),
        }
    }

    /// After `coproc`: a command, or a name and a compound command.
    fn coprocess(&mut self) -> Reading<Command> {
        self.findings.beyond_posix = true;
        self.skip_blanks();
        let state = self.save();
        if self.look(0) != Some('(') && self.keyword_in(&OPENING).is_none() && self.word(Position::Argument)?.is_some() {
            self.skip_blanks();
            if self.look(0) == Some('(') || self.keyword_in(&OPENING).is_some() {
                self.findings.doubtful = true;
                return self.nested(Self::command);
            }
        }
        self.restore(&state);
        self.nested(Self::command)
    }

    fn simple(&mut self) -> Reading<Command> {
        let mut simple = Simple::default();
        let mut has_descriptor = false;
        loop {
            self.skip_blanks();
            if self.redirection(&mut simple.redirects)? {
                if std::mem::take(&mut has_descriptor)
                    && let Some(redirect) = simple.redirects.last_mut()
                {
                    redirect.is_input = false;
                }
                continue;
            }
            let position = if simple.words.is_empty() { Position::Front } else { Position::Argument };
            let Some(word) = self.word(position)? else { break };
            if matches!(self.look(0), Some('<' | '>'))
                && let Some(name) = descriptor(&word)
            {
                self.findings.beyond_posix = true;
                // A name with a subscript is evaluated.
                self.findings.doubtful |= !is_name(&name);
                self.findings.assigned.push((name, Value::Number));
                has_descriptor = true;
                continue;
            }
            if simple.words.is_empty()
                && let Some(assignment) = assignment(&word)
            {
                self.findings.beyond_posix |= word.plain().is_none_or(|text| text.contains("+="));
                simple.assignments.push(assignment);
                continue;
            }
            if simple.words.is_empty() {
                self.note_start(word.start);
            }
            simple.words.push(word);
            self.skip_blanks();
            if self.look(0) == Some('(') {
                if simple.words.len() > 1 || !simple.assignments.is_empty() || !simple.redirects.is_empty() {
                    return Err(Fault);
                }
                self.take();
                self.expect_close()?;
                let name = simple.words.remove(0);
                return self.function_body(&name).map(Command::Compound);
            }
        }
        if simple.words.is_empty() && simple.assignments.is_empty() && simple.redirects.is_empty() {
            return Err(Fault);
        }
        Ok(Command::Simple(simple))
    }

    fn redirections(&mut self, redirects: &mut Vec<Redirect>) -> Reading<()> {
        loop {
            self.skip_blanks();
            if !self.redirection(redirects)? {
                return Ok(());
            }
        }
    }

    /// One redirection, if one begins here.
    fn redirection(&mut self, redirects: &mut Vec<Redirect>) -> Reading<bool> {
        let digits = (0..9).take_while(|ahead| self.look(*ahead).is_some_and(|c| c.is_ascii_digit())).count();
        let first = self.look(digits);
        let is_redirection = match first {
            Some('<' | '>') => digits > 0 || self.look(1) != Some('('),
            Some('&') => digits == 0 && self.look(1) == Some('>'),
            _ => false,
        };
        if !is_redirection {
            return Ok(false);
        }
        let has_zero_only = (0..digits).all(|ahead| self.look(ahead) == Some('0'));
        self.take_several(digits);
        let operator = REDIRECTIONS.iter().find(|operator| self.accept(operator)).ok_or(Fault)?;
        let is_input = has_zero_only && (digits > 0 || operator.starts_with('<'));
        self.findings.beyond_posix |= operator.starts_with('&') || *operator == "<<<";
        let (target, body) = match *operator {
            "<<" | "<<-" => self.here_document(*operator == "<<-").map(|(word, body)| (word, Some(body)))?,
            _ => {
                self.skip_blanks();
                (self.word(Position::Argument)?.ok_or(Fault)?, None)
            }
        };
        redirects.push(Redirect { operator: (*operator).to_owned(), target, body, is_input });
        Ok(true)
    }

    fn expect_keyword(&mut self, keyword: &str) -> Reading<()> {
        self.skip_blanks();
        let start = self.offset();
        if !self.keyword(keyword) {
            return Err(Fault);
        }
        self.note_start(start);
        Ok(())
    }

    /// Takes the keyword if it comes next as a word of its own.
    fn keyword(&mut self, keyword: &str) -> bool {
        let is_there = self.at_keyword(keyword);
        if is_there {
            self.accept(keyword);
        }
        is_there
    }

    fn keyword_in(&self, keywords: &[&'static str]) -> Option<&'static str> {
        keywords.iter().copied().find(|keyword| self.at_keyword(keyword))
    }

    fn at_keyword(&self, keyword: &str) -> bool {
        keyword.chars().enumerate().all(|(ahead, character)| self.look(ahead) == Some(character))
            && matches!(self.look(keyword.len()), None | Some(' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>'))
    }
}

fn conditional(scripts: Vec<Script>, words: Vec<Word>) -> Compound {
    Compound { scope: Scope::Maybe, defines: None, scripts, words, lists: false, redirects: Vec::new() }
}

/// `{name}` before a redirection takes a new descriptor, whose number `name` gets.
fn descriptor(word: &Word) -> Option<String> {
    let is_one = word.front().starts_with('{')
        && word.pieces.last().is_some_and(|last| matches!(last, Piece::Text { text, quoted: false } if text.ends_with('}')));
    let text = word.plain().map_or_else(|| "[".to_owned(), |text| text.trim_start_matches('{').trim_end_matches('}').to_owned());
    (is_one && (is_name(&text) || text.contains('['))).then_some(text)
}

/// `name=value`, `name+=value`, `name[...]=value`.
fn assignment(word: &Word) -> Option<Assignment> {
    let front = word.front();
    let name_end = front.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric())).unwrap_or(front.len());
    let name = front[..name_end].to_owned();
    if !is_name(&name) || !front[name_end..].starts_with(['=', '+', '[']) {
        return None;
    }
    let mut rest = word.without(&name);
    let mut subscript = None;
    if rest.front().starts_with('[') {
        let (key, after) = rest.without("[").split_at(&[']'])?;
        subscript = Some(key);
        rest = after;
    }
    let sign = ["+=", "="].into_iter().find(|sign| rest.front().starts_with(sign))?;
    Some(Assignment { name, subscript, value: rest.without(sign), extends: sign == "+=" })
}
