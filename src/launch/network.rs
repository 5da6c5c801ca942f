//! `serve --listen`: runs a daemon in the foreground that listens on the network, or asks the running daemon to listen.

use std::{future::pending, sync::Arc};

use polytree_protocol::{listen::ServerListenParams, methods::ServerListen};
use tokio::sync::oneshot;

use super::{context::LaunchContext, error::Error as Unreached};
use crate::{
    daemon::{self, Daemon, listeners},
    jsonrpc::peer,
    serve::web::{TokenError, TokenFile},
};

/// The requested listeners.
#[derive(Debug, Clone, Default)]
pub struct Network {
    pub listeners: Vec<ServerListenParams>,
    /// Replace the token first.
    pub new_token: bool,
}

impl Network {
    fn is_requested(&self) -> bool {
        !self.listeners.is_empty() || self.new_token
    }
}

/// What a user needs for the listeners.
#[derive(Clone)]
pub struct Opened {
    /// The addresses of the requested listeners.
    pub urls: Vec<String>,
    /// The token that clients must send. A secret: only for the terminal, never for a log.
    pub token: String,
}

/// Why there are no listeners.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no daemon.
    #[error(transparent)]
    Daemon(#[from] Unreached),
    /// The daemon in this process cannot open one.
    #[error(transparent)]
    Listener(#[from] listeners::Error),
    /// The running daemon did not open one.
    #[error(transparent)]
    Peer(#[from] peer::Error),
    /// The token cannot be read or written.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Runs the daemon in the foreground with these listeners until a signal ends it. If a daemon runs already, asks that
/// one to open them and returns. `ready` is called with the daemon, `opened` with the listeners.
///
/// # Errors
/// If there is no daemon, or a listener cannot be opened; the daemon does not run without it.
pub async fn serve(
    context: LaunchContext,
    network: Network,
    ready: impl FnOnce(&Daemon),
    opened: impl FnOnce(&Opened),
) -> Result<(), Error> {
    let tokens = TokenFile::new(&context.places.data);
    if network.new_token {
        tokens.replace()?;
    }
    let (started, daemon) = oneshot::channel();
    let serving = super::serve(context.clone(), |daemon| {
        ready(daemon);
        // Without requested listeners there is no receiver.
        let _ = started.send(Arc::clone(&daemon.listeners));
    });
    let mut opened = Some(opened);
    let opening = async {
        let (Ok(listeners), true) = (daemon.await, network.is_requested()) else { return pending().await };
        let mut urls = Vec::new();
        for params in &network.listeners {
            urls.push(listeners.open(params.clone(), Arc::clone(&context.environment)).await?.url);
        }
        tell(&mut opened, urls, &tokens)?;
        pending().await
    };
    let ended = tokio::select! {
        ended = serving => ended,
        failed = opening => return failed,
    };
    match ended {
        Err(Unreached::Daemon(daemon::Error::Owned { .. })) if network.is_requested() => {
            let urls = ask(&context, &network.listeners).await?;
            Ok(tell(&mut opened, urls, &tokens)?)
        }
        ended => Ok(ended?),
    }
}

/// Asks the running daemon to open the listeners.
async fn ask(context: &LaunchContext, wanted: &[ServerListenParams]) -> Result<Vec<String>, Error> {
    let mut urls = Vec::new();
    if !wanted.is_empty() {
        let (daemon, backing) = super::reach(context, |_| ()).await?;
        for params in wanted {
            urls.push(daemon.peer.request::<ServerListen>(params).await?.url);
        }
        backing.close().await;
    }
    Ok(urls)
}

fn tell(opened: &mut Option<impl FnOnce(&Opened)>, urls: Vec<String>, tokens: &TokenFile) -> Result<(), TokenError> {
    let token = tokens.current()?.reveal().to_owned();
    if let Some(opened) = opened.take() {
        opened(&Opened { urls, token });
    }
    Ok(())
}
