//! The order in which people look for names: letters whatever their case, numbers by their value, signs before both.
//! Pure.

use std::{cmp::Ordering, iter::Peekable, str::Chars};

/// Signs in the order of the Unicode collation; all others come after them.
const SIGNS: &str = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";

/// Compares two names. Only the same name is equal.
pub(super) fn compare(one: &str, other: &str) -> Ordering {
    let (mut left, mut right) = (one.chars().peekable(), other.chars().peekable());
    loop {
        let order = match (left.peek().copied(), right.peek().copied()) {
            // Lower case first, as in dictionaries.
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

/// The digits that come next, so that they compare by their value however many they are.
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
        () => SIGNS.chars().position(|sign| sign == character).map_or((1, 0), |at| (0, at)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_people_sort() {
        let sorted = ["_x", ".git", "1", "2a", "02b", "10", "a.txt", "a_", "a1", "a2", "A10", "AGENTS.md", "b", "B", "\u{e4}"];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|one, other| compare(one, other));
        let expected = ["_x", ".git", "1", "2a", "02b", "10", "a_", "a.txt", "a1", "a2", "A10", "AGENTS.md", "b", "B", "\u{e4}"];
        assert_eq!(names, expected);
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[aAb019._]{0,5}", b in "[aAb019._]{0,5}", c in "[aAb019._]{0,5}") {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            prop_assert_eq!(compare(&a, &b) == Ordering::Equal, a == b);
            if compare(&a, &b) != Ordering::Greater && compare(&b, &c) != Ordering::Greater {
                prop_assert_ne!(compare(&a, &c), Ordering::Greater);
            }
        }
    }
}
