//! The relay over real streams, with daemons that start and exit, and a clock that tests control.

use std::collections::VecDeque;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, ReadHalf, WriteHalf, duplex, split};

use super::*;

/// The outcomes of the next attempts to find a daemon.
struct Daemons {
    attempts: VecDeque<Result<DuplexStream, Error>>,
    wanted: Vec<DialMode>,
    stopped: bool,
    /// How long each attempt takes.
    pace: Duration,
}

impl Daemons {
    fn new(attempts: impl IntoIterator<Item = Result<DuplexStream, Error>>) -> Self {
        Self { attempts: attempts.into_iter().collect(), wanted: Vec::new(), stopped: false, pace: Duration::ZERO }
    }
}

impl Dial for Daemons {
    type Error = Error;

    async fn dial(&mut self, want: DialMode, _: Option<&AbsPath>) -> Result<Option<Dialed>, Error> {
        self.wanted.push(want);
        tokio::time::sleep(self.pace).await;
        if want == DialMode::Running || (want == DialMode::Again && self.stopped) {
            return Ok(None);
        }
        let stream = self.attempts.pop_front().unwrap_or_else(|| Err(Error::unavailable("no daemon")))?;
        let (input, output) = split(stream);
        Ok(Some(Dialed { input: Box::new(input), output: Box::new(output) }))
    }

    fn explain(&self, error: &Error) -> Error {
        Error::unavailable(error.message())
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
    let relay = relay((input, std::future::pending()), output, daemons, "relay:", std::future::pending());
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
        // The relay answers messages that cannot be passed on.
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
    let (end, ()) =
        tokio::join!(relay((input, std::future::pending()), output, &mut daemons, "relay:", std::future::pending()), conversation);
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
        // An incomplete answer is dropped.
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
    assert_eq!(daemons.wanted, [DialMode::Started, DialMode::Again, DialMode::Again]);
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
        assert!(started.elapsed() < 3 * RECONNECT_TIMEOUT, "{:?}", started.elapsed());
        // Later requests do not wait long either, and a new daemon answers.
        let mut id = 2;
        loop {
            writes.write_all(list(id).as_bytes()).await.unwrap();
            let started = Instant::now();
            tokio::select! {
                refused = next(&mut reads) => {
                    assert!(refused.contains(&format!("\"id\":{id},")), "{refused}");
                    tokio::time::sleep(FAILURE_TTL).await;
                }
                served = next(&mut heard_last) => {
                    assert_eq!(served, list(id).trim());
                    break;
                }
            }
            assert!(started.elapsed() <= RECONNECT_TIMEOUT + FAILURE_TTL, "{:?}", started.elapsed());
            id += 1;
        }
        writes.shutdown().await.unwrap();
        drop((heard_last, says_last));
        // The request in flight is answered before the end.
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
        tokio::time::sleep(4 * POLL_INTERVAL).await;
        writes.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"session.list\"}\n").await.unwrap();
        assert!(next(&mut heard_second).await.contains("\"since\":3"));
        assert!(next(&mut heard_second).await.contains("session.list"));
        writes.shutdown().await.unwrap();
        drop((heard_second, says_second));
        assert!(next(&mut reads).await.contains("unavailable"));
    })
    .await;
    assert_eq!(end.unwrap(), End::Input);
    assert_eq!(
        daemons.wanted[..4],
        [DialMode::Started, DialMode::Again, DialMode::Running, DialMode::Running],
        "checked for, but not started, without a request"
    );
}

/// Opens a subscription and reads until it is open.
async fn follow(reads: &mut Lines, writes: &mut WriteHalf<DuplexStream>, heard: &mut Lines, says: &mut WriteHalf<DuplexStream>) {
    writes.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":\"follow\",\"method\":\"event.subscribe\"}\n").await.unwrap();
    next(heard).await;
    says.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":\"follow\",\"result\":9}\n").await.unwrap();
    let greeting = r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":9,"result":{"cursor":3,"type":"server.connected"}}}"#;
    says.write_all(format!("{greeting}\n").as_bytes()).await.unwrap();
    assert_eq!(next(reads).await, r#"{"jsonrpc":"2.0","id":"follow","result":1}"#);
    assert!(next(reads).await.contains("server.connected"));
}

