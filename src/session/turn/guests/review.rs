//! Tells clients what a step has changed in files, hunk by hunk, and the model what the user decided about its changes.

use std::sync::{
    OnceLock,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use polytree_protocol::{
    message::MessageWithParts,
    part::{Part, StepStartPart},
};

use crate::{
    provider::definition::ModelRequest,
    session::{
        Error, review,
        turn::{
            next::{Next, StepEnd},
            request::remind,
            state::{Guest, Step, Turn},
        },
    },
};

#[derive(Default)]
struct Review {
    /// What the model is told in this turn.
    told: OnceLock<Option<String>>,
    /// Whether a model call has succeeded.
    is_read: AtomicBool,
}

impl Review {
    /// Decisions count as told when a model call with them has succeeded.
    async fn note(&self, turn: &Turn, ended: &StepEnd) -> Result<(), Error> {
        if self.told.get().is_none_or(Option::is_none) || self.is_read.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (store, session, prompt) = (&turn.shared.store, turn.session.id.clone(), turn.user.id.clone());
        if matches!(ended, StepEnd::Failed { .. } | StepEnd::Aborted) {
            store.untell_reviews(session, prompt).await?;
        } else {
            self.is_read.store(true, Ordering::Relaxed);
            // An earlier call of this turn may have failed.
            store.tell_reviews(session, prompt).await?;
        }
        Ok(())
    }
}

pub(super) fn join() -> Box<dyn Guest> {
    Box::new(Review::default())
}

#[async_trait]
impl Guest for Review {
    async fn before_step(&self, turn: &Turn, _: &mut Vec<MessageWithParts>, _: &mut StepStartPart) -> Result<(), Error> {
        if self.told.get().is_none() {
            let reviews = turn.shared.store.tell_reviews(turn.session.id.clone(), turn.user.id.clone()).await?;
            let _ = self.told.set(review::told(&reviews));
        }
        Ok(())
    }

    fn before_request(&self, _: &Turn, _: &[MessageWithParts], request: &mut ModelRequest) {
        if let Some(Some(text)) = self.told.get() {
            remind(request, text);
        }
    }

    async fn after_step(&self, turn: &Turn, step: &mut Step, ended: &StepEnd) -> Result<Option<Next>, Error> {
        self.note(turn, ended).await?;
        if *ended == StepEnd::Answered {
            return Ok(None);
        }
        let parts = turn.stored(&step.answer.id).await?.map(|message| message.parts).unwrap_or_default();
        let mut paths: Vec<String> =
            parts.into_iter().flat_map(|part| if let Part::Patch(patch) = part { patch.files } else { Vec::new() }).collect();
        paths.sort_unstable();
        paths.dedup();
        // It is only told: clients can ask.
        if let Err(error) = review::tell(&turn.shared, &turn.session, &paths).await {
            tracing::warn!(%error, "the hunks of files cannot be announced");
        }
        Ok(None)
    }
}
