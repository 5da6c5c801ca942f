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
        let named: Option<Vec<(Argument, Option<String>)>> = paths.iter().map(|word| pathspec(word)).collect();
        // With it a path only says which commits are shown.
        let is_full = self.words.iter().any(|word| word.text.starts_with("--full-d"));
        let differs = self.program.is(Trait::Differs) && !self.given.more && !self.compares_commits(operands, dash);
        let what = |extent, name| Found { name, hidden: true, ignored: true, tracked: Some(extent), differs, follows: false };
        let mut uses = Vec::new();
        if is_full || named.is_none() || self.given.more || (paths.is_empty() && blobs.is_empty()) {
            let all = Argument::plain(".").below(what(Extent::All, None));
            uses.extend(path_uses(&all, &self.place, Access::Read));
        }
        for blob in &blobs {
            // It may be a directory, or two of them.
            let path = blob.text.rsplit_once(':').map(|(_, path)| path).filter(|path| !path.is_empty() && !blob.text.contains(".."));
            let shown = path.map_or_else(
                || Argument::plain(".").below(what(Extent::All, None)),
                |path| Argument::plain(path).below(what(Extent::Below, None)),
            );
            uses.extend(path_uses(&shown, &self.place, Access::Read));
        }
        for (place, name) in named.into_iter().flatten().filter(|_| !is_full) {
            uses.extend(path_uses(&place.below(what(Extent::Below, name)), &self.place, Access::Read));
        }
        self.effects.paths.extend(uses);
    }

    /// Whether a comparison is not one of the files with the index: it names a commit, or may.
    fn compares_commits(&self, operands: &[usize], dash: Option<usize>) -> bool {
        const OPTIONS: &[&str] = &["--cached", "--staged", "--merge-base", "--no-index"];
        let names_commit = operands.iter().any(|at| dash.is_none_or(|dash| *at < dash));
        let end = dash.unwrap_or(self.words.len());
        let is_option = |word: &Argument| {
            let name = word.text.as_str();
            name.len() > 3 && name.starts_with("--") && OPTIONS.iter().any(|option| option.starts_with(name))
        };
        names_commit || self.words[..end].iter().any(|word| is_option(word) || word.may_be_hidden_option())
    }
}

/// A path of git and a pattern for names below it, which counts in all directories: `sub`, `*.rs`, `sub/*.rs`; `None` for others.
pub(super) fn pathspec(word: &Argument) -> Option<(Argument, Option<String>)> {
    const SIGNS: [char; 4] = ['*', '?', '[', '\\'];
    let text = word.literal().filter(|text| !text.starts_with(':'))?;
    let Some(sign) = text.find(SIGNS) else { return Some((word.clone(), None)) };
    let (directory, pattern) = text.split_at(text[..sign].rfind('/').map_or(0, |slash| slash + 1));
    let is_ending = pattern.strip_prefix('*').is_some_and(|ending| !ending.is_empty() && !ending.contains('/') && !ending.contains(SIGNS));
    let directory = if directory.is_empty() { "." } else { directory };
    is_ending.then(|| (Argument::plain(directory), Some(pattern.to_lowercase())))
}

/// Whether the word is one file of a revision, which is judged by its name: `HEAD:a`, `:a`.
fn is_blob(word: &Argument) -> bool {
    let is_search = word.text.starts_with(":/") || word.text.starts_with(":(") || word.text.contains('{');
    word.is_literal() && word.text.contains(':') && !is_search
}