/// Fails immediately, or takes until the timeout of a daemon that does not answer.
#[tokio::test(start_paused = true)]
async fn a_client_that_follows_is_read_while_no_daemon_can_start() {
    for pace in [Duration::ZERO, RECONNECT_TIMEOUT, 20 * RECONNECT_TIMEOUT] {
        let (first, mut heard, mut says) = daemon();
        let mut daemons = Daemons { pace, ..Daemons::new([Ok(first)]) };
        let end = serve(&mut daemons, async |mut reads, mut writes| {
            follow(&mut reads, &mut writes, &mut heard, &mut says).await;
            drop((heard, says));
            tokio::time::sleep(Duration::from_secs(60)).await;
            for id in 1..4 {
                let started = Instant::now();
                writes.write_all(format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"session.list\"}}\n").as_bytes()).await.unwrap();
                let answer = next(&mut reads).await;
                assert!(answer.contains(&format!("\"id\":{id},")) && answer.contains("unavailable"), "{answer}");
                assert!(started.elapsed() <= RECONNECT_TIMEOUT, "{pace:?}: {:?}", started.elapsed());
            }
            let started = Instant::now();
            writes.shutdown().await.unwrap();
            assert_eq!(reads.next_line().await.unwrap(), None);
            assert_eq!(started.elapsed(), Duration::ZERO, "it ends with its input");
        })
        .await;
        assert_eq!(end.unwrap(), End::Input);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_stopped_daemon_has_not_answered_starts_no_other() {
    let (first, mut heard, mut says) = daemon();
    let mut daemons = Daemons::new([Ok(first)]);
    daemons.stopped = true;
    let end = serve(&mut daemons, async |mut reads, mut writes| {
        follow(&mut reads, &mut writes, &mut heard, &mut says).await;
        writes.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n").await.unwrap();
        next(&mut heard).await;
        drop((heard, says));
        let answer = next(&mut reads).await;
        assert!(answer.contains("told to stop") && answer.contains("retryAfter"), "{answer}");
        writes.shutdown().await.unwrap();
    })
    .await;
    assert_eq!(end.unwrap(), End::Input);
    assert_eq!(daemons.wanted[..2], [DialMode::Started, DialMode::Again]);
    assert!(!daemons.wanted[2..].contains(&DialMode::Started));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_goes_on_in_another_store_and_ends_where_events_were_missed() {
    for (oldest, is_missed) in [(0, false), (5, true)] {
        let ((first, mut heard, mut says), (second, mut heard_next, mut next_says)) = (daemon(), daemon());
        let mut daemons = Daemons::new([Ok(first), Ok(second)]);
        let end = serve(&mut daemons, async |mut reads, mut writes| {
            follow(&mut reads, &mut writes, &mut heard, &mut says).await;
            drop((heard, says));
            let asked: serde_json::Value = serde_json::from_str(&next(&mut heard_next).await).unwrap();
            assert_eq!(asked["params"], serde_json::json!({ "since": 3 }));
            let data = serde_json::json!({ "kind": "cursor_expired", "cursor": 3, "oldest": oldest });
            let refusal =
                serde_json::json!({ "jsonrpc": "2.0", "id": asked["id"], "error": { "code": 1011, "message": "", "data": data } });
            next_says.write_all(format!("{refusal}\n").as_bytes()).await.unwrap();
            if is_missed {
                let told = next(&mut reads).await;
                assert!(told.contains("cursor_expired") && told.contains("\"subscription\":1"), "{told}");
            } else {
                let asked: serde_json::Value = serde_json::from_str(&next(&mut heard_next).await).unwrap();
                assert_eq!((&asked["method"], &asked["params"]), (&"event.subscribe".into(), &serde_json::json!({})));
                next_says.write_all(format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":4}}\n", asked["id"]).as_bytes()).await.unwrap();
                let greeting =
                    r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":4,"result":{"cursor":1,"type":"server.connected"}}}"#;
                next_says.write_all(format!("{greeting}\n").as_bytes()).await.unwrap();
                assert_eq!(next(&mut reads).await, greeting.replace("\"subscription\":4", "\"subscription\":1"));
            }
            writes.shutdown().await.unwrap();
            drop((heard_next, next_says));
        })
        .await;
        assert_eq!(end.unwrap(), End::Input);
    }
}

#[tokio::test]
async fn without_a_first_daemon_there_is_no_relay() {
    let mut daemons = Daemons::new([Err(Error::unavailable("the disk is full"))]);
    let end = serve(&mut daemons, async |mut reads, _writes| assert_eq!(reads.next_line().await.unwrap(), None)).await;
    assert_eq!(end.unwrap_err().message(), "the disk is full");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_left_when_it_has_gone() {
    let (near, _heard, _says) = daemon();
    let (_client, ours) = duplex(1024);
    let (input, output) = split(ours);
    let mut daemons = Daemons::new([Ok(near)]);
    assert_eq!(relay((input, std::future::pending()), output, &mut daemons, "relay:", std::future::ready(())).await.unwrap(), End::Gone);
}

/// Requests that the relay answers by itself, since the first with this id is still in flight.
fn refused_requests() -> Vec<u8> {
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.list\"}\n".repeat(4000).into_bytes()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_left_at_the_end_of_its_input() {
    let (near, _heard, _says) = daemon();
    let (client, ours) = duplex(1024);
    let (input, output) = split(ours);
    let (_reader, mut writer) = split(client);
    let mut daemons = Daemons::new([Ok(near)]);
    let (end, ended) = tokio::sync::oneshot::channel();
    let input_ended = async { ended.await.unwrap() };
    let relay = relay((input, input_ended), output, &mut daemons, "relay:", std::future::pending());
    tokio::pin!(relay);
    let requests = refused_requests();
    let sent = tokio::time::timeout(Duration::from_secs(60), async {
        tokio::select! {
            _ = &mut relay => panic!("it waits for a client that may still read"),
            sent = writer.write_all(&requests) => sent,
        }
    });
    assert!(sent.await.is_err(), "not all of it is taken while nothing is read");
    end.send(()).unwrap();
    let started = Instant::now();
    assert_eq!(relay.await.unwrap(), End::Gone);
    assert_eq!(started.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_a_stop_starts_no_other_daemon_while_nothing_is_read() {
    let (near, heard, says) = daemon();
    let (client, ours) = duplex(1024);
    let (input, output) = split(ours);
    let (_reader, mut writer) = split(client);
    let mut daemons = Daemons::new([Ok(near)]);
    daemons.stopped = true;
    let requests = refused_requests();
    let client = async {
        assert!(tokio::time::timeout(Duration::from_secs(5), writer.write_all(&requests)).await.is_err());
        drop((heard, says));
        tokio::time::sleep(Duration::from_secs(60)).await;
    };
    tokio::select! {
        _ = relay((input, std::future::pending()), output, &mut daemons, "relay:", std::future::pending()) => panic!(),
        () = client => {}
    }
    assert!(!daemons.wanted[1..].contains(&DialMode::Started), "{:?}", daemons.wanted);
}
