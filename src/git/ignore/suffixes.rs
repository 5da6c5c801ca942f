//! A pre-filter for ignore rules: the suffixes of the names that the patterns can match. Most names have none of them,
//! and comparing suffixes is much faster than matching patterns.

/// The suffixes of names that some patterns may match.
#[derive(Debug, Clone, Default)]
pub struct Suffixes {
    /// Sorted by the last byte.
    suffixes: Vec<(u8, Box<[u8]>)>,
    /// Some pattern may match a name with any suffix.
    is_any: bool,
}

impl Suffixes {
    pub fn any() -> Self {
        Self { suffixes: Vec::new(), is_any: true }
    }

    /// Whether no name can match.
    pub fn is_empty(&self) -> bool {
        !self.is_any && self.suffixes.is_empty()
    }

    /// Adds the patterns of an ignore file.
    pub fn add(&mut self, text: &[u8]) {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        for line in text.split(|byte| *byte == b'\n') {
            self.add_line(line);
        }
        self.suffixes.sort_unstable();
        self.suffixes.dedup();
    }

    fn add_line(&mut self, line: &[u8]) {
        // Patterns with escapes or non-ASCII characters are left to the matcher.
        let Some(text) = str::from_utf8(line).ok().filter(|text| text.is_ascii() && !text.contains('\\')) else {
            self.is_any = true;
            return;
        };
        let mut pattern = text.trim_end().as_bytes();
        if pattern.is_empty() || pattern[0] == b'#' {
            return;
        }
        while let Some(rest) = pattern.strip_suffix(b"/") {
            pattern = rest;
        }
        // A character class at the end, as in `*.py[co]`, gives one suffix for each character.
        let (stem, lasts) = match pattern.strip_suffix(b"]").and_then(|rest| Some((rest, rest.iter().rposition(|byte| *byte == b'[')?))) {
            Some((rest, open)) if rest[open + 1..].iter().all(u8::is_ascii_alphanumeric) && !rest[..open].contains(&b'[') => {
                (&rest[..open], &rest[open + 1..])
            }
            _ => (pattern, &b""[..]),
        };
        let start = stem.iter().rposition(|byte| b"*?[]{},!/".contains(byte)).map_or(0, |at| at + 1);
        let stem = &stem[start..];
        if lasts.is_empty() {
            self.add_suffix(stem);
        }
        for last in lasts {
            self.add_suffix(&[stem, &[*last]].concat());
        }
    }

    fn add_suffix(&mut self, end: &[u8]) {
        match end.last() {
            Some(last) => self.suffixes.push((*last, end.into())),
            None => self.is_any = true,
        }
    }

    pub fn may_match(&self, name: &[u8]) -> bool {
        let Some(last) = name.last() else { return true };
        let from = self.suffixes.partition_point(|(other, _)| other < last);
        self.is_any || self.suffixes[from..].iter().take_while(|(other, _)| other == last).any(|(_, end)| name.ends_with(end))
    }
}

#[cfg(test)]
mod tests {
    use ignore::gitignore::GitignoreBuilder;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]
        #[test]
        fn a_name_that_a_pattern_matches_has_a_suffix(
            lines in prop::collection::vec("!?/?([ab.]|\\*\\*/|\\*|\\?|\\[[ab!^-]{1,3}\\]|\\{a,b\\}|\\\\|/| |#|\t){0,5}[ab]?/{0,2} ?", 1..4),
            name in "[ab. ]{1,4}",
            directory: bool,
        ) {
            let mut builder = GitignoreBuilder::new("/top");
            let mut suffixes = Suffixes::default();
            for line in &lines {
                let _ = builder.add_line(None, line);
            }
            suffixes.add(lines.join("\n").as_bytes());
            let rules = builder.build().unwrap();
            let is_matched = ["", "a/", "b/a/"].iter().any(|above| !rules.matched(format!("/top/{above}{name}"), directory).is_none());
            prop_assert!(!is_matched || suffixes.may_match(name.as_bytes()), "{:?}", lines);
        }
    }

    #[test]
    fn most_names_have_no_suffix() {
        let mut suffixes = Suffixes::default();
        assert!(suffixes.is_empty() && !suffixes.may_match(b"a"));
        suffixes.add(b"# said\n\n*.py[co]\r\nnode_modules/\n/dist/\n!keep.log\n");
        let matching = ["a.pyc", "b.pyo", "node_modules", "dist", "keep.log", "redist"];
        assert!(matching.iter().all(|name| suffixes.may_match(name.as_bytes())));
        assert!(["a.py", "main.rs", "modules", "log"].iter().all(|name| !suffixes.may_match(name.as_bytes())));
        suffixes.add(b"build*");
        assert!(suffixes.may_match(b"main.rs"));
    }
}
