//! Object ids of file contents, and read-only access to the objects of a repository.

use std::fs;

use git2::{ObjectType, Odb, Oid};

use crate::stdx::paths::AbsPath;

/// The id of a content: the SHA-1 of a git blob.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id([u8; 20]);

impl Id {
    /// The id of a content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        // Hashing a buffer cannot fail.
        Oid::hash_object(ObjectType::Blob, content).map_or(Self([0; 20]), Self::from)
    }

    /// The id with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    fn oid(self) -> Oid {
        Oid::from_bytes(&self.0).unwrap_or(Oid::ZERO_SHA1)
    }
}

impl From<Oid> for Id {
    fn from(oid: Oid) -> Self {
        let mut bytes = [0; 20];
        bytes.copy_from_slice(&oid.as_bytes()[..20]);
        Self(bytes)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(out, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Id {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{self}")
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for Id {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl std::str::FromStr for Id {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Oid::from_str(text) {
            Ok(oid) if text.len() == 40 => Ok(Self::from(oid)),
            _ => Err(format!("{text:?} is not the id of a content")),
        }
    }
}

/// The objects of a repository, read-only.
pub struct Borrowed(Odb<'static>);

impl Borrowed {
    /// Opens the object database in this common directory.
    #[must_use]
    pub fn open(common_dir: &AbsPath) -> Option<Self> {
        let objects = common_dir.join("objects");
        // Reading from a pipe would block.
        if fs::metadata(objects.join("info/alternates")).is_ok_and(|alternates| !alternates.is_file()) {
            return None;
        }
        let odb = Odb::new().ok()?;
        odb.add_disk_alternate(objects.as_path().to_str()?).ok()?;
        Some(Self(odb))
    }

    /// Reads a blob; `None` if it does not exist or has another size.
    #[must_use]
    pub fn read(&self, id: Id, size: u64) -> Option<Vec<u8>> {
        let (found, kind) = self.0.read_header(id.oid()).ok()?;
        if kind != ObjectType::Blob || found as u64 != size {
            return None;
        }
        self.0.read(id.oid()).ok().map(|object| object.data().to_vec())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::git::tests::support::{Sandbox, ask, git};

    #[test]
    fn ids_are_those_of_git_and_contents_are_read_from_packs_and_alternates() {
        let sandbox = Sandbox::new();
        let root = sandbox.make_directory("r");
        git(&root, &["init", "--quiet"]);
        fs::write(root.join("a"), "content\n").unwrap();
        git(&root, &["add", "a"]);
        git(&root, &["commit", "--quiet", "-m", "one"]);
        let id = Id::of(b"content\n");
        let told = String::from_utf8(ask(&root, &["rev-parse", ":a"])).unwrap();
        assert_eq!(told.trim(), id.to_string());
        assert_eq!(id.to_string().parse::<Id>().unwrap(), id);
        assert!("abc".parse::<Id>().is_err());
        git(&root, &["gc", "--quiet"]);
        let clone = sandbox.make_directory("clone");
        git(&clone, &["clone", "--quiet", "--shared", root.as_path().to_str().unwrap(), "."]);
        for at in [&root, &clone] {
            let borrowed = Borrowed::open(&at.join(".git")).unwrap();
            assert_eq!(borrowed.read(id, 8).as_deref(), Some(&b"content\n"[..]));
            // One of another size was changed on its way into the work tree.
            assert_eq!(borrowed.read(id, 9), None);
            assert_eq!(borrowed.read(Id::of(b"other"), 5), None);
        }
        // The commit is no content of a file.
        let commit = String::from_utf8(ask(&root, &["rev-parse", "HEAD"])).unwrap();
        assert_eq!(Borrowed::open(&root.join(".git")).unwrap().read(commit.trim().parse().unwrap(), 200), None);
    }
}
