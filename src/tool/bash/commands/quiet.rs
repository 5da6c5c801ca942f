//! Commands that do nothing by themselves: builtins that change only their own shell, filters that print what they are
//! given, and wrappers that only run what stands in their arguments, which is judged for itself. No rule has to allow
//! them; one that denies them holds.

use super::{builtins::is_harmless_shopt, expand::Argument};
use crate::tool::bash::programs::{Effects, Inner};

/// What they print, set and wait for concerns this shell alone.
const BUILTINS: &[&str] = &[
    ":",
    "[",
    "break",
    "builtin",
    "cd",
    "command",
    "continue",
    "declare",
    "dirs",
    "eval",
    "exit",
    "export",
    "false",
    "getopts",
    "jobs",
    "let",
    "local",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "test",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "unset",
    "wait",
];

/// They change how a command runs, not what it does.
const WRAPPERS: &[&str] = &["builtin", "command", "env", "exec", "ionice", "nice", "nohup", "stdbuf", "timeout"];

/// Without a file among their words they print what they are given, or some of it.
const FILTERS: &[&str] = &[
    "awk",
    "base64",
    "cat",
    "column",
    "cut",
    "egrep",
    "expand",
    "fgrep",
    "fmt",
    "fold",
    "gawk",
    "grep",
    "gsed",
    "head",
    "jq",
    "mawk",
    "md5sum",
    "nl",
    "od",
    "paste",
    "rev",
    "sed",
    "sha256sum",
    "sort",
    "tac",
    "tail",
    "tr",
    "unexpand",
    "uniq",
    "wc",
    "xxd",
];

/// They print text, names of files, or what time it is.
const PRINTERS: &[&str] = &["basename", "date", "dirname", "echo", "ls", "nproc", "seq", "sleep", "uname", "whoami"];

/// Options of git that change neither what a command of it does nor which settings hold.
const GIT_FLAGS: &[&str] = &["-P", "--no-pager", "--no-optional-locks", "--no-replace-objects", "--literal-pathspecs"];

/// Files behind which there is no file: what is written there goes where the output goes anyway.
pub(super) fn is_stream(path: &str) -> bool {
    matches!(path, "/dev/null" | "/dev/stdin" | "/dev/stdout" | "/dev/stderr")
        || ["/dev/fd/", "/proc/self/fd/"].iter().any(|prefix| {
            path.strip_prefix(prefix).is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        })
}

/// Whether the command only prints: beside a command that a rule allows it needs no rule of its own.
pub(super) fn is_printer(arguments: &[Argument], effects: &Effects) -> bool {
    arguments.first().and_then(Argument::literal).is_some_and(|name| PRINTERS.contains(&name)) && effects.only_lists()
}

/// Whether a program of jq or awk may print variables of the environment, or the names of files.
fn reads_environment(argument: &Argument) -> bool {
    ["env", "ENV", "input_filename", "PROCINFO", "SYMTAB"].iter().any(|name| argument.text.contains(name))
}

/// Whether the command prints variables with their values: of the environment too, which may hold keys.
pub(super) fn prints_variables(arguments: &[Argument], inner: &[Inner]) -> bool {
    let Some(name) = arguments.first().and_then(Argument::literal) else { return false };
    let words = &arguments[1..];
    let is_option = |word: &Argument| word.literal().is_some_and(|text| text.starts_with(['-', '+']));
    let prints = |word: &Argument| is_option(word) && word.text.contains('p');
    match name {
        // Without a command it prints all of them.
        "env" => !inner.iter().any(|inner| matches!(inner, Inner::Words { words, .. } if !words.is_empty())),
        "declare" | "export" | "local" | "readonly" | "typeset" => words.iter().all(is_option) || words.iter().any(prints),
        "set" => words.is_empty(),
        _ => false,
    }
}

/// Whether the command is a filter: it opens no file, and its words do not depend on what only running would tell.
fn is_filter(arguments: &[Argument], effects: &Effects) -> bool {
    let is_known = arguments.iter().all(|argument| argument.is_literal() && !reads_environment(argument));
    is_known && FILTERS.contains(&arguments[0].text.as_str()) && effects.touches_nothing()
}

/// Whether the command does nothing but what is judged elsewhere. `inner` is what it runs.
pub(super) fn is_quiet(arguments: &[Argument], inner: &[Inner], effects: &Effects) -> bool {
    let Some(name) = arguments.first().and_then(Argument::literal) else { return false };
    let is_seen_through =
        !inner.is_empty() && inner.iter().all(|inner| matches!(inner, Inner::Words { more: false, .. } | Inner::Script { .. }));
    if WRAPPERS.contains(&name) && !inner.is_empty() {
        return is_seen_through && (name != "exec" || !arguments[1].text.starts_with('-'));
    }
    match name {
        "exec" => arguments.len() == 1,
        "shopt" => is_harmless_shopt(arguments),
        "tee" => {
            arguments[1..].iter().all(|argument| argument.literal().is_some_and(|text| matches!(text, "-a" | "-i") || is_stream(text)))
        }
        "git" => is_seen_through && has_quiet_options(arguments, inner),
        "trap" | "eval" => inner.is_empty() || is_seen_through,
        _ if is_filter(arguments, effects) => true,
        _ => BUILTINS.contains(&name) && inner.is_empty(),
    }
}

/// Whether nothing but harmless options stand before the same command of git.
fn has_quiet_options(arguments: &[Argument], inner: &[Inner]) -> bool {
    let [Inner::Words { words, .. }] = inner else { return false };
    let mut options = arguments[1..arguments.len().saturating_sub(words.len()) + 1].iter();
    while let Some(option) = options.next() {
        match option.literal() {
            Some("-C") => {
                if options.next().is_none() {
                    return false;
                }
            }
            Some(option) if GIT_FLAGS.contains(&option) => {}
            _ => return false,
        }
    }
    true
}
