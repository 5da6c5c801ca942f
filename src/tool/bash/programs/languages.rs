//! Words with a grammar of their own: revisions, addresses, settings, and what may be a file.

use super::{
    code::{awk, sed},
    effects::Effects,
    inner::shell_text,
    place::{Access, PathUse, Place, from_top, path_uses},
    table::Kind,
    walk::Walk,
    word::Argument,
};

/// A word that may be a file, or hold one behind `=` or `@`.
pub(super) fn unsure(word: &Argument, place: &Place, paths: &mut Vec<PathUse>) {
    let text = word.text.as_str();
    let value = match word.known().find('=') {
        Some(at) if text.starts_with('-') || text[..at].chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')) => {
            word.behind(at + 1)
        }
        _ if text.starts_with('-') => return,
        _ => word.clone(),
    };
    let value = if value.text.starts_with('@') { value.behind(1) } else { value };
    let ends = value.holes.iter().map(|hole| hole.end).max().unwrap_or_default();
    let is_word = !value.known().contains(char::is_whitespace) && !value.text[ends..].contains(char::is_whitespace);
    let is_file = !value.text.is_empty() && !value.text.contains("://") && is_word;
    if is_file {
        paths.extend(path_uses(&value, place, Access::Unsure));
    }
}

/// A revision of git, or a file.
pub(super) fn revision(word: &Argument, place: &Place, paths: &mut Vec<PathUse>) {
    // `HEAD:.env` shows what a file held, `:.env` and `:0:.env` what the index holds, from the top of the checkout.
    let file = match word.known().find(':') {
        Some(0) if word.text.get(2..3) == Some(":") => Some(word.behind(3)),
        Some(at) if at + 1 < word.text.len() => Some(word.behind(at + 1)),
        _ => None,
    };
    if let Some(file) = &file {
        paths.extend(path_uses(file, place, Access::Read).into_iter().map(from_top));
    }
    let file = file.unwrap_or_else(|| word.clone());
    if !file.text.is_empty() {
        paths.extend(path_uses(&file, place, Access::Read));
    }
}

/// Whether a program of jq or yq reads other files than those that it is given.
pub(super) fn loads_files(text: &str) -> bool {
    let begins = text.lines().map(str::trim_start).any(|line| {
        ["import", "include", "module"]
            .iter()
            .any(|word| line.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '"', '\t', '{'])))
    });
    let calls = text
        .match_indices("load")
        .any(|(at, _)| text[at + 4..].trim_start_matches(|c: char| c.is_alphanumeric() || c == '_').trim_start().starts_with('('));
    begins || calls || text.contains(';') && (text.contains("import \"") || text.contains("include \""))
}

/// A web address, or the path of something on this machine.
pub(super) fn address(word: &Argument, place: &Place, effects: &mut Effects) {
    let text = word.text.as_str();
    // `ext::` runs what follows.
    effects.is_unclear |= text.starts_with("ext::") || text.starts_with("fd::");
    let is_file = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
    if is_file {
        let path = text[5..].trim_start_matches('/');
        let path = path.strip_prefix("localhost/").unwrap_or(path);
        // An encoded character may be any.
        effects.is_unclear |= path.contains('%');
        effects.paths.extend(path_uses(&Argument::plain(&format!("/{path}")), place, Access::Read));
    } else if !text.contains(':') && (word.tilde || text.starts_with(['/', '.'])) {
        effects.paths.extend(path_uses(word, place, Access::List));
    }
}

/// `-v source:target`, `--mount type=bind,source=x,target=y`.
pub(super) fn mount(word: &Argument, place: &Place, paths: &mut Vec<PathUse>) {
    let text = word.text.as_str();
    let named = ["source=", "src="].iter().find_map(|key| text.find(key).map(|at| at + key.len()));
    let from = named.unwrap_or(0);
    let ends = if named.is_some() { ',' } else { ':' };
    let mut source = word.behind(from);
    if let Some(end) = source.known().find(ends) {
        source.text.truncate(end);
        source.holes.retain(|hole| hole.end <= end);
    }
    let is_path = source.tilde || source.text.starts_with(['/', '.']) || !source.holes.is_empty();
    if is_path {
        let is_read_only = text.ends_with(":ro") || text.contains("readonly");
        paths.extend(path_uses(&source, place, if is_read_only { Access::Deep { hidden: true } } else { Access::Destroy }));
    }
}

/// A goal of make, or a variable by which it runs something else.
pub(super) fn goal(word: &Argument, effects: &mut Effects) {
    let known = word.known();
    let Some(at) = known.find('=') else { return };
    let name = known[..at].trim_end_matches([':', '+', '?']);
    let value = &word.text[at + 1..];
    effects.is_unclear |= matches!(name, "SHELL" | ".SHELLFLAGS" | "MAKEFLAGS" | "MAKE" | "MAKEFILES" | "VPATH")
        || value.contains("$(")
        || value.contains("${")
        || value.contains('`')
        || known.contains('!');
    if let Some(value) = word.behind(at + 1).literal() {
        effects.possible.push(value.split_whitespace().map(Argument::plain).collect());
    }
}

