//! Walks the tree of a script and gathers every command in it, those inside of wrappers and nested scripts too.

use super::{
    Analysis, Dialect, PathUse, SimpleCommand,
    expand::{Argument, arguments, single},
    parser::parse,
    second_opinion,
    syntax::{Assignment, Command, Compound, Joined, Parsed, Piece, Redirect, Scope, Script, Simple, Word},
    wrapper_table::{COMMAND_VARIABLES, DANGEROUS},
};
use crate::tool::programs::{Effects, Given, Inner, Place, effects, program_name, redirection};

/// How deep scripts and wrappers may be nested.
const DEPTH: usize = 12;
/// No line has more commands than this.
const COMMANDS: usize = 2_000;

/// What was gathered so far.
#[derive(Debug, Default)]
pub(super) struct Collector {
    commands: Vec<SimpleCommand>,
    paths: Vec<PathUse>,
    writes: Vec<String>,
    possible: Vec<String>,
    option_globs: Vec<PathUse>,
    /// Something was not understood.
    is_doubtful: bool,
    /// Values are evaluated as arithmetic or as subscripts somewhere.
    evaluates: bool,
    /// A quoted text looks like a command substitution: harmless, unless it is evaluated.
    has_code_in_text: bool,
}

/// What surrounds a command.
#[derive(Clone, Copy)]
struct Surroundings<'a> {
    /// The known text of its standard input.
    input: Option<&'a str>,
    /// Words are added when it runs.
    more: bool,
    depth: usize,
}

impl Collector {
    /// Everything in the text of a script.
    pub(super) fn script(&mut self, text: &str, dialect: Dialect, place: &mut Place, depth: usize) {
        let parsed = if depth > DEPTH { None } else { parse(text).ok() };
        let Some(parsed) = parsed else {
            self.is_doubtful = true;
            self.runs(text);
            return;
        };
        let findings = &parsed.findings;
        let is_strange = match dialect {
            Dialect::Bash => findings.doubtful,
            Dialect::Posix => findings.doubtful || findings.beyond_posix,
            Dialect::Other => true,
        };
        self.evaluates |= findings.evaluates;
        self.walk(&parsed, &parsed.script, place, depth);
        if is_strange || second_opinion::disagrees(text, &findings.starts) {
            self.is_doubtful = true;
            self.runs(text);
        }
    }

    /// The end: `line` is asked about as it is where nothing in it is a command.
    pub(super) fn finish(mut self, line: &str) -> Analysis {
        if self.commands.is_empty() {
            self.push(line.trim().to_owned(), vec![line.trim().to_owned()], true, None);
        }
        let runs_text = self.evaluates && self.has_code_in_text;
        let understood = !(self.is_doubtful || runs_text || self.commands.len() >= COMMANDS);
        let mut commands: Vec<SimpleCommand> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for command in self.commands {
            let at = *places.entry(command.text.clone()).or_insert(commands.len());
            match commands.get_mut(at) {
                Some(same) => same.resolvable &= command.resolvable,
                None => commands.push(command),
            }
        }
        Analysis { commands, paths: self.paths, writes: self.writes, possible: self.possible, option_globs: self.option_globs, understood }
    }

    fn walk(&mut self, parsed: &Parsed, script: &Script, place: &mut Place, depth: usize) {
        for item in &script.items {
            let apart = item.commands.len() > 1 || item.background;
            let before = place.clone();
            for command in &item.commands {
                let mut inside = before.clone();
                let current = if apart { &mut inside } else { &mut *place };
                match command {
                    Command::Simple(simple) => self.simple(parsed, simple, current, depth),
                    Command::Compound(compound) => self.compound(parsed, compound, current, depth),
                }
            }
            if item.joined == Joined::Or && *place != before {
                place.lose();
            }
        }
    }

    fn compound(&mut self, parsed: &Parsed, compound: &Compound, place: &mut Place, depth: usize) {
        self.words(parsed, &compound.words, place, depth);
        for word in &compound.words {
            self.is_doubtful |= is_dangerous(&single(word).text);
        }
        let mut inside = place.clone();
        for script in &compound.scripts {
            self.walk(parsed, script, &mut inside, depth);
        }
        self.redirects(parsed, &compound.redirects, place, depth);
        match compound.scope {
            Scope::Same => *place = inside,
            Scope::Maybe if inside != *place => place.lose(),
            Scope::Maybe | Scope::Subshell => {}
        }
    }

