//! What a session has changed in each file, in order, with what the user decided meanwhile.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    path::Path,
};

use polytree_protocol::{
    hunk::HunkState,
    id::{HunkId, MessageId, PartId},
    part::PatchPart,
};
use serde::{Deserialize, Serialize};

use super::text::{Text, id};
use crate::{
    git::objects::Id,
    session::patch,
    snapshot::{Objects, State},
    stdx::paths::AbsPath,
};

/// A larger file is reviewed as a whole.
const MAX_FILE: u64 = 2 * 1024 * 1024;

/// A decision about hunks of one file.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Relative to the top of the checkout, or absolute outside of it.
    pub path: String,
    /// The last change of the session before it.
    pub after: Option<PartId>,
    /// The text about which it was decided; without it there was no file.
    pub text: Option<Id>,
    /// The text that it left.
    pub result: Option<Id>,
    /// It is about the whole file, and not about lines.
    #[serde(default)]
    pub is_whole: bool,
    pub verdicts: Vec<Verdict>,
}

/// What was decided about one hunk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Verdict {
    pub id: HunkId,
    pub state: HunkState,
    /// For the model: the line in the text, from 1, and the beginning of the lines before and after.
    pub line: usize,
    pub before: String,
    pub after: String,
}

/// What happened to a file.
#[derive(Debug, Clone)]
enum Event {
    /// The session has changed it, with the part of this number.
    Changed {
        part: usize,
        before: State,
        after: State,
    },
    Decided(Record),
}

/// The tool call and message of a change.
#[derive(Debug, Clone)]
pub struct Origin {
    pub message: MessageId,
    pub call: Option<String>,
    part: PartId,
}

/// The history of one file.
#[derive(Debug, Clone)]
pub struct Chain {
    pub path: AbsPath,
    /// Relative to the top of the checkout, so that hunks keep their ids where it moves.
    name: String,
    events: Vec<Event>,
    /// The number of parent directories that the session created with it.
    pub new_directories: u32,
}

/// The files that a session has changed.
#[derive(Debug, Default)]
pub struct Chains {
    pub files: Vec<Chain>,
    /// The changes, by their numbers.
    pub origins: Vec<Origin>,
}

/// A file as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Now {
    Absent,
    Text(String),
    /// It cannot be compared line by line.
    Other,
}

/// How a file is reviewed.
pub enum View<'a> {
    Text(Text<'a>),
    /// As one hunk, with its id and its state.
    Whole(HunkId, HunkState),
}

impl Chains {
    /// The files of these parts, or `only` some of them. `records` are all decisions, oldest first.
    pub fn load(root: &AbsPath, parts: &[PatchPart], records: &[Record], only: Option<&[AbsPath]>, objects: &Objects) -> Self {
        let mut files: BTreeMap<AbsPath, Chain> = BTreeMap::new();
        let decide = |files: &mut BTreeMap<AbsPath, Chain>, after: Option<&PartId>| {
            for record in records.iter().filter(|record| record.after.as_ref() == after) {
                if let Some(file) = files.get_mut(&root.join(&record.path)) {
                    file.events.push(Event::Decided(record.clone()));
                }
            }
        };
        let mut origins = Vec::new();
        for patch in parts {
            let part = origins.len();
            origins.push(Origin { message: patch.message_id.clone(), call: patch.call_id.clone(), part: patch.id.clone() });
            let changes = if may_change(patch, only) { patch::changes(root, patch, objects) } else { Vec::new() };
            for change in changes.into_iter().filter(|change| only.is_none_or(|only| only.contains(&change.path))) {
                let path = change.path.clone();
                let file = files.entry(path.clone()).or_insert_with(|| Chain {
                    name: path.relative_to(root),
                    path,
                    events: Vec::new(),
                    new_directories: change.new_directories,
                });
                file.events.push(Event::Changed { part, before: change.before, after: change.after });
            }
            decide(&mut files, Some(&patch.id));
        }
        Self { files: files.into_values().collect(), origins }
    }

    /// The last change of the session.
    pub fn last(&self) -> Option<PartId> {
        self.origins.last().map(|origin| origin.part.clone())
    }
}

/// Whether a part may be about one of these files: their directories may have moved since.
fn may_change(patch: &PatchPart, only: Option<&[AbsPath]>) -> bool {
    let Some(only) = only else { return true };
    let names: Vec<_> = only.iter().filter_map(|path| path.as_path().file_name()).collect();
    let mut files = patch.files.iter().chain(&patch.uncovered);
    files.any(|file| Path::new(file).file_name().is_some_and(|name| names.contains(&name)))
}

impl Chain {
    /// The state before the session.
    pub fn first(&self) -> &State {
        self.changes().next().map_or(&State::Absent, |(_, before, _)| before)
    }

    /// The state that the session left.
    pub fn last(&self) -> &State {
        self.changes().last().map_or(&State::Absent, |(_, _, after)| after)
    }

