//! Settings: where they are, which are trusted, and how they are merged. Files are never written. A project's files apply
//! only after its user trusts them.

pub mod front_matter;
pub mod instructions;
pub mod load;
pub mod mask;
pub mod places;
pub mod trust;

pub(crate) mod check;
pub(crate) mod files;
pub(crate) mod folders;
mod glob;
mod merge;
mod substitute;
mod tree;
mod typed;

#[cfg(test)]
mod load_tests;

use std::{fmt, io};

pub use load::Loader;
pub use places::Places;
use polytree_protocol::{config::Config, permission::Rule};
pub use tree::Unset;

use crate::stdx::paths::AbsPath;

/// The settings of a directory.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// All layers merged. Its `permission` is only for display; the lists of rules below decide.
    pub config: Config,
    /// The user's permission rules, in order. A `deny` that is the last match among these is final.
    pub user_rules: Vec<Rule>,
    /// The trusted project's permission rules, in order, after the user's.
    pub project_rules: Vec<Rule>,
    /// The files that were used, lowest first.
    pub files: Vec<AbsPath>,
    /// Each source by itself, lowest first.
    pub layers: Vec<Layer>,
    /// The variables in references that are not set.
    pub unset: Vec<Unset>,
    masked: Config,
}

impl Settings {
    /// The variables below a provider's key that are not set.
    pub fn unset_of(&self, provider: &str) -> impl Iterator<Item = &Unset> {
        self.unset.iter().filter(move |unset| matches!(&unset.path[..], [first, id, ..] if first == "provider" && id == provider))
    }

    /// The settings for clients, without secrets.
    #[must_use]
    pub fn shown(&self) -> Config {
        mask::mask(&self.masked)
    }
}

/// One source of settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Who wrote it.
    pub origin: Origin,
    /// Its name for users: a path or a variable.
    pub name: String,
    /// Its document, with references replaced.
    pub config: Config,
}

/// The origin of a source of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The user's global file.
    User,
    /// A file of the project, in this directory.
    Project(AbsPath),
    /// A file or text in a variable of the user; above all others.
    Environment,
}

impl Origin {
    /// Whether the user wrote it, not the project.
    #[must_use]
    pub fn is_user(&self) -> bool {
        !matches!(self, Self::Project(_))
    }
}

/// A position in a settings file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, or the variable with the text.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Why settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not JSON with comments, or the front matter is not YAML.
    #[error("{place}: {message}")]
    Syntax {
        place: Place,
        /// What was found or expected.
        message: String,
    },
    /// A key or value is invalid.
    #[error("{place}: {message}")]
    Invalid {
        place: Place,
        /// The key path, and what was expected.
        message: String,
    },
    /// A reference to a file cannot be resolved.
    #[error("{place}: {message}")]
    Reference {
        /// Where the reference stands.
        place: Place,
        message: String,
    },
    /// A file cannot be read, or is not text.
    #[error("cannot read the settings file {file}: {source}")]
    Unreadable { file: String, source: io::Error },
    /// A definition is wrong in itself.
    #[error("{file}: {message}")]
    Definition { file: String, message: String },
    /// A variable for a settings file is not an absolute path.
    #[error("{name} must be an absolute path, not {value:?}")]
    Variable { name: &'static str, value: String },
}

impl Error {
    /// The invalid file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Syntax { place, .. } | Self::Invalid { place, .. } | Self::Reference { place, .. } => Some(&place.file),
            Self::Unreadable { file, .. } | Self::Definition { file, .. } => Some(file),
            Self::Variable { .. } => None,
        }
    }

    /// The line and column of the error, both from 1.
    #[must_use]
    pub fn position(&self) -> Option<(u32, u32)> {
        match self {
            Self::Syntax { place, .. } | Self::Invalid { place, .. } | Self::Reference { place, .. } => Some((place.line, place.column)),
            Self::Unreadable { .. } | Self::Definition { .. } | Self::Variable { .. } => None,
        }
    }
}

impl tree::Problem {
    fn place(&self, file: &str) -> Place {
        Place { file: file.to_owned(), line: self.position.line, column: self.position.column }
    }

    fn syntax(self, file: &str) -> Error {
        Error::Syntax { place: self.place(file), message: self.message }
    }

    fn invalid(self, file: &str) -> Error {
        Error::Invalid { place: self.place(file), message: self.message }
    }

    fn reference(self, file: &str) -> Error {
        Error::Reference { place: self.place(file), message: self.message }
    }
}
