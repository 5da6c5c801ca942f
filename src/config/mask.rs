//! Settings for display: possible secrets are replaced by `***`.

use polytree_protocol::config::Config;
use serde_json::{Map, Value};

use super::typed::MASK;

/// Masks keys, header values, passwords in addresses, and options with names of secrets. Values of references are masked
/// before, by [`super::Settings::shown`].
#[must_use]
pub fn mask(config: &Config) -> Config {
    let mut config = config.clone();
    for provider in config.provider.values_mut() {
        let options = &mut provider.options;
        if let Some(key) = &mut options.api_key {
            MASK.clone_into(key);
        }
        options.headers.values_mut().for_each(|value| MASK.clone_into(value));
        if let Some(address) = &mut options.base_url {
            *address = without_password(address);
        }
        options.trusted_urls.iter_mut().chain(&mut options.proxy).for_each(|address| *address = without_password(address));
        mask_options(&mut options.options);
        for model in provider.models.values_mut() {
            mask_options(&mut model.options);
            model.variants.values_mut().for_each(mask_value);
        }
    }
    if let Some(address) = &mut config.models_url {
        *address = without_password(address);
    }
    config.agent.values_mut().for_each(|agent| mask_options(&mut agent.options));
    config
}

fn mask_options(options: &mut Map<String, Value>) {
    for (key, value) in options {
        if looks_secret(key) { hide(value) } else { mask_value(value) }
    }
}

fn mask_value(value: &mut Value) {
    match value {
        Value::Object(map) => mask_options(map),
        Value::Array(items) => items.iter_mut().for_each(mask_value),
        Value::String(text) => *text = without_password(text),
        _ => {}
    }
}

/// Masks all texts in the value, but not numbers and booleans, which are limits and switches (`max_tokens`).
fn hide(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(hide),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::String(text) => MASK.clone_into(text),
        _ => {}
    }
}

fn looks_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    ["key", "token", "secret", "password", "passwd", "passphrase", "authorization", "credential", "cookie", "headers"]
        .iter()
        .any(|word| key.contains(word))
}

/// The address with `***` instead of user and password.
fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{MASK}{}", &rest[at..]),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_may_be_secret_is_hidden_and_nothing_else() {
        let config: Config = serde_json::from_value(json!({
            "model": "a/b",
            "provider": {"a": {
                "options": {
                    "apiKey": "s1", "baseURL": "https://u:s2@host/v1?x=@y", "headers": {"X-Any": "s3"}, "timeout": 5,
                    "accessToken": "s4", "max_tokens": 7, "nested": {"client_secret": ["s5"], "region": "eu"},
                    "proxy": "http://u:s6@proxy",
                },
                "models": {"b": {"options": {"authorization": "s7", "effort": "high"}, "variants": {"v": {"api_key": "s9"}}}},
            }},
            "agent": {"x": {"password": "s8", "verbosity": "low"}},
        }))
        .unwrap();
        let shown = serde_json::to_value(mask(&config)).unwrap();
        for number in 1..=9 {
            assert!(!shown.to_string().contains(&format!("s{number}")), "s{number} in {shown}");
        }
        let options = &shown["provider"]["a"]["options"];
        assert_eq!(options["baseURL"], "https://***@host/v1?x=@y");
        assert_eq!(options["max_tokens"], 7);
        assert_eq!(options["nested"]["region"], "eu");
        assert_eq!(shown["agent"]["x"]["verbosity"], "low");
        assert_eq!(shown["model"], "a/b");
    }
}
