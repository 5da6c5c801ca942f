//! Permission rules as a settings file writes them: one action for all, or a map whose keys keep their order,
//! because of the matching rules the last one wins.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, MapAccess, Visitor, value::StrDeserializer},
    ser::SerializeMap as _,
};

use crate::permission::{Action, Rule};

/// The permission types that a rule can name, and what each is about; `*` stands for all of them.
const MEANINGS: [(&str, &str); 17] = [
    ("read", "Reading files."),
    ("edit", "Changing files, with whatever tool."),
    ("bash", "Running commands."),
    ("grep", "Searching in files."),
    ("glob", "Finding files by name."),
    ("list", "Listing directories."),
    ("webfetch", "Fetching web pages; not used yet."),
    ("task", "Starting child sessions; patterns are names of agents."),
    ("skill", "Loading skills; not used yet."),
    ("todo", "Keeping the task list."),
    ("question", "Asking the user questions; not used yet."),
    ("external_directory", "Touching files outside the worktree; patterns are directories."),
    ("repeat", "Making the same call again and again."),
    ("mcp", "Calling tools of MCP servers; not used yet."),
    ("plugin", "Calling tools of plugins; not used yet."),
    ("sandbox", "Leaving the sandbox; patterns are those of `bash`."),
    ("*", "Everything."),
];

const TYPES: [&str; MEANINGS.len()] = {
    let mut types = [""; MEANINGS.len()];
    let mut index = 0;
    while index < types.len() {
        types[index] = MEANINGS[index].0;
        index += 1;
    }
    types
};

/// The permission types that a rule can name; `*` stands for all of them.
pub const PERMISSION_TYPES: &[&str] = &TYPES;

/// Permission rules: an action for everything, or a map from a permission type to an action or to a map from
/// patterns to actions. The order of keys is kept; of the matching rules the last one wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PermissionConfig(pub Vec<(String, PermissionSetting)>);

/// What the settings say about one permission type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PermissionSetting {
    /// The same for everything.
    All(Action),
    /// By pattern, in order.
    Patterns(Vec<(String, Action)>),
}

impl PermissionConfig {
    /// Nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same as a list of rules, in the order of the file.
    #[must_use]
    pub fn rules(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        for (permission, setting) in &self.0 {
            let rule = |pattern: &str, action| Rule { permission: permission.clone(), pattern: pattern.to_owned(), action };
            match setting {
                PermissionSetting::All(action) => rules.push(rule("*", *action)),
                PermissionSetting::Patterns(patterns) => rules.extend(patterns.iter().map(|(pattern, action)| rule(pattern, *action))),
            }
        }
        rules
    }
}

impl From<PermissionConfig> for Vec<Rule> {
    fn from(config: PermissionConfig) -> Self {
        config.rules()
    }
}

impl Serialize for PermissionConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(permission, setting)| (permission, setting)))
    }
}

impl Serialize for PermissionSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All(action) => action.serialize(serializer),
            Self::Patterns(patterns) => {
                let mut map = serializer.serialize_map(Some(patterns.len()))?;
                for (pattern, action) in patterns {
                    map.serialize_entry(pattern, action)?;
                }
                map.end()
            }
        }
    }
}

fn action<E: serde::de::Error>(text: &str) -> Result<Action, E> {
    Action::deserialize(StrDeserializer::new(text))
}

/// A key of the outer map: refused when no rule could ever match it, for a misspelt `deny` protects nothing.
struct PermissionType(String);

impl<'de> Deserialize<'de> for PermissionType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if PERMISSION_TYPES.contains(&name.as_str()) { Ok(Self(name)) } else { Err(D::Error::unknown_field(&name, PERMISSION_TYPES)) }
    }
}

impl<'de> Deserialize<'de> for PermissionConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConfigVisitor;
        impl<'de> Visitor<'de> for ConfigVisitor {
            type Value = PermissionConfig;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`allow`, `ask` or `deny`, or an object from permission types to those")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(PermissionConfig(vec![("*".to_owned(), PermissionSetting::All(action(text)?))]))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((PermissionType(permission), setting)) = map.next_entry()? {
                    entries.push((permission, setting));
                }
                Ok(PermissionConfig(entries))
            }
        }
        deserializer.deserialize_any(ConfigVisitor)
    }
}

impl<'de> Deserialize<'de> for PermissionSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SettingVisitor;
        impl<'de> Visitor<'de> for SettingVisitor {
            type Value = PermissionSetting;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`allow`, `ask` or `deny`, or an object from patterns to those")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(PermissionSetting::All(action(text)?))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut patterns = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    patterns.push(entry);
                }
                Ok(PermissionSetting::Patterns(patterns))
            }
        }
        deserializer.deserialize_any(SettingVisitor)
    }
}

impl JsonSchema for PermissionConfig {
    fn schema_name() -> Cow<'static, str> {
        "PermissionConfig".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let action = generator.subschema_for::<Action>();
        let setting = generator.subschema_for::<PermissionSetting>();
        let properties: serde_json::Map<_, _> = MEANINGS
            .iter()
            .map(|&(name, meaning)| {
                let mut property = setting.clone();
                property.insert("description".to_owned(), meaning.into());
                (name.to_owned(), property.into())
            })
            .collect();
        json_schema!({
            "description": "Permission rules: an action for everything, or a map from a permission type to an action or to a map from patterns to actions. The order of keys is kept; of the matching rules the last one wins.",
            "anyOf": [action, { "type": "object", "properties": properties, "additionalProperties": false }],
        })
    }
}

impl JsonSchema for PermissionSetting {
    fn schema_name() -> Cow<'static, str> {
        "PermissionSetting".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let action = generator.subschema_for::<Action>();
        json_schema!({
            "description": "What the settings say about one permission type: an action for everything, or a map from patterns to actions.",
            "anyOf": [action, { "type": "object", "additionalProperties": action }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<(String, String, Action)> {
        let config: PermissionConfig = serde_json::from_str(text).unwrap();
        let again: PermissionConfig = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
        assert_eq!(again, config, "does not round-trip");
        config.rules().into_iter().map(|rule| (rule.permission, rule.pattern, rule.action)).collect()
    }

    fn rule(permission: &str, pattern: &str, action: Action) -> (String, String, Action) {
        (permission.to_owned(), pattern.to_owned(), action)
    }

    #[test]
    fn one_action_is_a_rule_for_everything() {
        assert_eq!(rules(r#""deny""#), [rule("*", "*", Action::Deny)]);
    }

    #[test]
    fn the_order_of_keys_is_the_order_of_rules() {
        assert_eq!(
            rules(r#"{"webfetch": "allow", "bash": {"z*": "ask", "a*": "allow", "*": "deny"}, "*": "ask", "edit": {}}"#),
            [
                rule("webfetch", "*", Action::Allow),
                rule("bash", "z*", Action::Ask),
                rule("bash", "a*", Action::Allow),
                rule("bash", "*", Action::Deny),
                rule("*", "*", Action::Ask),
            ]
        );
    }

    #[test]
    fn misspelt_types_and_actions_are_refused() {
        for (text, expected) in [
            (r#"{"bsh": "deny"}"#, "unknown field `bsh`, expected one of `read`"),
            (r#"{"bash": "never"}"#, "unknown variant `never`"),
            (r#"{"bash": {"*": "never"}}"#, "unknown variant `never`"),
            ("true", "`allow`, `ask` or `deny`, or an object"),
            (r#"{"bash": 1}"#, "an object from patterns"),
        ] {
            let error = serde_json::from_str::<PermissionConfig>(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
