//! Commands that stand inside of others.

use super::{
    effects::{Dialect, Inner},
    word::Argument,
};

/// Every tail of the words might be a command; none is certain.
pub(super) fn guesses(words: &[Argument]) -> Vec<Inner> {
    (0..words.len().min(40)).map(|from| Inner::Guess(words[from..].to_vec())).collect()
}

/// The words joined as the text of a script.
pub(super) fn script(words: &[Argument], dialect: Dialect, more: bool, is_unclear: &mut bool) -> Vec<Inner> {
    let texts: Option<Vec<&str>> = words.iter().map(Argument::literal).collect();
    match texts {
        Some(texts) if !more => vec![Inner::Script { text: texts.join(" "), dialect }],
        _ => {
            *is_unclear = true;
            guesses(words)
        }
    }
}

/// The same for what `sh` reads.
pub(super) fn shell_text(words: &[Argument], more: bool, is_unclear: &mut bool) -> Vec<Inner> {
    if words.is_empty() {
        *is_unclear |= more;
        return Vec::new();
    }
    script(words, Dialect::Posix, more, is_unclear)
}
