//! The signals that end a daemon: the first one shuts it down, the second one exits immediately.

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Signals since its creation.
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
            let signals = listen().inspect_err(|error| tracing::warn!(%error, "signals cannot be handled: they kill the daemon")).ok();
            Self { signals }
        }
        #[cfg(not(unix))]
        Self {}
    }

    /// Waits for the next signal.
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
