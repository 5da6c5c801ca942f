//! `symbol.find`: shapes, selectors, errors, and edits by tools.

use serde_json::{Value, json};

use crate::support::{client::Client, fixture::Fixture, model_server::Answer};

fn names(found: &Value) -> Vec<&str> {
    found.as_array().unwrap().iter().map(|symbol| symbol["name"].as_str().unwrap()).collect()
}

async fn fixture() -> Fixture {
    let fixture = Fixture::new().await;
    std::fs::create_dir_all(fixture.path("repo/src/deep dir")).unwrap();
    std::fs::write(fixture.path("repo/src/lib.rs"), "/* 😀 */ pub struct Store { items: Vec<u8> }\nimpl Store {\n    fn open() {}\n}\n")
        .unwrap();
    std::fs::write(fixture.path("repo/src/deep dir/ä.py"), "class Store:\n    pass\n").unwrap();
    fixture
}

#[tokio::test]
async fn symbols_are_as_editors_want_them() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let found = client.call("symbol.find", json!({ "query": "store" })).await;
    let repo = fixture.path("repo");
    let (repo, position) = (repo.to_str().unwrap(), |line: u32, character: u32| json!({ "line": line, "character": character }));
    assert_eq!(
        found,
        json!([
            {
                "name": "Store", "kind": 5, "path": "src/deep dir/ä.py",
                "location": { "uri": format!("file://{repo}/src/deep%20dir/%C3%A4.py"), "range": { "start": position(0, 0), "end": position(1, 8) } },
                "selectionRange": { "start": position(0, 6), "end": position(0, 11) },
            },
            {
                "name": "Store", "kind": 23, "path": "src/lib.rs",
                "location": { "uri": format!("file://{repo}/src/lib.rs"), "range": { "start": position(0, 9), "end": position(0, 44) } },
                "selectionRange": { "start": position(0, 20), "end": position(0, 25) },
            },
        ])
    );
    let method = client.call("symbol.find", json!({ "query": "Store::open" })).await;
    assert_eq!((&method[0]["kind"], &method[0]["containerName"]), (&json!(6), &json!("Store")));
}

#[tokio::test]
async fn directory_session_path_kinds_and_limit_select() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    let deep = fixture.path("repo/src/deep dir");
    let found = client.call("symbol.find", json!({ "query": "store", "directory": deep })).await;
    assert_eq!((names(&found), &found[0]["path"]), (vec!["Store"], &json!("ä.py")));
    let session = client.call("session.create", json!({ "directory": deep })).await["id"].clone();
    assert_eq!(client.call("symbol.find", json!({ "query": "store", "sessionID": session })).await, found);
    let narrowed = client.call("symbol.find", json!({ "query": "store", "path": "src/lib.rs" })).await;
    assert_eq!((names(&narrowed), &narrowed[0]["kind"]), (vec!["Store"], &json!(23)));
    assert_eq!(client.call("symbol.find", json!({ "query": "store", "path": "nothing/here" })).await, json!([]));
    assert_eq!(names(&client.call("symbol.find", json!({ "query": "", "kinds": [6, 8] })).await), ["items", "open"]);
    assert_eq!(names(&client.call("symbol.find", json!({ "query": "", "limit": 1 })).await), ["Store"]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let fixture = fixture().await;
    let mut client = Client::start(&fixture);
    for (params, kind, says) in [
        (json!({}), "invalid_params", "query"),
        (json!({ "query": "a", "limit": 0 }), "invalid_params", "limit"),
        (json!({ "query": "a", "limit": 1001 }), "invalid_params", "limit"),
        (json!({ "query": "a", "kinds": [0] }), "invalid_params", "kinds"),
        (json!({ "query": "a", "kinds": [27] }), "invalid_params", "kinds"),
        (json!({ "query": "a", "path": "../outside" }), "denied", "outside"),
        (json!({ "query": "a", "path": "/etc" }), "denied", "outside"),
        (json!({ "query": "a", "directory": "/no/such/place" }), "not_found", "place"),
        (json!({ "query": "a", "kind": 5 }), "invalid_params", "kind"),
    ] {
        let error = client.refused("symbol.find", params.clone()).await;
        assert_eq!(error["data"]["kind"], kind, "{params}: {error}");
        assert!(error["message"].as_str().unwrap().contains(says), "{params}: {error}");
    }
}

#[tokio::test]
async fn what_a_tool_writes_is_found() {
    let fixture = fixture().await;
    fixture.settings(&json!({ "permission": { "edit": "allow" } }));
    let mut client = Client::start(&fixture);
    assert_eq!(client.call("symbol.find", json!({ "query": "brandNew" })).await, json!([]));
    let session = client.session().await;
    let content = json!({ "filePath": "src/new.ts", "content": "export function brandNew() {}\n" });
    fixture.models.push(Answer::openai_calls(&[("call_1", "write", content)]));
    fixture.models.push(Answer::openai_text("done"));
    client.prompt(&session, "write it").await;
    // The edit's event precedes the end of the turn, but its subscriber may not have processed it yet.
    let found = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        loop {
            let found = client.call("symbol.find", json!({ "query": "brandNew" })).await;
            if found != json!([]) {
                return found;
            }
        }
    });
    assert_eq!(found.await.expect("it is never found")[0]["path"], "src/new.ts");
}
