//! Names for sessions: a default at creation, and what a client or a model may give.

use crate::stdx::{
    text::{ellipsis, one_line},
    time::day,
};

pub(super) const SESSION: &str = "New session - ";
const CHILD: &str = "Child session - ";
/// The longest title from a model.
const MAX_CHARS: usize = 100;
/// The longest title from a client.
const MAX_GIVEN_CHARS: usize = 500;

pub(super) fn default_title(child: bool, now: i64) -> String {
    let seconds = now.div_euclid(1000).rem_euclid(86_400);
    let time = format!("{}T{:02}:{:02}:{:02}.{:03}Z", day(now), seconds / 3600, seconds / 60 % 60, seconds % 60, now.rem_euclid(1000));
    format!("{}{time}", if child { CHILD } else { SESSION })
}

/// A title as a client may give it: one line without control characters, so that lists and terminals can show it.
pub(super) fn given(title: &str) -> String {
    one_line(title, MAX_GIVEN_CHARS)
}

/// The first line with text, without reasoning and quotes, shortened.
pub(super) fn clean(text: &str) -> Option<String> {
    let spoken = text.rsplit_once("</think>").map_or(text, |(_, spoken)| spoken);
    let lines = spoken.lines().map(|line| one_line(line, MAX_GIVEN_CHARS));
    let marks = |c: char| c.is_whitespace() || "\"'`#*".contains(c);
    let line = lines.into_iter().find(|line| !line.is_empty())?;
    let line = line.trim_matches(marks);
    (!line.is_empty()).then(|| ellipsis(line, MAX_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_clean_line() {
        assert_eq!(clean("<think>hm\nhm</think>\n\n\"Fix the parser\"\nmore").as_deref(), Some("Fix the parser"));
        assert_eq!(clean("# **Bold**").as_deref(), Some("Bold"));
        assert_eq!(clean(" \n\"\"\n"), None);
        assert_eq!(clean("\u{1b}]0;x\u{7}\n\nnext").as_deref(), Some("]0;x"));
        assert_eq!(clean("\u{1b}\u{202e}\nFix\u{9b}2J it").as_deref(), Some("Fix 2J it"));
        assert_eq!(clean(&"x".repeat(300)).unwrap().len(), 100);
    }

    #[test]
    fn the_default_names_the_moment() {
        assert_eq!(default_title(false, 951_782_461_005), "New session - 2000-02-29T00:01:01.005Z");
        assert!(default_title(true, 0).starts_with(CHILD));
    }
}
