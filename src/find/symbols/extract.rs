//! Parses a text and finds its definitions. The text may be malicious: time and the number of results are limited.

use std::{
    ops::{ControlFlow, Range},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use tree_sitter::{Node, ParseOptions, Parser, QueryCursor, QueryCursorOptions, StreamingIterator as _};

use super::{
    grammar::{Capture, Definition, Grammar, Role},
    kind::SymbolKind,
    language::Language,
};

/// The time limit of parsing one text, with an addition per byte: many times what a grammar needs, and short enough
/// that many malicious files do not keep the machine busy.
const PARSE_TIMEOUT: (Duration, Duration) = (Duration::from_millis(300), Duration::from_micros(2));
/// The limit of captures in one text; the rest is dropped.
const MAX_TAGS: usize = 50_000;
/// The nesting limit of declarators.
const MAX_NESTED_DECLARATORS: usize = 64;
/// The length limit of a container's name, in bytes.
const MAX_CONTAINER_BYTES: usize = 128;
/// The limit of incomplete matches during a query.
const MAX_MATCHES: u32 = 4096;
/// The cancellation token is checked at every n-th progress callback of the parser; the deadline at each, since one
/// step may take long for nested text.
const TOKEN_INTERVAL: u32 = 64;

/// A match of the query.
#[derive(Debug)]
pub(super) struct Tag {
    pub role: Role,
    /// If several patterns match the same name, the first one counts.
    pub pattern: usize,
    pub range: Range<u32>,
    pub name: Range<u32>,
    /// Its container, if that is not the enclosing definition.
    pub container: Option<Box<str>>,
}

/// A reusable parser.
pub(super) struct Extractor {
    parser: Parser,
    cursor: QueryCursor,
    token: CancellationToken,
}

impl Extractor {
    /// Parsing stops when the token is cancelled.
    pub fn new(token: CancellationToken) -> Self {
        let mut cursor = QueryCursor::new();
        cursor.set_match_limit(MAX_MATCHES);
        Self { parser: Parser::new(), cursor, token }
    }

    /// The matches of the language's query in the text, unordered; `None` on a timeout.
    pub fn tags(&mut self, language: Language, text: &str) -> Option<Vec<Tag>> {
        let grammar = Grammar::of(language);
        self.parser.set_language(&grammar.parsing).ok()?;
        let length = u32::try_from(text.len()).ok()?;
        let deadline = Instant::now() + PARSE_TIMEOUT.0 + PARSE_TIMEOUT.1 * length;
        let (token, mut callbacks) = (self.token.clone(), 0u32);
        let mut proceed = move || {
            callbacks = callbacks.wrapping_add(1);
            let is_over = Instant::now() > deadline || (callbacks.is_multiple_of(TOKEN_INTERVAL) && token.is_cancelled());
            if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let mut progress = |_: &_| proceed();
        let bytes = text.as_bytes();
        let mut read = |at: usize, _| bytes.get(at..).unwrap_or_default();
        let tree = self.parser.parse_with_options(&mut read, None, Some(ParseOptions::new().progress_callback(&mut progress)));
        let Some(tree) = tree else {
            // Otherwise the parser would continue with this text next time.
            self.parser.reset();
            return None;
        };
        let mut is_cut = false;
        let mut progress = |_: &_| {
            let next = proceed();
            is_cut |= next.is_break();
            next
        };
        let options = QueryCursorOptions::new().progress_callback(&mut progress);
        let mut matches = self.cursor.matches_with_options(&grammar.query, tree.root_node(), bytes, options);
        let mut tags = Vec::new();
        while let Some(found) = matches.next() {
            tags.extend(tag(grammar, found.pattern_index, found.captures(), text));
            if tags.len() >= MAX_TAGS {
                break;
            }
        }
        drop(matches);
        (!is_cut).then_some(tags)
    }
}

fn tag(grammar: &Grammar, pattern: usize, captures: &[tree_sitter::QueryCapture<'_>], text: &str) -> Option<Tag> {
    let (mut whole, mut name, mut container) = (None, None, None);
    let mut is_function = false;
    for capture in captures {
        match grammar.captures.get(capture.index as usize)? {
            Capture::Is(role) => whole = Some((*role, capture.node)),
            Capture::Name => name = Some(range(capture.node)),
            Capture::Declarator => {
                let declared = declared(capture.node, text)?;
                (name, is_function) = (Some(declared.name), declared.is_function);
                container = declared.container.or(container);
            }
            Capture::Container => container = Some(plain_name(text.get(capture.node.byte_range())?)),
            Capture::Other => {}
        }
    }
    let (mut role, node) = whole?;
    if let Role::Definition(Definition { kind, .. }) = &mut role
        && is_function
        && matches!(kind, SymbolKind::Variable | SymbolKind::Field)
    {
        *kind = SymbolKind::Function;
    }
    let range = range(node);
    let name = match role {
        Role::Local => range.start..range.start,
        _ => name?,
    };
    Some(Tag { role, pattern, range, name, container })
}

fn range(node: Node<'_>) -> Range<u32> {
    // The size limit of a text is far below `u32::MAX`.
    let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    number(node.start_byte())..number(node.end_byte())
}

struct Declared {
    name: Range<u32>,
    container: Option<Box<str>>,
    is_function: bool,
}

/// The name in a declarator of C or C++, and its qualification.
fn declared(mut node: Node<'_>, text: &str) -> Option<Declared> {
    let (mut container, mut is_function) = (String::new(), false);
    for _ in 0..MAX_NESTED_DECLARATORS {
        node = match node.kind() {
            "identifier"
            | "field_identifier"
            | "type_identifier"
            | "destructor_name"
            | "operator_name"
            | "namespace_identifier"
            | "primitive_type" => {
                let container = (!container.is_empty()).then(|| container.into_boxed_str());
                return Some(Declared { name: range(node), container, is_function });
            }
            "operator_cast" => {
                // In the grammar the empty parentheses are a part of the type.
                let name = range(node);
                let length = text.get(node.byte_range())?.find('(').map_or(name.len(), |at| at);
                let end = name.start + u32::try_from(length).ok()?;
                let container = (!container.is_empty()).then(|| container.into_boxed_str());
                return Some(Declared { name: name.start..end, container, is_function: true });
            }
            "qualified_identifier" => {
                if let Some(scope) = node.child_by_field_name("scope") {
                    if !container.is_empty() {
                        container.push_str("::");
                    }
                    container.push_str(&plain_name(text.get(scope.byte_range())?));
                }
                node.child_by_field_name("name")?
            }
            "template_function" | "template_method" | "template_type" => node.child_by_field_name("name")?,
            "function_declarator" => {
                let inner = node.child_by_field_name("declarator")?;
                // A parenthesised declarator is a function pointer.
                is_function = inner.kind() != "parenthesized_declarator";
                inner
            }
            "parenthesized_declarator" | "attributed_declarator" | "reference_declarator" => node.named_child(0)?,
            _ => node.child_by_field_name("declarator")?,
        };
    }
    None
}

/// The name of a type without arguments and reference marks: `Map` for `&mut Map<K, V>`.
pub(super) fn plain_name(text: &str) -> Box<str> {
    let whole = text.trim_matches(|c: char| c.is_whitespace() || "*&()".contains(c));
    let cut = whole.find(['<', '[', '(', '{', '+', ',']).map_or(whole, |at| &whole[..at]);
    let last = cut.split_whitespace().next_back().unwrap_or("").trim_start_matches(['*', '&']);
    crate::stdx::text::prefix(if last.is_empty() { whole } else { last }, MAX_CONTAINER_BYTES).into()
}

#[cfg(test)]
mod tests {
    use super::plain_name;

    #[test]
    fn plain_names() {
        for (text, name) in [
            ("Map", "Map"),
            ("&'a mut Map<K, V>", "Map"),
            ("*List[T]", "List"),
            ("a::b::C<D>", "a::b::C"),
            ("dyn Any + Send", "Any"),
            ("[T]", "[T]"),
            ("(A, B)", "A"),
            ("", ""),
        ] {
            assert_eq!(&*plain_name(text), name, "{text}");
        }
    }
}
