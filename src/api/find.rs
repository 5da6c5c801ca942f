//! The handlers of `file.find` and `file.match`.

use polytree_protocol::{
    find::{FileFindParams, FileMatch, FileMatchParams, FindType},
    methods::{FileFind, FileMatches},
};

use super::select;
use crate::{
    find::{EntryKind, Wanted},
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
};

/// How many paths are given when nobody says.
const PATHS: u32 = 50;
/// The most paths.
const MAX_PATHS: u32 = 1000;

impl Handler for FileFind {
    async fn handle(context: Context, params: FileFindParams) -> Result<Vec<String>, Error> {
        let wanted = wanted(params.query.clone(), params.limit, params.kind)?;
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        Ok(context.daemon.finder.find(&instance.checkout, &wanted).await?)
    }
}

impl Handler for FileMatches {
    async fn handle(context: Context, params: FileMatchParams) -> Result<Vec<FileMatch>, Error> {
        let wanted = wanted(params.query.clone(), params.limit, params.kind)?;
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        let found = context.daemon.finder.matches(&instance.checkout, &wanted).await?;
        Ok(found.into_iter().map(|(path, positions)| FileMatch { path, positions }).collect())
    }
}

fn wanted(query: String, limit: Option<u32>, kind: Option<FindType>) -> Result<Wanted, Error> {
    let limit = limit.unwrap_or(PATHS);
    if limit == 0 || limit > MAX_PATHS {
        return Err(Error::invalid_params(format!("`limit` must be from 1 to {MAX_PATHS}, not {limit}")));
    }
    let what = kind.map(|kind| match kind {
        FindType::File => EntryKind::File,
        FindType::Directory => EntryKind::Directory,
    });
    Ok(Wanted { query, limit: limit as usize, what })
}
