//! Why a search does not begin.

/// What is wrong with a search.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no pattern.
    #[error("the pattern is empty; every line would match")]
    Empty,
    /// The pattern is longer than anybody writes one.
    #[error("the pattern has {bytes} bytes; the most is {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that is taken.
        limit: usize,
    },
    /// The pattern cannot be parsed.
    #[error("the pattern is no valid regular expression. {message}")]
    Syntax {
        /// The pattern, a caret below the place, and what is wrong there.
        message: String,
        /// The line in the pattern and the character in that line, both from 1.
        position: (usize, usize),
    },
    /// The pattern can match only what goes over several lines.
    #[error("the pattern cannot be searched for line by line: {0}")]
    ManyLines(String),
    /// The pattern would take too much memory.
    #[error("the pattern cannot be used: {0}")]
    TooLarge(String),
    /// A pattern for paths is malformed.
    #[error("the pattern {pattern:?} is malformed: {reason}")]
    Glob {
        /// Which list of patterns it stands in.
        field: &'static str,
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no file type of this name.
    #[error("there is no file type {name:?}{}", nearest(near))]
    UnknownType {
        /// The name.
        name: String,
        /// Names that resemble it, the nearest first.
        near: Vec<String>,
    },
}

fn nearest(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; near it are {}", near.join(", ")) }
}
