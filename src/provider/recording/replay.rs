//! Replays a recording in place of the models. Each session is assigned to one of the recording; within it a request
//! gets the first unplayed answer to the same request. A request that is not in the recording fails with the first
//! difference.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream, stream::BoxStream};
use polytree_protocol::provider::{Model, ModelRef};
use serde_json::{Map, Value, json};

use crate::{
    provider::{
        definition::{Delta, Error, ModelRequest, Provider},
        recording::format::{AnswerLine, FORMAT_VERSION, Line, RequestLine, Sanitizer, digest, first_difference},
    },
    stdx::paths::AbsPath,
};

/// The size limit of a recording, in bytes.
const MAX_BYTES: u64 = 1 << 30;
/// How many sessions are tracked; beyond it the oldest one starts from the beginning again.
const MAX_PLAYING: usize = 256;

/// A recording to replay.
pub struct Replay {
    path: AbsPath,
    /// Sorted by their first request.
    sessions: Vec<Session>,
    // Locked for a look-up.
    playing: Mutex<VecDeque<Playing>>,
}

#[derive(Default)]
struct Session {
    exchanges: Vec<Exchange>,
}

struct Exchange {
    /// The compared values.
    request: Value,
    digest: String,
    has_tools: bool,
    model: ModelRef,
    info: Model,
    answer: Option<AnswerLine>,
}

struct Playing {
    name: String,
    session: usize,
    played: Vec<bool>,
}

impl Replay {
    /// Reads a recording.
    ///
    /// # Errors
    /// When it is invalid; the message has file and line.
    pub fn read(path: &AbsPath) -> Result<Self, String> {
        let told = |why: &dyn std::fmt::Display| format!("the recording {path} cannot be played: {why}");
        let length = std::fs::metadata(path).map_err(|error| told(&error))?.len();
        if length > MAX_BYTES {
            return Err(told(&format!("it has more than {} MiB", MAX_BYTES >> 20)));
        }
        let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
        let sessions = parse(&text).map_err(|why| told(&why))?;
        if sessions.is_empty() {
            return Err(told(&"it holds no request"));
        }
        Ok(Self { path: path.clone(), sessions, playing: Mutex::default() })
    }

    /// The model of the first request with or without tools: the default for sessions that name none.
    pub fn first_model(&self, has_tools: bool) -> Option<ModelRef> {
        let mut exchanges = self.sessions.iter().flat_map(|session| &session.exchanges);
        exchanges.find(|exchange| exchange.has_tools == has_tools).map(|exchange| exchange.model.clone())
    }

    /// The recorded description of a model.
    pub fn model(&self, model: &ModelRef) -> Option<Model> {
        let mut exchanges = self.sessions.iter().flat_map(|session| &session.exchanges);
        exchanges.find(|exchange| exchange.model == *model).map(|exchange| exchange.info.clone())
    }

    fn answer(&self, request: &ModelRequest, sanitizer: &Sanitizer) -> Result<AnswerLine, Error> {
        let (rest, messages) = sanitizer.stable(request);
        let wanted = digest(&rest, &messages);
        let mut playing = self.playing.lock().unwrap_or_else(PoisonError::into_inner);
        let place = match playing.iter().position(|playing| playing.name == request.cache_key) {
            Some(place) => place,
            None => {
                let session = self.unplayed(&playing, &wanted).ok_or_else(|| self.differs(0, &[], rest.clone(), messages.clone()))?;
                if playing.len() >= MAX_PLAYING {
                    playing.pop_front();
                }
                let played = vec![false; self.sessions[session].exchanges.len()];
                playing.push_back(Playing { name: request.cache_key.clone(), session, played });
                playing.len() - 1
            }
        };
        let Playing { session, played, .. } = &mut playing[place];
        let exchanges = &self.sessions[*session].exchanges;
        let found = (0..exchanges.len()).find(|place| !played[*place] && exchanges[*place].digest == wanted);
        let Some(found) = found else { return Err(self.differs(*session, played, rest, messages)) };
        played[found] = true;
        let path = &self.path;
        let ended = exchanges[found].answer.clone();
        ended.ok_or_else(|| Error::Request { message: format!("the recording {path} ends before the answer to this request") })
    }

    /// The first of the least played recorded sessions with this request.
    fn unplayed(&self, playing: &VecDeque<Playing>, wanted: &str) -> Option<usize> {
        let fits = |place: &usize| self.sessions[*place].exchanges.iter().any(|exchange| exchange.digest == wanted);
        (0..self.sessions.len()).filter(fits).min_by_key(|place| playing.iter().filter(|playing| playing.session == *place).count())
    }

