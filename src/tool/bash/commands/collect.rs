//! Walks the tree of a script and gathers every command in it, those inside of wrappers and nested scripts too.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::{
    analysis::{Analysis, Change, SimpleCommand, Write},
    builtins::changes,
    expand::{Argument, arguments, single},
    names,
    numbers::Variables,
    parser::MAX_PARTS,
    quiet::is_stream,
    scripts::Scripts,
    syntax::{Assignment, Command, Compound, Evaluated, Item, Joined, Parsed, Part, Redirect, Scope, Script, Simple, Value, Word},
    values::{Values, variable, words_of},
};
use crate::tool::bash::programs::{Access, Anchor, Dialect, Given, Inner, PathUse, Place, Rest, printed_names, program_name, redirection};

/// How deep scripts and wrappers may be nested.
pub(super) const MAX_DEPTH: usize = 12;
/// The maximum number of commands of a line; with more it is not understood.
pub(super) const MAX_COMMANDS: usize = 2_000;
/// After more changes of directory than this the directory counts as unknown.
const MAX_MOVES: usize = 64;

/// What was gathered so far.
#[derive(Debug, Default)]
pub(super) struct Collector {
    pub(super) commands: Vec<SimpleCommand>,
    pub(super) paths: Vec<PathUse>,
    pub(super) writes: Vec<Write>,
    changes: Vec<Change>,
    pub(super) runs: Vec<usize>,
    /// How many redirections and commands there were so far, in the order in which they run.
    pub(super) step: usize,
    /// Something may run at any time: a function, a trap, a command in the background.
    is_unordered: bool,
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
    /// How many words braces have added.
    expanded: usize,
    /// What variables hold, once that is known.
    pub(super) values: Values,
    /// The scripts that were read, by their texts.
    scripts: Scripts,
    /// How many commands were judged with the values of their variables.
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
    /// One for the same line that knows what variables hold.
    pub(super) fn again(self, values: Values) -> Self {
        Self { values, scripts: self.scripts, ..Self::default() }
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
        let script = if depth > MAX_DEPTH { None } else { self.scripts.read(text) };
        let Some(script) = script else {
            self.is_doubtful = true;
            self.runs(text);
            return;
        };
        let (parsed, findings) = (&script.parsed, &script.parsed.findings);
        let is_strange = match dialect {
            Dialect::Bash => findings.doubtful,
            Dialect::Posix => findings.doubtful || findings.beyond_posix,
            Dialect::Other => true,
        };
        for evaluated in &findings.evaluated {
            self.evaluate(evaluated.clone());
        }
        for (name, value) in &findings.assigned {
            self.set(name, value.clone(), false);
        }
        self.walk(parsed, &parsed.script, flow, depth);
        if is_strange || self.is_full() || script.is_disputed() {
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
            if self.is_unordered {
                command.bounds.iter_mut().for_each(|bound| bound.until = usize::MAX);
            }
            let at = *places.entry((command.text.clone(), command.spelling.clone())).or_insert(commands.len());
            match commands.get_mut(at) {
                Some(same) => {
                    same.resolvable &= command.resolvable;
                    same.quiet &= command.quiet;
                    same.prints &= command.prints;
                    if command.always.is_none() {
                        same.always = None;
                    }
                    command.bounds.into_iter().for_each(|bound| bound.add_to(&mut same.bounds));
                }
                None => commands.push(command),
            }
        }
        let mut paths = self.paths;
        let mut changes = self.changes;
        for usage in paths.iter_mut().chain(changes.iter_mut().map(|change| &mut change.path)) {
            // It holds what the line says, which only running would tell.
            if matches!(&usage.anchor, Anchor::Variable(name) if self.variables.is_set(name)) {
                (usage.anchor, usage.path, usage.rest) = (Anchor::Unknown, String::new(), Some(Rest::Unknown(String::new())));
            }
        }
        Analysis {
            commands,
            paths,
            writes: self.writes,
            changes,
            runs: self.runs,
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
            let first = self.commands.len();
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
                    // A function may have the name of any program.
                    let has_functions = !self.functions.is_empty() || parsed.findings.has_functions;
                    names = if has_functions || self.expanded > MAX_PARTS { Vec::new() } else { printed(simple, &inside.place) };
                }
                let current = if apart { &mut inside } else { &mut *flow };
                match command {
                    Command::Simple(simple) => self.simple(parsed, simple, current, depth),
                    Command::Compound(compound) => self.compound(parsed, compound, current, depth),
                }
            }
            self.order(item, first);
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

