//! The options of model calls: variant, sampling, the longest answer. Checked before the prompt is stored, used in every
//! call of its turn. Pure.

use polytree_protocol::{
    agent::Agent,
    message::{PromptOptions, UserMessage},
};
use serde_json::{Map, Value};

use super::{Error, ResolvedModel};
use crate::provider::merge;

/// The longest answer where neither prompt nor agent set a limit, and the model's own is unknown or higher.
const DEFAULT_MAX_OUTPUT_TOKENS: u64 = 32_000;

/// The options of the model calls of a turn.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sampling {
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub max_output_tokens: u64,
    pub options: Map<String, Value>,
}

/// The prompt's variant, else the session's or the agent's if the model has it. Fails when the model lacks a variant that
/// the prompt names, or that an agent names for its own model.
pub(super) fn variant(asked: Option<&str>, session: Option<&str>, agent: &Agent, model: &ResolvedModel) -> Result<Option<String>, Error> {
    let known = |name: &str| model.variants.iter().any(|(known, _)| known == name);
    if let (None, Some(name)) = (asked, session)
        && known(name)
    {
        return Ok(Some(name.to_owned()));
    }
    match (asked, agent.variant.as_deref()) {
        (Some(name), _) | (None, Some(name)) if known(name) => Ok(Some(name.to_owned())),
        (Some(name), _) => Err(lacks(model, name, String::new())),
        (None, Some(name)) if agent.model.as_ref() == Some(&model.reference) => {
            Err(lacks(model, name, format!(", for which the agent {:?} asks", agent.name)))
        }
        (None, _) => Ok(None),
    }
}

fn lacks(model: &ResolvedModel, name: &str, asker: String) -> Error {
    let reference = &model.reference;
    let has = match model.variants.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>()[..] {
        [] => format!(
            "it has none. Variants can be added in the settings under provider.{}.models.{}.variants",
            reference.provider_id, reference.model_id
        ),
        ref names => format!("it has {}", names.join(", ")),
    };
    Error::Params { field: "variant", message: format!("the model {reference} has no variant {name:?}{asker}; {has}") }
}

/// Refuses options that are out of range, or that the model does not take.
pub(super) fn check(options: Option<&PromptOptions>, model: &ResolvedModel) -> Result<(), Error> {
    let Some(PromptOptions { temperature, top_p, max_output_tokens }) = options.copied() else { return Ok(()) };
    let wrong = |field, message: String| Err(Error::Params { field, message });
    if temperature.is_some_and(|value| !(0.0..=2.0).contains(&value)) {
        return wrong("options.temperature", "expected a number from 0 to 2".to_owned());
    }
    if top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
        return wrong("options.topP", "expected a number above 0 and up to 1".to_owned());
    }
    if max_output_tokens == Some(0) {
        return wrong("options.maxOutputTokens", "expected at least 1".to_owned());
    }
    let samples = [("options.temperature", temperature), ("options.topP", top_p)].into_iter().find(|(_, value)| value.is_some());
    if let (Some((field, _)), false) = (samples, model.info.temperature) {
        let reference = &model.reference;
        let message = format!(
            "the model {reference} takes no temperature and no top-p; if it does, say so in the settings: provider.{}.models.{}.temperature",
            reference.provider_id, reference.model_id
        );
        return wrong(field, message);
    }
    Ok(())
}

/// The longest answer in tokens, if the context has room for it.
pub(super) fn longest_answer(asked: Option<u64>, agent: &Agent, model: &ResolvedModel) -> u64 {
    match (asked.or(agent.max_output_tokens), model.info.limit.output) {
        (Some(asked), 0) => asked,
        (Some(asked), limit) => asked.min(limit),
        (None, 0) => DEFAULT_MAX_OUTPUT_TOKENS,
        (None, limit) => limit.min(DEFAULT_MAX_OUTPUT_TOKENS),
    }
}

