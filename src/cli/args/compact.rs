//! Arguments of `sessions compact`.

use polytree_protocol::{id::SessionId, provider::ModelRef};

use super::model;

/// Arguments of `sessions compact`.
#[derive(Debug, clap::Args)]
pub struct SessionsCompactArgs {
    /// The session
    #[arg(value_name = "ID", value_parser = SessionId::parse)]
    pub session: SessionId,
    /// The model that writes the summary; by default the session's
    #[arg(long, short, value_name = "PROVIDER/MODEL", value_parser = model)]
    pub model: Option<ModelRef>,
}
