//! Checks of settings beyond their types. Messages never contain a value, which may be a secret.

use polytree_protocol::config::{AgentConfig, Config, ProviderOptions};
use polytree_protocol::provider::ModelRef;
use serde_json::Value;

use crate::stdx::{nearest, paths::AbsPath};

/// A mistake and its key path.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The key path.
    pub path: Vec<String>,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Mistake {
    fn new<const N: usize>(path: [&str; N], message: impl Into<String>) -> Self {
        Self { path: path.map(str::to_owned).to_vec(), message: format!("`{}`: {}", path.join("."), message.into()) }
    }
}

const MODEL: &str = "expected a model as `provider/model`";

/// The first mistake in a file's settings; `is_user` if it is the user's own file.
pub fn config(config: &Config, is_user: bool) -> Result<(), Mistake> {
    for (key, model) in [("model", &config.model), ("small_model", &config.small_model)] {
        if model.as_deref().is_some_and(is_no_model) {
            return Err(Mistake::new([key], MODEL));
        }
    }
    for (name, agent) in &config.agent {
        agent_entry(agent).map_err(|(key, message)| Mistake::new(["agent", name, key], message))?;
    }
    for (id, provider) in &config.provider {
        provider_options(&provider.options, is_user).map_err(|(key, message)| Mistake::new(["provider", id, "options", key], message))?;
        for (model, settings) in &provider.models {
            let odd = settings.variants.iter().find(|(_, variant)| !variant.is_object() && **variant != Value::Bool(false));
            if let Some((name, _)) = odd {
                let message = "expected an object with fields for the request's body, or false";
                return Err(Mistake::new(["provider", id, "models", model, "variants", name], message));
            }
        }
    }
    for (index, entry) in config.instructions.iter().flatten().enumerate() {
        let mistake = |message| Mistake::new(["instructions", &index.to_string()], message);
        if entry.contains("://") {
            return Err(mistake("expected the path of a file or a glob pattern; addresses are not supported"));
        }
        if !is_user && (std::path::Path::new(entry).has_root() || entry.starts_with('~')) {
            return Err(mistake("a project's settings can only name files of the project, by relative paths"));
        }
    }
    if !is_user && config.storage != polytree_protocol::config::StorageConfig::default() {
        return Err(Mistake::new(["storage"], "only allowed in the user's own settings"));
    }
    if !is_user && config.server != polytree_protocol::config::ServerConfig::default() {
        return Err(Mistake::new(["server"], "only allowed in the user's own settings"));
    }
    if !is_user && config.sandbox != polytree_protocol::sandbox::SandboxConfig::default() {
        return Err(Mistake::new(["sandbox"], "only allowed in the user's own settings"));
    }
    if !is_user && config.mode.is_some() {
        return Err(Mistake::new(["mode"], "only allowed in the user's own settings"));
    }
    for (key, paths) in [("read", &config.sandbox.read), ("write", &config.sandbox.write), ("sockets", &config.sandbox.sockets)] {
        if let Some(index) = paths.iter().position(|path| AbsPath::expand(path).is_none_or(|path| path.parent().is_none())) {
            let message = "expected an absolute path, or one that begins with `~/`, and not the root";
            return Err(Mistake::new(["sandbox", key, &index.to_string()], message));
        }
    }
    if !is_user && (config.models_url.is_some() || !config.local_servers.is_empty()) {
        let key = if config.models_url.is_some() { "models_url" } else { "local_servers" };
        return Err(Mistake::new([key], "only allowed in the user's own settings"));
    }
    for (key, path) in [("record", &config.record), ("replay", &config.replay)] {
        let Some(path) = path else { continue };
        if !is_user {
            return Err(Mistake::new([key], "only allowed in the user's own settings"));
        }
        if AbsPath::expand(path).is_none() {
            return Err(Mistake::new([key], "expected an absolute path, or one that begins with `~/`"));
        }
    }
    if config.record.is_some() && config.replay.is_some() {
        return Err(Mistake::new(["replay"], "a replay cannot be recorded: leave out one of `record` and `replay`"));
    }
    if config.storage.log_days == 0 {
        return Err(Mistake::new(["storage", "log_days"], "expected at least 1"));
    }
    if config.diagnostics.wait > 60_000 {
        return Err(Mistake::new(["diagnostics", "wait"], "expected at most 60000 milliseconds"));
    }
    if config.task.timeout == Some(0) {
        return Err(Mistake::new(["task", "timeout"], "expected at least 1 millisecond; leave it out for no limit"));
    }
    if config.buffer.reply_timeout > 600_000 {
        return Err(Mistake::new(["buffer", "reply_timeout"], "expected at most 600000 milliseconds"));
    }
    Ok(())
}

