//! How long the daemon lives, and what ends it.

use std::{fmt, sync::Arc};

use crate::storage::Kind;

/// The daemon's life.
pub struct Life {
    kind: Kind,
}

impl Life {
    /// The life of a daemon of this kind.
    #[must_use]
    pub fn new(kind: Kind) -> Arc<Self> {
        Arc::new(Self { kind })
    }

    /// What kind of process it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life").field("kind", &self.kind).finish_non_exhaustive()
    }
}
