//! Three-way merges of contents that are in memory, made by libgit2.

use git2::{MergeFileInput, ObjectType, Oid, merge_file};

/// Applies to `ours` what leads from `base` to `theirs`; `None` where the two overlap, or one is not text.
#[must_use]
pub fn merge(base: &[u8], ours: &[u8], theirs: &[u8]) -> Option<Vec<u8>> {
    if ours == theirs || theirs == base {
        return Some(ours.to_vec());
    }
    if ours == base {
        return Some(theirs.to_vec());
    }
    if ![base, ours, theirs].into_iter().all(is_text) {
        return None;
    }
    let input = |content| {
        let mut input = MergeFileInput::new();
        input.content(content);
        input
    };
    // Merging alone does not set libgit2 up, and fails before something else has.
    Oid::hash_object(ObjectType::Blob, &[]).ok()?;
    let merged = merge_file(&input(base), &input(ours), &input(theirs), None).ok()?;
    merged.is_automergeable().then(|| merged.content().to_vec())
}

fn is_text(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_overlap_is_merged() {
        let merged = |base: &str, ours: &str, theirs: &str| {
            merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes()).map(|merged| String::from_utf8(merged).unwrap())
        };
        assert_eq!(merged("1\n2\n3\n4\n5\n", "0\n2\n3\n4\n5\n", "1\n2\n3\n4\n6\n").as_deref(), Some("0\n2\n3\n4\n6\n"));
        assert_eq!(merged("1\n2\n3\n", "1\na\n3\n", "1\nb\n3\n"), None);
        assert_eq!(merged("a\nb\nc\n", "b\nc\n", "a\nb\n").as_deref(), Some("b\n"));
        assert_eq!(merged("a\n-\n-\n-\nb", "-\n-\n-\nb", "a\n-\n-\n-\n").as_deref(), Some("-\n-\n-\n"));
        assert_eq!(merged("a", "b", "b").as_deref(), Some("b"));
        assert_eq!(merged("a", "a", "b").as_deref(), Some("b"));
        assert_eq!(merge(b"1\n\0\n3\n", b"0\n\0\n3\n", b"1\n\0\n4\n"), None, "not text");
    }
}
