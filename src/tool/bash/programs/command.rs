//! One command with its words: which part of this folder knows what it does.

use super::{
    always,
    effects::{Effects, Given, Inner, program_name},
    find::find,
    identity::identify,
    options,
    place::{Access, here},
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
    effects.also = identity.without_options(words);
    if let Some(at) = identity.unclear_option() {
        // The option may take the next word.
        let words = [&words[..1], words.get(at + 2..).unwrap_or_default()].concat();
        effects.inner.push(Inner::Guess(words));
    }
    let grant = always::always(words, &identity, &notes, given);
    (effects.always, effects.bound) = (grant.pattern, grant.bound);
    effects
}
