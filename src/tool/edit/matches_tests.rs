//! Cases and rules of finding text to replace.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::tool::edit::matches::Strategy;

fn find(text: &str, old: &str, new: &str, scope: Scope) -> Result<Match, Error> {
    super::find(text, old, new, scope, 1_000_000, &mut Budget::new(1_000_000, &CancellationToken::new()))
}

/// The text with the match put in.
fn replace(text: &str, found: &Match) -> String {
    let mut result = String::new();
    let mut from = 0;
    for (range, new) in &found.places {
        result.push_str(&text[from..range.start]);
        result.push_str(new);
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
    check("a\n\n\nb", "   \n", "x", expect!["NotFound { closest: None, unescaped: None }\n"]);
}

#[test]
fn lines_trimmed() {
    check(
        "fn a() {\n    b();\n}\n",
        "fn a() {\n    b();  \n}",
        "fn c() {}",
        expect![[r"
        LineTrimmed
        fn c() {}
    "]],
    );
    check("fn a() {\n    b();\n}\n", "fn a() {\nb();\n}", "fn c() {}", expect!["Indentation { lines: 0..3 }\n"]);
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
        "  z",
        expect![[r"
        SameShape
        if a:
            x
              y

        if b:
            z
    "]],
    );
}

#[test]
fn of_several_places_none_is_chosen() {
    check(" a\n b\n  a\n  b\nxa\nby\n", " a\nb", "z", expect!["Ambiguous { lines: [0, 2] }\n"]);
}

#[test]
fn the_new_text_takes_the_indentation_of_the_file() {
    let check = |text: &str, old: &str, new: &str, expected: Expect| check(text, old, new, expected);
    check(
        "class A:\n    def f(self):\n        return 1\n",
        "def f(self):\n    return 1\n",
        "def f(self):\n    return 2\n",
        expect![[r"
        LineTrimmed
        class A:
            def f(self):
                return 2
    "]],
    );
    check(
        "f {\n\tif x {\n\t\treturn 1\n\t}\n}\n",
        "    if x {\n        return 1\n    }\n",
        "    if x {\n        y {\n            return 2\n        }\n    }\n",
        expect![["LineTrimmed\nf {\n\tif x {\n\t\ty {\n\t\t\treturn 2\n\t\t}\n\t}\n}\n"]],
    );
    check(
        "a:\n  b:\n    c: 1\nd: 2\n",
        "\n\nb:\n  c: 1\n\n",
        "\nb:\n  c: 3\n  e: 4\n\n",
        expect![[r"
        TrimmedBoundary
        a:
          b:
            c: 3
            e: 4
        d: 2
    "]],
    );
    // In one line, with other white space within.
    check(
        "    let  x = 1;\n",
        "  let x = 1;\n",
        "  let x = 2;\n    y();\n",
        expect![[r"
        WhitespaceNormalised
            let x = 2;
              y();
    "]],
    );
    check("if a:\n    b()\n        c()\n", "b()\nc()\n", "b()\n  d()\n", expect!["Indentation { lines: 1..3 }\n"]);
    // Everywhere by the place's own.
    check_scope(" a\n  b\n\ta\n\t b\n", "a\n b", "a\n c", Scope::All, &expect![["LineTrimmed\n a\n  c\n\ta\n\t c\n"]]);
}

#[test]
fn only_white_space_is_overlooked() {
    for (text, old) in [
        (
            "if ok:\n    if admin and not banned:\n        pass\n    done()\n",
            "if ok:\n    if admin and banned:\n        pass\n    done()\n",
        ),
        ("def cfg():\n    timeout = 300\n    return timeout\n", "def cfg():\n    timeout = 30\n    return timeout\n"),
        ("for x in xs:\n    if x.count >= limit:\n        stop(x)\n", "for x in xs:\n    if x.count > limit:\n        stop(x)\n"),
        ("pay {\n  account: 202051\n}\n", "pay {\n  account: 202015\n}\n"),
        ("say(\"hi\")\nend\n", r#"say(\"hi\")\nend"#),
        ("foobar\n", " foo "),
        ("xfoo bar\n", " foo bar"),
        ("a\u{a0}b\n", "a b"),
        ("\u{3000}a\nb\n", "a\n  b\n"),
        ("cafe\u{301}\n", "caf\u{e9}"),
        ("a b\n", "ab"),
        ("ab\n", "a b"),
        ("a\nb\n", "a b"),
        ("a\n\nb\n", "a\nb"),
        ("limit =  300\n", "limit = 30"),
        ("return  x_total\n", "return x"),
        ("int  xcount  = 1;\n", "count = 1"),
        ("limit = 300\n", "\nlimit = 30"),
    ] {
        assert!(matches!(find(text, old, "X", Scope::One), Err(Error::NotFound { .. })), "{old:?} in {text:?}");
    }
    assert_eq!(find("say(\"hi\")\n", r#"say(\"hi\")"#, "x", Scope::One), Err(Error::NotFound { closest: Some(0..1), unescaped: Some(0) }));
}

#[test]
fn whatever_is_compared_it_ends() {
    let cancel = CancellationToken::new();
    let (letters, lines) = ("a".repeat(400_000), "a a\n".repeat(100_000));
    for (text, old) in [
        (lines.clone(), "a".repeat(100_000)),
        (lines.clone(), "a  a\n".repeat(50_000) + "b"),
        (lines.clone(), " a a\n".repeat(50_000)),
        ("a ".repeat(200_000), "a  ".repeat(100_000) + "b"),
        (letters.clone(), letters[1..].to_owned()),
        (letters.clone(), letters[..200_000].to_owned()),
        ("ab".repeat(200).repeat(200) + "\n", format!("{}c", "ab".repeat(199))),
    ] {
        let began = std::time::Instant::now();
        let found = super::find(&text, &old, "x", Scope::One, 1_000_000, &mut Budget::new(10_000_000, &cancel));
        assert!(matches!(found, Err(Error::Stopped(Stop::Spent) | Error::NotFound { .. } | Error::Ambiguous { .. })), "{found:?}");
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
    cancel.cancel();
    let aborted = super::find(&lines, "b", "x", Scope::One, 100, &mut Budget::new(u64::MAX, &cancel));
    assert_eq!(aborted, Err(Error::Stopped(Stop::Aborted)));
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
    check("a  b c\n", "a b\n", "x\n", expect!["NotFound { closest: Some(0..1), unescaped: None }\n"]);
}

#[test]
fn lines_that_are_not_changed_keep_their_white_space() {
    check(
        "print(\"a  b\")\nx = 1\n",
        "print(\"a b\")\nx = 1\n",
        "print(\"a b\")\nx = 2\n",
        expect![["WhitespaceNormalised\nprint(\"a  b\")\nx = 2\n"]],
    );
    check("a \n  b\nc\n", "a\n  b\nc", "a\n  d\nc", expect![["LineTrimmed\na \n  d\nc\n"]]);
    check("x  =  1\n", "x = 1", "x = 1\ny = 2", expect![["WhitespaceNormalised\nx  =  1\ny = 2\n"]]);
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
            Err(_) => prop_assert!(!text.contains(&old)),
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
                prop_assert_eq!(found.places.len(), 1);
                // One quotation became one line; every line before and after is as it was.
                let place = after.iter().position(|line| line.contains("NEW")).unwrap();
                prop_assert_eq!(&after[..place], &kept[..place]);
                prop_assert_eq!(&after[place + 1..], &kept[place + (to - from)..]);
                prop_assert!(result.ends_with('\n'));
            }
            Err(Error::Ambiguous { lines }) => prop_assert!(!lines.is_empty()),
            // Lines that were quoted alike and are indented differently.
            Err(Error::Indentation { .. }) => {}
            Err(error) => prop_assert!(false, "{old:?} in {text:?}: {error:?}"),
        }
    }

    #[test]
    fn everything_outside_the_places_stays(text in "[ab {}\t\n\\\\n\"]{0,60}", old in "[ab {}\t\n\\\\n\"]{1,12}", all: bool) {
        let scope = if all { Scope::All } else { Scope::One };
        if let Ok(found) = find(&text, &old, "N", scope) {
            prop_assert!(!found.places.is_empty() && (all || found.places.len() == 1));
            let mut end = 0;
            for (range, _) in &found.places {
                prop_assert!(range.start >= end && range.end <= text.len());
                end = range.end;
            }
            let kept: usize = text.len() - found.places.iter().map(|(range, _)| range.len()).sum::<usize>();
            prop_assert_eq!(replace(&text, &found).len(), kept + found.places.iter().map(|(_, new)| new.len()).sum::<usize>());
        }
    }
}
