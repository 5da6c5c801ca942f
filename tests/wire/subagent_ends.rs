//! The end of trees of child sessions: aborts at every point, deletions, and a killed daemon.

use serde_json::{Value, json};

use super::{
    subagents::{bash, calls, first_prompt, job, says, titled, tools},
    support::{
        client::{Client, text},
        fixture::Fixture,
        model_server::{Answer, Recorded, openai},
    },
};

/// A tree whose children ask, stream and work in the background, and which ends by itself at no point.
fn tree(fixture: &Fixture) {
    let mut background = job("c2", "BACK");
    background.1["background"] = json!(true);
    says(fixture, "ROOT", [calls(&[job("c1", "ASKS"), background, job("c3", "DEEP")]), Answer::openai_text("end")]);
    says(fixture, "ASKS", [bash("b", "touch made"), Answer::openai_text("never")]);
    says(fixture, "BACK", [Answer::sse([openai::text("half")]).hang(), Answer::openai_text("whole")]);
    says(fixture, "DEEP", [calls(&[job("d1", "UNDER")]), Answer::openai_text("never")]);
    says(fixture, "UNDER", [bash("b", "touch made"), Answer::openai_text("never")]);
}

/// A call that continues the child in the background, whose id the model was told.
fn again(request: &Recorded) -> Answer {
    let sent = request.body["messages"].to_string();
    let told = sent.split("has ended: Do BACK").nth(1).unwrap();
    let mut job = job("again", "GO ON");
    job.1["task_id"] = json!(told.split("task_id=\\\"").nth(1).unwrap()[..30]);
    calls(&[job])
}

/// All sessions of a tree.
async fn family(client: &mut Client, root: &str) -> Vec<String> {
    let mut family = vec![root.to_owned()];
    let mut next = 0;
    while let Some(id) = family.get(next).cloned() {
        let children = client.call("session.children", json!({ "sessionID": id })).await;
        family.extend(children.as_array().unwrap().iter().map(|child| child["id"].as_str().unwrap().to_owned()));
        next += 1;
    }
    family
}

/// Nothing works, nothing asks, and every message and every call has an end.
async fn assert_over(client: &mut Client, root: &str, what: &str) {
    // A turn that ends late is waited for; it must end by itself.
    while client.call("session.status", json!({})).await != json!({}) {
        tokio::task::yield_now().await;
    }
    assert_eq!(client.call("permission.list", json!({})).await, json!([]), "{what}");
    for id in family(client, root).await {
        let messages = client.call("session.messages", json!({ "sessionID": id })).await;
        for message in messages.as_array().unwrap() {
            let info = &message["info"];
            assert!(info["role"] == "user" || info["time"]["completed"].is_number(), "{what}: {message}");
            for part in message["parts"].as_array().unwrap().iter().filter(|part| part["type"] == "tool") {
                assert!(part["state"]["status"] != "running" && part["state"]["status"] != "pending", "{what}: {part}");
            }
        }
    }
}

/// Starts the tree, and returns its root after so many events, or when all of it has begun. The second value: whether it has.
async fn start(client: &mut Client, events: usize) -> (String, bool) {
    let root = titled(client).await;
    let subscription = client.subscribe(json!({ "sessionID": root })).await;
    client.call("session.submit", json!({ "sessionID": root, "parts": "ROOT" })).await;
    let (mut seen, mut asked, mut streamed) = (0, 0, false);
    while seen < events && !(asked == 2 && streamed) {
        let event = client.event(|event| event["sessionID"].is_string()).await;
        asked += usize::from(event["type"] == "permission.asked");
        streamed |= event["type"] == "message.part.delta" && event["properties"]["delta"] == "half";
        seen += 1;
    }
    client.call("event.unsubscribe", json!({ "subscription": subscription })).await;
    (root, asked == 2 && streamed)
}

#[tokio::test]
async fn at_whatever_point_a_tree_is_aborted_no_child_runs_on_and_no_question_stays() {
    let fixture = Fixture::new().await;
    tree(&fixture);
    let mut client = Client::start(&fixture);
    let mut has_begun = false;
    let mut point = 0;
    while !has_begun {
        let (root, begun) = start(&mut client, point).await;
        has_begun = begun;
        let what = format!("aborted after {point} events");
        if point % 3 == 2 {
            client.call("session.delete", json!({ "sessionID": root })).await;
            while client.call("session.status", json!({})).await != json!({}) {
                tokio::task::yield_now().await;
            }
            assert_eq!(client.call("permission.list", json!({})).await, json!([]), "{what}");
            let left = client.call("session.list", json!({})).await;
            assert!(
                left.as_array().unwrap().iter().all(|session| session["id"] != root.as_str() && session["parentID"] != root.as_str()),
                "{what}"
            );
        } else {
            client.call("session.abort", json!({ "sessionID": root })).await;
            assert_over(&mut client, &root, &what).await;
            client.call("session.delete", json!({ "sessionID": root })).await;
        }
        point += 1;
    }
    assert!(point > 20, "only {point} points");
    assert!(!fixture.path("repo/made").exists());
    assert_eq!(client.call("session.list", json!({})).await, json!([]));
}

