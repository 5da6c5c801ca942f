//! The relay over real streams: daemons that come and go, and time that tests can move.

use std::collections::VecDeque;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split};

use super::*;

/// What the next attempts to find a daemon come to.
struct Daemons {
    attempts: VecDeque<Result<DuplexStream, Error>>,
    wanted: Vec<Want>,
    stopped: bool,
}

impl Daemons {
    fn new(attempts: impl IntoIterator<Item = Result<DuplexStream, Error>>) -> Self {
        Self { attempts: attempts.into_iter().collect(), wanted: Vec::new(), stopped: false }
    }
}

impl Dial for Daemons {
    type Error = Error;

    async fn dial(&mut self, want: Want, _: Option<&AbsPath>) -> Result<Option<Dialed>, Error> {
        self.wanted.push(want);
        if want == Want::Running {
            return Ok(None);
        }
        let stream = self.attempts.pop_front().unwrap_or_else(|| Err(Error::unavailable("no daemon")))?;
        let (input, output) = split(stream);
        Ok(Some(Dialed { input: Box::new(input), output: Box::new(output) }))
    }

    fn explain(&self, error: &Error) -> Error {
        Error::unavailable(error.message())
    }

    fn was_stopped(&self) -> bool {
        self.stopped
    }
}

type Lines = tokio::io::Lines<BufReader<ReadHalf<DuplexStream>>>;

/// A daemon's side of a connection, as lines.
fn daemon() -> (DuplexStream, Lines, WriteHalf<DuplexStream>) {
    let (near, far) = duplex(1 << 20);
    let (reader, writer) = split(far);
    (near, BufReader::new(reader).lines(), writer)
}

async fn next(lines: &mut Lines) -> String {
    lines.next_line().await.unwrap().expect("one more line")
}

async fn serve(daemons: &mut Daemons, conversation: impl AsyncFnOnce(Lines, WriteHalf<DuplexStream>)) -> Result<End, Error> {
    let (client, ours) = duplex(1 << 20);
    let (input, output) = split(ours);
    let (reader, writer) = split(client);
    let relay = relay(input, output, daemons, "relay:", std::future::pending());
    tokio::join!(relay, conversation(BufReader::new(reader).lines(), writer)).0
}

#[tokio::test]
async fn headers_become_lines_and_the_end_of_input_waits_for_answers() {
    let (near, mut heard, mut says) = daemon();
    let (client, ours) = duplex(1024);
    let (input, output) = split(ours);
    let (mut reader, mut writer) = split(client);
    let mut daemons = Daemons::new([Ok(near)]);
    let conversation = async {
        let request = "{\"jsonrpc\":\"2.0\",\n\"id\":1,\"method\":\"session.list\"}";
        writer.write_all(format!("Content-Length: {}\r\n\r\n{request}", request.len()).as_bytes()).await.unwrap();
        assert_eq!(next(&mut heard).await, request.replace('\n', " "));
        // What cannot be passed on is answered here.
        writer.write_all(b"Content-Type: a\r\n\r\n").await.unwrap();
        writer.shutdown().await.unwrap();
        assert_eq!(heard.next_line().await.unwrap(), None);
        says.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}\n").await.unwrap();
        says.shutdown().await.unwrap();
        drop((heard, says));
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert!(text.contains("Content-Length: 36\r\n\r\n{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}"), "{text}");
        assert!(text.contains("no usable `Content-Length`"), "{text}");
    };
    let (end, ()) = tokio::join!(relay(input, output, &mut daemons, "relay:", std::future::pending()), conversation);
    assert_eq!(end.unwrap(), End::Input);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_asked_again_and_nothing_of_an_answer_is_lost() {
    let (first, mut heard_first, mut first_says) = daemon();
    let (second, mut heard, mut says) = daemon();
    let mut daemons = Daemons::new([Ok(first), Err(Error::unavailable("not yet")), Ok(second)]);
    let end = serve(&mut daemons, async |mut reads, mut writes| {
        let list = r#"{"jsonrpc":"2.0","id":1,"method":"session.list"}"#;
        let delete = r#"{"jsonrpc":"2.0","id":2,"method":"session.delete","params":{"sessionID":"ses_1"}}"#;
        writes.write_all(format!("{list}\n{delete}\n").as_bytes()).await.unwrap();
        assert_eq!((next(&mut heard_first).await, next(&mut heard_first).await), (list.to_owned(), delete.to_owned()));
        // Half an answer is none.
        first_says.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"res").await.unwrap();
        drop((heard_first, first_says));
        assert!(next(&mut reads).await.contains("\"kind\":\"unavailable\""));
        assert_eq!(next(&mut heard).await, list);
        says.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":[]}\n").await.unwrap();
        assert_eq!(next(&mut reads).await, r#"{"jsonrpc":"2.0","id":1,"result":[]}"#);
        writes.shutdown().await.unwrap();
        assert_eq!(heard.next_line().await.unwrap(), None);
        drop((heard, says));
        assert_eq!(reads.next_line().await.unwrap(), None);
    })
    .await;
    assert_eq!(end.unwrap(), End::Input);
    assert_eq!(daemons.wanted, [Want::Started; 3]);
}

