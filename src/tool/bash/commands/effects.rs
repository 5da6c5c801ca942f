//! What is noted about each command that a script has: what it does besides running others, and the commands themselves.

use super::{
    analysis::{SimpleCommand, Write},
    builtins::{Change, is_harmless_shopt},
    collect::{Collector, Flow, MAX_COMMANDS, MAX_DEPTH},
    expand::Argument,
    names,
    quiet::{is_printer, is_quiet, prints_variables},
    syntax::Value,
    values::variable,
};
use crate::tool::bash::programs::{Bound, Effects, Given, Inner, Place, effects, listed, program_name, spelled};

/// They change files and bring no new content.
const WITHOUT_CONTENT: &[&str] = &["mkdir", "touch", "chmod", "chown", "chgrp", "rm", "rmdir", "unlink"];

/// The maximum number of commands of a line that are judged with the values of their variables.
const MAX_FOLLOWED: usize = 1_000;

impl Collector {
    /// Notes all that a command does but what it runs.
    pub(super) fn effects(&mut self, arguments: &[Argument], given: Given<'_>, depth: usize) -> Effects {
        let mut found = effects(arguments, given);
        self.note_empty(&arguments[1..]);
        if let Some(commands) = self.values.commands(arguments).filter(|commands| self.followed + commands.len() <= MAX_FOLLOWED) {
            self.followed += commands.len();
            let known: Vec<Effects> = commands.iter().map(|command| effects(command, given)).collect();
            if let [only] = known.as_slice() {
                found.place.clone_from(&only.place);
            }
            found.paths = known.into_iter().flat_map(|known| known.paths).collect();
        }
        if is_harmless_shopt(arguments) {
            found.inner.clear();
            found.is_unclear = false;
        }
        if depth > MAX_DEPTH {
            found.is_unclear = true;
            found.inner.clear();
        }
        let mut seen = found.inner.clone();
        seen.extend(found.also.clone().map(|words| Inner::Words { words, more: false }));
        let is_quiet = !found.is_unclear && !prints_variables(arguments, &seen) && (is_quiet(arguments, &seen, &found) || found.is_plain);
        let prints = is_printer(arguments, &found) && !given.more;
        if found.runs_files {
            self.runs.push(self.step);
        }
        self.push_arguments(arguments, given.more, !found.is_unclear, is_quiet, found.always.take());
        self.bind(found.bound.take());
        if let Some(last) = self.commands.last_mut() {
            last.prints |= prints;
        }
        if let Some(also) = &found.also {
            // Where the options matter, the command without them is only there to be denied.
            let bare = effects(also, Given { place: &found.place, ..given });
            self.push_arguments(also, given.more, !found.is_unclear, !is_quiet, bare.always.filter(|_| is_quiet));
            self.bind(bare.bound);
        }
        for write in std::mem::take(&mut found.writes) {
            self.write(write, &found.place);
        }
        let brings_content = arguments.first().is_none_or(|name| !WITHOUT_CONTENT.contains(&program_name(&name.text)));
        self.touch(std::mem::take(&mut found.paths), brings_content);
        self.option_globs.append(&mut found.option_globs);
        let text = |words: &Vec<Argument>| words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
        if self.possible.len() < MAX_COMMANDS {
            self.possible.extend(found.possible.iter().map(text));
        }
        found
    }

    /// Words of which those that are file name patterns list a directory.
    pub(super) fn list(&mut self, words: &[Argument], place: &Place) {
        for word in words.iter().filter(|word| word.glob.is_some()) {
            self.touch(listed(word, place), false);
        }
    }

    /// The command that was pushed last may call a function of this line, and what that does is judged where it is defined.
    pub(super) fn call(&mut self, arguments: &[Argument], flow: &mut Flow) {
        let name = arguments[0].text.as_str();
        if !self.functions.contains_key(name) {
            return;
        }
        self.give_arguments(&arguments[1..]);
        // One may call the other.
        if self.functions.values().any(|moves| *moves) {
            flow.place.lose();
        }
        if flow.functions.contains(name) {
            self.calls.insert(self.commands.len());
        }
    }

