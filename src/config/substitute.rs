//! Replaces `{env:NAME}` and `{file:PATH}` in text values, after parsing: a replacement can never become a key, a number or
//! another value, and is not expanded again.

use std::{collections::BTreeMap, path::Path};

use super::{
    files::{self, Stamp},
    tree::{Node, NodeValue, Position, Problem},
};
use crate::stdx::paths::AbsPath;

/// Words of the settings, which are not secret even if they come from a reference.
const NOT_SECRET: &[&str] = &["allow", "ask", "deny", "primary", "subagent", "all", "process", "power"];

/// Resolves references, and records what they depend on.
#[derive(Debug)]
pub struct References<'a> {
    /// The client's environment.
    pub environment: &'a BTreeMap<String, String>,
    /// The user's home, for `~/`.
    pub home: Option<AbsPath>,
    /// The base of relative paths.
    pub base: AbsPath,
    /// The directory that paths must not leave, with links resolved.
    pub fence: Option<AbsPath>,
    /// The referenced variables, set or not.
    pub used_variables: BTreeMap<String, Option<String>>,
    /// The referenced files.
    pub used_files: Vec<(AbsPath, Stamp)>,
}

/// Replaces all references in the document.
pub fn substitute(node: &mut Node, references: &mut References<'_>) -> Result<(), Problem> {
    let position = node.position;
    match &mut node.value {
        NodeValue::Text(text) => {
            if let Some(new) = expand(text, position, references, &mut node.unset)? {
                node.secret = !NOT_SECRET.contains(&new.as_str());
                *text = new;
            }
            Ok(())
        }
        NodeValue::List(items) => items.iter_mut().try_for_each(|item| substitute(item, references)),
        NodeValue::Map(entries) => entries.iter_mut().try_for_each(|entry| substitute(&mut entry.value, references)),
        NodeValue::Null | NodeValue::Bool(_) | NodeValue::Number(_) => Ok(()),
    }
}

/// The text with its references replaced; `None` when it has none. Variables that are not set are added to `unset`.
fn expand(text: &str, position: Position, references: &mut References<'_>, unset: &mut Vec<String>) -> Result<Option<String>, Problem> {
    let mut out = String::new();
    let mut rest = text;
    let mut any = false;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let reference = from[1..].find('}').map(|end| (&from[1..=end], &from[end + 2..]));
        let value = match reference {
            Some((inner, after)) => match inner.split_once(':') {
                Some(("env", name)) => {
                    let value = references.variable(name);
                    if value.trim().is_empty() && !unset.iter().any(|known| known == name) {
                        unset.push(name.to_owned());
                    }
                    Some((value, after))
                }
                Some(("file", path)) => {
                    let value = references.file(path).map_err(|message| Problem { position, message })?;
                    Some((value, after))
                }
                _ => None,
            },
            None => None,
        };
        if let Some((value, after)) = value {
            out.push_str(&value);
            rest = after;
            any = true;
        } else {
            out.push('{');
            rest = &from[1..];
        }
    }
    out.push_str(rest);
    Ok(any.then_some(out))
}

