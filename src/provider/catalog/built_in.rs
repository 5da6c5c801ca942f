//! The services and models that are known without settings: `catalog.json` beside this file, read when it is first needed.
//! Where a service charges more for prompts above 200,000 tokens and that is known here, both prices stand; prices that
//! depend on the hour, or rise elsewhere, are those of the cheapest call.

use std::sync::OnceLock;

use crate::provider::catalog::file::CatalogFile;

/// The catalogue that is part of the program.
#[must_use]
pub fn built_in() -> &'static CatalogFile {
    static FILE: OnceLock<CatalogFile> = OnceLock::new();
    // A test reads it without loss; without it there would still be the settings.
    FILE.get_or_init(|| CatalogFile::parse(include_bytes!("catalog.json")).map(|(file, _)| file).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::{catalog::file::Ability, wire};

    #[test]
    fn the_file_is_sound() {
        let (file, skipped) = CatalogFile::parse(include_bytes!("catalog.json")).unwrap();
        assert_eq!((skipped, &file), (0, built_in()));
        for provider in &file.providers {
            assert!(!provider.env.is_empty() && !provider.models.is_empty(), "{}", provider.id);
            for wire in &provider.wires {
                assert!(
                    wire::by_name(&wire.api).is_some()
                        && wire.url.as_ref().is_none_or(|url| url.starts_with("https://") && !url.ends_with('/')),
                    "{wire:?}"
                );
            }
            for model in &provider.models {
                let name = format!("{}/{}", provider.id, model.id);
                assert!(model.can.contains(&Ability::Tools) && 0 < model.limit.1 && model.limit.1 <= model.limit.0, "{name}");
                let cost = model.model().cost;
                assert!(cost.cache_read <= cost.input && cost.input <= cost.output, "{name}");
                let long = cost.context_over_200k;
                assert!(long.is_none_or(|long| long.input > cost.input && long.output > cost.output), "{name}");
                assert!(model.cost.is_empty() || cost.output > 0.0, "{name}");
            }
            // What a prompt uses when only the service is named must be spoken today.
            assert_eq!(provider.models[0].api, None, "{}", provider.id);
        }
    }

    #[test]
    fn the_file_is_laid_out_in_lines() {
        for line in include_str!("catalog.json").lines().filter(|line| line.contains(r#""limit""#)) {
            assert!(line.trim_start().starts_with(r#"{"id": "#) && line.matches(r#""id""#).count() == 1, "a model is a line: {line}");
        }
    }
}
