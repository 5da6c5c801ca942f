//! The catalogue as a file: services and models in lines, for the copy that is part of the program and for the one that
//! was fetched. Whatever stands in it is checked: a bad entry is left out, and no price or limit is ever nonsense.

use std::collections::BTreeSet;

use polytree_protocol::provider::{LongContextCost, Model, ModelCost, ModelLimit};
use serde::{Deserialize, Serialize};

use crate::stdx::text::ellipsis;

/// The most bytes of a catalogue that are read.
pub const MOST_BYTES: u64 = 32 << 20;
/// The most services that are taken.
const MOST_PROVIDERS: usize = 1000;
/// The most models that are taken, over all services.
const MOST_MODELS: usize = 50_000;
/// The longest id, in bytes.
const LONGEST_ID: usize = 200;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 100;
/// No million of tokens costs more, in US dollars.
const HIGHEST_PRICE: f64 = 1_000_000.0;
/// No model reads or writes more tokens.
const MOST_TOKENS: u64 = 1_000_000_000;

/// A catalogue.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CatalogFile {
    /// The day that it describes, as `YYYY-MM-DD`.
    pub as_of: String,
    /// Where it was fetched from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The services, in the order in which they are chosen.
    pub providers: Vec<ProviderRow>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ProviderRow {
    /// The id.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The variables that may hold its key.
    #[serde(default)]
    pub env: Vec<String>,
    /// The ways to speak to it, the best first; the first one that is spoken here is used.
    pub wires: Vec<WireRow>,
    /// Its model for small jobs such as titles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub small: Option<String>,
    /// Its models; the first one is used when only the service is named.
    #[serde(default)]
    pub models: Vec<ModelRow>,
}

/// A way to speak to a service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WireRow {
    /// The wire protocol.
    pub api: String,
    /// The address below which its paths lie; absent: that of the protocol's maker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ModelRow {
    /// The id at the service.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// The only wire protocol for it, where it is not the service's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    /// What it can.
    #[serde(default)]
    pub can: Vec<Ability>,
    /// Context window and longest answer, in tokens; 0 where unknown.
    #[serde(default)]
    pub limit: (u64, u64),
    /// Prices of input, output, reads from the cache and writes to it, in US dollars for a million tokens; 0, or left out
    /// at the end, where unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cost: Vec<f64>,
    /// The same for a call that reads more than 200,000 tokens; empty where they are the same or unknown.
    #[serde(default, rename = "costOver200k", skip_serializing_if = "Vec::is_empty")]
    pub cost_over_200k: Vec<f64>,
    /// The day on which it came out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<String>,
}

/// What a model can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ability {
    /// Calls tools.
    Tools,
    /// Takes images.
    Images,
    /// Takes documents.
    Documents,
    /// Thinks before it answers.
    Reasoning,
    /// Takes a temperature.
    Temperature,
    /// Something that this version does not know.
    #[serde(other)]
    Other,
}

/// Why a file is no catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no JSON of the right shape.
    #[error("it is not of the expected shape: {0}")]
    Shape(String),
    /// Nothing in it can be used.
    #[error("it names no model that could be used")]
    Empty,
}

