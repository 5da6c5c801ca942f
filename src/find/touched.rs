//! Collects the paths of file events for callers that ask for changes since their last call. Each caller has its own
//! collection.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// The limit of collected paths; beyond it checking every file is as fast.
const MAX_PATHS: usize = 20_000;

/// The paths that may have changed, relative to the top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// Events were lost, so every file may have changed.
    pub everything: bool,
    /// Files and directories. Anything below such a directory may have changed.
    pub paths: BTreeSet<Vec<u8>>,
}

impl Touched {
    /// Every file may have changed.
    #[must_use]
    pub fn everything() -> Self {
        Self { everything: true, paths: BTreeSet::new() }
    }

    fn add(&mut self, path: &[u8]) {
        if self.everything {
            return;
        }
        if self.paths.len() >= MAX_PATHS {
            *self = Self::everything();
        } else {
            self.paths.insert(path.to_vec());
        }
    }
}

/// The collection of one caller.
#[derive(Debug)]
pub struct Gathered(Mutex<Touched>);

impl Gathered {
    /// Takes the paths since the last call.
    #[must_use]
    pub fn take(&self) -> Touched {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// All collections of an index.
#[derive(Debug, Default)]
pub struct Gatherers(Mutex<Vec<Weak<Gathered>>>);

impl Gatherers {
    /// Adds a collection, which begins with everything.
    #[must_use]
    pub fn gather(&self) -> Arc<Gathered> {
        let gathered = Arc::new(Gathered(Mutex::new(Touched::everything())));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&gathered));
        gathered
    }

    /// Adds a path to all collections.
    pub fn touched(&self, path: &[u8]) {
        self.each(|touched| touched.add(path));
    }

    /// Events were lost.
    pub fn lost(&self) {
        self.each(|touched| *touched = Touched::everything());
    }

    fn each(&self, mut tell: impl FnMut(&mut Touched)) {
        let mut gatherers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gatherers.retain(|gatherer| {
            let gathered = gatherer.upgrade();
            if let Some(gathered) = &gathered {
                tell(&mut gathered.0.lock().unwrap_or_else(PoisonError::into_inner));
            }
            gathered.is_some()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gathers_for_itself_and_too_much_is_everything() {
        let gatherers = Gatherers::default();
        let (one, other) = (gatherers.gather(), gatherers.gather());
        assert_eq!(one.take(), Touched::everything());
        gatherers.touched(b"a");
        let taken = one.take();
        assert_eq!(taken, Touched { everything: false, paths: BTreeSet::from([b"a".to_vec()]) });
        assert_eq!(one.take(), Touched::default());
        assert!(other.take().everything, "it has not asked before");
        for number in 0..=MAX_PATHS {
            gatherers.touched(number.to_string().as_bytes());
        }
        assert_eq!(one.take(), Touched::everything());
        gatherers.lost();
        assert_eq!(other.take(), Touched::everything());
        drop(other);
        gatherers.touched(b"b");
        assert_eq!(gatherers.0.lock().unwrap().len(), 1);
    }
}
