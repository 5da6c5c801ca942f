//! The built-in catalogue: `catalog.json` in this folder, parsed on first use. It has the shape of models.dev's
//! `api.json` with two additional fields: `wires` lists the protocols of a service, `small` names its model for small
//! jobs. Prices that depend on the hour, or that rise at another limit than 200,000 tokens, are the lowest ones.

use std::sync::OnceLock;

use crate::provider::catalog::file::CatalogFile;

/// The built-in catalogue.
pub fn built_in() -> &'static CatalogFile {
    static FILE: OnceLock<CatalogFile> = OnceLock::new();
    // A test checks that it parses completely; without it models from the settings would still work.
    FILE.get_or_init(|| CatalogFile::parse(include_bytes!("catalog.json"), None).map(|(file, _)| file).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::wire;

    #[test]
    fn the_file_is_valid() {
        let (file, skipped) = CatalogFile::parse(include_bytes!("catalog.json"), None).unwrap();
        assert_eq!((skipped, &file), (0, built_in()));
        let written: serde_json::Value = serde_json::from_slice(include_bytes!("catalog.json")).unwrap();
        let written = written["services"].as_object().unwrap();
        assert!(written.keys().eq(file.providers.iter().map(|provider| &provider.id)));
        for provider in &file.providers {
            assert!(!provider.env.is_empty(), "{}", provider.id);
            let models = written[&provider.id]["models"].as_object().unwrap();
            assert!(models.keys().eq(provider.models.iter().map(|model| &model.id)), "{}: a model is left out", provider.id);
            assert!(provider.small.iter().all(|small| models.contains_key(small)), "{}", provider.id);
            for wire in &provider.wires {
                assert!(wire::by_name(&wire.api).is_some(), "{wire:?}");
                assert!(wire.url.as_ref().is_none_or(|url| url.starts_with("https://") && !url.ends_with('/')), "{wire:?}");
            }
            for model in &provider.models {
                let name = format!("{}/{}", provider.id, model.id);
                assert!(0 < model.limit.output && model.limit.output <= model.limit.context, "{name}");
                let cost = model.cost;
                assert!(cost.cache_read <= cost.input && cost.input <= cost.output, "{name}");
                let long = cost.context_over_200k;
                assert!(long.is_none_or(|long| long.input > cost.input && long.output > cost.output), "{name}");
            }
            // The default model of a service works with all its protocols.
            assert_eq!(provider.models[0].api, None, "{}", provider.id);
        }
    }

    #[test]
    fn the_file_is_laid_out_in_lines() {
        for line in include_str!("catalog.json").lines().filter(|line| line.contains(r#""limit""#)) {
            assert!(line.starts_with("      \"") && line.matches(r#""limit""#).count() == 1, "a model is a line: {line}");
        }
    }
}
