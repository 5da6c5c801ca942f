//! Reads the words of a command by its line in the table.

use super::{
    code::snippet,
    effects::{Effects, Given, Inner, program_name},
    history::pathspec,
    identity::Identity,
    inner::shell_text,
    input::is_input,
    languages,
    listing::printed_names,
    place::{Access, PathUse, Rest, here, path_uses, unknown},
    selection::Selection,
    shells,
    table::{self, Kind, Mode, Opt, Program, Takes, Trait},
    unknown as unknown_program,
    walk::{Notes, Walk},
    word::{Argument, Found},
};

/// Adds what a command does to `effects`.
pub(super) fn apply(name: &str, words: &[Argument], identity: &Identity, given: Given<'_>, effects: &mut Effects) -> Notes {
    let Some((program, at)) = lookup(name, words, identity) else {
        unknown_program::apply(words, given, effects);
        return Notes::default();
    };
    let parent = (at > 1).then(|| table::find(name)).flatten();
    let mut walk = Walk {
        words,
        given,
        program,
        parent,
        effects,
        notes: Notes { is_exact: program.is(Trait::Exact), ..Notes::default() },
        place: given.place.clone(),
        modes: Vec::new(),
        operands: Vec::new(),
        skips_first: false,
        has_into: false,
        has_code: false,
        selection: Selection::default(),
        config: None,
    };
    // The options before the name of a command, such as `git -C x status`.
    for (option, value) in identity.options(at) {
        walk.option(option, value, words.len());
    }
    walk.run(at);
    walk.notes
}

/// Whether the program runs what files say, as a build does; one that is not known may.
pub(super) fn runs_files(name: &str) -> bool {
    /// They run only what stands in their words, or nothing.
    const OTHERS: &[&str] = &["sed", "gsed", "awk", "gawk", "mawk", "nawk", "bc", "dc", "fd", "fdfind", "fzf", "sk", "rustfmt", "gofmt"];
    let is_known = matches!(name, "find" | "gfind" | "eval" | "trap") || shells::shell(name).is_some();
    !is_known && !OTHERS.contains(&name) && table::find(name).is_none_or(|program| program.is_runner || program.is(Trait::Unseen))
}

/// The line that fits best: `docker compose up`, `docker compose`, `docker`; and where the rest of the words begins.
fn lookup(name: &str, words: &[Argument], identity: &Identity) -> Option<(&'static Program, usize)> {
    let named = identity.words(words);
    let longest = (2..=named.len().min(3)).rev().find_map(|length| {
        let full = [&[name], &named[1..length]].concat().join(" ");
        table::find(&full).map(|program| (program, identity.place_of(length - 1) + 1))
    });
    longest.or_else(|| {
        let program = table::find(name)?;
        Some((program, if program.is(Trait::Sub) && named.len() > 1 { identity.place_of(1) + 1 } else { 1 }))
    })
}

impl Walk<'_, '_> {
    fn run(&mut self, from: usize) {
        if let Some(at) = self.read_options(from) {
            // A wrapper with an option that is not known: where its command begins is not certain.
            self.guess(at);
            return;
        }
        let is_risky = self.is_risky();
        self.effects.is_unclear |= self.given.more && is_risky && !self.program.runs_words();
        self.effects.place = self.place.clone();
        if self.is_git() {
            // Its settings may name programs, so it matters where it works.
            self.effects.paths.push(here(&self.place, Access::List));
        }
        self.effects.is_plain |= self.program.is(Trait::Plain);
        let operands: Vec<usize> = self.operands.iter().map(|(at, _)| *at).collect();
        self.use_operands();
        self.show_history(&operands);
    }

    fn is_git(&self) -> bool {
        let name = self.words.first().map_or("", |name| program_name(&name.text));
        matches!(name, "git" | "git.exe" | "hub") || name.starts_with("git-")
    }

    fn known(&self, name: &str) -> Option<Opt> {
        let is_long = name.starts_with("--");
        let look = |program: &'static Program| if is_long { program.long(name) } else { program.exact(name) };
        let known = look(self.program).or_else(|| self.parent.and_then(look));
        // Where one dash stands before a word, two may.
        known.or_else(|| if is_long && self.program.is(Trait::WordOptions) { self.known(&name[1..]) } else { None })
    }

