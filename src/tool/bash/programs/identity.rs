//! Which words of a command tell what it is: `git push` is another command than `git status`, whichever options stand
//! between the words.

use super::{
    arity::arity,
    effects::program_name,
    table::{self, Opt, Program, Takes, Trait},
    word::Argument,
};

/// The words that identify a command.
#[derive(Debug)]
pub(super) struct Identity {
    /// Their places; the name is the first.
    at: Vec<usize>,
    /// The options between them: where each stands, what it is, where its value is.
    options: Vec<Skipped>,
    /// Fewer words than it takes.
    is_short: bool,
}

#[derive(Debug)]
struct Skipped {
    at: usize,
    option: Option<Opt>,
    value: Option<Argument>,
    is_joined: bool,
}

/// Programs before whose command the name of a tool chain may stand, as in `cargo +nightly test`.
const TOOL_CHAINS: &[&str] = &["cargo", "rustc", "rustdoc", "rustfmt", "clippy-driver"];

/// Finds the words.
pub(super) fn identify(words: &[Argument]) -> Identity {
    let name = words.first().map_or("", |first| program_name(&first.text));
    let program = table::find(name).filter(|program| program.is(Trait::Sub));
    let texts: Vec<&str> = std::iter::once(name).chain(words.iter().skip(1).map(|word| word.text.as_str())).collect();
    let Some(program) = program else {
        let wanted = arity(&texts);
        let is_module = texts.get(1) == Some(&"-m");
        let found = (1..wanted.min(words.len())).take_while(|at| is_module || !texts[*at].starts_with('-')).count() + 1;
        return Identity { at: (0..found.min(words.len())).collect(), options: Vec::new(), is_short: found < wanted };
    };
    let mut identity = Identity { at: vec![0], options: Vec::new(), is_short: false };
    let mut at = 1;
    loop {
        let named: Vec<&str> = identity.at.iter().map(|at| texts[*at]).collect();
        if named.len() >= arity(&named).max(2) {
            return identity;
        }
        let command = (named.len() > 1).then(|| table::find(&named.join(" "))).flatten();
        // What runs another command ends its own options where that begins.
        if command.is_some_and(Program::runs_words) {
            return identity;
        }
        at = identity.skip_options(words, at, name, command, program);
        if at >= words.len() || texts[at] == "--" {
            identity.is_short = true;
            return identity;
        }
        identity.at.push(at);
        at += 1;
    }
}

impl Identity {
    fn skip_options(&mut self, words: &[Argument], from: usize, name: &str, command: Option<&Program>, program: &Program) -> usize {
        let mut at = from;
        while let Some(word) = words.get(at) {
            let text = word.text.as_str();
            if text.starts_with('+') && TOOL_CHAINS.contains(&name) {
                self.options.push(Skipped { at, option: None, value: None, is_joined: true });
                at += 1;
                continue;
            }
            if !text.starts_with('-') || text == "--" || text == "-" {
                break;
            }
            let equals = word.known().find('=');
            let long = equals.map_or(text, |equals| &text[..equals]);
            let look = |name: &str| {
                let exact = command.and_then(|command| command.exact(name)).or_else(|| program.exact(name));
                exact.or_else(|| if name.starts_with("--") { program.long(name) } else { None })
            };
            let is_long = text.starts_with("--") || look(long).is_some();
            let letter = if is_long { None } else { text.chars().nth(1) };
            let option = letter.map_or_else(|| look(long), |letter| look(&format!("-{letter}")));
            let joined = match letter {
                Some(letter) => Some(1 + letter.len_utf8()).filter(|end| text.len() > *end),
                None => equals.map(|equals| equals + 1),
            };
            let takes_next = option.is_some_and(|option| option.takes == Takes::Value) && joined.is_none();
            let value = match joined {
                Some(from) => Some(word.behind(from)),
                None if takes_next => words.get(at + 1).cloned(),
                None => None,
            };
            self.options.push(Skipped { at, option, value, is_joined: joined.is_some() });
            at += if takes_next { 2 } else { 1 };
        }
        at
    }

    /// The identifying words.
    pub(super) fn words<'a>(&self, words: &'a [Argument]) -> Vec<&'a str> {
        self.at.iter().map(|at| words[*at].text.as_str()).collect()
    }

    /// Where one of them stands.
    pub(super) fn place_of(&self, index: usize) -> usize {
        self.at[index]
    }

    /// Whether there are fewer of them than it takes to tell the command.
    pub(super) fn is_short(&self) -> bool {
        self.is_short
    }

    /// Where the last of them stands.
    pub(super) fn last(&self) -> usize {
        self.at.last().copied().unwrap_or(0)
    }

    /// The options that stand before `end`, with their values.
    pub(super) fn options(&self, end: usize) -> impl Iterator<Item = (Opt, Argument)> {
        let known = self.options.iter().filter(move |skipped| skipped.at < end);
        known.filter_map(|skipped| Some((skipped.option?, skipped.value.clone().unwrap_or_default())))
    }

    fn before_last(&self) -> impl Iterator<Item = &Skipped> {
        let last = self.last();
        self.options.iter().filter(move |skipped| skipped.at < last)
    }

    /// Whether it is certain which program runs, and which of its commands. `more`: words are added when it runs.
    pub(super) fn is_certain(&self, words: &[Argument], more: bool) -> bool {
        let Some(name) = words.first() else { return false };
        let is_home = name.tilde && name.text.starts_with("~/");
        let is_known = name.holes.is_empty() && name.glob.is_none() && (!name.tilde || is_home) && !name.braced;
        let is_odd = name.text.is_empty() || name.text.contains(char::is_whitespace) || name.text.starts_with('=');
        let are_known = self.at.iter().skip(1).all(|at| words[*at].holes.is_empty() && !words[*at].braced && !words[*at].splits);
        let are_options = self.options.iter().all(|skipped| !words[skipped.at].may_be_hidden_option());
        let values = self.options.iter().all(|skipped| skipped.value.as_ref().is_none_or(|value| !value.may_bring_words()));
        let is_plain = self.unclear_option().is_none();
        is_known && !is_odd && are_known && are_options && values && is_plain && !(more && self.is_short)
    }

    /// The place of an option before the last word of which it is not known whether the next word is its value.
    pub(super) fn unclear_option(&self) -> Option<usize> {
        self.before_last().find(|skipped| skipped.option.is_none() && !skipped.is_joined).map(|skipped| skipped.at)
    }

    /// Whether it is known what the options between the words are.
    pub(super) fn knows_options(&self) -> bool {
        !self.options.is_empty() && self.unclear_option().is_none()
    }

    /// The command without the options before the last word that identifies it, if there are any.
    pub(super) fn without_options(&self, words: &[Argument]) -> Option<Vec<Argument>> {
        self.before_last().next()?;
        let last = self.last();
        let first = self.at.iter().map(|at| words[*at].clone());
        Some(first.chain(words[last + 1..].iter().cloned()).collect())
    }
}
