//! Undoes the changes of one file, from the last to the first. Pure.
//!
//! If the file still is what a change left, it becomes what it was before. Otherwise the change is removed by a three-way
//! merge of content and mode separately, or the file is in conflict.

use super::{
    change::Change,
    objects::IMAGE_GONE,
    state::{Mode, State},
};
use crate::git::{merge::merge, objects::Id};

/// A state, with its content if the store may not contain it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it is.
    pub state: State,
    /// Its content.
    pub content: Option<Vec<u8>>,
}

/// The result of undoing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// The target state.
    pub piece: Piece,
    /// It contains changes of others.
    pub is_merged: bool,
}

/// Why changes cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// An image is missing.
    Uncovered(String),
    /// Somebody else has changed the file, and a merge is not clean.
    Conflict(String),
}

/// Undoes the changes of one file, given in order, starting from its current state.
///
/// # Errors
/// When one of them cannot be undone.
pub fn undo(now: Piece, changes: &[&Change], read: &dyn Fn(Id) -> Option<Vec<u8>>) -> Result<Undone, Refusal> {
    if let State::Unknown { reason } = &now.state {
        return Err(Refusal::Conflict(reason.clone()));
    }
    // All or none: a state between two changes is of no use.
    for change in changes {
        for (state, what) in [(&change.before, "what it was before is not known"), (&change.after, "what the session left is not known")] {
            if let State::Unknown { reason } = state {
                return Err(Refusal::Uncovered(format!("{what}: {reason}")));
            }
        }
    }
    let mut undone = Undone { piece: now, is_merged: false };
    for change in changes.iter().rev() {
        undone = step(undone, &change.after, &change.before, read)?;
    }
    Ok(undone)
}

fn step(now: Undone, after: &State, before: &State, read: &dyn Fn(Id) -> Option<Vec<u8>>) -> Result<Undone, Refusal> {
    let Undone { piece, is_merged } = now;
    if piece.state.is_same(after) {
        return Ok(Undone { piece: Piece { state: over(before, &piece.state), content: None }, is_merged });
    }
    if piece.state.is_same(before) || after.is_same(before) {
        return Ok(Undone { piece, is_merged });
    }
    let (
        State::File { id: now_id, size: now_size, mode: now_mode },
        State::File { id: after_id, mode: after_mode, .. },
        State::File { id: before_id, size: before_size, mode: before_mode },
    ) = (&piece.state, after, before)
    else {
        return Err(Refusal::Conflict(match (&piece.state, after) {
            (State::Absent, _) => "it was deleted by somebody else".into(),
            (_, State::Absent) => "it was created again by somebody else".into(),
            _ => "it was changed by somebody else".into(),
        }));
    };
    let mode = merge_modes(*after_mode, *now_mode, *before_mode)
        .ok_or_else(|| Refusal::Conflict("its permissions were changed by somebody else".into()))?;
    if now_id == after_id {
        let content = (*before_id == *now_id).then(|| piece.content.clone()).flatten();
        return Ok(Undone { piece: Piece { state: State::File { id: *before_id, size: *before_size, mode }, content }, is_merged: true });
    }
    if before_id == after_id || now_id == before_id {
        let state = State::File { id: *now_id, size: *now_size, mode };
        return Ok(Undone { piece: Piece { state, content: piece.content }, is_merged: true });
    }
    let gone = || Refusal::Uncovered(IMAGE_GONE.into());
    let ours = match piece.content {
        Some(content) => content,
        None => read(*now_id).ok_or_else(gone)?,
    };
    let (base, theirs) = (read(*after_id).ok_or_else(gone)?, read(*before_id).ok_or_else(gone)?);
    let merged = merge(&base, &ours, &theirs)
        .ok_or_else(|| Refusal::Conflict("somebody else has changed the same lines, or it is not a text file".into()))?;
    let state = State::File { id: Id::of(&merged), size: merged.len() as u64, mode };
    Ok(Undone { piece: Piece { state, content: Some(merged) }, is_merged: true })
}

/// The earlier state, for a file that has these permissions now.
fn over(before: &State, now: &State) -> State {
    match (before, now) {
        (State::File { id, size, mode }, State::File { mode: now, .. }) => State::File { id: *id, size: *size, mode: mode.over(*now) },
        _ => before.clone(),
    }
}

