//! Walks the tree of a script and gathers every command in it, those inside of wrappers and nested scripts too.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    analysis::{Analysis, SimpleCommand},
    builtins::changes,
    expand::{Argument, arguments, single},
    names,
    numbers::Variables,
    parser::parse,
    quiet::is_stream,
    second_opinion,
    syntax::{Assignment, Command, Compound, Evaluated, Joined, Parsed, Part, Redirect, Scope, Script, Simple, Value, Word},
    values::{Values, variable},
};
use crate::tool::bash::programs::{Access, Anchor, Dialect, Given, Inner, PathUse, Place, Rest, printed_names, program_name, redirection};

/// How deep scripts and wrappers may be nested.
pub(super) const DEPTH: usize = 12;
/// No line has more commands than this.
pub(super) const COMMANDS: usize = 2_000;
/// After more changes of directory than this nobody knows where a line is.
const MOVES: usize = 64;

/// What was gathered so far.
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub(super) commands: Vec<SimpleCommand>,
    pub(super) paths: Vec<PathUse>,
    pub(super) writes: Vec<String>,
    pub(super) possible: Vec<String>,
    pub(super) option_globs: Vec<PathUse>,
    /// Something was not understood.
    pub(super) is_doubtful: bool,
    pub(super) variables: Variables,
    /// Every function that the line defines, and whether it changes the directory.
    pub(super) functions: HashMap<String, bool>,
    /// How many commands there were after each that calls one of them for certain, unless functions are taken away again.
    pub(super) calls: HashSet<usize>,
    pub(super) unsets: bool,
    pub(super) moves: usize,
    /// What variables hold, once that is known.
    pub(super) values: Values,
    /// The line was read before without the values, and both readers agreed about it.
    is_second: bool,
    /// So many commands were looked at with the values of their variables.
    pub(super) followed: usize,
    /// Variables that certainly have one of their values by now.
    pub(super) set: HashSet<String>,
    pub(super) behind_variables: Vec<String>,
}

/// What holds at some point of a script.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Flow {
    pub(super) place: Place,
    /// Functions that are there by now in any case.
    pub(super) functions: BTreeSet<String>,
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
    /// One that knows what variables hold.
    pub(super) fn with(values: Values) -> Self {
        Self { values, is_second: true, ..Self::default() }
    }

    /// What the variables hold, where that tells more about the line.
    pub(super) fn values(&self) -> Values {
        let is_open =
            |usage: &PathUse| matches!(usage.anchor, Anchor::Unknown | Anchor::Variable(_)) || matches!(usage.rest, Some(Rest::Unknown(_)));
        if self.unsets || self.is_doubtful || !self.paths.iter().any(is_open) { Values::default() } else { Values::of(&self.variables) }
    }

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
        let is_agreed = self.is_second && depth == 0;
        if is_strange || self.is_full() || (!is_agreed && second_opinion::disagrees(text, &parsed, &findings.starts)) {
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
                    let more = command.bounds.into_iter().filter(|bound| !same.bounds.contains(bound)).collect::<Vec<_>>();
                    same.bounds.extend(more);
                }
                None => commands.push(command),
            }
        }
        let mut paths = self.paths;
        for usage in &mut paths {
            // It holds what the line says, which only running would tell.
            if matches!(&usage.anchor, Anchor::Variable(name) if self.variables.is_set(name)) {
                (usage.anchor, usage.path, usage.rest) = (Anchor::Unknown, String::new(), Some(Rest::Unknown(String::new())));
            }
        }
        Analysis {
            commands,
            paths,
            writes: self.writes,
            possible: self.possible,
            option_globs: self.option_globs,
            behind_variables: self.behind_variables,
            understood,
        }
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
            let sets = |command: &Command| matches!(command, Command::Simple(simple) if simple.words.is_empty());
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
            if depth == 0 && item.joined == Joined::Next && !apart && item.commands.iter().all(sets) {
                let simple = item.commands.iter().filter_map(|command| match command {
                    Command::Simple(simple) if std::ptr::eq(script, &raw const parsed.script) => Some(simple),
                    _ => None,
                });
                self.set.extend(simple.flat_map(|simple| &simple.assignments).map(|assignment| assignment.name.clone()));
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
            if name == "command_not_found_handle" {
                self.variables.assign("@", Value::Unknown);
            }
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
            if redirect.is_input {
                input = None;
            }
            if let Some(body) = redirect.body.and_then(|body| parsed.bodies.get(body)) {
                self.words(parsed, std::slice::from_ref(body), flow, depth);
                if redirect.is_input {
                    input = body.literal();
                }
            }
            let target = single(&redirect.target);
            if redirect.operator == "<<<" && redirect.is_input {
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
            self.note_empty(std::slice::from_ref(&target));
            for target in self.values.targets(&target) {
                self.touch(redirection(&redirect.operator, &target, &flow.place));
            }
        }
        input
    }

    /// Notes paths, but for those behind which there is no file: they lead to where the output goes anyway.
    pub(super) fn touch(&mut self, uses: impl IntoIterator<Item = PathUse>) {
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
        let Assignment { name, subscript, value, extends } = assignment;
        if let Some(key) = subscript {
            self.evaluate(Evaluated::Subscript { array: name.clone(), key: key.parts() });
        }
        if *extends {
            self.variables.extend(name);
        }
        self.variable(name, &single(value), exported, flow, depth);
    }

    /// A variable that gets a value which some program may run.
    pub(super) fn variable(&mut self, name: &str, value: &Argument, exported: bool, flow: &Flow, depth: usize) {
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
    pub(super) fn set(&mut self, name: &str, value: Value, exported: bool) {
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

    pub(super) fn evaluate(&mut self, evaluated: Evaluated) {
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
            self.call(arguments, flow);
        }
        match name.as_str() {
            // Arguments of its own.
            "set" => self.give_arguments(&arguments[1..]),
            _ if found.inner.iter().any(|inner| matches!(inner, Inner::Script { .. })) && !matches!(name.as_str(), "eval" | "trap") => {
                self.variables.assign("@", Value::Unknown);
            }
            _ => {}
        }
        for change in changes(&name, arguments, is_direct) {
            self.change(change, flow, depth);
        }
        self.environment(&name, arguments, &found.inner, flow, depth);
        match name.as_str() {
            "cd" | "pushd" => {
                let are_set = |argument: &Argument| {
                    argument.parts().iter().all(|part| match part {
                        Part::Hole(raw) => variable(raw, false).is_none_or(|name| self.set.contains(name)),
                        Part::Text(_) => true,
                    })
                };
                let known = self.values.command(arguments).filter(|_| arguments.iter().all(are_set));
                flow.place.follow(known.as_deref().unwrap_or(arguments));
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