    /// The number of the last change.
    pub fn last_change(&self) -> usize {
        self.changes().last().map_or(0, |(part, ..)| part)
    }

    fn changes(&self) -> impl Iterator<Item = (usize, &State, &State)> {
        self.events.iter().filter_map(|event| match event {
            Event::Changed { part, before, after } => Some((*part, before, after)),
            Event::Decided(_) => None,
        })
    }

    /// The file by its history and its present state; `None` where nothing is left to review.
    pub fn view<'a>(&self, origins: &[Origin], now: &'a Now, contents: &'a Contents) -> Option<View<'a>> {
        if *now == Now::Absent && *self.last() != State::Absent && *self.first() != State::Absent {
            // Somebody else has deleted it.
            return None;
        }
        let text = match now {
            Now::Other => None,
            Now::Absent => self.replay(origins, "", contents),
            Now::Text(text) => self.replay(origins, text, contents),
        };
        let same_text = || contents.of(self.first()).is_some() && contents.of(self.first()) == contents.of(self.last());
        match text {
            Some(text) if text.pieces().next().is_some() || !same_text() || self.first().is_same(self.last()) => Some(View::Text(text)),
            // Nothing but its mode or its existence has changed, or it is not text.
            _ => self.whole(origins, now),
        }
    }

    fn whole<'a>(&self, origins: &[Origin], now: &Now) -> Option<View<'a>> {
        if self.first().is_same(self.last()) || (*now == Now::Absent && *self.last() != State::Absent && *self.first() != State::Absent) {
            return None;
        }
        let part = &origins[self.last_change()].part;
        let id = id(&format!("{part}\n{}\nwhole", self.name));
        let decided = self.events.iter().rev().find_map(|event| match event {
            Event::Decided(record) => record.verdicts.iter().find(|verdict| verdict.id == id).map(|verdict| verdict.state),
            Event::Changed { .. } => None,
        });
        // Once its contents were removed, nobody knows which hunks it had.
        let of_lines = || match self.events.last() {
            Some(Event::Decided(record)) if matches!(self.first(), State::Unknown { .. }) => Some(record.verdicts.first()?.state),
            _ => None,
        };
        Some(View::Whole(id, decided.or_else(of_lines).unwrap_or(HunkState::Open)))
    }

    /// The pieces after all that happened; `None` if a text is missing or is none.
    fn replay<'a>(&self, origins: &[Origin], now: &'a str, contents: &'a Contents) -> Option<Text<'a>> {
        let mut text = Text::new(contents.of(self.first())?);
        for event in &self.events {
            match event {
                Event::Changed { part, before, after } => {
                    text.by_others(contents.of(before)?);
                    text.by_session(contents.of(after)?, *part, &format!("{}\n{}", origins[*part].part, self.name));
                }
                Event::Decided(record) if record.is_whole => {}
                Event::Decided(record) => {
                    // Without its texts a decision does not count.
                    let (Some(before), Some(after)) = (contents.text(record.text), contents.text(record.result)) else { continue };
                    text.by_others(before);
                    for verdict in &record.verdicts {
                        // A hunk that is not there any more was changed since.
                        let _ = text.decide(&verdict.id, verdict.state);
                    }
                    text.by_others(after);
                }
            }
        }
        text.by_others(now);
        Some(text)
    }
}

/// The texts of a file's history.
pub struct Contents(HashMap<Id, String>);

impl Contents {
    pub fn load(chain: &Chain, objects: &Objects) -> Self {
        let mut texts = HashMap::new();
        let mut add = |id: Id| {
            if let Entry::Vacant(free) = texts.entry(id)
                && let Some(text) = objects.read(id).and_then(text)
            {
                free.insert(text);
            }
        };
        for event in &chain.events {
            match event {
                Event::Changed { before, after, .. } => {
                    let files = [before, after].into_iter().filter(|state| matches!(state, State::File { .. }));
                    files.filter_map(State::content).filter(|(_, size)| *size <= MAX_FILE).for_each(|(id, _)| add(id));
                }
                Event::Decided(record) => record.text.into_iter().chain(record.result).for_each(&mut add),
            }
        }
        Self(texts)
    }

    /// The text in a state: an empty one without a file, none of what is not text or not stored.
    pub fn of(&self, state: &State) -> Option<&str> {
        match state {
            State::Absent => Some(""),
            State::File { id, .. } => self.text(Some(*id)),
            State::Link { .. } | State::Unknown { .. } => None,
        }
    }

    fn text(&self, id: Option<Id>) -> Option<&str> {
        match id {
            None => Some(""),
            Some(id) => self.0.get(&id).map(String::as_str),
        }
    }
}

/// The content as text, where it is one and not too large.
pub fn text(content: Vec<u8>) -> Option<String> {
    if content.len() as u64 > MAX_FILE || content.contains(&0) {
        return None;
    }
    String::from_utf8(content).ok()
}
