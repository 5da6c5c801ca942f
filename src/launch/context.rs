//! What the process was started with.

use std::{collections::BTreeMap, sync::Arc};

use crate::{config::Places, stdx::paths::AbsPath};

/// The directories and variables that the process was started with.
#[derive(Clone)]
pub struct LaunchContext {
    pub environment: Arc<BTreeMap<String, String>>,
    /// The working directory, or the one given with `--directory`.
    pub directory: AbsPath,
    /// The directories of settings, data and sockets.
    pub places: Places,
}
