//! The services and models that are known without settings. Prices are those for short prompts, in US dollars for a
//! million tokens; a service that charges more for long ones is not modelled.

use polytree_protocol::provider::{Model, ModelCost, ModelLimit};

use super::remote_wire::Wire;

/// A service that is known without settings.
pub(super) struct KnownProvider {
    /// The id.
    pub(super) id: &'static str,
    /// The name for people.
    pub(super) name: &'static str,
    /// The variables that may hold its key.
    pub(super) env: &'static [&'static str],
    /// The protocol.
    pub(super) api: Wire,
    /// Its models; the first is the one used when only the service is named.
    pub(super) models: &'static [KnownModel],
}

/// A model in a line: id, name, what it can do, limits, prices.
pub(super) struct KnownModel(&'static str, &'static str, Can, (u64, u64), (f64, f64, f64, f64));

#[derive(Clone, Copy, PartialEq)]
enum Can {
    /// Takes a temperature, thinks only if asked.
    Sample,
    /// Thinks if asked, and takes a temperature when it does not.
    ThinkOrSample,
    /// Thinks, and takes no temperature.
    Think,
}

impl KnownModel {
    /// The id.
    pub(super) fn id(&self) -> &'static str {
        self.0
    }

    /// As clients see it. All of them take images and call tools.
    pub(super) fn model(&self) -> Model {
        let Self(id, name, can, (context, output), (input_price, output_price, cache_read, cache_write)) = self;
        Model {
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            attachment: true,
            reasoning: *can != Can::Sample,
            temperature: *can != Can::Think,
            tool_call: true,
            cost: ModelCost {
                input: *input_price,
                output: *output_price,
                cache_read: *cache_read,
                cache_write: *cache_write,
                ..ModelCost::default()
            },
            limit: ModelLimit { context: *context, output: *output },
            variants: Vec::new(),
        }
    }
}

const K200: u64 = 200_000;
const M1: u64 = 1_000_000;

