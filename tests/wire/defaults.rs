//! What the next prompt uses and choosing it; how full the context is; what was used.

use serde_json::{Value, json};

use super::support::{
    client::Client,
    fixture::Fixture,
    model_server::{Answer, openai},
};

/// Settings with an agent that has a model of its own, and a model with variants.
fn settings(fixture: &Fixture) {
    let url = fixture.models.url();
    let model = json!({ "limit": { "context": 100_000, "output": 4000 }, "cost": { "input": 1, "output": 2 } });
    let varied = json!({ "limit": { "context": 50_000, "output": 2000 }, "variants": { "low": { "x": 1 }, "high": { "x": 2 } } });
    fixture.settings(&json!({
        "agent": { "own": { "description": "d", "prompt": "p", "mode": "primary", "model": "test/small" } },
        "provider": { "test": { "api": "openai", "options": { "baseURL": url, "apiKey": "secret-key" }, "models": { "main": model, "small": model, "varied": varied } } },
    }));
}

fn reference(model: &str) -> Value {
    json!({ "providerID": "test", "modelID": model })
}

async fn defaults(client: &mut Client, session: &str) -> Value {
    client.call("session.defaults", json!({ "sessionID": session })).await
}

#[tokio::test]
async fn what_was_chosen_is_what_the_next_prompt_uses() {
    let fixture = Fixture::new().await;
    settings(&fixture);
    let mut client = Client::start(&fixture);
    let new = client.call("session.defaults", json!({})).await;
    let source = json!({ "agent": "default", "model": "settings", "mode": "settings" });
    assert_eq!(new, json!({ "agent": "build", "model": reference("main"), "mode": "ask", "source": source }));
    let session = client.session().await;
    client.subscribe(json!({ "types": ["session.updated"] })).await;

    // The agent's own model, until a model is chosen.
    client.call("session.update", json!({ "sessionID": session, "agent": "own", "mode": "edits" })).await;
    let told = client.event_of("session.updated").await["properties"]["info"].clone();
    assert_eq!((&told["agent"], &told["mode"]), (&json!("own"), &json!("edits")));
    let now = defaults(&mut client, &session).await;
    assert_eq!(
        (&now["model"], &now["source"]["model"], &now["source"]["agent"]),
        (&reference("small"), &json!("agent"), &json!("session"))
    );
    assert_eq!((&now["mode"], &now["source"]["mode"]), (&json!("edits"), &json!("session")));
    let chosen = json!({ "sessionID": session, "model": reference("varied"), "variant": "high" });
    let updated = client.call("session.update", chosen).await;
    assert_eq!(updated["choice"], json!({ "model": reference("varied"), "variant": "high" }));
    let now = defaults(&mut client, &session).await;
    assert_eq!((&now["agent"], &now["model"], &now["variant"]), (&json!("own"), &reference("varied"), &json!("high")));
    assert_eq!((&now["source"]["model"], &now["source"]["variant"]), (&json!("session"), &json!("session")));

    fixture.models.push(Answer::openai_text("hi"));
    let answer = client.prompt(&session, "hello").await;
    assert_eq!((&answer["info"]["modelID"], &answer["info"]["agent"]), (&json!("varied"), &json!("own")));
    let sent = fixture.models.requests().into_iter().find(|request| request.body["model"] == "varied").unwrap();
    assert_eq!(sent.body["x"], 2, "the variant's fields are sent");
    // A prompt that names another model says nothing about the next one.
    fixture.models.push(Answer::openai_text("hi"));
    client.call("session.prompt", json!({ "sessionID": session, "parts": "x", "model": reference("main") })).await;
    assert_eq!(defaults(&mut client, &session).await["model"], reference("varied"));

    assert!(client.call("session.update", json!({ "sessionID": session, "variant": "" })).await["choice"].get("variant").is_none());
    assert!(defaults(&mut client, &session).await.get("variant").is_none());
    // A new agent brings its model.
    client.call("session.update", json!({ "sessionID": session, "agent": "own" })).await;
    assert_eq!(defaults(&mut client, &session).await["model"], reference("small"));
    // It survives the daemon.
    client.call("session.update", json!({ "sessionID": session, "model": reference("varied") })).await;
    client.kill().await;
    let mut client = Client::start(&fixture);
    assert_eq!(defaults(&mut client, &session).await["model"], reference("varied"));
}

