//! What code among the arguments of an interpreter may run, as far as its words tell. Code cannot be judged completely;
//! but where a rule denies a program that the code names, a person decides.

use super::super::word::Argument;

/// More words than this are not looked at.
const MAX_WORDS: usize = 500;

/// Each text in quotes, as the words of a command, and each word.
pub(in super::super) fn possible(code: &str) -> Vec<Vec<Argument>> {
    let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))).filter(|word| !word.is_empty());
    let single = words.map(|word| vec![Argument::plain(word)]);
    quoted(code).into_iter().chain(single).take(MAX_WORDS).collect()
}

fn quoted(code: &str) -> Vec<Vec<Argument>> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(['"', '\'', '`']) {
        let quote = &rest[start..=start];
        let inside = &rest[start + 1..];
        let Some(end) = inside.find(quote) else {
            // A quote of one kind may stand alone inside the other, as an apostrophe does.
            rest = inside;
            continue;
        };
        found.push(inside[..end].split_whitespace().map(Argument::plain).collect::<Vec<_>>());
        rest = &inside[end + 1..];
    }
    found.retain(|words| words.len() > 1);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(code: &str) -> Vec<String> {
        possible(code).iter().map(|words| words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn words_and_quoted_commands_are_seen() {
        assert_eq!(
            texts("import os; os.system('git push origin')"),
            ["git push origin", "import", "os", "os.system", "git", "push", "origin"]
        );
        assert_eq!(texts(r#"require("child_process").spawnSync("zap")"#), ["require", "child_process", ".spawnSync", "zap"]);
        assert_eq!(texts("print(\"it's\", `rm -rf x`)"), ["rm -rf x", "print", "it", "s", "rm", "-rf", "x"]);
        assert!(texts(&"a ".repeat(10_000)).len() <= MAX_WORDS);
    }
}
