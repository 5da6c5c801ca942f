//! Helpers for variants of models: the thinking effort as fields of a request's body. Pure.

use polytree_protocol::provider::Model;
use serde_json::{Map, Value};

/// Variants by name, with their fields.
pub type Variants = Vec<(String, Map<String, Value>)>;

/// The thinking budget in tokens of each name, for services with budgets.
const BUDGETS: [(&str, u64); 4] = [("low", 4_096), ("medium", 10_240), ("high", 16_384), ("max", 31_999)];

/// A variant for each name.
pub(crate) fn named(names: &[&str], fields: impl Fn(&str) -> Value) -> Variants {
    names.iter().map(|name| ((*name).to_owned(), object(fields(name)))).collect()
}

/// A variant for each budget that leaves enough tokens for an answer.
pub(crate) fn budgets(model: &Model, fields: impl Fn(u64) -> Value) -> Variants {
    let fits = |budget: u64| model.limit.output == 0 || budget < model.limit.output;
    BUDGETS.iter().filter(|(_, budget)| fits(*budget)).map(|(name, budget)| ((*name).to_owned(), object(fields(*budget)))).collect()
}

/// The effort levels of a model in OpenAI's protocols.
pub(crate) fn efforts(model: &Model) -> &'static [&'static str] {
    match model.id.strip_prefix("gpt-") {
        Some(version) if version.starts_with("5-") || version == "5" => &["minimal", "low", "medium", "high"],
        Some(_) => &["none", "low", "medium", "high", "xhigh"],
        None => &["low", "medium", "high"],
    }
}

/// The fields of a JSON object.
pub(crate) fn object(value: Value) -> Map<String, Value> {
    if let Value::Object(fields) = value { fields } else { Map::new() }
}

/// Overrides fields with others; objects are merged.
pub fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_merged() {
        let mut base = object(json!({ "a": { "x": 1, "y": 2 }, "b": 1 }));
        merge(&mut base, &object(json!({ "a": { "y": 3 }, "b": { "z": 1 } })));
        assert_eq!(Value::Object(base), json!({ "a": { "x": 1, "y": 3 }, "b": { "z": 1 } }));
    }
}
