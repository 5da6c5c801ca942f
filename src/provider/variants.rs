//! Wishes that every wire protocol has its own words for: how much a model thinks (its variants), and that it must call
//! a tool. Pure; what comes out are fields of the request's body.

use std::collections::BTreeMap;

use polytree_protocol::provider::Model;
use serde_json::{Map, Value, json};

/// The variants of a model by name, in the order in which they are shown, with the fields that make them.
pub type Variants = Vec<(String, Map<String, Value>)>;

/// How many tokens of thinking a word stands for, where the service counts them.
const BUDGETS: [(&str, u64); 4] = [("low", 4_096), ("medium", 10_240), ("high", 16_384), ("max", 31_999)];

/// All variants: those of the wire protocol for models that think, then the model's own. An own one replaces one of the
/// same name; `false` takes it away.
#[must_use]
pub fn variants(api: &str, model: &Model, own: &BTreeMap<String, Value>) -> Variants {
    let mut all = if model.reasoning { built_in(api, model) } else { Variants::new() };
    for (name, fields) in own {
        all.retain(|(known, _)| known != name || fields.is_object());
        let Value::Object(fields) = fields else { continue };
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.clone_from(fields),
            None => all.push((name.clone(), fields.clone())),
        }
    }
    all
}

fn built_in(api: &str, model: &Model) -> Variants {
    let words = |words: &[&str], fields: &dyn Fn(&str) -> Value| words.iter().map(|word| named(word, fields(word))).collect();
    let efforts: &[&str] = match model.id.strip_prefix("gpt-") {
        Some(version) if version.starts_with("5-") || version == "5" => &["minimal", "low", "medium", "high"],
        Some(_) => &["none", "low", "medium", "high", "xhigh"],
        None => &["low", "medium", "high"],
    };
    match api {
        "openai" => words(efforts, &|word| json!({ "reasoning_effort": word })),
        "openai-responses" => words(efforts, &|word| json!({ "reasoning": { "effort": word, "summary": "auto" } })),
        // Those that take no temperature decide themselves how much they think, and are told how hard to try.
        "anthropic" if !model.temperature => words(
            &["low", "medium", "high", "max"],
            &|word| json!({ "thinking": { "type": "adaptive" }, "output_config": { "effort": word } }),
        ),
        "anthropic" => budgets(model, |budget| json!({ "thinking": { "type": "enabled", "budget_tokens": budget } })),
        "gemini" => {
            let thinking = |config: Value| json!({ "generationConfig": { "thinkingConfig": config } });
            if model.id.starts_with("gemini-2") {
                budgets(model, |budget| thinking(json!({ "thinkingBudget": budget, "includeThoughts": true })))
            } else {
                words(&["low", "medium", "high"], &|word| thinking(json!({ "thinkingLevel": word, "includeThoughts": true })))
            }
        }
        "ollama" => {
            let mut all: Variants = vec![named("none", json!({ "think": false }))];
            all.extend(words(&["low", "medium", "high"], &|word| json!({ "think": word })));
            all
        }
        _ => Variants::new(),
    }
}

/// Those that leave room for an answer.
fn budgets(model: &Model, fields: impl Fn(u64) -> Value) -> Variants {
    let fits = |budget: u64| model.limit.output == 0 || budget < model.limit.output;
    BUDGETS.iter().filter(|(_, budget)| fits(*budget)).map(|(word, budget)| named(word, fields(*budget))).collect()
}

fn named(word: &str, fields: Value) -> (String, Map<String, Value>) {
    let Value::Object(fields) = fields else { return (word.to_owned(), Map::new()) };
    (word.to_owned(), fields)
}

/// The fields that make a model call one of its tools, where the protocol has them and the request allows it. The one
/// who asks must live with an answer without a call: not every service obeys.
#[must_use]
pub fn must_call_a_tool(api: &str, options: &Map<String, Value>, model: &Model) -> Map<String, Value> {
    let fields = match api {
        "openai" | "openai-responses" => json!({ "tool_choice": "required" }),
        // Thinking and a forced call exclude each other there.
        "anthropic" if model.temperature && !options.contains_key("thinking") => json!({ "tool_choice": { "type": "any" } }),
        "gemini" => json!({ "toolConfig": { "functionCallingConfig": { "mode": "ANY" } } }),
        _ => json!({}),
    };
    named("", fields).1
}

