//! Files: a directory, a file, and the differences from the last commit.

use serde_json::{Value, json};

use super::support::{client::Client, fixture::Fixture};

fn write(fixture: &Fixture, path: &str, content: impl AsRef<[u8]>) {
    let path = fixture.path("repo").join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

#[tokio::test]
async fn a_file_is_read_as_it_is_or_as_a_patch() {
    let fixture = Fixture::new().await;
    let mut client = Client::start(&fixture);
    let plain = client.call("file.read", json!({ "path": "a.txt" })).await;
    let version = blake3::hash(b"one\ntwo\nthree\n").to_hex().to_string();
    assert_eq!(plain, json!({ "type": "raw", "content": "one\ntwo\nthree\n", "version": version }));
    write(&fixture, "a.txt", "one\n2\nthree");
    fixture.git("repo", &["add", "a.txt"]);
    let changed = client.call("file.read", json!({ "path": fixture.path("repo/a.txt") })).await;
    assert_eq!(changed["type"], "patch");
    let patch = changed["content"].as_str().unwrap();
    let hunk = "@@ -1,3 +1,3 @@\n one\n-two\n-three\n+2\n+three\n\\ No newline at end of file\n";
    assert!(patch.starts_with("diff --git a/a.txt b/a.txt\n") && patch.ends_with(hunk), "{patch}");
    let raw = client.call("file.read", json!({ "path": "./a.txt", "as": "raw" })).await;
    assert_eq!((&raw["type"], &raw["content"], &raw["version"]), (&json!("raw"), &json!("one\n2\nthree"), &changed["version"]));
    let lines = client.call("file.read", json!({ "path": "a.txt", "offset": 2, "limit": 1 })).await;
    assert_eq!((&lines["type"], &lines["content"], &lines["more"]), (&json!("raw"), &json!("2\n"), &json!(true)));
    write(&fixture, "image.png", b"\x89PNG\r\n\x1a\n\0\xff");
    let image = client.call("file.read", json!({ "path": "image.png" })).await;
    assert_eq!(
        (&image["content"], &image["encoding"], &image["mime"]),
        (&json!("iVBORw0KGgoA/w=="), &json!("base64"), &json!("image/png"))
    );
    write(&fixture, "latin.txt", b"gr\xFCn\n");
    let latin = client.call("file.read", json!({ "path": "latin.txt" })).await;
    assert_eq!((&latin["content"], &latin["charset"]), (&json!("gr\u{fc}n\n"), &json!("windows-1252")));
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let fixture = Fixture::new().await;
    std::os::unix::fs::symlink("/etc", fixture.path("repo/etc")).unwrap();
    write(&fixture, "large", vec![b'x'; (10 << 20) + 1]);
    let mut client = Client::start(&fixture);
    for (params, kind) in [
        (json!({ "path": "none" }), "not_found"),
        (json!({ "path": "../config/polytree.json" }), "denied"),
        (json!({ "path": "etc/passwd" }), "denied"),
        (json!({ "path": "/etc/passwd" }), "denied"),
        (json!({ "path": "." }), "invalid_state"),
        (json!({ "path": "" }), "invalid_params"),
        (json!({ "path": "a.txt", "offset": 0 }), "invalid_params"),
        (json!({ "path": "a.txt", "limit": 0 }), "invalid_params"),
        (json!({ "path": "a.txt", "as": "patch" }), "invalid_params"),
        (json!({}), "invalid_params"),
        (json!({ "path": "large" }), "too_large"),
        (json!({ "path": "a.txt", "sessionID": "ses_01ARZ3NDEKTSV4RRFFQ69G5FAV" }), "not_found"),
    ] {
        let error = client.refused("file.read", params.clone()).await;
        assert_eq!(error["data"]["kind"], kind, "{params}: {error}");
        if matches!(kind, "denied" | "too_large") {
            assert!(error["data"]["hint"].is_string(), "{error}");
        }
    }
    for (path, kind) in [("etc", "denied"), ("..", "denied"), ("a.txt", "invalid_state"), ("none", "not_found")] {
        assert_eq!(client.refused("file.list", json!({ "path": path })).await["data"]["kind"], kind, "{path}");
    }
}

#[tokio::test]
async fn a_directory_and_what_has_changed_below_it() {
    let fixture = Fixture::new().await;
    write(&fixture, ".gitignore", "*.log\n");
    write(&fixture, "sub/x.log", "");
    write(&fixture, "sub/new.txt", "1\n2\n");
    fixture.git("repo", &["mv", "a.txt", "sub/b.txt"]);
    let mut client = Client::start(&fixture);
    let session = client.session().await;
    let list = client.call("file.list", json!({ "path": "sub", "sessionID": session })).await;
    let absolute = |name: &str| fixture.path("repo/sub").join(name).to_str().unwrap().to_owned();
    let node = |name: &str, ignored: bool| json!({ "name": name, "path": format!("sub/{name}"), "absolute": absolute(name), "type": "file", "ignored": ignored });
    assert_eq!(list, json!([node("b.txt", false), node("new.txt", false), node("x.log", true)]));
    let top = client.call("file.list", json!({ "path": "" })).await;
    let names: Vec<&Value> = top.as_array().unwrap().iter().map(|node| &node["name"]).collect();
    assert_eq!(names, ["sub", ".gitignore"]);
    let status = client.call("file.status", json!({ "sessionID": session })).await;
    assert_eq!(
        status,
        json!([
            { "path": ".gitignore", "added": 1, "removed": 0, "status": "added" },
            { "path": "sub/b.txt", "added": 0, "removed": 0, "status": "renamed", "from": "a.txt" },
            { "path": "sub/new.txt", "added": 2, "removed": 0, "status": "added" },
        ])
    );
    let below = client.call("file.status", json!({ "directory": fixture.path("repo/sub") })).await;
    let paths: Vec<&Value> = below.as_array().unwrap().iter().map(|file| &file["path"]).collect();
    assert_eq!(paths, ["b.txt", "new.txt"]);
    std::fs::create_dir(fixture.path("plain")).unwrap();
    assert_eq!(client.call("file.status", json!({ "directory": fixture.path("plain") })).await, json!([]));
}