    /// The scripts that run when words are expanded.
    fn words(&mut self, parsed: &Parsed, words: &[Word], place: &Place, depth: usize) {
        for word in words {
            for script in word.scripts() {
                self.walk(parsed, script, &mut place.clone(), depth);
            }
            self.has_code_in_text |= looks_like_code(word);
        }
    }

    /// Gives the known text of the standard input.
    fn redirects(&mut self, parsed: &Parsed, redirects: &[Redirect], place: &Place, depth: usize) -> Option<String> {
        let mut input = None;
        for redirect in redirects {
            self.words(parsed, std::slice::from_ref(&redirect.target), place, depth);
            if let Some(body) = redirect.body.and_then(|body| parsed.bodies.get(body)) {
                self.words(parsed, std::slice::from_ref(body), place, depth);
                input = body.literal();
            }
            let target = single(&redirect.target);
            if redirect.operator == "<<<" {
                input = target.literal().map(str::to_owned);
            }
            if writes(&redirect.operator, &target) {
                let text = format!("{} {}", redirect.operator, target.text);
                if !self.writes.contains(&text) {
                    self.writes.push(text);
                }
            }
            self.paths.extend(redirection(&redirect.operator, &target, place));
        }
        input
    }

    fn simple(&mut self, parsed: &Parsed, simple: &Simple, place: &mut Place, depth: usize) {
        for assignment in &simple.assignments {
            self.words(parsed, &assignment.words, place, depth);
            self.assignment(assignment, place, depth);
        }
        self.words(parsed, &simple.words, place, depth);
        let input = self.redirects(parsed, &simple.redirects, place, depth);
        let arguments: Vec<Argument> = simple.words.iter().flat_map(arguments).collect();
        if !arguments.is_empty() {
            self.command(&arguments, place, Surroundings { input: input.as_deref(), more: false, depth });
        } else if !simple.words.is_empty() {
            self.is_doubtful = true;
        } else if !simple.redirects.is_empty() {
            let text = |redirect: &Redirect| format!("{} {}", redirect.operator, single(&redirect.target).text);
            let text = simple.redirects.iter().map(text).collect::<Vec<_>>().join(" ");
            self.push(text.clone(), vec![text], true, None);
        }
    }

    fn assignment(&mut self, assignment: &Assignment, place: &mut Place, depth: usize) {
        let value = assignment.words.first().map(single).unwrap_or_default();
        self.variable(&assignment.name, &value, place, depth);
        self.evaluates |= value.text.starts_with('[');
    }

    /// A variable that gets a value by which something else is run.
    fn variable(&mut self, name: &str, value: &Argument, place: &mut Place, depth: usize) {
        if is_dangerous(name) {
            self.push(format!("{name}={}", value.text), vec![format!("{name}={}", value.text)], false, None);
        } else if COMMAND_VARIABLES.contains(&name) {
            match value.literal() {
                Some("") => {}
                Some(script) => self.script(script, Dialect::Posix, &mut place.clone(), depth + 1),
                None => self.is_doubtful = true,
            }
        }
    }

    fn command(&mut self, arguments: &[Argument], place: &mut Place, surroundings: Surroundings<'_>) {
        let Some(first) = arguments.first() else { return };
        let Surroundings { input, more, depth } = surroundings;
        let name = program_name(&first.text).to_owned();
        let found = self.effects(arguments, Given { input, more, place }, depth);
        self.evaluates |= evaluates(&name, arguments);
        for argument in &arguments[1..] {
            if matches!(name.as_str(), "export" | "declare" | "typeset" | "local" | "readonly" | "env" | "sudo" | "doas")
                && let Some((variable, value)) = argument.text.split_once('=')
            {
                let value = if argument.is_literal() { Argument::plain(value) } else { argument.clone() };
                self.variable(variable, &value, place, depth);
            } else if is_dangerous(&argument.text) {
                self.is_doubtful = true;
            }
        }
        match name.as_str() {
            "cd" | "pushd" => place.follow(arguments),
            "popd" if arguments.len() == 1 => place.pop(),
            "popd" => place.lose(),
            _ => {}
        }
        let is_here = matches!(name.as_str(), "eval" | "builtin" | "command");
        for inner in found.inner {
            let mut apart = found.place.with_found(found.found_in.clone());
            match inner {
                Inner::Words { words, more } => self.command(&words, &mut apart, Surroundings { input, more, depth: depth + 1 }),
                Inner::Guess(words) => self.push_arguments(&words, false, None),
                Inner::Script { text, dialect } => {
                    self.script(&text, dialect, if is_here { &mut *place } else { &mut apart }, depth + 1);
                }
            }
        }
    }

