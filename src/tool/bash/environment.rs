//! The variables of a command: those of the client, without what says where the client itself was, and with programs
//! that end at once wherever a person would be needed. Pure.

use std::collections::BTreeMap;

use crate::tool::umask;

/// Variables by which git finds a repository and its parts, as `git rev-parse --local-env-vars` lists them and some more:
/// a client that git has started (an editor, a hook) has them, and they are about its repository and not about ours.
const GIT_LOCATIONS: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DEFAULT_HASH",
    "GIT_DIR",
    "GIT_DISCOVERY_ACROSS_FILESYSTEM",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INDEX_VERSION",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REFLOG_ACTION",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Editors wait for a person. `false` fails at once, so that the program says that the text is missing.
const EDITORS: &[&str] = &[
    "CVSEDITOR",
    "EDITOR",
    "FCEDIT",
    "GIT_EDITOR",
    "GIT_SEQUENCE_EDITOR",
    "HGEDITOR",
    "JJ_EDITOR",
    "KUBE_EDITOR",
    "P4EDITOR",
    "SUDO_EDITOR",
    "SVN_EDITOR",
    "SYSTEMD_EDITOR",
    "VISUAL",
];

/// Pagers wait for a key.
const PAGERS: &[&str] =
    &["AWS_PAGER", "BAT_PAGER", "DELTA_PAGER", "GH_PAGER", "GIT_PAGER", "MANPAGER", "PAGER", "PSQL_PAGER", "SYSTEMD_PAGER"];

/// What a command gets of the client's variables, and what it gets besides.
pub(super) fn variables(client: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut variables = client.clone();
    variables.retain(|name, _| !GIT_LOCATIONS.contains(&name.as_str()) && name != "OLDPWD" && name != "CDPATH" && name != umask::VARIABLE);
    let mut set = |name: &str, value: &str| drop(variables.insert(name.to_owned(), value.to_owned()));
    EDITORS.iter().for_each(|name| set(name, "false"));
    PAGERS.iter().for_each(|name| set(name, "cat"));
    set("TERM", "dumb");
    set("GIT_TERMINAL_PROMPT", "0");
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(client: &[(&str, &str)]) -> BTreeMap<String, String> {
        variables(&client.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn identity_and_the_rest_of_the_environment_stay() {
        let set = of(&[("GIT_AUTHOR_NAME", "Ann"), ("HOME", "/home/ann"), ("GIT_SSH_COMMAND", "ssh -4"), ("GIT_CONFIG_GLOBAL", "/g")]);
        for name in ["GIT_AUTHOR_NAME", "HOME", "GIT_SSH_COMMAND", "GIT_CONFIG_GLOBAL"] {
            assert!(set.contains_key(name), "{name}");
        }
    }

    /// What git of this machine says are its locating variables.
    #[cfg(unix)]
    #[tokio::test]
    async fn no_locating_variable_of_git_is_missing() {
        let directory = crate::stdx::paths::AbsPath::new("/").unwrap();
        let mut command = crate::stdx::process::command("git", &directory);
        command.args(["rev-parse", "--local-env-vars"]);
        let listed = String::from_utf8(crate::stdx::process::output(command).await.unwrap()).unwrap();
        // Those two hold settings that the user wants everywhere.
        for name in listed.lines().filter(|name| !["GIT_CONFIG_COUNT", "GIT_CONFIG_PARAMETERS"].contains(name)) {
            assert!(!of(&[(name, "x")]).contains_key(name), "{name}");
        }
        assert!(listed.contains("GIT_WORK_TREE"), "{listed}");
    }
}
