//! The options `--record` and `--replay`. They are passed to the daemon as environment variables of the client, like its
//! keys, so that they apply only to the turns of this client.

use std::path::PathBuf;

use crate::{
    provider::{RECORD, REPLAY, REPLAY_TIMED},
    stdx::paths::AbsPath,
};

/// The options to record or replay exchanges with models.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct RecordingArgs {
    /// Append every exchange with a model to this file, without keys, for --replay
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    pub record: Option<PathBuf>,
    /// Let this recording answer instead of the models: no key, no network
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Let the answers take as long as they did
    #[arg(long, requires = "replay")]
    pub replay_timed: bool,
}

impl RecordingArgs {
    /// The environment variables for these options. Relative paths are joined to `directory`.
    pub fn variables(&self, directory: &AbsPath) -> impl Iterator<Item = (String, String)> {
        let file = |name: &str, path: &Option<PathBuf>| path.as_ref().map(|path| (name.to_owned(), directory.join(path).to_string()));
        let timed = self.replay_timed.then(|| (REPLAY_TIMED.to_owned(), "1".to_owned()));
        [file(RECORD, &self.record), file(REPLAY, &self.replay), timed].into_iter().flatten()
    }
}
