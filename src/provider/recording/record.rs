//! Records requests and answers. A request is written before it is sent, an answer before its last delta is passed on;
//! an aborted one is written too. The file is readable by its owner only.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use futures::{StreamExt as _, stream, stream::BoxStream};
use serde_json::Value;

use crate::{
    provider::{
        definition::{Delta, Error, ModelRequest, Provider},
        recording::format::{AnswerLine, FORMAT_VERSION, Line, RequestLine, Sanitizer, digest},
    },
    stdx::{ids, paths::AbsPath, tasks::Tasks, time::now_ms, version::version},
};

/// For how many sessions the last request is kept, so that only new messages are written.
const MAX_SESSIONS: usize = 256;

/// A recording file.
pub struct Recorder {
    path: AbsPath,
    // Locked while lines are written, so that they do not mix.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    file: Option<File>,
    last: HashMap<(String, bool), LastRequest>,
}

/// The last request of a session.
#[derive(Default)]
struct LastRequest {
    system: Option<blake3::Hash>,
    messages: Vec<blake3::Hash>,
}

impl Recorder {
    /// The file is opened at the first request and appended to.
    pub fn new(path: AbsPath) -> Self {
        Self { path, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn request(&self, id: &str, request: &ModelRequest, sanitizer: &Sanitizer) -> io::Result<()> {
        let (rest, mut messages) = sanitizer.stable(request);
        let digest = digest(&rest, &messages);
        let hash = |value: &Value| blake3::hash(value.to_string().as_bytes());
        let hashes: Vec<_> = messages.iter().map(hash).collect();
        let system = sanitizer.texts(&request.system);
        let system_hash = hash(&Value::from(system.clone()));
        let key = (request.cache_key.clone(), !request.tools.is_empty());
        let mut state = self.state();
        if state.last.len() >= MAX_SESSIONS && !state.last.contains_key(&key) {
            state.last.clear();
        }
        // A file that was moved away or deleted is created again.
        let begun_anew = state.open(&self.path)?;
        if begun_anew {
            state.last.clear();
        }
        let last = state.last.entry(key).or_default();
        let kept = last.messages.iter().zip(&hashes).take_while(|(one, other)| one == other).count();
        let line = Line::Request(Box::new(RequestLine {
            id: id.to_owned(),
            session: request.cache_key.clone(),
            time: now_ms(),
            model: request.model.clone(),
            info: request.info.clone(),
            system: (last.system != Some(system_hash)).then_some(system),
            request: rest,
            kept,
            messages: messages.split_off(kept),
            digest,
        }));
        *last = LastRequest { system: Some(system_hash), messages: hashes };
        state.write(&line)
    }

    fn answer(&self, answer: AnswerLine) {
        let mut state = self.state();
        // The session continues: its store has the answer.
        if let Err(error) = state.open(&self.path).and_then(|_| state.write(&Line::Answer(answer))) {
            tracing::warn!(%error, path = %self.path, "cannot record an answer");
        }
    }
}

impl State {
    /// Opens the file; returns whether it was open already.
    fn open(&mut self, path: &AbsPath) -> io::Result<bool> {
        if self.file.as_ref().is_some_and(|file| is_at(file, path)) {
            return Ok(false);
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        #[cfg(unix)]
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        self.file = Some(file);
        self.write(&Line::Recording { format: FORMAT_VERSION, version: version().to_owned() })?;
        Ok(true)
    }

    fn write(&mut self, line: &Line) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::Error::other("the file is not open")) };
        // In one write, so that a crash can only truncate the last line.
        let written = file.write_all((serde_json::to_string(line)? + "\n").as_bytes()).and_then(|()| file.sync_data());
        if written.is_err() {
            // A line may be incomplete, so the next one starts on a new line.
            let _ = file.write_all(b"\n");
        }
        written
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &AbsPath) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let place = |data: std::fs::Metadata| (data.dev(), data.ino());
    file.metadata().map(place).ok() == std::fs::metadata(path).map(place).ok()
}

#[cfg(not(unix))]
fn is_at(_: &File, path: &AbsPath) -> bool {
    path.as_path().exists()
}

/// A provider that records its requests and answers.
pub struct Recorded {
    pub inner: Arc<dyn Provider>,
    pub recorder: Arc<Recorder>,
    pub sanitizer: Sanitizer,
}

impl Provider for Recorded {
    fn stream(&self, request: ModelRequest) -> BoxStream<'static, Result<Delta, Error>> {
        let (inner, recorder, sanitizer) = (Arc::clone(&self.inner), Arc::clone(&self.recorder), self.sanitizer.clone());
        let begin = async move {
            let id = ids::next().to_string();
            let exchange = Exchange { recorder, sanitizer, id, begun: Instant::now(), deltas: Vec::new(), ended: false };
            let (exchange, request, written) = match Tasks::spawn_blocking(move || {
                let written = exchange.recorder.request(&exchange.id, &request, &exchange.sanitizer);
                (exchange, request, written)
            })
            .await
            {
                Ok(done) => done,
                Err(error) => return Err(Error::Request { message: format!("the request could not be recorded: {error}") }),
            };
            match written {
                Ok(()) => Ok((inner.stream(request), exchange)),
                Err(error) => {
                    let path = exchange.recorder.path.clone();
                    exchange.forget();
                    Err(Error::Request { message: format!("the recording {path} cannot be written: {error}") })
                }
            }
        };
        let play = |begun: Result<_, Error>| match begun {
            Ok(begun) => stream::unfold(Some(begun), next).left_stream(),
            Err(error) => stream::once(std::future::ready(Err(error))).right_stream(),
        };
        stream::once(begin).flat_map(play).boxed()
    }
}

type Playing = (BoxStream<'static, Result<Delta, Error>>, Exchange);

async fn next(playing: Option<Playing>) -> Option<(Result<Delta, Error>, Option<Playing>)> {
    let (mut deltas, mut exchange) = playing?;
    match deltas.next().await? {
        Ok(delta) => {
            exchange.note(delta.clone());
            if !matches!(delta, Delta::Finish { .. }) {
                return Some((Ok(delta), Some((deltas, exchange))));
            }
            exchange.end(None).await;
            Some((Ok(delta), None))
        }
        Err(error) => {
            exchange.end(Some(error.clone())).await;
            Some((Err(error), None))
        }
    }
}

/// A request and its answer, until both are written.
struct Exchange {
    recorder: Arc<Recorder>,
    sanitizer: Sanitizer,
    id: String,
    begun: Instant,
    deltas: Vec<(u64, Delta)>,
    ended: bool,
}

impl Exchange {
    fn note(&mut self, delta: Delta) {
        self.deltas.push((u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX), delta));
    }

    /// Writes the answer before its last delta is passed on.
    async fn end(mut self, error: Option<Error>) {
        let written = Tasks::spawn_blocking(move || self.write(error, false)).await;
        if let Err(error) = written {
            tracing::warn!(%error, "cannot record an answer");
        }
    }

    fn write(&mut self, error: Option<Error>, dropped: bool) {
        self.ended = true;
        let deltas = self.sanitizer.deltas(std::mem::take(&mut self.deltas));
        self.recorder.answer(AnswerLine { id: self.id.clone(), deltas, error, dropped });
    }

    fn forget(mut self) {
        self.ended = true;
    }
}

impl Drop for Exchange {
    /// The stream was dropped: the turn was aborted, or the daemon shuts down.
    fn drop(&mut self) {
        if !self.ended {
            self.write(None, true);
        }
    }
}