    /// The error with the first difference from the next recorded request.
    fn differs(&self, session: usize, played: &[bool], rest: Map<String, Value>, messages: Vec<Value>) -> Error {
        let path = &self.path;
        let has_tools = offers_tools(&rest);
        let now = whole(rest, messages);
        let exchanges = self.sessions[session].exchanges.iter().enumerate();
        let mut open = exchanges.filter(|(place, _)| !played.get(*place).copied().unwrap_or(false)).map(|(_, exchange)| exchange);
        let next = open.find(|exchange| exchange.has_tools == has_tools);
        let message = match next.and_then(|next| first_difference(&next.request, &now)) {
            Some((place, recorded, now)) => {
                format!("this request is not the one in the recording {path}: at {place} the recording has {recorded}, now it is {now}")
            }
            None => format!("the recording {path} has no further answer for this session"),
        };
        Error::Request { message }
    }
}

fn offers_tools(rest: &Map<String, Value>) -> bool {
    rest.get("tools").and_then(Value::as_array).is_some_and(|tools| !tools.is_empty())
}

fn whole(mut rest: Map<String, Value>, messages: Vec<Value>) -> Value {
    rest.insert("messages".to_owned(), json!(messages));
    Value::Object(rest)
}

fn parse(text: &str) -> Result<Vec<Session>, String> {
    let mut sessions: Vec<Session> = Vec::new();
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut requests: HashMap<String, (usize, usize)> = HashMap::new();
    let mut last: HashMap<(usize, bool), Vec<Value>> = HashMap::new();
    let is_whole = text.ends_with('\n');
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    while let Some((index, line)) = lines.next() {
        let number = index + 1;
        let line = match serde_json::from_str::<Line>(line) {
            Ok(line) => line,
            // An incomplete line after a crash.
            Err(_) if lines.peek().is_none() && !is_whole => break,
            Err(error) => return Err(format!("line {number}: {error}")),
        };
        match line {
            Line::Recording { format, .. } if format != FORMAT_VERSION => {
                return Err(format!("line {number}: its format is {format}, and this version knows {FORMAT_VERSION}"));
            }
            Line::Recording { .. } => last.clear(),
            Line::Request(line) => {
                let next = sessions.len();
                let session = *names.entry(line.session.clone()).or_insert(next);
                if session == next {
                    sessions.push(Session::default());
                }
                let has_tools = line.has_tools();
                let RequestLine { id, model, info, request, kept, messages: new, digest, .. } = *line;
                let messages = last.entry((session, has_tools)).or_default();
                if messages.len() < kept {
                    return Err(format!("line {number}: it builds on messages that are not there"));
                }
                messages.truncate(kept);
                messages.extend(new);
                let exchanges = &mut sessions[session].exchanges;
                requests.insert(id, (session, exchanges.len()));
                let request = whole(request, messages.clone());
                exchanges.push(Exchange { request, digest, has_tools, model, info, answer: None });
            }
            Line::Answer(answer) => {
                let (session, place) =
                    requests.get(&answer.id).copied().ok_or_else(|| format!("line {number}: it answers a request that is not there"))?;
                sessions[session].exchanges[place].answer = Some(answer);
            }
        }
    }
    Ok(sessions)
}

pub struct Replayed {
    pub replay: Arc<Replay>,
    pub sanitizer: Sanitizer,
    /// Whether to keep the original timing.
    pub timed: bool,
}

impl Provider for Replayed {
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<Delta, Error>> {
        let answer = match self.replay.answer(&request, &self.sanitizer) {
            Ok(answer) => answer,
            Err(error) => return stream::once(std::future::ready(Err(error))).boxed(),
        };
        // The end of an aborted answer is unknown.
        let aborted = || Error::Request { message: "in the recording the turn was aborted here".to_owned() };
        let end = answer.error.or_else(|| answer.dropped.then(aborted));
        let mut before = 0;
        let steps: Vec<(u64, Result<Delta, Error>)> = answer
            .deltas
            .into_iter()
            .map(|(time, delta)| (time.saturating_sub(std::mem::replace(&mut before, time)), Ok(self.sanitizer.play(delta))))
            .chain(end.map(|error| (0, Err(error))))
            .collect();
        let timed = self.timed;
        let played = stream::iter(steps).then(move |(wait, item)| async move {
            if timed {
                tokio::time::sleep(Duration::from_millis(wait)).await;
            }
            item
        });
        played.boxed()
    }
}
