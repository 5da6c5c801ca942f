//! Reads the few settings that decide where a repository's main checkout is from the text of git's config file.
//! Includes are not followed: an untrusted repository must not make the daemon open other files.

/// The settings that decide the layout.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct LayoutConfig {
    pub bare: Option<bool>,
    /// `core.worktree`, as written; relative to the git directory.
    pub worktree: Option<String>,
    /// `extensions.worktreeConfig`: the main checkout has a second config file.
    pub worktree_config: bool,
}

impl LayoutConfig {
    /// Adds a config file: later settings win, as in git. Lines that do not parse are skipped.
    pub fn read(&mut self, text: &str) {
        let mut section = String::new();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let mut rest = line.trim_start();
            if let Some(header) = rest.strip_prefix('[') {
                let Some(end) = header_end(header) else { continue };
                section = header[..end].trim().to_ascii_lowercase();
                rest = header[end + 1..].trim_start();
            }
            if rest.is_empty() || rest.starts_with(['#', ';']) {
                continue;
            }
            let name_end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
            let (name, rest) = rest.split_at(name_end);
            let value = rest.trim_start().strip_prefix('=').map(|text| value(text, &mut lines));
            self.set(&section, &name.to_ascii_lowercase(), value);
        }
    }

    /// `value` is `None` for a setting without `=`, which means true.
    fn set(&mut self, section: &str, name: &str, value: Option<String>) {
        match (section, name) {
            ("core", "bare") => self.bare = Some(is_true(value.as_deref())),
            ("core", "worktree") => self.worktree = value,
            ("extensions", "worktreeconfig") => self.worktree_config = is_true(value.as_deref()),
            _ => {}
        }
    }
}

/// The offset of the `]` that ends a section header; a quoted subsection may contain one.
fn header_end(header: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in header.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// The value after `=`: resolves quotes and escapes, removes the comment and outer white space, joins continued lines.
fn value<'t>(text: &'t str, lines: &mut impl Iterator<Item = &'t str>) -> String {
    let mut value = String::new();
    // The length of `value` without trailing white space outside quotes.
    let mut kept = 0;
    let mut quoted = false;
    let mut line = text.trim_start();
    loop {
        let mut chars = line.chars();
        let mut continued = false;
        while let Some(c) = chars.next() {
            match c {
                '"' => {
                    quoted = !quoted;
                    kept = value.len();
                }
                '#' | ';' if !quoted => break,
                '\\' => match chars.next() {
                    None => continued = true,
                    Some(escape) => {
                        value.push(match escape {
                            'n' => '\n',
                            't' => '\t',
                            'b' => '\u{8}',
                            other => other,
                        });
                        kept = value.len();
                    }
                },
                c => {
                    value.push(c);
                    if quoted || !c.is_whitespace() {
                        kept = value.len();
                    }
                }
            }
        }
        match if continued { lines.next() } else { None } {
            Some(next) => line = next,
            None => break,
        }
    }
    value.truncate(kept);
    value
}

fn is_true(value: Option<&str>) -> bool {
    match value {
        None => true,
        Some(text) => {
            ["true", "yes", "on"].iter().any(|word| text.eq_ignore_ascii_case(word)) || text.parse::<i64>().is_ok_and(|number| number != 0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::tests::support::{Sandbox, git_text};

    /// How git itself reads the same text.
    fn oracle(text: &str) -> LayoutConfig {
        let sandbox = Sandbox::new();
        let file = sandbox.path("config");
        std::fs::write(&file, text).unwrap();
        let get = |key: &str, kind: &str| {
            let mut args = vec!["config", "--file", file.as_path().to_str().unwrap()];
            args.extend((!kind.is_empty()).then_some(kind));
            args.extend(["--get", key]);
            git_text(&sandbox.root, &args).map(|text| text.strip_suffix('\n').unwrap_or(&text).to_owned())
        };
        LayoutConfig {
            bare: get("core.bare", "--bool").map(|text| text == "true"),
            worktree: get("core.worktree", ""),
            worktree_config: get("extensions.worktreeConfig", "--bool").is_some_and(|text| text == "true"),
        }
    }

    #[test]
    fn reads_as_git_reads() {
        for text in [
            "",
            "[core]\n\tbare = false\n\tworktree = ../../../sub\n",
            "[core] bare\n",
            "[CORE]\nBARE = Yes\n[core \"x\"]\nbare = false\n",
            "[core]\nworktree = \"a b \" # why\nbare=0",
            "[core]\nworktree = a\\\\b\\tc ; x\n",
            "[core]\nworktree = one \\\n two\nbare = 1\n",
            "; bare = true\n[remote \"a]b\"]\n bare = true\n[core]\n worktree = /x \t \n",
            "[core]\nworktree = /a\n[user]\nworktree = /b\n[core]\nworktree = /c\n",
            "[extensions]\nworktreeConfig = true\n",
            "[core]\r\n\tbare = true\r\n\tworktree = /x\r\n",
        ] {
            let mut config = LayoutConfig::default();
            config.read(text);
            assert_eq!(config, oracle(text), "{text:?}");
        }
    }
}
