//! Merges documents: objects recursively; other values are replaced by the later ones.

use super::tree::{Node, NodeValue};

/// Merges `over` into `under`; values of `over` win.
pub fn merge(base: Node, over: Node) -> Node {
    match (base.value, over.value) {
        (NodeValue::Map(mut entries), NodeValue::Map(changes)) => {
            for change in changes {
                match entries.iter_mut().find(|entry| entry.key == change.key) {
                    Some(entry) => {
                        let old = std::mem::replace(&mut entry.value, Node::empty());
                        entry.value = merge(old, change.value);
                        entry.position = change.position;
                    }
                    None => entries.push(change),
                }
            }
            Node { position: over.position, secret: over.secret, unset: over.unset, value: NodeValue::Map(entries) }
        }
        (_, value) => Node { position: over.position, secret: over.secret, unset: over.unset, value },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{
        super::{
            tree::{Entry, Position, parse_json},
            typed::{self, Secrets},
        },
        *,
    };

    fn node(value: &Value) -> Node {
        parse_json(&value.to_string()).unwrap()
    }

    fn value(node: &Node) -> Value {
        typed::read(node, Secrets::Plain).unwrap()
    }

    #[test]
    fn objects_merge_and_the_rest_is_replaced() {
        let merged = merge(
            node(&json!({"a": {"x": 1, "y": [1, 2]}, "b": {"z": 1}, "c": 1})),
            node(&json!({"a": {"y": [3], "w": null}, "b": "text", "d": {}})),
        );
        assert_eq!(value(&merged), json!({"a": {"x": 1, "y": [3], "w": null}, "b": "text", "c": 1, "d": {}}));
    }

    #[test]
    fn a_secret_ends_with_its_value() {
        let mut secret = node(&json!({"a": "s", "b": "s"}));
        let NodeValue::Map(entries) = &mut secret.value else { panic!() };
        for Entry { value, .. } in entries {
            value.secret = true;
        }
        let merged = merge(secret, node(&json!({"a": "open"})));
        assert!(!merged.get("a").unwrap().value.secret);
        assert!(merged.get("b").unwrap().value.secret);
    }

    /// Documents of one shape: a path has an object in all of them or in none, as in settings that match their types.
    fn document() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![any::<u8>().prop_map(|n| json!(n)), any::<bool>().prop_map(|b| json!([b])), Just(Value::Null)];
        let inner = prop::collection::hash_map("[a-c]", leaf.clone(), 0..4);
        (prop::collection::hash_map("[d-f]", inner, 0..4), prop::collection::hash_map("[a-c]", leaf, 0..4)).prop_map(|(objects, leaves)| {
            let mut all = serde_json::Map::new();
            all.extend(objects.into_iter().map(|(key, object)| (key, json!(object))));
            all.extend(leaves);
            node(&Value::Object(all))
        })
    }

    fn leaves(value: &Value, path: &str, out: &mut std::collections::BTreeMap<String, Value>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(key, value)| leaves(value, &format!("{path}/{key}"), out)),
            other => drop(out.insert(path.to_owned(), other.clone())),
        }
    }

    proptest! {
        #[test]
        fn how_merges_are_grouped_does_not_matter(a in document(), b in document(), c in document()) {
            let left = merge(merge(a.clone(), b.clone()), c.clone());
            let right = merge(a, merge(b, c));
            prop_assert_eq!(left, right);
        }

        #[test]
        fn every_leaf_is_that_of_the_last_document_that_has_it(documents in prop::collection::vec(document(), 1..5)) {
            let mut expected = std::collections::BTreeMap::new();
            for document in &documents {
                leaves(&value(document), "", &mut expected);
            }
            let merged = documents.into_iter().fold(Node::new(Position::START, NodeValue::Map(Vec::new())), merge);
            let mut found = std::collections::BTreeMap::new();
            leaves(&value(&merged), "", &mut found);
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn an_empty_document_changes_nothing(a in document()) {
            prop_assert_eq!(value(&merge(a.clone(), Node::empty())), value(&a));
            prop_assert_eq!(value(&merge(Node::empty(), a.clone())), value(&a));
        }
    }
}