    /// Gives the place of an option that is not known where that matters.
    fn read_options(&mut self, from: usize) -> Option<usize> {
        let words = self.words;
        let is_strict = self.program.runs_words();
        let stops = is_strict
            || self.program.is(Trait::Stops)
            || self.program.is(Trait::ShellTexts)
            || self.program.first.first() == Some(&Kind::ScriptFile);
        let is_risky = self.is_risky() || is_strict;
        let mut at = from;
        while let Some(word) = words.get(at) {
            if word.may_be_hidden_option() && is_risky && !self.is_value_only(word) {
                if is_strict {
                    return Some(at);
                }
                self.effects.is_unclear = true;
            } else if word.may_match_option() && is_risky {
                self.effects.option_globs.extend(path_uses(word, &self.place, Access::List));
            }
            let text = word.text.as_str();
            if text == "--" {
                let assigns = self.program.is(Trait::Assignments);
                let skipped = words[at + 1..].iter().take_while(|word| assigns && word.text.contains('=')).count();
                self.operands.extend((at + 1 + skipped..words.len()).map(|at| (at, self.place.clone())));
                for word in &words[at + 1..] {
                    self.effects.is_unclear |= is_strict && word.may_bring_words();
                }
                return None;
            }
            if text.len() > 1 && text.starts_with('-') {
                match self.one_option(at) {
                    Some(next) => at = next,
                    None if is_strict => return Some(at),
                    None => at += 1,
                }
                if self.modes.contains(&Mode::Runs) {
                    return None;
                }
                continue;
            }
            if stops && !(self.program.is(Trait::Assignments) && text.contains('=')) && !(text == "-" && is_strict) {
                // Options end here, but for one after the operands of `flock f -c x`.
                self.operands.extend((at..words.len()).map(|at| (at, self.place.clone())));
                return None;
            }
            if !(self.program.is(Trait::Assignments) || (text == "-" && is_strict)) {
                self.operands.push((at, self.place.clone()));
            }
            at += 1;
        }
        None
    }

    /// Whether what is not known of the word can only be the value of an option that is: `--format=$x`.
    fn is_value_only(&self, word: &Argument) -> bool {
        if word.may_bring_words() {
            return false;
        }
        let known = word.known();
        let Some(equals) = known.find('=') else {
            let mut letters = known.chars().skip(1);
            return known.starts_with('-')
                && !known.starts_with("--")
                && letters.any(|letter| self.known(&format!("-{letter}")).is_some_and(|option| option.takes != Takes::Nothing));
        };
        known.starts_with('-') && self.known(&known[..equals]).is_some_and(|option| option.takes != Takes::Nothing)
    }

    /// Reads one word of options; gives the place of the next, or nothing where an option is not known.
    fn one_option(&mut self, at: usize) -> Option<usize> {
        let word = &self.words[at];
        let text = word.text.as_str();
        let is_long = text.starts_with("--");
        let equals = word.known().find('=');
        let name = equals.map_or(text, |equals| &text[..equals]);
        let whole = self.known(name).filter(|_| is_long || name.len() > 1);
        if let Some(option) = whole.filter(|_| is_long || name.len() > 2 || equals.is_none()) {
            return Some(self.take(option, at, equals.map(|equals| equals + 1)));
        }
        if is_long || self.program.is(Trait::WordOptions) {
            // `-fplugin=x`, `-DNAME=x`, `-Ifolder`: a letter or a word that is joined to its value.
            if !is_long && let Some((option, length)) = self.joined(text) {
                return Some(self.take(option, at, Some(length)));
            }
            let value = equals.map(|equals| word.behind(equals + 1));
            if let Some(value) = value.filter(looks_like_path) {
                self.file(&value, Access::Unsure);
            }
            return None;
        }
        // Two letters may be one option, as in `zip -TTprogram`.
        let two = text.char_indices().nth(3).and_then(|(end, _)| Some((self.known(&text[..end])?, end)));
        if let Some((option, end)) = two.filter(|(option, _)| option.takes != Takes::Nothing) {
            return Some(self.take(option, at, Some(end)));
        }
        let mut is_known = true;
        for (offset, letter) in text.char_indices().skip(1) {
            let end = offset + letter.len_utf8();
            match self.known(&format!("-{letter}")) {
                Some(option) if option.takes == Takes::Nothing => self.option(option, Argument::default(), at),
                Some(option) => {
                    let joined = (end < text.len() || option.takes == Takes::Joined).then_some(end);
                    return Some(self.take(option, at, joined)).filter(|_| is_known);
                }
                None => is_known &= letter.is_ascii_digit() && !self.program.runs_words(),
            }
        }
        is_known.then_some(at + 1)
    }

