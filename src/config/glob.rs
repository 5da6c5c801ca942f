//! Matches glob patterns against the file system, segment by segment, so that only directories that can match are read.

use globset::GlobBuilder;

use crate::stdx::paths::AbsPath;

/// The limits of inspected entries and of matches per pattern.
const MAX_ENTRIES: usize = 20_000;
const MAX_MATCHES: usize = 100;
/// The depth limit of `**`.
const MAX_DEPTH: usize = 32;

/// The regular files below `base` that match a pattern with `*`, `?`, `[..]`, `{..}` and `**`, sorted. Names that
/// begin with a dot match like others; `**` enters neither links nor `.git`. A bad pattern matches nothing.
pub fn expand(base: &AbsPath, pattern: &str) -> Vec<AbsPath> {
    let segments: Vec<_> = pattern.split('/').filter(|segment| !segment.is_empty() && *segment != ".").collect();
    let mut search = Search { left: MAX_ENTRIES, found: Vec::new() };
    if !segments.is_empty() {
        search.step(base, &segments, 0);
    }
    search.found.sort();
    search.found.dedup();
    search.found
}

struct Search {
    left: usize,
    found: Vec<AbsPath>,
}

impl Search {
    fn step(&mut self, directory: &AbsPath, segments: &[&str], depth: usize) {
        let Some((segment, rest)) = segments.split_first() else {
            if directory.as_path().is_file() && self.found.len() < MAX_MATCHES {
                self.found.push(directory.clone());
            }
            return;
        };
        if *segment == "**" {
            self.step(directory, if rest.is_empty() { &["*"] } else { rest }, depth);
            if depth < MAX_DEPTH {
                for (name, is_real_directory) in self.entries(directory) {
                    if is_real_directory && name != ".git" {
                        self.step(&directory.join(name), segments, depth + 1);
                    }
                }
            }
        } else if segment.contains(['*', '?', '[', '{']) {
            let Ok(glob) = GlobBuilder::new(segment).literal_separator(true).build() else { return };
            let matcher = glob.compile_matcher();
            for (name, _) in self.entries(directory) {
                if matcher.is_match(&name) {
                    self.step(&directory.join(name), rest, depth);
                }
            }
        } else {
            self.step(&directory.join(segment), rest, depth);
        }
    }

    /// The names in a directory, and whether each is a directory (not a link).
    fn entries(&mut self, directory: &AbsPath) -> Vec<(std::ffi::OsString, bool)> {
        let Ok(entries) = std::fs::read_dir(directory.as_path()) else { return Vec::new() };
        let named = |entry: std::fs::DirEntry| {
            let is_real_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            (entry.file_name(), is_real_directory)
        };
        let entries: Vec<_> = entries.flatten().take(self.left).map(named).collect();
        self.left -= entries.len();
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let directory = tempfile::tempdir().unwrap();
        let root = AbsPath::new(directory.path()).unwrap();
        for path in ["a.md", ".b.md", "c.txt", "d/e.md", "d/f/g.md", ".git/h.md", "d/f/i.txt"] {
            std::fs::create_dir_all(root.join(path).parent().unwrap().as_path()).unwrap();
            std::fs::write(root.join(path).as_path(), "").unwrap();
        }
        let check = |pattern: &str, expected: &str| {
            let found: Vec<_> = expand(&root, pattern).iter().map(|path| path.relative_to(&root)).collect();
            assert_eq!(found.join(" "), expected, "{pattern}");
        };
        check("a.md", "a.md");
        check("./d//e.md", "d/e.md");
        check("*.md", ".b.md a.md");
        check("**/*.md", ".b.md a.md d/e.md d/f/g.md");
        check("d/**", "d/e.md d/f/g.md d/f/i.txt");
        check("d/*/{g,i}.*", "d/f/g.md d/f/i.txt");
        check("?.txt", "c.txt");
        check("d/f/../e.md", "d/e.md");
        check("d", "");
        check("none/*", "");
        check("[", "");
        check("", "");
    }
}
