//! The network listeners of a daemon: opened on request, one per address, and closed at shutdown.

use std::{net::SocketAddr, sync::Arc};

use polytree_protocol::{
    diagnose::DiagnosisListener,
    listen::{ServerListenParams, ServerListenResult},
};
use tokio::sync::mpsc;

use super::{
    guard::Guard,
    host::Host,
    listener,
    options::Options,
    site::{Limits, Site},
    tls,
    token::TokenFile,
};
use crate::{
    config::places::Environment,
    daemon::listeners::{Error, ListenRequest, Listeners},
    rpc::Rpc,
    stdx::{paths::AbsPath, tasks::Tasks, time::now_ms},
};

/// Opens listeners, and keeps the open ones.
pub struct NetworkListeners {
    rpc: Rpc,
    tasks: Tasks,
    listeners: Arc<Listeners>,
    tokens: TokenFile,
    limits: Limits,
    open: Vec<Open>,
}

struct Open {
    /// The requested address, with port 0 for any port.
    wanted: SocketAddr,
    bound: SocketAddr,
    options: Options,
    url: String,
}

impl NetworkListeners {
    /// Listeners will serve `rpc` below `tasks`, with the token of the data directory, and be registered in `listeners`.
    #[must_use]
    pub fn new(rpc: Rpc, tasks: &Tasks, listeners: Arc<Listeners>, data: &AbsPath) -> Self {
        let tokens = TokenFile::new(data);
        Self { rpc, tasks: tasks.child(), listeners, tokens, limits: Limits::default(), open: Vec::new() }
    }

    /// With other limits.
    #[cfg(test)]
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Handles requests until the daemon shuts down.
    pub async fn serve(mut self, mut requests: mpsc::Receiver<ListenRequest>) {
        loop {
            let request = tokio::select! {
                () = self.tasks.token().cancelled() => return,
                request = requests.recv() => request,
            };
            let Some(ListenRequest { params, environment, answer }) = request else { return };
            let opened = self.open(&params, environment).await;
            match &opened {
                Ok(listener) => tracing::info!(url = listener.url, "listening"),
                Err(error) => tracing::warn!(address = params.address, "no listener: {error}"),
            }
            // The requester may not wait any more.
            let _ = answer.send(opened);
        }
    }

    /// Opens a listener, or returns the open one at the same address.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(&mut self, params: &ServerListenParams, environment: Arc<Environment>) -> Result<ServerListenResult, Error> {
        let mut options = Options::read(params)?;
        let (wanted, name) = listener::resolve(&params.address, options.tls.is_some()).await?;
        // The name in its address is one of its names.
        options.hosts.extend(Host::parse(&name).filter(|host| !host.is_address() && !host.is_loopback()));
        // Without a token, no client could connect.
        self.tokens.current().map_err(|error| Error::Unavailable { reason: error.to_string(), hint: None })?;
        let result = |url: &str| ServerListenResult { url: url.to_owned(), token_file: self.tokens.path().to_string() };
        if let Some(open) = self.open.iter().find(|open| open.wanted == wanted || open.bound == wanted) {
            return if open.options == options { Ok(result(&open.url)) } else { Err(Error::Conflict { url: open.url.clone() }) };
        }
        let acceptor = options.tls.as_ref().map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
        let (socket, bound) = listener::bind(wanted).await?;
        let scheme = if acceptor.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{name}:{}{}/", bound.port(), options.base_path);
        let site = Arc::new(Site {
            rpc: self.rpc.clone(),
            environment,
            guard: Guard::new(&options, bound.ip(), self.tokens.clone(), self.limits.wrong_token),
            options: options.clone(),
            secure: acceptor.is_some(),
            limits: self.limits,
            tasks: self.tasks.clone(),
        });
        let presence = self.listeners.enter(DiagnosisListener { address: url.clone(), since: now_ms() });
        drop(self.tasks.spawn("network listener", async move {
            listener::serve(site, socket, acceptor).await;
            drop(presence);
        }));
        let result = result(&url);
        self.open.push(Open { wanted, bound, options, url });
        Ok(result)
    }
}
