//! JSON text for people who read differences: what is short stands on one line, the rest one entry to a line.

use serde_json::Value;

/// The longest line that holds a whole object or array.
const WIDTH: usize = 140;

/// Lays out a document, with a newline at its end.
pub fn text(value: &Value) -> String {
    let mut text = String::new();
    write(value, 0, 0, &mut text);
    text.push('\n');
    text
}

/// `used` is what already stands on the line before the value.
fn write(value: &Value, indent: usize, used: usize, text: &mut String) {
    let line = one_line(value);
    let empty_or_leaf = !value.as_array().is_some_and(|items| !items.is_empty()) && !value.as_object().is_some_and(|map| !map.is_empty());
    if empty_or_leaf || indent + used + line.len() < WIDTH {
        text.push_str(&line);
        return;
    }
    let inner = indent + 2;
    if let Some(items) = value.as_array() {
        text.push('[');
        for (index, item) in items.iter().enumerate() {
            new_line(index > 0, inner, text);
            write(item, inner, 0, text);
        }
        new_line(false, indent, text);
        text.push(']');
    } else if let Some(map) = value.as_object() {
        text.push('{');
        for (index, (key, item)) in map.iter().enumerate() {
            new_line(index > 0, inner, text);
            let key = format!("{}: ", Value::from(key.as_str()));
            text.push_str(&key);
            write(item, inner, key.len(), text);
        }
        new_line(false, indent, text);
        text.push('}');
    }
}

fn new_line(comma: bool, indent: usize, text: &mut String) {
    text.push_str(if comma { ",\n" } else { "\n" });
    text.extend(std::iter::repeat_n(' ', indent));
}

fn one_line(value: &Value) -> String {
    match value {
        Value::Array(items) if !items.is_empty() => {
            format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) if !map.is_empty() => {
            let entries = map.iter().map(|(key, item)| format!("{}: {}", Value::from(key.as_str()), one_line(item)));
            format!("{{ {} }}", entries.collect::<Vec<_>>().join(", "))
        }
        leaf => leaf.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_things_stand_on_one_line_and_long_ones_do_not() {
        let long = "x".repeat(WIDTH);
        let value = json!({ "short": { "a": [1, "\"b\n"], "c": {} }, "long": [long, []] });
        let expected =
            format!("{{\n  \"short\": {{ \"a\": [1, \"\\\"b\\n\"], \"c\": {{}} }},\n  \"long\": [\n    \"{long}\",\n    []\n  ]\n}}\n");
        assert_eq!(text(&value), expected);
        assert_eq!(serde_json::from_str::<Value>(&text(&value)).unwrap(), value);
    }
}
