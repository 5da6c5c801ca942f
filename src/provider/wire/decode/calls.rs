//! Assembles tool calls from streamed fragments. Pure.
//!
//! Guarantees: calls are returned in the order in which they began, each with a non-empty id that is unique in the
//! answer, and with its exact arguments, except that halves of characters become U+FFFD.

use std::borrow::Cow;

use serde_json::Value;
use ulid::Ulid;

use crate::provider::{
    definition::{CALL_LENGTH, Delta},
    wire::decode::{
        json::Json,
        text::{Joiner, Text, replace_lone_surrogates},
    },
};

/// A fragment of a call on the wire; every field may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fragment {
    /// The index of the call in the answer.
    pub(crate) index: Option<u64>,
    /// The service's id of the call.
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) arguments: Text,
    /// Complete arguments, for services that send them with the start of the call; fragments override them.
    pub(crate) whole: Option<String>,
    /// What the service wants back with the call.
    pub(crate) metadata: Option<Value>,
}

impl Fragment {
    /// Sets arguments that are either a piece of a string or a complete object.
    pub(crate) fn set_arguments(&mut self, arguments: Json<'_>) {
        if arguments.is_object() {
            self.whole = arguments.arguments();
        } else {
            self.arguments = arguments.text();
        }
    }

    fn has_arguments(&self) -> bool {
        !self.arguments.is_empty() || self.whole.is_some()
    }
}

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    given_id: String,
    /// Set when the call is announced.
    id: Option<String>,
    name: String,
    arguments: String,
    joiner: Joiner,
    whole: Option<String>,
    metadata: Option<Value>,
}

impl Call {
    /// The kept bytes, without the metadata.
    fn length(&self) -> usize {
        self.given_id.len() + self.name.len() + self.arguments.len() + self.whole.as_ref().map_or(0, String::len)
    }
}

/// The calls of one answer.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    calls: Vec<Call>,
    length: usize,
}

impl Calls {
    /// Adds a fragment; returns the start of the call as soon as its name is known, and from then on the pieces of its
    /// arguments.
    pub(crate) fn add(&mut self, fragment: Fragment) -> impl Iterator<Item = Delta> + use<> {
        let place = self.position_of(&fragment).unwrap_or_else(|| {
            self.length += CALL_LENGTH;
            self.calls.push(Call { index: fragment.index, ..Call::default() });
            self.calls.len() - 1
        });
        let call = &mut self.calls[place];
        let length = call.length();
        if call.given_id.is_empty() {
            call.given_id = fragment.id.unwrap_or_default();
        }
        if call.name.is_empty() {
            call.name = fragment.name.unwrap_or_default();
        }
        let mut piece = call.joiner.join(fragment.arguments);
        call.arguments.push_str(&piece);
        call.whole = fragment.whole.or(call.whole.take());
        call.metadata = fragment.metadata.or(call.metadata.take());
        self.length = self.length + call.length() - length;
        let mut start = None;
        if call.id.is_none() {
            if call.name.is_empty() {
                return None.into_iter().chain(None);
            }
            // What came before the name comes after the start.
            (piece, start) = (call.arguments.clone(), Some(call.name.clone()));
        }
        let call_id = match &call.id {
            Some(id) => id.clone(),
            None => self.identify(place),
        };
        let start = start.map(|name| Delta::ToolCallStart { call_id: call_id.clone(), name });
        let piece = (!piece.is_empty()).then_some(Delta::ToolCallArguments { call_id, text: piece });
        start.into_iter().chain(piece)
    }

    /// Adds a complete call; returns its start.
    pub(crate) fn add_whole(&mut self, given_id: Option<String>, name: String, arguments: String, metadata: Option<Value>) -> Delta {
        let given_id = given_id.unwrap_or_default();
        let call = Call { given_id, name: name.clone(), arguments, metadata, ..Call::default() };
        self.length += CALL_LENGTH + call.length();
        self.calls.push(call);
        let call_id = self.identify(self.calls.len() - 1);
        Delta::ToolCallStart { call_id, name }
    }

