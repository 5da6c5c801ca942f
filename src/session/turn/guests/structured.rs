//! Answers in the form that a prompt asks for: JSON that satisfies a schema. The model gives it by calling a tool made for
//! the turn, or as text where it cannot or does not call it; what is wrong with an answer is told to the model.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use async_trait::async_trait;
use jsonschema::Validator;
use polytree_protocol::{
    message::{JsonSchemaFormat, MessageError, MessageErrorData, MessageErrorName, MessageWithParts, OutputFormat},
    part::Part,
};
use serde_json::{Value, json};

use super::schema;
use crate::{
    provider::{
        definition::{Error as ModelError, ModelRequest},
        forced_call, merge,
    },
    session::{
        Error,
        turn::{
            next::{End, Next, StepEnd},
            state::{Guest, Step, Turn},
        },
    },
    tool::{
        context::ToolContext,
        definition::{AnyTool, ToolError, ToolOutput},
    },
};

const TOOL: &str = "StructuredOutput";
/// How often a model may try again where the prompt does not say.
const DEFAULT_RETRIES: u32 = 2;
const MAX_RETRIES: u32 = 10;
/// The longest name of an answer.
const MAX_NAME_CHARS: usize = 64;
/// The field of the arguments that holds an answer which is no object.
const FIELD: &str = "answer";

const DESCRIPTION: &str = "Gives the final answer of this conversation's task. Do the work first, with the other tools where they help; then call this once, with an answer that satisfies the schema of its arguments. The user sees nothing else as your answer.";

pub(super) fn join(turn: &Turn) -> Result<Option<Box<dyn Guest>>, Error> {
    Ok(Form::of(turn.user.format.as_ref())?.map(|form| Box::new(Arc::new(form)) as _))
}

#[async_trait]
impl Guest for Arc<Form> {
    fn tools(&self) -> Vec<Arc<dyn AnyTool>> {
        vec![Self::clone(self) as _]
    }

    fn before_request(&self, turn: &Turn, _: &[MessageWithParts], request: &mut ModelRequest) {
        request.system.push(self.instruction(turn.model.info.tool_call));
        if self.forces.load(Ordering::Relaxed) && !request.tools.is_empty() {
            let forced = forced_call(&turn.model.api, &request.options, &turn.model.info);
            merge(&mut request.options, &forced);
        }
    }

    fn adapts_to(&self, error: &ModelError) -> bool {
        self.stops_forcing(error)
    }

    async fn after_step(&self, turn: &Turn, step: &mut Step, ended: &StepEnd) -> Result<Option<Next>, Error> {
        match ended {
            StepEnd::Called if step.called.iter().any(|name| name == TOOL) => {
                step.answer.structured = self.take();
                if step.answer.structured.is_some() {
                    return Ok(Some(Next::End(End::Done)));
                }
                // The result of the call tells the model what is wrong.
                let (error, again) = self.failed(None);
                Ok(Some(if again { Next::Step } else { Next::End(End::Failed(error)) }))
            }
            StepEnd::Answered => {
                let stored = turn.stored(&step.answer.id).await?;
                let parts = stored.iter().flat_map(|message| &message.parts);
                let text: String =
                    parts.filter_map(|part| if let Part::Text(part) = part { Some(part.text.as_str()) } else { None }).collect();
                let why = match self.read(&text) {
                    Ok(value) => {
                        step.answer.structured = Some(value);
                        return Ok(None);
                    }
                    Err(why) => why,
                };
                let (error, again) = self.failed(Some(&why));
                let text = Form::reminder(&why, turn.model.info.tool_call);
                Ok(Some(if again { Next::Remind { text, error: Some(error) } } else { Next::End(End::Failed(error)) }))
            }
            _ => Ok(None),
        }
    }
}

/// The form that a turn's answer is to have, and how far it is.
pub struct Form {
    validator: Validator,
    schema: Value,
    /// What the tool takes: the schema, or an object with a field for the answer.
    parameters: Value,
    is_wrapped: bool,
    name: Option<String>,
    retries: u32,
    failures: AtomicU32,
    forces: AtomicBool,
    // Held for single assignments.
    given: Mutex<Option<Value>>,
    mistake: Mutex<Option<String>>,
}

impl Form {
    /// The form that a prompt asks for, if it asks for one.
    pub fn of(format: Option<&OutputFormat>) -> Result<Option<Self>, Error> {
        match format {
            None | Some(OutputFormat::Text(_)) => Ok(None),
            Some(OutputFormat::JsonSchema(format)) => Self::new(format).map(Some),
        }
    }

