//! Parses params: by name, without unknown fields. An error names the field, what was expected and the nearest valid name.

use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;
use crate::stdx::nearest;

/// Parses the params of a request; the default is `{}`.
///
/// # Errors
/// `invalid_params`.
pub fn parse<P: DeserializeOwned + JsonSchema>(json: Option<&str>) -> Result<P, Error> {
    let json = json.unwrap_or("{}");
    if !json.starts_with('{') {
        return Err(Error::invalid_params(match json.as_bytes().first() {
            Some(b'[') => "params must be an object: they are given by name, not by position",
            _ => "params must be an object",
        }));
    }
    // The path is tracked only after a failure.
    serde_json::from_str(json).map_err(|_| explain::<P>(json))
}

fn explain<P: DeserializeOwned + JsonSchema>(json: &str) -> Error {
    match serde_path_to_error::deserialize::<_, P>(&mut serde_json::Deserializer::from_str(json)) {
        Ok(_) => Error::invalid_params("params must be one object"),
        Err(error) => {
            let (path, message) = (error.path().to_string(), error.inner().to_string());
            Error::invalid_params(describe(&path, &message) + &shape::<P>(&message).unwrap_or_default())
        }
    }
}

/// Turns serde's message into a sentence about a field.
fn describe(path: &str, message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    let within = |parent: &str, name: &str| if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") };
    let mut names = quoted(message);
    if message.starts_with("unknown field") && !names.is_empty() {
        let given = names.remove(0);
        let field = within(parent, given);
        return match nearest::one(given, names.iter().copied()) {
            Some(near) => format!("unknown field `{field}`, the nearest valid name is `{near}`; expected one of {}", list(&names)),
            None if names.is_empty() => format!("unknown field `{field}`: no fields are expected"),
            None => format!("unknown field `{field}`; expected one of {}", list(&names)),
        };
    }
    if message.starts_with("missing field") && !names.is_empty() {
        // The path ends with the object without the field.
        return format!("missing field `{}`", within(path.trim_matches('.'), names[0]));
    }
    let place = if path == "." { "params".to_owned() } else { format!("field `{path}`") };
    if message.starts_with("unknown variant") && !names.is_empty() {
        let given = names.remove(0);
        let near = nearest::one(given, names.iter().copied()).map(|near| format!(", the nearest valid one is `{near}`"));
        return format!("{place}: unknown value `{given}`{}; expected one of {}", near.unwrap_or_default(), list(&names));
    }
    match message.rsplit_once(", expected ") {
        Some((what, expected)) => format!("{place}: {what}, expected {}", plain(expected)),
        None => format!("{place}: {message}"),
    }
}

/// The shape of the expected object, if it has few fields.
fn shape<P: JsonSchema>(message: &str) -> Option<String> {
    let name = message.rsplit_once(" at line ").map_or(message, |(message, _)| message).rsplit_once(", expected struct ")?.1;
    let schema = SchemaGenerator::default().into_root_schema_for::<P>().to_value();
    let object = schema.get("$defs")?.get(name)?;
    let required = object.get("required")?.as_array()?;
    let field = |name: &Value| {
        let name = name.as_str()?;
        let kind = object.get("properties")?.get(name)?.get("type").and_then(Value::as_str).unwrap_or("…");
        Some(format!("{name:?}: {kind}"))
    };
    let fields: Vec<String> = required.iter().filter_map(field).collect();
    (!fields.is_empty()).then(|| format!(" {{{}}}", fields.join(", ")))
}

