//! Cases and rules of finding text to replace.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::*;
use crate::tool::edit_match::Strategy;

/// The text with the match put in.
fn replace(text: &str, found: &Match) -> String {
    let mut result = String::with_capacity(text.len() + found.new.len());
    let mut from = 0;
    for range in &found.ranges {
        result.push_str(&text[from..range.start]);
        result.push_str(&found.new);
        from = range.end;
    }
    result.push_str(&text[from..]);
    result
}

#[expect(clippy::needless_pass_by_value, reason = "so that cases read as data")]
fn check(text: &str, old: &str, new: &str, expected: Expect) {
    check_scope(text, old, new, Scope::One, &expected);
}

fn check_scope(text: &str, old: &str, new: &str, scope: Scope, expected: &Expect) {
    let result = match find(text, old, new, scope) {
        Ok(found) => format!("{:?}\n{}", found.strategy, replace(text, &found)),
        Err(error) => format!("{error:?}\n"),
    };
    expected.assert_eq(&result);
}

#[test]
fn exactly() {
    check("a b c", "b", "x", expect!["Exact\na x c"]);
    check("b b", "b", "x", expect!["Ambiguous { lines: [0] }\n"]);
    check("b\nb\n", "b", "x", expect!["Ambiguous { lines: [0, 1] }\n"]);
    check("aaa", "aa", "x", expect!["Ambiguous { lines: [0] }\n"]);
    check_scope("b b", "b", "bb", Scope::All, &expect!["Exact\nbb bb"]);
    check_scope("aaa", "aa", "x", Scope::All, &expect!["Exact\nxa"]);
    check("a\n\n\nb", "   \n", "x", expect!["NotFound { closest: None }\n"]);
}

