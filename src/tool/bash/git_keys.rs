//! Which settings of a repository name a program for git to run, and what can stand in their place. Pure.

use crate::git::settings::{RepositorySetting, RepositorySettings, parts};

/// Shows a difference as git itself would, in the place of a program that is to show it.
const PLAIN_DIFF: &str = r#"f() { git --no-pager diff --no-index --no-ext-diff --no-textconv -- "$2" "$5"; :; }; f"#;

/// Variables that hold a program or a command line, whatever section they are in.
const PROGRAMS: &[&str] = &[
    "aliascommand",
    "alternaterefscommand",
    "askpass",
    "cccmd",
    "clean",
    "cmd",
    "command",
    "defaultkeycommand",
    "difffilter",
    "driver",
    "editor",
    "external",
    "fsmonitor",
    "gitproxy",
    "headercmd",
    "helper",
    "hook",
    "hookspath",
    "packobjectshook",
    "pager",
    "path",
    "process",
    "program",
    "receivepack",
    "recentobjectshook",
    "sendmailcmd",
    "smtpserver",
    "smudge",
    "sshcommand",
    "textconv",
    "tocmd",
    "uploadpack",
    "vcs",
];

/// Sections all of whose variables name a program, or files with more settings, which may be other ones by the time they
/// count.
const SECTIONS: &[&str] = &["alias", "hook", "include", "includeif", "pager"];

/// What stands in the place of a program, for keys that name one. `looks`: the line only looks, so that what is a part of
/// changing something can be left out too.
pub(super) fn harmless(section: &str, name: &[u8], variable: &str, value: &str, looks: bool) -> Option<&'static str> {
    Some(match (section, variable) {
        ("core", "fsmonitor") => "false",
        ("core", "hookspath") if looks => "/dev/null",
        ("core", "pager") | ("interactive", "difffilter") | ("diff", "textconv") => "cat",
        ("core" | "sequence", "editor") => "false",
        ("core", "askpass") => "",
        ("core", "alternaterefscommand") => "true",
        ("diff", "external") if name.is_empty() => PLAIN_DIFF,
        ("diff", "command") => PLAIN_DIFF,
        // The repository of a submodule that stands in no index has settings of its own.
        ("diff", "submodule") => "log",
        ("pager", _) | ("difftool" | "mergetool" | "browser" | "man" | "guitool", "cmd" | "path") => "false",
        // An alias cannot hide a command of git's own, and this one is not run.
        ("alias", _) if value.trim_start().starts_with('!') => "",
        ("submodule", "update") if value.trim_start().starts_with('!') => "checkout",
        ("protocol", "allow") if looks || name == b"ext" || name.is_empty() => "never",
        ("trailer", "command" | "cmd") => "",
        ("core", "sshcommand") if looks => "ssh",
        ("core", "gitproxy") if looks => "none",
        ("filter", "clean" | "smudge" | "process") | ("credential", "helper") if looks => "",
        ("filter", "required") if looks => "false",
        ("merge", "driver") if looks => "false",
        ("gpg", "program") if looks => match name {
            b"ssh" => "ssh-keygen",
            b"x509" => "gpgsm",
            _ => "gpg",
        },
        ("gpg", "defaultkeycommand") if looks => "false",
        _ => return None,
    })
}

/// What of the repository git might run for a command that changes something, and that the user's own settings do not name
/// in the same way: keys, and hooks as `hooks/NAME`.
pub(super) fn programs(settings: &RepositorySettings) -> Vec<String> {
    let is_own = |setting: &RepositorySetting| setting.values.iter().all(|value| setting.own.contains(value));
    let keys = settings.keys.iter().filter(|(key, setting)| {
        let Some((section, name, variable)) = parts(key) else { return false };
        let last = setting.values.last().map(|value| value.to_string_lossy()).unwrap_or_default();
        if harmless(&section, &name, &variable, &last, false).is_some() {
            // Something else stands in its place.
            return false;
        }
        let mut values = setting.values.iter().map(|value| value.to_string_lossy());
        let names = match (section.as_str(), variable.as_str()) {
            // Where a submodule is, and a program only by `!`.
            ("submodule", "path") => false,
            (section, variable) => {
                SECTIONS.contains(&section) || PROGRAMS.contains(&variable) || values.any(|value| value.trim_start().starts_with('!'))
            }
        };
        names && !is_own(setting)
    });
    let has_hooks_elsewhere = settings.keys.contains_key(std::ffi::OsStr::new("core.hookspath"));
    let hooks = settings.hooks.iter().filter(|_| !has_hooks_elsewhere).map(|hook| format!("hooks/{hook}"));
    keys.map(|(key, _)| key.to_string_lossy().into_owned()).chain(hooks).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_name_a_program_are_told_from_others() {
        let found = |entries: &[(&str, &str, &str)], hooks: &[&str]| {
            let mut settings = RepositorySettings { hooks: hooks.iter().map(|hook| (*hook).to_owned()).collect(), ..Default::default() };
            for (key, value, own) in entries {
                let own = if own.is_empty() { Vec::new() } else { vec![(*own).into()] };
                settings.keys.insert((*key).into(), RepositorySetting { values: vec![(*value).into()], own });
            }
            programs(&settings)
        };
        for (key, value) in [
            ("core.bare", "false"),
            ("core.fsmonitor", "x"),
            ("core.editor", "x"),
            ("diff.external", "x"),
            ("alias.x", "!x"),
            ("remote.origin.url", "https://x/y"),
            ("remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"),
            ("branch.main.merge", "refs/heads/main"),
            ("submodule.sub.url", "../sub"),
            ("submodule.sub.path", "sub"),
            ("submodule.sub.update", "rebase"),
            ("user.email", "a@b"),
            ("merge.conflictstyle", "zdiff3"),
        ] {
            assert_eq!(found(&[(key, value, "")], &[]), Vec::<String>::new(), "{key}");
        }
        for key in [
            "core.sshcommand",
            "filter.evil.clean",
            "filter.a.b.process",
            "merge.evil.driver",
            "gpg.program",
            "gpg.ssh.program",
            "gc.recentobjectshook",
            "tar.zz.command",
            "alias.lg",
            "include.path",
            "includeif.onbranch:x.path",
            "remote.o.uploadpack",
            "remote.o.vcs",
            "credential.https://x.helper",
            "hook.x.command",
        ] {
            assert_eq!(found(&[(key, "x", "")], &[]), [key], "{key}");
            assert_eq!(found(&[(key, "x", "x")], &[]), Vec::<String>::new(), "{key} is the user's own");
            assert_eq!(found(&[(key, "x", "y")], &[]), [key], "{key} differs from the user's own");
        }
        assert_eq!(found(&[("submodule.sub.update", "!x", "")], &["pre-commit"]), ["hooks/pre-commit"]);
        assert_eq!(found(&[("core.hookspath", ".husky", "")], &["pre-commit"]), ["core.hookspath"]);
    }
}
