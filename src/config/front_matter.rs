//! Markdown files with front matter: YAML between two lines `---`, then the text. Only plain data: no tags, anchors or
//! aliases.

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};
use serde_json::Number;

use super::{
    Error,
    tree::{Entry, MAX_DEPTH, Node, NodeValue, Position, Problem, insert},
    typed::{self, Secrets},
};

/// The limit of front matter, in bytes.
const MAX_FIELDS_BYTES: usize = 64 * 1024;
/// The limit of values in front matter, nested ones included.
const MAX_VALUES: usize = 2000;

/// A parsed Markdown file.
#[derive(Debug)]
pub struct Document {
    file: String,
    fields: Node,
    /// The text after the fields, trimmed.
    pub body: String,
}

impl Document {
    /// Parses a file; `file` is its name in errors.
    ///
    /// # Errors
    /// If the front matter is not closed or not YAML.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (fields, body) = split(text).map_err(|problem| problem.syntax(file))?;
        let fields = yaml(fields).map_err(|problem| problem.syntax(file))?;
        Ok(Self { file: file.to_owned(), fields, body: body.trim().to_owned() })
    }

    /// Removes a field with a text and returns it.
    ///
    /// # Errors
    /// If it has another type.
    pub fn take_text(&mut self, key: &str) -> Result<Option<String>, Error> {
        let NodeValue::Map(entries) = &mut self.fields.value else { return Ok(None) };
        let Some(index) = entries.iter().position(|entry| entry.key == key) else { return Ok(None) };
        let value = entries.remove(index).value;
        let message = format!("`{key}`: found {}, expected a string", value.kind());
        let NodeValue::Text(text) = value.value else {
            return Err(Problem { position: value.position, message }.invalid(&self.file));
        };
        Ok(Some(text))
    }

    /// Deserializes the fields.
    ///
    /// # Errors
    /// If they do not match the type.
    pub fn fields<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, Error> {
        typed::read(&self.fields, Secrets::Plain).map_err(|problem| problem.invalid(&self.file))
    }

    /// An error at a field.
    #[must_use]
    pub fn error_at(&self, key: &str, message: &str) -> Error {
        let position = self.fields.locate(&[key.to_owned()]);
        Problem { position, message: format!("`{key}`: {message}") }.invalid(&self.file)
    }
}

/// The fields, with the line before them so that positions match the file, and the body.
fn split(text: &str) -> Result<(&str, &str), Problem> {
    let is_fence = |line: &str| line.trim_end() == "---";
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        match (number, is_fence(line)) {
            (0, false) => return Ok(("", text)),
            (_, true) if number > 0 => return Ok((&text[..offset], &text[offset + line.len()..])),
            _ => {}
        }
        offset += line.len();
        if offset > MAX_FIELDS_BYTES {
            let message = format!("the fields that begin here are not closed by a line `---` within {MAX_FIELDS_BYTES} bytes");
            return Err(Problem { position: Position::START, message });
        }
    }
    if offset == 0 {
        return Ok(("", text));
    }
    Err(Problem { position: Position::START, message: "the fields that begin here are not closed by a line `---`".to_owned() })
}

fn yaml(text: &str) -> Result<Node, Problem> {
    let mut parser = Parser::new_from_str(text);
    let mut values = 0;
    loop {
        match next(&mut parser)? {
            (Event::StreamEnd, _) => return Ok(Node::empty()),
            (Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing, _) => {}
            (event, span) => {
                let node = build(&mut parser, event, span, 0, &mut values)?;
                return match node.value {
                    NodeValue::Null => Ok(Node::empty()),
                    NodeValue::Map(_) => Ok(node),
                    _ => Err(Problem {
                        position: node.position,
                        message: format!("found {}, expected lines like `key: value`", node.kind()),
                    }),
                };
            }
        }
    }
}

type Events<'a> = Parser<'a, saphyr_parser::StrInput<'a>>;

fn next<'a>(parser: &mut Events<'a>) -> Result<(Event<'a>, Span), Problem> {
    let failed = |error: ScanError| {
        let mark = error.marker();
        // Hints for the usual mistakes.
        let hint = match error.info() {
            info if info.contains("mapping values") => "; a text that contains `: ` needs quotes",
            info if info.contains("anchor") => "; a text that begins with `*` or `&` needs quotes",
            _ => "",
        };
        Problem { position: position(mark.line(), mark.col()), message: format!("{}{hint}", error.info()) }
    };
    parser.next().unwrap_or(Ok((Event::StreamEnd, Span::default()))).map_err(failed)
}

fn position(line: usize, column: usize) -> Position {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Position { line: count(line.max(1)), column: count(column + 1) }
}