/// The options for the model calls of a turn. Later ones win: the model's, the agent's, the variant's, the prompt's.
pub(super) fn sampling(user: &UserMessage, agent: &Agent, model: &ResolvedModel) -> Sampling {
    let asked = user.options.unwrap_or_default();
    let most = longest_answer(asked.max_output_tokens, agent, model);
    let mut options = model.options.clone();
    options.extend(agent.options.iter().map(|(key, value)| (key.clone(), value.clone())));
    let variant = user.variant.as_ref().and_then(|name| model.variants.iter().find(|(known, _)| known == name));
    if let Some((_, fields)) = variant {
        merge(&mut options, fields);
    }
    let samples = model.info.temperature;
    Sampling {
        temperature: asked.temperature.or(agent.temperature).filter(|_| samples),
        top_p: asked.top_p.or(agent.top_p).filter(|_| samples),
        max_output_tokens: most,
        options,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use polytree_protocol::{
        id::{MessageId, SessionId},
        message::PromptState,
        part::Created,
        provider::{Model, ModelLimit, ModelRef},
    };
    use serde_json::json;

    use super::*;
    use crate::{
        agent::builtin,
        provider::{Offline, definition::unknown_model},
    };

    fn model(samples: bool, limit: u64) -> ResolvedModel {
        let fields = |value: Value| value.as_object().unwrap().clone();
        ResolvedModel {
            reference: ModelRef::parse("p/m").unwrap(),
            info: Model { temperature: samples, limit: ModelLimit { context: 0, output: limit }, ..unknown_model("m") },
            provider: Arc::new(Offline),
            options: fields(json!({ "a": { "x": 1 }, "b": 1 })),
            variants: vec![("low".to_owned(), fields(json!({ "a": { "y": 2 } }))), ("high".to_owned(), fields(json!({ "b": 9 })))],
            api: "openai".to_owned(),
            unset: None,
        }
    }

    fn agent(variant: Option<&str>, model: Option<&str>) -> Agent {
        Agent { variant: variant.map(str::to_owned), model: model.and_then(ModelRef::parse), ..builtin::agents().remove(0) }
    }

    fn user(variant: Option<&str>, options: PromptOptions) -> UserMessage {
        UserMessage {
            state: PromptState::Running,
            answered_with: None,
            id: MessageId::default(),
            session_id: SessionId::default(),
            time: Created { created: 0 },
            agent: "build".to_owned(),
            model: ModelRef::default(),
            system: None,
            tools: None,
            variant: variant.map(str::to_owned),
            options: Some(options),
            format: None,
            mode: None,
        }
    }

    #[test]
    fn which_variant_counts() {
        let model = model(true, 0);
        let chosen = |asked, agent: &Agent| variant(asked, None, agent, &model).map_err(|error| error.to_string());
        assert_eq!(chosen(None, &agent(None, None)), Ok(None));
        assert_eq!(chosen(Some("low"), &agent(Some("high"), None)), Ok(Some("low".to_owned())));
        let of_session = |asked, name| variant(asked, Some(name), &agent(Some("high"), None), &model).unwrap();
        assert_eq!(of_session(None, "low"), Some("low".to_owned()));
        assert_eq!(of_session(Some("high"), "low"), Some("high".to_owned()));
        assert_eq!(of_session(None, "odd"), Some("high".to_owned()), "the model does not have the session's variant");
        assert_eq!(chosen(None, &agent(Some("high"), None)), Ok(Some("high".to_owned())));
        // Another model than the one for which the agent was written.
        assert_eq!(chosen(None, &agent(Some("odd"), None)), Ok(None));
        assert_eq!(chosen(None, &agent(Some("odd"), Some("p/other"))), Ok(None));
        let error = chosen(None, &agent(Some("odd"), Some("p/m"))).unwrap_err();
        assert!(error.contains("agent \"build\"") && error.contains("it has low, high"), "{error}");
        let error = chosen(Some("max"), &agent(None, None)).unwrap_err();
        assert_eq!(error, "`variant`: the model p/m has no variant \"max\"; it has low, high");
        let plain = ResolvedModel { variants: Vec::new(), ..model.clone() };
        let error = variant(Some("low"), None, &agent(None, None), &plain).unwrap_err().to_string();
        assert!(error.contains("it has none") && error.contains("provider.p.models.m.variants"), "{error}");
    }

    #[test]
    fn options_are_checked() {
        let field = |options: Value, samples| {
            let options: PromptOptions = serde_json::from_value(options).unwrap();
            match check(Some(&options), &model(samples, 0)) {
                Ok(()) => "",
                Err(Error::Params { field, .. }) => field,
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(field(json!({ "temperature": 0, "topP": 1, "maxOutputTokens": 1 }), true), "");
        assert_eq!(field(json!({ "maxOutputTokens": 1 }), false), "");
        assert_eq!(field(json!({ "temperature": 2.1 }), true), "options.temperature");
        assert_eq!(field(json!({ "temperature": -0.1 }), true), "options.temperature");
        assert_eq!(field(json!({ "topP": 0 }), true), "options.topP");
        assert_eq!(field(json!({ "maxOutputTokens": 0 }), true), "options.maxOutputTokens");
        assert_eq!(field(json!({ "temperature": 1 }), false), "options.temperature");
        assert_eq!(field(json!({ "topP": 1 }), false), "options.topP");
    }

    #[test]
    fn later_options_win() {
        let mut agent = agent(None, None);
        agent.temperature = Some(0.5);
        agent.max_output_tokens = Some(700);
        agent.options.insert("b".to_owned(), json!(5));
        let asked = PromptOptions { temperature: Some(1.5), ..PromptOptions::default() };
        let made = sampling(&user(Some("low"), asked), &agent, &model(true, 500));
        assert_eq!((made.temperature, made.top_p, made.max_output_tokens), (Some(1.5), None, 500));
        assert_eq!(Value::Object(made.options), json!({ "a": { "x": 1, "y": 2 }, "b": 5 }));
        let made = sampling(&user(Some("high"), PromptOptions { max_output_tokens: Some(50_000), ..asked }), &agent, &model(false, 0));
        assert_eq!((made.temperature, made.max_output_tokens, &made.options["b"]), (None, 50_000, &json!(9)));
        agent.max_output_tokens = None;
        let most = |limit| sampling(&user(None, PromptOptions::default()), &agent, &model(true, limit)).max_output_tokens;
        assert_eq!([most(0), most(100), most(1_000_000)], [32_000, 100, 32_000]);
    }
}
