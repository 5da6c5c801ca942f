//! The words of `[[ ... ]]` and of `test`: what of them bash evaluates.

use super::{
    expand::Argument,
    syntax::{Evaluated, Part, Word, is_name},
};

const COMPARISONS: [&str; 6] = ["-eq", "-ne", "-lt", "-le", "-gt", "-ge"];

/// Whether a word of `[[ ... ]]` may stand between operands or before one.
pub(super) fn is_operator(word: &str) -> bool {
    word.starts_with('-') || matches!(word, "!" | "=" | "==" | "!=" | "=~")
}

/// What is evaluated in `[[ ... ]]`: both sides of a comparison of numbers, and the subscript in the name after `-v`.
pub(super) fn evaluated(words: &[Word]) -> Vec<Evaluated> {
    let mut evaluated = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let Some(operator) = word.plain() else { continue };
        let next = words.get(at + 1);
        if COMPARISONS.contains(&operator) {
            let sides = at.checked_sub(1).and_then(|before| words.get(before)).into_iter().chain(next);
            evaluated.extend(sides.map(|side| Evaluated::Arithmetic(side.parts())));
        } else if matches!(operator, "-v" | "-R") {
            evaluated.extend(next.and_then(|name| named(&name.parts())));
        }
    }
    evaluated
}

/// What is evaluated in a text that is the name of a variable, perhaps with a subscript.
pub(super) fn named(parts: &[Part]) -> Option<Evaluated> {
    let [Part::Text(text)] = parts else { return Some(Evaluated::Unknown) };
    if is_name(text) {
        return None;
    }
    let subscript = text.strip_suffix(']').and_then(|text| text.split_once('[')).filter(|(array, _)| is_name(array));
    Some(match subscript {
        Some((_, "@" | "*")) => return None,
        Some((array, key)) => Evaluated::Subscript { array: array.to_owned(), key: vec![Part::Text(key.to_owned())] },
        None => Evaluated::Unknown,
    })
}

/// What is evaluated by `test` and `[`, whose operators may come out of a value as well. `-v` takes a name; a value can
/// be taken for it only where the word after it could be a name with a subscript.
pub(super) fn tested(arguments: &[Argument]) -> Vec<Evaluated> {
    let mut evaluated = Vec::new();
    let closes = arguments.len() > 1 && arguments[0].text == "[" && arguments.last().is_some_and(|last| last.text == "]");
    let arguments = if closes { &arguments[..arguments.len() - 1] } else { arguments };
    for (at, argument) in arguments.iter().enumerate().skip(1) {
        let next = arguments.get(at + 1);
        if argument.splits || argument.glob.is_some() {
            // It may become several words, any of them an operator.
            evaluated.push(Evaluated::Arithmetic(argument.parts()));
        } else if matches!(argument.text.as_str(), "-v" | "-R") && argument.is_literal() {
            evaluated.extend(next.and_then(|name| named(&name.parts())));
        } else if argument.holes.first().is_some_and(|hole| hole.start == 0)
            && next.is_some_and(|next| !next.holes.is_empty() || next.text.contains('['))
        {
            evaluated.push(Evaluated::Arithmetic(argument.parts()));
        }
    }
    evaluated
}
