//! Errors of search requests.

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the pattern is empty; every line would match")]
    Empty,
    /// The pattern exceeds the limit.
    #[error("the pattern has {bytes} bytes; the most is {limit}")]
    TooLong {
        bytes: usize,
        /// In bytes.
        limit: usize,
    },
    /// The pattern cannot be parsed.
    #[error("the pattern is no valid regular expression. {message}")]
    Syntax {
        /// The parser's message, which shows the position in the pattern.
        message: String,
        /// The line in the pattern and the character in that line, both from 1.
        position: (usize, usize),
    },
    /// The pattern can match only across lines.
    #[error("the pattern cannot be searched for line by line: {0}")]
    ManyLines(String),
    /// The pattern would need too much memory.
    #[error("the pattern cannot be used: {0}")]
    TooLarge(String),
    /// A pattern for paths is malformed.
    #[error("the pattern {pattern:?} is malformed: {reason}")]
    Glob {
        /// The name of the field.
        field: &'static str,
        pattern: String,
        reason: String,
    },
    /// There is no file type of this name.
    #[error("there is no file type {name:?}{}", nearest(near))]
    UnknownType {
        name: String,
        /// Similar names, the most similar first.
        near: Vec<String>,
    },
}

fn nearest(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; near it are {}", near.join(", ")) }
}
