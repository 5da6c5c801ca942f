//! Summaries of a conversation. A summary is an answer, and for the model it takes the place of what came before it; the
//! store keeps everything. It is made before a step where little room is left, after a step that the service refused as too
//! long, or because the user asks for it.

mod limits;
mod plan;
mod prune;
mod transcript;
mod write;

use polytree_protocol::{
    events::{EventPayload, SessionOnly},
    id::MessageId,
    message::{AssistantMessage, Message, MessageError, MessageErrorData, MessageErrorName, MessageWithParts, Tokens},
    part::{CompactionPart, CompactionState, Part, RunningChild, StepStartPart},
};
use serde_json::{Value, json};

use self::{
    limits::{tail_tokens, threshold},
    plan::{Keep, Plan, REMINDER, is_said, plan},
    write::{Written, write},
};
use super::{
    next::{End, LoopState},
    request::{
        fit::{total, used},
        visible::{answer, is_compaction, last_summary, visible},
    },
    retries::retry_part,
    state::{Step, Turn},
};
use crate::{
    provider::definition::FinishReason,
    session::{Error, ResolvedModel, ids, sampling},
    stdx::time::now_ms,
    store::{Cause, Unit, end_part, new_answer},
};

/// Why a conversation is summarised.
enum Trigger {
    /// Little of the context is left.
    Threshold,
    /// The service has refused the request with this error; the answer that was begun becomes the summary.
    Overflow(Box<(MessageError, AssistantMessage)>),
    /// The user wants it.
    Asked,
}

/// How it went.
enum Compacted {
    Done,
    /// There is nothing to summarise.
    Nothing,
    /// With the error that stands in the summary.
    Failed(MessageError),
    Aborted,
}

/// Whether a model reads any answer of this conversation, whose messages are in order.
pub(in crate::session) fn has_answers(messages: &[MessageWithParts]) -> bool {
    visible(messages).messages.into_iter().any(is_said)
}

/// Whether the prompt of a turn asks for nothing but a summary.
pub(super) fn is_asked(history: &[MessageWithParts], prompt: &MessageId) -> bool {
    history.iter().any(|message| message.info.id() == prompt && is_compaction(message))
}

/// A turn that is nothing but a summary.
pub(super) async fn asked(turn: &Turn, history: &[MessageWithParts], last: &mut Option<MessageId>) -> Result<End, Error> {
    match compact(turn, history, Trigger::Asked, last).await? {
        Compacted::Done => Ok(End::Done),
        Compacted::Aborted => Ok(End::Aborted),
        Compacted::Failed(error) => Ok(End::Failed(error)),
        Compacted::Nothing => {
            let message = "there is nothing to summarise".to_owned();
            let error =
                MessageError { name: MessageErrorName::UnknownError, data: MessageErrorData { message, ..MessageErrorData::default() } };
            let mut answer = empty_answer(turn);
            answer.summary = true;
            *last = Some(answer.id.clone());
            fail(turn, answer, error.clone()).await?;
            Ok(End::Failed(error))
        }
    }
}

/// Summarises the conversation before a step for which little room is left. Returns how the turn ends, if it does.
pub(super) async fn before_step(
    turn: &Turn,
    state: &mut LoopState,
    history: &mut Vec<MessageWithParts>,
    last: &mut Option<MessageId>,
) -> Result<Option<End>, Error> {
    let Some(threshold) = threshold_of(turn).filter(|_| turn.workspace.compaction.auto && !state.summary_failed) else {
        return Ok(None);
    };
    // Right after a summary nothing is known of what it has brought.
    let is_summarised = last_summary(history).is_some_and(|place| place + 1 == history.len());
    if is_summarised || used(history, &turn.model.reference) < threshold || !may_begin(turn, now_ms()) {
        return Ok(None);
    }
    match compact(turn, history, Trigger::Threshold, last).await? {
        Compacted::Done => extend(turn, history, last.as_ref()).await?,
        Compacted::Aborted => return Ok(Some(aborted(turn))),
        // There is still room: the service is asked.
        Compacted::Failed(_) => state.summary_failed = true,
        Compacted::Nothing => {}
    }
    Ok(None)
}

/// Summarises the conversation that the service has refused as too long. Returns how the turn ends, if it does.
pub(super) async fn after_overflow(
    turn: &Turn,
    history: &mut Vec<MessageWithParts>,
    answer: AssistantMessage,
    error: MessageError,
    last: &mut Option<MessageId>,
) -> Result<Option<End>, Error> {
    match compact(turn, history, Trigger::Overflow(Box::new((error.clone(), answer.clone()))), last).await? {
        Compacted::Done => {
            extend(turn, history, last.as_ref()).await?;
            Ok(None)
        }
        Compacted::Aborted => Ok(Some(aborted(turn))),
        Compacted::Failed(error) => Ok(Some(End::Failed(error))),
        Compacted::Nothing => {
            let mut error = error;
            error.data.hint = Some(format!(
                "the prompt and the instructions alone are longer than the context of {}: shorten or split the prompt, attach less, or use a model with a longer context",
                turn.model.reference
            ));
            fail(turn, answer, error.clone()).await?;
            Ok(Some(End::Failed(error)))
        }
    }
}

