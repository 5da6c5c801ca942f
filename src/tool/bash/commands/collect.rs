//! Walks the tree of a script and gathers every command in it, those inside of wrappers and nested scripts too.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    analysis::{Analysis, SimpleCommand},
    builtins::{Change, changes, is_harmless_shopt},
    expand::{Argument, arguments, single},
    names,
    numbers::Variables,
    parser::parse,
    quiet::{is_quiet, is_stream},
    second_opinion,
    syntax::{Assignment, Command, Compound, Evaluated, Joined, Parsed, Redirect, Scope, Script, Simple, Value, Word},
};
use crate::tool::bash::programs::{
    Access, Dialect, Effects, Given, Inner, PathUse, Place, effects, printed_names, program_name, redirection,
};

/// How deep scripts and wrappers may be nested.
const DEPTH: usize = 12;
/// No line has more commands than this.
const COMMANDS: usize = 2_000;
/// After more changes of directory than this nobody knows where a line is.
const MOVES: usize = 64;

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
    variables: Variables,
    /// Every function that the line defines, and whether it changes the directory.
    functions: HashMap<String, bool>,
    /// How many commands there were after each that calls one of them for certain, unless functions are taken away again.
    calls: HashSet<usize>,
    unsets: bool,
    moves: usize,
}

/// What holds at some point of a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Flow {
    place: Place,
    /// Functions that are there by now in any case.
    functions: BTreeSet<String>,
}

impl Flow {
    /// In a new shell: functions stay behind.
    fn apart(&self) -> Self {
        Self { place: self.place.clone(), functions: BTreeSet::new() }
    }
}

/// What surrounds a command.
#[derive(Clone, Copy)]
struct Surroundings<'a> {
    /// The known text of its standard input.
    input: Option<&'a str>,
    /// Words are added when it runs.
    more: bool,
    /// Its name stands unquoted at the front of a command, not behind a wrapper.
    is_direct: bool,
    depth: usize,
}

impl Collector {
    /// Everything in the text of a line.
    pub(super) fn line(&mut self, text: &str, dialect: Dialect) {
        self.script(text, dialect, &mut Flow::default(), 0);
    }

    fn script(&mut self, text: &str, dialect: Dialect, flow: &mut Flow, depth: usize) {
        let parsed = if depth > DEPTH { None } else { parse(text).ok() };
        let Some(mut parsed) = parsed else {
            self.is_doubtful = true;
            self.runs(text);
            return;
        };
        let findings = std::mem::take(&mut parsed.findings);
        let is_strange = match dialect {
            Dialect::Bash => findings.doubtful,
            Dialect::Posix => findings.doubtful || findings.beyond_posix,
            Dialect::Other => true,
        };
        for evaluated in findings.evaluated {
            self.evaluate(evaluated);
        }
        for (name, value) in findings.assigned {
            self.set(&name, value, false);
        }
        self.walk(&parsed, &parsed.script, flow, depth);
        if is_strange || self.is_full() || second_opinion::disagrees(text, &parsed, &findings.starts) {
            self.is_doubtful = true;
            self.runs(text);
        }
    }

    /// The end: `line` is asked about as it is where nothing in it is a command.
    pub(super) fn finish(mut self, line: &str) -> Analysis {
        let understood = !self.is_doubtful && !self.is_full() && self.variables.are_numbers(&self.functions);
        if self.commands.is_empty() {
            self.push(line.trim().to_owned(), vec![line.trim().to_owned()], true, None);
            // Nothing but assignments and conditions.
            self.commands[0].quiet = self.writes.is_empty();
        }
        let mut commands: Vec<SimpleCommand> = Vec::new();
        let mut places = HashMap::new();
        for (index, mut command) in self.commands.into_iter().enumerate() {
            command.quiet |= !self.unsets && self.calls.contains(&(index + 1));
            let at = *places.entry(command.text.clone()).or_insert(commands.len());
            match commands.get_mut(at) {
                Some(same) => {
                    same.resolvable &= command.resolvable;
                    same.quiet &= command.quiet;
                }
                None => commands.push(command),
            }
        }
        Analysis { commands, paths: self.paths, writes: self.writes, possible: self.possible, option_globs: self.option_globs, understood }
    }

