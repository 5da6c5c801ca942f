//! Which files below a directory a search reads, where its options choose them by name.

use std::{collections::HashMap, sync::LazyLock};

use ignore::types::TypesBuilder;

use super::{
    table::Kind,
    word::{Argument, Found},
};

/// What the options of a search choose.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// `--include` of grep.
    includes: Vec<Argument>,
    /// `--exclude` stands first: files that match none of the patterns are read.
    excludes_first: bool,
    /// `-g` of ripgrep, those that do not begin with `!`.
    globs: Vec<Argument>,
    /// `-t` of ripgrep.
    types: Vec<Argument>,
    /// `--type-add` of ripgrep.
    definitions: Vec<Argument>,
}

/// Files that are read below a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The directory, if the pattern names one: relative to where the program runs.
    pub directory: Option<String>,
    pub found: Found,
}

/// The patterns of the types that ripgrep knows.
static TYPES: LazyLock<HashMap<String, Vec<String>>> = LazyLock::new(|| {
    let mut types = TypesBuilder::new();
    types.add_defaults();
    types.definitions().into_iter().map(|definition| (definition.name().to_owned(), definition.globs().to_vec())).collect()
});

impl Selection {
    /// Notes the value of an option.
    pub(super) fn add(&mut self, kind: Kind, word: &Argument) {
        match kind {
            Kind::Include => self.includes.push(word.clone()),
            Kind::Exclude | Kind::ExcludeFile => self.excludes_first |= self.includes.is_empty(),
            // It only hides.
            Kind::Glob if word.known().starts_with('!') => {}
            Kind::Glob => self.globs.push(word.clone()),
            Kind::FileType => self.types.push(word.clone()),
            Kind::TypeDefinition => self.definitions.push(word.clone()),
            _ => {}
        }
    }

    /// The options `-g`, `-t` and their long forms among these words of ripgrep, each with its value.
    pub(super) fn of_ripgrep(words: &[Argument]) -> Self {
        const OPTIONS: &[(&str, Kind)] = &[
            ("--glob", Kind::Glob),
            ("--iglob", Kind::Glob),
            ("-g", Kind::Glob),
            ("--type", Kind::FileType),
            ("-t", Kind::FileType),
            ("--type-add", Kind::TypeDefinition),
        ];
        let mut selection = Self::default();
        let mut words = words.iter().take_while(|word| word.text != "--");
        while let Some(word) = words.next() {
            for (name, kind) in OPTIONS {
                let Some(rest) = word.text.strip_prefix(name) else { continue };
                let value = match rest.strip_prefix('=') {
                    _ if rest.is_empty() => words.next().cloned(),
                    Some(value) => Some(word.behind(word.text.len() - value.len())),
                    None if name.starts_with("--") => continue,
                    None => Some(word.behind(name.len())),
                };
                if let Some(value) = value {
                    selection.add(*kind, &value);
                }
                break;
            }
        }
        selection
    }

    /// What is read below a directory; empty where names do not matter. `hidden`: ignored files are read too.
    pub(super) fn chosen(&self, hidden: bool) -> Vec<Chosen> {
        let everywhere = |found: Found| Chosen { directory: None, found };
        if !self.globs.is_empty() {
            // They override what hides a file, and types too.
            return self.globs.iter().map(glob).collect();
        }
        if !self.types.is_empty() {
            let patterns: Option<Vec<String>> = self.types.iter().map(|word| self.patterns(word)).collect();
            let name = patterns.map(|patterns| format!("{{{}}}", patterns.join(",")));
            return vec![everywhere(Found { name, hidden: true, ignored: hidden, ..Found::default() })];
        }
        let name = self.included();
        name.map(|name| everywhere(Found { name: Some(name), hidden: true, ignored: true, ..Found::default() })).into_iter().collect()
    }

    /// The patterns of a type of files, joined by commas; `None` where they are not known.
    fn patterns(&self, word: &Argument) -> Option<String> {
        let name = word.literal()?;
        let mut patterns = TYPES.get(name).cloned().unwrap_or_default();
        for definition in &self.definitions {
            let (defined, pattern) = definition.literal()?.split_once(':')?;
            if pattern.starts_with("include:") {
                return None;
            }
            patterns.extend((defined == name).then(|| pattern.to_owned()));
        }
        let is_plain = |pattern: &String| !pattern.contains(['/', '\\']);
        (!patterns.is_empty() && patterns.iter().all(is_plain)).then(|| patterns.join(",").to_lowercase())
    }

