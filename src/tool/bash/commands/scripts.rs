//! The scripts of a line. Each text is read once, however often it stands in the line and is looked at.

use std::{cell::OnceCell, collections::HashMap, rc::Rc};

use super::{parser::parse, second_opinion, syntax::Parsed};

/// All that were read, by their texts; `None` for a text that cannot be read.
#[derive(Debug, Default)]
pub(super) struct Scripts {
    read: HashMap<String, Option<Rc<ReadScript>>>,
}

/// A script that was read.
#[derive(Debug)]
pub(super) struct ReadScript {
    text: String,
    pub parsed: Parsed,
    is_disputed: OnceCell<bool>,
}

impl Scripts {
    /// Reads a text; `None` where it cannot be read.
    pub(super) fn read(&mut self, text: &str) -> Option<Rc<ReadScript>> {
        if let Some(read) = self.read.get(text) {
            return read.clone();
        }
        let read = |parsed| Rc::new(ReadScript { text: text.to_owned(), parsed, is_disputed: OnceCell::new() });
        let script = parse(text).ok().map(read);
        self.read.insert(text.to_owned(), script.clone());
        script
    }
}

impl ReadScript {
    /// Whether the two readers take it in different ways.
    pub(super) fn is_disputed(&self) -> bool {
        *self.is_disputed.get_or_init(|| second_opinion::disagrees(&self.text, &self.parsed))
    }
}