    /// A function, or the shell itself, gets these arguments.
    pub(super) fn give_arguments(&mut self, arguments: &[Argument]) {
        for argument in arguments {
            self.variables.assign("@", Value::Text(argument.parts()));
        }
    }

    /// Notes what words are if the variable before them is empty, as it may be where it is not set yet.
    pub(super) fn note_empty(&mut self, arguments: &[Argument]) {
        for argument in arguments {
            let Some(hole) = argument.holes.first().filter(|hole| hole.start == 0) else { continue };
            let rest = &argument.text[hole.end..];
            if rest.len() > 1 && rest.starts_with('/') && variable(&argument.text[hole.clone()], true).is_some() {
                self.behind_variables.push(rest.to_owned());
            }
        }
    }

    pub(super) fn change(&mut self, change: Change, flow: &Flow, depth: usize) {
        match change {
            Change::Evaluates(evaluated) => self.evaluate(evaluated),
            Change::Sets { name, value: Value::Text(parts), exported } if names::COMMANDS.contains(&name.as_str()) => {
                self.variable(&name, &Argument::of(&parts), exported, flow, depth);
            }
            Change::Sets { name, value, exported } => self.set(&name, value, exported),
            Change::Extends(name) => self.variables.extend(&name),
            Change::Integer(name) => self.variables.make_integer(&name),
            Change::Array { name, associative } => self.variables.make_array(&name, associative),
        }
    }

    /// The assignments in the arguments of a wrapper, which come before the command that it runs.
    pub(super) fn environment(&mut self, name: &str, arguments: &[Argument], inner: &[Inner], flow: &Flow, depth: usize) {
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

    /// Says where a grant of the command that was pushed last holds.
    pub(super) fn bind(&mut self, bound: Option<Bound>) {
        if let Some(last) = self.commands.last_mut() {
            last.bounds.extend(bound.map(|bound| Bound { step: self.step, until: self.step, ..bound }));
        }
    }

    /// Notes a redirection, or an option that writes.
    pub(super) fn write(&mut self, text: String, place: &Place) {
        let bound = Bound { step: self.step, until: self.step, ..Bound::of(place) };
        match self.writes.iter_mut().find(|write| write.text == text) {
            Some(write) => bound.add_to(&mut write.bounds),
            None => self.writes.push(Write { text, bounds: vec![bound] }),
        }
    }

    /// `more`: words are added when it runs.
    pub(super) fn push_arguments(&mut self, arguments: &[Argument], more: bool, resolvable: bool, quiet: bool, always: Option<String>) {
        if self.is_full() {
            return;
        }
        let words: Vec<String> = arguments.iter().map(|argument| argument.text.clone()).collect();
        let (text, mut spelling) = (words.join(" "), spelled(arguments));
        if more {
            spelling.push_str(" …");
        }
        let spelling = Some(spelling).filter(|spelling| *spelling != text);
        self.push(text, words, resolvable, always);
        if let Some(last) = self.commands.last_mut() {
            (last.quiet, last.spelling) = (quiet, spelling);
        }
    }

    /// Whether there are more commands than are judged: the line is then not understood.
    pub(super) fn is_full(&self) -> bool {
        self.commands.len() >= MAX_COMMANDS
    }

    pub(super) fn push(&mut self, text: String, words: Vec<String>, resolvable: bool, always: Option<String>) {
        if !self.is_full() {
            self.commands.push(SimpleCommand {
                text,
                words,
                resolvable,
                always,
                spelling: None,
                bounds: Vec::new(),
                quiet: false,
                prints: false,
            });
        }
    }

    /// Every run of words in a text that is not understood, quotes and operators taken away.
    pub(super) fn runs(&mut self, text: &str) {
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
