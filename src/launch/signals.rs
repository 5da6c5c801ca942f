//! The signals that end a daemon: the first one politely, the second one at once.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from its making on.
pub(super) struct Signals {
    #[cfg(unix)]
    signals: Option<[Signal; 3]>,
}

impl Signals {
    pub fn listen() -> Self {
        #[cfg(unix)]
        {
            let listen = || -> std::io::Result<_> {
                Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?])
            };
            let signals = listen().inspect_err(|error| tracing::warn!(%error, "signals cannot be heard: they end the daemon at once")).ok();
            Self { signals }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        #[cfg(unix)]
        match &mut self.signals {
            Some([terminate, interrupt, hangup]) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {}
                }
            }
            None => std::future::pending().await,
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
