//! Converts matches of a query to symbols: determines containers, distinguishes methods from functions, and drops local
//! definitions. Pure.

use std::{collections::HashSet, ops::Range};

use super::{
    extract::{Tag, plain_name},
    grammar::{Definition, Role},
    kind::SymbolKind,
    language::Language,
};

/// The length limit of a name, in bytes.
const MAX_NAME_BYTES: usize = 512;

/// A symbol with byte ranges.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Symbol {
    pub name: Range<u32>,
    pub range: Range<u32>,
    pub kind: SymbolKind,
    pub container: Option<Box<str>>,
    /// It is enclosed by modules only.
    pub is_top: bool,
}

/// An enclosing node, with the properties that it inherits. They are copied, because looking them up outwards would be
/// quadratic in deeply nested text.
struct Enclosing<'a> {
    range: Range<u32>,
    role: Role,
    /// Its name, or that of the nearest enclosing node.
    name: Option<&'a str>,
    /// The name of the type that it is, or of the nearest enclosing type.
    in_type: Option<&'a str>,
    /// It is a module, enclosed by modules only.
    is_top: bool,
}

impl<'a> Enclosing<'a> {
    fn new(range: &Range<u32>, role: Role, name: Option<&'a str>, outer: Option<&Self>) -> Self {
        let name = name.or(outer.and_then(|outer| outer.name));
        let mut open = Self { range: range.clone(), role, name, in_type: outer.and_then(|outer| outer.in_type), is_top: false };
        if open.is_type() {
            open.in_type = name;
        }
        open.is_top =
            matches!(role, Role::Definition(Definition { kind, .. }) if kind.is_module()) && outer.is_none_or(|outer| outer.is_top);
        open
    }

    fn is_function(&self) -> bool {
        matches!(self.role, Role::Local | Role::Definition(Definition { is_function: true, .. }))
    }

    fn is_type(&self) -> bool {
        match self.role {
            Role::Scope => true,
            Role::Definition(Definition { kind, .. }) => kind.is_type(),
            Role::FileScope | Role::Local => false,
        }
    }
}

/// The symbols of a text, sorted by their start.
pub(super) fn nest(mut tags: Vec<Tag>, text: &str, language: Language) -> Vec<Symbol> {
    only_first_patterns(&mut tags);
    tags.sort_by(|one, other| {
        let key = |tag: &Tag| (tag.range.start, std::cmp::Reverse(tag.range.end), tag.name.start, tag.pattern);
        key(one).cmp(&key(other))
    });
    let mut open: Vec<Enclosing<'_>> = Vec::new();
    let mut file_scope = None;
    let mut variables = HashSet::new();
    let mut found = Vec::new();
    for tag in &tags {
        while open.last().is_some_and(|outer| !encloses(&outer.range, &tag.range)) {
            open.pop();
        }
        match tag.role {
            Role::Local => open.push(Enclosing::new(&tag.range, tag.role, None, open.last())),
            Role::FileScope => file_scope = text.get(bytes(&tag.name)),
            // The plain name is a part of the text, unless it was truncated.
            Role::Scope => {
                let name = text.get(bytes(&tag.name)).and_then(|full| {
                    let plain = plain_name(full);
                    let plain = plain.rsplit("::").next().unwrap_or(&plain);
                    full.rfind(plain).and_then(|at| full.get(at..at + plain.len()))
                });
                open.push(Enclosing::new(&tag.range, tag.role, name, open.last()));
            }
            Role::Definition(definition) => {
                let Some(name) = name(&tag.name, text) else { continue };
                let word = &text[bytes(&name)];
                let symbol = symbol(tag, definition, name, word, open.last(), file_scope, language);
                let is_container = !language.has_declarators() || !definition.can_be_local;
                if is_container {
                    // In C a typedef has the name of the type: the type inside with the same name is the same symbol.
                    let role =
                        Role::Definition(Definition { kind: symbol.as_ref().map_or(definition.kind, |found| found.kind), ..definition });
                    open.push(Enclosing::new(&tag.range, role, Some(word), open.last()));
                }
                let Some(symbol) = symbol else { continue };
                let is_duplicate = matches!(symbol.kind, SymbolKind::Variable | SymbolKind::Constant)
                    && !variables.insert((symbol.container.clone(), word));
                if !is_duplicate {
                    found.push(symbol);
                }
            }
        }
    }
    found
}

/// If several patterns match the same name, the first one of the query counts.
fn only_first_patterns(tags: &mut Vec<Tag>) {
    tags.sort_by_key(|tag| (!matches!(tag.role, Role::Definition(_)), tag.name.start, tag.name.end, tag.pattern));
    tags.dedup_by(|later, earlier| {
        matches!((later.role, earlier.role), (Role::Definition(_), Role::Definition(_))) && later.name == earlier.name
    });
}

/// Nodes with equal ranges are siblings: several names in one declaration.
fn encloses(outer: &Range<u32>, inner: &Range<u32>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end && outer != inner
}

fn symbol(
    tag: &Tag,
    definition: Definition,
    name: Range<u32>,
    word: &str,
    outer: Option<&Enclosing<'_>>,
    file_scope: Option<&str>,
    language: Language,
) -> Option<Symbol> {
    let promoted_to = outer.and_then(|outer| outer.in_type).filter(|_| definition.is_promoted);
    if definition.can_be_local && outer.is_some_and(Enclosing::is_function) {
        return None;
    }
    let enclosing_name = promoted_to.or(outer.and_then(|outer| outer.name));
    let container: Option<Box<str>> = tag.container.clone().or_else(|| enclosing_name.or(file_scope).map(Box::from));
    let is_in_type = outer.is_some_and(Enclosing::is_type);
    let last = container.as_deref().and_then(|container| container.rsplit([':', '.', '\\']).next());
    let belongs = tag.container.is_some() || is_in_type;
    let kind = match definition.kind {
        SymbolKind::Function if language == Language::Cpp && belongs && last == Some(word) => SymbolKind::Constructor,
        // A function of a Lua table or module is called without an object.
        SymbolKind::Function if belongs && !(tag.container.is_some() && language == Language::Lua) => SymbolKind::Method,
        SymbolKind::Method if enclosing_name.is_none() && tag.container.is_none() => SymbolKind::Function,
        SymbolKind::Variable if is_in_type => SymbolKind::Field,
        kind => kind,
    };
    // `typedef struct point { … } point;` is one type.
    if language.has_declarators()
        && outer.is_some_and(|outer| outer.name == Some(word) && matches!(outer.role, Role::Definition(other) if other.kind == kind))
        && matches!(kind, SymbolKind::Struct | SymbolKind::Enum)
    {
        return None;
    }
    Some(Symbol {
        name,
        range: tag.range.clone(),
        kind,
        container,
        is_top: tag.container.is_none() && outer.is_none_or(|outer| outer.is_top),
    })
}

/// The name without the quotes of a string or the colon of a symbol.
fn name(range: &Range<u32>, text: &str) -> Option<Range<u32>> {
    let full = text.get(bytes(range))?;
    let quotes = ['"', '\'', '`', ':'];
    let start = full.len() - full.trim_start_matches(quotes).len();
    let word = full[start..].trim_end_matches(['"', '\'', '`']);
    let is_name = !word.is_empty() && word != "_" && word.len() <= MAX_NAME_BYTES && !word.contains(char::is_control);
    // Both are within a `u32` range.
    let (start, length) = (u32::try_from(start).ok()?, u32::try_from(word.len()).ok()?);
    is_name.then(|| range.start + start..range.start + start + length)
}

fn bytes(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}