impl CatalogFile {
    /// Reads a catalogue; gives with it how many of its entries were left out.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(bytes: &[u8]) -> Result<(Self, u64), Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Loose {
            as_of: String,
            #[serde(default)]
            url: Option<String>,
            providers: Vec<serde_json::Value>,
        }
        let loose: Loose = serde_json::from_slice(bytes).map_err(|error| Error::Shape(ellipsis(&error.to_string(), 200)))?;
        let mut skipped = 0;
        let mut providers = Vec::new();
        for mut value in loose.providers {
            let models = value.as_object_mut().and_then(|provider| provider.shift_remove("models"));
            let Ok(mut provider) = serde_json::from_value::<ProviderRow>(value) else {
                skipped += 1;
                continue;
            };
            for model in models.and_then(|models| models.as_array().cloned()).unwrap_or_default() {
                match serde_json::from_value(model) {
                    Ok(model) => provider.models.push(model),
                    Err(_) => skipped += 1,
                }
            }
            providers.push(provider);
        }
        let mut file = Self { as_of: loose.as_of, url: loose.url, providers };
        skipped += file.check()?;
        Ok((file, skipped))
    }

    /// Leaves out what cannot be, makes the rest sound, and tells how many entries were left out.
    ///
    /// # Errors
    /// When nothing is left, or the day is none.
    pub fn check(&mut self) -> Result<u64, Error> {
        if !is_day(&self.as_of) {
            return Err(Error::Shape("it does not say which day it describes".to_owned()));
        }
        let mut skipped = 0;
        let mut room = MOST_MODELS;
        let mut ids = BTreeSet::new();
        self.providers.retain_mut(|provider| {
            let sound = is_id(&provider.id) && !provider.wires.is_empty() && ids.len() < MOST_PROVIDERS && ids.insert(provider.id.clone());
            if !sound {
                skipped += 1;
                return false;
            }
            provider.name = name(&provider.name, &provider.id);
            provider.env.retain(|name| is_variable(name));
            let mut models = BTreeSet::new();
            provider.models.retain_mut(|model| {
                let sound = is_id(&model.id) && models.len() < room && models.insert(model.id.clone());
                if sound {
                    model.make_sound();
                } else {
                    skipped += 1;
                }
                sound
            });
            room -= models.len();
            true
        });
        if room == MOST_MODELS { Err(Error::Empty) } else { Ok(skipped) }
    }

    /// The service of that id.
    #[must_use]
    pub fn provider(&self, id: &str) -> Option<&ProviderRow> {
        self.providers.iter().find(|provider| provider.id == id)
    }

    /// How many models it names.
    #[must_use]
    pub fn models(&self) -> u64 {
        self.providers.iter().map(|provider| provider.models.len() as u64).sum()
    }

    /// As it is written to a file.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

impl ModelRow {
    fn make_sound(&mut self) {
        self.name = name(&self.name, &self.id);
        self.can.retain(|ability| *ability != Ability::Other);
        let tokens = |count: u64| if count > MOST_TOKENS { 0 } else { count };
        self.limit = (tokens(self.limit.0), tokens(self.limit.1));
        for prices in [&mut self.cost, &mut self.cost_over_200k] {
            prices.truncate(4);
            for price in prices.iter_mut() {
                // Not a number is not in the range either.
                if !(0.0..=HIGHEST_PRICE).contains(price) {
                    *price = 0.0;
                }
                // There is a negative zero.
                *price = price.abs();
            }
        }
        self.released = self.released.take().filter(|day| is_day(day));
    }

    /// As clients see it.
    #[must_use]
    pub fn model(&self) -> Model {
        let four = |prices: &[f64]| [0, 1, 2, 3].map(|place| prices.get(place).copied().unwrap_or(0.0));
        let [input, output, cache_read, cache_write] = four(&self.cost);
        let long = (!self.cost_over_200k.is_empty()).then(|| {
            let [input, output, cache_read, cache_write] = four(&self.cost_over_200k);
            LongContextCost { input, output, cache_read, cache_write }
        });
        Model {
            id: self.id.clone(),
            name: self.name.clone(),
            api: self.api.clone(),
            attachment: self.can.contains(&Ability::Images),
            documents: self.can.contains(&Ability::Documents),
            reasoning: self.can.contains(&Ability::Reasoning),
            temperature: self.can.contains(&Ability::Temperature),
            tool_call: self.can.contains(&Ability::Tools),
            release_date: self.released.clone(),
            cost: ModelCost { input, output, cache_read, cache_write, context_over_200k: long },
            limit: ModelLimit { context: self.limit.0, output: self.limit.1 },
            variants: Vec::new(),
        }
    }
}

/// Whether this is a day as `YYYY-MM-DD`.
#[must_use]
pub fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 10
        && bytes.iter().enumerate().all(|(place, byte)| if matches!(place, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() })
        && ("01".."13").contains(&&text[5..7])
        && ("01".."32").contains(&&text[8..])
}

