//! Encodings are detected, guessed, and kept.

use encoding_rs::{
    BIG5, EUC_JP, EUC_KR, GBK, IBM866, ISO_8859_2, KOI8_R, SHIFT_JIS, WINDOWS_1250, WINDOWS_1251, WINDOWS_1252, WINDOWS_1254,
};
use proptest::prelude::*;

use super::*;

const UNICODE: [Encoding; 4] = [Encoding::Utf8, Encoding::Utf8Mark, Encoding::Utf16Le, Encoding::Utf16Be];

#[test]
fn encodings_are_told_apart() {
    for (encoding, bytes) in [
        (Encoding::Utf8, "grün\r\n".as_bytes()),
        (Encoding::Utf8Mark, b"\xEF\xBB\xBFgr\xC3\xBCn\r\n"),
        (Encoding::Legacy(WINDOWS_1252), b"gr\xFCn\r\n"),
        (Encoding::Utf16Le, b"\xFF\xFEg\0r\0\xFC\0n\0\r\0\n\0"),
        (Encoding::Utf16Be, b"\xFE\xFF\0g\0r\0\xFC\0n\0\r\0\n"),
    ] {
        let file = TextFile::decode(bytes).unwrap();
        assert_eq!((file.encoding, file.text.as_str(), file.strays), (encoding, "grün\r\n", 0));
        assert_eq!(file.encode(&file.text).unwrap(), bytes);
        assert_eq!(file.note().is_some(), matches!(encoding, Encoding::Legacy(_)));
    }
    assert_eq!(TextFile::decode(b"PK\x03\x04\0\0"), Err(Error::Binary));
    assert_eq!(Encoding::Legacy(WINDOWS_1252).encode("a→b"), Err(Error::Unencodable("windows-1252", '→')));
    assert_eq!(TextFile::decode(b"").unwrap().text, "");
    let odd = TextFile::decode(b"\xFF\xFEa\0b").unwrap();
    assert_eq!((odd.text.as_str(), odd.encode("x")), ("a\u{fffd}", Err(Error::Malformed("UTF-16LE"))));
}

#[test]
fn legacy_encodings_are_guessed() {
    for (encoding, text) in [
        (GBK, "// 中文注释，这是一个测试\n"),
        (SHIFT_JIS, "// 日本語の設定\n"),
        (EUC_JP, "// 日本語の設定\n"),
        (EUC_KR, "// 한국어 설정\n"),
        (BIG5, "// 繁體中文的註解\n"),
        (WINDOWS_1251, "// ключ и значение\n"),
        (KOI8_R, "// ключ и значение\n"),
        (IBM866, "// ключ и значение\n"),
        (ISO_8859_2, "// zażółć gęślą jaźń\n"),
        (WINDOWS_1254, "// değişken ışığı\n"),
        (WINDOWS_1250, "// příliš žluťoučký kůň\n"),
        (WINDOWS_1252, "// prüfung läuft, größe „ok“\n"),
    ] {
        let bytes = Encoding::Legacy(encoding).encode(text).unwrap();
        let file = TextFile::decode(&bytes).unwrap();
        // The detector knows KOI8-U, which is KOI8-R with more letters.
        assert_eq!((file.text.as_str(), file.strays), (text, 0), "{}, taken for {}", encoding.name(), file.encoding.name());
        assert_eq!(file.encode(&format!("{text}x\n")).unwrap(), [bytes.as_slice(), b"x\n"].concat());
        let note = file.note().unwrap();
        assert!(note.contains("not UTF-8") && note.contains("guessed") && note.contains(file.encoding.name()), "{note}");
    }
}

#[test]
fn a_few_letters_are_windows_1252() {
    for text in [
        "£5",
        "naïve",
        "± 0.5",
        "« bonjour »",
        "µs",
        "20 °C",
        "café",
        "don’t",
        "price €5",
        "½ cup",
        "El Niño",
        "Straße",
        "«CAFÉ»",
        "crème brûlée",
    ] {
        let text = format!("# comment\n{text}\nline\n");
        let bytes = Encoding::Legacy(WINDOWS_1252).encode(&text).unwrap();
        let file = TextFile::decode(&bytes).unwrap();
        assert_eq!((file.text.as_str(), file.encoding), (text.as_str(), Encoding::Legacy(WINDOWS_1252)));
    }
    for (encoding, text) in [(GBK, "中文"), (WINDOWS_1251, "ключ")] {
        let file = TextFile::decode(&Encoding::Legacy(encoding).encode(&format!("# {text}\n")).unwrap()).unwrap();
        assert_eq!(file.text, format!("# {text}\n"));
    }
}