    fn walk(&mut self, parsed: &Parsed, script: &Script, flow: &mut Flow, depth: usize) {
        // Whether a command that may not have run has changed the directory.
        let mut may_have_moved = false;
        for item in &script.items {
            if item.joined == Joined::Next && std::mem::take(&mut may_have_moved) {
                flow.place.lose();
            }
            let apart = item.commands.len() > 1 || item.background;
            let before = flow.clone();
            let mut names = Vec::new();
            for (index, command) in item.commands.iter().enumerate() {
                let mut inside = before.clone();
                // What is read from a file is not what the pipeline gives.
                let reads_file =
                    matches!(command, Command::Simple(simple) if simple.redirects.iter().any(|redirect| redirect.operator.contains('<')));
                if reads_file {
                    names.clear();
                }
                if index > 0 {
                    inside.place = inside.place.with_found(std::mem::take(&mut names));
                }
                if apart && let Command::Simple(simple) = command {
                    names = printed(simple, &inside.place);
                }
                let current = if apart { &mut inside } else { &mut *flow };
                match command {
                    Command::Simple(simple) => self.simple(parsed, simple, current, depth),
                    Command::Compound(compound) => self.compound(parsed, compound, current, depth),
                }
            }
            if item.joined != Joined::Next {
                flow.functions.clone_from(&before.functions);
                may_have_moved |= flow.place != before.place;
            }
            if item.joined == Joined::Or && flow.place != before.place {
                flow.place.lose();
            }
        }
        if may_have_moved {
            flow.place.lose();
        }
    }

    fn compound(&mut self, parsed: &Parsed, compound: &Compound, flow: &mut Flow, depth: usize) {
        self.words(parsed, &compound.words, flow, depth);
        let mut inside = flow.clone();
        inside.functions.extend(compound.defines.clone());
        for script in &compound.scripts {
            self.walk(parsed, script, &mut inside, depth);
        }
        self.redirects(parsed, &compound.redirects, flow, depth);
        if let Some(name) = &compound.defines {
            *self.functions.entry(name.clone()).or_default() |= inside.place != flow.place;
            flow.functions.insert(name.clone());
            return;
        }
        match compound.scope {
            Scope::Same => *flow = inside,
            Scope::Maybe if inside.place != flow.place => flow.place.lose(),
            Scope::Maybe | Scope::Subshell => {}
        }
    }

    /// The scripts that run when words are expanded.
    fn words(&mut self, parsed: &Parsed, words: &[Word], flow: &Flow, depth: usize) {
        for word in words {
            for script in word.scripts() {
                self.walk(parsed, script, &mut flow.clone(), depth);
            }
        }
    }

    /// Gives the known text of the standard input.
    fn redirects(&mut self, parsed: &Parsed, redirects: &[Redirect], flow: &Flow, depth: usize) -> Option<String> {
        let mut input = None;
        for redirect in redirects {
            self.words(parsed, std::slice::from_ref(&redirect.target), flow, depth);
            if let Some(body) = redirect.body.and_then(|body| parsed.bodies.get(body)) {
                self.words(parsed, std::slice::from_ref(body), flow, depth);
                input = body.literal();
            }
            let target = single(&redirect.target);
            if redirect.operator == "<<<" {
                input = target.literal().map(str::to_owned);
            }
            if matches!(redirect.operator.as_str(), ">&" | "<&") {
                self.duplicates(&target);
            }
            if writes(&redirect.operator, &target) {
                let text = format!("{} {}", redirect.operator, target.text);
                if !self.writes.contains(&text) {
                    self.writes.push(text);
                }
            }
            self.touch(redirection(&redirect.operator, &target, &flow.place));
        }
        input
    }

    /// Notes paths, but for those behind which there is no file: they lead to where the output goes anyway.
    fn touch(&mut self, uses: impl IntoIterator<Item = PathUse>) {
        self.paths
            .extend(uses.into_iter().filter(|usage| !(usage.rest.is_none() && usage.access != Access::Destroy && is_stream(&usage.path))));
    }

    /// The target of `>&`: bash expands one that is no number a second time.
    fn duplicates(&mut self, target: &Argument) {
        match target.literal() {
            Some(text) => self.is_doubtful |= text.contains(|c: char| !(c.is_ascii_alphanumeric() || "_-./+,@%:".contains(c))),
            None => self.evaluate(Evaluated::Arithmetic(target.parts())),
        }
    }

    fn simple(&mut self, parsed: &Parsed, simple: &Simple, flow: &mut Flow, depth: usize) {
        for assignment in &simple.assignments {
            self.words(parsed, assignment.subscript.as_slice(), flow, depth);
            self.words(parsed, std::slice::from_ref(&assignment.value), flow, depth);
            self.assignment(assignment, !simple.words.is_empty(), flow, depth);
        }
        self.words(parsed, &simple.words, flow, depth);
        let input = self.redirects(parsed, &simple.redirects, flow, depth);
        let arguments: Vec<Argument> = simple.words.iter().flat_map(arguments).collect();
        if !arguments.is_empty() {
            let is_direct = simple.words[0].plain().is_some();
            self.command(&arguments, flow, Surroundings { input: input.as_deref(), more: false, is_direct, depth });
        } else if !simple.words.is_empty() {
            self.is_doubtful = true;
        } else if !simple.redirects.is_empty() {
            let text = |redirect: &Redirect| format!("{} {}", redirect.operator, single(&redirect.target).text);
            let text = simple.redirects.iter().map(text).collect::<Vec<_>>().join(" ");
            self.push(text.clone(), vec![text], true, None);
        }
    }

