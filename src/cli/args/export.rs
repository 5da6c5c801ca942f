//! The options of `sessions export`, `sessions import` and `schema`.

use std::path::PathBuf;

use polytree_protocol::{generate, id::SessionId};

/// Arguments of `sessions export`.
#[derive(Debug, clap::Args)]
pub struct SessionsExportArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = SessionId::parse)]
    pub session: SessionId,
    /// The format; default: as the name of the output file says, else JSON, which can be imported
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<ExportFormat>,
    /// Write to this file instead of the standard output; only you can read it
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    pub force: bool,
}

/// How a conversation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// Everything, for `sessions import`
    Json,
    /// For people and other programs
    Markdown,
    /// A page that needs nothing else
    Html,
}

/// Arguments of `sessions import`.
#[derive(Debug, clap::Args)]
pub struct SessionsImportArgs {
    /// The file; `-` reads the standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {
    /// What to print
    #[arg(value_enum, value_name = "WHAT", default_value = "openrpc")]
    pub what: Schema,
}

/// A part of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Schema {
    /// Methods, events and errors, as an OpenRPC document
    Openrpc,
    /// All types, as JSON Schema
    Types,
    /// The settings file, as JSON Schema
    Config,
}

impl Schema {
    /// The document, as it stands in `schema/` of the repository.
    #[must_use]
    pub fn text(self) -> String {
        let path = match self {
            Self::Openrpc => "schema/openrpc.json",
            Self::Types => "schema/schema.json",
            Self::Config => "schema/config.json",
        };
        generate::documents().into_iter().find(|document| document.path == path).map(|document| document.text).unwrap_or_default()
    }
}
