//! Forks, and conversations that leave the daemon and come back. Every copy has ids of its own, and in a copy nothing runs.

use std::collections::{HashMap, HashSet};

use polytree_protocol::{
    export::{EXPORT_FORMAT, SessionExport},
    id::{MessageId, PartId, ProjectId, SessionId},
    message::{Message, MessageWithParts, PromptState, Tokens},
    part::Part,
    permission::Action,
    session::{Session, SessionTime},
};

use super::{Error, Place, Sessions, title};
use crate::{
    permission::rules,
    stdx::{ids, time::now_ms, version::version},
    store::{Cause, Conversation, Copied, end_part, without_undone},
};

/// The largest conversation that is copied at once, in bytes as stored.
const MAX_FORK_BYTES: u64 = 256 * 1024 * 1024;
/// The largest conversation that one answer holds. No door lets a longer message through.
const MAX_EXPORT_BYTES: u64 = 32 * 1024 * 1024;

/// Where an imported session is created, and what the call was.
#[derive(Debug, Clone)]
pub struct NewCopy {
    /// The id that the client chose.
    pub id: Option<SessionId>,
    /// A digest of what the client asked for, to recognise the same call again.
    pub digest: String,
}

impl Sessions {
    /// Copies a conversation, up to a message, into a new session in the same directory. What it cost is not copied: it was
    /// not spent again.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], [`Error::UnknownMessage`], [`Error::TooLarge`], [`Error::Conflict`] for an id in other use.
    pub async fn fork(&self, id: &SessionId, before: Option<MessageId>, new: NewCopy) -> Result<Session, Error> {
        let Conversation { session: source, place, messages, todos } = self.copied(id, before, MAX_FORK_BYTES).await?;
        let now = now_ms();
        let session = Session {
            title: fork_title(&source.title),
            parent_id: None,
            task: None,
            version: version().to_owned(),
            share: None,
            revert: None,
            cost: 0.0,
            tokens: Tokens::default(),
            time: SessionTime { created: now, updated: now, archived: None },
            ..source
        };
        self.insert(Conversation { session, place, messages, todos }, new).await
    }

    /// The whole conversation, but for a turn that runs, prompts that wait, and what is undone.
    ///
    /// # Errors
    /// [`Error::UnknownSession`], [`Error::TooLarge`].
    pub async fn export(&self, id: &SessionId) -> Result<SessionExport, Error> {
        let Conversation { messages, todos, .. } = self.copied(id, None, MAX_EXPORT_BYTES).await?;
        let session = Session { revert: None, task: None, ..self.get(id).await? };
        Ok(SessionExport { format: EXPORT_FORMAT, session, messages, todos })
    }

    /// Creates a session from an exported conversation. The file is not trusted: it grants nothing, and what is not whole is
    /// refused with the place at fault.
    ///
    /// # Errors
    /// [`Error::Params`] for a conversation that is not whole, [`Error::Conflict`] for an id in other use.
    pub async fn import(
        &self,
        export: SessionExport,
        project_id: ProjectId,
        directory: String,
        place: Place,
        new: NewCopy,
    ) -> Result<Session, Error> {
        check(&export).map_err(|message| Error::Params { field: "session", message })?;
        rules::check(&export.session.permission).map_err(|message| Error::Params { field: "session", message })?;
        let SessionExport { session: source, mut messages, todos, .. } = export;
        let now = now_ms();
        for message in &mut messages {
            if let Message::Assistant(answer) = &mut message.info {
                answer.time.completed.get_or_insert(now);
            }
            for part in &mut message.parts {
                end_part(part, &Cause::Restart, now);
            }
        }
        let session = Session {
            project_id,
            directory,
            missing: false,
            title: Some(title::given(&source.title)).filter(|title| !title.is_empty()).unwrap_or_else(|| title::default_title(false, now)),
            parent_id: None,
            task: None,
            hidden: false,
            mode: None,
            // A file grants nothing; its denies stay.
            permission: source.permission.iter().filter(|rule| rule.action == Action::Deny).cloned().collect(),
            share: None,
            revert: None,
            time: SessionTime { updated: now, ..source.time },
            ..source
        };
        self.insert(Conversation { session, place, messages, todos }, new).await
    }

    async fn copied(&self, id: &SessionId, before: Option<MessageId>, limit: u64) -> Result<Conversation, Error> {
        match self.shared.store.copy(id.clone(), before.clone(), limit).await? {
            Copied::Conversation(mut conversation) => {
                // What is undone is not part of the conversation.
                if let Some(revert) = &conversation.session.revert {
                    conversation.messages = without_undone(conversation.messages, &revert.message_id, revert.part_id.as_ref());
                }
                Ok(*conversation)
            }
            Copied::NoSession => Err(Error::UnknownSession(id.clone())),
            Copied::NoMessage => Err(Error::UnknownMessage(before.unwrap_or_default())),
            Copied::TooLarge => Err(Error::TooLarge {
                what: "the conversation is too long; name an earlier message, or read it in pages with session.messages".to_owned(),
                limit,
            }),
        }
    }