/// A program of sed or awk.
pub(super) fn code(kind: Kind, word: &Argument, walk: &mut Walk<'_, '_>) {
    // A hole may bring commands of its own.
    let Some(text) = word.literal().or_else(|| word.holes.is_empty().then_some(word.text.as_str())) else {
        walk.effects.is_unclear = true;
        return;
    };
    let found = if kind == Kind::Sed { sed::read(text) } else { awk::read(text) };
    let Some(found) = found else {
        walk.effects.is_unclear = true;
        return;
    };
    for file in &found.writes {
        walk.write(&Argument::plain(file));
    }
    for file in &found.reads {
        walk.file(&Argument::plain(file), Access::Read);
    }
    for command in &found.runs {
        let words = [Argument::plain(command)];
        walk.effects.inner.extend(shell_text(&words, false, &mut walk.effects.is_unclear));
    }
}

/// Settings of git that name no program, no file and no place to send to. An entry that ends in a dot is a group.
const GIT: &[&str] = &[
    "advice.",
    "branch.sort",
    "color.",
    "column.",
    "commit.gpgsign",
    "core.abbrev",
    "core.autocrlf",
    "core.eol",
    "core.filemode",
    "core.ignorecase",
    "core.precomposeunicode",
    "core.quotepath",
    "core.safecrlf",
    "core.symlinks",
    "core.whitespace",
    "core.longpaths",
    "diff.algorithm",
    "diff.colormoved",
    "diff.context",
    "diff.interhunkcontext",
    "diff.mnemonicprefix",
    "diff.noprefix",
    "diff.renames",
    "diff.renamelimit",
    "diff.submodule",
    "diff.wserrorhighlight",
    "fetch.prune",
    "fetch.parallel",
    "feature.",
    "format.pretty",
    "gc.auto",
    "grep.",
    "i18n.",
    "init.defaultbranch",
    "log.",
    "merge.conflictstyle",
    "merge.ff",
    "merge.renames",
    "merge.stat",
    "protocol.version",
    "pull.ff",
    "pull.rebase",
    "push.autosetupremote",
    "push.default",
    "push.followtags",
    "rebase.autosquash",
    "rebase.autostash",
    "rebase.updaterefs",
    "rerere.",
    "safe.directory",
    "safe.barerepository",
    "status.",
    "submodule.recurse",
    "tag.sort",
    "tag.gpgsign",
    "user.email",
    "user.name",
    "user.useconfigonly",
    "versionsort.",
    "worktree.guessremote",
    "http.postbuffer",
    "core.compression",
    "maintenance.auto",
    "transfer.fsckobjects",
    "fetch.fsckobjects",
    "core.commentchar",
    "commit.cleanup",
    "core.preloadindex",
    "index.",
];

/// Settings of ssh that only say how to connect.
const SSH: &[&str] = &[
    "addkeystoagent",
    "addressfamily",
    "batchmode",
    "checkhostip",
    "ciphers",
    "compression",
    "connectionattempts",
    "connecttimeout",
    "escapechar",
    "exitonforwardfailure",
    "forwardagent",
    "forwardx11",
    "hashknownhosts",
    "hostkeyalgorithms",
    "identitiesonly",
    "ipqos",
    "kbdinteractiveauthentication",
    "kexalgorithms",
    "loglevel",
    "macs",
    "nohostauthenticationforlocalhost",
    "numberofpasswordprompts",
    "passwordauthentication",
    "port",
    "preferredauthentications",
    "pubkeyauthentication",
    "rekeylimit",
    "requesttty",
    "serveralivecountmax",
    "serveraliveinterval",
    "stricthostkeychecking",
    "tcpkeepalive",
    "updatehostkeys",
    "user",
    "verifyhostkeydns",
    "visualhostkey",
    "controlpersist",
    "clearallforwardings",
    "hostname",
    "gssapiauthentication",
];

/// Settings of cmake that name a program or a script.
const CMAKE_RISKS: &[&str] =
    &["LAUNCHER", "COMPILER", "TOOLCHAIN", "PROJECT_", "LINKER", "MAKE_PROGRAM", "INCLUDE", "EXECUTABLE", "COMMAND", "_EMULATOR"];

/// Whether a setting given in the line changes nothing that is run and no file that is read or written.
pub(super) fn is_harmless_setting(kind: Kind, word: &Argument) -> bool {
    let key = word.known().split(['=', ' ']).next().unwrap_or_default();
    let has_key = word.known().len() > key.len() || word.is_literal();
    let lower = key.to_ascii_lowercase();
    let listed = |list: &[&str]| list.iter().any(|entry| if entry.ends_with('.') { lower.starts_with(entry) } else { lower == *entry });
    has_key
        && match kind {
            Kind::GitSetting => listed(GIT) && !word.text.contains('!'),
            Kind::SshSetting => listed(SSH) || word.text.eq_ignore_ascii_case("userknownhostsfile=/dev/null"),
            Kind::CmakeSetting => !CMAKE_RISKS.iter().any(|risk| key.contains(risk)),
            Kind::RustcSetting => !matches!(key, "linker" | "link-arg" | "link-args" | "linker-plugin-lto"),
            _ => false,
        }
}
