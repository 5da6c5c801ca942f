//! What commands in the sandbox can do by way of git's files.

use serde_json::json;

use super::{
    sandbox::{Place, edits, output, python},
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
