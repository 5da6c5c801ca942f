//! The other side of the socket, for the command line.

use std::io;

use interprocess::local_socket::tokio::prelude::*;
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::{
    address::Address,
    hello::{Hello, Welcome},
};
use crate::jsonrpc::peer::ErrorObject;

/// The longest first line of a daemon, in bytes.
const LINE_LIMIT: usize = 64 * 1024;

/// A connection whose hello was accepted.
pub struct Greeted {
    /// Who serves.
    pub welcome: Welcome,
    /// What the daemon sends.
    pub input: Box<dyn AsyncRead + Unpin + Send>,
    /// What it reads.
    pub output: Box<dyn AsyncWrite + Unpin + Send>,
}

/// Why there is no such connection.
#[derive(Debug, thiserror::Error)]
pub enum NotGreeted {
    /// The daemon does not serve this client.
    #[error(transparent)]
    Refused(ErrorObject),
    /// Nobody listens, or whoever listened has gone.
    #[error("the daemon does not answer on its socket")]
    Silent(#[from] io::Error),
}

/// What a daemon says first.
#[derive(Deserialize)]
#[serde(untagged)]
enum First {
    Welcome { welcome: Welcome },
    Refusal { error: ErrorObject },
}

/// Connects to the daemon, says hello, and waits until it is welcome: from then on the daemon serves it.
///
/// # Errors
/// [`NotGreeted`].
pub async fn greet(address: &Address, hello: &Hello) -> Result<Greeted, NotGreeted> {
    let (mut input, output) = connect(address, &Hello { welcome: true, ..hello.clone() }).await?;
    let mut read = Vec::with_capacity(256);
    let end = loop {
        if let Some(end) = read.iter().position(|byte| *byte == b'\n') {
            break end;
        }
        if read.len() > LINE_LIMIT || input.read_buf(&mut read).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    };
    let rest = io::Cursor::new(read.split_off(end + 1));
    match serde_json::from_slice(&read).map_err(io::Error::from)? {
        First::Welcome { welcome } => Ok(Greeted { welcome, input: Box::new(rest.chain(input)), output: Box::new(output) }),
        First::Refusal { error } => Err(NotGreeted::Refused(error)),
    }
}

/// Connects to the daemon and says hello; gives what the daemon sends and what it reads. A refusal comes as the
/// first line.
///
/// # Errors
/// `NotFound` or `ConnectionRefused` when no daemon listens, `PermissionDenied` when another user does.
pub async fn connect(
    address: &Address,
    hello: &Hello,
) -> io::Result<(impl AsyncRead + Unpin + Send + 'static, impl AsyncWrite + Unpin + Send + 'static)> {
    let stream = LocalSocketStream::connect(address.name()?).await?;
    // The hello holds keys: nobody else may listen at our address, not even where everybody can make directories.
    #[cfg(unix)]
    if !super::same_user::same_user(&stream) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "another user listens on the socket"));
    }
    let (reader, mut writer) = split(stream);
    writer.write_all(format!("{}\n", hello.line()).as_bytes()).await?;
    writer.flush().await?;
    Ok((reader, writer))
}

/// Both directions. Shutting down the second ends the other side's input, which the library's own halves do not do.
#[cfg(unix)]
pub(super) fn split(stream: LocalSocketStream) -> (tokio::net::unix::OwnedReadHalf, tokio::net::unix::OwnedWriteHalf) {
    let LocalSocketStream::UdSocket(stream) = stream;
    tokio::net::UnixStream::from(stream).into_split()
}

/// Both directions.
#[cfg(windows)]
pub(super) fn split(stream: LocalSocketStream) -> (tokio::io::ReadHalf<LocalSocketStream>, tokio::io::WriteHalf<LocalSocketStream>) {
    tokio::io::split(stream)
}
