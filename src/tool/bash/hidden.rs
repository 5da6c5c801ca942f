//! Paths that a line hides: a word that only running would tell could mean any file, also one that holds keys. Where the
//! line names such a place, or a way to one, a person decides.

use super::commands::{Analysis, Anchor};
use crate::{stdx::paths::AbsPath, tool::private::PrivatePlaces};

/// Whether the line could reach a private place by a path that is not written out.
pub(super) fn may_reach_private(line: &str, analysis: &Analysis, home: Option<&AbsPath>, private: &PrivatePlaces) -> bool {
    let holds = |path: &String| AbsPath::new(path).is_some_and(|path| private.touches(&path.real_or_nearest()));
    if analysis.behind_variables.iter().any(holds) {
        return true;
    }
    let starts_at_home = |anchor: &Anchor| match anchor {
        Anchor::Home => true,
        Anchor::Directory(moves) => moves.iter().any(|step| step.starts_with('~')),
        Anchor::Top | Anchor::Variable(_) | Anchor::Unknown => false,
    };
    analysis.hides_paths()
        && (analysis.paths.iter().any(|usage| starts_at_home(&usage.anchor)) || names_home(line) || names_place(line, home, private))
}

/// Whether the home directory is named by a tilde or by its variable.
fn names_home(line: &str) -> bool {
    let is_word = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let before = |at: usize| line[..at].chars().next_back();
    let by_variable =
        line.match_indices("HOME").any(|(at, name)| !before(at).is_some_and(is_word) && !line[at + name.len()..].starts_with(is_word));
    by_variable
        || line.match_indices('~').any(|(at, _)| {
            // `HEAD~1`, `a=~b` of a condition, `${x~}`.
            let next = line[at + 1..].chars().next();
            let is_match = before(at) == Some('=') && before(at - 1).is_none_or(char::is_whitespace);
            let begins = !before(at).is_some_and(|c| is_word(c) || matches!(c, '^' | '}' | ')' | '@' | '~' | '!')) && !is_match;
            begins && next.is_none_or(|c| c == '/' || !(c.is_ascii_digit() || c == '='))
        })
}

/// Whether a private place, the home directory or the directory of all homes is named by its path.
fn names_place(line: &str, home: Option<&AbsPath>, private: &PrivatePlaces) -> bool {
    let names = |text: &str| {
        line.match_indices(text).any(|(at, _)| {
            let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            let before = line[..at].chars().next_back();
            !line[at + text.len()..].starts_with(is_inside) && (text.starts_with('/') || !before.is_some_and(is_inside))
        })
    };
    let homes = home.into_iter().flat_map(|home| [Some(home.clone()), home.parent()]).flatten().filter(|home| home.parent().is_some());
    homes.chain(private.all().iter().cloned()).any(|place| {
        let below = home.and_then(|home| place.as_path().strip_prefix(home).ok()).filter(|rest| !rest.as_os_str().is_empty());
        names(&place.to_string()) || below.is_some_and(|rest| names(&rest.to_string_lossy()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::bash::commands::{Dialect, analyse};

    #[test]
    fn a_hidden_path_counts_where_a_private_place_is_named() {
        let home = AbsPath::new("/home/ann").unwrap();
        let variables = [("HOME".to_owned(), home.to_string())].into();
        let private = PrivatePlaces::new([], AbsPath::new("/none").unwrap(), &variables);
        let reaches = |line: &str| may_reach_private(line, &analyse(line, Dialect::Bash), Some(&home), &private);
        for line in [
            "cat \"$(echo ~/.npmrc)\"",
            "cat ${HOME%x}/.ssh/id",
            "read -r f <<< ~/.npmrc; cat $f",
            "printf -v f %s ~/.npmrc; cat $f",
            "f=/home/ann; f+=/.npmrc; cat $f",
            "cat \"$(printf %s /home/ann/.netrc)\"",
            "cat sub/$(echo ../../../home/ann/.netrc)",
            "cd; cat $(echo .x)",
            "for f in $(ls -d ~/.n*); do cat $f; done",
            "cd $(echo /home)/ann; cat $x",
            "cat $x/home/ann/.npmrc; x=a",
            "x=a; unset x; cat $x/home/ann/.npmrc",
            "mytool \"$(echo ~)\"",
            "cat $(echo .npmrc)",
            "f() { cat \"${@:1}\"; }; f ~/.npmrc",
            "cd \"$(echo ~)\"; cat .npmrc",
        ] {
            assert!(reaches(line), "{line}");
        }
        for line in [
            "git diff HEAD~1 -- \"$f\"",
            "[[ $x =~ ^a ]] && cat \"$f\"",
            "cat \"$f\"",
            "ls ~",
            "for f in $(git ls-files); do head \"$f\"; done",
            "export CARGO_HOME=x; cat \"$f\"",
            "cat \"$(git rev-parse --show-toplevel)/a\"",
            "echo ${x~} \"$y\"; cat $z",
        ] {
            assert!(!reaches(line), "{line}");
        }
    }
}
