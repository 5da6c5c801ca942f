//! Reads a file by lines, an image or a PDF as a whole, a directory by names. Whatever was read may be changed afterwards.

mod lines;
mod nested;
mod one;
mod several;

use async_trait::async_trait;
use polytree_protocol::permission::Action;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    context::ToolContext,
    definition::{Defaults, Tool, ToolError, ToolOutput},
    path,
};
use crate::stdx::paths::AbsPath;
use one::{Window, one};

pub struct Read;

/// What to read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReadArgs {
    /// The file or directory, absolute or relative to the working directory.
    file_path: String,
    /// The first line to give, from 1.
    #[serde(default)]
    offset: Option<usize>,
    /// How many lines to give, 2000 if not said.
    #[serde(default)]
    limit: Option<usize>,
    /// Further files to read in the same call, from their first lines; at most 19.
    #[serde(default)]
    file_paths: Option<Vec<String>>,
}

#[async_trait]
impl Tool for Read {
    const NAME: &'static str = "read";
    const DESCRIPTION: &'static str = include_str!("read.md");
    const PERMISSION: &'static str = "read";
    const DEFAULTS: Defaults = &[
        ("*", Action::Allow),
        // Variables with keys.
        (".env", Action::Ask),
        ("*/.env", Action::Ask),
        (".env.*", Action::Ask),
        ("*/.env.*", Action::Ask),
        (".env.example", Action::Allow),
        ("*/.env.example", Action::Allow),
        (".env.sample", Action::Allow),
        ("*/.env.sample", Action::Allow),
        (".env.template", Action::Allow),
        ("*/.env.template", Action::Allow),
    ];
    const READS_ONLY: bool = true;
    const IS_PAGED: bool = true;
    type Args = ReadArgs;

    fn subject(args: &ReadArgs, directory: &AbsPath) -> String {
        let path = path::shortened(&args.file_path, directory);
        if let Some(further) = args.file_paths.as_ref().filter(|further| !further.is_empty()) {
            return format!("{path} and {} more", further.len());
        }
        match (args.offset, args.limit) {
            (None, _) => path,
            (Some(offset), None) => format!("{path}:{offset}-"),
            (Some(offset), Some(limit)) => format!("{path}:{offset}-{}", offset.saturating_add(limit.max(1) - 1)),
        }
    }

    async fn run(&self, context: &ToolContext, args: ReadArgs) -> Result<ToolOutput, ToolError> {
        let window = Window::new(args.offset, args.limit);
        match args.file_paths {
            Some(further) if !further.is_empty() => several::read(context, Self::PERMISSION, (args.file_path, window), further).await,
            _ => one(context, Self::PERMISSION, &args.file_path, window).await,
        }
    }
}

#[cfg(test)]
mod tests;
