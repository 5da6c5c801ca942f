//! For any text parsing ends within the limits, and the ranges are valid.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{super::language::Language, Place, assert_names_are_in_their_ranges, file};

const NAMES: [&str; 14] =
    ["a.rs", "a.ts", "a.tsx", "a.js", "a.py", "a.go", "a.c", "a.cpp", "a.java", "a.cs", "a.rb", "a.php", "a.lua", "a.sh"];

#[test]
fn every_language_has_a_name_here() {
    for (name, language) in NAMES.iter().zip(Language::ALL) {
        assert_eq!(Language::of(std::path::Path::new(name), ""), Some(language));
    }
}

/// Far more than the limit of one text, for slow machines and debug builds.
const TIMEOUT: Duration = Duration::from_secs(30);

#[test]
fn deep_nesting_ends() {
    let opened = [
        "(",
        "[",
        "{",
        "((((((x",
        "if (a) { ",
        "class A { ",
        "a(b[",
        "`${",
        "<a>",
        "def f():\n ",
        "\"",
        "f(){ ",
        "<?php {",
        "$(",
        "template<",
        "*",
    ];
    for name in NAMES {
        for open in opened {
            // The deepest nesting that is parsed, and the deepest possible one.
            for text in [open.repeat(2900), open.repeat(50_000 / open.len())] {
                let begun = Instant::now();
                let found = file(name, &text);
                assert!(found.symbols.len() <= 20_000);
                assert!(begun.elapsed() < TIMEOUT, "{name} {open}: {:?}", begun.elapsed());
            }
        }
    }
}

#[test]
fn deeply_nested_types_are_bounded() {
    let text = format!("{}{}{}", "mod a {\n".repeat(2900), "fn b() {}\n".repeat(30_000), "}\n".repeat(2900));
    let found = file("a.rs", &text);
    assert_eq!(found.symbols.len(), 20_000);
    assert!(found.bytes() < 4 * 1024 * 1024);
}

#[tokio::test]
async fn binary_files_are_skipped() {
    let place = Place::new(&[("good.rs", "fn target() {}")]);
    for (name, bytes) in [
        ("binary.rs", b"fn target() {}\0\x01".repeat(100)),
        ("latin.py", b"# caf\xE9\ndef target(): pass\n".to_vec()),
        ("wide.cs", "\u{FEFF}class target {}".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("empty.go", Vec::new()),
        ("noise.c", (0..100_000u32).map(|number| u8::try_from(number.wrapping_mul(2_654_435_761) >> 24).unwrap() | 1).collect()),
    ] {
        std::fs::write(place.root.join(name), bytes).unwrap();
    }
    assert_eq!(place.find("target").await, ["wide.cs target", "good.rs target", "latin.py target"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Fragments of programs in any order.
    #[test]
    fn ranges_are_valid_for_any_text(
        name in proptest::sample::select(&NAMES[..]),
        pieces in proptest::collection::vec(proptest::sample::select(&[
            "fn ", "class ", "struct ", "def ", "function ", "f", "A", "ä", "\u{1f600}", "x1", "(", ")", "{", "}", "[", "]", "<", ">", ";", ":", "::", ",",
            "=", "=>", "\n", "  ", "\t", "\"", "'", "`", "#", "//", "/*", "*/", "*", "&", "impl ", "enum ", "type ", "const ", "let ", "var ", "int ",
            "void ", "namespace ", "package p\n", "<?php ", "end\n", "operator", "~", "template<class T> ", "typedef ", "return ", "attr_reader :", "$",
        ][..]), 0..60),
    ) {
        let text: String = pieces.concat();
        assert_names_are_in_their_ranges(&file(name, &text), &text);
    }
}
