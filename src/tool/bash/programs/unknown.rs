//! Programs that no table knows: each of their words may be a file, or a command that they run.

use super::{
    effects::{Effects, Given, program_name},
    languages,
    word::Argument,
};

/// Names that mean a command wherever they stand. Names that are everyday words too are left out.
const COMMANDS: &[&str] = &[
    "rm",
    "mv",
    "cp",
    "dd",
    "ln",
    "ls",
    "cat",
    "chmod",
    "chown",
    "mkdir",
    "rmdir",
    "shred",
    "kill",
    "pkill",
    "killall",
    "sh",
    "bash",
    "zsh",
    "dash",
    "ksh",
    "fish",
    "sudo",
    "su",
    "doas",
    "env",
    "xargs",
    "git",
    "curl",
    "wget",
    "ssh",
    "scp",
    "rsync",
    "sed",
    "awk",
    "tee",
    "tar",
    "gzip",
    "grep",
    "perl",
    "ruby",
    "php",
    "lua",
    "npm",
    "npx",
    "pnpm",
    "yarn",
    "pip",
    "pip3",
    "cargo",
    "kubectl",
    "systemctl",
    "nohup",
    "eval",
    "chroot",
    "mkfs",
    "nc",
    "socat",
    "gcc",
    "nice",
    "xdg-open",
    "crontab",
];

/// How many words of a command that may be run are judged.
const MAX_WORDS: usize = 64;

pub(super) fn apply(words: &[Argument], given: Given<'_>, effects: &mut Effects) {
    for (at, word) in words.iter().enumerate().skip(1) {
        languages::unsure(word, given.place, &mut effects.paths);
        let Some(text) = word.literal() else { continue };
        if COMMANDS.contains(&program_name(text)) && !text.ends_with('/') {
            effects.is_unclear = true;
        }
        if at < 24 && !text.starts_with('-') {
            effects.possible.push(words[at..].iter().take(MAX_WORDS).cloned().collect());
            if text.contains(' ') {
                effects.possible.push(text.split_whitespace().map(Argument::plain).collect());
            }
        }
    }
}