    /// A pattern for the names of all files that grep reads below directories; `{a,b}` stands for two of them.
    fn included(&self) -> Option<String> {
        let is_known = |word: &&Argument| {
            let is_whole = word.holes.is_empty() && !word.tilde && !word.text.is_empty();
            is_whole && !word.text.contains(['[', '{', ',', '\\', '/']) && !word.text.starts_with(['!', '^'])
        };
        let names: Vec<String> = self.includes.iter().filter(is_known).map(|word| word.text.to_lowercase()).collect();
        match names.as_slice() {
            [] => None,
            _ if names.len() < self.includes.len() || self.excludes_first => None,
            [name] => Some(name.clone()),
            names => Some(format!("{{{}}}", names.join(","))),
        }
    }
}

/// What a pattern of ripgrep chooses: the syntax is that of `.gitignore`.
fn glob(word: &Argument) -> Chosen {
    let chosen = |directory: &[&str], name: Option<String>| {
        let directory = (!directory.is_empty()).then(|| directory.join("/"));
        Chosen { directory, found: Found { name, hidden: true, ignored: true, ..Found::default() } }
    };
    let mut text = word.text.trim_end_matches('/');
    // Braces may hold slashes.
    let is_odd = text.contains('\\') || (text.contains('{') && text.contains('/'));
    let is_known = word.holes.is_empty() && !word.tilde && !is_odd;
    let is_anchored = text.contains('/') && !text.starts_with("**/");
    text = text.trim_start_matches('/');
    while let Some(rest) = text.strip_prefix("**/") {
        text = rest;
    }
    let parts: Vec<&str> = text.split('/').collect();
    let Some((name, before)) = parts.split_last().filter(|_| is_known && !parts.iter().any(|part| matches!(*part, "" | "." | ".."))) else {
        return chosen(&[], None);
    };
    let known = before.iter().take_while(|part| is_anchored && !part.contains(['*', '?', '[', '{'])).count();
    chosen(&before[..known], Some(name.to_lowercase()).filter(|name| !name.chars().all(|character| character == '*')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_name_directories_and_files() {
        for (text, directory, name) in [
            ("*.rs", None, Some("*.rs")),
            (".env", None, Some(".env")),
            ("*", None, None),
            ("**", None, None),
            ("**/*.RS", None, Some("*.rs")),
            ("src/**", Some("src"), None),
            ("/src/a/*.rs", Some("src/a"), Some("*.rs")),
            ("src/", None, Some("src")),
            ("*/x", None, Some("x")),
            ("a/*/x", Some("a"), Some("x")),
            ("{a,b}", None, Some("{a,b}")),
            ("{a,b/c}", None, None),
            ("a/../.env", None, None),
            ("\\.env", None, None),
        ] {
            let found = Found { name: name.map(str::to_owned), hidden: true, ignored: true, ..Found::default() };
            assert_eq!(glob(&Argument::plain(text)), Chosen { directory: directory.map(str::to_owned), found }, "{text}");
        }
    }

    #[test]
    fn what_hides_and_what_is_not_known_chooses_nothing_by_name() {
        let chosen = |line: &str| {
            let words: Vec<Argument> = line.split(' ').map(Argument::plain).collect();
            let chosen = Selection::of_ripgrep(&words).chosen(false);
            chosen.into_iter().map(|chosen| chosen.found.name).collect::<Vec<_>>()
        };
        let name = |name: &str| vec![Some(name.to_owned())];
        assert_eq!(chosen("-g !*.rs x"), []);
        assert_eq!(chosen("-g=*.rs -tpy"), name("*.rs"));
        assert_eq!(chosen("--iglob *.rs"), name("*.rs"));
        assert_eq!(chosen("--type-add y1:.env -ty1 x"), name("{.env}"));
        assert_eq!(chosen("--type rust"), name("{*.rs}"));
        assert_eq!(chosen("-tunknown"), [None]);
        assert_eq!(chosen("-tall"), [None]);
        assert_eq!(chosen("--type-add y1:include:sh -ty1"), [None]);
        assert_eq!(chosen("-- -g *.rs"), []);
    }
}
