//! Detects a model that repeats itself: the same call again and again, answers in which no call can be run, calls that the
//! output limit cuts off each time. Pure.

use serde_json::{Value, json};

use crate::tool::{definition::Tool as _, invalid::Invalid};

/// After this many equal calls in a row a person is asked.
pub(super) const REPEATS: usize = 3;
/// After this many the turn ends, whatever the answer was.
const MAX_REPEATS: usize = 60;
/// The turn ends after this many answers in a row whose last call was cut off by the output limit,
const MAX_CUT: usize = 3;
/// and after this many of them in the whole turn.
const MAX_CUT_IN_TURN: usize = 10;
/// The turn ends after this many answers in a row in which no call could be run.
const MAX_UNUSABLE: usize = 10;

/// Arguments that do not change what a call does.
const IGNORED: [&str; 2] = ["description", "id"];

/// What is known of the calls of a turn.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    last: Option<(String, Value)>,
    same: usize,
    cut: usize,
    cut_in_turn: usize,
    unusable: usize,
}

/// How a model repeats itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Calls of so many answers in a row were cut off.
    Cut(usize),
    /// Calls of so many answers of the turn were cut off.
    CutInTurn(usize),
    /// No call of so many answers in a row could be run.
    Unusable(usize),
    /// That tool was called so many times in a row with the same arguments.
    Same(String, usize),
}

impl Repeats {
    /// Records a call; true when a person should be asked because of equal calls before it.
    pub(super) fn call(&mut self, tool: &str, input: &Value) -> bool {
        let call = (tool.to_owned(), essence(tool, input));
        if self.last.as_ref() == Some(&call) {
            self.same += 1;
        } else {
            self.same = 1;
            self.last = Some(call);
        }
        self.same.is_multiple_of(REPEATS)
    }

    /// Records an answer: whether its last call was cut off, and whether any of its calls can be run.
    pub(super) fn answer(&mut self, cut: bool, usable: bool) {
        self.cut = if cut { self.cut + 1 } else { 0 };
        self.cut_in_turn += usize::from(cut);
        self.unusable = if usable { 0 } else { self.unusable + 1 };
    }

    /// Why the turn must not go on.
    pub(super) fn stuck(&self) -> Option<Repeat> {
        if self.cut >= MAX_CUT {
            return Some(Repeat::Cut(self.cut));
        }
        if self.cut_in_turn >= MAX_CUT_IN_TURN {
            return Some(Repeat::CutInTurn(self.cut_in_turn));
        }
        if self.unusable >= MAX_UNUSABLE {
            return Some(Repeat::Unusable(self.unusable));
        }
        let (tool, _) = self.last.as_ref().filter(|_| self.same >= MAX_REPEATS)?;
        Some(Repeat::Same(tool.clone(), self.same))
    }
}

/// What is compared of a call: arguments without descriptions, errors without positions and ids.
fn essence(tool: &str, input: &Value) -> Value {
    if tool == Invalid::NAME {
        let error = input["error"].as_str().unwrap_or_default();
        return json!([input["tool"], without_positions(error)]);
    }
    without_description(input)
}

fn without_description(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let essential = object.iter().filter(|(key, _)| !IGNORED.contains(&key.as_str()));
            Value::Object(essential.map(|(key, value)| (key.clone(), without_description(value))).collect())
        }
        Value::Array(list) => list.iter().map(without_description).collect(),
        other => other.clone(),
    }
}

/// Every word that holds a digit becomes the same.
fn without_positions(text: &str) -> String {
    let word = |word: &str| if word.contains(|c: char| c.is_ascii_digit()) { "#".to_owned() } else { word.to_owned() };
    text.split(|c: char| !c.is_alphanumeric() && c != '_').map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(calls: &[(&str, Value)]) -> Vec<bool> {
        let mut repeats = Repeats::default();
        calls.iter().map(|(tool, input)| repeats.call(tool, input)).collect()
    }

    #[test]
    fn the_third_same_call_in_a_row_is_asked_about() {
        let read = |offset: u64| ("read", json!({ "filePath": "a", "offset": offset }));
        assert_eq!(asks(&[read(1), read(1), read(1), read(1), read(1), read(1)]), [false, false, true, false, false, true]);
        // Reading on is progress.
        assert_eq!(asks(&[read(1), read(2), read(3), read(4)]), [false; 4]);
        assert_eq!(asks(&[read(1), read(1), ("list", json!({})), read(1)]), [false; 4]);
    }

    #[test]
    fn a_position_or_an_id_makes_no_other_call() {
        let invalid = |error: &str| ("invalid", json!({ "tool": "write", "error": error }));
        let positions = [invalid("EOF at line 1 column 9"), invalid("EOF at line 1 column 10"), invalid("EOF at line 12 column 11")];
        assert_eq!(asks(&positions), [false, false, true]);
        let ids = [invalid("no task ses_01AB"), invalid("no task ses_02CD"), invalid("no task ses_03EF")];
        assert_eq!(asks(&ids), [false, false, true]);
        assert_eq!(asks(&[invalid("no field `a`"), invalid("no field `b`"), invalid("no field `c`")]), [false; 3]);
        let todo = |id: u64| ("todowrite", json!({ "todos": [{ "id": id, "content": "x" }] }));
        assert_eq!(asks(&[todo(1), todo(2), todo(3)]), [false, false, true]);
        let bash = |why: &str| ("bash", json!({ "command": "make", "description": why }));
        assert_eq!(asks(&[bash("a"), bash("b"), bash("c")]), [false, false, true]);
    }

    #[test]
    fn repeats_end_the_turn() {
        let mut repeats = Repeats::default();
        repeats.answer(true, false);
        repeats.answer(true, true);
        assert_eq!(repeats.stuck(), None);
        repeats.answer(true, false);
        assert_eq!(repeats.stuck(), Some(Repeat::Cut(MAX_CUT)));
        repeats.answer(false, true);
        assert_eq!(repeats.stuck(), None);
        for _ in 0..MAX_UNUSABLE {
            assert_eq!(repeats.stuck(), None);
            repeats.answer(false, false);
        }
        assert_eq!(repeats.stuck(), Some(Repeat::Unusable(MAX_UNUSABLE)));
        let mut repeats = Repeats::default();
        for _ in 0..MAX_REPEATS {
            assert_eq!(repeats.stuck(), None);
            repeats.call("list", &json!({}));
        }
        assert_eq!(repeats.stuck(), Some(Repeat::Same("list".to_owned(), MAX_REPEATS)));
    }
    #[test]
    fn cut_calls_between_good_ones_end_too() {
        let mut repeats = Repeats::default();
        for _ in 0..MAX_CUT_IN_TURN {
            assert_eq!(repeats.stuck(), None);
            repeats.answer(false, true);
            repeats.answer(true, false);
        }
        assert_eq!(repeats.stuck(), Some(Repeat::CutInTurn(MAX_CUT_IN_TURN)));
    }
}
