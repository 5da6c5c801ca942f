//! The programs that run another program which stands in their arguments, and how their options are written.

/// How the options of a wrapper are written. An option that is not named here makes the call unresolvable.
pub(super) struct Wrapper {
    pub names: &'static [&'static str],
    /// Short options without a value.
    pub flags: &'static str,
    /// Short options whose value follows, in the same word or the next.
    pub valued: &'static str,
    /// Long options without a value.
    pub long_flags: &'static [&'static str],
    /// Long options whose value follows in the next word, unless `=` joins it.
    pub long_valued: &'static [&'static str],
    /// Words between the options and the command.
    pub operands: usize,
    /// Whether `NAME=value` may stand before the command.
    pub assignments: bool,
    /// How the rest is run.
    pub runs: Runs,
}

/// What a wrapper does with the rest of its words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// It is the command.
    Words,
    /// More words are added at the end when it runs.
    WordsAndMore,
    /// The words are joined and given to a shell.
    Script,
}

const PLAIN: Wrapper =
    Wrapper { names: &[], flags: "", valued: "", long_flags: &[], long_valued: &[], operands: 0, assignments: false, runs: Runs::Words };

/// The table.
pub(super) const WRAPPERS: &[Wrapper] = &[
    Wrapper {
        names: &["env"],
        flags: "iv0",
        valued: "uC",
        long_flags: &["ignore-environment", "debug", "null"],
        long_valued: &["unset", "chdir"],
        assignments: true,
        ..PLAIN
    },
    Wrapper {
        names: &["sudo"],
        flags: "AbEHnPkSBN",
        valued: "ughpCrtTUDR",
        long_flags: &[
            "askpass",
            "background",
            "preserve-env",
            "set-home",
            "non-interactive",
            "preserve-groups",
            "stdin",
            "reset-timestamp",
        ],
        long_valued: &["user", "group", "host", "prompt", "close-from", "role", "type", "command-timeout", "other-user", "chdir", "chroot"],
        assignments: true,
        ..PLAIN
    },
    Wrapper { names: &["doas"], flags: "n", valued: "uC", assignments: true, ..PLAIN },
    Wrapper { names: &["pkexec"], long_valued: &["user"], long_flags: &["keep-cwd"], ..PLAIN },
    Wrapper { names: &["gosu", "su-exec"], operands: 1, ..PLAIN },
    Wrapper {
        names: &["nohup", "builtin", "busybox", "toybox", "fakeroot", "catchsegv", "unbuffer", "torsocks", "nocorrect", "noglob"],
        ..PLAIN
    },
    Wrapper { names: &["command"], flags: "p", ..PLAIN },
    Wrapper { names: &["exec"], flags: "cl", valued: "a", ..PLAIN },
    Wrapper { names: &["coproc"], ..PLAIN },
    Wrapper { names: &["nice"], flags: "0123456789", valued: "n", long_valued: &["adjustment"], ..PLAIN },
    Wrapper { names: &["ionice"], flags: "t", valued: "cn", long_flags: &["ignore"], long_valued: &["class", "classdata"], ..PLAIN },
    Wrapper { names: &["chrt"], flags: "abfimorR", operands: 1, ..PLAIN },
    Wrapper { names: &["taskset"], flags: "c", operands: 1, ..PLAIN },
    Wrapper {
        names: &["timeout", "gtimeout"],
        flags: "pfv",
        valued: "sk",
        long_flags: &["preserve-status", "foreground", "verbose"],
        long_valued: &["signal", "kill-after"],
        operands: 1,
        ..PLAIN
    },
    Wrapper {
        names: &["time", "gtime"],
        flags: "apqv",
        valued: "fo",
        long_flags: &["append", "portability", "quiet", "verbose"],
        long_valued: &["format", "output"],
        ..PLAIN
    },
    Wrapper { names: &["stdbuf", "gstdbuf"], valued: "ioe", long_valued: &["input", "output", "error"], ..PLAIN },
    Wrapper { names: &["setsid"], flags: "cfw", long_flags: &["ctty", "fork", "wait"], ..PLAIN },
    Wrapper { names: &["chroot"], long_valued: &["userspec", "groups"], long_flags: &["skip-chdir"], operands: 1, ..PLAIN },
    Wrapper { names: &["unshare"], flags: "imnpuUCTfrc", long_flags: &["fork", "map-root-user", "mount", "pid", "net", "user"], ..PLAIN },
    Wrapper { names: &["caffeinate"], flags: "dimsu", valued: "tw", ..PLAIN },
    Wrapper { names: &["strace"], flags: "fFqvtTrickdDhyYzZwCxn", valued: "oepsPuEaXIOSbU", ..PLAIN },
    Wrapper { names: &["ltrace"], flags: "fSCcrtTi", valued: "oelnspuaAFDx", ..PLAIN },
    Wrapper {
        names: &["xargs", "gxargs"],
        flags: "0rtxpo",
        valued: "adEIJLnPRsS",
        long_flags: &[
            "null",
            "no-run-if-empty",
            "verbose",
            "interactive",
            "exit",
            "open-tty",
            "show-limits",
            "replace",
            "max-lines",
            "eof",
        ],
        long_valued: &["arg-file", "delimiter", "max-args", "max-procs", "max-chars", "process-slot-var"],
        runs: Runs::WordsAndMore,
        ..PLAIN
    },
    Wrapper { names: &["entr"], flags: "acdnprsxz", runs: Runs::WordsAndMore, ..PLAIN },
    Wrapper {
        names: &["watch"],
        flags: "bcCdegtrw",
        valued: "nq",
        long_flags: &["beep", "color", "differences", "errexit", "chgexit", "no-title", "precise", "no-rerun", "no-wrap"],
        long_valued: &["interval", "equexit"],
        runs: Runs::Script,
        ..PLAIN
    },
    Wrapper { names: &["flock"], flags: "sxenuoFv", valued: "wE", long_valued: &["timeout", "wait"], operands: 1, ..PLAIN },
];

/// Programs that read a script: bash, others that a POSIX shell's reader understands, and others.
pub(super) const BASH: &[&str] = &["bash", "rbash"];
/// Shells of which only the POSIX language is known here.
pub(super) const POSIX_SHELLS: &[&str] = &["sh", "dash", "ash"];
/// Shells with words of their own.
pub(super) const OTHER_SHELLS: &[&str] =
    &["zsh", "ksh", "ksh93", "mksh", "oksh", "yash", "fish", "csh", "tcsh", "pwsh", "nu", "elvish", "xonsh", "posh"];

/// Commands after which it is not certain what later words mean, or which run what cannot be seen.
pub(super) const UNRESOLVABLE: &[&str] = &[
    "alias",
    "source",
    ".",
    "enable",
    "bind",
    "complete",
    "compgen",
    "compopt",
    "fc",
    "shopt",
    "su",
    "runuser",
    "script",
    "at",
    "batch",
    "systemd-run",
    "nsenter",
    "ld.so",
];
