//! Which recording a client's calls are written to, or answered from. A client asks for one by its variables, for the
//! turns that it starts; a daemon in the foreground by its own, for all clients that ask for none; then the user's
//! settings count.

pub(crate) mod format;
pub(crate) mod record;
pub(crate) mod replay;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use crate::{
    provider::recording::{record::Recorder, replay::Replay},
    stdx::paths::AbsPath,
};

/// The file to which a client's calls are written.
pub const RECORD: &str = "POLYTREE_RECORD";
/// The file from which they are answered.
pub const REPLAY: &str = "POLYTREE_REPLAY";
/// Whether replayed answers take as long as they did: `1`.
pub const REPLAY_TIMED: &str = "POLYTREE_REPLAY_TIMED";

/// Capacity of the caches of open recordings. More are left over from former clients.
const MAX_FILES: usize = 64;

/// The time of the last change, and the length.
type FileState = (Option<SystemTime>, u64);

/// The recordings of a daemon.
#[derive(Default)]
pub struct Recordings {
    /// What the daemon's own variables ask for.
    own: BTreeMap<String, String>,
    // Held for a look-up or an insert; a recording is read while it is held, so that it is read once.
    recorders: Mutex<HashMap<AbsPath, Arc<Recorder>>>,
    replays: Mutex<HashMap<AbsPath, (FileState, Arc<Replay>)>>,
}

/// What a client's calls of models are recorded in, or answered from.
#[derive(Clone)]
pub enum Recording {
    /// They are written down.
    Record(Arc<Recorder>),
    /// They are answered from a recording; with `true` in the time that it took.
    Replay(Arc<Replay>, bool),
}

impl Recordings {
    /// The recordings of a daemon with these variables of its own.
    #[must_use]
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        let own = environment.iter().filter(|(name, _)| [RECORD, REPLAY, REPLAY_TIMED].contains(&name.as_str()));
        Self { own: own.map(|(name, value)| (name.clone(), value.clone())).collect(), ..Self::default() }
    }

    /// The recording for the calls of a client with these variables and settings, if any.
    ///
    /// # Errors
    /// Why the recording cannot be used.
    pub fn choose(
        &self,
        environment: &BTreeMap<String, String>,
        record: Option<&str>,
        replay: Option<&str>,
    ) -> Result<Option<Recording>, String> {
        for (variables, is_own) in [(environment, false), (&self.own, true)] {
            let value = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
            let (record, replay) = (value(RECORD), value(REPLAY));
            if record.is_some() && replay.is_some() {
                let whose = if is_own { "the daemon's" } else { "the client's" };
                return Err(format!("{whose} {RECORD} and {REPLAY} are both set; a replay cannot be recorded"));
            }
            if record.is_some() || replay.is_some() {
                return self.open(record, replay, value(REPLAY_TIMED) == Some("1"));
            }
        }
        self.open(record, replay, false)
    }

    fn open(&self, record: Option<&str>, replay: Option<&str>, timed: bool) -> Result<Option<Recording>, String> {
        let path = |text: &str| AbsPath::expand(text).ok_or_else(|| format!("a recording must be named by an absolute path, not {text:?}"));
        match (record, replay) {
            (_, Some(replay)) => Ok(Some(Recording::Replay(self.replay(&path(replay)?)?, timed))),
            (Some(record), None) => Ok(Some(Recording::Record(self.recorder(path(record)?)))),
            (None, None) => Ok(None),
        }
    }

    fn recorder(&self, path: AbsPath) -> Arc<Recorder> {
        let mut recorders = self.recorders.lock().unwrap_or_else(PoisonError::into_inner);
        if recorders.len() >= MAX_FILES && !recorders.contains_key(&path) {
            // Those in use stay alive with their calls.
            recorders.retain(|_, recorder| Arc::strong_count(recorder) > 1);
        }
        Arc::clone(recorders.entry(path.clone()).or_insert_with(|| Arc::new(Recorder::new(path))))
    }

    fn replay(&self, path: &AbsPath) -> Result<Arc<Replay>, String> {
        let data = std::fs::metadata(path).map_err(|error| format!("the recording {path} cannot be played: {error}"))?;
        let state: FileState = (data.modified().ok(), data.len());
        let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, replay)) = replays.get(path)
            && *known == state
        {
            return Ok(Arc::clone(replay));
        }
        if replays.len() >= MAX_FILES {
            replays.clear();
        }
        let replay = Arc::new(Replay::read(path)?);
        replays.insert(path.clone(), (state, Arc::clone(&replay)));
        Ok(replay)
    }
}
