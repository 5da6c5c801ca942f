//! The door on standard input and output. Only protocol messages go to standard output. At the end of the input, turns are
//! interrupted and pending requests are answered, within two seconds.

use std::{
    future::Future,
    io::{self, Read, Write},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::PollSender;

use super::{
    engine::{End, Engine},
    nonblocking::NonBlockingWriter,
};
use crate::{
    jsonrpc::framing::Decoder,
    rpc::{Rpc, connection::Connection},
    stdx::tasks::Tasks,
};

/// The timeout of pending requests before turns are interrupted.
const PENDING_TIMEOUT: Duration = Duration::from_millis(400);

/// The timeout of interrupting turns.
const INTERRUPT_TIMEOUT: Duration = Duration::from_millis(400);

/// The timeout of the answers of interrupted turns. Writing may take another second, so the total stays below two.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(100);

const CHUNK_BYTES: usize = 64 * 1024;

/// Serves the client on standard input and output until its input ends, it disconnects, or the daemon shuts down.
/// `interrupt` is awaited in the first two cases: it must end the turns and store that they were interrupted.
pub async fn serve_stdio(rpc: &Rpc, connection: Arc<Connection>, tasks: &Tasks, interrupt: impl Future<Output = ()>) -> End {
    serve_streams(rpc, connection, tasks, (input(), input_ended()), output(), interrupt).await
}

/// [`serve_stdio`] over other streams. The future beside the input ends when the other end was closed, even while earlier
/// input is not read because the client does not read its answers.
pub async fn serve_streams(
    rpc: &Rpc,
    connection: Arc<Connection>,
    tasks: &Tasks,
    (mut input, ended): (impl AsyncRead + Unpin, impl Future<Output = ()>),
    output: impl AsyncWrite + Unpin + Send + 'static,
    interrupt: impl Future<Output = ()>,
) -> End {
    let engine = Engine::start(rpc, connection, tasks, output);
    let (end, deadline) = {
        let mut decoder = Decoder::default();
        let mut reading = std::pin::pin!(engine.read(&mut decoder, &mut input));
        let end = tokio::select! {
            biased;
            end = &mut reading => Some(end),
            () = ended => None,
        };
        let deadline = Instant::now() + PENDING_TIMEOUT;
        match end {
            Some(end) => (end, deadline),
            None => (timeout_at(deadline, reading).await.unwrap_or(End::Gone), deadline),
        }
    };
    if end != End::Gone {
        let in_time = timeout_at(deadline, engine.idle()).await.is_ok();
        tracing::debug!(?end, in_time, "standard input has ended");
    }
    if timeout(INTERRUPT_TIMEOUT, interrupt).await.is_err() {
        tracing::warn!("interrupting the turns timed out");
    }
    if end != End::Gone {
        // Requests that wait for interrupted turns are answered by now.
        let _ = timeout(ANSWER_TIMEOUT, engine.idle()).await;
    }
    if end == End::Gone {
        engine.abandon();
    }
    engine.close().await;
    end
}

/// Standard input, read by a separate thread: the runtime would wait for a blocking thread at exit.
#[must_use]
pub fn input() -> impl AsyncRead + Unpin + Send {
    read_from(io::stdin())
}

/// Standard output. If a write would block, a separate thread does it, for the same reason.
#[must_use]
pub fn output() -> impl AsyncWrite + Unpin + Send + 'static {
    let nonblocking = NonBlockingWriter::new(&io::stdout());
    write_to(io::stdout(), nonblocking)
}

/// Waits until the other end of standard output is closed, also while nothing is written. If the operating system does not
/// report this, it waits forever; writing will fail.
pub async fn output_gone() {
    #[cfg(unix)]
    left(io::stdout(), rustix::event::PollFlags::empty()).await;
    #[cfg(not(unix))]
    std::future::pending::<()>().await;
}

/// Waits until the other end of standard input is closed, also while input is left to read. If the operating system does
/// not report this, it waits forever; reading will end.
pub async fn input_ended() {
    #[cfg(unix)]
    left(io::stdin(), HALF_CLOSED).await;
    #[cfg(not(unix))]
    std::future::pending::<()>().await;
}

/// The poll flag for the end of the other side's writes on a socket.
#[cfg(target_os = "linux")]
const HALF_CLOSED: rustix::event::PollFlags = rustix::event::PollFlags::RDHUP;
#[cfg(all(unix, not(target_os = "linux")))]
const HALF_CLOSED: rustix::event::PollFlags = rustix::event::PollFlags::empty();

