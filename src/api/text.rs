//! The handlers of `text.*`.

use std::{sync::Arc, time::Instant};

use polytree_protocol::{
    errors::ErrorKind,
    methods::{TextFind, TextSubscribe, TextUnsubscribe},
    text::{DEFAULT_LIMIT, MOST_CONTEXT, MOST_MATCHES, TextEnd, TextFindParams, TextItem, TextItems, TextTruncated},
};
use serde_json::value::{RawValue, to_raw_value};
use tokio::sync::mpsc;

use super::select;
use crate::{
    file::open,
    find::{
        files::Files,
        text::{Filter, Options, Place, Query, Stop, StreamSlot, Targets, find, stream},
    },
    overlay::Overlay,
    rpc::{
        error::Error,
        handler::{Context, Handler, SubscriptionHandler},
        sink::{Closed, Sink},
    },
    stdx::{paths::AbsPath, tasks::Tasks},
};

/// How many pieces of results wait for a client that reads slowly; then its search waits.
const CHUNKS: usize = 8;

/// A search that can begin.
struct Search {
    place: Place,
    query: Query,
    filter: Filter,
    overlay: Arc<Overlay>,
    limit: u64,
    /// The files, where an index has them.
    known: Option<Files>,
}

impl Search {
    fn targets(&mut self, stop: &Stop) -> Targets {
        Targets::select(&self.place, &self.filter, &self.overlay, self.known.take(), stop)
    }
}

/// What was prepared for a subscription.
pub struct Streaming {
    search: Search,
    slot: StreamSlot,
}

impl Handler for TextFind {
    async fn handle(context: Context, params: Self::Params) -> Result<TextItems, Error> {
        let mut search = prepare(&context, params).await?;
        let slot = context.daemon.searches.slot().await;
        let stop = Stop::default();
        // Whoever drops this future drops the guard, and the search ends.
        let _guard = stop.on_drop();
        let found = Tasks::spawn_blocking(move || {
            let targets = search.targets(&stop);
            let found = find(&search.place, &targets, &search.query, &search.overlay, &stop, search.limit);
            // The next search begins when this one's threads have ended, and not when nobody waits for it any more.
            drop(slot);
            array(found.items, found.summary.truncated.then_some(found.summary.matches))
        });
        found.await.map_err(Error::internal)?
    }
}

impl SubscriptionHandler for TextSubscribe {
    const NOTIFICATION: &'static str = "text.match";
    type Feed = Streaming;

    async fn open(context: Context, params: Self::Params) -> Result<Streaming, Error> {
        let search = prepare(&context, params).await?;
        let slot = context.daemon.searches.stream(context.connection.id()).map_err(|limit| {
            Error::overloaded(format!("too many searches are open; the limit is {limit}"), limit as u64)
                .hint("read what they have found, or end them with `text.unsubscribe`")
        })?;
        Ok(Streaming { search, slot })
    }

    async fn run(feed: Streaming, sink: Sink) {
        let began = Instant::now();
        let stop = Stop::default();
        let _guard = stop.on_drop();
        let (sender, mut chunks) = mpsc::channel(CHUNKS);
        let searching = Tasks::spawn_thread("search", move || {
            let Streaming { mut search, slot } = feed;
            let targets = search.targets(&stop);
            let send = |chunk| sender.blocking_send(chunk).is_ok();
            let summary = stream(&search.place, &targets, &search.query, &search.overlay, &stop, search.limit, &send);
            drop(slot);
            summary
        });
        let searched = match searching {
            Ok(searched) => searched,
            Err(error) => return sink.break_down(&Error::internal(error)).await,
        };
        while let Some(chunk) = chunks.recv().await {
            for item in chunk.items() {
                if sink.send(item).await.is_err() {
                    return;
                }
            }
        }
        let summary = match searched.await {
            Ok(summary) => summary,
            Err(error) => return sink.break_down(&Error::internal(error)).await,
        };
        if summary.truncated && send(&sink, TextItem::Truncated(TextTruncated { limit: summary.matches })).await.is_err() {
            return;
        }
        let end = TextEnd {
            files: summary.files,
            matches: summary.matches,
            truncated: summary.truncated,
            unreadable: summary.unreadable,
            elapsed: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        // Who has gone does not miss it.
        let _ = send(&sink, TextItem::End(end)).await;
    }
}

impl<A: Send + Sync + 'static> Handler<A> for TextUnsubscribe {
    async fn handle(context: Context<A>, params: Self::Params) -> Result<bool, Error> {
        Ok(context.connection.unsubscribe(params.subscription))
    }
}