#[tokio::test]
async fn an_abort_of_a_child_ends_what_is_below_it_and_nothing_else() {
    let fixture = Fixture::new().await;
    tree(&fixture);
    let mut client = Client::start(&fixture);
    let (root, _) = start(&mut client, usize::MAX).await;
    let children = client.call("session.children", json!({ "sessionID": root })).await;
    let child = |name: &str| {
        let found =
            children.as_array().unwrap().iter().find(|child| child["title"].as_str().unwrap().starts_with(&format!("Do {name} "))).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let [asks, back, deep] = ["ASKS", "BACK", "DEEP"].map(child);
    client.subscribe(json!({ "sessionID": root })).await;
    assert_eq!(client.call("session.abort", json!({ "sessionID": deep })).await, true);
    let open = client.call("permission.list", json!({})).await;
    assert_eq!((open.as_array().unwrap().len(), &open[0]["sessionID"]), (1, &json!(asks)));
    let statuses = client.call("session.status", json!({})).await;
    let mut working: Vec<&String> = statuses.as_object().unwrap().keys().collect();
    let mut expected = [&root, &asks, &back];
    working.sort();
    expected.sort();
    assert_eq!(working, expected);
    client.call("session.delete", json!({ "sessionID": asks })).await;
    client.event(|event| event["type"] == "session.idle" && event["sessionID"] == root.as_str()).await;
    let all = tools(&mut client, &root).await;
    let reason = |place: usize| all[place]["state"]["metadata"]["reason"].clone();
    assert_eq!((reason(0), reason(2)), (json!("its session was deleted"), json!("it was aborted")), "{all:#?}");
    // The turn has ended, and the child in the background works on.
    assert_eq!(client.call("session.status", json!({})).await, json!({ &back: { "type": "busy" } }));
    assert_eq!(client.call("session.abort", json!({ "sessionID": root })).await, true, "it is aborted with the root, which is idle");
    assert_over(&mut client, &root, "aborted").await;
    // What became of it is told.
    fixture.models.push(Answer::openai_text("I see"));
    assert_eq!(text(&client.prompt(&root, "and?").await), "I see");
    let sent =
        fixture.models.requests().into_iter().rfind(|request| first_prompt(request).contains("ROOT")).unwrap().body["messages"].to_string();
    assert!(sent.contains("has ended: Do BACK") && sent.contains("it was aborted") && sent.contains("half"), "{sent}");
}

#[tokio::test]
async fn after_a_kill_nothing_runs_and_the_parent_is_told_what_can_go_on() {
    for signal in [false, true] {
        let fixture = Fixture::new().await;
        fixture.models.rule(|request| {
            let told = first_prompt(request).contains("ROOT") && request.body["messages"].to_string().contains("has ended: Do DEEP");
            let is_resumed = request.body["messages"].to_string().contains("GO ON");
            told.then(|| if is_resumed { Answer::openai_text("I see") } else { again(request) })
        });
        tree(&fixture);
        let mut client = Client::start(&fixture);
        let (root, _) = start(&mut client, usize::MAX).await;
        if signal {
            client.terminate().await;
        } else {
            client.kill().await;
        }

        let mut client = Client::start(&fixture);
        let statuses = client.call("session.status", json!({})).await;
        let waits = |status: &Value| status["type"] == "waiting";
        assert!(statuses.as_object().unwrap().len() == 2 && statuses.as_object().unwrap().values().all(waits), "{statuses}");
        let all = tools(&mut client, &root).await;
        let states: Vec<&Value> = all.iter().map(|part| &part["state"]["status"]).collect();
        assert_eq!(states, ["error", "completed", "error"], "{all:#?}");
        assert!(all.iter().all(|part| part["state"]["metadata"]["sessionID"].is_string()), "{all:#?}");
        // The questions are still there, and their children go on when they are answered.
        let open = client.call("permission.list", json!({ "sessionID": root })).await;
        assert_eq!(open.as_array().unwrap().len(), 2);
        let asks =
            open.as_array().unwrap().iter().find(|question| question["title"].as_str().unwrap().starts_with("Do ASKS")).unwrap().clone();
        client.subscribe(json!({ "sessionID": root })).await;
        client.call("permission.reply", json!({ "sessionID": asks["sessionID"], "permissionID": asks["id"], "response": "once" })).await;
        client.event(|event| event["type"] == "session.idle" && event["sessionID"] == asks["sessionID"]).await;
        assert!(fixture.path("repo/made").exists());
        // The parent is told of all that have ended: the one that was answered, and those that were interrupted.
        assert_eq!(text(&client.prompt(&root, "and?").await), "I see");
        let sent = fixture.models.requests().into_iter().rfind(|request| first_prompt(request).contains("ROOT")).unwrap().body["messages"]
            .to_string();
        for told in [
            "that you started before the daemon ended has ended: Do ASKS",
            "never",
            "that you started in the background has ended: Do BACK",
            "the daemon ended while it worked",
            "half",
        ] {
            assert!(sent.contains(told), "{told}: {sent}");
        }
        // It has continued one of them.
        let last = tools(&mut client, &root).await.pop().unwrap()["state"].clone();
        assert_eq!(last["metadata"]["sessionID"], all[1]["state"]["metadata"]["sessionID"]);
        assert!(last["output"].as_str().unwrap().contains("whole"), "{last}");
        client.call("session.abort", json!({ "sessionID": root })).await;
        assert_over(&mut client, &root, "aborted").await;
    }
}
