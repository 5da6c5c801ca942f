//! Fills in the template of a command. Pure. Only the template is interpreted: what arguments contain is text.

use std::ops::Range;

/// A template filled in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filled {
    /// The text, with the shell lines as they stand in it.
    pub text: String,
    /// Its shell lines, in order.
    pub shell: Vec<ShellLine>,
    /// The paths that follow an `@`, in order, each once.
    pub files: Vec<String>,
}

/// A shell line whose output replaces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellLine {
    /// Where it stands in the text, with its marks, in bytes.
    pub place: Range<usize>,
    /// The line itself.
    pub line: String,
}

/// The text became longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Fills in a template. Arguments that it does not name are appended.
///
/// # Errors
/// [`TooLong`] if the text would have more than `limit` bytes.
pub fn fill(template: &str, arguments: &str, limit: usize) -> Result<Filled, TooLong> {
    let words = words(arguments);
    let last = placeholders(template);
    let mut filled = Filled::default();
    let mut rest = template;
    while !rest.is_empty() {
        if let Some((line, after)) = shell_line(rest) {
            let start = filled.text.len();
            let mut command = String::new();
            put(&mut command, line, arguments, &words, last, limit)?;
            push(&mut filled.text, "!`", limit)?;
            push(&mut filled.text, &command, limit)?;
            push(&mut filled.text, "`", limit)?;
            filled.shell.push(ShellLine { place: start..filled.text.len(), line: command });
            rest = after;
            continue;
        }
        let end =
            rest.char_indices().skip(1).find(|(index, _)| shell_line(&rest[*index..]).is_some()).map_or(rest.len(), |(index, _)| index);
        put(&mut filled.text, &rest[..end], arguments, &words, last, limit)?;
        rest = &rest[end..];
    }
    if !arguments.trim().is_empty() && last.is_none() && !template.contains(ALL) {
        push(&mut filled.text, "\n\n", limit)?;
        push(&mut filled.text, arguments, limit)?;
    }
    filled.files = files(&filled);
    Ok(filled)
}

const ALL: &str = "$ARGUMENTS";

/// A shell line at the start of the text, and what follows it.
fn shell_line(text: &str) -> Option<(&str, &str)> {
    let (line, rest) = text.strip_prefix("!`")?.split_once('`')?;
    (!line.trim().is_empty()).then_some((line, rest))
}

fn push(text: &mut String, more: &str, limit: usize) -> Result<(), TooLong> {
    if text.len() + more.len() > limit {
        return Err(TooLong);
    }
    text.push_str(more);
    Ok(())
}

/// A placeholder at the start of the text: its number (`None` for all arguments), and its length.
fn placeholder(text: &str) -> Option<(Option<usize>, usize)> {
    if text.starts_with(ALL) {
        return Some((None, ALL.len()));
    }
    let digit = text.strip_prefix('$')?.chars().next()?.to_digit(10).filter(|digit| *digit > 0)?;
    // `$10` is no placeholder: prices are written so.
    let is_longer = text[2..].starts_with(|next: char| next.is_ascii_digit());
    (!is_longer).then_some((Some(digit as usize), 2))
}

/// The highest number among the placeholders.
fn placeholders(template: &str) -> Option<usize> {
    template.match_indices('$').filter_map(|(index, _)| placeholder(&template[index..])?.0).max()
}

/// Appends text with its placeholders replaced. The one with the highest number takes all arguments that are left.
fn put(into: &mut String, text: &str, arguments: &str, words: &[&str], last: Option<usize>, limit: usize) -> Result<(), TooLong> {
    let mut done = 0;
    for (index, _) in text.match_indices('$') {
        let Some((number, length)) = placeholder(&text[index..]) else { continue };
        push(into, &text[done..index], limit)?;
        match number {
            None => push(into, arguments, limit)?,
            Some(number) if Some(number) == last => push(into, &words.get(number - 1..).unwrap_or_default().join(" "), limit)?,
            Some(number) => push(into, words.get(number - 1).copied().unwrap_or_default(), limit)?,
        }
        done = index + length;
    }
    push(into, &text[done..], limit)
}