#[tokio::test(start_paused = true)]
async fn without_any_daemon_requests_are_answered_in_time() {
    let (first, heard, says) = daemon();
    let (last, mut heard_last, says_last) = daemon();
    let mut attempts: VecDeque<_> = (0..30).map(|_| Err(Error::unavailable("the disk is full"))).collect();
    attempts.push_front(Ok(first));
    attempts.push_back(Ok(last));
    let mut daemons = Daemons::new(attempts);
    let end = serve(&mut daemons, async |mut reads, mut writes| {
        let list = |id: usize| format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"session.list\"}}\n");
        writes.write_all(list(1).as_bytes()).await.unwrap();
        drop((heard, says));
        let started = Instant::now();
        let answer = next(&mut reads).await;
        assert!(answer.contains("the disk is full") && answer.contains("unavailable"), "{answer}");
        assert!(started.elapsed() < 3 * PATIENCE, "{:?}", started.elapsed());
        // Later ones do not wait for long either, and a daemon that is there again serves.
        let mut id = 2;
        loop {
            writes.write_all(list(id).as_bytes()).await.unwrap();
            let started = Instant::now();
            tokio::select! {
                refused = next(&mut reads) => assert!(refused.contains(&format!("\"id\":{id},")), "{refused}"),
                served = next(&mut heard_last) => {
                    assert_eq!(served, list(id).trim());
                    break;
                }
            }
            assert!(started.elapsed() <= PATIENCE, "{:?}", started.elapsed());
            id += 1;
        }
        writes.shutdown().await.unwrap();
        drop((heard_last, says_last));
        // The one that was under way gets its answer before the end.
        assert!(next(&mut reads).await.contains("unavailable"));
    })
    .await;
    assert_eq!(end.unwrap(), End::Input);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_daemon_is_started_again_only_when_it_is_needed() {
    let (first, mut heard, mut says) = daemon();
    let (second, mut heard_second, says_second) = daemon();
    let mut daemons = Daemons::new([Ok(first), Ok(second)]);
    daemons.stopped = true;
    let end = serve(&mut daemons, async |mut reads, mut writes| {
        writes.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"event.subscribe\"}\n").await.unwrap();
        next(&mut heard).await;
        says.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":9}\n").await.unwrap();
        let greeting = r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":9,"result":{"cursor":3,"type":"server.connected"}}}"#;
        says.write_all(format!("{greeting}\n").as_bytes()).await.unwrap();
        assert_eq!(next(&mut reads).await, r#"{"jsonrpc":"2.0","id":1,"result":1}"#);
        assert!(next(&mut reads).await.contains("server.connected"));
        drop((heard, says));
        tokio::time::sleep(4 * LOOK).await;
        writes.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"session.list\"}\n").await.unwrap();
        assert!(next(&mut heard_second).await.contains("\"since\":3"));
        assert!(next(&mut heard_second).await.contains("session.list"));
        writes.shutdown().await.unwrap();
        drop((heard_second, says_second));
        assert!(next(&mut reads).await.contains("unavailable"));
    })
    .await;
    assert_eq!(end.unwrap(), End::Input);
    let started: Vec<_> = daemons.wanted.iter().map(|want| *want == Want::Started).collect();
    assert!(started.starts_with(&[true, false, false]), "looked for, but not started, while nobody asks: {started:?}");
}

#[tokio::test]
async fn without_a_first_daemon_there_is_no_relay() {
    let mut daemons = Daemons::new([Err(Error::unavailable("the disk is full"))]);
    let end = serve(&mut daemons, async |_, _| {}).await;
    assert_eq!(end.unwrap_err().message(), "the disk is full");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_left_when_it_has_gone() {
    let (near, _heard, _says) = daemon();
    let (_client, ours) = duplex(1024);
    let (input, output) = split(ours);
    let mut daemons = Daemons::new([Ok(near)]);
    assert_eq!(relay(input, output, &mut daemons, "relay:", std::future::ready(())).await.unwrap(), End::Gone);
}
