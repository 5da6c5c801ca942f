//! Names that look the same as those of a path which does not exist: decomposed letters as macOS writes them, no-break
//! spaces in the names of screenshots, typographic quotes and dashes. Models cannot see these, and write plain ones.

use std::ffi::{OsStr, OsString};

use crate::stdx::{lookalike, paths::AbsPath};

/// So many names of a directory are looked through. In larger ones nothing is found.
const MAX_NAMES: usize = 20_000;

/// A path with the names that are on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub path: AbsPath,
    /// What to tell about names that were taken for others; empty where there are none.
    pub notes: Vec<String>,
    /// Which ones look the same where there are several: then none is taken. Only to be told once it may be known what
    /// is in the directory.
    pub several: Option<String>,
}

/// The path, with each name that does not exist replaced by the one beside it that looks the same.
pub fn find(path: &AbsPath) -> Found {
    let mut found = Found { path: path.clone(), notes: Vec::new(), several: None };
    if path.as_path().symlink_metadata().is_ok() {
        return found;
    }
    let mut ancestors: Vec<_> = path.ancestors().collect();
    ancestors.reverse();
    let Some((mut at, rest)) = ancestors.split_first().map(|(root, rest)| (root.clone(), rest)) else { return found };
    for (index, below) in rest.iter().enumerate() {
        let Some(name) = below.as_path().file_name() else { return found };
        let exists = at.join(name).as_path().symlink_metadata();
        let is_missing = exists.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
        if is_missing {
            let alike = siblings(&at, name);
            match alike.as_slice() {
                // What follows does not exist either.
                [] => {
                    found.path = rest[index..].iter().filter_map(|path| path.as_path().file_name()).fold(at, |at, name| at.join(name));
                    return found;
                }
                [only] => {
                    found.notes.push(note(only, name));
                    at = at.join(only);
                }
                several => {
                    let names: Vec<_> = several.iter().map(|name| format!("{:?}", at.join(name).to_string())).collect();
                    let text = format!(
                        "{below} does not exist, and several names there look the same. Ask the user which one is meant, or rename one with a command: {}",
                        names.join(", ")
                    );
                    found.several = Some(text);
                    return found;
                }
            }
        } else {
            at = at.join(name);
        }
    }
    found.path = at;
    found
}

fn siblings(directory: &AbsPath, name: &OsStr) -> Vec<OsString> {
    let wanted = lookalike::fold(&name.to_string_lossy());
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut alike = Vec::new();
    for (number, entry) in entries.flatten().enumerate() {
        if number == MAX_NAMES {
            return Vec::new();
        }
        let other = entry.file_name();
        let text = other.to_string_lossy();
        // Most names differ in what needs no folding.
        if !(text.is_ascii() && wanted != *text) && lookalike::fold(&text) == wanted {
            alike.push(other);
        }
    }
    alike.sort();
    alike
}

fn note(taken: &OsStr, name: &OsStr) -> String {
    let (taken, name) = (taken.to_string_lossy(), name.to_string_lossy());
    let difference = lookalike::difference(&taken, &name);
    let difference = difference.map(|(_, one, other)| format!(": it has {one} where that has {other}")).unwrap_or_default();
    format!("{taken:?} was taken for {name:?}, which does not exist and looks the same{difference}.")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_one_name_that_looks_the_same_is_taken() {
        let keep = tempfile::tempdir().unwrap();
        let root = AbsPath::new(keep.path()).unwrap().real().unwrap();
        for (real, asked) in [
            ("Shot 3.45\u{202f}PM.txt", "Shot 3.45 PM.txt"),
            ("v\u{a0}13.txt", "v 13.txt"),
            ("a\u{2009}b.txt", "a b.txt"),
            ("議事\u{3000}録.txt", "議事 録.txt"),
            ("cafe\u{301}.txt", "caf\u{e9}.txt"),
            ("th\u{e9}.txt", "the\u{301}.txt"),
            ("\u{1112}\u{1161}\u{11ab}.txt", "\u{d55c}.txt"),
            ("テ\u{3099}ータ.txt", "データ.txt"),
            ("it\u{2019}s.txt", "it's.txt"),
            ("\u{201c}x\u{201d}.txt", "\"x\".txt"),
            ("v1\u{2013}v2.txt", "v1-v2.txt"),
            ("z\u{200b}w.txt", "zw.txt"),
            ("plain-1.txt", "plain\u{2011}1.txt"),
            ("Gro\u{308}\u{df}e/f\u{a0}g.txt", "Gr\u{f6}\u{df}e/f g.txt"),
        ] {
            let at = root.join(real);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            fs::write(&at, "x").unwrap();
            let found = find(&root.join(asked));
            assert_eq!(found.path, at);
            assert_eq!(found.notes.len(), real.split('/').count(), "{:?}", found.notes);
            assert!(found.notes.iter().all(|note| note.contains("U+")), "{:?}", found.notes);
            assert_eq!(find(&at), Found { path: at, notes: Vec::new(), several: None });
            // The name as it was written wins where it is there.
            fs::create_dir_all(root.join(asked).parent().unwrap()).unwrap();
            fs::write(root.join(asked), "y").unwrap();
            assert_eq!(find(&root.join(asked)).notes, Vec::<String>::new());
            fs::remove_file(root.join(asked)).unwrap();
        }
        let new = root.join("Gro\u{308}\u{df}e/new/deep.txt");
        fs::remove_dir_all(root.join("Gr\u{f6}\u{df}e")).unwrap();
        assert_eq!(find(&root.join("Gr\u{f6}\u{df}e/new/deep.txt")).path, new);
        for nothing in ["b.txt", "V 13.txt", "other/a b.txt", "plain-1.txt/below"] {
            assert_eq!(find(&root.join(nothing)), Found { path: root.join(nothing), notes: Vec::new(), several: None });
        }
        fs::write(root.join("v\u{2009}13.txt"), "x").unwrap();
        let several = find(&root.join("v 13.txt")).several.unwrap();
        assert!(several.contains("\\u{a0}") && several.contains("\\u{2009}"), "{several}");
    }
}
