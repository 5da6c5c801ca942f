//! Where a query matches a path: what clients highlight.

use nucleo_matcher::{Matcher, Utf32Str, pattern::AtomKind};

use super::{Query, Scorer, Target, Word};

impl Scorer {
    /// The places of the matched characters in a path, in UTF-16 code units, in ascending order; of a character of two
    /// units the first.
    pub fn positions(&mut self, query: &Query, path: &str) -> Vec<u32> {
        let text: Vec<char> = path.chars().collect();
        let is_directory = path.ends_with('/');
        let last = text.len() - usize::from(is_directory);
        let name = text[..last].iter().rposition(|c| *c == '/').map_or(0, |slash| slash + 1);
        // The same form as for scores: the matcher treats ASCII text in its own way.
        let path = if path.is_ascii() { Utf32Str::Ascii(path.as_bytes()) } else { Utf32Str::Unicode(&text) };
        let target = Target { path, name, is_directory };
        let mut matched = Vec::new();
        for group in &query.groups {
            let scores = group.iter().filter_map(|word| target.word(word, &mut self.matcher).map(|score| (score, word)));
            if let Some((_, best)) = scores.max_by_key(|(score, _)| *score) {
                target.mark(best, &mut self.matcher, &mut matched);
            }
        }
        matched.sort_unstable();
        matched.dedup();
        let mut units = 0;
        let starts: Vec<u32> = text
            .iter()
            .map(|c| {
                let start = units;
                units += u32::from(c.len_utf16() == 2) + 1;
                start
            })
            .collect();
        matched.iter().filter_map(|index| starts.get(*index).copied()).collect()
    }
}

impl Target<'_> {
    /// Adds the characters that a word matches, chosen as its score is: see `Target::word`.
    fn mark(self, word: &Word, matcher: &mut Matcher, matched: &mut Vec<usize>) {
        let atom = &word.atom;
        if atom.negative {
            return;
        }
        let length = self.path.len();
        let bare = length - usize::from(self.is_directory);
        match atom.kind {
            AtomKind::Postfix | AtomKind::Exact if Self::edge(self.path.slice(..bare), word, matcher).is_some() => {
                self.mark_edge(bare, word, matcher, matched);
            }
            AtomKind::Prefix | AtomKind::Postfix | AtomKind::Exact => self.mark_edge(length, word, matcher, matched),
            _ => {
                let name = self.path.slice(self.name..bare);
                let in_name = if word.has_slash { None } else { Self::anywhere(name, word, matcher) };
                let in_path = Self::anywhere(self.path, word, matcher);
                let prefers_name = in_name.is_some_and(|score| u32::from(score) + super::NAME_BONUS >= in_path.map_or(0, u32::from));
                let (text, start) = if prefers_name { (name, self.name) } else { (self.path, 0) };
                Self::mark_anywhere(text, start, word, matcher, matched);
            }
        }
    }

    /// The word at the beginning or the end of the first `length` characters.
    fn mark_edge(self, length: usize, word: &Word, matcher: &mut Matcher, matched: &mut Vec<usize>) {
        let range = match word.atom.kind {
            AtomKind::Prefix if word.length <= length => 0..word.length,
            AtomKind::Postfix if word.length <= length => length - word.length..length,
            _ => 0..length,
        };
        Self::mark_in(self.path.slice(range.clone()), range.start, word, matcher, matched);
    }

    fn mark_anywhere(text: Utf32Str<'_>, start: usize, word: &Word, matcher: &mut Matcher, matched: &mut Vec<usize>) {
        match Self::punctuated(text, word) {
            Some(Some(at)) => matched.extend(start + at..start + at + word.length),
            Some(None) => {}
            None => Self::mark_in(text, start, word, matcher, matched),
        }
    }

    fn mark_in(text: Utf32Str<'_>, start: usize, word: &Word, matcher: &mut Matcher, matched: &mut Vec<usize>) {
        let mut indices = Vec::new();
        if word.atom.indices(text, matcher, &mut indices).is_some() {
            matched.extend(indices.into_iter().map(|index| start + index as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The path with the matched characters in brackets.
    fn shown(query: &str, path: &str) -> String {
        let positions = Scorer::default().positions(&Query::parse(query).unwrap(), path);
        let units: Vec<u16> = path.encode_utf16().collect();
        let mut text = String::new();
        let mut at = 0;
        for c in char::decode_utf16(units.iter().copied()) {
            let c = c.unwrap();
            let is_matched = positions.contains(&u32::try_from(at).unwrap());
            text.push_str(&if is_matched { format!("[{c}]") } else { c.to_string() });
            at += c.len_utf16();
        }
        text.replace("][", "")
    }

    #[test]
    fn each_kind_of_word() {
        for (query, path, expected) in [
            ("lexer", "src/parser/lexer.rs", "src/parser/[lexer].rs"),
            ("plex", "src/parser/lexer.rs", "src/[p]arser/[lex]er.rs"),
            ("'ars", "src/parser/lexer.rs", "src/p[ars]er/lexer.rs"),
            ("'.RS", "src/a.RS", "src/a[.RS]"),
            ("'.rs", "src/a.RS", "src/a[.RS]"),
            ("^src rs$", "src/parser/lexer.rs", "[src]/parser/lexer.[rs]"),
            ("!x a", "src/a.rs", "src/[a].rs"),
            ("nothing | lexer", "src/lexer.rs", "src/[lexer].rs"),
            ("parser$", "src/parser/", "src/[parser]/"),
            ("parser/$", "src/parser/", "src/[parser/]"),
            ("^src/parser$", "src/parser/", "[src/parser]/"),
            ("r/l", "src/parser/lexer.rs", "src/parse[r/l]exer.rs"),
            ("", "a", "a"),
            ("é", "über/é.rs", "über/[é].rs"),
            ("b", "😀/😀b", "😀/😀[b]"),
            ("zzz", "src/a.rs", "src/a.rs"),
        ] {
            assert_eq!(shown(query, path), expected, "{query:?}");
        }
    }

    proptest! {
        #[test]
        fn what_matches_has_a_place_and_nothing_else_has(query in "[!^']?[a-c/.é]{1,4}[$]?( [a-c]{1,2})?", path in "[a-cA-C/.é😀]{1,12}/?") {
            prop_assume!(!path.starts_with('/') && !path.contains("//"));
            let parsed = Query::parse(&query).unwrap();
            let last = path.trim_end_matches('/');
            let name = last.rfind('/').map_or(0, |slash| slash + 1);
            let mut scorer = Scorer::default();
            let positions = scorer.positions(&parsed, &path);
            let units = path.encode_utf16().count();
            prop_assert!(positions.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(positions.iter().all(|at| (*at as usize) < units));
            let is_positive = !query.starts_with('!') && !parsed.is_empty();
            if scorer.score(&parsed, path.as_bytes(), name).is_some() && is_positive {
                prop_assert!(!positions.is_empty(), "{} in {}", query, path);
            }
        }
    }
}