    /// The longest option that the word begins with.
    fn joined(&self, text: &str) -> Option<(Opt, usize)> {
        let ends = (2..text.len()).rev().filter(|end| text.is_char_boundary(*end));
        let mut found = ends.filter_map(|end| Some((self.program.exact(&text[..end])?, end)));
        found.find(|(option, _)| option.takes != Takes::Nothing)
    }

    /// Takes an option with its value, which begins at `joined` in the same word or is the next one.
    fn take(&mut self, option: Opt, at: usize, joined: Option<usize>) -> usize {
        let word = &self.words[at];
        match (option.takes, joined) {
            (Takes::Nothing, joined) => {
                let value = joined.map(|from| word.behind(from)).unwrap_or_default();
                self.option(option, value, at);
                at + 1
            }
            (Takes::Joined, None) => {
                self.option(option, Argument::default(), at);
                at + 1
            }
            (_, Some(from)) => {
                self.option(option, word.behind(from), at);
                at + 1
            }
            (Takes::Value, None) => {
                let count = match option.kind {
                    Kind::Words(count) => count,
                    Kind::Named => 2,
                    _ => 1,
                };
                let value = self.words.get(at + count).cloned();
                let brings = self.words[at + 1..].iter().take(count).any(Argument::may_bring_words);
                self.effects.is_unclear |= brings && (self.is_risky() || self.program.runs_words());
                match value {
                    Some(value) => self.option(option, value, at + count),
                    None => self.effects.is_unclear |= self.given.more,
                }
                at + count + 1
            }
        }
    }

    /// The effect of an option.
    fn option(&mut self, option: Opt, value: Argument, at: usize) {
        self.skips_first |= option.stands_in;
        self.has_code |= option.stands_in || matches!(option.kind, Kind::Code | Kind::Module);
        match option.kind {
            Kind::Mode(mode) => {
                self.modes.push(mode);
                // The old text is kept under a name that is made of this one, which may be in another directory.
                self.effects.is_unclear |= mode == Mode::Edit && (value.text.contains(['/', '*']) || !value.is_literal());
            }
            Kind::Rest => {
                self.modes.push(Mode::Runs);
                let first = Some(value).filter(|value| !value.text.is_empty());
                let rest = self.words.iter().skip(at + 1).take_while(|word| word.text != ";").cloned();
                let words: Vec<Argument> = first.into_iter().chain(rest).collect();
                self.notes.is_exact = true;
                self.run_rest(words, at);
            }
            Kind::Into => self.into(&value),
            kind => self.word(kind, &value),
        }
    }

    /// Runs the words behind an option, which stands at `at`; for a search with the files that it finds.
    fn run_rest(&mut self, words: Vec<Argument>, at: usize) {
        const MARKS: &[&str] = &["{}", "{/}", "{//}", "{.}", "{/.}"];
        let finds = self.program.is(Trait::Finds);
        let has_mark = words.iter().any(|word| MARKS.iter().any(|mark| word.text.contains(mark)));
        if finds {
            self.effects.found_in = printed_names(&self.words[..at], &[]);
        }
        let marks = if finds { MARKS } else { &MARKS[..1] };
        let words = words.into_iter().map(|word| marks.iter().fold(word, |word, mark| word.with_hole_at(mark))).collect();
        self.effects.inner.push(Inner::Words { words, more: self.given.more || (finds && !has_mark) });
    }

    fn into(&mut self, value: &Argument) {
        self.has_into = true;
        if !value.text.is_empty() {
            self.file(value, Access::Write);
            let below = path_uses(value, &self.place, Access::Write).into_iter().filter(|usage| usage.rest.is_none());
            self.effects.paths.extend(below.map(|usage| PathUse { rest: Some(Rest::Unknown(String::new())), ..usage }));
        }
    }