/// Waits until the other end of a pipe or socket is closed; forever if the operating system does not report this.
#[cfg(unix)]
async fn left(stream: impl std::os::fd::AsFd + Send + 'static, asked: rustix::event::PollFlags) {
    use rustix::event::{PollFd, poll};
    let (sender, left) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        loop {
            // Errors and hang-ups are always reported.
            let mut watched = [PollFd::new(&stream, asked)];
            match poll(&mut watched, None) {
                Ok(_) if !watched[0].revents().is_empty() => break,
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                // A descriptor that cannot be polled is not watched.
                Err(_) => return,
            }
        }
        // The receiver may be gone at shutdown.
        let _ = sender.send(());
    });
    if left.await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn read_from(mut source: impl Read + Send + 'static) -> impl AsyncRead + Unpin + Send {
    let (sender, chunks) = mpsc::channel(2);
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let chunk = match source.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => Ok(buffer[..length].to_vec()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if sender.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    });
    Chunks { source: chunks, rest: Vec::new(), start: 0 }
}

struct Chunks {
    source: mpsc::Receiver<io::Result<Vec<u8>>>,
    rest: Vec<u8>,
    start: usize,
}

impl AsyncRead for Chunks {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.start == self.rest.len() {
            match ready!(self.source.poll_recv(context)) {
                None => return Poll::Ready(Ok(())),
                Some(chunk) => {
                    self.rest = chunk?;
                    self.start = 0;
                }
            }
        }
        let length = buffer.remaining().min(self.rest.len() - self.start);
        buffer.put_slice(&self.rest[self.start..self.start + length]);
        self.start += length;
        Poll::Ready(Ok(()))
    }
}

