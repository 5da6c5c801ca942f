//! What stands between `${` and `}`: which part of it bash evaluates, and whether it sets a variable.

use super::syntax::{Evaluated, Findings, Part, Value, Word};

/// Notes what the expansion does beside giving a value.
pub(super) fn note(content: &Word, findings: &mut Findings) {
    if content.plain().is_some_and(|text| text.chars().count() <= 2 && !text.contains('!')) || content.plain() == Some("!") {
        // A plain name, a special parameter, a length.
        return;
    }
    let is_indirect = content.front().starts_with('!');
    let mut rest = if is_indirect { content.without("!") } else { content.clone() };
    if rest.front().strip_prefix('#').is_some_and(|after| after.starts_with(|c: char| c == '_' || c.is_ascii_alphanumeric())) {
        rest = rest.without("#");
    }
    let front = rest.front();
    let length = front.find(|c: char| !(c == '_' || c.is_ascii_alphanumeric())).unwrap_or(front.len());
    let special = front.starts_with(['@', '*', '#', '?', '-', '$', '!']);
    let name = front[..if length == 0 && special { 1 } else { length }].to_owned();
    if name.is_empty() {
        findings.doubtful = true;
        return;
    }
    rest = rest.without(&name);
    let mut is_whole_array = false;
    if rest.front().starts_with('[') {
        let Some((key, after)) = rest.without("[").split_at(&[']']) else {
            findings.evaluated.push(Evaluated::Unknown);
            return;
        };
        is_whole_array = matches!(key.parts().as_slice(), [Part::Text(text)] if text == "@" || text == "*");
        if !is_whole_array {
            findings.evaluated.push(Evaluated::Subscript { array: name.clone(), key: key.parts() });
        }
        rest = after;
    }
    let operator = rest.front();
    if is_indirect {
        let lists = operator.is_empty() && is_whole_array || matches!(operator, "@" | "*");
        if !lists || rest.parts().iter().any(|part| matches!(part, Part::Hole(_))) {
            findings.evaluated.push(Evaluated::Unknown);
        }
        return;
    }
    match operator.chars().next() {
        None => findings.doubtful |= rest.parts().iter().any(|part| *part != Part::Text(String::new())),
        Some('-' | '+' | '?' | '%' | '#' | '/' | '^' | ',' | '~') => {}
        Some('=') => assign(name, &rest.without("="), findings),
        Some(':') => match operator[1..].chars().next() {
            Some('-' | '+' | '?') => {}
            Some('=') => assign(name, &rest.without(":="), findings),
            _ => findings.evaluated.push(Evaluated::Arithmetic(rest.without(":").parts())),
        },
        Some('@') if matches!(operator, "@U" | "@u" | "@L" | "@Q" | "@E" | "@A" | "@K" | "@a" | "@k") => {}
        Some('@') => findings.evaluated.push(Evaluated::Unknown),
        Some(_) => findings.doubtful = true,
    }
}

fn assign(name: String, value: &Word, findings: &mut Findings) {
    findings.assigned.push((name, Value::Text(value.parts())));
}
