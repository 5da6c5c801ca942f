//! From a word to the arguments it becomes, as far as that is known before it runs: braces are expanded and quotes
//! removed; variables, substitutions and file name patterns stay as written and are marked.

use super::syntax::{Part, Piece, Word};
pub(super) use crate::tool::bash::programs::Argument;
use crate::tool::bash::programs::quoted;

impl Argument {
    /// A text that is put together from these pieces.
    pub(super) fn of(parts: &[Part]) -> Self {
        let mut argument = Self::default();
        for part in parts {
            let at = argument.text.len();
            let (Part::Text(text) | Part::Hole(text)) = part;
            argument.text.push_str(text);
            if matches!(part, Part::Hole(_)) {
                argument.holes.push(at..argument.text.len());
            }
        }
        argument
    }

    /// The text as the pieces of a value.
    pub(super) fn parts(&self) -> Vec<Part> {
        self.parts_from(0)
    }

    /// The same for the text from a byte offset on.
    pub(super) fn parts_from(&self, from: usize) -> Vec<Part> {
        let mut parts = Vec::new();
        let mut at = from;
        for hole in self.holes.iter().filter(|hole| hole.start >= from) {
            if hole.start > at {
                parts.push(Part::Text(self.text[at..hole.start].to_owned()));
            }
            parts.push(Part::Hole(self.text[hole.clone()].to_owned()));
            at = at.max(hole.end);
        }
        if at < self.text.len() {
            parts.push(Part::Text(self.text[at..].to_owned()));
        }
        parts
    }
}

#[derive(Clone)]
enum Atom {
    Character {
        character: char,
        quoted: bool,
    },
    /// An empty pair of quotes, which keeps an otherwise empty word.
    Quotes,
    Hole {
        raw: String,
        quoted: bool,
    },
}

impl Atom {
    fn is_quoted_character(&self) -> bool {
        matches!(self, Self::Character { quoted: true, .. })
    }

    fn is_quoted(&self) -> bool {
        matches!(self, Self::Character { quoted: true, .. } | Self::Hole { quoted: true, .. })
    }

    fn is(&self, expected: char) -> bool {
        matches!(self, Self::Character { character, quoted: false } if *character == expected)
    }
}

/// More words than this out of one are not spelled out.
const MAX_WORDS: usize = 64;

/// The arguments that a word becomes.
pub(super) fn arguments(word: &Word) -> Vec<Argument> {
    let atoms = atoms(word);
    let mut expanded = Vec::new();
    let mut steps = 0;
    if !braces(&atoms, &mut expanded, &mut steps) || expanded.len() > MAX_WORDS {
        let mut whole = argument(&atoms, true);
        whole.spelling = Some(spelling(&atoms));
        whole.holes.push(0..whole.text.len());
        whole.splits = true;
        return vec![whole];
    }
    let braced = expanded.len() != 1 || expanded[0].len() != atoms.len();
    expanded.iter().filter(|atoms| !(braced && atoms.is_empty())).map(|atoms| argument(atoms, braced)).collect()
}

/// A word as one argument, without brace expansion: a value, a target.
pub(super) fn single(word: &Word) -> Argument {
    argument(&atoms(word), false)
}

fn atoms(word: &Word) -> Vec<Atom> {
    let mut atoms = Vec::new();
    for piece in &word.pieces {
        match piece {
            Piece::Text { text, quoted } => {
                if text.is_empty() && *quoted {
                    atoms.push(Atom::Quotes);
                }
                atoms.extend(text.chars().map(|character| Atom::Character { character, quoted: *quoted }));
            }
            Piece::Hole { raw, quoted, .. } => atoms.push(Atom::Hole { raw: raw.clone(), quoted: *quoted }),
        }
    }
    atoms
}

fn argument(atoms: &[Atom], braced: bool) -> Argument {
    let mut argument = Argument { braced, ..Argument::default() };
    argument.tilde = atoms.first().is_some_and(|atom| atom.is('~'));
    let mut bracket = None;
    for atom in atoms {
        let at = argument.text.len();
        match atom {
            Atom::Character { character, quoted } => {
                if !quoted {
                    match character {
                        '*' | '?' => argument.glob = argument.glob.or(Some(at)),
                        '[' => bracket = bracket.or(Some(at)),
                        ']' if bracket.is_some() => argument.glob = argument.glob.or(bracket),
                        _ => {}
                    }
                }
                argument.text.push(*character);
            }
            Atom::Quotes => {}
            Atom::Hole { raw, quoted } => {
                argument.text.push_str(raw);
                argument.holes.push(at..argument.text.len());
                argument.splits |= !quoted || raw.contains('@');
            }
        }
    }
    if !argument.is_literal() && atoms.iter().any(Atom::is_quoted) {
        argument.spelling = Some(spelling(atoms));
    }
    argument
}

/// The word with its quotes, which of several ways of writing them is always the same.
fn spelling(atoms: &[Atom]) -> String {
    let mut text = String::new();
    for run in atoms.chunk_by(|one, next| one.is_quoted_character() && next.is_quoted_character()) {
        match &run[0] {
            Atom::Character { quoted: true, .. } => {
                let run = run.iter().filter_map(|atom| match atom {
                    Atom::Character { character, .. } => Some(*character),
                    _ => None,
                });
                text.push_str(&quoted(&run.collect::<String>()));
            }
            Atom::Character { character, .. } => text.push(*character),
            Atom::Quotes => {}
            Atom::Hole { raw, quoted: true } => text.extend(["\"", raw.as_str(), "\""]),
            Atom::Hole { raw, .. } => text.push_str(raw),
        }
    }
    text
}

/// Appends what the first pair of braces with a comma in it expands to; `false` where that would be too much, or for
/// a sequence such as `{a..e}`.
fn braces(atoms: &[Atom], expanded: &mut Vec<Vec<Atom>>, steps: &mut usize) -> bool {
    *steps += 1;
    if *steps > 4 * MAX_WORDS || expanded.len() > MAX_WORDS {
        return false;
    }
    for open in 0..atoms.len() {
        if !atoms[open].is('{') {
            continue;
        }
        let Some((close, commas)) = closing(atoms, open) else { continue };
        if commas.is_empty() {
            if is_sequence(&atoms[open + 1..close]) {
                return false;
            }
            continue;
        }
        let mut from = open + 1;
        for end in commas.into_iter().chain([close]) {
            let choice: Vec<Atom> = atoms[..open].iter().chain(&atoms[from..end]).chain(&atoms[close + 1..]).cloned().collect();
            if !braces(&choice, expanded, steps) {
                return false;
            }
            from = end + 1;
        }
        return true;
    }
    expanded.push(atoms.to_vec());
    true
}

/// Where the brace at `open` closes, and the commas in between that belong to it.
fn closing(atoms: &[Atom], open: usize) -> Option<(usize, Vec<usize>)> {
    let mut depth = 0_usize;
    let mut commas = Vec::new();
    for (at, atom) in atoms.iter().enumerate().skip(open + 1) {
        if atom.is('{') {
            depth += 1;
        } else if atom.is('}') {
            if depth == 0 {
                return Some((at, commas));
            }
            depth -= 1;
        } else if atom.is(',') && depth == 0 {
            commas.push(at);
        }
    }
    None
}

fn is_sequence(atoms: &[Atom]) -> bool {
    atoms.windows(2).any(|pair| pair[0].is('.') && pair[1].is('.'))
}
