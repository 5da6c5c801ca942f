//! The symbols of unsaved text. Each text is parsed once.

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

/// The capacity of the cache; further texts are parsed at each query.
const CAPACITY: usize = 512;

/// By file, with the document that was parsed.
type Parsed = HashMap<AbsPath, (Weak<Document>, Arc<File>)>;

#[derive(Default)]
pub(super) struct Unsaved {
    // Locked for a look-up or an insert. An entry is valid while the overlay has this document.
    parsed: Mutex<Parsed>,
}

impl Unsaved {
    /// The open files in a directory, sorted by path.
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
                self.cached(document).unwrap_or_else(|| {
                    let extractor = extractor.get_or_insert_with(|| Extractor::new(token.clone()));
                    let file = Arc::new(File::of_text(document.path.clone(), &document.text, extractor));
                    // The result of a cancelled query may be incomplete.
                    if !token.is_cancelled() {
                        self.insert(document, &file);
                    }
                    file
                })
            })
            .collect();
        self.lock().retain(|_, (document, _)| document.strong_count() > 0);
        files
    }

    fn cached(&self, document: &Arc<Document>) -> Option<Arc<File>> {
        let parsed = self.lock();
        let (cached, file) = parsed.get(&document.path)?;
        Weak::ptr_eq(cached, &Arc::downgrade(document)).then(|| Arc::clone(file))
    }

    fn insert(&self, document: &Arc<Document>, file: &Arc<File>) {
        let mut parsed = self.lock();
        if parsed.len() < CAPACITY || parsed.contains_key(&document.path) {
            parsed.insert(document.path.clone(), (Arc::downgrade(document), Arc::clone(file)));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Parsed> {
        self.parsed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
