//! The supported languages, and detection of a file's language by its name or its first line.

use std::path::Path;

/// A language with a grammar and a query for its definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    Rust,
    TypeScript,
    Tsx,
    JavaScript,
    Python,
    Go,
    C,
    Cpp,
    Java,
    CSharp,
    Ruby,
    Php,
    Lua,
    Bash,
}

/// What a file name determines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByName {
    Known(Language),
    /// A header of C or C++.
    Header,
    /// Nothing; the first line may name an interpreter.
    Open,
}

impl Language {
    #[cfg(test)]
    pub(super) const ALL: [Self; 14] = [
        Self::Rust,
        Self::TypeScript,
        Self::Tsx,
        Self::JavaScript,
        Self::Python,
        Self::Go,
        Self::C,
        Self::Cpp,
        Self::Java,
        Self::CSharp,
        Self::Ruby,
        Self::Php,
        Self::Lua,
        Self::Bash,
    ];

    /// Detection by name; `None` if the file has another type.
    pub(super) fn by_name(path: &Path) -> Option<ByName> {
        let name = path.file_name()?.to_string_lossy();
        let Some((stem, extension)) = name.rsplit_once('.') else {
            return Some(match &*name {
                "Rakefile" | "Gemfile" | "Guardfile" | "Vagrantfile" | "Podfile" | "Fastfile" => ByName::Known(Self::Ruby),
                "PKGBUILD" | "APKBUILD" => ByName::Known(Self::Bash),
                _ => ByName::Open,
            });
        };
        if stem.is_empty() {
            return matches!(extension, "bashrc" | "bash_profile" | "bash_aliases" | "profile" | "envrc")
                .then_some(ByName::Known(Self::Bash));
        }
        let language = match extension.to_ascii_lowercase().as_str() {
            "rs" => Self::Rust,
            "ts" | "mts" | "cts" => Self::TypeScript,
            "tsx" => Self::Tsx,
            "js" | "jsx" | "mjs" | "cjs" => Self::JavaScript,
            "py" | "pyi" | "pyw" => Self::Python,
            "go" => Self::Go,
            // By convention `.C` means C++.
            "c" if extension == "C" => Self::Cpp,
            "c" => Self::C,
            "h" => return Some(ByName::Header),
            "cc" | "cpp" | "cxx" | "c++" | "hh" | "hpp" | "hxx" | "h++" | "ipp" | "inl" | "tpp" | "ixx" | "cppm" | "ino" | "cu" | "cuh" => {
                Self::Cpp
            }
            "java" => Self::Java,
            "cs" | "csx" => Self::CSharp,
            "rb" | "rake" | "gemspec" | "ru" => Self::Ruby,
            "php" | "phtml" | "php5" | "php7" | "php8" => Self::Php,
            "lua" | "rockspec" => Self::Lua,
            "sh" | "bash" | "bats" | "ebuild" | "eclass" | "ksh" => Self::Bash,
            _ => return None,
        };
        Some(ByName::Known(language))
    }

    /// The language of a file with this name and text.
    pub(super) fn of(path: &Path, text: &str) -> Option<Self> {
        match Self::by_name(path)? {
            ByName::Known(language) => Some(language),
            ByName::Header => Some(if is_cpp(text) { Self::Cpp } else { Self::C }),
            ByName::Open => by_first_line(text),
        }
    }

    /// Whether names are inside declarators, and declarations of variables contain no other definitions.
    pub(super) fn has_declarators(self) -> bool {
        matches!(self, Self::C | Self::Cpp)
    }
}

/// Whether a header uses C++ syntax.
fn is_cpp(text: &str) -> bool {
    text.lines().any(|line| {
        let line = line.trim_start();
        let begins = |words: &[&str]| words.iter().any(|word| line.starts_with(word));
        begins(&["class ", "namespace ", "template <", "template<", "public:", "private:", "protected:", "using ", "constexpr "])
    })
}

/// Detection by the `#!` line.
fn by_first_line(text: &str) -> Option<Language> {
    let line = text.lines().next()?.strip_prefix("#!")?;
    let mut words = line.split_whitespace();
    let program = words.next()?.rsplit('/').next()?;
    let program =
        if program == "env" { words.find(|word| !word.starts_with('-') && !word.contains('='))?.rsplit('/').next()? } else { program };
    match program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "sh" | "bash" | "dash" | "ksh" | "ash" => Some(Language::Bash),
        "python" | "pypy" => Some(Language::Python),
        "node" | "nodejs" | "bun" => Some(Language::JavaScript),
        "deno" | "ts-node" | "tsx" => Some(Language::TypeScript),
        "ruby" => Some(Language::Ruby),
        "lua" | "luajit" => Some(Language::Lua),
        "php" => Some(Language::Php),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_detected_by_name_and_first_line() {
        for (name, text, expected) in [
            ("a.rs", "", Some(Language::Rust)),
            ("A.TSX", "", Some(Language::Tsx)),
            ("a.d.ts", "", Some(Language::TypeScript)),
            ("a.C", "", Some(Language::Cpp)),
            ("a.c", "", Some(Language::C)),
            ("a.h", "int f(void);", Some(Language::C)),
            ("a.h", "  class X;", Some(Language::Cpp)),
            ("a.txt", "#!/bin/sh", None),
            ("Rakefile", "", Some(Language::Ruby)),
            (".bashrc", "", Some(Language::Bash)),
            (".rs", "", None),
            ("run", "#!/bin/sh -e\n", Some(Language::Bash)),
            ("run", "#!/usr/bin/env -S A=1 python3.12 -u\n", Some(Language::Python)),
            ("run", "#!/usr/local/bin/node", Some(Language::JavaScript)),
            ("run", "#!/usr/bin/perl", None),
            ("run", "no program", None),
        ] {
            assert_eq!(Language::of(Path::new(name), text), expected, "{name} {text:?}");
        }
    }
}