/// How a turn ends whose summary was aborted. When the daemon shuts down, its prompt is taken up by the next one, as after a
/// crash.
fn aborted(turn: &Turn) -> End {
    if turn.shared.is_shutting_down() { End::Suspended } else { End::Aborted }
}

/// Stops sending old outputs of tools, where the settings want it.
pub(super) async fn prune_old(turn: &Turn, history: &mut [MessageWithParts]) -> Result<(), Error> {
    if !turn.workspace.compaction.prune {
        return Ok(());
    }
    let changed = prune::prune(history, now_ms());
    if changed.is_empty() {
        return Ok(());
    }
    Ok(turn.shared.store.commit(changed.into_iter().fold(turn.unit(), Unit::part)).await?)
}

/// Whether a summary would help where the service refuses the conversation as too long.
pub(super) fn is_possible(turn: &Turn, history: &[MessageWithParts]) -> bool {
    turn.workspace.compaction.auto
        && may_begin(turn, now_ms())
        && plan(history, Some(&turn.prompt()), keep(turn), &turn.model.reference).is_some()
}

/// Whether summaries of the session have helped so far.
pub(super) fn may_begin(turn: &Turn, now: i64) -> bool {
    !turn.shared.breaker(&turn.session.id, |breaker| breaker.is_open(now))
}

/// Whether a call that used so many tokens stayed under the threshold.
pub(super) fn has_room(turn: &Turn, tokens: &Tokens) -> bool {
    threshold_of(turn).zip(total(tokens)).is_none_or(|(threshold, used)| used < threshold)
}

/// The metadata of a text that is only made for the model.
pub(super) fn reminder() -> Value {
    json!({ REMINDER: true })
}

fn threshold_of(turn: &Turn) -> Option<u64> {
    let output = sampling::sampling(&turn.user, &turn.agent, &turn.model).max_output_tokens;
    threshold(turn.model.info.limit.context, output, turn.workspace.compaction.reserved)
}

fn keep(turn: &Turn) -> Keep {
    Keep { turns: turn.workspace.compaction.tail_turns as usize, tokens: tail_tokens(threshold_of(turn)) }
}

/// Adds a summary to the conversation that the turn knows.
async fn extend(turn: &Turn, history: &mut Vec<MessageWithParts>, summary: Option<&MessageId>) -> Result<(), Error> {
    if let Some(id) = summary {
        history.extend(turn.stored(id).await?);
    }
    Ok(())
}

/// Summarises a conversation. `last` is the id of the summary then.
async fn compact(turn: &Turn, history: &[MessageWithParts], trigger: Trigger, last: &mut Option<MessageId>) -> Result<Compacted, Error> {
    let prompt = turn.prompt();
    let is_asked = matches!(trigger, Trigger::Asked);
    let Some(plan) = plan(history, Some(&prompt).filter(|_| !is_asked), keep(turn), &turn.model.reference) else {
        return Ok(Compacted::Nothing);
    };
    if !is_asked {
        turn.shared.breaker(&turn.session.id, |breaker| breaker.begin(now_ms()));
    }
    let models = models(turn, is_asked).await;
    let answer = begin(turn, history, &trigger, &plan, &models[0]).await?;
    *last = Some(answer.id.clone());
    let written = write(turn, &answer.id, &plan.head, &models).await?;
    // There were no tools to call.
    let open = turn.stored(&answer.id).await?.map(|message| message.parts).unwrap_or_default();
    let open = open.into_iter().filter_map(|mut part| end_part(&mut part, &Cause::Abort, now_ms()).then_some(part));
    match written {
        Written::Aborted => {
            turn.abort(answer).await?;
            Ok(Compacted::Aborted)
        }
        Written::Done { model, reason, tokens } => {
            let answer =
                AssistantMessage { provider_id: model.reference.provider_id.clone(), model_id: model.reference.model_id.clone(), ..answer };
            let unit = turn.ended(Step { tokens, ..Step::new(answer, reason) }, None, false, &model.info.cost);
            let compacted = EventPayload::SessionCompacted(SessionOnly { session_id: turn.session.id.clone() });
            turn.shared.store.commit(open.fold(unit, Unit::part).event(compacted)).await?;
            Ok(Compacted::Done)
        }
        Written::Failed { model, error, tokens } => {
            let (error, is_told) = match trigger {
                Trigger::Asked => (error, true),
                Trigger::Threshold => (error, false),
                Trigger::Overflow(refused) => {
                    let (mut original, _) = *refused;
                    original.data.hint = Some(format!("the conversation could not be summarised: {}", error.data.message));
                    (original, true)
                }
            };
            let step = Step { tokens, ..Step::new(answer, FinishReason::Other) };
            let unit = turn.ended(step, Some(error.clone()), is_told, &model.info.cost);
            turn.shared.store.commit(open.fold(unit, Unit::part)).await?;
            Ok(Compacted::Failed(error))
        }
    }
}

