//! The state of a path: absent, a regular file, or a symbolic link.

use serde::{Deserialize, Serialize};

use crate::git::objects::Id;

/// The state of a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum State {
    /// Nothing, or a directory.
    Absent,
    /// A regular file.
    File {
        /// The id of its content.
        id: Id,
        /// The size of the content in bytes.
        size: u64,
        /// Its permissions.
        mode: Mode,
    },
    /// A symbolic link, which is never followed.
    Link {
        /// The id of its target.
        id: Id,
        /// The size of the target in bytes.
        size: u64,
    },
    /// No image was stored.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// The permissions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mode {
    /// The nine bits.
    pub bits: u32,
    /// Whether all bits are known. git stores only the executable bit.
    pub exact: bool,
}

impl Mode {
    /// All bits of a file's mode.
    #[must_use]
    pub fn exact(bits: u32) -> Self {
        Self { bits: bits & 0o777, exact: true }
    }

    /// What git knows: whether it is executable.
    #[must_use]
    pub fn of_git(is_executable: bool) -> Self {
        Self { bits: if is_executable { 0o755 } else { 0o644 }, exact: false }
    }

    /// Whether its owner may run it.
    #[must_use]
    pub fn is_executable(self) -> bool {
        self.bits & 0o100 != 0
    }

    /// Whether the two are the same as far as both are known.
    #[must_use]
    pub fn is_same(self, other: Self) -> bool {
        if self.exact && other.exact { self.bits == other.bits } else { self.is_executable() == other.is_executable() }
    }

    /// This mode applied to a file with the mode `now`: if only the executable bit is known, the other bits stay.
    #[must_use]
    pub fn over(self, now: Self) -> Self {
        if self.exact || !now.exact || self.is_executable() == now.is_executable() {
            return if self.is_same(now) { now } else { self };
        }
        // As git does: whoever may read may run.
        let bits = if self.is_executable() { now.bits | (now.bits & 0o444) >> 2 } else { now.bits & !0o111 };
        Self { bits, exact: true }
    }
}

impl State {
    /// No image was stored, for this reason.
    #[must_use]
    pub fn unknown(reason: impl Into<String>) -> Self {
        Self::Unknown { reason: reason.into() }
    }

    /// Whether both states are known and equal.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Absent, Self::Absent) => true,
            (Self::File { id, mode, .. }, Self::File { id: other, mode: mode_of_other, .. }) => id == other && mode.is_same(*mode_of_other),
            (Self::Link { id, .. }, Self::Link { id: other, .. }) => id == other,
            _ => false,
        }
    }

    /// The content, with its size.
    #[must_use]
    pub fn content(&self) -> Option<(Id, u64)> {
        match self {
            Self::File { id, size, .. } | Self::Link { id, size } => Some((*id, *size)),
            Self::Absent | Self::Unknown { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_git_only_the_executable_bit_counts() {
        let now = Mode::exact(0o640);
        assert!(now.is_same(Mode::of_git(false)) && !now.is_same(Mode::of_git(true)) && !now.is_same(Mode::exact(0o600)));
        assert_eq!(Mode::of_git(false).over(now), now);
        assert_eq!(Mode::of_git(true).over(now), Mode::exact(0o750));
        assert_eq!(Mode::of_git(false).over(Mode::exact(0o755)), Mode::exact(0o644));
        assert_eq!(Mode::exact(0o600).over(now), Mode::exact(0o600));
        assert!(!State::unknown("a").is_same(&State::unknown("a")), "nobody knows");
    }
}