/// Puts fields over others; objects are merged.
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
    use polytree_protocol::provider::ModelLimit;

    use super::*;
    use crate::provider::catalog::unknown_model;

    fn thinker(id: &str) -> Model {
        Model { reasoning: true, ..unknown_model(id) }
    }

    fn shown(api: &str, model: &Model, own: &Value) -> String {
        let own = own.as_object().unwrap().iter().map(|(name, fields)| (name.clone(), fields.clone())).collect();
        variants(api, model, &own).into_iter().map(|(name, fields)| format!("{name} {}\n", Value::Object(fields))).collect()
    }

    #[test]
    fn each_wire_has_its_words() {
        let sampling = Model { temperature: true, limit: ModelLimit { context: 0, output: 12_000 }, ..thinker("claude-old") };
        let all = [
            shown("openai", &thinker("o3"), &json!({})),
            shown("openai", &thinker("gpt-5-mini"), &json!({ "minimal": false, "low": false, "medium": false })),
            shown("openai-responses", &thinker("x"), &json!({ "medium": false, "low": false })),
            shown("anthropic", &thinker("claude-new"), &json!({ "low": false, "medium": false, "max": false })),
            shown("anthropic", &sampling, &json!({})),
            shown("gemini", &thinker("gemini-2.5-pro"), &json!({ "low": false, "medium": false, "max": false })),
            shown("gemini", &thinker("gemini-3-pro"), &json!({ "medium": false, "high": false })),
            shown("ollama", &thinker("qwen3"), &json!({ "medium": false, "high": false })),
            shown("scripted", &thinker("x"), &json!({ "mine": { "a": 1 } })),
            shown("openai", &unknown_model("plain"), &json!({ "loud": { "volume": 11 }, "low": false })),
        ];
        expect_test::expect![[r#"
            low {"reasoning_effort":"low"}
            medium {"reasoning_effort":"medium"}
            high {"reasoning_effort":"high"}
            high {"reasoning_effort":"high"}
            high {"reasoning":{"effort":"high","summary":"auto"}}
            high {"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}}
            low {"thinking":{"type":"enabled","budget_tokens":4096}}
            medium {"thinking":{"type":"enabled","budget_tokens":10240}}
            high {"generationConfig":{"thinkingConfig":{"thinkingBudget":16384,"includeThoughts":true}}}
            low {"generationConfig":{"thinkingConfig":{"thinkingLevel":"low","includeThoughts":true}}}
            none {"think":false}
            low {"think":"low"}
            mine {"a":1}
            loud {"volume":11}
        "#]]
        .assert_eq(&all.concat());
    }

    #[test]
    fn a_call_is_forced_where_that_is_possible() {
        let thinking = json!({ "thinking": {} }).as_object().unwrap().clone();
        let sampling = Model { temperature: true, ..thinker("c") };
        let (none, adaptive) = (Map::new(), thinker("c"));
        let forced = |api: &str, options: &Map<String, Value>, model: &Model| Value::Object(must_call_a_tool(api, options, model));
        assert_eq!(forced("openai", &none, &sampling), json!({ "tool_choice": "required" }));
        assert_eq!(forced("anthropic", &none, &sampling), json!({ "tool_choice": { "type": "any" } }));
        assert_eq!(forced("anthropic", &thinking, &sampling), json!({}));
        assert_eq!(forced("anthropic", &none, &adaptive), json!({}));
        assert_eq!(forced("ollama", &none, &sampling), json!({}));
    }

    #[test]
    fn objects_are_merged() {
        let mut base = json!({ "a": { "x": 1, "y": 2 }, "b": 1 }).as_object().unwrap().clone();
        merge(&mut base, json!({ "a": { "y": 3 }, "b": { "z": 1 } }).as_object().unwrap());
        assert_eq!(Value::Object(base), json!({ "a": { "x": 1, "y": 3 }, "b": { "z": 1 } }));
    }
}
