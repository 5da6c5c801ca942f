//! What commands in the sandbox can do by way of git's files.

use std::os::unix::process::CommandExt as _;

use serde_json::json;

use super::{
    sandbox::{Place, edits, output, python, somebody},
    support::fixture::Fixture,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_git_entry_that_a_command_could_make_opens_no_other_place() {
    let fixture = Fixture::new().await;
    for name in ["plain", "outside", "outside/objects"] {
        std::fs::create_dir(fixture.path(name)).unwrap();
    }
    std::fs::write(fixture.path("outside/secret"), "SECRET-OUTSIDE\n").unwrap();
    let mut place = Place::new(fixture, "plain", &json!({})).await;
    let entry = place.fixture.path("plain/.git");
    let made = [r#"open(".git", "w").write("gitdir: ../outside")"#, r#"import os; os.symlink("../outside", ".git")"#];
    let attempts =
        [r#"print(open("../outside/secret").read())"#, r#"open("../outside/made", "w")"#, r#"open("../outside/objects/made", "w")"#];
    for code in made {
        let state = place.run(&python(code), edits()).await;
        assert!(output(&state).contains("put back"), "{code}: {state}");
        assert!(std::fs::symlink_metadata(&entry).is_err(), "{code}");
        // Not even one that is there.
        if code.contains("symlink") {
            std::os::unix::fs::symlink("../outside", &entry).unwrap();
        } else {
            std::fs::write(&entry, "gitdir: ../outside\n").unwrap();
        }
        for attempt in attempts {
            let state = place.run(&python(attempt), edits()).await;
            assert_ne!(state["metadata"]["exit"], 0, "{code}, {attempt}: {state}");
            assert!(!output(&state).contains("SECRET"), "{code}, {attempt}: {state}");
        }
        std::fs::remove_file(&entry).unwrap();
    }
    assert!(!place.fixture.path("outside/made").exists() && !place.fixture.path("outside/objects/made").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn alternates_open_nothing_but_stores_of_objects() {
    let fixture = Fixture::new().await;
    std::fs::create_dir(fixture.path("outside")).unwrap();
    std::fs::write(fixture.path("outside/secret"), "SECRET-OUTSIDE\n").unwrap();
    fixture.git("", &["clone", "-q", "--shared", "repo", "shared"]);
    let mut place = Place::new(fixture, "shared", &json!({})).await;
    let list = place.fixture.path("shared/.git/objects/info/alternates");
    let before = std::fs::read_to_string(&list).unwrap();
    for code in [
        r#"open(".git/objects/info/alternates", "a").write("/")"#,
        r#"import os; os.remove(".git/objects/info/alternates")"#,
        r#"import os; os.rename(".git/objects/info/alternates", "x")"#,
        r#"import os; os.rename(".git/objects/info", ".git/objects/x"); os.mkdir(".git/objects/info"); open(".git/objects/info/alternates", "w").write("/")"#,
    ] {
        let state = place.run(&python(code), edits()).await;
        assert_ne!(state["metadata"]["exit"], 0, "{code}: {state}");
    }
    assert_eq!(std::fs::read_to_string(&list).unwrap(), before);
    std::fs::write(&list, format!("{before}/\n{}\n", place.fixture.path("outside").display())).unwrap();
    for more in [edits(), json!({ "agent": "plan" })] {
        assert_eq!(place.run("git log --oneline -p", more.clone()).await["metadata"]["exit"], 0, "the other store is read");
        let (state, _) = place.call(json!({ "command": "cat ../outside/secret", "description": "x" }), more).await;
        assert!(!state.to_string().contains("SECRET-"), "{state}");
    }
    let state = place.run(&python(r#"print(open("../outside/secret").read())"#), edits()).await;
    assert_ne!(state["metadata"]["exit"], 0, "{state}");

    // One that was not there is removed again.
    let mut place = Place::new(Fixture::new().await, "repo", &json!({})).await;
    let state = place.run(&python(r#"open(".git/objects/info/alternates", "w").write("/")"#), edits()).await;
    assert!(output(&state).contains("put back"), "{state}");
    assert!(!place.fixture.path("repo/.git/objects/info/alternates").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_repositories_are_protected_and_new_ones_are_named() {
    let fixture = Fixture::new().await;
    fixture.git("repo", &["init", "-q", "deep/old"]);
    let mut place = Place::new(fixture, "repo", &json!({})).await;
    let config = place.read("repo/deep/old/.git/config");
    for code in [
        r#"open("deep/old/.git/config", "a").write("[core] fsmonitor = evil")"#,
        r#"open("deep/old/.git/hooks/post-checkout", "w").write("evil")"#,
        r#"import os; os.rename("deep/old/.git/hooks", "h")"#,
        r#"import os; os.rename("deep/old/.git", "g")"#,
    ] {
        let state = place.run(&python(code), edits()).await;
        assert_ne!(state["metadata"]["exit"], 0, "{code}: {state}");
    }
    assert_eq!(place.read("repo/deep/old/.git/config"), config);
    let commit = "cd deep/old && touch x && git add x && git -c user.name=a -c user.email=a@b commit -qm x";
    let state = place.run(commit, edits()).await;
    assert_eq!(state["metadata"]["exit"], 0, "{state}");
    assert!(!output(&state).contains("created a repository"), "{state}");

    for (code, named) in [
        (r#"import subprocess; subprocess.check_call(["git", "init", "-q", "some/new"])"#, "repo/some/new."),
        (r#"import os; os.mkdir("link"); open("link/.git", "w").write("gitdir: ../some")"#, "repo/link."),
        (r#"import os; os.rename("deep", "other"); os.makedirs("deep/old/.git")"#, "repo/deep/old, "),
    ] {
        let state = place.run(&python(code), edits()).await;
        let told = output(&state);
        assert!(told.contains("created a repository") && told.contains(named), "{code}: {state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_has_made_in_vain_is_told() {
    for (directory, line, gone) in [("repo", "git worktree add -q ./side", "repo/.git/worktrees"), ("plain", "git init -q", "plain/.git")] {
        let fixture = Fixture::new().await;
        std::fs::create_dir(fixture.path("plain")).unwrap();
        let mut place = Place::new(fixture, directory, &json!({})).await;
        let state = place.run(line, edits()).await;
        assert!(output(&state).contains("although the command succeeded") && output(&state).contains("`outside`"), "{line}: {state}");
        assert!(!place.fixture.path(gone).exists(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_linked_worktree_git_works_and_other_worktrees_are_left_alone() {
    let fixture = Fixture::new().await;
    fixture.git("repo", &["worktree", "add", "-q", "../tree"]);
    let mut place = Place::new(fixture, "tree", &json!({})).await;
    let commit = "echo x > b.txt && git add b.txt && git -c user.name=a -c user.email=a@b commit -qm third && git log --oneline";
    let state = place.run(commit, edits()).await;
    assert_eq!(state["metadata"]["exit"], 0, "{state}");
    let state = place.run("echo y >> b.txt && git stash -q && git stash pop", edits()).await;
    assert!(state["metadata"]["exit"] == 0 && output(&state).contains("references"), "what git keeps for all worktrees: {state}");
    let plan = json!({ "agent": "plan" });
    assert_eq!(place.run("git log --oneline -1", plan).await["metadata"]["exit"], 0);
    for code in [
        r#"open("../repo/a.txt", "a")"#,
        r#"open("../repo/.git/config", "a")"#,
        r#"open("../repo/.git/hooks/x", "w")"#,
        r#"open("../repo/.git/index", "a")"#,
        r#"open("../repo/.git/worktrees/tree/commondir", "a")"#,
        r#"open(".git", "a")"#,
    ] {
        let state = place.run(&python(code), edits()).await;
        assert_ne!(state["metadata"]["exit"], 0, "{code}: {state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_is_no_change_for_git_not_even_for_root() {
    for user in somebody().map_or(vec![None], |user| vec![Some(user), None]) {
        let fixture = Fixture::new().await;
        std::fs::write(fixture.path("repo/.env"), "SECRET-ENV=1\n").unwrap();
        std::fs::create_dir_all(fixture.path("repo/keys")).unwrap();
        std::fs::write(fixture.path("repo/keys/k"), "SECRET-KEY\n").unwrap();
        fixture.git("repo", &["add", "-A"]);
        fixture.git("repo", &["commit", "-qm", "secrets"]);
        let settings = json!({ "permission": { "read": { "keys/*": "deny" } } });
        let mut place = Place::of(fixture, "repo", &settings, user).await;
        let git = "git -c user.name=a -c user.email=a@b";
        for line in [
            format!("echo x >> a.txt; {git} commit -qam all"),
            format!("{git} add -A && {git} commit -qm all"),
            format!("{git} stash"),
            format!("{git} rm -q --cached a.txt; {git} commit -qm x -a"),
        ] {
            let state = place.run(&line, edits()).await;
            assert_ne!(state["metadata"]["exit"], 0, "{user:?} {line}: {state}");
            assert!(output(&state).contains("Permission denied"), "{user:?} {line}: {state}");
        }
        for code in [r#"print(open(".env").read())"#, r#"import os; print(os.listdir("keys"))"#, r#"print(open("keys/k").read())"#] {
            let state = place.run(&python(code), edits()).await;
            assert!(state["metadata"]["exit"] != 0 && output(&state).contains("Permission denied"), "{user:?} {code}: {state}");
        }
        // What is said to be left out is.
        let state = place.run(&format!("{git} commit -qm some -- a.txt"), edits()).await;
        assert_eq!(state["metadata"]["exit"], 0, "{user:?} {state}");
        let state = place.run("git show --stat --format= HEAD; git ls-files", edits()).await;
        let told = output(&state);
        assert!(told.starts_with(" a.txt | 1 +") && told.ends_with("\n.env\na.txt\nkeys/k\n"), "{user:?} {state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_whose_name_hides_a_file_keeps_it() {
    let fixture = Fixture::new().await;
    for name in ["certs/site", "plain/deep"] {
        std::fs::create_dir_all(fixture.path("repo").join(name)).unwrap();
    }
    std::fs::write(fixture.path("repo/certs/site/a.pem"), "SECRET-PEM\n").unwrap();
    std::fs::write(fixture.path("repo/plain/deep/.env"), "SECRET-ENV\n").unwrap();
    let mut place = Place::new(fixture, "repo", &json!({ "permission": { "read": { "certs/*.pem": "deny" } } })).await;
    for code in [
        r#"import os; os.rename("certs", "other")"#,
        r#"import os; os.rename("certs", "plain/certs")"#,
        r#"import os; os.rename("certs/site", "site")"#,
        r#"import os; os.rename("certs/site/a.pem", "a.txt")"#,
        r#"import os; os.link("certs/site/a.pem", "b.txt")"#,
        r#"import os; os.link("plain/deep/.env", "b.txt")"#,
    ] {
        let state = place.run(&python(code), edits()).await;
        assert_ne!(state["metadata"]["exit"], 0, "{code}: {state}");
    }
    // A rule about the file's own name goes with it wherever it goes.
    let moves = r#"import os; os.rename("plain/deep", "plain/other"); os.rename("plain", "other")"#;
    let state = place.run(&python(moves), edits()).await;
    assert_eq!(state["metadata"]["exit"], 0, "{state}");
    for line in ["cat other/other/.env", "cat certs/site/a.pem"] {
        let (state, _) = place.call(json!({ "command": line, "description": "x" }), edits()).await;
        assert!(!state.to_string().contains("SECRET-"), "{line}: {state}");
        let line = python(&format!("print(open(\"{}\").read())", line.trim_start_matches("cat ")));
        let state = place.run(&line, edits()).await;
        assert!(state["metadata"]["exit"] != 0 && !output(&state).contains("SECRET-"), "{line}: {state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_directory_apart_works_once_the_settings_name_it() {
    for is_named in [false, true] {
        let fixture = Fixture::new().await;
        let apart = fixture.path("apart");
        fixture.git("repo", &["init", "-q", "--separate-git-dir", apart.to_str().unwrap()]);
        let write = if is_named { vec![apart] } else { Vec::new() };
        let mut place = Place::new(fixture, "repo", &json!({ "sandbox": { "write": write } })).await;
        let commit = "echo x >> a.txt && git -c user.name=a -c user.email=a@b commit -qam x && git log --oneline";
        let state = place.run(commit, edits()).await;
        assert_eq!(state["metadata"]["exit"] == 0, is_named, "{state}");
        for code in [r#"open("../apart/config", "a").write("x")"#, r#"open("../apart/hooks/x", "w")"#, r#"open("../apart/commondir", "w")"#]
        {
            let before = place.read("apart/config");
            let state = place.run(&python(code), edits()).await;
            assert!(state["metadata"]["exit"] != 0 || output(&state).contains("put back"), "{code}: {state}");
            assert_eq!(place.read("apart/config"), before);
            assert!(!place.fixture.path("apart/hooks/x").exists() && !place.fixture.path("apart/commondir").exists(), "{code}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_in_a_directory_that_may_be_written_is_protected_too() {
    let fixture = Fixture::new().await;
    fixture.git("", &["init", "-q", "beside"]);
    let beside = fixture.path("beside");
    let mut place = Place::new(fixture, "repo", &json!({ "sandbox": { "write": [beside] } })).await;
    let commit = "cd ../beside && echo x > x && git add x && git -c user.name=a -c user.email=a@b commit -qm x";
    let before = place.read("beside/.git/config");
    let (state, _) = place.call(json!({ "command": commit, "description": "x" }), edits()).await;
    assert!(state["status"] == "error" || state["metadata"]["exit"] == 0, "{state}");
    for code in [
        r#"open("../beside/.git/config", "a").write("x")"#,
        r#"open("../beside/.git/hooks/x", "w")"#,
        r#"import os; os.rename("../beside/.git", "../beside/g")"#,
    ] {
        let state = place.run(&python(code), edits()).await;
        assert_ne!(state["metadata"]["exit"], 0, "{code}: {state}");
    }
    assert_eq!(place.read("beside/.git/config"), before);
    assert_eq!(place.run(&python(r#"open("../beside/y", "w")"#), edits()).await["metadata"]["exit"], 0);
}

/// git as the user of the daemon runs it in the repository after a command; gives what it prints.
#[expect(clippy::disallowed_methods, reason = "tests run the real git")]
fn later(place: &Place, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    if let Some(user) = somebody() {
        command.uid(user).gid(user);
    }
    command.current_dir(place.fixture.path("repo")).env("HOME", place.fixture.path("")).args(["-c", "user.name=a", "-c", "user.email=a@b"]);
    String::from_utf8(command.args(arguments).output().unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn git_runs_nothing_and_writes_nowhere_else_by_what_a_command_has_left() {
    let fixture = Fixture::new().await;
    std::fs::create_dir(fixture.path("outside")).unwrap();
    std::fs::write(fixture.path("outside/mine"), "mine\n").unwrap();
    fixture.git("", &["init", "-q", "library"]);
    fixture.git("library", &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x"]);
    fixture.git("repo", &["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../library", "sub"]);
    fixture.git("repo", &["commit", "-qm", "sub"]);
    let evil = fixture.path("outside/evil");
    std::fs::write(&evil, format!("#!/bin/sh\ntouch {}\n", fixture.path("outside/ran").display())).unwrap();
    std::fs::set_permissions(&evil, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let evil = format!("[core]\\nfsmonitor = {}\\nbare = false\\nrepositoryformatversion = 0\\n", evil.display());
    let bare = format!(
        r#"import os; [os.makedirs(name) for name in ("objects", "refs")]; open("HEAD", "w").write("ref: refs/heads/main"); open("config", "w").write("{evil}")"#
    );
    let attempts = [
        r#"import os; os.remove(".git/HEAD"); os.symlink("../outside", ".git/HEAD")"#.to_owned(),
        r#"import os; os.remove(".git/HEAD"); os.symlink("../../outside/mine", ".git/HEAD")"#.to_owned(),
        format!(r#"{bare}; open(".git/HEAD", "w").write("nothing")"#),
        format!(r#"{bare}; os.remove(".git/HEAD")"#),
        format!(r#"{bare}; os.rename(".git/refs", ".git/other")"#),
        r#"import os; os.symlink("../../outside/mine", ".git/x"); os.replace(".git/x", ".git/COMMIT_EDITMSG")"#.to_owned(),
        r#"import os; os.symlink("../../../outside/mine", ".git/logs/x"); os.replace(".git/logs/x", ".git/logs/HEAD")"#.to_owned(),
        r#"import os; os.link(".git/config", ".git/x"); os.replace(".git/x", ".git/COMMIT_EDITMSG")"#.to_owned(),
        format!(
            r#"import os; os.rename(".git/modules/sub", ".git/modules/x"); os.mkdir(".git/modules/sub"); open(".git/modules/sub/config", "w").write("{evil}")"#
        ),
        format!(r#"open(".git/modules/sub/config", "w").write("{evil}")"#),
        r#"open(".git/modules/sub/commondir", "w").write("../../../../outside")"#.to_owned(),
        r#"import os; os.makedirs(".git/info", exist_ok=True); open(".git/info/attributes", "w").write("* filter=evil")"#.to_owned(),
    ];
    let mut place = Place::new(fixture, "repo", &json!({})).await;
    let config = place.read("repo/.git/modules/sub/config");
    for code in &attempts {
        let state = place.run(&python(code), edits()).await;
        let is_told = !state["metadata"]["sandbox"]["restored"].as_array().is_none_or(Vec::is_empty) && output(&state).contains("put back");
        assert!(state["metadata"]["exit"] != 0 || is_told, "{code}: {state}");
        later(&place, &["status"]);
        later(&place, &["commit", "-q", "--allow-empty", "-m", "later"]);
        assert!(!place.fixture.path("outside/ran").exists(), "{code}: {state}");
        assert_eq!(place.read("outside/mine"), "mine\n", "{code}: {state}");
        assert_eq!(place.read("repo/.git/modules/sub/config"), config, "{code}: {state}");
        assert_eq!(later(&place, &["rev-parse", "--show-toplevel"]).trim(), place.fixture.path("repo").to_str().unwrap());
        for name in ["HEAD", "config"] {
            let _ = std::fs::remove_file(place.fixture.path("repo").join(name));
        }
        for name in ["objects", "refs"] {
            let _ = std::fs::remove_dir_all(place.fixture.path("repo").join(name));
        }
        if place.fixture.path("repo/.git/other").exists() {
            std::fs::remove_dir_all(place.fixture.path("repo/.git/refs")).unwrap();
            std::fs::rename(place.fixture.path("repo/.git/other"), place.fixture.path("repo/.git/refs")).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_that_git_would_take_later_are_named() {
    let mut place = Place::new(Fixture::new().await, "repo", &json!({})).await;
    for name in ["some/bare", ".git/modules/sub"] {
        let code = format!(r#"import subprocess; subprocess.check_call(["git", "init", "-q", "--bare", "{name}"])"#);
        let state = place.run(&python(&code), edits()).await;
        let made = place.fixture.path("repo").join(name);
        assert_eq!(state["metadata"]["sandbox"]["repositories"], json!([made]), "{state}");
        assert!(output(&state).contains(made.to_str().unwrap()), "{state}");
    }
}