    /// Notes all that a command does but what it runs.
    fn effects(&mut self, arguments: &[Argument], given: Given<'_>, depth: usize) -> Effects {
        let mut found = effects(arguments, given);
        if depth > DEPTH {
            found.is_unclear = true;
            found.inner.clear();
        }
        self.push_arguments(arguments, !found.is_unclear, found.always.take());
        if let Some(also) = &found.also {
            self.push_arguments(also, !found.is_unclear, None);
        }
        for write in found.writes.drain(..) {
            if !self.writes.contains(&write) {
                self.writes.push(write);
            }
        }
        self.paths.append(&mut found.paths);
        self.option_globs.append(&mut found.option_globs);
        let text = |words: &Vec<Argument>| words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        if self.possible.len() < COMMANDS {
            self.possible.extend(found.possible.iter().map(text));
        }
        found
    }

    fn push_arguments(&mut self, arguments: &[Argument], resolvable: bool, always: Option<String>) {
        let words: Vec<String> = arguments.iter().map(|argument| argument.text.clone()).collect();
        self.push(words.join(" "), words, resolvable, always);
    }

    fn push(&mut self, text: String, words: Vec<String>, resolvable: bool, always: Option<String>) {
        if self.commands.len() < COMMANDS {
            self.commands.push(SimpleCommand { text, words, resolvable, always });
        }
    }

    /// Every run of words in a text that is not understood, quotes and operators taken away.
    fn runs(&mut self, text: &str) {
        let plain: String = text.replace("\\\n", "").chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
        self.push(text.trim().to_owned(), vec![text.trim().to_owned()], false, None);
        for segment in plain.split([';', '&', '|', '(', ')', '<', '>', '\n', '`', '{', '}', '$', ',']) {
            let words: Vec<String> = segment.split_whitespace().take(64).map(str::to_owned).collect();
            for from in 0..words.len() {
                self.push(words[from..].join(" "), words[from..].to_vec(), false, None);
            }
        }
    }
}

/// Whether the text of a word, once its quotes are gone, would run something if it were expanded again.
fn looks_like_code(word: &Word) -> bool {
    let text: String = word
        .pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text { text, .. } => text.as_str(),
            Piece::Hole { .. } => "\0",
        })
        .collect();
    ["$(", "`", "${", "<(", ">("].iter().any(|mark| text.contains(mark))
}

fn is_dangerous(text: &str) -> bool {
    let name = text.split(['=', '+', '[']).next().unwrap_or(text);
    DANGEROUS.contains(&name)
        || name.starts_with("BASH_FUNC_")
        || name.starts_with("GIT_CONFIG_KEY")
        || name.starts_with("GIT_CONFIG_VALUE")
}

/// Builtins that evaluate the names or values they are given.
fn evaluates(name: &str, arguments: &[Argument]) -> bool {
    let has = |options: &[&str]| arguments.iter().any(|argument| options.iter().any(|option| argument.text.starts_with(option)));
    match name {
        "let" | "unset" | "read" | "wait" | "getopts" | "mapfile" | "readarray" => true,
        "declare" | "typeset" | "local" | "readonly" | "export" => {
            let is_typed = |text: &str| text.starts_with('-') && text.contains(['i', 'n', 'a', 'A']);
            arguments.iter().any(|argument| is_typed(&argument.text) || argument.text.contains('['))
        }
        "printf" => has(&["-v"]),
        "test" | "[" => has(&["-v", "-R"]),
        _ => false,
    }
}

/// Whether a redirection changes a file: not one that reads, that copies a descriptor, or that throws away.
fn writes(operator: &str, target: &Argument) -> bool {
    let operator = operator.trim_start_matches(|c: char| c.is_ascii_digit());
    let copies =
        matches!(operator, ">&" | "<&") && !target.text.is_empty() && target.text.trim_end_matches('-').chars().all(|c| c.is_ascii_digit());
    operator.contains('>') && !copies && target.literal() != Some("/dev/null")
}
