//! The language of awk, as far as it reads files, writes them or runs commands.

use super::super::effects::Found;

/// What the program does; nothing where it is not understood.
pub(in super::super) fn read(text: &str) -> Option<Found> {
    let characters: Vec<char> = text.chars().collect();
    let mut found = Found::default();
    let mut at = 0;
    // Whether a value stands before, so that `/` divides; how deep in brackets; the depth of a `print` that goes on.
    let (mut after_value, mut depth, mut printing) = (false, 0_usize, None);
    while let Some(&character) = characters.get(at) {
        let start = at;
        at += 1;
        match character {
            '"' => {
                at = end_of(&characters, at, '"')?;
                after_value = true;
            }
            '/' if !after_value => {
                at = end_of(&characters, at, '/')?;
                after_value = true;
            }
            '#' => {
                while characters.get(at).is_some_and(|next| *next != '\n') {
                    at += 1;
                }
            }
            '(' | '[' => {
                depth += 1;
                after_value = false;
            }
            ')' | ']' => {
                depth = depth.saturating_sub(1);
                after_value = true;
            }
            '{' | '}' | ';' | '\n' => {
                printing = None;
                after_value = false;
            }
            '|' if characters.get(at) == Some(&'|') => {
                at += 1;
                after_value = false;
            }
            '|' => {
                // `cmd | getline` and `print | cmd`: a text right behind or before it.
                if characters.get(at) == Some(&'&') {
                    return None;
                }
                let command = literal_behind(&characters, at).or_else(|| literal_before(&characters, start))?;
                found.runs.push(command);
                after_value = false;
            }
            '>' if printing == Some(depth) => {
                if characters.get(at) == Some(&'>') {
                    at += 1;
                }
                let file = literal_behind(&characters, at)?;
                if !matches!(file.as_str(), "/dev/stderr" | "/dev/stdout" | "/dev/null") {
                    found.writes.push(file);
                }
                after_value = false;
            }
            '@' => return None,
            _ if character.is_alphabetic() || character == '_' || character == '$' => {
                while characters.get(at).is_some_and(|next| next.is_alphanumeric() || *next == '_') {
                    at += 1;
                }
                let word: String = characters[start..at].iter().collect();
                after_value = true;
                match word.as_str() {
                    "print" | "printf" => {
                        printing = Some(depth);
                        after_value = false;
                    }
                    "in" | "return" | "do" | "else" | "case" | "delete" => after_value = false,
                    "system" => {
                        let open = characters[at..].iter().position(|next| !next.is_whitespace())? + at;
                        found.runs.push(literal_behind(&characters, open + 1).filter(|_| characters[open] == '(')?);
                    }
                    "getline" => {
                        let next = behind_variable(&characters, at)?;
                        if characters.get(next) == Some(&'<') {
                            found.reads.push(literal_behind(&characters, next + 1)?);
                        }
                    }
                    // It names the files that are read, and may be set.
                    "ARGV" | "ARGC" | "SYMTAB" | "FUNCTAB" => return None,
                    "close" | "fflush" => {}
                    _ => {}
                }
            }
            _ if character.is_whitespace() => {}
            _ => after_value = character.is_ascii_digit() || character == '.',
        }
    }
    Some(found)
}