    fn assignment(&mut self, assignment: &Assignment, exported: bool, flow: &Flow, depth: usize) {
        let Assignment { name, subscript, value } = assignment;
        if let Some(key) = subscript {
            self.evaluate(Evaluated::Subscript { array: name.clone(), key: key.parts() });
        }
        self.variable(name, &single(value), exported, flow, depth);
    }

    /// A variable that gets a value which some program may run.
    fn variable(&mut self, name: &str, value: &Argument, exported: bool, flow: &Flow, depth: usize) {
        if names::COMMANDS.contains(&name)
            && let Some(script) = value.literal()
        {
            if names::is_harmless_command(name, script) {
                return;
            }
            self.script(script, Dialect::Posix, &mut flow.apart(), depth + 1);
        }
        self.set(name, Value::Text(value.parts()), exported);
    }

    /// A variable that gets a value. One that may decide what runs is asked about like a command.
    fn set(&mut self, name: &str, value: Value, exported: bool) {
        if !names::is_harmless(name, exported) {
            let text: String = match &value {
                Value::Text(parts) => Argument::of(parts).text,
                Value::Number | Value::Unknown => String::new(),
            };
            self.push(format!("{name}={text}"), vec![format!("{name}={text}")], false, None);
            self.is_doubtful = true;
        }
        self.variables.assign(name, value);
    }

    fn evaluate(&mut self, evaluated: Evaluated) {
        for name in self.variables.evaluate(evaluated) {
            self.set(&name, Value::Number, false);
        }
    }

    fn command(&mut self, arguments: &[Argument], flow: &mut Flow, surroundings: Surroundings<'_>) {
        let Some(first) = arguments.first() else { return };
        let Surroundings { input, more, is_direct, depth } = surroundings;
        let name = program_name(&first.text).to_owned();
        let found = self.effects(arguments, Given { input, more, place: &flow.place }, depth);
        if is_direct {
            self.call(&first.text, flow);
        }
        for change in changes(&name, arguments, is_direct) {
            self.change(change, flow, depth);
        }
        self.environment(&name, arguments, &found.inner, flow, depth);
        match name.as_str() {
            "cd" | "pushd" => {
                flow.place.follow(arguments);
                self.moves = self.moves.saturating_add(1);
                if self.moves > MOVES {
                    flow.place.lose();
                }
            }
            "popd" if arguments.len() == 1 => flow.place.pop(),
            "popd" => flow.place.lose(),
            "unset" => self.unsets = true,
            _ => {}
        }
        let is_here = matches!(name.as_str(), "eval" | "builtin" | "command");
        for inner in found.inner {
            let mut apart = Flow { place: found.place.with_found(found.found_in.clone()), ..flow.apart() };
            let before = apart.place.clone();
            let inside = if is_here { &mut *flow } else { &mut apart };
            match inner {
                Inner::Words { words, more } => {
                    self.command(&words, inside, Surroundings { input, more, is_direct: false, depth: depth + 1 });
                }
                Inner::Guess(words) => self.push_arguments(&words, false, false, None),
                Inner::Script { text, dialect } => self.script(&text, dialect, inside, depth + 1),
            }
            if name == "trap" && apart.place != before {
                // It happens at any time from now on.
                self.moves = MOVES;
                flow.place.lose();
            }
        }
    }

    /// Notes all that a command does but what it runs.
    fn effects(&mut self, arguments: &[Argument], given: Given<'_>, depth: usize) -> Effects {
        let mut found = effects(arguments, given);
        if is_harmless_shopt(arguments) {
            found.inner.clear();
            found.is_unclear = false;
        }
        if depth > DEPTH {
            found.is_unclear = true;
            found.inner.clear();
        }
        let mut seen = found.inner.clone();
        seen.extend(found.also.clone().map(|words| Inner::Words { words, more: false }));
        let is_quiet = !found.is_unclear && (is_quiet(arguments, &seen) || found.is_plain);
        self.push_arguments(arguments, !found.is_unclear, is_quiet, found.always.take());
        if let Some(also) = &found.also {
            // Where the options matter, the command without them is only there to be denied.
            let always = if is_quiet { effects(also, given).always } else { None };
            self.push_arguments(also, !found.is_unclear, !is_quiet, always);
        }
        for write in found.writes.drain(..) {
            if !self.writes.contains(&write) {
                self.writes.push(write);
            }
        }
        self.touch(std::mem::take(&mut found.paths));
        self.option_globs.append(&mut found.option_globs);
        let text = |words: &Vec<Argument>| words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        if self.possible.len() < COMMANDS {
            self.possible.extend(found.possible.iter().map(text));
        }
        found
    }

