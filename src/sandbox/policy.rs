//! The words in which a sandbox is asked for and told of, and what a machine can enforce of each policy. Pure.

use polytree_protocol::sandbox::{DiagnosisSandbox, SandboxPolicy, SandboxPromise, SandboxReport, SandboxWord};
use serde::{Deserialize, Serialize};

/// What was found to work on this machine, by trying it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Abilities {
    /// The ABI of Landlock; 0 where there is none.
    pub landlock: u32,
    /// System calls can be refused.
    pub seccomp: bool,
    /// Namespaces for users, mounts and the network can be made without privileges.
    pub namespaces: bool,
    /// bubblewrap is installed and runs.
    pub bubblewrap: bool,
}

/// The first ABI that stops a program from moving files between directories, and from truncating what it cannot write.
const TRUNCATE: u32 = 3;
/// The first ABI that stops signals to programs outside.
const SIGNALS: u32 = 6;
/// The first ABI that knows sockets by their paths.
const UNIX: u32 = 9;

/// What the settings want of the network and of sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    /// Some domains or the machine's own loopback are to be reached.
    pub domains: bool,
    /// Some UNIX sockets are to be reached.
    pub sockets: bool,
}

impl Abilities {
    /// Whether a command can be confined to reading at all.
    #[must_use]
    pub fn can_confine(self) -> bool {
        self.landlock >= TRUNCATE && self.seccomp
    }

    /// Whether single files of a writable tree can be made read-only or hidden.
    #[must_use]
    pub fn can_cover(self) -> bool {
        self.namespaces || self.bubblewrap
    }

    /// Whether UNIX sockets can be told apart by their paths.
    #[must_use]
    pub fn can_name_sockets(self) -> bool {
        self.landlock >= UNIX
    }

    /// What is enforced of a policy, and what is not.
    #[must_use]
    pub fn report(self, policy: SandboxPolicy, wants: Wants) -> SandboxReport {
        let mut report = SandboxReport { policy, ..SandboxReport::default() };
        if policy == SandboxPolicy::Off {
            return report;
        }
        let confines = self.can_confine();
        let is_workspace = policy == SandboxPolicy::Workspace;
        for (word, holds) in [
            // A file that is hidden only by what is granted beside it can be renamed, and then the next command reads it.
            (SandboxWord::Read, confines && (!is_workspace || self.can_cover())),
            // Modes and times of files that cannot be written can be changed where they are not covered.
            (SandboxWord::Write, confines && (!is_workspace || self.can_cover())),
            (SandboxWord::Git, confines && (!is_workspace || self.can_cover())),
            (SandboxWord::Network, confines),
            // What is not asked for is refused as a whole, which is stricter.
            (SandboxWord::Domains, confines && (!is_workspace || !wants.domains || self.namespaces)),
            (SandboxWord::Sockets, confines && (!wants.sockets || self.can_name_sockets())),
            (SandboxWord::Signals, confines && self.landlock >= SIGNALS),
        ] {
            if holds { &mut report.enforced } else { &mut report.missing }.push(word);
        }
        report
    }
}

/// What is told of the abilities.
#[must_use]
pub fn diagnosis(abilities: Abilities) -> DiagnosisSandbox {
    let all = Wants { domains: true, sockets: true };
    let policies = [("read-only", SandboxPolicy::ReadOnly), ("workspace", SandboxPolicy::Workspace)];
    let promise = |policy| {
        let report = abilities.report(policy, all);
        SandboxPromise { enforced: report.enforced, missing: report.missing }
    };
    DiagnosisSandbox {
        landlock: abilities.landlock,
        seccomp: abilities.seccomp,
        namespaces: abilities.namespaces,
        bubblewrap: abilities.bubblewrap,
        policies: policies.into_iter().map(|(name, policy)| (name.to_owned(), promise(policy))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Wants = Wants { domains: true, sockets: true };
    const FULL: Abilities = Abilities { landlock: 9, seccomp: true, namespaces: true, bubblewrap: false };

    fn missing(abilities: Abilities, policy: SandboxPolicy, wants: Wants) -> String {
        let report = abilities.report(policy, wants);
        report.missing.iter().map(|word| format!("{word:?} ")).collect::<String>().to_lowercase()
    }

    #[test]
    fn what_the_kernel_cannot_do_is_missing_and_never_left_out() {
        for (abilities, policy, wants, expected) in [
            (FULL, SandboxPolicy::Workspace, ALL, ""),
            (Abilities { landlock: 7, ..FULL }, SandboxPolicy::Workspace, ALL, "sockets "),
            (Abilities { landlock: 7, ..FULL }, SandboxPolicy::Workspace, Wants::default(), ""),
            (Abilities { landlock: 5, ..FULL }, SandboxPolicy::ReadOnly, Wants::default(), "signals "),
            (Abilities { landlock: 7, namespaces: false, ..FULL }, SandboxPolicy::Workspace, ALL, "read write git domains sockets "),
            (Abilities { landlock: 7, namespaces: false, ..FULL }, SandboxPolicy::ReadOnly, Wants::default(), ""),
            (Abilities { namespaces: false, bubblewrap: true, ..FULL }, SandboxPolicy::Workspace, Wants::default(), ""),
            (Abilities { landlock: 2, ..FULL }, SandboxPolicy::ReadOnly, ALL, "read write git network domains sockets signals "),
            (Abilities { seccomp: false, ..FULL }, SandboxPolicy::ReadOnly, ALL, "read write git network domains sockets signals "),
            (Abilities::default(), SandboxPolicy::Off, ALL, ""),
        ] {
            assert_eq!(missing(abilities, policy, wants), expected, "{abilities:?} {policy:?} {wants:?}");
        }
    }

    #[test]
    fn each_word_is_told_once() {
        for landlock in 0..=10 {
            let report = Abilities { landlock, ..FULL }.report(SandboxPolicy::Workspace, ALL);
            assert_eq!(report.enforced.len() + report.missing.len(), 7);
        }
    }
}
