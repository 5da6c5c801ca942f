//! The listening local socket: it accepts only the same user, and a client must send a hello first.

use std::{io, sync::Arc, time::Duration};

use interprocess::local_socket::{
    ListenerOptions,
    tokio::{Listener as Socket, prelude::*},
};
use polytree_protocol::errors::ErrorKind;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    time::timeout,
};

use super::{
    address::{Address, Error},
    client::split,
    hello::{Hello, Welcome},
};
use crate::{
    daemon::life::{Handover, Life},
    jsonrpc::framing::{Decoder, Frame, Framing, MESSAGE_LIMIT},
    rpc::{Rpc, error::Error as Refusal},
    serve::{
        answer,
        engine::{End, Engine},
    },
    stdx::{process::descriptors, tasks::Tasks, version::version},
    store::OwnerKind,
};

/// The maximum size of a hello, in bytes: it holds the client's environment variables.
const HELLO_LIMIT: usize = 8 * 1024 * 1024;

/// The timeout of the hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);

/// When a client should retry while this daemon shuts down for it, in milliseconds.
const HANDOVER_RETRY_MS: u64 = 100;

/// How long answers may take during shutdown.
const STOP_TIMEOUT: Duration = Duration::from_millis(500);

/// The interval of checks that the socket's file still exists.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The listening socket. Dropping it removes its file.
pub struct Listener {
    socket: Socket,
    address: Address,
    /// Identifies its file, which another process might replace.
    #[cfg(unix)]
    file: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at the first address that works.
    ///
    /// # Errors
    /// The first error, if none works.
    pub async fn bind_first(addresses: &[Address]) -> Result<Self, Error> {
        let mut first = None;
        for address in addresses {
            match Self::bind(address.clone()).await {
                Ok(listener) => return Ok(listener),
                Err(error) => {
                    tracing::debug!(path = %address.path(), "cannot listen here: {error}");
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or(Error::Nowhere))
    }

    /// Listens. The caller must own the data directory, so that an existing socket belongs to a dead daemon, and is replaced.
    ///
    /// # Errors
    /// If the directory is not private, the path is taken by something else, or the operating system refuses.
    pub async fn bind(address: Address) -> Result<Self, Error> {
        address.prepare()?;
        #[cfg(unix)]
        remove_stale(&address).await?;
        let path = address.path();
        let options = ListenerOptions::new().name(address.name().map_err(Error::io(path))?);
        #[cfg(unix)]
        let options = interprocess::os::unix::local_socket::ListenerOptionsExt::mode(options, 0o600);
        let mut socket = options.create_tokio().map_err(Error::io(path))?;
        // The library would remove any file with this path.
        socket.do_not_reclaim_name_on_drop();
        #[cfg(unix)]
        {
            // Some systems ignore the mode at binding; until here the directory protects the socket.
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(Error::io(path))?;
        }
        Ok(Self {
            #[cfg(unix)]
            file: identity(path),
            socket,
            address,
        })
    }

    /// Waits until the socket's file is removed, as when a runtime directory is cleaned: then no client can connect.
    pub async fn removed(&self) {
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await;
            if !self.is_in_place() {
                return;
            }
        }
    }

    #[cfg(unix)]
    fn is_in_place(&self) -> bool {
        self.file.is_none() || identity(self.address.path()) == self.file
    }

    #[cfg(windows)]
    fn is_in_place(&self) -> bool {
        // A named pipe has no file.
        true
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Serves clients until `tasks` is cancelled.
    pub async fn serve(&self, rpc: &Rpc, tasks: &Tasks) {
        loop {
            let accepted = tokio::select! {
                () = tasks.token().cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok(stream) => {
                    let (rpc, inner) = (rpc.clone(), tasks.clone());
                    drop(tasks.spawn("local connection", async move { welcome(&rpc, &inner, stream).await }));
                }
                Err(error) => {
                    // Probably out of file descriptors; others may be closed meanwhile.
                    tracing::warn!("cannot accept a local connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

#[cfg(unix)]
impl Drop for Listener {
    fn drop(&mut self) {
        if self.is_in_place() {
            // If this fails, the next daemon replaces it.
            let _ = std::fs::remove_file(self.address.path());
        }
    }
}

/// The device and inode of a file.
#[cfg(unix)]
fn identity(path: &crate::stdx::paths::AbsPath) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

async fn welcome(rpc: &Rpc, tasks: &Tasks, stream: LocalSocketStream) {
    #[cfg(unix)]
    if !super::same_user::same_user(&stream) {
        tracing::warn!("refused a connection of another user to the local socket");
        return;
    }
    let (reader, writer) = split(stream);
    serve_stream(rpc, tasks, reader, writer).await;
}

/// Serves one client, starting with its hello.
async fn serve_stream(rpc: &Rpc, tasks: &Tasks, mut reader: impl AsyncRead + Unpin, mut writer: impl AsyncWrite + Unpin + Send + 'static) {
    let mut decoder = Decoder::new(HELLO_LIMIT);
    let said = tokio::select! {
        said = timeout(HELLO_TIMEOUT, hello(rpc.life(), &mut decoder, &mut reader)) => said,
        () = tasks.token().cancelled() => return,
    };
    let late = || Refusal::invalid_request("no hello came in time");
    let connection = match said.unwrap_or_else(|_| Err(Some(late()))) {
        Ok(_) if descriptors::are_short() => {
            let text = "the daemon needs its remaining file descriptors for the connected clients";
            Err(Some(
                Refusal::unavailable(text).retry_after(1000).hint("close some of them, or raise the limit of open files with `ulimit -n`"),
            ))
        }
        Ok(hello) => {
            let life = rpc.life();
            // A new client makes the daemon check immediately whether its data directory was removed.
            life.is_lost();
            let room = life.make_room(&hello.executable_version);
            if life.is_shutting_down() && room != Some(Handover::Now) {
                // The client retries when the lock is free.
                return;
            }
            let welcome = Welcome { pid: std::process::id(), version: version().to_owned(), kind: life.kind(), room };
            let welcome = hello.welcome.then_some(welcome);
            hello.connection().map(|connection| (Arc::new(connection), welcome)).map_err(Some)
        }
        Err(refusal) => Err(refusal),
    };
    let connection = match connection {
        Ok((connection, None)) => connection,
        Ok((connection, Some(welcome))) => {
            let line = format!("{}\n", welcome.line());
            let written = timeout(STOP_TIMEOUT, writer.write_all(line.as_bytes())).await;
            if !matches!(written, Ok(Ok(()))) || welcome.room == Some(Handover::Now) {
                return;
            }
            connection
        }
        Err(refusal) => {
            if let Some(refusal) = refusal {
                let mut line = Vec::new();
                refusal.log();
                Framing::Lines.encode(answer::failure(None, &refusal).get(), &mut line);
                // A client that does not read its refusal is ignored.
                let _ = timeout(STOP_TIMEOUT, async {
                    writer.write_all(&line).await?;
                    writer.shutdown().await
                })
                .await;
            }
            return;
        }
    };
    tracing::debug!(connection = connection.id(), "a local client has connected");
    decoder.set_limit(MESSAGE_LIMIT);
    let engine = Engine::start(rpc, connection.clone(), tasks, writer);
    match engine.read(&mut decoder, &mut reader).await {
        // It may still read, so its requests are answered, without a timeout.
        End::Input => tokio::select! {
            () = engine.idle() => {}
            () = tasks.token().cancelled() => {}
        },
        End::Stopped => drop(timeout(STOP_TIMEOUT, engine.idle()).await),
        End::Gone => {}
    }
    engine.close().await;
    tracing::debug!(connection = connection.id(), "a local client has disconnected");
}

/// Reads the hello; without a refusal if the client disconnects without one.
async fn hello(life: &Life, decoder: &mut Decoder, reader: &mut (impl AsyncRead + Unpin)) -> Result<Hello, Option<Refusal>> {
    let read = |frame: Frame<'_>| match frame {
        Frame::Message(line) => Hello::parse(line).map_err(|refusal| match refusal.kind() {
            ErrorKind::UnsupportedVersion => Some(other_version(life, &Hello::executable_version_in(line).unwrap_or_default(), refusal)),
            _ => Some(refusal),
        }),
        Frame::TooLarge(_) => Err(Some(Refusal::too_large("the hello is too large", HELLO_LIMIT as u64))),
        Frame::BadHeaders | Frame::Truncated => Err(Some(Refusal::invalid_request("messages on this socket are lines"))),
    };
    loop {
        if decoder.framing() == Some(Framing::Headers) {
            return read(Frame::BadHeaders);
        }
        if let Some(frame) = decoder.next_frame() {
            return read(frame);
        }
        if reader.read_buf(decoder.space()).await.map_err(|_| None)? == 0 {
            return decoder.last_frame().map_or(Err(None), read);
        }
    }
}

/// The refusal of a client with another version. With `retryAfter`, a daemon with its version can start.
fn other_version(life: &Life, client: &str, refusal: Refusal) -> Refusal {
    let pid = std::process::id();
    let refusal = refusal.with(|data| data.pid = Some(pid));
    let daemon = version();
    match life.make_room(client) {
        Some(Handover::Now) => {
            refusal.retry_after(HANDOVER_RETRY_MS).hint(format!("the daemon {daemon} (process {pid}) shuts down now: retry"))
        }
        Some(Handover::Later) => refusal.retry_after(HANDOVER_RETRY_MS).hint(format!(
            "the daemon {daemon} (process {pid}) shuts down for {client} after its turns; `polytree stop --now` does not wait for them"
        )),
        Some(Handover::Never) => refusal.hint(match life.kind() {
            OwnerKind::Standalone => format!("the daemon {daemon} (process {pid}) is part of another program: exit that program"),
            _ => format!("the daemon {daemon} (process {pid}) does not shut down by itself: `polytree stop` or `kill {pid}` ends it"),
        }),
        None => refusal.hint(format!("the daemon (process {pid}) is polytree {daemon}: use a program that goes with it")),
    }
}

/// Removes the socket of a dead daemon; never another kind of file, or one of another user.
#[cfg(unix)]
async fn remove_stale(address: &Address) -> Result<(), Error> {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let path = address.path();
    let occupied = |reason| Err(Error::Occupied { path: path.clone(), reason });
    let metadata = match std::fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(path)(error)),
    };
    if !metadata.file_type().is_socket() {
        return occupied("it is not a socket");
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return occupied("it belongs to another user");
    }
    let name = address.name().map_err(Error::io(path))?;
    match LocalSocketStream::connect(name).await {
        Ok(_) => occupied("a daemon listens there"),
        Err(_) => std::fs::remove_file(path).map_err(Error::io(path)),
    }
}

#[cfg(all(test, unix))]
#[path = "server_tests.rs"]
mod tests;
