//! What can be typed about recordings. It travels to the daemon as variables of the client, like its keys, so that it
//! counts for the turns of this client alone.

use std::path::PathBuf;

use super::args::{ClientCommand, Command};
use crate::{
    provider::{RECORD, REPLAY, REPLAY_TIMED},
    stdx::paths::AbsPath,
};

/// What becomes of calls of models.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct TapeArgs {
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

impl TapeArgs {
    /// The variables that ask for it; paths are meant from `directory`.
    pub fn variables(&self, directory: &AbsPath) -> impl Iterator<Item = (String, String)> {
        let file = |name: &str, path: &Option<PathBuf>| path.as_ref().map(|path| (name.to_owned(), directory.join(path).to_string()));
        let timed = self.replay_timed.then(|| (REPLAY_TIMED.to_owned(), "1".to_owned()));
        [file(RECORD, &self.record), file(REPLAY, &self.replay), timed].into_iter().flatten()
    }
}

impl Command {
    /// What becomes of calls of models, for the commands that can make some.
    #[must_use]
    pub fn tape(&self) -> Option<&TapeArgs> {
        match self {
            Self::Client(ClientCommand::Run(args)) => Some(&args.tape),
            Self::Serve(args) => Some(&args.tape),
            Self::Stdio(args) => Some(&args.tape),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::{super::args::Args, *};

    #[test]
    fn paths_are_meant_from_where_the_process_is() {
        for line in ["run x", "serve", "stdio"] {
            let args = Args::parse_from(format!("polytree {line} --replay tape.jsonl --replay-timed").split(' '));
            let variables: Vec<_> = args.command.tape().unwrap().variables(&AbsPath::new("/d").unwrap()).collect();
            let expected = [(REPLAY, "/d/tape.jsonl"), (REPLAY_TIMED, "1")].map(|(name, value)| (name.to_owned(), value.to_owned()));
            assert_eq!(variables, expected, "{line}");
        }
        let args = Args::parse_from(["polytree", "run", "--record", "/t", "x"]);
        let variables: Vec<_> = args.command.tape().unwrap().variables(&AbsPath::new("/d").unwrap()).collect();
        assert_eq!(variables, [(RECORD.to_owned(), "/t".to_owned())]);
        assert!(Args::parse_from(["polytree", "models"]).command.tape().is_none());
    }
}
