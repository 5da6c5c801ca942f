//! A client on standard input and output, passed on to the daemon that listens on the local socket. Either framing
//! becomes lines; what cannot be passed on is answered here. When the client ends its input it still gets the
//! answers to what it sent.

use std::sync::OnceLock;

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    sync::mpsc,
};

use super::{answer, connection::End};
use crate::jsonrpc::framing::{Decoder, Frame, Framing};

/// Passes messages on until the daemon has answered everything after the client's last, or one of both has gone:
/// `Stopped` means the daemon.
pub async fn bridge(
    mut client_input: impl AsyncRead + Unpin,
    mut client_output: impl AsyncWrite + Unpin,
    mut daemon_input: impl AsyncRead + Unpin,
    daemon_output: impl AsyncWrite + Unpin,
) -> End {
    let framing = OnceLock::new();
    let input_ended = OnceLock::new();
    let (refuse, mut refusals) = mpsc::channel(16);
    let up = async {
        let passed = pass_up(&mut client_input, daemon_output, &framing, refuse).await;
        if passed.is_ok() {
            // It is set here only, once.
            let _ = input_ended.set(());
        }
        // The other direction decides when it is over.
        std::future::pending().await
    };
    let down = pass_down(&mut daemon_input, &mut client_output, &framing, &mut refusals);
    tokio::select! {
        end = up => end,
        written = down => match written {
            Err(_) => End::Gone,
            Ok(()) if input_ended.get().is_some() => End::Input,
            Ok(()) => End::Stopped,
        }
    }
}

async fn pass_up(
    client: &mut (impl AsyncRead + Unpin),
    mut daemon: impl AsyncWrite + Unpin,
    framing: &OnceLock<Framing>,
    refuse: mpsc::Sender<String>,
) -> std::io::Result<()> {
    let mut decoder = Decoder::default();
    let mut lines = Vec::new();
    loop {
        if framing.get().is_none()
            && let Some(known) = decoder.framing()
        {
            // It is set here only, once.
            let _ = framing.set(known);
        }
        while let Some(frame) = decoder.next_frame() {
            take(frame, &mut lines, &refuse).await;
        }
        daemon.write_all(&lines).await?;
        daemon.flush().await?;
        lines = Vec::new();
        if client.read_buf(decoder.space()).await? == 0 {
            break;
        }
    }
    if let Some(frame) = decoder.last_frame() {
        take(frame, &mut lines, &refuse).await;
        daemon.write_all(&lines).await?;
    }
    daemon.shutdown().await
}

/// A message becomes a line; what is none is refused.
async fn take(frame: Frame<'_>, lines: &mut Vec<u8>, refuse: &mpsc::Sender<String>) {
    match answer::text(frame) {
        Ok(text) => Framing::Lines.encode(text, lines),
        // Nobody takes refusals any more when the whole bridge is over.
        Err(response) => drop(refuse.send(response.to_string()).await),
    }
}

/// An error is the client's; the daemon's end is the end.
async fn pass_down(
    daemon: &mut (impl AsyncRead + Unpin),
    client: &mut (impl AsyncWrite + Unpin),
    framing: &OnceLock<Framing>,
    refusals: &mut mpsc::Receiver<String>,
) -> std::io::Result<()> {
    // Whatever the daemon sends is passed on: the limit is the daemon's affair.
    let mut decoder = Decoder::new(usize::MAX);
    let mut bytes = Vec::new();
    let mut refusing = true;
    // Asked at each message: when the first one comes, the client has shown its framing.
    let known = || framing.get().copied().unwrap_or(Framing::Lines);
    loop {
        tokio::select! {
            refusal = refusals.recv(), if refusing => match refusal {
                Some(refusal) => known().encode(&refusal, &mut bytes),
                None => refusing = false,
            },
            read = daemon.read_buf(decoder.space()) => {
                if !read.is_ok_and(|length| length > 0) {
                    break;
                }
                while let Some(frame) = decoder.next_frame() {
                    if let Ok(text) = answer::text(frame) {
                        known().encode(text, &mut bytes);
                    }
                }
            }
        }
        client.write_all(&bytes).await?;
        client.flush().await?;
        bytes.clear();
        bytes.shrink_to(1024 * 1024);
    }
    while let Ok(refusal) = refusals.try_recv() {
        known().encode(&refusal, &mut bytes);
    }
    client.write_all(&bytes).await?;
    client.shutdown().await
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncBufReadExt as _;

    use super::*;
    use crate::serve::testing::Client;

    #[tokio::test]
    async fn headers_become_lines_and_lines_headers() {
        let (daemon_input, daemon_output, served) = Client::new().into_halves();
        let (client, bridged) = tokio::io::duplex(1024);
        let (reader, mut writer) = tokio::io::split(client);
        let (bridge_input, bridge_output) = tokio::io::split(bridged);
        let running = bridge(bridge_input, bridge_output, daemon_input, daemon_output);
        let conversation = async {
            let request = "{\"jsonrpc\":\"2.0\",\n\"id\":1,\"method\":\"test.echo\",\"params\":{\"value\":\"a\"}}";
            writer.write_all(format!("Content-Length: {}\r\n\r\n{request}", request.len()).as_bytes()).await.unwrap();
            let mut reader = tokio::io::BufReader::new(reader);
            let mut head = String::new();
            reader.read_line(&mut head).await.unwrap();
            reader.read_line(&mut head).await.unwrap();
            let mut body = [0; 37];
            reader.read_exact(&mut body).await.unwrap();
            // What cannot be passed on is answered at once, and the end of input reaches the daemon.
            writer.write_all(b"Content-Type: a\r\n\r\n").await.unwrap();
            writer.shutdown().await.unwrap();
            let mut rest = String::new();
            reader.read_to_string(&mut rest).await.unwrap();
            (head, String::from_utf8(body.to_vec()).unwrap(), rest)
        };
        let (end, (head, body, rest)) = tokio::join!(running, conversation);
        assert_eq!(end, End::Input);
        assert_eq!((head.as_str(), body.as_str()), ("Content-Length: 37\r\n\r\n", r#"{"jsonrpc":"2.0","id":1,"result":"a"}"#));
        assert!(rest.contains("no usable `Content-Length`"), "{rest}");
        assert_eq!(served.await.unwrap(), End::Input);
    }

    #[tokio::test]
    async fn a_daemon_that_stops_is_noticed() {
        let (daemon, ours) = tokio::io::duplex(1024);
        drop(daemon);
        let (_client, bridged) = tokio::io::duplex(1024);
        let (bridge_input, bridge_output) = tokio::io::split(bridged);
        let (daemon_input, daemon_output) = tokio::io::split(ours);
        assert_eq!(bridge(bridge_input, bridge_output, daemon_input, daemon_output).await, End::Stopped);
    }
}