    /// The command that was pushed last may call a function of this line, and what that does is judged where it is defined.
    fn call(&mut self, name: &str, flow: &mut Flow) {
        if !self.functions.contains_key(name) {
            return;
        }
        // One may call the other.
        if self.functions.values().any(|moves| *moves) {
            flow.place.lose();
        }
        if flow.functions.contains(name) {
            self.calls.insert(self.commands.len());
        }
    }

    fn change(&mut self, change: Change, flow: &Flow, depth: usize) {
        match change {
            Change::Evaluates(evaluated) => self.evaluate(evaluated),
            Change::Sets { name, value: Value::Text(parts), exported } if names::COMMANDS.contains(&name.as_str()) => {
                self.variable(&name, &Argument::of(&parts), exported, flow, depth);
            }
            Change::Sets { name, value, exported } => self.set(&name, value, exported),
            Change::Integer(name) => self.variables.make_integer(&name),
            Change::Array { name, associative } => self.variables.make_array(&name, associative),
        }
    }

    /// The assignments in the arguments of a wrapper, which come before the command that it runs.
    fn environment(&mut self, name: &str, arguments: &[Argument], inner: &[Inner], flow: &Flow, depth: usize) {
        let end = match inner {
            [Inner::Words { words, .. }] => arguments.len().saturating_sub(words.len()),
            _ => arguments.len(),
        };
        for (at, argument) in arguments.iter().enumerate().skip(1) {
            if let Some(rest) = argument.text.strip_prefix("--process-slot-var") {
                // xargs puts a number into it.
                let next = arguments.get(at + 1).map_or("", |next| next.text.as_str());
                self.set(rest.strip_prefix('=').unwrap_or(next), Value::Number, true);
            }
            let sign = argument.text.find('=');
            if matches!(name, "env" | "sudo" | "doas")
                && at < end
                && let Some(sign) = sign
            {
                let value = Argument::of(&argument.parts_from(sign + 1));
                self.is_doubtful |= argument.holes.first().is_some_and(|hole| hole.start < sign);
                if !argument.text.starts_with('-') {
                    self.variable(&argument.text[..sign], &value, true, flow, depth);
                }
            } else if names::is_dangerous_argument(&argument.text)
                && !matches!(name, "export" | "declare" | "typeset" | "local" | "readonly")
            {
                self.is_doubtful = true;
            }
        }
    }

    fn push_arguments(&mut self, arguments: &[Argument], resolvable: bool, quiet: bool, always: Option<String>) {
        if self.is_full() {
            return;
        }
        let words: Vec<String> = arguments.iter().map(|argument| argument.text.clone()).collect();
        self.push(words.join(" "), words, resolvable, always);
        if let Some(last) = self.commands.last_mut() {
            last.quiet = quiet;
        }
    }

    /// Whether there are so many commands that the line is not understood whatever else is in it.
    fn is_full(&self) -> bool {
        self.commands.len() >= COMMANDS
    }

    fn push(&mut self, text: String, words: Vec<String>, resolvable: bool, always: Option<String>) {
        if !self.is_full() {
            self.commands.push(SimpleCommand { text, words, resolvable, always, quiet: false });
        }
    }

    /// Every run of words in a text that is not understood, quotes and operators taken away.
    fn runs(&mut self, text: &str) {
        let plain: String = text.replace("\\\n", "").chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect();
        self.push(text.trim().to_owned(), vec![text.trim().to_owned()], false, None);
        if self.is_full() {
            return;
        }
        for segment in plain.split([';', '&', '|', '(', ')', '<', '>', '\n', '`', '{', '}', '$', ',']) {
            let words: Vec<String> = segment.split_whitespace().take(64).map(str::to_owned).collect();
            for from in 0..words.len() {
                self.push(words[from..].join(" "), words[from..].to_vec(), false, None);
            }
        }
    }
}

/// The file names that a command of a pipeline gives to the next one, as far as they are known.
fn printed(simple: &Simple, place: &Place) -> Vec<Argument> {
    let arguments: Vec<Argument> = simple.words.iter().flat_map(arguments).collect();
    // What is read from elsewhere is not known.
    let is_plain = simple.redirects.iter().all(|redirect| redirect.operator.contains('>'));
    if is_plain { printed_names(&arguments, place.found()) } else { Vec::new() }
}

/// Whether a redirection changes a file: not one that reads, that copies a descriptor, or that throws away.
fn writes(operator: &str, target: &Argument) -> bool {
    let operator = operator.trim_start_matches(|c: char| c.is_ascii_digit());
    let copies =
        matches!(operator, ">&" | "<&") && !target.text.is_empty() && target.text.trim_end_matches('-').chars().all(|c| c.is_ascii_digit());
    operator.contains('>') && !copies && !target.literal().is_some_and(is_stream)
}