    /// Says what may have happened before the commands of an item, which were pushed from `first` on, run: within a loop or a
    /// pipeline anything that is in it.
    fn order(&mut self, item: &Item, first: usize) {
        self.is_unordered |= item.background;
        let is_one = matches!(item.commands.as_slice(), [Command::Simple(_)]) && self.commands.len() <= first + 1;
        if !is_one {
            for bound in self.commands.iter_mut().skip(first).flat_map(|command| &mut command.bounds) {
                bound.until = self.step + 1;
            }
        }
    }

    fn compound(&mut self, parsed: &Parsed, compound: &Compound, flow: &mut Flow, depth: usize) {
        self.words(parsed, &compound.words, flow, depth);
        if compound.lists && self.expanded <= MAX_PARTS {
            let names: Vec<Argument> = compound.words.iter().flat_map(arguments).collect();
            self.expanded += names.len();
            self.list(&names, &flow.place);
        }
        let mut inside = flow.clone();
        inside.functions.extend(compound.defines.clone());
        for script in &compound.scripts {
            self.walk(parsed, script, &mut inside, depth);
        }
        self.redirects(parsed, &compound.redirects, flow, depth);
        if let Some(name) = &compound.defines {
            self.is_unordered = true;
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
            self.step += 1;
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
                self.write(format!("{} {}", redirect.operator, target.text), &flow.place);
            }
            self.note_empty(std::slice::from_ref(&target));
            for target in self.values.targets(&target) {
                self.touch(redirection(&redirect.operator, &target, &flow.place), true);
            }
        }
        input
    }

    /// Notes paths, but for those behind which there is no file: they lead to where the output goes anyway.
    pub(super) fn touch(&mut self, uses: impl IntoIterator<Item = PathUse>, brings_content: bool) {
        let is_file = |usage: &PathUse| !(usage.rest.is_none() && usage.access != Access::Destroy && is_stream(&usage.path));
        for usage in uses.into_iter().filter(is_file) {
            if usage.access.changes() {
                self.changes.push(Change { step: self.step, path: usage.clone(), brings_content });
            }
            self.paths.push(usage);
        }
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
        let arguments = self.arguments(simple);
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

    /// The arguments that the words of a command become. Braces that make too many of them are not expanded.
    fn arguments(&mut self, simple: &Simple) -> Vec<Argument> {
        let mut all: Vec<Argument> = Vec::with_capacity(simple.words.len());
        for word in &simple.words {
            if self.expanded > MAX_PARTS {
                self.is_doubtful = true;
                all.push(single(word));
                continue;
            }
            all.extend(arguments(word));
        }
        self.expanded += all.len().saturating_sub(simple.words.len());
        all
    }

    fn assignment(&mut self, assignment: &Assignment, exported: bool, flow: &Flow, depth: usize) {
        let Assignment { name, subscript, value, extends } = assignment;
        if let Some(key) = subscript {
            self.evaluate(Evaluated::Subscript { array: name.clone(), key: key.parts() });
        }
        if *extends {
            self.variables.extend(name);
        }
        let value = single(value);
        self.list(&words_of(&value), &flow.place);
        self.variable(name, &value, exported, flow, depth);
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
        self.step += 1;
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
                if self.moves > MAX_MOVES {
                    flow.place.lose();
                }
            }
            "popd" if arguments.len() == 1 => flow.place.pop(),
            "popd" => flow.place.lose(),
            "unset" => self.unsets = true,
            "trap" | "coproc" => self.is_unordered = true,
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
                Inner::Guess(words) => self.push_arguments(&words, false, false, false, None),
                Inner::Script { text, dialect } => self.script(&text, dialect, inside, depth + 1),
            }
            if name == "trap" && apart.place != before {
                // It happens at any time from now on.
                self.moves = MAX_MOVES;
                flow.place.lose();
            }
        }
    }
}

/// The file names that a command of a pipeline gives to the next one, as far as they are known.
fn printed(simple: &Simple, place: &Place) -> Vec<Argument> {
    let arguments: Vec<Argument> = simple.words.iter().flat_map(arguments).collect();
    // What is read from elsewhere is not known, nor what is in messages.
    let is_plain = simple.redirects.iter().all(|redirect| redirect.operator.contains('>') && !redirect.operator.contains('&'));
    if is_plain { printed_names(&arguments, place.found()) } else { Vec::new() }
}

/// Whether a redirection changes a file: not one that reads, that copies a descriptor, or that throws away.
fn writes(operator: &str, target: &Argument) -> bool {
    let operator = operator.trim_start_matches(|c: char| c.is_ascii_digit());
    let copies =
        matches!(operator, ">&" | "<&") && !target.text.is_empty() && target.text.trim_end_matches('-').chars().all(|c| c.is_ascii_digit());
    operator.contains('>') && !copies && !target.literal().is_some_and(is_stream)
}
