//! The key store with valid, edited and damaged files.

use proptest::prelude::*;

use super::*;

fn store() -> (tempfile::TempDir, KeyStore, AbsPath) {
    let directory = tempfile::tempdir().unwrap();
    let data = AbsPath::new(directory.path()).unwrap();
    let store = KeyStore::new(&data);
    (directory, store, data.join("auth.json"))
}

fn exposed(store: &KeyStore) -> Vec<(String, String)> {
    store.keys().unwrap().iter().map(|(id, key)| (id.clone(), key.expose().to_owned())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(id, key)| ((*id).to_owned(), (*key).to_owned())).collect()
}

#[test]
fn keys_are_added_and_removed_and_the_file_is_authoritative() {
    let (_directory, store, path) = store();
    assert!(exposed(&store).is_empty());
    assert!(!store.remove("a").unwrap() && !path.as_path().exists(), "nothing is made for nothing");
    store.set("a", " sk-one\n").unwrap();
    store.set("b", "sk-two").unwrap();
    assert_eq!(exposed(&store), pairs(&[("a", "sk-one"), ("b", "sk-two")]));
    store.set("a", "sk-three").unwrap();
    assert!(store.remove("b").unwrap() && !store.remove("b").unwrap());
    assert_eq!(exposed(&store), pairs(&[("a", "sk-three")]));
    // Another program has changed the file.
    std::fs::write(&path, r#"{"a": {"type": "api", "key": "sk-other"}}"#).unwrap();
    assert_eq!(exposed(&store), pairs(&[("a", "sk-other")]));
    std::fs::remove_file(&path).unwrap();
    assert!(exposed(&store).is_empty());
}

#[test]
fn unknown_entries_are_preserved() {
    let (_directory, store, path) = store();
    let other = json!({ "type": "oauth", "refresh": "r", "access": "a", "expires": 1 });
    std::fs::write(&path, json!({ "x": other, "odd": 5, "keyless": { "type": "api" } }).to_string()).unwrap();
    assert!(exposed(&store).is_empty());
    store.set("a", "sk-one").unwrap();
    store.remove("a").unwrap();
    let after: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(after, json!({ "x": other, "odd": 5, "keyless": { "type": "api" } }));
}

#[test]
fn an_invalid_key_is_rejected_without_repeating_it() {
    let (_directory, store, path) = store();
    let long = "k".repeat(MAX_KEY_BYTES + 1);
    for key in ["", "  ", "sk-secret two", "sk-secret\ntwo", "sk-secret\u{e9}", long.as_str()] {
        let error = store.set("a", key).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)) && !error.to_string().contains("secret"), "{error}");
    }
    for id in ["", "a b", "a\n", "../a:", "\u{e9}", "sk-ant-0123456789", "sk-one", &"i".repeat(101)] {
        assert!(matches!(store.set(id, "sk-one"), Err(Error::Invalid(_))), "{id}");
    }
    assert!(!path.as_path().exists());
}

#[test]
fn a_damaged_file_is_reported_and_never_overwritten() {
    let (_directory, store, path) = store();
    for content in ["{\n\"a\": {\"type\": \"api\", \"key\": \"sk-secret\"", "[\"sk-secret\"]", "\"sk-secret\"", "\u{0}\u{1}sk-secret"] {
        std::fs::write(&path, content).unwrap();
        for error in [store.keys().map(drop), store.set("b", "sk-new"), store.remove("a").map(drop)] {
            let error = error.unwrap_err();
            assert!(matches!(error, Error::Content { .. }) && !error.to_string().contains("secret"), "{error}");
        }
        assert_eq!(std::fs::read(&path).unwrap(), content.as_bytes());
    }
    std::fs::write(&path, " \n").unwrap();
    assert!(exposed(&store).is_empty(), "an empty file is an empty store");
    std::fs::write(&path, vec![b' '; 2 << 20]).unwrap();
    assert!(matches!(store.keys(), Err(Error::File { .. })));
}

#[test]
fn concurrent_changes_are_kept() {
    let (_directory, store, _) = store();
    std::thread::scope(|scope| {
        for number in 0..8 {
            let store = &store;
            scope.spawn(move || store.set(&format!("p{number}"), &format!("sk-{number}")).unwrap());
        }
    });
    assert_eq!(store.keys().unwrap().len(), 8);
}

#[test]
fn without_a_data_directory_the_store_is_empty() {
    let store = KeyStore::default();
    assert!(store.keys().unwrap().is_empty());
    assert!(matches!(store.set("a", "k"), Err(Error::None)));
}

proptest! {
    #[test]
    fn any_file_is_parsed_or_rejected(content in prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        r#"\{("[a-z]{1,3}": ?(\{"type": ?"(api|x)", ?"key": ?("[ -~]{0,8}"|[0-9]|null)\}|[0-9]|"x"),?){0,3}\}?"#.prop_map(String::into_bytes),
    ]) {
        let (_directory, store, path) = store();
        std::fs::write(&path, &content).unwrap();
        let before = store.keys().map(|keys| keys.len());
        let stored = store.set("new", "sk-new");
        prop_assert_eq!(before.is_ok(), stored.is_ok());
        if stored.is_ok() {
            let keys = store.keys().unwrap();
            prop_assert_eq!(keys["new"].expose(), "sk-new");
        } else {
            prop_assert_eq!(std::fs::read(&path).unwrap(), content);
        }
    }
}