    fn new(format: &JsonSchemaFormat) -> Result<Self, Error> {
        let wrong = |field, message: String| Error::Params { field, message };
        let retries = format.retries.unwrap_or(DEFAULT_RETRIES);
        if retries > MAX_RETRIES {
            return Err(wrong("format.retries", format!("expected a number from 0 to {MAX_RETRIES}")));
        }
        let name = format.name.clone();
        if name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > MAX_NAME_CHARS || name.contains(char::is_control)) {
            return Err(wrong("format.name", format!("expected a name of 1 to {MAX_NAME_CHARS} characters in one line")));
        }
        let schema: Value = Value::Object(format.schema.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
        let validator = schema::compile(&schema).map_err(|message| wrong("format.schema", message))?;
        let is_wrapped = schema["type"] != "object";
        let mut parameters = schema.clone();
        if let Some(object) = parameters.as_object_mut() {
            object.remove("$schema");
        }
        if is_wrapped {
            move_references(&mut parameters);
            parameters =
                json!({ "type": "object", "properties": { FIELD: parameters }, "required": [FIELD], "additionalProperties": false });
        }
        Ok(Self {
            validator,
            schema,
            parameters,
            is_wrapped,
            name,
            retries,
            failures: AtomicU32::new(0),
            forces: AtomicBool::new(true),
            given: Mutex::default(),
            mistake: Mutex::default(),
        })
    }

    /// What the model is told beside its instructions.
    fn instruction(&self, calls_tools: bool) -> String {
        let what = self.name.as_ref().map(|name| format!(" (it is called {name:?})")).unwrap_or_default();
        if calls_tools {
            return format!(
                "The user wants the final answer{what} in a given form: give it by calling the tool `{TOOL}`, and not in words."
            );
        }
        format!(
            "The user wants the answer{what} as JSON: write nothing but one JSON value that satisfies this JSON Schema.\n\n{}",
            self.schema
        )
    }

    /// Whether the request failed because the service cannot force a tool call. Later requests do not force one.
    fn stops_forcing(&self, error: &ModelError) -> bool {
        let knows_not = matches!(error, ModelError::Status { status: 400 | 404 | 422 | 501, message, .. }
            if ["tool_choice", "tool choice", "toolconfig", "function_calling_config"].iter().any(|word| message.to_lowercase().contains(word)));
        knows_not && self.forces.swap(false, Ordering::Relaxed)
    }

    /// The answer that was given by a call, if one was.
    fn take(&self) -> Option<Value> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The answer in a text.
    fn read(&self, text: &str) -> Result<Value, String> {
        let text = text.rsplit_once("</think>").map_or(text, |(_, spoken)| spoken).trim();
        let value = candidates(text).find_map(|text| serde_json::from_str::<Value>(text).ok());
        let Some(value) = value else { return Err("it is not JSON".to_owned()) };
        self.fits(&value).map(|()| value)
    }

    fn fits(&self, value: &Value) -> Result<(), String> {
        schema::mistakes(&self.validator, value).map_or(Ok(()), Err)
    }

    /// Counts a failed attempt; returns its error, and whether the model may try again.
    fn failed(&self, why: Option<&str>) -> (MessageError, bool) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let mistake = self.mistake.lock().unwrap_or_else(PoisonError::into_inner).take();
        let why = why.map(str::to_owned).or(mistake).unwrap_or_else(|| "its arguments are not JSON".to_owned());
        let again = failures <= self.retries;
        let data = MessageErrorData {
            message: format!("the answer does not have the form that was asked for: {why}"),
            hint: (!again).then(|| "a simpler schema, another model or more `retries` may help".to_owned()),
            is_retryable: Some(again),
            retries: Some(failures - 1),
            ..MessageErrorData::default()
        };
        (MessageError { name: MessageErrorName::StructuredOutputError, data }, again)
    }

    /// What the model reads after a text that does not satisfy the schema.
    fn reminder(why: &str, calls_tools: bool) -> String {
        let what = if calls_tools { format!("call the tool `{TOOL}`") } else { "write nothing but the JSON".to_owned() };
        format!("<system-reminder>\nThat is not an answer in the form that the user wants: {why}. Now {what}.\n</system-reminder>")
    }
}

/// Rewrites references from the root to the place of the schema in the arguments.
fn move_references(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                match value {
                    Value::String(target) if key == "$ref" => *target = format!("#/properties/{FIELD}{}", target.trim_start_matches('#')),
                    value => move_references(value),
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(move_references),
        _ => {}
    }
}

/// Where JSON may be in a text of a model: alone, in a code block, inside prose.
fn candidates(text: &str) -> impl Iterator<Item = &str> {
    let block = text.split("```").nth(1).map(|block| block.strip_prefix("json").unwrap_or(block).trim());
    let among = text.find(['{', '[']).zip(text.rfind(['}', ']'])).filter(|(from, to)| from < to).map(|(from, to)| &text[from..=to]);
    [Some(text), block, among].into_iter().flatten()
}

#[async_trait]
impl AnyTool for Form {
    fn name(&self) -> &str {
        TOOL
    }

    fn description(&self) -> &str {
        DESCRIPTION
    }

    // It asks for nothing.
    fn permission(&self) -> &str {
        TOOL
    }

    fn parameters(&self) -> Value {
        self.parameters.clone()
    }