    /// The length of all calls, as counted against the limit of an answer.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn finish(&mut self) -> Vec<Delta> {
        for place in 0..self.calls.len() {
            if self.calls[place].id.is_none() {
                self.identify(place);
            }
        }
        std::mem::take(&mut self.calls)
            .into_iter()
            // A start without content is not a call.
            .filter(|call| !call.name.is_empty() || !call.arguments.is_empty() || call.whole.is_some())
            .map(|mut call| {
                call.arguments.extend(call.joiner.rest());
                // Calls without arguments often have no arguments at all on the wire.
                let written = Some(call.arguments).filter(|arguments| !matches!(arguments.trim(), "" | "null"));
                let arguments = written.or(call.whole).unwrap_or_else(|| "{}".to_owned());
                let arguments = match replace_lone_surrogates(&arguments) {
                    Cow::Borrowed(_) => arguments,
                    Cow::Owned(replaced) => replaced,
                };
                Delta::ToolCallDone { call_id: call.id.unwrap_or_default(), name: call.name, arguments, metadata: call.metadata }
            })
            .collect()
    }

    /// The index of the call that a fragment continues.
    fn position_of(&self, fragment: &Fragment) -> Option<usize> {
        let id = fragment.id.as_deref().filter(|id| !id.is_empty());
        let name = fragment.name.as_deref().filter(|name| !name.is_empty());
        let Some(index) = fragment.index else {
            return match id {
                Some(id) => self.calls.iter().rposition(|call| call.given_id == id),
                None if name.is_some() => None,
                None => self.calls.len().checked_sub(1),
            };
        };
        let place = self.calls.iter().rposition(|call| call.index == Some(index))?;
        let call = &self.calls[place];
        // Some services send index 0 for every call: a new call is detected by another id, or, without ids, by a name
        // and arguments after the last call is complete.
        let is_another = match id {
            Some(id) => name.is_some() && !call.given_id.is_empty() && call.given_id != id,
            None => {
                name.is_some()
                    && call.given_id.is_empty()
                    && fragment.has_arguments()
                    && (call.whole.is_some() || serde_json::from_str::<serde::de::IgnoredAny>(&call.arguments).is_ok())
            }
        };
        (!is_another).then_some(place)
    }

    /// Assigns the final id: the service's, unless that is missing or taken.
    fn identify(&mut self, place: usize) -> String {
        let given = &self.calls[place].given_id;
        let taken = given.is_empty() || self.calls.iter().any(|call| call.id.as_ref() == Some(given));
        let id = if taken { format!("call_{}", Ulid::generate()) } else { given.clone() };
        self.calls[place].id = Some(id.clone());
        id
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;

    use super::*;

    fn fragment(index: u64, id: &str, name: &str, arguments: &str) -> Fragment {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Fragment { index: Some(index), id: some(id), name: some(name), arguments: arguments.to_owned().into(), ..Fragment::default() }
    }

    fn run(fragments: impl IntoIterator<Item = Fragment>) -> (Vec<String>, Vec<(String, String, String)>) {
        let mut calls = Calls::default();
        let (mut starts, mut written) = (Vec::new(), HashMap::<String, String>::new());
        for fragment in fragments {
            for delta in calls.add(fragment) {
                match delta {
                    Delta::ToolCallStart { call_id, .. } => starts.push(call_id),
                    Delta::ToolCallArguments { call_id, text } => {
                        assert!(starts.contains(&call_id) && !text.is_empty());
                        written.entry(call_id).or_default().push_str(&text);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        let done = calls.finish().into_iter().map(|delta| match delta {
            Delta::ToolCallDone { call_id, name, arguments, .. } => {
                // The pieces are the arguments, where these were not replaced as a whole.
                let pieces = written.remove(&call_id).unwrap_or_default();
                assert!(pieces == arguments || matches!(pieces.trim(), "" | "null"), "{pieces} and {arguments}");
                (call_id, name, arguments)
            }
            other => panic!("{other:?}"),
        });
        (starts, done.collect())
    }

    fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
        (id.to_owned(), name.to_owned(), arguments.to_owned())
    }

    #[test]
    fn fragments_interleaved_by_index() {
        let (starts, done) = run([
            fragment(0, "a", "read", ""),
            fragment(1, "b", "glob", "{\"pat"),
            fragment(0, "", "", "{\"x\""),
            fragment(1, "", "", "tern\":1}"),
            fragment(0, "", "", ":2}"),
        ]);
        assert_eq!(starts, ["a", "b"]);
        assert_eq!(done, [call("a", "read", "{\"x\":2}"), call("b", "glob", "{\"pattern\":1}")]);
    }

    #[test]
    fn every_call_with_index_0() {
        let (_, done) = run([fragment(0, "a", "read", "{\"n\":1}"), fragment(0, "b", "read", "{\"n\":2}")]);
        assert_eq!(done, [call("a", "read", "{\"n\":1}"), call("b", "read", "{\"n\":2}")]);
        let (starts, done) = run([fragment(0, "", "read", "{\"n\":1}"), fragment(0, "", "read", "{\"n\":2}")]);
        assert_eq!(starts.len(), 2);
        assert_eq!(done[0].2, "{\"n\":1}");
        assert_eq!(done[1].2, "{\"n\":2}");
        assert_ne!(done[0].0, done[1].0);
    }

    #[test]
    fn name_and_id_repeated_in_every_fragment() {
        let (starts, done) = run([fragment(0, "a", "read", "{\"n\""), fragment(0, "a", "read", ":1}"), fragment(0, "a", "read", "")]);
        assert_eq!(starts, ["a"]);
        assert_eq!(done, [call("a", "read", "{\"n\":1}")]);
    }

    #[test]
    fn without_an_index() {
        let bare = |id, name, arguments| Fragment { index: None, ..fragment(0, id, name, arguments) };
        let (_, done) = run([bare("a", "read", "{"), bare("", "", "}"), bare("b", "glob", "{}"), bare("a", "", " ")]);
        assert_eq!(done, [call("a", "read", "{} "), call("b", "glob", "{}")]);
    }

    #[test]
    fn missing_and_duplicated_ids_become_unique() {
        let (starts, done) = run([fragment(0, "same", "read", "{}"), fragment(1, "same", "read", "{}"), fragment(2, "", "read", "{}")]);
        assert_eq!(starts[0], "same");
        assert!(starts[1].starts_with("call_") && starts[2].starts_with("call_"), "{starts:?}");
        assert_eq!(starts, done.iter().map(|(id, ..)| id.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn arguments_are_passed_on_as_written() {
        assert_eq!(run([fragment(0, "a", "read", "{\"x\": tru")]).1, [call("a", "read", "{\"x\": tru")]);
        assert_eq!(run([fragment(0, "a", "list", "")]).1, [call("a", "list", "{}")]);
        let whole = Fragment { whole: Some("{\"n\":1}".to_owned()), ..fragment(0, "a", "read", "") };
        assert_eq!(run([whole.clone()]).1, [call("a", "read", "{\"n\":1}")]);
        assert_eq!(run([whole, fragment(0, "", "", "{\"n\":2}")]).1, [call("a", "read", "{\"n\":2}")]);
    }

    #[test]
    fn complete_calls_are_never_continued() {
        let mut calls = Calls::default();
        for _ in 0..2 {
            calls.add_whole(Some("same".to_owned()), "read".to_owned(), "{}".to_owned(), None);
        }
        let ids: HashSet<_> = calls.finish().into_iter().map(|delta| format!("{delta:?}")).collect();
        assert_eq!(ids.len(), 2);
    }

    #[test]
    fn a_name_that_comes_late() {
        let (starts, done) = run([fragment(0, "a", "", "{"), fragment(0, "", "read", "}")]);
        assert_eq!(starts, ["a"]);
        assert_eq!(done, [call("a", "read", "{}")]);
    }

    proptest! {
        #[test]
        fn any_interleaving_gives_the_same_calls(
            texts in proptest::collection::vec("[a-z{}\":, ]{1,20}", 1..5),
            order in proptest::collection::vec(0_usize..5, 0..80),
        ) {
            let mut rest: Vec<_> = texts.iter().map(|text| text.chars().collect::<Vec<_>>().into_iter()).collect();
            let mut fragments: Vec<_> =
                (0..texts.len()).map(|n| fragment(n as u64, &format!("id{n}"), &format!("tool{n}"), "")).collect();
            for place in order {
                if let Some(character) = rest.get_mut(place).and_then(Iterator::next) {
                    fragments.push(fragment(place as u64, "", "", &character.to_string()));
                }
            }
            for (place, rest) in rest.into_iter().enumerate() {
                fragments.push(fragment(place as u64, "", "", &rest.collect::<String>()));
            }
            let (_, done) = run(fragments);
            let expected: Vec<_> = texts.iter().enumerate().map(|(n, text)| {
                let arguments = if text.trim().is_empty() { "{}" } else { text };
                call(&format!("id{n}"), &format!("tool{n}"), arguments)
            }).collect();
            prop_assert_eq!(done, expected);
        }

        #[test]
        fn ids_are_always_unique_and_never_empty(
            fragments in proptest::collection::vec((proptest::option::of(0_u64..3), "[ab]?", "(read|glob)?", "[{}1]{0,3}"), 0..30)
        ) {
            let (starts, done) = run(fragments.into_iter().map(|(index, id, name, arguments)| {
                Fragment { index, ..fragment(0, &id, &name, &arguments) }
            }));
            let ids: HashSet<_> = done.iter().map(|(id, ..)| id.clone()).collect();
            prop_assert_eq!(ids.len(), done.len());
            prop_assert!(!ids.contains(""));
            prop_assert!(starts.iter().all(|id| ids.contains(id)));
        }
    }
}