async fn send(sink: &Sink, item: TextItem) -> Result<(), Closed> {
    sink.send(&to_raw_value(&item).map_err(|_| Closed)?).await
}

/// A bracket and items with a comma behind each as an array, with how many there are where there would be more.
fn array(mut items: Vec<u8>, truncated: Option<u64>) -> Result<TextItems, Error> {
    if let Some(limit) = truncated {
        serde_json::to_writer(&mut items, &TextItem::Truncated(TextTruncated { limit })).map_err(Error::internal)?;
    } else if items.len() > 1 {
        items.pop();
    }
    items.push(b']');
    let text = String::from_utf8(items).map_err(Error::internal)?;
    RawValue::from_string(text).map(TextItems::new).map_err(Error::internal)
}

async fn prepare(context: &Context, params: TextFindParams) -> Result<Search, Error> {
    let directory = select::place(context, &params, params.session_id.as_ref()).await?;
    let overlay = Arc::clone(&context.daemon.overlay);
    // Compiling takes its time, and paths are looked at.
    let mut search = Tasks::spawn_blocking(move || compile(directory, params, overlay)).await.map_err(Error::internal)??;
    search.known = context.daemon.finder.files(&search.place.from).await;
    Ok(search)
}

fn compile(directory: AbsPath, params: TextFindParams, overlay: Arc<Overlay>) -> Result<Search, Error> {
    let limit = within("limit", params.limit.unwrap_or(DEFAULT_LIMIT), 1, MOST_MATCHES)?;
    let limit_per_file = params.limit_per_file.map(|limit| within("limitPerFile", limit, 1, u32::MAX)).transpose()?;
    let context = within("context", params.context.unwrap_or(0), 0, MOST_CONTEXT)?;
    let query = Query::new(&Options {
        pattern: params.pattern,
        fixed: params.fixed,
        case: params.letter_case.unwrap_or_default(),
        word: params.word,
        multiline: params.multiline,
        context: context as usize,
        limit_per_file: limit_per_file.map(u64::from),
    })?;
    let filter = Filter::new(&directory, &params.include, &params.exclude, &params.types)?;
    let from = below(&directory, params.path.as_deref(), &overlay)?;
    Ok(Search { place: Place { directory, from }, query, filter, overlay, limit: limit.into(), known: None })
}

fn within(field: &str, value: u32, least: u32, most: u32) -> Result<u32, Error> {
    if (least..=most).contains(&value) {
        return Ok(value);
    }
    Err(Error::invalid_params(format!("`{field}` must be from {least} to {most}, not {value}")))
}

/// The real path of what is to be searched, which must not lead out of the directory.
fn below(directory: &AbsPath, given: Option<&str>, overlay: &Overlay) -> Result<AbsPath, Error> {
    let Some(given) = given else { return Ok(directory.clone()) };
    let real = directory.join(given).real_or_nearest();
    if !real.is_within(directory) {
        return Err(Error::denied(format!("`path` leads out of the directory {directory}: {given:?}"))
            .hint("send the directory that it is in as `directory`"));
    }
    if real.as_path().is_dir() || overlay.get(&real).is_some() {
        return Ok(real);
    }
    match open::regular(&real) {
        Ok(_) => Ok(real),
        Err(open::Error::Io(_)) if real.as_path().symlink_metadata().is_err() => Err(Error::not_found("file or directory", &real)),
        Err(error) => Err(Error::new(ErrorKind::InvalidParams, format!("`path` cannot be searched: {error}"))),
    }
}