    async fn insert(&self, mut copy: Conversation, new: NewCopy) -> Result<Session, Error> {
        let chosen = new.id.is_some();
        let id = new.id.unwrap_or_else(|| SessionId::from_ulid(ids::next()));
        copy.session.id = id.clone();
        copy.messages = renumbered(copy.messages, &id);
        let created = self.shared.store.create_copy(copy, new.digest, chosen).await?;
        self.created(created, id, None).await
    }
}

/// The messages with new ids, in their order.
fn renumbered(messages: Vec<MessageWithParts>, session: &SessionId) -> Vec<MessageWithParts> {
    let new_ids: HashMap<MessageId, MessageId> =
        messages.iter().map(|message| (message.info.id().clone(), MessageId::from_ulid(ids::next()))).collect();
    let renumber = |MessageWithParts { mut info, parts, cursor }| {
        let id = new_ids[info.id()].clone();
        match &mut info {
            Message::User(user) => {
                (user.id, user.session_id, user.state) = (id.clone(), session.clone(), PromptState::Answered);
                user.answered_with = user.answered_with.take().and_then(|with| new_ids.get(&with).cloned());
            }
            Message::Assistant(answer) => {
                (answer.id, answer.session_id) = (id.clone(), session.clone());
                if let Some(parent) = new_ids.get(&answer.parent_id) {
                    answer.parent_id = parent.clone();
                }
            }
        }
        let parts =
            parts.into_iter().map(|part| part_of_copy(part, &new_ids).moved(PartId::from_ulid(ids::next()), &id, session)).collect();
        MessageWithParts { info, parts, cursor }
    };
    messages.into_iter().map(renumber).collect()
}

/// A part as it is in a copy, whose messages have these ids.
fn part_of_copy(mut part: Part, new_ids: &HashMap<MessageId, MessageId>) -> Part {
    match &mut part {
        // A copy must not undo what another session changed.
        Part::Patch(patch) => patch.hash.clear(),
        Part::Compaction(compaction) => {
            compaction.tail_start_id = compaction.tail_start_id.take().and_then(|old| new_ids.get(&old).cloned());
            // They are not children of the copy.
            compaction.state.children.clear();
        }
        _ => {}
    }
    part
}

/// What is wrong with an imported conversation, if anything.
fn check(export: &SessionExport) -> Result<(), String> {
    if export.format != EXPORT_FORMAT {
        return Err(format!("format {} is not known; this version reads format {EXPORT_FORMAT}", export.format));
    }
    let (mut known, mut prompts) = (HashSet::new(), HashSet::new());
    for (index, message) in export.messages.iter().enumerate() {
        let id = message.info.id();
        if !known.insert(id) {
            return Err(format!("messages[{index}]: the id {id} occurs twice"));
        }
        match &message.info {
            Message::User(_) => {
                prompts.insert(id);
            }
            Message::Assistant(answer) if !prompts.contains(&answer.parent_id) => {
                return Err(format!("messages[{index}]: it answers {}, which is not among the messages before it", answer.parent_id));
            }
            Message::Assistant(answer) if answer.cost < 0.0 => return Err(format!("messages[{index}]: its cost is negative")),
            Message::Assistant(_) => {}
        }
    }
    if export.session.cost < 0.0 { Err("session.cost is negative".to_owned()) } else { Ok(()) }
}

/// `TITLE (fork #N)`, as opencode names forks.
fn fork_title(title: &str) -> String {
    let numbered = title.strip_suffix(')').and_then(|title| title.rsplit_once(" (fork #"));
    let (base, number) = match numbered.and_then(|(base, number)| Some((base, number.parse::<u32>().ok()?))) {
        Some((base, number)) => (base, number.saturating_add(1)),
        None => (title, 1),
    };
    format!("{} (fork #{number})", title::given(base))
}

#[cfg(test)]
mod tests {
    use super::fork_title;

    #[test]
    fn forks_are_counted_in_the_title() {
        let titles = ["Parser", "Parser (fork #1)", "Parser (fork #41)", "Parser (fork #x)", "(fork #2)"].map(fork_title);
        assert_eq!(
            titles,
            ["Parser (fork #1)", "Parser (fork #2)", "Parser (fork #42)", "Parser (fork #x) (fork #1)", "(fork #2) (fork #1)"]
        );
    }
}
