//! One command with its words: which part of this folder knows what it does.

use super::{
    effects::{Effects, Given, Inner, program_name},
    find::find,
    grants,
    identity::identify,
    options,
    place::{Access, here, listed},
    shells,
    walk::Notes,
    word::Argument,
};

/// What the command does.
pub(in crate::tool) fn effects(words: &[Argument], given: Given<'_>) -> Effects {
    let mut effects = Effects { place: given.place.clone(), ..Effects::default() };
    let Some(first) = words.first() else { return effects };
    let name = program_name(&first.text);
    let identity = identify(words);
    effects.is_unclear = !identity.is_certain(words, given.more);
    let mut notes = Notes::default();
    match name {
        _ if first.literal().is_none() => {}
        "find" | "gfind" => {
            find(words, given, &mut effects);
            notes.is_exact = true;
        }
        "cd" | "pushd" => {
            let mut there = given.place.clone();
            there.follow(words);
            effects.paths.push(here(&there, Access::List));
        }
        "eval" | "trap" | "hash" | "jobs" => shells::builtin(name, words, given, &mut effects),
        _ => match shells::shell(name) {
            Some(dialect) => shells::run(words, dialect, given, &mut effects),
            None => notes = options::apply(name, words, &identity, given, &mut effects),
        },
    }
    // A file name pattern lists a directory, whatever the command does with the names.
    for word in words.iter().skip(1).filter(|word| word.glob.is_some()) {
        effects.paths.extend(listed(word, given.place));
    }
    if !effects.elsewhere.is_empty() {
        look_for_input_elsewhere(given, &mut notes, &mut effects);
    }
    effects.also = identity.without_options(words);
    if let Some(at) = identity.unclear_option() {
        // The option may take the next word.
        let words = [&words[..1], words.get(at + 2..).unwrap_or_default()].concat();
        effects.inner.push(Inner::Guess(words));
    }
    effects.runs_files = options::runs_files(name);
    let grant = grants::always(words, &identity, &notes, given, effects.runs_files);
    effects.runs_files |= grant.bound.as_ref().is_some_and(|bound| bound.runs_files);
    (effects.always, effects.bound) = (grant.pattern, grant.bound);
    effects
}

/// A command on another machine may run what the standard input here says, as `psql` does.
fn look_for_input_elsewhere(given: Given<'_>, notes: &mut Notes, effects: &mut Effects) {
    let mut words: Vec<Argument> = effects.elsewhere.iter().skip_while(|word| word.text == "--").cloned().collect();
    if let [text] = words.as_slice()
        && text.is_literal()
    {
        // A shell takes it apart.
        words = text.text.split_whitespace().map(Argument::plain).collect();
    }
    // Behind wrappers too.
    for _ in 0..4 {
        let inner = self::effects(&words, given);
        if inner.runs_input {
            notes.is_never = true;
            effects.is_unclear |= given.input.is_none();
            effects.possible.extend(inner.possible);
        }
        let Some(Inner::Words { words: next, .. }) = inner.inner.into_iter().next() else { return };
        words = next;
    }
}