#[test]
fn lines_trimmed() {
    check(
        "fn a() {\n    b();\n}\n",
        "fn a() {\nb();\n}",
        "fn c() {}",
        expect![[r"
        LineTrimmed
        fn c() {}
    "]],
    );
    // The line feed that the model quoted is replaced with the rest.
    check(
        "one \ntwo\nthree\n",
        "one\ntwo\n",
        "1\n2\n",
        expect![[r"
        LineTrimmed
        1
        2
        three
    "]],
    );
    check("one \ntwo", "one\ntwo\n", "1\n", expect!["LineTrimmed\n1\n"]);
    check("  x\n y\n--\n x\n  y\n", "x\ny", "z", expect!["Ambiguous { lines: [0, 3] }\n"]);
}

#[test]
fn indentation_decides_between_places() {
    check(
        "if a:\n    x\n      y\n\nif b:\n    x\n    y\n",
        "  x\n  y",
        "z",
        expect![[r"
        IndentationFlexible
        if a:
            x
              y

        if b:
        z
    "]],
    );
}

#[test]
fn a_later_way_names_no_place_that_an_earlier_one_did_not() {
    check(" a\n b\n  a\n  b\nxa\nby\n", " a\nb", "z", expect!["Ambiguous { lines: [0, 2] }\n"]);
}

#[test]
fn blocks_by_their_ends() {
    let text = "fn total() {\n    let sum_of_all = one + two + three;\n    print(sum_of_all);\n}\n";
    check(text, "fn total() {\n    let sum_of_all = one + two + four;\n    print(sum_of_all);\n}", "X", expect!["BlockAnchor\nX\n"]);
    // Too different, and another number of lines.
    check(text, "fn total() {\n    return 1;\n    print(sum_of_all);\n}", "X", expect!["NotFound { closest: Some(0..4) }\n"]);
    check(text, "fn total() {\n    print(sum_of_all);\n}", "X", expect!["NotFound { closest: Some(1..4) }\n"]);
}

#[test]
fn white_space() {
    check(
        "    let  x =\t1;\n",
        "let x = 1;",
        "let x = 2;",
        expect![[r"
        WhitespaceNormalised
            let x = 2;
    "]],
    );
    check(
        "if (a  &&  b) c();\n",
        "(a && b)",
        "(b)",
        expect![[r"
        WhitespaceNormalised
        if (b) c();
    "]],
    );
    check("a  b\nc  d\n", "a b\nc d\n", "x\n", expect!["WhitespaceNormalised\nx\n"]);
    check("a  b c\n", "a b\n", "x\n", expect!["NotFound { closest: Some(0..1) }\n"]);
}

#[test]
fn escapes() {
    check(
        "say(\"hi\")\nend\n",
        r#"say(\"hi\")\nend"#,
        r#"say(\"ho\")\nend"#,
        expect![[r#"
        EscapeNormalised
        say("ho")
        end
    "#]],
    );
}

#[test]
fn space_around_the_whole() {
    check(
        "x = [1, 2]\n",
        "\n[1, 2]\n",
        "\n[3]\n",
        expect![[r"
        TrimmedBoundary
        x = [3]
    "]],
    );
    check(
        "x = [1, 2]\n",
        " \n[1, 2]",
        "[3]",
        expect![[r"
        TrimmedBoundary
        x = [3]
    "]],
    );
}

/// What exact replacement means, said as simply as possible.
fn oracle(text: &str, old: &str, new: &str, scope: Scope) -> Option<String> {
    let starts: Vec<_> = (0..=text.len()).filter(|at| text.is_char_boundary(*at) && text[*at..].starts_with(old)).collect();
    match (starts.as_slice(), scope) {
        ([at], _) => Some(format!("{}{new}{}", &text[..*at], &text[at + old.len()..])),
        ([], _) | (_, Scope::One) => None,
        (_, Scope::All) => Some(text.replace(old, new)),
    }
}

fn spaced(line: &str, seed: u8) -> String {
    let space = ["", " ", "\t", "  "];
    let words: Vec<_> = line.split(' ').collect();
    format!(
        "{}{}{}",
        space[usize::from(seed % 4)],
        words.join(if seed.is_multiple_of(3) { "  " } else { " " }),
        space[usize::from(seed / 4 % 4)]
    )
}

proptest! {
    #[test]
    fn exact_edits_are_plain_replacements(text in "[ab\n\u{e4}]{0,30}", old in "[ab\n\u{e4}]{1,4}", new in "[abc\n]{0,4}", all: bool) {
        let scope = if all { Scope::All } else { Scope::One };
        let expected = oracle(&text, &old, &new, scope);
        match find(&text, &old, &new, scope) {
            Ok(found) if found.strategy == Strategy::Exact => prop_assert_eq!(Some(replace(&text, &found)), expected),
            Ok(_) => prop_assert!(!text.contains(&old)),
            Err(Error::Ambiguous { .. }) => prop_assert!(!all && expected.is_none()),
            Err(Error::NotFound { .. }) => prop_assert!(!text.contains(&old)),
        }
    }

    #[test]
    fn the_quoted_lines_are_found_and_nothing_else_changes(
        lines in prop::collection::vec("[a-d]{2,6}( [a-d]{2,6}){0,2}", 3..12),
        seeds in prop::collection::vec(any::<u8>(), 12),
        from in 0..12usize, length in 1..5usize, newline: bool,
    ) {
        let text: String = lines.iter().zip(&seeds).map(|(line, seed)| spaced(line, *seed) + "\n").collect();
        let from = from % lines.len();
        let to = (from + length).min(lines.len());
        let end = if newline { "\n" } else { "" };
        let old = lines[from..to].join("\n") + end;
        match find(&text, &old, &format!("NEW{end}"), Scope::One) {
            Ok(found) => {
                let kept: Vec<_> = text.lines().collect();
                let result = replace(&text, &found);
                let after: Vec<_> = result.lines().collect();
                prop_assert_eq!(found.ranges.len(), 1);
                // One quotation became one line; every line before and after is as it was.
                let place = after.iter().position(|line| line.contains("NEW")).unwrap();
                prop_assert_eq!(&after[..place], &kept[..place]);
                prop_assert_eq!(&after[place + 1..], &kept[place + (to - from)..]);
                prop_assert!(result.ends_with('\n'));
            }
            Err(Error::Ambiguous { lines }) => prop_assert!(!lines.is_empty()),
            Err(Error::NotFound { .. }) => {
                prop_assert!(false, "{old:?} not found in {text:?}");
            }
        }
    }

    #[test]
    fn everything_outside_the_places_stays(text in "[ab {}\t\n\\\\n\"]{0,60}", old in "[ab {}\t\n\\\\n\"]{1,12}", all: bool) {
        let scope = if all { Scope::All } else { Scope::One };
        if let Ok(found) = find(&text, &old, "N", scope) {
            prop_assert!(!found.ranges.is_empty() && (all || found.ranges.len() == 1));
            let mut end = 0;
            for range in &found.ranges {
                prop_assert!(range.start >= end && range.end <= text.len());
                end = range.end;
            }
            let kept: usize = text.len() - found.ranges.iter().map(ExactSizeIterator::len).sum::<usize>();
            prop_assert_eq!(replace(&text, &found).len(), kept + found.new.len() * found.ranges.len());
        }
    }
}
