//! Markdown on a terminal: its look, and that the result does not depend on the chunks.

use expect_test::expect;
use proptest::prelude::*;

use super::*;

/// Each visible character with its styles, independent of the escape sequences.
fn styled(output: &str) -> Vec<(char, String)> {
    let mut result = Vec::new();
    let mut on = String::new();
    let mut rest = output;
    while let Some(character) = rest.chars().next() {
        if character == '\u{1b}' {
            let end = rest.find('m').expect("only styles are written");
            match &rest[2..end] {
                "0" => on.clear(),
                code => on.push_str(&format!("{code};")),
            }
            rest = &rest[end + 1..];
        } else {
            result.push((character, on.clone()));
            rest = &rest[character.len_utf8()..];
        }
    }
    result
}

/// The styles as letters in angle brackets, to be read in a test.
fn readable(output: &str) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for (character, on) in styled(output) {
        if on != last {
            let words: Vec<&str> = on
                .split(';')
                .filter_map(|code| {
                    Some(match code {
                        "1" => "b",
                        "2" => "faint",
                        "3" => "i",
                        "4" => "u",
                        "9" => "s",
                        "36" => "code",
                        _ => return None,
                    })
                })
                .collect();
            text.push_str(&format!("<{}>", words.join(" ")));
            last = on;
        }
        text.push(character);
    }
    text
}

fn whole(text: &str) -> String {
    let mut markdown = Markdown::default();
    markdown.push(text) + &markdown.finish()
}