fn merge_modes(base: Mode, ours: Mode, theirs: Mode) -> Option<Mode> {
    if ours.is_same(base) {
        Some(theirs.over(ours))
    } else if theirs.is_same(base) || theirs.is_same(ours) {
        Some(ours)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::stdx::paths::AbsPath;

    struct Contents(HashMap<Id, Vec<u8>>);

    impl Contents {
        fn new(texts: &[&str]) -> Self {
            Self(texts.iter().map(|text| (Id::of(text.as_bytes()), text.as_bytes().to_vec())).collect())
        }

        fn undo(&self, now: State, states: &[(&State, &State)]) -> Result<(State, bool), Refusal> {
            let path = AbsPath::new("/f").unwrap();
            let change = |(before, after): &(&State, &State)| Change {
                path: path.clone(),
                before: (*before).clone(),
                after: (*after).clone(),
                new_directories: 0,
            };
            let changes: Vec<Change> = states.iter().map(change).collect();
            let changes: Vec<&Change> = changes.iter().collect();
            let content = now.content().and_then(|(id, _)| self.0.get(&id).cloned());
            let undone = undo(Piece { state: now, content }, &changes, &|id| self.0.get(&id).cloned())?;
            Ok((undone.piece.state, undone.is_merged))
        }
    }

    fn file(text: &str, mode: u32) -> State {
        State::File { id: Id::of(text.as_bytes()), size: text.len() as u64, mode: Mode::exact(mode) }
    }

    #[test]
    fn what_the_session_left_becomes_what_it_was() {
        let contents = Contents::new(&[]);
        let [a, b, c] = ["a", "b", "c"].map(|text| file(text, 0o644));
        assert_eq!(contents.undo(c.clone(), &[(&a, &b), (&b, &c)]), Ok((a.clone(), false)));
        assert_eq!(contents.undo(State::Absent, &[(&a, &State::Absent)]), Ok((a.clone(), false)));
        assert_eq!(contents.undo(b.clone(), &[(&State::Absent, &a), (&a, &b)]), Ok((State::Absent, false)));
        assert_eq!(contents.undo(a.clone(), &[(&a, &b)]), Ok((a.clone(), false)), "somebody was faster");
        assert_eq!(contents.undo(a.clone(), &[(&a, &b), (&b, &a)]), Ok((a, false)));
    }

    #[test]
    fn what_somebody_else_did_stays() {
        let [one, two, three, four] = ["1\n2\n3\n", "1\n2\nx\n", "y\n2\nx\n", "y\n2\n3\n"];
        let contents = Contents::new(&[one, two, three, four]);
        let [before, after, now, kept] = [one, two, three, four].map(|text| file(text, 0o644));
        assert_eq!(contents.undo(now.clone(), &[(&before, &after)]), Ok((kept.clone(), true)));
        // It came between two changes of the session.
        let last = file("y\n2\nx\nz\n", 0o644);
        let contents = Contents::new(&[one, two, three, "y\n2\nx\nz\n"]);
        assert_eq!(contents.undo(last.clone(), &[(&before, &after), (&now, &last)]), Ok((kept, true)));
        let other = file("1\n2\nq\n", 0o644);
        let contents = Contents::new(&[one, two, "1\n2\nq\n"]);
        assert!(matches!(contents.undo(other, &[(&before, &after)]), Err(Refusal::Conflict(_))));
        assert!(matches!(contents.undo(State::Absent, &[(&before, &after)]), Err(Refusal::Conflict(_))));
        assert!(matches!(contents.undo(now, &[(&State::Absent, &after)]), Err(Refusal::Conflict(_))));
    }

    #[test]
    fn permissions_are_merged_by_themselves() {
        let contents = Contents::new(&["a", "b"]);
        let with = |text: &str, mode| file(text, mode);
        assert_eq!(contents.undo(with("a", 0o755), &[(&with("a", 0o644), &with("a", 0o755))]), Ok((with("a", 0o644), false)));
        let undone = contents.undo(with("b", 0o600), &[(&with("a", 0o644), &with("b", 0o644))]);
        assert_eq!(undone, Ok((with("a", 0o600), true)));
        let of_git = State::File { id: Id::of(b"a"), size: 1, mode: Mode::of_git(false) };
        assert_eq!(contents.undo(with("b", 0o600), &[(&of_git, &with("b", 0o600))]), Ok((with("a", 0o600), false)));
        let undone = contents.undo(with("b", 0o700), &[(&with("a", 0o644), &with("b", 0o755))]);
        assert!(matches!(undone, Err(Refusal::Conflict(_))));
    }

    #[test]
    fn what_is_not_known_is_not_touched() {
        let contents = Contents::new(&["a", "b"]);
        let (a, b, unknown) = (file("a", 0o644), file("b", 0o644), State::unknown("large"));
        assert!(matches!(contents.undo(b.clone(), &[(&unknown, &b)]), Err(Refusal::Uncovered(_))));
        assert!(matches!(contents.undo(b.clone(), &[(&unknown, &a), (&a, &b)]), Err(Refusal::Uncovered(_))));
        assert!(matches!(contents.undo(b.clone(), &[(&a, &unknown)]), Err(Refusal::Uncovered(_))));
        assert!(matches!(contents.undo(unknown, &[(&a, &b)]), Err(Refusal::Conflict(_))));
    }
}
