//! The pattern of a search, validated and compiled once.

use grep_matcher::LineTerminator;
use grep_regex::{RegexMatcher, RegexMatcherBuilder};
use grep_searcher::{BinaryDetection, Searcher, SearcherBuilder};
use polytree_protocol::text::TextCase;

use super::error::Error;

/// The size limit of a pattern, in bytes. Parsing needs many times as much memory.
const MAX_PATTERN_BYTES: usize = 64 * 1024;
/// The memory limit of a compiled pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 64 * 1024 * 1024;
/// The memory limit of the DFA states of one thread, in bytes.
const MAX_DFA_BYTES: usize = 32 * 1024 * 1024;
/// The size limit of a line, in bytes; files with longer lines are not searched.
const MAX_LINE_BYTES: usize = 32 * 1024 * 1024;

#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A regular expression, or with `fixed` a literal.
    pub pattern: String,
    /// The pattern is a literal.
    pub fixed: bool,
    pub case: TextCase,
    pub word: bool,
    /// Matches may span lines.
    pub multiline: bool,
    /// Lines of context on each side.
    pub context: usize,
    /// The limit of matches in one file.
    pub limit_per_file: Option<u64>,
}

/// A compiled search.
#[derive(Debug, Clone)]
pub struct Query {
    matcher: RegexMatcher,
    multiline: bool,
    context: usize,
    limit_per_file: Option<u64>,
}

impl Query {
    /// Validates and compiles the pattern.
    pub fn new(options: &Options) -> Result<Self, Error> {
        let pattern = options.pattern.as_str();
        if pattern.is_empty() {
            return Err(Error::Empty);
        }
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(Error::TooLong { bytes: pattern.len(), limit: MAX_PATTERN_BYTES });
        }
        if !options.fixed {
            parse(pattern)?;
        }
        let mut builder = RegexMatcherBuilder::new();
        builder
            .multi_line(true)
            .fixed_strings(options.fixed)
            .case_smart(options.case == TextCase::Smart)
            .case_insensitive(options.case == TextCase::Insensitive)
            .word(options.word)
            .size_limit(MAX_COMPILED_BYTES)
            .dfa_size_limit(MAX_DFA_BYTES)
            .crlf(true);
        if options.multiline {
            builder.line_terminator(None);
        }
        let matcher = builder.build(pattern).map_err(|error| match error.kind() {
            grep_regex::ErrorKind::NotAllowed(_) => Error::ManyLines(error.to_string()),
            _ => Error::TooLarge(error.to_string()),
        })?;
        Ok(Self { matcher, multiline: options.multiline, context: options.context, limit_per_file: options.limit_per_file })
    }

    /// A copy of the matcher for one thread: sharing one causes contention.
    pub(super) fn matcher(&self) -> RegexMatcher {
        self.matcher.clone()
    }

    /// Whether matches may span lines.
    pub(super) fn is_multiline(&self) -> bool {
        self.multiline
    }

    /// A searcher for one thread.
    pub(super) fn searcher(&self) -> Searcher {
        SearcherBuilder::new()
            .line_terminator(LineTerminator::crlf())
            .line_number(true)
            .multi_line(self.multiline)
            .before_context(self.context)
            .after_context(self.context)
            .max_matches(self.limit_per_file)
            .binary_detection(BinaryDetection::quit(0))
            .heap_limit(Some(MAX_LINE_BYTES))
            .build()
    }
}

/// Parses the pattern separately: the matcher wraps it, and its errors would have positions in the wrapper.
fn parse(pattern: &str) -> Result<(), Error> {
    let Err(error) = regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern) else { return Ok(()) };
    let start = match &error {
        regex_syntax::Error::Parse(error) => error.span().start,
        regex_syntax::Error::Translate(error) => error.span().start,
        _ => return Err(Error::TooLarge(error.to_string())),
    };
    Err(Error::Syntax { message: error.to_string(), position: (start.line, start.column) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pattern: &str, change: impl FnOnce(&mut Options)) -> String {
        let mut options = Options { pattern: pattern.to_owned(), ..Options::default() };
        change(&mut options);
        Query::new(&options).unwrap_err().to_string()
    }

    #[test]
    fn errors_show_the_position() {
        let expected = "the pattern is no valid regular expression. regex parse error:\n    a(b\n     ^\nerror: unclosed group";
        assert_eq!(refused("a(b", |_| {}), expected);
        let error = Query::new(&Options { pattern: "a\n[b".to_owned(), ..Options::default() }).unwrap_err();
        assert!(matches!(error, Error::Syntax { position: (2, 1), .. }), "{error:?}");
        assert!(refused("", |_| {}).contains("empty"));
        assert!(refused("a\\nb", |_| {}).contains("line by line"));
        assert!(refused("a\nb", |options| options.fixed = true).contains("line by line"));
        assert!(refused("\\w{1000}{1000}", |_| {}).contains("size limit"));
        assert!(refused(&format!("{}a{}", "(".repeat(1000), ")".repeat(1000)), |_| {}).contains("nest"));
        assert!(refused(&"a".repeat(MAX_PATTERN_BYTES + 1), |_| {}).contains("the most is 65536"));
    }

    #[test]
    fn valid_patterns() {
        for (pattern, fixed, multiline) in
            [("a(b", true, false), ("a\\nb", false, true), ("(?-u:\\xFF)", false, false), ("a\nb", true, true)]
        {
            assert!(Query::new(&Options { pattern: pattern.to_owned(), fixed, multiline, ..Options::default() }).is_ok(), "{pattern}");
        }
    }
}