    /// What a value or an operand means.
    pub(super) fn word(&mut self, kind: Kind, word: &Argument) {
        match kind {
            Kind::Text | Kind::Words(_) | Kind::Mark | Kind::Mode(_) | Kind::Rest | Kind::Module => {}
            Kind::Read | Kind::Deep if self.has(Mode::Destroys) => self.file(word, Access::Destroy),
            Kind::Read | Kind::Deep | Kind::Tree => self.read(word, kind),
            Kind::Include | Kind::Exclude | Kind::Glob | Kind::FileType | Kind::TypeDefinition => self.selection.add(kind, word),
            Kind::ExcludeFile => {
                self.file(word, Access::Read);
                self.selection.add(kind, word);
            }
            Kind::Tracked => {
                let (place, name) = pathspec(word).unwrap_or_else(|| (word.clone(), None));
                let what = Found { name, hidden: true, ignored: self.has(Mode::Hidden), ..Found::default() };
                self.file(&place.below(what), Access::Read);
            }
            // A symbolic link means a place relative to itself.
            Kind::Linked if self.has(Mode::Symbolic) && !self.has_into && !word.text.starts_with('/') => self.linked(word),
            Kind::Linked => self.file(word, Access::Deep { hidden: true }),
            Kind::Named => self.file(word, Access::Read),
            Kind::List => self.file(word, Access::List),
            Kind::Write => self.write(word),
            Kind::Target | Kind::Into => {
                let access = if self.has(Mode::Stdout) { Access::Read } else { Access::Write };
                self.file(word, access);
            }
            Kind::Destroy => {
                let access = if self.has(Mode::Stdout) { Access::Read } else { Access::Destroy };
                self.file(word, access);
            }
            Kind::Unsure if self.has(Mode::Edit) => self.write(word),
            Kind::Unsure => languages::unsure(word, &self.place, &mut self.effects.paths),
            Kind::Enter => {
                self.file(word, Access::List);
                self.place.enter(word);
            }
            Kind::Revision => languages::revision(word, &self.place, &mut self.effects.paths),
            Kind::Address => languages::address(word, &self.place, self.effects),
            Kind::At => {
                if let Some(from) = word.text.find('@').or_else(|| word.text.find("=<").map(|at| at + 1)) {
                    let mut file = word.behind(from + 1);
                    for more in file.text.split(',').skip(1).filter(|_| file.is_literal()) {
                        self.effects.paths.extend(path_uses(&Argument::plain(more), &self.place, Access::Read));
                    }
                    if let Some(end) = file.text.find(';').filter(|_| file.is_literal()) {
                        file.text.truncate(end);
                    }
                    self.file(&file, Access::Read);
                }
            }
            Kind::Listing => {
                self.file(word, Access::Read);
                self.effects.paths.push(unknown("...", Access::Read));
                self.effects.is_unclear = true;
            }
            Kind::Cookie if !word.text.contains('=') => self.file(word, Access::Read),
            Kind::Cookie => {}
            Kind::Lines => {
                if let Some(colon) = word.text.rfind(':') {
                    self.file(&word.behind(colon + 1), Access::Read);
                }
            }
            Kind::Config => {
                self.file(word, Access::Read);
                self.config = Some(word.clone());
            }
            Kind::Filter => {
                self.effects.is_unclear |= languages::loads_files(&word.text);
            }
            Kind::Mount => languages::mount(word, &self.place, &mut self.effects.paths),
            Kind::Shell => self.effects.inner.extend(shell_text(std::slice::from_ref(word), false, &mut self.effects.is_unclear)),
            Kind::Unseen => self.effects.is_unclear = true,
            Kind::Code if is_input(word) => self.runs_input(),
            Kind::Code => {
                self.notes.is_exact = true;
                self.has_code = true;
                self.effects.possible.extend(snippet::possible(&word.text));
            }
            Kind::Sed | Kind::Awk => {
                self.notes.is_exact = true;
                languages::code(kind, word, self);
            }
            Kind::ScriptFile if is_input(word) => self.runs_input(),
            Kind::ScriptFile => {
                self.notes.script = Some(word.clone());
                self.file(word, Access::Read);
            }
            Kind::Recipe => self.recipe(word),
            Kind::Statements => self.statements(word),
            Kind::Goal => languages::goal(word, self.effects),
            Kind::GitSetting | Kind::SshSetting | Kind::CmakeSetting | Kind::RustcSetting => {
                self.effects.is_unclear |= !languages::is_harmless_setting(kind, word);
            }
        }
    }

    pub(super) fn reading(&self, kind: Kind) -> Access {
        match kind {
            _ if self.has(Mode::Names) => Access::List,
            Kind::Deep => Access::Deep { hidden: true },
            Kind::Tree => Access::Deep { hidden: self.has(Mode::Hidden) },
            _ if self.has(Mode::Recursive) || self.has(Mode::Follows) => Access::Deep { hidden: true },
            _ => Access::Read,
        }
    }
}

/// Whether a value is written like a path.
fn looks_like_path(value: &Argument) -> bool {
    value.tilde || value.text.starts_with(['/', '.']) || value.text.contains("/.")
}