fn write_to(mut sink: impl Write + Send + 'static, nonblocking: Option<NonBlockingWriter>) -> impl AsyncWrite + Unpin + Send + 'static {
    let (sender, mut chunks) = mpsc::channel::<Vec<u8>>(2);
    let pending = Arc::new(Pending::default());
    let writing = pending.clone();
    std::thread::spawn(move || {
        while let Some(chunk) = chunks.blocking_recv() {
            if sink.write_all(&chunk).and_then(|()| sink.flush()).is_err() {
                // Closing the channel reports the end to the writer.
                break;
            }
            writing.count.fetch_sub(1, Ordering::Release);
            writing.waker.wake();
        }
        drop(chunks);
        writing.waker.wake();
    });
    Written { sender: PollSender::new(sender), pending, nonblocking }
}

/// The number of chunks that the thread has not written yet.
#[derive(Default)]
struct Pending {
    count: AtomicUsize,
    waker: AtomicWaker,
}

struct Written {
    sender: PollSender<Vec<u8>>,
    pending: Arc<Pending>,
    nonblocking: Option<NonBlockingWriter>,
}

fn gone() -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl AsyncWrite for Written {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // Only after the thread has written everything.
        if self.pending.count.load(Ordering::Acquire) == 0
            && let Some(count) = self.nonblocking.as_ref().and_then(|nonblocking| nonblocking.write(bytes))
        {
            return Poll::Ready(Ok(count));
        }
        ready!(self.sender.poll_reserve(context)).map_err(|_| gone())?;
        let chunk = &bytes[..bytes.len().min(16 * CHUNK_BYTES)];
        self.pending.count.fetch_add(1, Ordering::Relaxed);
        self.sender.send_item(chunk.to_vec()).map_err(|_| gone())?;
        Poll::Ready(Ok(chunk.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pending.waker.register(context.waker());
        if self.pending.count.load(Ordering::Acquire) == 0 {
            return Poll::Ready(Ok(()));
        }
        if self.sender.get_ref().is_none_or(mpsc::Sender::is_closed) {
            return Poll::Ready(Err(gone()));
        }
        Poll::Pending
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::{
        rpc::connection::Door,
        serve::testing::{App, rpc},
    };

    fn both_ways(pipe: io::PipeWriter) -> impl AsyncWrite + Unpin + Send + 'static {
        let nonblocking = NonBlockingWriter::new(&pipe);
        write_to(pipe, nonblocking)
    }

    /// Sends an input through real pipes and returns the output.
    async fn run(app: &Arc<App>, requests: &str, interrupt: impl Future<Output = ()>) -> String {
        let tasks = Tasks::new();
        let (client_input, mut our_input) = io::pipe().unwrap();
        let (mut our_output, client_output) = io::pipe().unwrap();
        our_input.write_all(requests.as_bytes()).unwrap();
        drop(our_input);
        let connection = Arc::new(Connection::new(Door::Stdio, None, Arc::new(BTreeMap::new())));
        let end = serve_streams(
            &rpc(app, &tasks),
            connection,
            &tasks,
            (read_from(client_input), std::future::pending()),
            both_ways(client_output),
            interrupt,
        )
        .await;
        assert_eq!(end, End::Input);
        tasks.cancel();
        tasks.finished().await;
        let mut text = String::new();
        our_output.read_to_string(&mut text).unwrap();
        text
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_read_is_answered_and_then_turns_are_interrupted() {
        let app = Arc::new(App::default());
        let requests = concat!(
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"test.echo\",\"params\":{\"value\":1}}\n",
            "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"test.wait\",\"params\":{\"gate\":\"turn\"}}\n",
            "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"test.wait\",\"params\":{\"gate\":\"never\"}}",
        );
        let started = std::time::Instant::now();
        let output = run(&app, requests, async { app.open("turn") }).await;
        assert!(started.elapsed() < Duration::from_secs(2));
        let mut lines: Vec<_> = output.lines().collect();
        lines.sort_unstable();
        assert_eq!(
            lines,
            [
                r#"{"jsonrpc":"2.0","id":1,"result":1}"#,
                r#"{"jsonrpc":"2.0","id":2,"result":true}"#,
                r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32800,"message":"the request was cancelled","data":{"kind":"cancelled"}}}"#,
            ]
        );
    }

    #[cfg(unix)]
    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_reads_nothing_is_left_at_the_end_of_its_input() {
        let (app, tasks) = (Arc::new(App::default()), Tasks::new());
        let (client_input, mut our_input) = io::pipe().unwrap();
        let (_our_output, client_output) = io::pipe().unwrap();
        let watched = client_input.try_clone().unwrap();
        // More than is read while the answers wait.
        rustix::fs::fcntl_setfl(&our_input, rustix::fs::OFlags::NONBLOCK).unwrap();
        std::thread::spawn(move || {
            let mut refused = 0;
            for id in 0.. {
                let request = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"test.large","params":{{"bytes":5000}}}}"#);
                // The reader reads for a while.
                while our_input.write_all(format!("{request}\n").as_bytes()).is_err() && refused < 200 {
                    std::thread::sleep(Duration::from_millis(2));
                    refused += 1;
                }
                if refused == 200 {
                    return;
                }
            }
        });
        let connection = Arc::new(Connection::new(Door::Stdio, None, Arc::new(BTreeMap::new())));
        let ended = Arc::new(std::sync::Mutex::new(None));
        let input = (read_from(client_input), async {
            left(watched, HALF_CLOSED).await;
            *ended.lock().unwrap() = Some(std::time::Instant::now());
        });
        let end = serve_streams(&rpc(&app, &tasks), connection, &tasks, input, both_ways(client_output), std::future::ready(())).await;
        assert_eq!(end, End::Gone, "it does not read its answers");
        let ended = ended.lock().unwrap().expect("the end is found while input is left");
        assert!(ended.elapsed() < Duration::from_secs(2), "{:?}", ended.elapsed());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_client_that_has_gone_is_noticed() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut output = both_ways(writer);
        let mut failed = output.write_all(b"x").await.is_err();
        failed |= output.flush().await.is_err();
        assert!(failed && output.flush().await.is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn large_chunks_pass_in_order_by_the_thread_and_at_once() {
        for is_at_once in [false, true] {
            let (reader, writer) = io::pipe().unwrap();
            let sent: Vec<u8> = (0u8..=250).cycle().take(5_000_000).collect();
            let nonblocking = is_at_once.then(|| NonBlockingWriter::new(&writer)).flatten();
            let mut output = write_to(writer, nonblocking);
            let mut input = read_from(reader);
            let mut received = vec![0; sent.len()];
            let (written, read) = tokio::join!(
                async {
                    for piece in sent.chunks(70_001) {
                        output.write_all(piece).await?;
                    }
                    output.flush().await
                },
                input.read_exact(&mut received)
            );
            written.unwrap();
            read.unwrap();
            assert!(sent == received);
        }
    }
}