#[test]
fn wide_text_with_nul_is_binary() {
    for bytes in [&b"\xFF\xFE\0\0a\0\0\0b\0\0\0"[..], b"\0\0\xFE\xFF\0\0\0a", b"\xFF\xFEa\0\0\0b\0", b"\xFE\xFF\0a\0\0\x12\x34"] {
        assert!(is_binary(bytes), "{bytes:?}");
        assert_eq!(TextFile::decode(bytes), Err(Error::Binary), "{bytes:?}");
    }
    // Also if the first bytes do not show it.
    let far: Vec<u8> = b"\xFF\xFE".iter().chain(b"a\0".repeat(4096).iter()).chain(b"\0\0").copied().collect();
    assert_eq!(TextFile::decode(&far), Err(Error::Binary));
}

#[test]
fn a_few_stray_bytes_do_not_change_the_encoding() {
    for (bytes, strays) in [
        ([("naïve café → ok\n# ключ 日本\n").as_bytes(), b"bad \xff byte\nx = 1\n"].concat(), 1),
        ([("naïve café\nx = 1\nlast ").as_bytes(), b"\xC3"].concat(), 1),
        (b"caf\xc3\xa9 is open\nbad \xff byte\nline\n".to_vec(), 1),
        ("a \u{2014} b\n".bytes().chain(*b"bad \x92 x\n").collect(), 1),
        ("\u{4e2d}\n".bytes().chain(*b"\xe4\xb8\nend\n").collect(), 2),
        ([("größe\n").as_bytes(), b"emoji \xed\xa0\xbd\xed\xb8\x80\nx = 1\n"].concat(), 6),
        ([("größe\n").as_bytes(), b"a\xc0\x80b\nx = 1\n"].concat(), 2),
        (b"emoji \xed\xa0\xbd\xed\xb8\x80\n".to_vec(), 6),
        (b"cut \xe2\x82".to_vec(), 2),
        (b"\xEF\xBB\xBFmarked \xff\n".to_vec(), 1),
    ] {
        let file = TextFile::decode(&bytes).unwrap();
        assert!(matches!(file.encoding, Encoding::Utf8 | Encoding::Utf8Mark), "{bytes:?}");
        assert_eq!(file.strays, strays, "{bytes:?}");
        assert_eq!(file.encode(&file.text).unwrap(), bytes);
        assert_eq!(file.encode(&format!("{}é", file.text)).unwrap(), [bytes.as_slice(), "é".as_bytes()].concat());
        let shown = file.shown(&file.text);
        assert_eq!(shown.matches('\u{fffd}').count(), strays);
        assert!(file.note().unwrap().contains("not valid UTF-8"));
    }
    let file = TextFile::decode("é\u{e9}\u{10ffff}".as_bytes()).unwrap();
    assert_eq!((file.strays, file.check_new("\u{10ffff}")), (0, Ok(())));
    let file = TextFile::decode(b"\xC3\xA9\xC3\xA9\xFF").unwrap();
    assert_eq!(file.check_new("a\u{10ffff}"), Err(Error::Reserved('\u{10ffff}')));
    // Texts that already contain such characters are ambiguous, so they cannot be changed.
    let both = TextFile::decode(&["éé\u{10ffff}".as_bytes(), b"\xFF"].concat()).unwrap();
    assert_eq!(both.encode("x"), Err(Error::Malformed("UTF-8")));
}

proptest! {
    #[test]
    fn decoding_loses_nothing(bytes in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), 32u8..127, 128u8..=255], 0..200), mark in 0..4usize) {
        let mut all = [&b""[..], b"\xEF\xBB\xBF", b"\xFF\xFE", b"\xFE\xFF"][mark].to_vec();
        all.extend(bytes);
        if let Ok(file) = TextFile::decode(&all)
            && !file.is_lossy()
        {
            prop_assert_eq!(file.encode(&file.text).unwrap(), all);
        }
    }

    #[test]
    fn encoding_is_decoded_again(text in "[a-z\n\r\u{e4}\u{20ac}\u{1f600}]{1,40}") {
        for encoding in UNICODE {
            let file = TextFile::decode(&encoding.encode(&text).unwrap()).unwrap();
            prop_assert_eq!((file.encoding, file.text.as_str(), file.strays), (encoding, text.as_str(), 0));
        }
    }

    #[test]
    fn how_the_bytes_are_cut_does_not_matter(bytes in prop::collection::vec(prop_oneof![Just(b'a'), Just(0xC3), 0xA0u8..0xA3, Just(0xED), Just(0xC0), Just(0x80), Just(0xE2)], 0..40), chunk in 1..7usize) {
        let mut whole = Detector::default();
        whole.push(&bytes);
        let mut parts = Detector::default();
        bytes.chunks(chunk).for_each(|chunk| parts.push(chunk));
        prop_assert_eq!(whole.finish(), parts.finish());
    }
}
