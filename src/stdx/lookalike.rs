//! Text that looks the same and is not: composed and decomposed letters, spaces of all kinds, dashes, quotes, and
//! characters of no width.

/// The text as it looks: letters composed, spaces, dashes and quotes plain, what has no width left out.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match stand_in(character) {
            Some(other) => plain.push_str(other),
            None => plain.push(character),
        }
    }
    icu_normalizer::ComposingNormalizerBorrowed::new_nfc().normalize(&plain).into_owned()
}

/// The plain text that a character is easily taken for; empty for one of no width, `None` for all others.
pub fn stand_in(character: char) -> Option<&'static str> {
    Some(match character {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => " ",
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' => "",
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => "-",
        '\u{b4}' | '\u{2bc}' | '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{ff07}' => "'",
        '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{ff02}' => "\"",
        _ => return None,
    })
}

/// The character by its number, and by its name where it is one that is easily overlooked.
pub fn describe(character: char) -> String {
    let name = match character {
        ' ' => "space",
        '\t' => "tab",
        '\u{a0}' => "no-break space",
        '\u{ad}' => "soft hyphen",
        '\u{2009}' => "thin space",
        '\u{200b}' => "zero width space",
        '\u{200c}' => "zero width non-joiner",
        '\u{200d}' => "zero width joiner",
        '\u{200e}' => "left-to-right mark",
        '\u{200f}' => "right-to-left mark",
        '\u{2010}' => "hyphen",
        '\u{2011}' => "non-breaking hyphen",
        '\u{2013}' => "en dash",
        '\u{2014}' => "em dash",
        '\u{2018}' => "left single quotation mark",
        '\u{2019}' => "right single quotation mark",
        '\u{201c}' => "left double quotation mark",
        '\u{201d}' => "right double quotation mark",
        '\u{202f}' => "narrow no-break space",
        '\u{2060}' => "word joiner",
        '\u{2212}' => "minus sign",
        '\u{3000}' => "ideographic space",
        '\u{feff}' => "byte order mark",
        _ if is_combining(character) => "combining mark",
        _ if stand_in(character) == Some(" ") => "space of another width",
        _ if stand_in(character) == Some("") => "no width",
        _ => return format!("U+{:04X} {character:?}", u32::from(character)),
    };
    format!("U+{:04X} ({name})", u32::from(character))
}

/// Where two texts that look alike differ first, for people: the column from 1, and what each has there.
/// `None` where they are equal, or differ there in something that can be seen.
pub fn difference(one: &str, other: &str) -> Option<(usize, String, String)> {
    let (ones, others): (Vec<_>, Vec<_>) = (one.chars().collect(), other.chars().collect());
    let at = ones.iter().zip(&others).take_while(|(one, other)| one == other).count();
    let (left, right) = (cluster(&ones[at..]), cluster(&others[at..]));
    let is_hidden = |cluster: &[char]| cluster.first().is_some_and(|first| stand_in(*first).is_some() || is_combining(*first));
    if !(is_hidden(left) || is_hidden(right) || (!left.is_empty() && fold_of(left) == fold_of(right) && left != right)) {
        return None;
    }
    let tell = |cluster: &[char]| match cluster {
        [] => "nothing".to_owned(),
        several => several.iter().map(|character| describe(*character)).collect::<Vec<_>>().join(" "),
    };
    Some((at + 1, tell(left), tell(right)))
}

/// A character with what combines with it.
fn cluster(text: &[char]) -> &[char] {
    let marks = text.iter().skip(1).take_while(|character| is_combining(**character)).count();
    &text[..text.len().min(1 + marks)]
}

fn fold_of(text: &[char]) -> String {
    fold(&text.iter().collect::<String>())
}

/// Whether it is written as a part of the letter before it: accents, sound marks of kana, vowels and ends of Hangul.
fn is_combining(character: char) -> bool {
    matches!(character, '\u{300}'..='\u{36f}' | '\u{3099}' | '\u{309a}' | '\u{1160}'..='\u{11ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_the_same() {
        for (one, other) in [
            ("Shot 3.45\u{202f}PM", "Shot 3.45 PM"),
            ("a\u{a0}b\u{2009}c\u{3000}d", "a b c d"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("\u{1112}\u{1161}\u{11ab}", "\u{d55c}"),
            ("テ\u{3099}ータ", "データ"),
            ("it\u{2019}s \u{201c}x\u{201d}", "it's \"x\""),
            ("v1\u{2013}v2\u{2014}v3\u{2212}", "v1-v2-v3-"),
            ("a\u{200b}b\u{feff}", "ab"),
        ] {
            assert_eq!(fold(one), fold(other), "{one:?}");
        }
        for (one, other) in [("a", "b"), ("a", "A"), ("1", "l"), ("e", "\u{e9}"), ("a_b", "a-b"), ("\u{fb01}", "fi")] {
            assert_ne!(fold(one), fold(other), "{one:?}");
        }
    }

    #[test]
    fn differences_are_named() {
        let tell = |one, other| difference(one, other).map(|(at, one, other)| format!("{at}: {one}, {other}"));
        assert_eq!(tell("a\u{a0}b", "a b").unwrap(), "2: U+00A0 (no-break space), U+0020 (space)");
        assert_eq!(tell("e\u{301}x", "\u{e9}x").unwrap(), "1: U+0065 'e' U+0301 (combining mark), U+00E9 'é'");
        assert_eq!(tell("ab", "a\u{200b}b").unwrap(), "2: U+0062 'b', U+200B (zero width space)");
        assert_eq!(tell("a", "a\u{feff}").unwrap(), "2: nothing, U+FEFF (byte order mark)");
        assert_eq!((tell("a", "a"), tell("a", "b"), tell("a", "ab")), (None, None, None));
    }
}
