//! The handler of `file.find`.

use polytree_protocol::{find::FindType, methods::FileFind};

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
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<String>, Error> {
        let limit = params.limit.unwrap_or(PATHS);
        if limit == 0 || limit > MAX_PATHS {
            return Err(Error::invalid_params(format!("`limit` must be from 1 to {MAX_PATHS}, not {limit}")));
        }
        let what = params.kind.map(|kind| match kind {
            FindType::File => EntryKind::File,
            FindType::Directory => EntryKind::Directory,
        });
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        let wanted = Wanted { query: params.query, limit: limit as usize, what };
        Ok(context.daemon.finder.find(&instance.checkout, &wanted).await?)
    }
}
