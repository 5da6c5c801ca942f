//! `serve --listen`: a daemon in the foreground that listens on the network, or a word to the one that runs already.

use std::{future::pending, sync::Arc};

use polytree_protocol::{listen::ServerListenParams, methods::ServerListen};
use tokio::sync::oneshot;

use super::{context::LaunchContext, error::Error as Unreached};
use crate::{
    daemon::{self, Daemon, listeners},
    jsonrpc::peer,
    serve::web::{TokenError, TokenFile},
};

/// What is wanted of the network.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// The listeners.
    pub listeners: Vec<ServerListenParams>,
    /// Whether the token is replaced first.
    pub new_token: bool,
}

impl Network {
    fn is_wanted(&self) -> bool {
        !self.listeners.is_empty() || self.new_token
    }
}

/// What a person must know to use the listeners.
#[derive(Clone)]
pub struct Opened {
    /// Where the daemon listens now, of what was asked for.
    pub urls: Vec<String>,
    /// What clients must show. It is a secret: for the terminal, never for a log.
    pub token: String,
}

/// Why there are no listeners.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no daemon to open them.
    #[error(transparent)]
    Daemon(#[from] Unreached),
    /// The daemon in this process cannot open one.
    #[error(transparent)]
    Listener(#[from] listeners::Error),
    /// The daemon that runs did not open one.
    #[error(transparent)]
    Peer(#[from] peer::Error),
    /// There is no token.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Runs the daemon in the foreground with these listeners until a signal ends it; beside a running daemon, has that one
/// open them and returns. `ready` is told of the daemon, `opened` of the listeners.
///
/// # Errors
/// When there is no daemon, or it cannot open a listener: then it does not go on without it.
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
        // Nobody waits when nothing is wanted.
        let _ = started.send(Arc::clone(&daemon.listeners));
    });
    let mut opened = Some(opened);
    let opening = async {
        let (Ok(listeners), true) = (daemon.await, network.is_wanted()) else { return pending().await };
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
        Err(Unreached::Daemon(daemon::Error::Owned { .. })) if network.is_wanted() => {
            let urls = ask(&context, &network.listeners).await?;
            Ok(tell(&mut opened, urls, &tokens)?)
        }
        ended => Ok(ended?),
    }
}

/// Has the daemon that runs open the listeners.
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