/// The first mistake in an agent's settings: the key and the problem.
pub fn agent_entry(agent: &AgentConfig) -> Result<(), (&'static str, String)> {
    if agent.model.as_deref().is_some_and(is_no_model) {
        return Err(("model", MODEL.to_owned()));
    }
    if agent.steps == Some(0) {
        return Err(("steps", "expected at least 1".to_owned()));
    }
    if agent.max_output_tokens == Some(0) {
        return Err(("max_output_tokens", "expected at least 1".to_owned()));
    }
    if agent.temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
        return Err(("temperature", "expected a number from 0 to 2".to_owned()));
    }
    if agent.top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
        return Err(("top_p", "expected a number above 0 and up to 1".to_owned()));
    }
    // It would become an option of the provider, which is never intended.
    if agent.options.contains_key("name") {
        return Err(("name", "the key is the agent's name; `name` is not a setting".to_owned()));
    }
    Ok(())
}

fn provider_options(options: &ProviderOptions, is_user: bool) -> Result<(), (&str, String)> {
    // With a certificate authority of its own, a project could intercept requests with keys.
    for (key, is_set) in [("trustedURLs", !options.trusted_urls.is_empty()), ("ca", options.ca.is_some())] {
        if is_set && !is_user {
            return Err((key, "only allowed in the user's own settings".to_owned()));
        }
    }
    if options.trusted_urls.iter().any(|address| !url::Url::parse(address).is_ok_and(|address| address.has_host())) {
        return Err(("trustedURLs", "expected addresses such as `https://models.example/v1`".to_owned()));
    }
    if options.ca.as_deref().is_some_and(|path| AbsPath::expand(path).is_none()) {
        return Err(("ca", "expected the absolute path of a PEM file, or one that begins with `~/`".to_owned()));
    }
    for (key, time) in [("timeout", options.timeout), ("connectTimeout", options.connect_timeout)] {
        if time == Some(0) {
            return Err((key, "expected at least 1".to_owned()));
        }
    }
    // Arbitrary keys are allowed, which hides typing errors: another spelling of a known key is one.
    for key in options.options.keys() {
        let fold = |text: &str| text.to_lowercase().replace(['_', '-'], "");
        if let Some(meant) = nearest::one(key, ["apiKey", "baseURL", "headers", "timeout", "connectTimeout", "proxy", "ca", "trustedURLs"])
            .filter(|name| fold(name) == fold(key))
        {
            return Err((key, format!("unknown key; did you mean `{meant}`?")));
        }
    }
    Ok(())
}

