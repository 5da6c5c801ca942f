//! Chooses the recording to which a client's requests are written, or from which they are answered. In descending
//! precedence: the client's environment variables, for the turns that it starts; those of a daemon in the foreground;
//! the user's settings.

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

/// The variable with the file to record to.
pub const RECORD: &str = "POLYTREE_RECORD";
/// The variable with the file to replay.
pub const REPLAY: &str = "POLYTREE_REPLAY";
/// If `1`, replayed answers have their original timing.
pub const REPLAY_TIMED: &str = "POLYTREE_REPLAY_TIMED";

/// The capacity of the cache of open recordings; beyond it they are from former clients.
const CACHE_CAPACITY: usize = 64;

/// Modification time and length.
type FileState = (Option<SystemTime>, u64);

/// The recordings of a daemon.
#[derive(Default)]
pub struct Recordings {
    /// The daemon's own environment variables.
    own: BTreeMap<String, String>,
    // Locked for a look-up or an insert, and while a recording is read, so that it is read once.
    recorders: Mutex<HashMap<AbsPath, Arc<Recorder>>>,
    replays: Mutex<HashMap<AbsPath, (FileState, Arc<Replay>)>>,
}

/// What to do with a client's requests.
#[derive(Clone)]
pub enum Recording {
    Record(Arc<Recorder>),
    /// Replay; with `true` in the original timing.
    Replay(Arc<Replay>, bool),
}

impl Recordings {
    /// `environment` are the daemon's own variables.
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        let own = environment.iter().filter(|(name, _)| [RECORD, REPLAY, REPLAY_TIMED].contains(&name.as_str()));
        Self { own: own.map(|(name, value)| (name.clone(), value.clone())).collect(), ..Self::default() }
    }

    /// The recording for a client with these variables and settings, if any.
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
        if recorders.len() >= CACHE_CAPACITY && !recorders.contains_key(&path) {
            // Recordings in use are kept alive by their requests.
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
        if replays.len() >= CACHE_CAPACITY {
            replays.clear();
        }
        let replay = Arc::new(Replay::read(path)?);
        replays.insert(path.clone(), (state, Arc::clone(&replay)));
        Ok(replay)
    }
}