/// Behind the closing mark of what has begun.
fn end_of(characters: &[char], from: usize, mark: char) -> Option<usize> {
    let mut at = from;
    loop {
        match *characters.get(at)? {
            '\\' => at += 2,
            '[' if mark == '/' => {
                // A bracket may hold the mark, and a bracket as its first character.
                let first = at + 1 + usize::from(characters.get(at + 1) == Some(&'^'));
                let close = characters.iter().enumerate().skip(first + 1).find(|(_, next)| **next == ']' || **next == '\n');
                at = close.filter(|(_, next)| **next == ']').map_or(at + 1, |(at, _)| at + 1);
            }
            '\n' => return None,
            next if next == mark => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// What stands behind the variable that `getline` may have; nothing where it is more than a name with a simple subscript.
fn behind_variable(characters: &[char], from: usize) -> Option<usize> {
    let skip = |at: usize, wanted: fn(char) -> bool| at + characters[at..].iter().take_while(|next| wanted(**next)).count();
    let mut at = skip(from, char::is_whitespace);
    at = skip(at, |next| next == '$');
    at = skip(at, |next| next.is_alphanumeric() || next == '_');
    if characters.get(at) == Some(&'[') {
        at = skip(at + 1, |next| next.is_alphanumeric() || matches!(next, '_' | '+' | '$' | ' '));
        if characters.get(at) != Some(&']') {
            return None;
        }
        at += 1;
    }
    let at = skip(at, |next| next == ' ' || next == '\t');
    let is_plain = characters.get(at).is_none_or(|next| matches!(next, '<' | '>' | '=' | '!' | ';' | '}' | ')' | '\n' | '&' | '|' | '?'));
    is_plain.then_some(at)
}

/// The text that stands here in quotes, if nothing is joined to it.
fn literal_behind(characters: &[char], from: usize) -> Option<String> {
    let open = characters.get(from..)?.iter().position(|next| !next.is_whitespace())? + from;
    if characters[open] != '"' {
        return None;
    }
    let end = end_of(characters, open + 1, '"')?;
    let next = characters.get(end..)?.iter().find(|next| **next != ' ');
    let is_whole = next.is_none_or(|next| matches!(next, ';' | '}' | ')' | '\n' | '|'));
    plain(&characters[open + 1..end - 1]).filter(|_| is_whole)
}

/// The text in quotes that ends here, if nothing is joined to it.
fn literal_before(characters: &[char], end: usize) -> Option<String> {
    let close = characters[..end].iter().rposition(|next| !next.is_whitespace())?;
    if characters[close] != '"' {
        return None;
    }
    let open = characters[..close].iter().rposition(|next| *next == '"')?;
    let before = characters[..open].iter().rfind(|next| **next != ' ');
    let is_whole = before.is_none_or(|next| matches!(next, '{' | ';' | '(' | '\n' | '&' | '|' | '!'));
    plain(&characters[open + 1..close]).filter(|_| is_whole)
}

fn plain(characters: &[char]) -> Option<String> {
    (!characters.contains(&'\\')).then(|| characters.iter().collect())
}

#[cfg(test)]
mod tests {
    use super::{Found, read};

    fn found(writes: &[&str], reads: &[&str], runs: &[&str]) -> Found {
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Found { writes: own(writes), reads: own(reads), runs: own(runs) }
    }

    #[test]
    fn what_only_prints_does_nothing_else() {
        for program in [
            "{print $1}",
            "$1 > 5",
            "{ if ($1 > 5) print $2 }",
            "/a|b/ { print }",
            "{ print ($1 > 2) }",
            "NF || x",
            "{ s += $1 / 2 } END { print s }",
            "BEGIN { FS = \"|\" } { print $2 }",
            "/[/>]/ { n++ }",
            "{ gsub(/x/, \"system(\"); print }",
            "# print > \"x\"\n1",
            "{ printf \"%s > %d\\n\", $1, NR }",
            "{ print > \"/dev/stderr\" }",
            "{ while ((getline line) > 0) n++ }",
        ] {
            assert_eq!(read(program), Some(found(&[], &[], &[])), "{program}");
        }
    }

    #[test]
    fn files_and_commands_are_found() {
        assert_eq!(read("{ print > \"out\" }"), Some(found(&["out"], &[], &[])));
        assert_eq!(read("{ print $1, $2 >> \"out\" }"), Some(found(&["out"], &[], &[])));
        assert_eq!(read("{ print | \"sort -n\" }"), Some(found(&[], &[], &["sort -n"])));
        assert_eq!(read("BEGIN { system(\"rm x\") }"), Some(found(&[], &[], &["rm x"])));
        assert_eq!(read("BEGIN { \"date\" | getline d }"), Some(found(&[], &[], &["date"])));
        for variable in ["l", "", "$1", "a[n++]", "$NF"] {
            let program = format!("BEGIN {{ while ((getline {variable} < \"in\") > 0) print l }}");
            assert_eq!(read(&program), Some(found(&[], &["in"], &[])), "{program}");
        }
    }

    #[test]
    fn what_it_makes_up_is_not_understood() {
        for program in [
            "{ print > $1 }",
            "{ system($1) }",
            "{ print | $1 }",
            "{ print > \"a\" $1 }",
            "BEGIN { while ((getline a[\")\"] < \"x\") > 0) print }",
            "BEGIN { getline < f }",
            "BEGIN { SYMTAB[\"NF\"] = 1 }",
            "{ system(\"rm \" $1) }",
            "@load \"x\"",
            "{ print \"a",
        ] {
            assert_eq!(read(program), None, "{program}");
        }
    }
}