/// In the order in which they are chosen when several have a key.
pub(super) const KNOWN: &[KnownProvider] = &[
    KnownProvider {
        id: "anthropic",
        name: "Anthropic",
        env: &["ANTHROPIC_API_KEY"],
        api: Wire::Anthropic,
        models: &[
            KnownModel("claude-opus-5-5", "Claude Opus 5.5", Can::Think, (M1, 128_000), (4.0, 20.0, 0.2, 5.0)),
            KnownModel("claude-sonnet-5-5", "Claude Sonnet 5.5", Can::Think, (M1, 128_000), (2.0, 10.0, 0.1, 2.5)),
            KnownModel("claude-haiku-5-5", "Claude Haiku 5.5", Can::Think, (M1, 128_000), (0.1, 0.5, 0.01, 0.125)),
            KnownModel("claude-fable-5-1", "Claude Fable 5.1", Can::Think, (M1, 128_000), (10.0, 50.0, 1.0, 12.5)),
            KnownModel("claude-opus-5", "Claude Opus 5", Can::Think, (M1, 128_000), (5.0, 25.0, 0.5, 6.25)),
            KnownModel("claude-sonnet-5", "Claude Sonnet 5", Can::Think, (M1, 128_000), (2.0, 10.0, 0.2, 2.5)),
            KnownModel("claude-opus-4-8", "Claude Opus 4.8", Can::Think, (M1, 128_000), (5.0, 25.0, 0.5, 6.25)),
            KnownModel("claude-opus-4-7", "Claude Opus 4.7", Can::Think, (M1, 128_000), (5.0, 25.0, 0.5, 6.25)),
            KnownModel("claude-opus-4-6", "Claude Opus 4.6", Can::ThinkOrSample, (M1, 128_000), (5.0, 25.0, 0.5, 6.25)),
            KnownModel("claude-sonnet-4-6", "Claude Sonnet 4.6", Can::ThinkOrSample, (M1, 128_000), (3.0, 15.0, 0.3, 3.75)),
            KnownModel("claude-opus-4-5", "Claude Opus 4.5", Can::ThinkOrSample, (K200, 64_000), (5.0, 25.0, 0.5, 6.25)),
            KnownModel("claude-sonnet-4-5", "Claude Sonnet 4.5", Can::ThinkOrSample, (K200, 64_000), (3.0, 15.0, 0.3, 3.75)),
            KnownModel("claude-haiku-4-5", "Claude Haiku 4.5", Can::ThinkOrSample, (K200, 64_000), (1.0, 5.0, 0.1, 1.25)),
        ],
    },
    KnownProvider {
        id: "openai",
        name: "OpenAI",
        env: &["OPENAI_API_KEY"],
        api: Wire::OpenAi,
        // Models that call tools only through the Responses API are left out until that protocol is spoken.
        models: &[
            KnownModel("gpt-6-sol", "GPT-6 Sol", Can::Think, (1_050_000, 128_000), (2.0, 10.0, 0.2, 2.5)),
            KnownModel("gpt-6.1-terra", "GPT-6.1 Terra", Can::Think, (1_050_000, 128_000), (1.0, 5.0, 0.05, 1.25)),
            KnownModel("gpt-6-luna", "GPT-6 Luna", Can::Think, (1_050_000, 128_000), (0.1, 0.5, 0.01, 0.125)),
            KnownModel("gpt-5.6-sol", "GPT-5.6 Sol", Can::Think, (1_050_000, 128_000), (4.0, 20.0, 0.4, 5.0)),
            KnownModel("gpt-5.6-terra", "GPT-5.6 Terra", Can::Think, (1_050_000, 128_000), (2.0, 12.0, 0.2, 2.5)),
            KnownModel("gpt-5.6-luna", "GPT-5.6 Luna", Can::Think, (1_050_000, 128_000), (0.2, 1.2, 0.02, 0.25)),
            KnownModel("gpt-5.4", "GPT-5.4", Can::Think, (1_050_000, 128_000), (2.5, 15.0, 0.25, 0.0)),
            KnownModel("gpt-5.4-mini", "GPT-5.4 mini", Can::Think, (400_000, 128_000), (0.75, 4.5, 0.075, 0.0)),
            KnownModel("gpt-5.2", "GPT-5.2", Can::Think, (400_000, 128_000), (1.75, 14.0, 0.175, 0.0)),
            KnownModel("gpt-5.1", "GPT-5.1", Can::Think, (400_000, 128_000), (1.25, 10.0, 0.125, 0.0)),
            KnownModel("gpt-5", "GPT-5", Can::Think, (400_000, 128_000), (1.25, 10.0, 0.125, 0.0)),
            KnownModel("gpt-5-mini", "GPT-5 mini", Can::Think, (400_000, 128_000), (0.25, 2.0, 0.025, 0.0)),
            KnownModel("gpt-4.1", "GPT-4.1", Can::Sample, (1_047_576, 32_768), (2.0, 8.0, 0.5, 0.0)),
            KnownModel("gpt-4.1-mini", "GPT-4.1 mini", Can::Sample, (1_047_576, 32_768), (0.4, 1.6, 0.1, 0.0)),
            KnownModel("gpt-4o", "GPT-4o", Can::Sample, (128_000, 16_384), (2.5, 10.0, 1.25, 0.0)),
            KnownModel("gpt-4o-mini", "GPT-4o mini", Can::Sample, (128_000, 16_384), (0.15, 0.6, 0.075, 0.0)),
            KnownModel("o3", "o3", Can::Think, (K200, 100_000), (2.0, 8.0, 0.5, 0.0)),
            KnownModel("o4-mini", "o4-mini", Can::Think, (K200, 100_000), (1.1, 4.4, 0.275, 0.0)),
        ],
    },
];

/// A model of which nothing but the id is known: it is expected to call tools, and its limits count as unknown.
#[must_use]
pub fn unknown_model(id: &str) -> Model {
    Model {
        id: id.to_owned(),
        name: id.to_owned(),
        attachment: false,
        reasoning: false,
        temperature: false,
        tool_call: true,
        cost: ModelCost::default(),
        limit: ModelLimit::default(),
        variants: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_is_sound() {
        for provider in KNOWN {
            let ids: BTreeSet<_> = provider.models.iter().map(KnownModel::id).collect();
            assert_eq!(ids.len(), provider.models.len(), "{}", provider.id);
            assert!(!provider.env.is_empty());
            for model in provider.models.iter().map(KnownModel::model) {
                let ModelCost { input, output, cache_read, .. } = model.cost;
                assert!(0.0 < cache_read && cache_read < input && input < output, "{}", model.id);
                assert!(0 < model.limit.output && model.limit.output < model.limit.context, "{}", model.id);
            }
        }
    }
}
