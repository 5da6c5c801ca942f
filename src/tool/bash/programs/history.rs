//! What commands of git show of the files that it has stored.

use super::{
    place::{Access, path_uses},
    table::{Mode, Trait},
    walk::Walk,
    word::{Argument, Extent, Found},
};

impl Walk<'_, '_> {
    /// Notes what of the history is shown. `operands` are the places of the words that are no options.
    pub(super) fn show_history(&mut self, operands: &[usize]) {
        let shows = self.program.is(Trait::Shows) && (self.has(Mode::Patch) || !self.has(Mode::Summary));
        if !(shows || (self.program.is(Trait::MayShow) && self.has(Mode::Patch))) {
            return;
        }
        // Another repository.
        self.effects.is_unclear |= self.words.iter().any(|word| word.text.starts_with("--git-dir"));
        let fixed = self.program.first.len() - usize::from(self.skips_first && !self.program.first.is_empty());
        let operands = operands.get(fixed..).unwrap_or_default();
        let dash = self.words.iter().position(|word| word.text == "--");
        let is_path = |at: &&usize| dash.is_none_or(|dash| **at > dash);
        let paths: Vec<&Argument> = operands.iter().filter(is_path).map(|at| &self.words[*at]).collect();
        let (blobs, paths): (Vec<&Argument>, Vec<&Argument>) = paths.into_iter().partition(|word| dash.is_none() && is_blob(word));
        let are_plain =
            paths.iter().all(|word| word.is_literal() && !word.text.starts_with(':') && !word.text.contains(['*', '?', '[', '\\']));
        // With it a path only says which commits are shown.
        let is_full = self.words.iter().any(|word| word.text.starts_with("--full-d"));
        let mut uses = Vec::new();
        if is_full || !are_plain || self.given.more || (paths.is_empty() && blobs.is_empty()) {
            let all = Argument::plain(".").below(what(Extent::All));
            uses.extend(path_uses(&all, &self.place, Access::Read));
        }
        for blob in &blobs {
            // It may be a directory, or two of them.
            let path = blob.text.rsplit_once(':').map(|(_, path)| path).filter(|path| !path.is_empty() && !blob.text.contains(".."));
            let shown =
                path.map_or_else(|| Argument::plain(".").below(what(Extent::All)), |path| Argument::plain(path).below(what(Extent::Below)));
            uses.extend(path_uses(&shown, &self.place, Access::Read));
        }
        for word in paths.iter().filter(|_| are_plain && !is_full) {
            uses.extend(path_uses(&word.below(what(Extent::Below)), &self.place, Access::Read));
        }
        self.effects.paths.extend(uses);
    }
}

fn what(extent: Extent) -> Found {
    Found { hidden: true, ignored: true, tracked: Some(extent), ..Found::default() }
}

/// Whether the word is one file of a revision, which is judged by its name: `HEAD:a`, `:a`.
fn is_blob(word: &Argument) -> bool {
    let is_search = word.text.starts_with(":/") || word.text.starts_with(":(") || word.text.contains('{');
    word.is_literal() && word.text.contains(':') && !is_search
}
