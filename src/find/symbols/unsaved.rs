//! The symbols of texts that editors hold and have not saved. Each text is parsed once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio_util::sync::CancellationToken;

use super::{extract::Extractor, read::may_have_symbols, table::File};
use crate::{
    overlay::{Document, Overlay},
    stdx::paths::AbsPath,
};

/// The capacity of the cache of parsed texts; others are parsed at each query.
const CAPACITY: usize = 512;

/// By file, with the announcement that was parsed.
type Parsed = HashMap<AbsPath, (Weak<Document>, Arc<File>)>;

/// What was parsed already.
#[derive(Default)]
pub(super) struct Unsaved {
    // Held for a look-up or an insert. An entry counts as long as the overlay holds that very announcement.
    parsed: Mutex<Parsed>,
}

impl Unsaved {
    /// The announced files at or below a directory, in the order of their paths.
    pub fn below(&self, overlay: &Overlay, directory: &AbsPath, token: &CancellationToken) -> Vec<Arc<File>> {
        let documents = overlay.below(directory);
        if documents.is_empty() {
            return Vec::new();
        }
        let mut extractor = None;
        let files = documents
            .iter()
            .filter(|document| may_have_symbols(document.path.as_path()))
            .map(|document| {
                self.known(document).unwrap_or_else(|| {
                    let extractor = extractor.get_or_insert_with(|| Extractor::new(token.clone()));
                    let file = Arc::new(File::of_text(document.path.clone(), &document.text, extractor));
                    // What was cut short by a cancelled query is nothing to keep.
                    if !token.is_cancelled() {
                        self.keep(document, &file);
                    }
                    file
                })
            })
            .collect();
        self.lock().retain(|_, (document, _)| document.strong_count() > 0);
        files
    }

    fn known(&self, document: &Arc<Document>) -> Option<Arc<File>> {
        let parsed = self.lock();
        let (known, file) = parsed.get(&document.path)?;
        Weak::ptr_eq(known, &Arc::downgrade(document)).then(|| Arc::clone(file))
    }

    fn keep(&self, document: &Arc<Document>, file: &Arc<File>) {
        let mut parsed = self.lock();
        if parsed.len() < CAPACITY || parsed.contains_key(&document.path) {
            parsed.insert(document.path.clone(), (Arc::downgrade(document), Arc::clone(file)));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Parsed> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