fn is_id(id: &str) -> bool {
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_variable(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A name that can be shown; the id where there is none.
fn name(text: &str, id: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let clean = clean.trim();
    if clean.is_empty() { id.to_owned() } else { ellipsis(clean, LONGEST_NAME) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn parse(value: &Value) -> Result<(CatalogFile, u64), Error> {
        CatalogFile::parse(value.to_string().as_bytes())
    }

    #[test]
    fn bad_entries_are_left_out_and_the_rest_is_made_sound() {
        let (file, skipped) = parse(&json!({ "asOf": "2026-01-31", "providers": [
            { "id": "a", "name": "A\u{1b}[2J", "env": ["A_KEY", "A KEY", ""], "wires": [{ "api": "openai" }], "models": [
                { "id": "m", "name": "", "can": ["tools", "fly"], "limit": [5, u64::MAX], "cost": [-1, 2e9, 0.5, 1, 9], "costOver200k": [2, -2, 1], "released": "soon" },
                { "id": "m", "name": "again" }, { "id": "a b", "name": "x" }, { "name": "x" }, 5,
            ]},
            { "id": "a", "name": "again", "wires": [{ "api": "openai" }] }, { "id": "b", "name": "mute", "wires": [] }, 7,
        ]}))
        .unwrap();
        assert_eq!((file.providers.len(), skipped), (1, 7));
        let provider = &file.providers[0];
        assert_eq!((provider.name.as_str(), &provider.env[..]), ("A [2J", &["A_KEY".to_owned()][..]));
        let model = provider.models[0].model();
        assert_eq!((model.name.as_str(), model.tool_call, model.limit), ("m", true, ModelLimit { context: 5, output: 0 }));
        let long = LongContextCost { input: 2.0, cache_read: 1.0, ..LongContextCost::default() };
        assert_eq!(model.cost, ModelCost { cache_read: 0.5, cache_write: 1.0, context_over_200k: Some(long), ..ModelCost::default() });
        assert_eq!(model.release_date, None);
        assert_eq!(CatalogFile::parse(file.text().as_bytes()).unwrap(), (file, 0));
    }

    #[test]
    fn what_is_no_catalogue_is_refused() {
        for text in ["", "{", "[]", "null", "{}", r#"{"asOf": "2026-01-01"}"#, r#"{"asOf": "2026-13-01", "providers": []}"#] {
            assert!(matches!(CatalogFile::parse(text.as_bytes()), Err(Error::Shape(_))), "{text}");
        }
        assert_eq!(parse(&json!({ "asOf": "2026-01-01", "providers": [] })), Err(Error::Empty));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let key =
            || prop_oneof![Just("id"), Just("name"), Just("wires"), Just("models"), Just("cost"), Just("limit"), Just("asOf"), Just("x")];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((key(), inner), 0..6).prop_map(|pairs| pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect::<serde_json::Map<_, _>>()
                    .into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_sound(value in any_json(), cost in proptest::collection::vec(any::<f64>(), 0..6), limit in any::<(u64, u64)>()) {
            let model = json!({ "id": "m", "name": "n", "cost": cost, "limit": [limit.0, limit.1], "can": value });
            for text in [value.clone(), json!({ "asOf": "2026-01-01", "providers": [value.clone(), { "id": "p", "name": "n", "wires": [{ "api": "x" }], "models": [value, model] }] })] {
                let Ok((file, _)) = parse(&text) else { continue };
                for model in file.providers.iter().flat_map(|provider| &provider.models).map(ModelRow::model) {
                    let ModelCost { input, output, cache_read, cache_write, .. } = model.cost;
                    prop_assert!([input, output, cache_read, cache_write].iter().all(|price| price.is_finite() && !price.is_sign_negative()));
                    prop_assert!(model.limit.context <= MOST_TOKENS && model.limit.output <= MOST_TOKENS);
                    prop_assert!(!model.id.is_empty() && !model.name.chars().any(char::is_control));
                }
            }
        }
    }
}