/// The models that are to write a summary, the next one where one fails.
async fn models(turn: &Turn, is_asked: bool) -> Vec<ResolvedModel> {
    let own = turn.model.reference.clone();
    let references = if is_asked {
        // The prompt has the one that was chosen.
        vec![Some(own), turn.session.model.clone()]
    } else {
        vec![turn.workspace.summary_model().cloned(), Some(own)]
    };
    let mut models: Vec<ResolvedModel> = Vec::new();
    for reference in references.into_iter().flatten() {
        if models.iter().any(|model| model.reference == reference) {
            continue;
        }
        turn.workspace.models.prepare(&reference).await;
        match turn.workspace.models.resolve(&reference) {
            Ok(model) => models.push(model),
            Err(error) => tracing::warn!(%error, "a model for summaries cannot be used"),
        }
    }
    if models.is_empty() {
        models.push(turn.model.clone());
    }
    models
}

fn empty_answer(turn: &Turn) -> AssistantMessage {
    let checkout = &turn.workspace.checkout;
    let mut answer = new_answer(&turn.user, &checkout.directory.to_string(), &checkout.worktree.to_string());
    answer.parent_id = turn.prompt();
    answer
}

/// Stores the summary, which is empty still, and what is known of it.
async fn begin(
    turn: &Turn,
    history: &[MessageWithParts],
    trigger: &Trigger,
    plan: &Plan<'_>,
    model: &ResolvedModel,
) -> Result<AssistantMessage, Error> {
    let (open, overflow) = match trigger {
        Trigger::Overflow(refused) => (Some(refused.1.clone()), Some(&refused.0)),
        _ => (None, None),
    };
    let is_new = open.is_none();
    let mut summary = open.unwrap_or_else(|| empty_answer(turn));
    summary.summary = true;
    (summary.provider_id, summary.model_id) = (model.reference.provider_id.clone(), model.reference.model_id.clone());
    summary.variant = None;
    // What was planned last is still a plan.
    if let Some(last) = history.iter().rev().find_map(answer) {
        (summary.agent, summary.mode) = (last.agent.clone(), last.mode.clone());
    }
    let mut unit = turn.unit().message(Message::Assistant(summary.clone()));
    let (session_id, message_id) = (turn.session.id.clone(), summary.id.clone());
    if is_new {
        let (session_id, message_id) = (session_id.clone(), message_id.clone());
        unit = unit.part(Part::StepStart(StepStartPart { id: ids::part_id(), session_id, message_id, snapshot: None }));
    } else if let (Some(error), Some(stored)) = (overflow, turn.stored(&summary.id).await?)
        && stored.parts.iter().any(|part| matches!(part, Part::Text(_)))
    {
        // What came before the refusal is no part of the summary.
        unit = unit.part(Part::Retry(retry_part(turn, &summary.id, 1, error)));
    }
    let part = CompactionPart {
        id: ids::part_id(),
        session_id,
        message_id,
        auto: !matches!(trigger, Trigger::Asked),
        overflow: overflow.is_some(),
        tail_start_id: plan.tail_start.clone(),
        state: state(turn).await?,
    };
    // A prompt that asks for a summary has the part already.
    let mut own = history.iter().filter(|message| message.info.id() == &turn.user.id).flat_map(|message| &message.parts);
    let asked = own.find_map(|part| if let Part::Compaction(part) = part { Some(part.clone()) } else { None });
    let part = match asked.filter(|_| matches!(trigger, Trigger::Asked)) {
        Some(CompactionPart { id, message_id, .. }) => CompactionPart { id, message_id, ..part },
        None => part,
    };
    turn.shared.store.commit(unit.part(Part::Compaction(part))).await?;
    Ok(summary)
}

/// What the model is told beside a summary.
async fn state(turn: &Turn) -> Result<CompactionState, Error> {
    let store = &turn.shared.store;
    let todos = store.todos(turn.session.id.clone()).await?;
    let busy = turn.shared.statuses.all();
    let children = store.children(turn.session.id.clone()).await?.into_iter();
    let children = children.filter(|child| busy.iter().any(|(id, _)| *id == child.id));
    let children = children.map(|child| RunningChild { session_id: child.id, title: child.title }).collect();
    Ok(CompactionState { todos, children })
}

/// Ends an answer with an error that clients are told of.
async fn fail(turn: &Turn, answer: AssistantMessage, error: MessageError) -> Result<(), Error> {
    let unit = turn.ended(Step::new(answer, FinishReason::Other), Some(error), true, &turn.model.info.cost);
    Ok(turn.shared.store.commit(unit).await?)
}
