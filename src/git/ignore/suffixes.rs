//! What names end with that patterns of ignore files tell of. Nearly all names end otherwise, which is seen far sooner than
//! a pattern is matched.

/// The ends of names that some patterns may match.
#[derive(Debug, Clone, Default)]
pub struct Tails {
    /// By their last byte, in order.
    ends: Vec<(u8, Box<[u8]>)>,
    /// Some pattern may match a name whatever it ends with.
    is_any: bool,
}

impl Tails {
    /// Every name.
    #[must_use]
    pub fn any() -> Self {
        Self { ends: Vec::new(), is_any: true }
    }

    /// Whether no name is told of.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.is_any && self.ends.is_empty()
    }

    /// Adds the patterns of an ignore file.
    pub fn add(&mut self, text: &[u8]) {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        for line in text.split(|byte| *byte == b'\n') {
            self.add_line(line);
        }
        self.ends.sort_unstable();
        self.ends.dedup();
    }

    fn add_line(&mut self, line: &[u8]) {
        // What is beyond ASCII or escaped is left to those who match it.
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
        // One of a few letters at the end, as in `*.py[co]`, stands for an end with each.
        let (stem, lasts) = match pattern.strip_suffix(b"]").and_then(|rest| Some((rest, rest.iter().rposition(|byte| *byte == b'[')?))) {
            Some((rest, open)) if rest[open + 1..].iter().all(u8::is_ascii_alphanumeric) && !rest[..open].contains(&b'[') => {
                (&rest[..open], &rest[open + 1..])
            }
            _ => (pattern, &b""[..]),
        };
        let start = stem.iter().rposition(|byte| b"*?[]{},!/".contains(byte)).map_or(0, |at| at + 1);
        let stem = &stem[start..];
        if lasts.is_empty() {
            self.add_end(stem);
        }
        for last in lasts {
            self.add_end(&[stem, &[*last]].concat());
        }
    }

    fn add_end(&mut self, end: &[u8]) {
        match end.last() {
            Some(last) => self.ends.push((*last, end.into())),
            None => self.is_any = true,
        }
    }

    /// Whether some pattern may match a name.
    #[must_use]
    pub fn may_match(&self, name: &[u8]) -> bool {
        let Some(last) = name.last() else { return true };
        let from = self.ends.partition_point(|(other, _)| other < last);
        self.is_any || self.ends[from..].iter().take_while(|(other, _)| other == last).any(|(_, end)| name.ends_with(end))
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
        fn no_name_is_missed_that_a_pattern_tells_of(
            lines in prop::collection::vec("!?/?([ab.]|\\*\\*/|\\*|\\?|\\[[ab!^-]{1,3}\\]|\\{a,b\\}|\\\\|/| |#|\t){0,5}[ab]?/{0,2} ?", 1..4),
            name in "[ab. ]{1,4}",
            directory: bool,
        ) {
            let mut builder = GitignoreBuilder::new("/top");
            let mut tails = Tails::default();
            for line in &lines {
                let _ = builder.add_line(None, line);
            }
            tails.add(lines.join("\n").as_bytes());
            let rules = builder.build().unwrap();
            let is_told = ["", "a/", "b/a/"].iter().any(|above| !rules.matched(format!("/top/{above}{name}"), directory).is_none());
            prop_assert!(!is_told || tails.may_match(name.as_bytes()), "{:?}", lines);
        }
    }

    #[test]
    fn most_names_are_left_alone() {
        let mut tails = Tails::default();
        assert!(tails.is_empty() && !tails.may_match(b"a"));
        tails.add(b"# said\n\n*.py[co]\r\nnode_modules/\n/dist/\n!keep.log\n");
        let told = ["a.pyc", "b.pyo", "node_modules", "dist", "keep.log", "redist"];
        assert!(told.iter().all(|name| tails.may_match(name.as_bytes())));
        assert!(["a.py", "main.rs", "modules", "log"].iter().all(|name| !tails.may_match(name.as_bytes())));
        tails.add(b"build*");
        assert!(tails.may_match(b"main.rs"));
    }
}