/// The words in backticks.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The JSON name of a type.
fn plain(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "an integer from 0 on",
        "i8" | "i16" | "i32" | "i64" | "isize" => "an integer",
        "f32" | "f64" => "a number",
        "a sequence" => "an array",
        "a map" => "an object",
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged enum ") => "an object",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use polytree_protocol::{daemon::LogWriteParams, event::EventListParams, session::SessionSubmitParams};
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Nested {
        #[expect(dead_code, reason = "only read by serde")]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Inner {
        #[expect(dead_code, reason = "only read by serde")]
        first_name: String,
    }

    fn check<P: DeserializeOwned + JsonSchema + std::fmt::Debug>(json: &str, expect: &Expect) {
        expect.assert_eq(parse::<P>(Some(json)).unwrap_err().message());
    }

    #[test]
    fn unknown_fields_name_the_nearest() {
        check::<EventListParams>(
            r#"{"since":1,"session_id":"x"}"#,
            &expect![
                "unknown field `session_id`, the nearest valid name is `sessionID`; expected one of `sessionID`, `types`, `since`, `limit`, `directory`, `projectID`"
            ],
        );
        check::<Nested>(
            r#"{"inner":[{"firstName":"a"},{"first":1}]}"#,
            &expect!["unknown field `inner[1].first`, the nearest valid name is `firstName`; expected one of `firstName`"],
        );
    }

    #[test]
    fn what_resembles_nothing_is_compared_with_nothing() {
        check::<EventListParams>(
            r#"{"since":1,"colour":"x"}"#,
            &expect!["unknown field `colour`; expected one of `sessionID`, `types`, `since`, `limit`, `directory`, `projectID`"],
        );
        check::<LogWriteParams>(
            r#"{"service":"a","message":"b","level":"purple"}"#,
            &expect!["field `level`: unknown value `purple`; expected one of `debug`, `info`, `warn`, `error`"],
        );
    }

    #[test]
    fn wrong_types_name_the_field_and_what_was_expected() {
        check::<EventListParams>(
            r#"{"since":"1"}"#,
            &expect![[r#"field `since`: invalid type: string "1", expected an integer from 0 on"#]],
        );
        check::<EventListParams>(r#"{"since":-1}"#, &expect!["field `since`: invalid value: integer `-1`, expected an integer from 0 on"]);
        check::<EventListParams>(
            r#"{"since":1,"types":["a",2]}"#,
            &expect!["field `types[1]`: invalid type: integer `2`, expected a string"],
        );
        check::<EventListParams>(r#"{"since":1,"types":{}}"#, &expect!["field `types`: invalid type: map, expected an array"]);
        check::<Nested>(
            r#"{"inner":[1]}"#,
            &expect![[r#"field `inner[0]`: invalid type: integer `1`, expected an object {"firstName": string}"#]],
        );
        check::<SessionSubmitParams>(
            r#"{"parts":"hi","model":"openai/gpt"}"#,
            &expect![[r#"field `model`: invalid type: string "openai/gpt", expected an object {"providerID": string, "modelID": string}"#]],
        );
        check::<LogWriteParams>(
            r#"{"service":"a","message":"b","level":"wran"}"#,
            &expect![
                "field `level`: unknown value `wran`, the nearest valid one is `warn`; expected one of `debug`, `info`, `warn`, `error`"
            ],
        );
    }

    #[test]
    fn missing_fields_and_bad_ids_are_named() {
        check::<EventListParams>("{}", &expect!["missing field `since`"]);
        check::<Nested>(r#"{"inner":[{}]}"#, &expect!["missing field `inner[0].firstName`"]);
        check::<EventListParams>(
            r#"{"since":1,"sessionID":"x"}"#,
            &expect![[r#"field `sessionID`: invalid id "x", expected ses_ and a ULID (26 characters of 0-9 and A-Z without I, L, O, U)"#]],
        );
        check::<EventListParams>(r#"{"since":1,"since":2}"#, &expect!["params: duplicate field `since`"]);
    }

    #[test]
    fn only_objects() {
        check::<EventListParams>("[1]", &expect!["params must be an object: they are given by name, not by position"]);
        check::<EventListParams>("null", &expect!["params must be an object"]);
        assert!(parse::<polytree_protocol::daemon::ServerInfoParams>(None).is_ok());
    }

    #[test]
    fn params_too_deep_are_refused() {
        let deep = format!(r#"{{"service":"a","level":"info","message":"b","extra":{}{}}}"#, "[".repeat(1000), "]".repeat(1000));
        assert!(parse::<LogWriteParams>(Some(&deep)).unwrap_err().message().contains("recursion limit"));
    }
}
