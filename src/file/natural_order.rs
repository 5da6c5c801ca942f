//! Natural order of names: case-insensitive letters, numbers by value, punctuation before both. Pure.

use std::{cmp::Ordering, iter::Peekable, str::Chars};

/// Punctuation in the order of the Unicode collation; other symbols come after it.
const PUNCTUATION: &str = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";

/// Compares two names. Only identical names are equal.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.chars().peekable(), other.chars().peekable());
    loop {
        let order = match (left.peek().copied(), right.peek().copied()) {
            // Lower case first.
            (None, None) => return other.cmp(one),
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => number(&mut left).cmp(&number(&mut right)),
            (Some(a), Some(b)) => {
                left.next();
                right.next();
                weight(a).cmp(&weight(b)).then_with(|| a.to_lowercase().cmp(b.to_lowercase()))
            }
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Reads digits into a key that compares by value, whatever their number.
fn number(rest: &mut Peekable<Chars<'_>>) -> (usize, String) {
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    let digits = digits.trim_start_matches('0').to_owned();
    (digits.len(), digits)
}

fn weight(character: char) -> (u8, usize) {
    match () {
        () if character.is_alphabetic() => (3, 0),
        () if character.is_numeric() => (2, 0),
        () => PUNCTUATION.chars().position(|sign| sign == character).map_or((1, 0), |at| (0, at)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_sort_naturally() {
        let sorted = ["_x", ".git", "1", "2a", "02b", "10", "a.txt", "a_", "a1", "a2", "A10", "AGENTS.md", "b", "B", "\u{e4}"];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|one, other| compare(one, other));
        let expected = ["_x", ".git", "1", "2a", "02b", "10", "a_", "a.txt", "a1", "a2", "A10", "AGENTS.md", "b", "B", "\u{e4}"];
        assert_eq!(names, expected);
    }

    proptest! {
        #[test]
        fn it_is_a_total_order(a in "[aAb019._]{0,5}", b in "[aAb019._]{0,5}", c in "[aAb019._]{0,5}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                prop_assert_ne!(compare(&a, &c), Ordering::Greater);
            }
        }
    }
}
