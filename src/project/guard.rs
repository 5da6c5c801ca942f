//! Protects secrets from a turn's tools: keys in the environment and in results, key stores, and polytree's own files.

use std::sync::Arc;

use polytree_protocol::permission::{Action, Rule};

use super::Instance;
use crate::{
    config::{Places, Settings},
    permission::rules::{Origin, Rules},
    provider::{KnownKeys, Secret},
    stdx::{
        paths::{self, AbsPath},
        secrets::known::KnownSecrets,
    },
    tool::{context::Environment, guard::Guard, private::PrivatePlaces},
};

/// The guard of a turn with its directory for long outputs.
pub(super) fn guard(places: &Places, instance: &Instance, output: &AbsPath, keys: &KnownKeys, environment: &Environment) -> Arc<Guard> {
    let worktree = instance.worktree();
    // The directory of sockets may be shared, such as one for temporary files.
    let runtime = Some(&places.runtime).filter(|runtime| worktree == *runtime || !worktree.is_within(runtime));
    let own = [&places.config, &places.data].into_iter().chain(runtime).cloned();
    Arc::new(Guard {
        private: PrivatePlaces::new(own, output.clone(), environment),
        secrets: KnownSecrets::new(keys.secrets.iter().map(Secret::expose)),
        trusted: instance.project.trusted,
    })
}

/// Whether the rules allow reading a file of the project without a question, by its name and by its real path.
pub(super) fn may_read(
    settings: &Settings,
    defaults: &[Rule],
    worktree: &AbsPath,
    guard: &Arc<Guard>,
) -> impl Fn(&AbsPath, &AbsPath) -> bool + use<> {
    let home = paths::home().map(|home| home.to_string());
    let rules = Rules::new(home.as_deref())
        .with(Origin::BuiltIn, defaults)
        .with(Origin::User, &settings.user_rules)
        .with(Origin::Project, &settings.project_rules);
    let (worktree, guard) = (worktree.clone(), Arc::clone(guard));
    move |named, real| {
        let patterns = [named, real].map(|path| path.relative_to(&worktree));
        !guard.private.holds(real) && rules.evaluate_all("read", patterns.iter().map(String::as_str), false) == Action::Allow
    }
}

/// The client's variables without those with keys, except `kept` ones.
pub(super) fn without_keys(environment: &Environment, keys: &KnownKeys, secrets: &KnownSecrets, kept: &[String]) -> Environment {
    // A key in the settings may come from a variable with any name.
    let holds_key = |name: &String, value: &String| !kept.contains(name) && (keys.variables.contains(name) || secrets.is_in(value));
    if !environment.iter().any(|(name, value)| holds_key(name, value)) {
        return Arc::clone(environment);
    }
    Arc::new(
        environment.iter().filter(|(name, value)| !holds_key(name, value)).map(|(name, value)| (name.clone(), value.clone())).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Secret;

    #[test]
    fn keys_are_known_by_their_variable_and_by_their_value() {
        let environment = [("OPENAI_API_KEY", "short"), ("MINE", "Bearer sk-VERYSECRET1"), ("PATH", "/bin"), ("KEPT", "sk-VERYSECRET1")];
        let environment: Environment = Arc::new(environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect());
        let keys =
            KnownKeys { variables: ["OPENAI_API_KEY".to_owned()].into(), secrets: Secret::new("sk-VERYSECRET1").into_iter().collect() };
        let secrets = KnownSecrets::new(keys.secrets.iter().map(Secret::expose));
        let rest = without_keys(&environment, &keys, &secrets, &["KEPT".to_owned()]);
        assert_eq!(rest.keys().collect::<Vec<_>>(), ["KEPT", "PATH"]);
        assert!(Arc::ptr_eq(&without_keys(&environment, &KnownKeys::default(), &KnownSecrets::default(), &[]), &environment));
    }
}
