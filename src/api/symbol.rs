//! The handlers of `symbol.*`.

use std::ops::Range;

use polytree_protocol::{
    methods::SymbolFind,
    symbol::{Symbol, SymbolFindParams, SymbolLocation, SymbolPosition, SymbolRange},
};

use super::select;
use crate::{
    find::symbols::{Hit, Position, Request, SymbolKind},
    rpc::{
        error::Error,
        handler::{Context, Handler},
    },
    stdx::{paths::AbsPath, uri::file_uri},
};

/// How many symbols are answered when nothing else is asked for, and at most.
const LIMITS: (u32, u32) = (50, 1000);

impl Handler for SymbolFind {
    async fn handle(context: Context, params: Self::Params) -> Result<Vec<Symbol>, Error> {
        let limit = limit(&params)?;
        let kinds = kinds(&params)?;
        let instance = select::instance_or_session(&context, &params, params.session_id.as_ref()).await?;
        let path = params.path.as_deref().map(|path| inside(instance.directory(), path)).transpose()?;
        let request = Request { checkout: instance.checkout.clone(), path, query: params.query, kinds, limit };
        let found = context.daemon.symbols.find(request).await?;
        Ok(found.into_iter().map(|hit| symbol(hit, instance.directory())).collect())
    }
}

fn limit(params: &SymbolFindParams) -> Result<usize, Error> {
    match params.limit.unwrap_or(LIMITS.0) {
        limit if (1..=LIMITS.1).contains(&limit) => Ok(limit as usize),
        limit => Err(Error::invalid_params(format!("`limit` must be from 1 to {}, not {limit}", LIMITS.1))),
    }
}

fn kinds(params: &SymbolFindParams) -> Result<Vec<u8>, Error> {
    let kinds = params.kinds.clone().unwrap_or_default();
    match kinds.iter().find(|kind| !(1..=SymbolKind::HIGHEST).contains(kind)) {
        None => Ok(kinds),
        Some(kind) => Err(Error::invalid_params(format!("`kinds` must be numbers from 1 to {}, not {kind}", SymbolKind::HIGHEST))),
    }
}

/// The file or directory that is meant; it need not be there, since an editor may hold a new one.
fn inside(directory: &AbsPath, given: &str) -> Result<AbsPath, Error> {
    let path = directory.join(given).real_or_nearest();
    if path.is_within(directory) {
        return Ok(path);
    }
    Err(Error::denied(format!("`path`: {given:?} is outside of {directory}")).hint("send its directory as `directory`"))
}

fn symbol(hit: Hit, directory: &AbsPath) -> Symbol {
    Symbol {
        name: hit.name,
        kind: hit.kind.number(),
        container_name: hit.container,
        path: hit.path.relative_to(directory),
        location: SymbolLocation { uri: file_uri(&hit.path), range: range(&hit.range) },
        selection_range: range(&hit.name_range),
    }
}

fn range(range: &Range<Position>) -> SymbolRange {
    let position = |position: Position| SymbolPosition { line: position.line, character: position.character };
    SymbolRange { start: position(range.start), end: position(range.end) }
}