fn is_no_model(text: &str) -> bool {
    ModelRef::parse(text).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str, is_user: bool) -> String {
        match config(&serde_json::from_str(text).unwrap(), is_user) {
            Ok(()) => "fine\n".to_owned(),
            Err(mistake) => mistake.message + "\n",
        }
    }

    #[test]
    fn mistakes() {
        let user = [
            r#"{"model": "opus"}"#,
            r#"{"small_model": "/x"}"#,
            r#"{"agent": {"a": {"model": "x"}}}"#,
            r#"{"agent": {"a": {"name": "b"}}}"#,
            r#"{"agent": {"a": {"steps": 0}}}"#,
            r#"{"provider": {"p": {"options": {"api_key": "x"}}}}"#,
            r#"{"provider": {"p": {"options": {"baseUrl": "x"}}}}"#,
            r#"{"provider": {"p": {"options": {"organization": "x"}}}}"#,
            r#"{"provider": {"p": {"options": {"connect_timeout": 5}}}}"#,
            r#"{"provider": {"p": {"options": {"ca": "here.pem"}}}}"#,
            r#"{"provider": {"p": {"options": {"timeout": 0}}}}"#,
            r#"{"provider": {"p": {"options": {"trustedUrls": ["https://a"]}}}}"#,
            r#"{"provider": {"p": {"options": {"trustedURLs": ["https://a/v1", "a.example"]}}}}"#,
            r#"{"provider": {"p": {"models": {"m": {"variants": {"high": {}, "low": true}}}}}}"#,
            r#"{"agent": {"a": {"temperature": 3}}}"#,
            r#"{"agent": {"a": {"top_p": 0, "max_output_tokens": 1}}}"#,
            r#"{"record": "x.jsonl"}"#,
            r#"{"record": "/x", "replay": "/y"}"#,
            r#"{"instructions": ["a.md", "https://x/y.md"]}"#,
            r#"{"storage": {"log_days": 0}}"#,
            r#"{"sandbox": {"read": ["~/models", "models"]}}"#,
            r#"{"sandbox": {"write": ["/"]}}"#,
            r#"{"instructions": ["~/a.md"], "storage": {"log_days": 3}, "model": "a/b/c"}"#,
        ];
        let project = [
            r#"{"instructions": ["~/a.md"]}"#,
            r#"{"instructions": ["/a.md"]}"#,
            r#"{"storage": {"log_days": 3}}"#,
            r#"{"server": {"idle_timeout": 0}}"#,
            r#"{"sandbox": {"environment": ["OPENAI_API_KEY"]}}"#,
            r#"{"models_url": "https://a"}"#,
            r#"{"provider": {"p": {"options": {"trustedURLs": ["https://a/v1"]}}}}"#,
            r#"{"provider": {"p": {"options": {"ca": "/a.pem"}}}}"#,
            r#"{"local_servers": {"ollama": "off"}}"#,
            r#"{"replay": "/x"}"#,
            r#"{"mode": "all"}"#,
            r#"{"sandbox": {"network": {"loopback": true}}}"#,
        ];
        let text: String = user.iter().map(|text| message(text, true)).chain(project.iter().map(|text| message(text, false))).collect();
        expect_test::expect![[r#"
            `model`: expected a model as `provider/model`
            `small_model`: expected a model as `provider/model`
            `agent.a.model`: expected a model as `provider/model`
            `agent.a.name`: the key is the agent's name; `name` is not a setting
            `agent.a.steps`: expected at least 1
            `provider.p.options.api_key`: unknown key; did you mean `apiKey`?
            `provider.p.options.baseUrl`: unknown key; did you mean `baseURL`?
            fine
            `provider.p.options.connect_timeout`: unknown key; did you mean `connectTimeout`?
            `provider.p.options.ca`: expected the absolute path of a PEM file, or one that begins with `~/`
            `provider.p.options.timeout`: expected at least 1
            `provider.p.options.trustedUrls`: unknown key; did you mean `trustedURLs`?
            `provider.p.options.trustedURLs`: expected addresses such as `https://models.example/v1`
            `provider.p.models.m.variants.low`: expected an object with fields for the request's body, or false
            `agent.a.temperature`: expected a number from 0 to 2
            `agent.a.top_p`: expected a number above 0 and up to 1
            `record`: expected an absolute path, or one that begins with `~/`
            `replay`: a replay cannot be recorded: leave out one of `record` and `replay`
            `instructions.1`: expected the path of a file or a glob pattern; addresses are not supported
            `storage.log_days`: expected at least 1
            `sandbox.read.1`: expected an absolute path, or one that begins with `~/`, and not the root
            `sandbox.write.0`: expected an absolute path, or one that begins with `~/`, and not the root
            fine
            `instructions.0`: a project's settings can only name files of the project, by relative paths
            `instructions.0`: a project's settings can only name files of the project, by relative paths
            `storage`: only allowed in the user's own settings
            `server`: only allowed in the user's own settings
            `sandbox`: only allowed in the user's own settings
            `models_url`: only allowed in the user's own settings
            `provider.p.options.trustedURLs`: only allowed in the user's own settings
            `provider.p.options.ca`: only allowed in the user's own settings
            `local_servers`: only allowed in the user's own settings
            `replay`: only allowed in the user's own settings
            `mode`: only allowed in the user's own settings
            `sandbox`: only allowed in the user's own settings
        "#]]
        .assert_eq(&text);
    }
}