#[tokio::test]
async fn what_cannot_be_used_is_not_chosen() {
    let fixture = Fixture::new().await;
    settings(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let long = "x".repeat(100_000);
    for (fields, expected) in [
        (json!({ "agent": "nobody" }), "no agent"),
        (json!({ "agent": long }), "at most 500"),
        (json!({ "model": reference("nothing") }), "nothing"),
        (json!({ "model": { "providerID": long, "modelID": "m" } }), "at most 500"),
        (json!({ "model": "test/main" }), "model"),
        (json!({ "model": reference("main"), "variant": "high" }), "no variant"),
        (json!({ "variant": 1 }), "variant"),
        (json!({ "mode": "yes" }), "mode"),
    ] {
        let mut params = json!({ "sessionID": session });
        params.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let error = client.refused("session.update", params).await;
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(expected) && message.len() < 2000, "{fields}: {error}");
    }
    assert!(client.call("session.get", json!({ "sessionID": session })).await.get("choice").is_none());
    let child = client.call("session.create", json!({ "parentID": session })).await["id"].clone();
    assert_eq!(client.refused("session.update", json!({ "sessionID": child, "mode": "all" })).await["code"], -32602);
    let nobody = json!({ "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    for method in ["session.defaults", "session.context", "session.update"] {
        assert_eq!(client.refused(method, nobody.clone()).await["data"]["kind"], "not_found", "{method}");
    }

    // A model that has lost its provider is told, with the reason.
    client.call("session.update", json!({ "sessionID": session, "model": reference("varied") })).await;
    fixture.settings(&json!({ "provider": {}, "model": "offline/guide", "small_model": "offline/guide" }));
    let now = defaults(&mut client, &session).await;
    assert_eq!(now["model"], reference("varied"));
    assert!(now["problem"].as_str().unwrap().contains("test"), "{now}");
    assert_eq!(client.call("session.context", json!({ "sessionID": session })).await["limit"], 0);
}

#[tokio::test]
async fn a_running_turn_goes_on_with_what_it_began_with() {
    let fixture = Fixture::new().await;
    settings(&fixture);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({ "sessionID": session })).await;
    let gate = std::sync::Arc::new(tokio::sync::Notify::new());
    fixture.models.push(Answer::sse([openai::text("x"), openai::finish("stop"), openai::DONE.to_owned()]).gate(1, &gate));
    let turn = client.send("session.prompt", json!({ "sessionID": session, "parts": "x" })).await;
    client.event_of("message.part.delta").await;
    client.call("session.update", json!({ "sessionID": session, "model": reference("varied") })).await;
    gate.notify_one();
    assert_eq!(turn.result().await["info"]["modelID"], "main");
    fixture.models.push(Answer::openai_text("y"));
    assert_eq!(client.prompt(&session, "y").await["info"]["modelID"], "varied");
}

#[tokio::test]
async fn the_context_is_what_the_service_counted_last() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let empty = client.call("session.context", json!({ "sessionID": session })).await;
    assert_eq!(empty, json!({ "used": 0, "limit": 100_000, "reserved": 4000, "model": reference("main") }));
    let counted = |input: u64, output: u64| {
        Answer::sse([openai::text("x"), openai::finish("stop"), openai::usage(input, output), openai::DONE.to_owned()])
    };
    fixture.models.push(counted(1200, 34));
    client.prompt(&session, "a").await;
    fixture.models.push(counted(2000, 50));
    let second = client.prompt(&session, "b").await["info"]["parentID"].clone();
    assert_eq!(client.call("session.context", json!({ "sessionID": session })).await["used"], 2050);
    client.call("session.revert", json!({ "sessionID": session, "messageID": second })).await;
    assert_eq!(client.call("session.context", json!({ "sessionID": session })).await["used"], 1234, "what is undone does not count");
}

#[tokio::test]
async fn totals_outlive_their_sessions() {
    let fixture = Fixture::new().await;
    fixture.settings(&json!({ "compaction": { "auto": false } }));
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("usage.list", json!({ "by": "day" })).await, json!([]));
    let session = client.call("session.create", json!({ "title": "t" })).await;
    let (id, project) = (session["id"].as_str().unwrap().to_owned(), session["projectID"].clone());
    for (model, input) in [("main", 1_000_000), ("main", 500_000), ("small", 100)] {
        let frames = [openai::text("x"), openai::finish("stop"), openai::usage(input, 10), openai::DONE.to_owned()];
        // The rule for titles answers the small model: it has no usage.
        fixture.models.push(Answer::sse(frames));
        client.call("session.prompt", json!({ "sessionID": id, "parts": "x", "model": reference(model) })).await;
    }
    let by = |by: &str| json!({ "by": by });
    let models = client.call("usage.list", by("model")).await;
    assert_eq!(models[0]["key"], "test/main");
    assert_eq!(
        (&models[0]["prompts"], &models[0]["tokens"]["input"], &models[0]["tokens"]["output"]),
        (&json!(2), &json!(1_500_000), &json!(20))
    );
    assert_eq!(models[0]["cost"], 1.50004);
    assert_eq!((&models[1]["key"], &models[1]["prompts"]), (&json!("test/small"), &json!(1)));
    let projects = client.call("usage.list", by("project")).await;
    assert_eq!((projects.as_array().unwrap().len(), &projects[0]["key"], &projects[0]["prompts"]), (1, &project, &json!(3)));
    assert_eq!(projects[0]["cost"], client.call("session.get", json!({ "sessionID": id })).await["cost"]);
    let days = client.call("usage.list", by("day")).await;
    assert_eq!(days[0]["key"].as_str().unwrap().len(), 10);
    assert_eq!(client.call("usage.list", json!({ "by": "day", "since": 4_000_000_000_000_u64 })).await, json!([]));
    assert_eq!(client.call("usage.list", json!({ "by": "model", "projectID": "prj_01ARZ3NDEKTSV4RRFFQ69G5FAV" })).await, json!([]));
    // A copy costs nothing.
    let fork = client.call("session.fork", json!({ "sessionID": id })).await["id"].clone();
    client.call("session.delete", json!({ "sessionID": id })).await;
    client.call("session.delete", json!({ "sessionID": fork })).await;
    assert_eq!(client.call("usage.list", by("model")).await, models);
    for params in [json!({}), json!({ "by": "hour" }), json!({ "by": "day", "since": "yesterday" }), json!({ "by": "day", "since": 1e30 })]
    {
        assert_eq!(client.refused("usage.list", params.clone()).await["code"], -32602, "{params}");
    }
}