#[test]
fn a_page() {
    let page = "# Title\n\nSome *italic*, **bold `code` bold**, ***both***, ~~gone~~ and `a*b*c`.\n\n## Next\n- one\n  * [x] two\n1. three\n\n> quoted **text**\n\n```rust ignore\nfn main() {\n\n    a**b**;\n}\n```\nSee [the docs](https://example.com/a_b), a[i](x).\n\n    indented *code*\n\n---\n| a | `b` |\n";
    expect![[r"
        <b u>Title<>

        Some <i>italic<>, <b>bold <b code>code<b> bold<>, <b i>both<>, <s>gone<> and <code>a*b*c<>.

        <b>Next<>
        • one
          • [x] two
        1. three

        <faint>│ <i>quoted <b i>text<>

        <faint>  rust ignore<>
            <code>fn main() {<>

            <code>    a**b**;<>
            <code>}<>
        See <u>the docs<faint> (https://example.com/a_b)<>, a[i](x).

        <code>    indented *code*<>

        <faint>────────────────────────<>
        | a | `b` |
    "]]
    .assert_eq(&readable(&whole(page)));
}

#[test]
fn what_is_no_markup_stays() {
    for text in [
        "2 * 3 * 4 = 24",
        "2**10**3",
        "use **kwargs and *args",
        "an unclosed `tick",
        "**never closed",
        "*.rs and *.toml",
        "a __dunder__ and snake_case",
        "[ ] todo, [x] done, [1], array[0](x)",
        "C:\\Users\\me and \\\\server",
        "~50 and ~/home",
        "#hashtag",
        "-flag",
        "3.14",
        "<b>html</b>",
        "[](x)",
        "a ****",
    ] {
        assert_eq!(whole(text), text);
    }
}

#[test]
fn text_is_shown_at_once_and_markers_wait_for_their_partner() {
    let mut markdown = Markdown::default();
    let mut step = |text| readable(&markdown.push(text));
    assert_eq!(step("Hel"), "Hel");
    assert_eq!(step("lo wor"), "lo wor");
    assert_eq!(step("ld **bo"), "ld ");
    assert_eq!(step("ld*"), "");
    assert_eq!(step("* and"), "<b>bold<> and");
    assert_eq!(step("\n"), "\n");
    assert_eq!(step("``"), "");
    assert_eq!(step("`sh\n"), "<faint>  sh<>\n");
    assert_eq!(step("ls"), "    <code>ls");
    assert_eq!(step(" -l\n``"), "<code> -l<>\n");
    assert_eq!(step("`\nafter"), "after");
    assert_eq!(step(" `open"), " ");
    assert_eq!(readable(&markdown.finish()), "`open");
}

#[test]
fn a_line_that_never_ends_is_not_kept_back_for_ever() {
    let mut markdown = Markdown::default();
    assert_eq!(markdown.push("*").len(), 0);
    assert!(markdown.push(&"a".repeat(10_000)).len() >= 10_000);
}

#[test]
fn escape_sequences_of_the_model_do_not_get_through() {
    assert_eq!(whole("a\u{1b}[2J\u{1b}]0;x\u{7}b"), "ab");
}

#[test]
fn tables_line_up_when_they_have_ended() {
    let mut markdown = Markdown::default();
    assert_eq!(markdown.push("Look:\n\n| a | b |\n|---|--:|\n| long one | 1 |\n"), "Look:\n\n");
    expect![[r#"
        <b>a<>       <faint> │ <b>b<>
        <faint>─────────┼──<>
        long one<faint> │ <>1

    "#]]
    .assert_eq(&readable(&markdown.push("\n")));
    assert_eq!(whole("| a |\n|--\n| b"), whole("| a |\n|--\n| b\n").trim_end_matches('\n'));
}

#[test]
fn lists_code_and_quotes_nest() {
    let page = "1. one\n   - two\n     1. three\n        - four\n\n     still three\n2. code:\n   ```sh\n   ls\n     -l\n   ```\n   after\n\n> quoted\n> - **item**\n>   - nested\n>\n> > deeper `code`\n>\n> ```rust\n> fn a() {}\n> ```\nend\n\n> ```\n> open\nend\n";
    expect![[r#"
        1. one
           • two
             1. three
                • four

             still three
        2. code:
        <faint>  sh<>
            <code>   ls<>
            <code>     -l<>
           after

        <faint>│ <i>quoted<>
        <faint>│ <>• <b i>item<>
        <faint>│ <>  • <i>nested<>
        <faint>│ <>
        <faint>│ │ <i>deeper <i code>code<>
        <faint>│ <>
        <faint>│   rust<>
        <faint>│ <>    <code>fn a() {}<>
        end

        <faint>│ <>    <code>open<>
        end
    "#]]
    .assert_eq(&readable(&whole(page)));
}

/// Input that is expensive with quadratic time: a megabyte takes less than 100 ms in a release build, and would take
/// minutes.
#[test]
fn time_is_linear() {
    let size = if cfg!(debug_assertions) { 1 << 17 } else { 1 << 20 };
    let deep: String = (0..2000).map(|depth| format!("{}- item\n", "  ".repeat(depth % 250))).collect();
    let ticks: String = (1..1400).map(|run| "`".repeat(run) + " ").collect();
    let texts = [
        "`",
        "[",
        "*",
        "_",
        "<",
        ">",
        "> ",
        "~",
        "|",
        "#",
        "- ",
        "\\",
        "(",
        "[a",
        "[]",
        "[](",
        "[a](",
        "*a ",
        " *a",
        "**a ",
        "*a **b ***c ~~d ",
        "` ``",
        "`a*",
        "a\n",
        "\n",
        "> a\n",
        "| a\n",
        "|-|\n",
        "```\n",
        "1. ",
        "    ",
        &deep,
        &ticks,
    ];
    for piece in texts {
        let text = piece.repeat(size / piece.len() + 1);
        let began = std::time::Instant::now();
        drop(whole(&text));
        let took = began.elapsed();
        assert!(took.as_secs() < 20, "{:?}: {took:?}", &piece[..piece.len().min(20)]);
        if !cfg!(debug_assertions) {
            let most = if piece.len() == 1 || piece == deep { 100 } else { 500 };
            assert!(took.as_millis() < most, "{:?}: {took:?}", &piece[..piece.len().min(20)]);
        }
    }
    // In chunks of the size that models send.
    let began = std::time::Instant::now();
    let mut markdown = Markdown::default();
    for _ in 0..size / 64 {
        markdown.push("*a [");
    }
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

/// A character that is neither a marker nor its replacement.
fn content(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && !"#>-+*_~`[]()\\│•─┼|:".contains(*c)).collect()
}

fn markdownish() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zä ]{1,6}",
        1 => Just("\n".to_owned()),
        1 => Just("\n\n".to_owned()),
        1 => Just("    ".to_owned()),
        1 => Just("- ".to_owned()),
        1 => Just("1. ".to_owned()),
        1 => Just("> ".to_owned()),
        1 => Just("# ".to_owned()),
        1 => Just("```".to_owned()),
        1 => Just("```rs\n".to_owned()),
        1 => Just("---".to_owned()),
        1 => Just("|".to_owned()),
        1 => Just("> > ".to_owned()),
        1 => Just("| a | b |\n|---|:-:|\n| c".to_owned()),
        1 => Just("[a](b)".to_owned()),
        3 => prop::sample::select(vec!["*", "**", "***", "`", "``", "~~", "~", "[", "]", "(", ")", "\\", "_"]).prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn nothing_is_lost_or_moved(text in markdownish()) {
        let plain = anstream::adapter::strip_str(&whole(&text)).to_string();
        prop_assert_eq!(content(&plain), content(&text));
    }

    #[test]
    fn pieces_do_not_matter(text in markdownish(), cuts in prop::collection::vec(0usize..120, 0..6)) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| text.floor_char_boundary(cut)).collect();
        cuts.sort_unstable();
        let mut markdown = Markdown::default();
        let mut output = String::new();
        let mut from = 0;
        for cut in cuts {
            output += &markdown.push(&text[from..cut]);
            from = cut;
        }
        output += &markdown.push(&text[from..]);
        output += &markdown.finish();
        prop_assert_eq!(styled(&output), styled(&whole(&text)));
    }

    #[test]
    fn plain_text_is_shown_as_it_is(text in "[a-zA-Z,;:?ä ]{0,3}[a-zA-Z0-9.,;:?äöü\n]{0,80}") {
        prop_assume!(!text.contains("    "));
        prop_assert_eq!(whole(&text), text);
    }
}
