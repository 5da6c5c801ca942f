//! The other side of the socket, for the command line.

use std::io;

use interprocess::local_socket::tokio::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::{address::Address, hello::Hello};

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
    if !super::same_user(&stream) {
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