impl References<'_> {
    fn variable(&mut self, name: &str) -> String {
        let value = self.environment.get(name).cloned();
        self.used_variables.insert(name.to_owned(), value.clone());
        value.unwrap_or_default()
    }

    fn file(&mut self, path: &str) -> Result<String, String> {
        let full = match path.strip_prefix("~/") {
            Some(rest) => self.home.as_ref().ok_or_else(|| format!("{{file:{path}}} needs a home directory and there is none"))?.join(rest),
            None => self.base.join(Path::new(path)),
        };
        let failed = |error: std::io::Error| format!("cannot read {{file:{path}}} ({full}): {error}");
        // Checked first, so that errors do not reveal whether a file outside exists.
        if self.fence.as_ref().is_some_and(|fence| !full.real_or_nearest().is_within(fence)) {
            return Err(format!("{{file:{path}}} leads out of the worktree, which project settings must not"));
        }
        if self.fence.is_some() {
            return Err(format!(
                "{{file:{path}}} is for the user's own settings only: trust covers a project's settings file, not what it names"
            ));
        }
        let (bytes, stamp) = files::read_regular(full.as_path(), files::MAX_BYTES).map_err(failed)?;
        self.used_files.push((full.clone(), stamp));
        let text = String::from_utf8(bytes).map_err(|_| format!("{{file:{path}}} ({full}) is not UTF-8 text"))?;
        Ok(text.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::tree::parse_json, *};

    struct Fixture {
        directory: tempfile::TempDir,
        environment: BTreeMap<String, String>,
    }

    impl Fixture {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let fixture = Self { environment: BTreeMap::from([("KEY".to_owned(), "se\"cret}".to_owned())]), directory };
            fixture.write("project/key.txt", "  from file\n");
            fixture.write("home/key.txt", "from home");
            fixture.write("outside.txt", "outside");
            fixture
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn path(&self, path: &str) -> AbsPath {
            AbsPath::new(self.directory.path()).unwrap().real().unwrap().join(path)
        }

        fn references(&self, fence: Option<&str>) -> References<'_> {
            References {
                environment: &self.environment,
                home: Some(self.path("home")),
                base: self.path("project"),
                fence: fence.map(|fence| self.path(fence)),
                used_variables: BTreeMap::new(),
                used_files: Vec::new(),
            }
        }

        fn expand(&self, text: &str, fence: Option<&str>) -> Result<(String, bool), String> {
            let mut node = Node::new(Position { line: 3, column: 4 }, NodeValue::Text(text.to_owned()));
            substitute(&mut node, &mut self.references(fence)).map_err(|problem| {
                assert_eq!(problem.position, Position { line: 3, column: 4 });
                problem.message.replace(self.path("").as_path().to_str().unwrap(), "ROOT")
            })?;
            let NodeValue::Text(text) = node.value else { panic!() };
            Ok((text, node.secret))
        }
    }

    #[test]
    fn references_are_replaced_and_marked() {
        let fixture = Fixture::new();
        let check = |text: &str, expected: &str, secret: bool| {
            assert_eq!(fixture.expand(text, None).unwrap(), (expected.to_owned(), secret), "{text}");
        };
        check("Bearer {env:KEY}!", "Bearer se\"cret}!", true);
        check("{env:UNSET}", "", true);
        check("{file:key.txt}{file:./key.txt}", "from filefrom file", true);
        check("{file:~/key.txt}", "from home", true);
        check("{file:../outside.txt}", "outside", true);
        check("{ {env:KEY", "{ {env:KEY", false);
        check("{environment:KEY} {} {a:b}", "{environment:KEY} {} {a:b}", false);
        check("{{env:KEY}}", "{se\"cret}}", true);
        check("ünï", "ünï", false);
    }

    #[test]
    fn variables_that_are_not_set_are_known_where_they_count() {
        let fixture = Fixture::new();
        let read = |text: &str| {
            let mut node = parse_json(text).unwrap();
            substitute(&mut node, &mut fixture.references(None)).unwrap();
            node
        };
        let below = read(r#"{"a": {"b": ["x", "{env:NONE} {env:KEY} {env:NONE}"]}, "c": "{env:GONE}", "d": "{env:KEY}"}"#);
        let told: Vec<String> = below.unset().iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "the variable NONE, which a.b.1 in the settings names, is not set",
                "the variable GONE, which c in the settings names, is not set"
            ]
        );
        // Overridden values do not count.
        let merged = super::super::merge::merge(below, read(r#"{"a": {"b": []}, "c": "plain", "e": "{env:LATE}"}"#));
        assert_eq!(merged.unset().iter().map(|unset| unset.variable.as_str()).collect::<Vec<_>>(), ["LATE"]);
    }

    #[test]
    fn what_is_put_in_is_not_expanded_again() {
        let mut fixture = Fixture::new();
        fixture.environment.insert("A".to_owned(), "{env:KEY}".to_owned());
        assert_eq!(fixture.expand("{env:A}", None).unwrap().0, "{env:KEY}");
    }

    #[test]
    fn own_words_are_no_secrets() {
        let mut fixture = Fixture::new();
        fixture.environment.insert("MODE".to_owned(), "deny".to_owned());
        assert_eq!(fixture.expand("{env:MODE}", None).unwrap(), ("deny".to_owned(), false));
    }

    #[test]
    fn a_fence_is_not_left() {
        let fixture = Fixture::new();
        assert!(fixture.expand("{file:key.txt}", Some("project")).unwrap_err().contains("user's own settings"));
        for path in ["../outside.txt", "~/key.txt", "/etc/hostname", "../missing", "sub/../../outside.txt"] {
            let error = fixture.expand(&format!("{{file:{path}}}"), Some("project")).unwrap_err();
            assert_eq!(error, format!("{{file:{path}}} leads out of the worktree, which project settings must not"));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_symlink_does_not_lead_over_the_fence() {
        let fixture = Fixture::new();
        std::os::unix::fs::symlink(fixture.path("outside.txt").as_path(), fixture.path("project/link").as_path()).unwrap();
        std::os::unix::fs::symlink("key.txt", fixture.path("project/inner").as_path()).unwrap();
        assert!(fixture.expand("{file:link}", Some("project")).unwrap_err().contains("leads out"));
        assert!(fixture.expand("{file:inner}", Some("project")).unwrap_err().contains("user's own settings"));
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let error = Fixture::new().expand("{file:none}", None).unwrap_err();
        assert!(error.starts_with("cannot read {file:none} (ROOT/project/none): "), "{error}");
    }

    fn shape(node: &Node) -> String {
        match &node.value {
            NodeValue::Text(_) => "t".to_owned(),
            NodeValue::List(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(",")),
            NodeValue::Map(entries) => {
                format!("{{{}}}", entries.iter().map(|e| format!("{:?}:{}", e.key, shape(&e.value))).collect::<Vec<_>>().join(","))
            }
            other => format!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn whatever_a_variable_holds_the_shape_stays(value in ".*", key in "[a-z{}:\"]{1,8}", before in "[^\\x00]*") {
            let document = serde_json::json!({
                key: [format!("{before}{{env:V}}"), {"b": "{env:V}", "n": 1}, null],
                "{env:V}": "plain",
            });
            let mut node = parse_json(&document.to_string()).unwrap();
            let old = shape(&node);
            let fixture = Fixture { environment: BTreeMap::from([("V".to_owned(), value)]), directory: tempfile::tempdir().unwrap() };
            let mut references = fixture.references(None);
            // The text before the reference may look like a reference to a file.
            if substitute(&mut node, &mut references).is_ok() {
                prop_assert_eq!(shape(&node), old);
            }
        }
    }
}