    fn check(&self, input: &Value) -> Result<Value, String> {
        let checked = match (self.is_wrapped, input.get(FIELD)) {
            (false, _) => self.fits(input),
            (true, Some(answer)) => self.fits(answer),
            (true, None) => Err(format!("the field `{FIELD}` is missing")),
        };
        checked.map(|()| input.clone()).map_err(|why| {
            *self.mistake.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
            format!("The answer does not satisfy the schema: {why}. Call `{TOOL}` again with an answer that does.")
        })
    }

    async fn call(&self, _: &ToolContext, input: Value) -> Result<ToolOutput, ToolError> {
        self.check(&input).map_err(ToolError::Failed)?;
        let answer = if self.is_wrapped { input[FIELD].clone() } else { input };
        // If a model gives two answers, the first counts.
        self.given.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(answer);
        let output = "The answer was given.".to_owned();
        Ok(ToolOutput::new(self.name.clone().unwrap_or_else(|| "Answer".to_owned()), output, json!({})))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::test_host::Place;

    fn form(format: Value) -> Result<Form, String> {
        let format: OutputFormat = serde_json::from_value(format).unwrap();
        Form::of(Some(&format)).map(Option::unwrap).map_err(|error| error.to_string())
    }

    fn person(retries: u32) -> Form {
        let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } }, "required": ["name"] });
        form(json!({ "type": "json_schema", "schema": schema, "retries": retries })).unwrap()
    }

    #[test]
    fn what_is_refused() {
        for (format, expected) in [
            (json!({ "schema": { "type": "objekt" } }), "`format.schema`: at /type: "),
            (json!({ "schema": {}, "retries": 11 }), "`format.retries`: expected a number from 0 to 10"),
            (json!({ "schema": {}, "name": "" }), "`format.name`: expected"),
        ] {
            let mut format = format;
            format["type"] = json!("json_schema");
            let error = form(format).map(drop).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        assert!(Form::of(None).unwrap().is_none());
        assert!(Form::of(Some(&serde_json::from_value(json!({ "type": "text" })).unwrap())).unwrap().is_none());
    }

    #[test]
    fn json_is_found_in_what_models_write() {
        let form = person(0);
        let ann = json!({ "name": "Ann" });
        for text in [
            r#"{"name": "Ann"}"#,
            "```json\n{\"name\": \"Ann\"}\n```",
            "Here it is:\n```\n{\"name\": \"Ann\"}\n```\nGood?",
            "The answer is {\"name\": \"Ann\"}.",
            "<think>{hm</think>{\"name\": \"Ann\"}",
        ] {
            assert_eq!(form.read(text), Ok(ann.clone()), "{text}");
        }
        assert_eq!(form.read("no idea"), Err("it is not JSON".to_owned()));
        assert!(form.read("{}").unwrap_err().contains("required"));
    }

    #[tokio::test]
    async fn an_answer_is_given_by_a_call() {
        let form = person(1);
        let context = Place::new().context;
        assert!(form.check(&json!({ "name": 1 })).unwrap_err().contains("at /name: "));
        assert!(matches!(form.call(&context, json!({})).await, Err(ToolError::Failed(_))));
        assert_eq!(form.take(), None);
        form.call(&context, json!({ "name": "Ann" })).await.unwrap();
        form.call(&context, json!({ "name": "Bob" })).await.unwrap();
        assert_eq!(form.take(), Some(json!({ "name": "Ann" })));
    }

    #[tokio::test]
    async fn an_answer_that_is_no_object_is_wrapped() {
        let form = form(
            json!({ "type": "json_schema", "schema": { "$ref": "#/$defs/list", "$defs": { "list": { "items": { "type": "integer" } } } } }),
        );
        let form = form.unwrap();
        let parameters = form.parameters();
        assert_eq!(parameters["properties"]["answer"]["$ref"], "#/properties/answer/$defs/list");
        assert!(jsonschema::validator_for(&parameters).unwrap().is_valid(&json!({ "answer": [1, 2] })));
        assert!(form.check(&json!([1])).is_err() && form.check(&json!({ "answer": ["x"] })).is_err());
        form.call(&Place::new().context, json!({ "answer": [1, 2] })).await.unwrap();
        assert_eq!(form.take(), Some(json!([1, 2])));
    }

    #[test]
    fn attempts_are_counted() {
        let form = person(1);
        assert!(form.check(&json!({})).is_err());
        let (error, again) = form.failed(None);
        assert!(again && error.data.message.contains("required") && error.data.retries == Some(0), "{error:?}");
        let (error, again) = form.failed(Some("it is not JSON"));
        assert!(!again && error.data.message.ends_with("it is not JSON") && error.data.retries == Some(1), "{error:?}");
    }

    #[test]
    fn a_service_that_cannot_force_is_not_asked_again() {
        let form = person(1);
        let error = |status, message: &str| ModelError::Status { status, message: message.to_owned(), retry_after: None };
        assert!(!form.stops_forcing(&error(400, "bad temperature")) && form.forces.load(Ordering::Relaxed));
        assert!(form.stops_forcing(&error(400, "`tool_choice` is not supported")) && !form.forces.load(Ordering::Relaxed));
        assert!(!form.stops_forcing(&error(400, "`tool_choice` is not supported")));
    }
}
