//! The text of a patch: which files it adds, changes, moves and deletes, and how. Pure; errors tell the line.

/// What is done to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    Add { path: String, content: String },
    Delete { path: String },
    Update { path: String, moved: Option<String>, hunks: Vec<Hunk> },
}

impl Section {
    /// The file that it is about.
    pub fn path(&self) -> &str {
        match self {
            Self::Add { path, .. } | Self::Delete { path } | Self::Update { path, .. } => path,
        }
    }
}

/// A change at one place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hunk {
    /// Lines of the file above the place, each below the one before.
    pub above: Vec<String>,
    pub lines: Vec<Line>,
    /// It is at the end of the file.
    pub is_at_end: bool,
    /// Where it begins in the patch, from 1.
    pub number: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    Stays(String),
    Goes(String),
    Comes(String),
}

/// The most files of a patch.
pub const MAX_FILES: usize = 200;

/// # Errors
/// A sentence for the model.
pub fn parse(text: &str) -> Result<Vec<Section>, String> {
    let text = text.replace("\r\n", "\n");
    let lines: Vec<&str> = text.trim().lines().collect();
    // Some wrap it in a here-document or a listing.
    let begin =
        lines.iter().position(|line| line.trim() == "*** Begin Patch").ok_or("The patch must begin with the line `*** Begin Patch`.")?;
    let end = lines.iter().rposition(|line| line.trim() == "*** End Patch").ok_or("The patch must end with the line `*** End Patch`.")?;
    if lines[..begin].iter().any(|line| line.starts_with("***")) || end < begin {
        return Err("The patch must begin with the line `*** Begin Patch` and end with `*** End Patch`.".to_owned());
    }
    let mut parser = Parser { lines: &lines[..end], at: begin + 1 };
    let mut sections: Vec<Section> = Vec::new();
    while let Some(section) = parser.section()? {
        sections.push(section);
        if sections.len() > MAX_FILES {
            return Err(format!("The patch has more than {MAX_FILES} files. Please make several of it."));
        }
    }
    if sections.is_empty() {
        return Err("The patch has no files in it.".to_owned());
    }
    Ok(sections)
}

