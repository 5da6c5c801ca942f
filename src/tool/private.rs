//! Places that hold keys, and polytree's own: no rule opens them to a tool, a person is asked each time, also where they
//! lie inside the worktree.

use std::collections::BTreeMap;

use crate::{
    sandbox::key_stores,
    stdx::paths::{AbsPath, home},
};

/// The private places of a user.
#[derive(Debug, Clone, Default)]
pub struct PrivatePlaces {
    /// As they are called, and where links lead.
    places: Vec<AbsPath>,
    /// A part of them that is open to tools: what earlier calls have printed.
    open: Option<AbsPath>,
}

impl PrivatePlaces {
    /// polytree's own places and those of the user with these variables.
    #[must_use]
    pub fn new(own: impl IntoIterator<Item = AbsPath>, open: AbsPath, environment: &BTreeMap<String, String>) -> Self {
        let mut named: Vec<AbsPath> = own.into_iter().collect();
        let home = environment.get("HOME").and_then(AbsPath::new).or_else(home);
        named.extend(key_stores(home.as_ref(), environment));
        let mut places = Vec::with_capacity(named.len());
        for place in named {
            // Not the root, nor what would make everything private.
            if place.parent().is_none() {
                continue;
            }
            let real = place.real_or_nearest();
            if real != place {
                places.push(real);
            }
            places.push(place);
        }
        places.sort_unstable();
        places.dedup();
        Self { places, open: Some(open.real_or_nearest()) }
    }

    /// The places.
    #[must_use]
    pub fn all(&self) -> &[AbsPath] {
        &self.places
    }

    /// Whether the path, a real one, is one of them or lies in one.
    #[must_use]
    pub fn holds(&self, real: &AbsPath) -> bool {
        self.places.iter().any(|place| real.is_within(place)) && !self.open.as_ref().is_some_and(|open| real.is_within(open))
    }

    /// Whether the path is private, or has something private below it.
    #[must_use]
    pub fn touches(&self, real: &AbsPath) -> bool {
        self.holds(real) || self.below(real).next().is_some()
    }

    /// Those that lie below the directory, a real path, and are there.
    pub fn below<'a>(&'a self, directory: &'a AbsPath) -> impl Iterator<Item = &'a AbsPath> {
        self.places
            .iter()
            .filter(move |place| *place != directory && place.is_within(directory) && place.as_path().symlink_metadata().is_ok())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn keys_and_our_own_are_private_through_links_and_variables() {
        let root = tempfile::tempdir().unwrap();
        let root = AbsPath::new(root.path()).unwrap().real().unwrap();
        for directory in ["home/.ssh", "home/dotfiles/aws", "home/.local/share/polytree/output", "gpg"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        symlink("dotfiles/aws", root.join("home/.aws")).unwrap();
        let home = root.join("home");
        let variables =
            [("HOME", home.to_string()), ("GNUPGHOME", root.join("gpg").to_string()), ("DOCKER_CONFIG", root.join("d").to_string())];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into_iter().collect();
        let data = home.join(".local/share/polytree");
        let private = PrivatePlaces::new([data.clone()], data.join("output"), &variables);
        for path in [".ssh", ".ssh/id", ".netrc", "dotfiles/aws/x", ".local/share/polytree/auth.json", "../gpg/x", "../d/config.json"] {
            assert!(private.holds(&home.join(path)), "{path}");
        }
        for path in [".sshx", "dotfiles", ".local/share", ".local/share/polytree/output/x", "../d/x", "src/.ssh", ""] {
            assert!(!private.holds(&home.join(path)), "{path}");
        }
        assert!(private.touches(&home) && private.touches(&home.join(".local")) && !private.touches(&home.join("src")));
        assert!(!private.touches(&root.join("d")), "what is not there is not below");
    }
}