/// The arguments one by one. A pair of quotes around an argument is taken away.
fn words(arguments: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let mut rest = arguments.trim_start();
    while let Some(first) = rest.chars().next() {
        let quoted = if matches!(first, '"' | '\'') { rest[1..].split_once(first) } else { None };
        let (word, after) = match quoted {
            Some((word, after)) if after.is_empty() || after.starts_with(char::is_whitespace) => (word, after),
            _ => rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len())),
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

/// The paths after an `@` that begins a word, outside of shell lines.
fn files(filled: &Filled) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (index, _) in filled.text.match_indices('@') {
        let before = filled.text[..index].chars().next_back();
        let begins = before.is_none_or(|before| !before.is_alphanumeric() && !matches!(before, '_' | '`' | '@' | '.' | '-'));
        if !begins || filled.shell.iter().any(|shell| shell.place.contains(&index)) {
            continue;
        }
        let path =
            filled.text[index + 1..].split(|c: char| c.is_whitespace() || matches!(c, '`' | ',' | '"' | '\'')).next().unwrap_or_default();
        let path = path.trim_end_matches(['.', ';', ':', '!', '?', ')', ']', '}', '>']);
        if !path.is_empty() && !found.iter().any(|known| known == path) {
            found.push(path.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(template: &str, arguments: &str) -> String {
        fill(template, arguments, 10_000).unwrap().text
    }

    #[test]
    fn arguments_are_put_in() {
        assert_eq!(text("a $ARGUMENTS b $ARGUMENTS", "x  y"), "a x  y b x  y");
        assert_eq!(text("$1-$2", r#"one "two three" four"#), "one-two three four", "the last one takes the rest");
        assert_eq!(text("$2 $1", "a b"), "b a");
        assert_eq!(text("$1 and $3.", "a"), "a and .");
        assert_eq!(text("costs $10, $0, $x, 5$", "a"), "costs $10, $0, $x, 5$\n\na");
        assert_eq!(text("plain", " "), "plain");
        assert_eq!(text("plain", "and this"), "plain\n\nand this");
        assert_eq!(text("$1", "it's \"a b\"c"), "it's \"a b\"c", "quotes count only around a whole argument");
    }

    #[test]
    fn only_the_template_is_interpreted() {
        let hostile = "!`rm -rf ~` $ARGUMENTS $1";
        let filled = fill("say: $ARGUMENTS !`echo $1`", hostile, 10_000).unwrap();
        assert_eq!(filled.shell.len(), 1);
        assert_eq!(filled.shell[0].line, format!("echo {}", words(hostile).join(" ")));
        assert!(filled.text.starts_with(&format!("say: {hostile} !`echo ")));
        assert_eq!(&filled.text[filled.shell[0].place.clone()], format!("!`{}`", filled.shell[0].line));
        assert!(fill("!`` !` ` !`open", "", 100).unwrap().shell.is_empty());
    }

    #[test]
    fn files_are_what_follows_an_at_sign_that_begins_a_word() {
        let files = |text: &str| fill(text, "", 1000).unwrap().files.join(" ");
        assert_eq!(files("see @a.rs, (@b/c.md) and @~/d. @a.rs"), "a.rs b/c.md ~/d");
        assert_eq!(files("mail ann@example.com `@x` @ @scope/pkg!"), "scope/pkg");
        assert_eq!(files("!`cat @inside` @outside"), "outside");
        assert_eq!(fill("review", "@src/main.rs:", 1000).unwrap().files, ["src/main.rs"]);
    }

    #[test]
    fn a_bomb_is_refused() {
        assert_eq!(fill(&"$ARGUMENTS".repeat(100_000), &"x".repeat(100_000), 1_000_000), Err(TooLong));
    }

    proptest! {
        #[test]
        fn shell_lines_stand_where_they_are_said_to_be(template in "[a$1!`@ \\n]{0,40}", arguments in "[a$1!`@\" ]{0,20}") {
            let filled = fill(&template, &arguments, 100_000).unwrap();
            for shell in &filled.shell {
                prop_assert_eq!(&filled.text[shell.place.clone()], format!("!`{}`", shell.line));
            }
            prop_assert!(filled.shell.windows(2).all(|pair| pair[0].place.end <= pair[1].place.start));
            prop_assert!(filled.shell.len() <= template.matches("!`").count());
        }
    }
}
