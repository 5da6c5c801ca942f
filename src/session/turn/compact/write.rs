//! The model call that writes a summary: tried again where that may help, with less of the conversation where it is too long,
//! and with the next model where one fails for good.

use polytree_protocol::{
    id::MessageId,
    message::{MessageError, Tokens},
    part::Part,
};

use super::transcript::transcript;
use crate::{
    provider::{
        definition::{Error as ModelError, FinishReason, ModelMessage, ModelRequest, UserContent},
        retry::Failures,
    },
    session::{
        Error, ResolvedModel, ids,
        turn::{
            failure::message_error,
            request::{
                fit::{BYTES_PER_TOKEN, fit},
                visible::Visible,
            },
            retries::{jitter, put, retry_part, wait_for_retry},
            state::Turn,
            stream::{Fold, Streamed, stream},
        },
    },
    store::usage,
};

const PROMPT: &str = include_str!("prompt.md");

/// The longest answer, with thinking, where the model's own limit is not lower.
const MAX_OUTPUT_TOKENS: u64 = 16_000;
/// How often the conversation is halved for a service that refuses it as too long.
const MAX_HALVINGS: u32 = 4;

pub enum Written {
    Done {
        model: ResolvedModel,
        reason: FinishReason,
        tokens: Tokens,
    },
    /// The last model has failed for good.
    Failed {
        model: ResolvedModel,
        error: MessageError,
        tokens: Tokens,
    },
    Aborted,
}

/// Writes a summary of the head of a conversation into a message. There is at least one model.
pub async fn write(turn: &Turn, message: &MessageId, head: &Visible<'_>, models: &[ResolvedModel]) -> Result<Written, Error> {
    let mut tokens = Tokens::default();
    let mut models = models.iter().peekable();
    loop {
        let model = models.next().expect("there is at least one model, and the last one returns");
        let (mut failures, mut halvings) = (Failures::default(), 0);
        let mut text = transcript(head, room(model));
        let error = loop {
            let mut fold = Fold::new(turn.session.id.clone(), message.clone(), ids::part_id);
            let error = match stream(turn, model, message, request(turn, model, &text), &mut fold).await? {
                Streamed::Aborted => return Ok(Written::Aborted),
                Streamed::Failed(error) => error,
                Streamed::Finished(reason, more) => {
                    usage::add(&mut tokens, &more);
                    match reason {
                        FinishReason::ContentFilter => {
                            ModelError::ContentFilter { message: format!("the service of {} withheld the summary", model.reference) }
                        }
                        _ if fold.has_text => return Ok(Written::Done { model: model.clone(), reason, tokens }),
                        _ => ModelError::Empty { message: format!("{} wrote no summary", model.reference) },
                    }
                }
            };
            let told = message_error(&error, &model.reference, model.unset.as_deref());
            let attempt = failures.count() + halvings + 1;
            if matches!(error, ModelError::ContextOverflow { .. }) && halvings < MAX_HALVINGS {
                halvings += 1;
                text = transcript(head, text.len() / 2);
                put(turn, Part::Retry(retry_part(turn, message, attempt, &told))).await?;
                continue;
            }
            let Some(wait) = failures.add(&error, jitter()) else { break told };
            if !wait_for_retry(turn, message, attempt, &told, wait).await? {
                return Ok(Written::Aborted);
            }
        };
        if models.peek().is_none() {
            return Ok(Written::Failed { model: model.clone(), error, tokens });
        }
        put(turn, Part::Retry(retry_part(turn, message, failures.count(), &error))).await?;
    }
}

fn longest(model: &ResolvedModel) -> u64 {
    match model.info.limit.output {
        0 => MAX_OUTPUT_TOKENS,
        limit => limit.min(MAX_OUTPUT_TOKENS),
    }
}

/// How many bytes of a conversation the model can read.
fn room(model: &ResolvedModel) -> usize {
    let context = model.info.limit.context;
    if context == 0 {
        return usize::MAX;
    }
    let tokens = context - longest(model).min(context / 4);
    let bytes = (tokens * BYTES_PER_TOKEN).saturating_sub(PROMPT.len() as u64);
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn request(turn: &Turn, model: &ResolvedModel, text: &str) -> ModelRequest {
    let prompt = turn.workspace.summary_prompt().unwrap_or(PROMPT);
    let mut request = ModelRequest {
        model: model.reference.clone(),
        info: model.info.clone(),
        system: vec![prompt.trim().to_owned()],
        messages: vec![ModelMessage::User(vec![UserContent::Text(text.to_owned())])],
        tools: Vec::new(),
        temperature: None,
        top_p: None,
        max_output_tokens: 0,
        options: model.options.clone(),
        // The conversation has a cache of its own.
        cache_key: format!("{}-summary", turn.session.id),
    };
    fit(&mut request, longest(model), &[]);
    request
}
