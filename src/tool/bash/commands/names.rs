//! Which variables a line may set without deciding by that what runs: a list of harmless names, everything else is not.

/// Programs read these, and they do not decide what runs, what is loaded or where something is written.
const EXPORTED: &[&str] = &[
    "CARGO_INCREMENTAL",
    "CARGO_NET_OFFLINE",
    "CARGO_TERM_COLOR",
    "CARGO_TERM_PROGRESS_WHEN",
    "CI",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLORTERM",
    "COLUMNS",
    "DEBIAN_FRONTEND",
    "DEBUG",
    "FORCE_COLOR",
    "GOMAXPROCS",
    "IFS",
    "LANG",
    "LANGUAGE",
    "LINES",
    "NODE_ENV",
    "NO_COLOR",
    "OMP_NUM_THREADS",
    "PORT",
    "PROPTEST_CASES",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHASHSEED",
    "PYTHONUNBUFFERED",
    "RAYON_NUM_THREADS",
    "RUST_BACKTRACE",
    "RUST_LIB_BACKTRACE",
    "RUST_LOG",
    "RUST_TEST_THREADS",
    "SOURCE_DATE_EPOCH",
    "TERM",
    "TZ",
    "VERBOSE",
];

/// Words of which people make names for values that only their line uses. A variable that is not exported reaches no
/// program, so these are harmless where they are not put into the environment.
const NEUTRAL: &[&str] = &[
    "ACTUAL",
    "ALL",
    "API",
    "APP",
    "ARG",
    "ARGS",
    "ARR",
    "ARRAY",
    "BAR",
    "BASE",
    "BAZ",
    "BIN",
    "BODY",
    "BRANCH",
    "BUILD",
    "CHANGED",
    "CHANGES",
    "CHAR",
    "CODE",
    "COMMIT",
    "CONTAINER",
    "CONTENT",
    "COUNT",
    "COUNTER",
    "CRATE",
    "CURRENT",
    "DATA",
    "DATE",
    "DAY",
    "DEST",
    "DIFF",
    "DIR",
    "DIRECTORY",
    "DIRS",
    "DST",
    "DURATION",
    "ELAPSED",
    "END",
    "ENTRY",
    "ENVIRONMENT",
    "ERROR",
    "ERRORS",
    "EXIT",
    "EXPECTED",
    "FAIL",
    "FAILED",
    "FAILURES",
    "FILE",
    "FILENAME",
    "FILES",
    "FIRST",
    "FOO",
    "FOUND",
    "HASH",
    "HEAD",
    "HTTP",
    "ID",
    "IDS",
    "IMAGE",
    "INDEX",
    "INPUT",
    "ITEM",
    "ITEMS",
    "JSON",
    "KEY",
    "KEYS",
    "KIND",
    "LAST",
    "LATEST",
    "LEN",
    "LENGTH",
    "LEVEL",
    "LIMIT",
    "LINE",
    "LIST",
    "LOG",
    "LOGFILE",
    "MAPFILE",
    "MATCH",
    "MATCHES",
    "MAX",
    "MESSAGE",
    "MIN",
    "MISSING",
    "MODE",
    "MODULE",
    "MSG",
    "NAME",
    "NAMES",
    "NEW",
    "NEXT",
    "NUM",
    "NUMBER",
    "OLD",
    "OUT",
    "OUTPUT",
    "PACKAGE",
    "PASS",
    "PASSED",
    "PATTERN",
    "PID",
    "PIDS",
    "PKG",
    "PREV",
    "PREVIOUS",
    "PROJECT",
    "QUERY",
    "QUX",
    "RC",
    "REASON",
    "REPLY",
    "REPO",
    "RES",
    "RESPONSE",
    "RESULT",
    "RESULTS",
    "RET",
    "RETRIES",
    "ROOT",
    "ROW",
    "ROWS",
    "SCRIPT",
    "SERVICE",
    "SHA",
    "SIZE",
    "SOURCE",
    "SRC",
    "START",
    "STATUS",
    "STEP",
    "STR",
    "STRING",
    "SUFFIX",
    "SUM",
    "TAG",
    "TARGET",
    "TEST",
    "TESTS",
    "TEXT",
    "THRESHOLD",
    "TIME",
    "TITLE",
    "TMPFILE",
    "TODAY",
    "TOKEN",
    "TOTAL",
    "TYPE",
    "URL",
    "USED",
    "VAL",
    "VALUE",
    "VALUES",
    "VAR",
    "VERSION",
    "WORD",
    "WORDS",
];

