//! Events of changed settings, providers, agents and references; where settings come from; trust of what was seen.

use serde_json::{Value, json};

use super::support::{client::Client, fixture::Fixture, model_server::Answer};

fn write(fixture: &Fixture, path: &str, text: &str) {
    let path = fixture.path(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn file<'a>(sources: &'a Value, name: &str) -> &'a Value {
    let files = sources["files"].as_array().unwrap();
    files.iter().find(|file| file["path"].as_str().unwrap().ends_with(name)).unwrap_or_else(|| panic!("{name} is not in {sources}"))
}

#[tokio::test]
async fn changes_of_settings_are_told_to_those_who_follow() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    client.subscribe(json!({ "types": ["config.changed", "provider.changed", "agent.changed"] })).await;
    let repo = json!(fixture.path("repo"));
    fixture.settings(&json!({ "default_agent": "plan" }));
    let told = client.event_of("config.changed").await;
    assert_eq!((&told["directory"], &told["properties"]), (&repo, &json!({ "directory": repo })));
    write(&fixture, "config/agent/mine.md", "---\ndescription: d\n---\nYou are mine.");
    client.event_of("agent.changed").await;
    client.call("auth.set", json!({ "providerID": "openai", "type": "api", "key": "sk-0123456789012345678901234567890123456789" })).await;
    client.event_of("provider.changed").await;
    client.call("auth.remove", json!({ "providerID": "openai" })).await;
    client.event_of("provider.changed").await;
    // A project's settings count once they are trusted.
    write(&fixture, "repo/polytree.json", r#"{ "default_agent": "build", "agent": { "theirs": { "description": "d", "prompt": "p" } } }"#);
    client.call("project.trust", json!({ "trusted": true })).await;
    client.event_of("config.changed").await;
    client.event_of("agent.changed").await;
    // A mistake is a change too.
    write(&fixture, "config/polytree.json", "{");
    client.event_of("config.changed").await;
}

