//! A language's grammar with the query that finds definitions. Queries follow the conventions of tree-sitter tags:
//!
//! - `@definition.KIND` is a whole definition and `@name` its name; in languages with declarators, `@declarator`
//!   contains the name. `@container` is the name of its container, if that does not enclose it.
//! - `@scope` contains definitions without being one; `@scope.file` names the container of the rest of the file.
//! - `@local` is an anonymous function: definitions in it are local.

use std::sync::OnceLock;

use tree_sitter::{Language as Parsing, Query};

use super::{kind::SymbolKind, language::Language};

/// The role of a captured node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Definition(Definition),
    /// Contains definitions without being one.
    Scope,
    /// The container of everything after it.
    FileScope,
    /// An anonymous function.
    Local,
}

/// Properties of a definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Definition {
    /// The kind by the node alone.
    pub kind: SymbolKind,
    /// Skipped inside functions.
    pub can_be_local: bool,
    /// Definitions in it are inside a function.
    pub is_function: bool,
    /// It belongs to the type that contains the enclosing function.
    pub is_promoted: bool,
}

/// A capture of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capture {
    Is(Role),
    Name,
    Declarator,
    Container,
    Other,
}

/// A grammar with its compiled query.
pub(super) struct Grammar {
    pub parsing: Parsing,
    pub query: Query,
    pub captures: Vec<Capture>,
}

macro_rules! query {
    ($($name:literal),+) => { concat!($(include_str!(concat!("queries/", $name)), "\n"),+) };
}

impl Grammar {
    /// The grammar of a language; loaded at its first use, which takes some milliseconds.
    pub fn of(language: Language) -> &'static Self {
        macro_rules! grammar {
            ($function:path, $query:expr) => {{
                static GRAMMAR: OnceLock<Grammar> = OnceLock::new();
                GRAMMAR.get_or_init(|| Self::new($function.into(), $query))
            }};
        }
        match language {
            Language::Rust => grammar!(tree_sitter_rust::LANGUAGE, query!("rust.scm")),
            Language::TypeScript => grammar!(tree_sitter_typescript::LANGUAGE_TYPESCRIPT, query!("ecmascript.scm", "typescript.scm")),
            Language::Tsx => grammar!(tree_sitter_typescript::LANGUAGE_TSX, query!("ecmascript.scm", "typescript.scm")),
            Language::JavaScript => grammar!(tree_sitter_javascript::LANGUAGE, query!("ecmascript.scm", "javascript.scm")),
            Language::Python => grammar!(tree_sitter_python::LANGUAGE, query!("python.scm")),
            Language::Go => grammar!(tree_sitter_go::LANGUAGE, query!("go.scm")),
            Language::C => grammar!(tree_sitter_c::LANGUAGE, query!("c.scm")),
            Language::Cpp => grammar!(tree_sitter_cpp::LANGUAGE, query!("c.scm", "cpp.scm")),
            Language::Java => grammar!(tree_sitter_java::LANGUAGE, query!("java.scm")),
            Language::CSharp => grammar!(tree_sitter_c_sharp::LANGUAGE, query!("c_sharp.scm")),
            Language::Ruby => grammar!(tree_sitter_ruby::LANGUAGE, query!("ruby.scm")),
            Language::Php => grammar!(tree_sitter_php::LANGUAGE_PHP, query!("php.scm")),
            Language::Lua => grammar!(tree_sitter_lua::LANGUAGE, query!("lua.scm")),
            Language::Bash => grammar!(tree_sitter_bash::LANGUAGE, query!("bash.scm")),
        }
    }

    fn new(parsing: Parsing, query: &str) -> Self {
        // Grammar and query are compiled into the program; a test loads them all.
        let query = Query::new(&parsing, query).expect("the query fits the grammar");
        let captures = query.capture_names().iter().map(|name| capture(name)).collect();
        Self { parsing, query, captures }
    }
}

fn capture(name: &str) -> Capture {
    if let Some(definition) = name.strip_prefix("definition.").and_then(definition) {
        return Capture::Is(Role::Definition(definition));
    }
    match name {
        "name" => Capture::Name,
        "declarator" => Capture::Declarator,
        "container" => Capture::Container,
        "scope" => Capture::Is(Role::Scope),
        "scope.file" => Capture::Is(Role::FileScope),
        "local" => Capture::Is(Role::Local),
        _ => Capture::Other,
    }
}

fn definition(word: &str) -> Option<Definition> {
    let plain = |kind| Definition { kind, can_be_local: false, is_function: false, is_promoted: false };
    let function = |kind| Definition { is_function: true, ..plain(kind) };
    let local = |kind| Definition { can_be_local: true, ..plain(kind) };
    Some(match word {
        "module" => plain(SymbolKind::Module),
        "namespace" => plain(SymbolKind::Namespace),
        "class" => plain(SymbolKind::Class),
        "struct" => plain(SymbolKind::Struct),
        "interface" => plain(SymbolKind::Interface),
        "enum" => plain(SymbolKind::Enum),
        "enum_member" => local(SymbolKind::EnumMember),
        "function" | "macro" => function(SymbolKind::Function),
        "method" => function(SymbolKind::Method),
        "constructor" => function(SymbolKind::Constructor),
        // A getter or setter.
        "accessor" => function(SymbolKind::Property),
        // A function in an object literal, unless the literal is inside a function.
        "member" => Definition { can_be_local: true, ..function(SymbolKind::Method) },
        "promoted" => Definition { is_promoted: true, ..plain(SymbolKind::Property) },
        "field" => local(SymbolKind::Field),
        "property" => local(SymbolKind::Property),
        "event" => local(SymbolKind::Event),
        "constant" => local(SymbolKind::Constant),
        "variable" => local(SymbolKind::Variable),
        "type" => local(SymbolKind::TypeAlias),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_fits_its_grammar_and_uses_known_words() {
        for language in Language::ALL {
            let grammar = Grammar::of(language);
            for (name, capture) in grammar.query.capture_names().iter().zip(&grammar.captures) {
                let known = matches!(*name, "called" | "modifier" | "modifiers" | "between");
                assert_eq!(*capture == Capture::Other, known, "{language:?} {name}");
            }
        }
    }
}