/// Names that are written small and that programs read all the same.
const SMALL: &[&str] = &["auto_resume", "histchars"];
const SMALL_PREFIXES: &[&str] =
    &["npm_", "yarn_", "pnpm_", "bun_", "pip_", "cargo_", "git_", "gem_", "bundle_", "docker_", "go_", "ld_", "cc_"];

/// Whether a value for this variable has no say in what runs. `exported`: programs that the line starts get it.
pub(super) fn is_harmless(name: &str, exported: bool) -> bool {
    if name == "_" {
        return false;
    }
    if name.len() == 1 || EXPORTED.contains(&name) || name.starts_with("LC_") {
        return true;
    }
    if !name.contains(|c: char| c.is_ascii_uppercase()) {
        let is_read = name.ends_with("proxy") || SMALL.contains(&name) || SMALL_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        return !is_read;
    }
    let mut parts = name.trim_matches('_').split('_').map(|part| part.trim_end_matches(|c: char| c.is_ascii_digit()));
    // A capital among small letters belongs to no program: `fileName`.
    let is_mixed = name.contains(|c: char| c.is_ascii_lowercase()) && name.starts_with(|c: char| c.is_ascii_lowercase());
    match exported {
        true => matches!(name, "FOO" | "BAR" | "BAZ" | "QUX"),
        false => {
            is_mixed && !SMALL_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                || parts.all(|part| part.len() == 1 || NEUTRAL.contains(&part))
        }
    }
}

/// Variables whose value some program runs as a command.
pub(super) const COMMANDS: &[&str] = &[
    "PAGER",
    "MANPAGER",
    "GIT_PAGER",
    "EDITOR",
    "VISUAL",
    "GIT_EDITOR",
    "GIT_SEQUENCE_EDITOR",
    "GIT_SSH_COMMAND",
    "GIT_SSH",
    "GIT_EXTERNAL_DIFF",
    "GIT_ASKPASS",
    "SSH_ASKPASS",
    "LESSOPEN",
    "RUSTC_WRAPPER",
];

/// Whether the value of one of [`COMMANDS`] is a command that does nothing but pass text on.
pub(super) fn is_harmless_command(name: &str, value: &str) -> bool {
    match name {
        "PAGER" | "MANPAGER" | "GIT_PAGER" => matches!(value, "" | "cat"),
        "EDITOR" | "VISUAL" | "GIT_EDITOR" | "GIT_SEQUENCE_EDITOR" => matches!(value, "true" | ":"),
        _ => false,
    }
}

/// Whether an argument of any program looks like an assignment by which a shell or every program runs something else.
pub(super) fn is_dangerous_argument(text: &str) -> bool {
    let Some((name, _)) = text.split_once('=') else { return false };
    let name = name.split(['+', '[']).next().unwrap_or(name);
    matches!(name, "PATH" | "PS4" | "PS0" | "PROMPT_COMMAND" | "ENV" | "SHELLOPTS")
        || ["BASH_", "BASHOPTS", "LD_", "DYLD_", "GIT_CONFIG", "GIT_EXEC_PATH"].iter().any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::is_harmless;

    #[test]
    fn a_list_of_names_is_harmless_and_nothing_else() {
        for name in ["CI", "TZ", "LC_ALL", "RUST_LOG", "X", "a", "i", "file", "FILES", "TEST_DIR", "OUT_FILE2", "fileName", "IFS"] {
            assert!(is_harmless(name, false), "{name}");
        }
        for name in ["CI", "NO_COLOR", "LC_CTYPE", "X", "x", "name", "FOO"] {
            assert!(is_harmless(name, true), "{name} exported");
        }
        for name in ["FILES", "TARGET", "VERSION", "PATHS", "MY_VAR"] {
            assert!(!is_harmless(name, true), "{name} exported");
        }
        for name in [
            "PATH",
            "HOME",
            "GIT_DIR",
            "LD_PRELOAD",
            "XDG_CONFIG_HOME",
            "NODE_OPTIONS",
            "PYTHONPATH",
            "CDPATH",
            "BASH_ENV",
            "ENV",
            "PS4",
            "npm_config_script_shell",
            "http_proxy",
            "RIPGREP_CONFIG_PATH",
            "TAR_OPTIONS",
            "MAKEFLAGS",
            "CC",
            "RUSTC",
            "PERL5LIB",
            "TMPDIR",
            "RANDOM",
            "OPTIND",
            "SECONDS",
            "_",
            "GLOBIGNORE",
            "POSIXLY_CORRECT",
            "DYLD_INSERT_LIBRARIES",
            "GIT_TRACE",
            "HISTCMD",
        ] {
            assert!(!is_harmless(name, false) && !is_harmless(name, true), "{name}");
        }
    }
}