#[tokio::test]
async fn changes_of_references_are_told_and_read() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let head = |fixture: &Fixture| fixture.git("repo", &["rev-parse", "HEAD"]).trim().to_owned();
    let first = client.call("vcs.get", json!({})).await;
    let here = json!({ "directory": fixture.path("repo"), "branch": "main" });
    assert_eq!(first, json!({ "branch": "main", "head": head(&fixture), "worktrees": [here] }));
    client.subscribe(json!({ "types": ["vcs.changed"] })).await;
    fixture.git("repo", &["commit", "-q", "--allow-empty", "-m", "second"]);
    assert_eq!(client.event_of("vcs.changed").await["properties"], json!({ "directory": fixture.path("repo") }));
    fixture.git("repo", &["clone", "-q", "--bare", ".", "../origin.git"]);
    fixture.git("repo", &["remote", "add", "origin", "../origin.git"]);
    fixture.git("repo", &["fetch", "-q", "origin"]);
    fixture.git("repo", &["checkout", "-q", "-b", "work/one", "--track", "origin/main"]);
    client.event_of("vcs.changed").await;
    fixture.git("repo", &["commit", "-q", "--allow-empty", "-m", "third"]);
    client.event_of("vcs.changed").await;
    fixture.git("repo", &["worktree", "add", "-q", "--detach", "../linked"]);
    client.event_of("vcs.changed").await;
    let now = client.call("vcs.get", json!({})).await;
    assert_eq!((&now["branch"], &now["upstream"]), (&json!("work/one"), &json!("origin/main")));
    assert_eq!((&now["ahead"], &now["behind"], &now["head"]), (&json!(1), &json!(0), &json!(head(&fixture))));
    assert_eq!(now["worktrees"][1], json!({ "directory": fixture.path("linked") }));
    let linked = client.call("vcs.get", json!({ "directory": fixture.path("linked") })).await;
    assert!(linked.get("branch").is_none() && linked["head"] == json!(head(&fixture)), "{linked}");
    std::fs::create_dir(fixture.path("plain")).unwrap();
    assert_eq!(client.call("vcs.get", json!({ "directory": fixture.path("plain") })).await, json!({ "worktrees": [] }));
    assert_eq!(client.refused("vcs.get", json!({ "directory": 1 })).await["code"], -32602);
    let nobody = json!({ "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    assert_eq!(client.refused("vcs.get", nobody).await["data"]["kind"], "not_found");
}

#[tokio::test]
async fn what_was_seen_is_what_is_trusted() {
    let fixture = Fixture::new().await;
    write(&fixture, "repo/polytree.json", r#"{ "permission": { "bash": "allow" }, "username": "secret-content" }"#);
    write(&fixture, "repo/.polytree/agent/theirs.md", "---\ndescription: d\n---\nsecret-content");
    let mut client = Client::start(&fixture);
    let seen = client.call("config.sources", json!({})).await;
    assert!(!seen.to_string().contains("secret"), "neither contents nor keys: {seen}");
    let theirs = file(&seen, "repo/polytree.json");
    assert_eq!((&theirs["exists"], &theirs["trusted"]), (&json!(true), &json!(false)));
    assert_eq!(file(&seen, "agent/theirs.md")["trusted"], false);
    let own = file(&seen, "config/polytree.json");
    assert_eq!((&own["exists"], &own["trusted"]), (&json!(true), &json!(true)));
    assert_eq!(file(&seen, "config/polytree.jsonc")["exists"], false);
    assert_eq!(client.call("project.list", json!({})).await[0]["pending"], json!(["polytree.json", ".polytree/agent/theirs.md"]));

    // It changes between the look and the answer.
    write(&fixture, "repo/.polytree/agent/theirs.md", "---\ndescription: d\n---\nanother");
    let params = json!({ "trusted": true, "digest": seen["digest"] });
    let error = client.refused("project.trust", params).await;
    assert_eq!(error["data"]["kind"], "conflict");
    assert!(error["data"]["hint"].as_str().unwrap().contains("config.sources"));
    assert_eq!(client.call("project.current", json!({})).await["trusted"], false);
    let again = client.call("config.sources", json!({})).await;
    assert_ne!(again["digest"], seen["digest"]);
    client.call("project.trust", json!({ "trusted": true, "digest": again["digest"] })).await;
    assert_eq!(file(&client.call("config.sources", json!({})).await, "repo/polytree.json")["trusted"], true);
    for params in [json!({ "trusted": false, "digest": "x" }), json!({ "trusted": true, "digest": 1 })] {
        assert_eq!(client.refused("project.trust", params.clone()).await["code"], -32602, "{params}");
    }
    // What is wrong with a file is said of that file.
    write(&fixture, "config/agent/bad.md", "---\nmode: sideways\n---\n");
    let wrong = client.call("config.sources", json!({})).await;
    assert!(file(&wrong, "agent/bad.md")["error"].as_str().unwrap().contains("sideways"), "{wrong}");
}

#[tokio::test]
async fn a_project_is_forgotten_with_what_was_granted_in_it() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    client.subscribe(json!({})).await;
    fixture.models.push(Answer::openai_calls(&[("c", "bash", json!({ "command": "touch made", "description": "x" }))]));
    client.call("session.submit", json!({ "sessionID": session, "parts": "x" })).await;
    let asked = client.event_of("permission.asked").await["properties"].clone();
    fixture.models.push(Answer::openai_text("done"));
    client.call("permission.reply", json!({ "sessionID": session, "permissionID": asked["id"], "response": "always" })).await;
    client.event_of("session.idle").await;
    let project = client.call("project.current", json!({})).await["id"].clone();
    assert_eq!(client.refused("project.forget", json!({ "projectID": project })).await["data"]["kind"], "conflict");
    assert_eq!(client.refused("project.forget", json!({})).await["code"], -32602);
    let other = json!({ "projectID": "prj_01ARZ3NDEKTSV4RRFFQ69G5FAV" });
    assert_eq!(client.refused("project.forget", other).await["data"]["kind"], "not_found");
    assert_eq!(client.call("project.forget", json!({ "projectID": project, "sessions": true })).await, true);
    assert_eq!(client.event_of("project.forgotten").await["properties"], json!({ "projectID": project }));
    assert_eq!(client.call("project.list", json!({})).await, json!([]));
    assert_eq!(client.refused("session.get", json!({ "sessionID": session })).await["data"]["kind"], "not_found");
    // The directory is a project again when it is used again; what was granted is gone.
    client.session().await;
    assert_eq!(client.call("permission.grants", json!({})).await, json!([]));
}
