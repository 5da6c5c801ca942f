//! Calls from a door without JSON-RPC.

use std::{
    collections::BTreeMap,
    sync::{Mutex, atomic::Ordering},
};

use expect_test::{Expect, expect};
use futures::{FutureExt as _, future::BoxFuture};
use serde_json::value::RawValue;

use super::*;
use crate::{
    rpc::{
        connection::Door,
        sink::{Closed, Notifier, Outlet, Permit},
        testing::{App, rpc},
    },
    stdx::tasks::Tasks,
};

struct Fixture {
    app: Arc<App>,
    tasks: Tasks,
    caller: Caller,
}

fn fixture(notifier: Option<Arc<dyn Notifier>>) -> Fixture {
    let (app, tasks) = (Arc::new(App::default()), Tasks::new());
    let connection = Arc::new(Connection::new(Door::Http, None, Arc::new(BTreeMap::new())));
    if let Some(notifier) = notifier {
        connection.set_notifier(notifier);
    }
    Fixture { caller: Caller::new(rpc(&app, &tasks), connection), app, tasks }
}

impl Fixture {
    async fn call(&self, method: &str, params: &str) -> Result<Reply, Error> {
        self.caller.call(method, Some(params), &"-")?.reply.await
    }

    async fn show(&self, method: &str, params: &str) -> String {
        match self.call(method, params).await {
            Ok(Reply::Result(result)) => result.get().to_owned(),
            Ok(Reply::Subscription(opened)) => format!("subscription {}", opened.id()),
            Err(error) => format!("{}: {error}", error.kind().word()),
        }
    }

    async fn check(&self, method: &str, params: &str, expect: &Expect) {
        expect.assert_eq(&self.show(method, params).await);
    }
}

/// An unbounded queue that keeps its messages.
#[derive(Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Notifier for Kept {
    fn send(&self, _: Box<RawValue>) -> BoxFuture<'_, Result<(), Closed>> {
        std::future::ready(Err(Closed)).boxed()
    }

    fn outlet(&self, _: Arc<Subscription>) -> Arc<dyn Outlet> {
        Arc::new(Self(self.0.clone()))
    }
}

impl Outlet for Kept {
    fn reserve(&self, _: usize) -> BoxFuture<'_, Result<Box<dyn Permit>, Closed>> {
        let permit: Box<dyn Permit> = Box::new(Self(self.0.clone()));
        std::future::ready(Ok(permit)).boxed()
    }

    fn closed(&self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }
}

impl Permit for Kept {
    fn send(self: Box<Self>, message: Box<RawValue>) {
        self.0.lock().unwrap().push(message.get().to_owned());
    }
}

#[tokio::test]
async fn a_call_has_a_result_or_an_error_with_its_kind() {
    let fixture = fixture(None);
    fixture.check("test.echo", r#"{"value":{"b":1,"a":[2]}}"#, &expect![[r#"{"b":1,"a":[2]}"#]]).await;
    fixture
        .check(
            "test.echo",
            r#"{"valeu":1}"#,
            &expect!["invalid_params: unknown field `valeu`, the nearest valid name is `value`; expected one of `value`"],
        )
        .await;
    fixture.check("test.ecko", "{}", &expect!["method_not_found: unknown method `test.ecko`"]).await;
    fixture.check("test.panic", "{}", &expect!["internal: internal error; the daemon's log has the details"]).await;
    fixture.check("test.large", r#"{"bytes":33554431}"#, &expect!["too_large: the answer is too large; the limit is 33554432"]).await;
    fixture.check("test.stream", "{}", &expect!["invalid_state: an HTTP request cannot carry a subscription"]).await;
    let calls = fixture.caller.rpc().calls().diagnosis();
    assert_eq!(calls.total, 6, "each call is counted once, refused or run");
    assert_eq!(calls.failed.into_values().collect::<Vec<_>>(), [1; 5]);
}

#[tokio::test]
async fn a_call_that_is_dropped_is_cancelled() {
    let fixture = fixture(None);
    let mut call = fixture.caller.call("test.wait", Some(r#"{"gate":"never"}"#), &"-").unwrap();
    assert!((&mut call.reply).now_or_never().is_none());
    assert_eq!(fixture.caller.connection().traffic().requests(), 1);
    drop(call.reply);
    assert_eq!(fixture.app.dropped.load(Ordering::SeqCst), 1);
    assert_eq!(fixture.caller.connection().traffic().requests(), 0);
    let failed = fixture.caller.rpc().calls().diagnosis().failed;
    assert_eq!(failed.into_iter().collect::<Vec<_>>(), [("cancelled".to_owned(), 1)]);
    assert!(fixture.caller.idle().now_or_never().is_none(), "its answer is not queued yet");
    drop(call.slot);
    assert!(fixture.caller.idle().now_or_never().is_some());
}

#[tokio::test]
async fn nothing_runs_before_its_reply_is_awaited() {
    let fixture = fixture(None);
    let call = fixture.caller.call("test.count", None, &"-").unwrap();
    assert_eq!(fixture.app.counted.load(Ordering::SeqCst), 0);
    assert!(call.reply.await.is_ok());
    assert_eq!(fixture.app.counted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_subscription_sends_only_after_its_start_and_ends_when_it_is_dropped() {
    let kept = Kept::default();
    let sent = kept.0.clone();
    let fixture = fixture(Some(Arc::new(kept)));
    let Ok(Reply::Subscription(first)) = fixture.call("test.stream", r#"{"count":2}"#).await else { panic!("a subscription") };
    let id = first.id();
    assert!(fixture.caller.connection().unsubscribe(id), "it can be closed before it starts");
    drop(first);
    let Ok(Reply::Subscription(dropped)) = fixture.call("test.stream", "{}").await else { panic!("a subscription") };
    let id = dropped.id();
    drop(dropped);
    assert!(!fixture.caller.connection().unsubscribe(id), "it has ended");
    let Ok(Reply::Subscription(third)) = fixture.call("test.stream", r#"{"count":2}"#).await else { panic!("a subscription") };
    assert_eq!(*sent.lock().unwrap(), [""; 0]);
    third.start();
    while fixture.app.sent.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    let event = |number| format!(r#"{{"jsonrpc":"2.0","method":"event","params":{{"subscription":3,"result":{number}}}}}"#);
    assert_eq!(*sent.lock().unwrap(), [event(0), event(1)]);
    fixture.caller.connection().close();
    fixture.tasks.finished().await;
}
