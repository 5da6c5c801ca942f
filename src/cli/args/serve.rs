//! The options of the commands that run or stop a daemon.

use std::path::PathBuf;

use polytree_protocol::listen::ServerListenParams;

use super::recording::RecordingArgs;
use crate::stdx::paths::AbsPath;

/// Arguments of `serve`.
#[derive(Debug, Default, clap::Args)]
pub struct ServeArgs {
    /// Run in the background, and exit when idle; used by polytree itself
    #[arg(long, hide = true)]
    pub detached: bool,
    /// Also listen for WebSocket and HTTP clients (HOST:PORT, port 0 for a free one); may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Vec<String>,
    /// Allow web pages of this origin to connect; may be given more than once
    #[arg(long, value_name = "ORIGIN", requires = "listen")]
    pub allow_origin: Vec<String>,
    /// Allow clients to reach the listener by this host name; may be given more than once
    #[arg(long, value_name = "HOST", requires = "listen")]
    pub allow_host: Vec<String>,
    /// Serve everything below this path
    #[arg(long, value_name = "PATH", requires = "listen")]
    pub base_path: Option<String>,
    /// Trust the X-Forwarded-* headers; use it only behind a proxy that sets them
    #[arg(long, requires = "listen")]
    pub trust_forwarded: bool,
    /// The certificate chain (PEM) with which the listener speaks TLS
    #[arg(long, value_name = "FILE", requires = "listen", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "listen", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Replace the token that network clients must show; the old one becomes invalid
    #[arg(long)]
    pub new_token: bool,
    #[command(flatten)]
    pub recording: RecordingArgs,
}

impl ServeArgs {
    /// The listeners to open. Relative paths are joined to `directory`.
    #[must_use]
    pub fn listeners(&self, directory: &AbsPath) -> Vec<ServerListenParams> {
        let list = |texts: &Vec<String>| (!texts.is_empty()).then(|| texts.clone());
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| directory.join(path).to_string());
        let params = |address: &String| ServerListenParams {
            address: address.clone(),
            allow_origins: list(&self.allow_origin),
            allow_hosts: list(&self.allow_host),
            base_path: self.base_path.clone(),
            trust_forwarded: self.trust_forwarded.then_some(true),
            certificate: file(&self.certificate),
            key: file(&self.key),
            ..ServerListenParams::default()
        };
        self.listen.iter().map(params).collect()
    }
}

/// Arguments of `stdio`.
#[derive(Debug, Default, clap::Args)]
pub struct StdioArgs {
    #[command(flatten)]
    pub recording: RecordingArgs,
}

/// Arguments of `stop`.
#[derive(Debug, clap::Args)]
pub struct StopArgs {
    /// Wait for running turns; new prompts are refused, queued ones are kept [default]
    #[arg(long, conflicts_with = "now")]
    pub wait: bool,
    /// Interrupt running turns
    #[arg(long)]
    pub now: bool,
}