fn build<'a>(parser: &mut Events<'a>, event: Event<'a>, span: Span, depth: usize, values: &mut usize) -> Result<Node, Problem> {
    let position = position(span.start.line(), span.start.col());
    let problem = |message: &str| Problem { position, message: message.to_owned() };
    if depth > MAX_DEPTH {
        return Err(problem("nested too deeply"));
    }
    *values += 1;
    if *values > MAX_VALUES {
        return Err(problem("too many fields"));
    }
    let value = match event {
        Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
            return Err(problem("tags are not supported"));
        }
        Event::Alias(_) => return Err(problem("aliases are not supported; a text that begins with `*` needs quotes")),
        Event::Scalar(text, ScalarStyle::Plain, ..) => plain(&text),
        Event::Scalar(text, ..) => NodeValue::Text(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut items = Vec::new();
            loop {
                match next(parser)? {
                    (Event::SequenceEnd, _) => break NodeValue::List(items),
                    (event, span) => items.push(build(parser, event, span, depth + 1, values)?),
                }
            }
        }
        Event::MappingStart(..) => {
            let mut entries = Vec::new();
            loop {
                let (event, span) = next(parser)?;
                let at = self::position(span.start.line(), span.start.col());
                match event {
                    Event::MappingEnd => break NodeValue::Map(entries),
                    Event::Scalar(key, _, _, None) => {
                        let (event, span) = next(parser)?;
                        let value = build(parser, event, span, depth + 1, values)?;
                        insert(&mut entries, Entry { key: key.into_owned(), position: at, value })?;
                    }
                    Event::Alias(_) => {
                        return Err(Problem { position: at, message: "a key that begins with `*` needs quotes".to_owned() });
                    }
                    _ => return Err(Problem { position: at, message: "expected a key".to_owned() }),
                }
            }
        }
        _ => return Err(problem("expected a value")),
    };
    Ok(Node::new(position, value))
}

/// The value of a plain scalar.
fn plain(text: &str) -> NodeValue {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeValue::Null,
        "true" | "True" | "TRUE" => return NodeValue::Bool(true),
        "false" | "False" | "FALSE" => return NodeValue::Bool(false),
        _ => {}
    }
    let is_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    match text.parse::<Number>() {
        Ok(number) if is_number => NodeValue::Number(number),
        _ => NodeValue::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse(text: &str) -> (Value, String) {
        let document = Document::parse("x.md", text).unwrap();
        (document.fields().unwrap(), document.body)
    }

    #[test]
    fn fields_and_body() {
        let text = "---\r\ndescription: Reviews code\r\nmode: subagent\r\ntemperature: 0.1\r\nsteps: 5\r\ntools:\r\n  bash: false\r\n  \
                    \"todo*\": true\r\npermission:\r\n  bash:\r\n    \"*\": ask\r\n    git log *: allow\r\n  edit: deny\r\nlist: [a, 'b']\r\n\
                    note: |\r\n  two\r\n  lines\r\n---\r\n\r\nYou review.\r\n---\r\nMore.\r\n";
        let (fields, body) = parse(text);
        assert_eq!(
            fields,
            json!({
                "description": "Reviews code", "mode": "subagent", "temperature": 0.1, "steps": 5,
                "tools": {"bash": false, "todo*": true},
                "permission": {"bash": {"*": "ask", "git log *": "allow"}, "edit": "deny"},
                "list": ["a", "b"], "note": "two\nlines\n",
            })
        );
        let order: Vec<_> = fields["permission"].as_object().unwrap().keys().collect();
        assert_eq!(order, ["bash", "edit"]);
        assert_eq!(body, "You review.\r\n---\r\nMore.");
    }

    #[test]
    fn fields_can_be_absent() {
        assert_eq!(parse("Just text.\n---\nmore"), (json!({}), "Just text.\n---\nmore".to_owned()));
        assert_eq!(parse("---\n---\nbody"), (json!({}), "body".to_owned()));
        assert_eq!(parse("---\n# comment\n---\n"), (json!({}), String::new()));
        assert_eq!(parse(""), (json!({}), String::new()));
    }

    #[test]
    fn a_text_can_be_taken_out() {
        let mut document = Document::parse("x.md", "---\nname: n\nother: 5\n---\n").unwrap();
        assert_eq!(document.take_text("name").unwrap().as_deref(), Some("n"));
        assert_eq!(document.take_text("name").unwrap(), None);
        assert_eq!(document.take_text("other").unwrap_err().to_string(), "x.md:3:8: `other`: found a number, expected a string");
    }

    #[test]
    fn mistakes_have_a_place() {
        let texts = [
            "---\ndescription: x\n",
            "---\ndescription: Use this: carefully\n---\n",
            "---\njust words\n---\n",
            "---\na: 1\na: 2\n---\n",
            "---\npermission:\n  *: ask\n---\n",
            "---\na: &x 1\nb: *x\n---\n",
            "---\na: !!str 1\n---\n",
            "---\na: [1\n---\n",
        ];
        let errors: String = texts.iter().map(|text| Document::parse("x.md", text).unwrap_err().to_string() + "\n").collect();
        expect_test::expect![[r#"
            x.md:1:1: the fields that begin here are not closed by a line `---`
            x.md:2:22: mapping values are not allowed in this context; a text that contains `: ` needs quotes
            x.md:2:1: found a string, expected lines like `key: value`
            x.md:3:1: the key "a" is there twice, first at 2:1
            x.md:3:3: while parsing node, found unknown anchor; a text that begins with `*` or `&` needs quotes
            x.md:3:4: aliases are not supported; a text that begins with `*` needs quotes
            x.md:2:4: tags are not supported
            x.md:3:1: while parsing a flow sequence, expected ',' or ']'
        "#]]
        .assert_eq(&errors);
    }

    #[test]
    fn bombs_are_refused_early() {
        let many = |line: &str, count: usize| format!("---\n{}---\n", line.repeat(count));
        let numbered: String = (0..5000).map(|number| format!("k{number}: 1\n")).collect();
        let laughs = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        for (text, expected) in [
            (many("a: 1\n", 100_000), "within 65536 bytes"),
            (format!("---\n{numbered}---\n"), "too many fields"),
            (format!("---\na: [{}]\n---\n", "1,".repeat(20_000)), "too many fields"),
            (format!("---\na: {}{}\n---\n", "[".repeat(10_000), "]".repeat(10_000)), ""),
            (format!("---\n{laughs}---\n"), "aliases are not supported"),
        ] {
            let error = Document::parse("x.md", &text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