struct Parser<'a> {
    lines: &'a [&'a str],
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.lines.get(self.at).copied()
    }

    /// The rest of the line, if it begins so.
    fn header(&mut self, beginning: &str) -> Option<Result<String, String>> {
        let rest = self.peek()?.trim_end().strip_prefix(beginning)?.trim().to_owned();
        self.at += 1;
        Some(if rest.is_empty() { Err(format!("Line {} of the patch names no file.", self.at)) } else { Ok(rest) })
    }

    fn section(&mut self) -> Result<Option<Section>, String> {
        while self.peek().is_some_and(|line| line.trim().is_empty()) {
            self.at += 1;
        }
        let Some(line) = self.peek() else { return Ok(None) };
        if let Some(path) = self.header("*** Add File:") {
            return Ok(Some(Section::Add { path: path?, content: self.added()? }));
        }
        if let Some(path) = self.header("*** Delete File:") {
            return Ok(Some(Section::Delete { path: path? }));
        }
        if let Some(path) = self.header("*** Update File:") {
            let path = path?;
            let moved = self.header("*** Move to:").transpose()?;
            let hunks = self.hunks()?;
            if hunks.is_empty() && moved.is_none() {
                return Err(format!("The patch changes nothing in {path}: it has no hunk."));
            }
            return Ok(Some(Section::Update { path, moved, hunks }));
        }
        Err(format!(
            "Line {} of the patch is {line:?}, but a line `*** Add File: …`, `*** Update File: …`, `*** Delete File: …` or `*** End Patch` was expected.",
            self.at + 1
        ))
    }

    fn added(&mut self) -> Result<String, String> {
        let mut content = String::new();
        while let Some(line) = self.peek().filter(|line| !line.starts_with("***")) {
            let Some(text) = line.strip_prefix('+') else {
                // A blank line between two files.
                if line.trim().is_empty()
                    && self.lines[self.at..].iter().find(|line| !line.trim().is_empty()).is_none_or(|next| next.starts_with("***"))
                {
                    break;
                }
                return Err(format!("Line {} of the patch must begin with `+`, because it belongs to a new file.", self.at + 1));
            };
            content.push_str(text);
            content.push('\n');
            self.at += 1;
        }
        Ok(content)
    }

    fn hunks(&mut self) -> Result<Vec<Hunk>, String> {
        let mut hunks = Vec::new();
        loop {
            let mut hunk = Hunk { number: self.at + 1, ..Hunk::default() };
            while let Some(above) = self.peek().and_then(|line| line.strip_prefix("@@")) {
                let above = above.trim_end().strip_suffix("@@").unwrap_or(above).strip_prefix(' ').unwrap_or(above).trim_end();
                // Line numbers of a unified diff say nothing here.
                let is_position = above.trim_start().starts_with('-') && above.contains('+') && above.contains(',');
                if !above.trim().is_empty() && !is_position {
                    hunk.above.push(above.to_owned());
                }
                self.at += 1;
            }
            while let Some(line) = self.peek().filter(|line| !line.starts_with("@@")) {
                if line.trim_end() == "*** End of File" {
                    hunk.is_at_end = true;
                    self.at += 1;
                    break;
                }
                if line.starts_with("***") {
                    break;
                }
                let text = |at: usize| line[at..].to_owned();
                hunk.lines.push(match line.chars().next() {
                    Some(' ') => Line::Stays(text(1)),
                    Some('-') => Line::Goes(text(1)),
                    Some('+') => Line::Comes(text(1)),
                    // The space of an empty line is often lost.
                    None => Line::Stays(String::new()),
                    Some(_) => {
                        return Err(format!(
                            "Line {} of the patch is {line:?}; a line of a hunk begins with a space, `-` or `+`.",
                            self.at + 1
                        ));
                    }
                });
                self.at += 1;
            }
            // Blank lines before the next file belong to the patch.
            if self.peek().is_none_or(|line| line.starts_with("***")) {
                while hunk.lines.last() == Some(&Line::Stays(String::new())) && !hunk.is_at_end {
                    hunk.lines.pop();
                }
            }
            if hunk.lines.iter().any(|line| !matches!(line, Line::Stays(_))) {
                hunks.push(hunk);
            } else if !hunk.lines.is_empty() || !hunk.above.is_empty() {
                return Err(format!("The hunk at line {} of the patch changes nothing.", hunk.number));
            } else {
                return Ok(hunks);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_patch_is_read_as_it_is_written() {
        let text = "*** Begin Patch\n*** Add File: a b.txt\n+one\n+\n+two\n*** Update File: x.py\n*** Move to: y.py\n@@ class A:\n@@     def f():\n stays\n-goes\n+comes\n\n+last\n*** End of File\n*** Delete File: gone\n\n*** End Patch\n";
        let sections = parse(text).unwrap();
        assert_eq!(sections[0], Section::Add { path: "a b.txt".to_owned(), content: "one\n\ntwo\n".to_owned() });
        let Section::Update { path, moved, hunks } = &sections[1] else { panic!("{sections:?}") };
        assert_eq!((path.as_str(), moved.as_deref()), ("x.py", Some("y.py")));
        assert_eq!(hunks[0].above, ["class A:", "    def f():"]);
        assert!(hunks[0].is_at_end && hunks.len() == 1);
        let line = |line: &str| line.to_owned();
        assert_eq!(
            hunks[0].lines,
            [
                Line::Stays(line("stays")),
                Line::Goes(line("goes")),
                Line::Comes(line("comes")),
                Line::Stays(line("")),
                Line::Comes(line("last"))
            ]
        );
        assert_eq!(sections[2], Section::Delete { path: "gone".to_owned() });
        let wrapped = format!("apply_patch <<'EOF'\n{text}EOF\n");
        // But for the lines of the patch, which errors name.
        let numberless = |mut sections: Vec<Section>| {
            for section in &mut sections {
                if let Section::Update { hunks, .. } = section {
                    hunks.iter_mut().for_each(|hunk| hunk.number = 0);
                }
            }
            sections
        };
        assert_eq!(numberless(parse(&wrapped).unwrap()), numberless(sections));
        let moved = parse("*** Begin Patch\n*** Update File: a\n*** Move to: b\n*** End Patch").unwrap();
        assert_eq!(moved, [Section::Update { path: "a".to_owned(), moved: Some("b".to_owned()), hunks: vec![] }]);
    }

    #[test]
    fn errors_tell_the_line() {
        let body = |body: &str| parse(&format!("*** Begin Patch\n{body}*** End Patch")).unwrap_err();
        assert!(parse("").unwrap_err().contains("*** Begin Patch"));
        assert!(parse("*** Begin Patch\n*** Delete File: a").unwrap_err().contains("*** End Patch"));
        assert!(body("").contains("no files"));
        assert!(body("hello\n").contains("Line 2 of the patch is \"hello\""));
        assert!(body("*** Update File: a\n").contains("no hunk"));
        assert!(body("*** Update File:\n").contains("Line 2 of the patch names no file"));
        assert!(body("*** Update File: a\n@@\n same\n").contains("changes nothing"));
        assert!(body("*** Update File: a\n@@\nx\n").contains("Line 4 of the patch is \"x\""));
        assert!(body("*** Add File: a\n+x\ny\n").contains("Line 4 of the patch must begin with `+`"));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(lines in prop::collection::vec(prop_oneof![
            Just("*** Add File: a"), Just("*** Update File: b"), Just("*** Move to: c"), Just("*** Delete File: d"), Just("*** End of File"), Just("@@"), Just("@@ x"),
            Just("+é"), Just("-"), Just(" "), Just(""), Just("é"), Just("*** End Patch"), Just("*** Begin Patch"),
        ], 0..20)) {
            let _ = parse(&format!("*** Begin Patch\n{}\n*** End Patch", lines.join("\n")));
        }
    }
}
