//! Models: the interface (`definition`), the known services and models (`catalog`), the implementations (`wire` over
//! `http`, the built-in `offline` model, `scripted` answers for tests and demos), and recordings of requests and
//! answers (`recording`).
//!
//! The rest of the daemon uses only what is exported here.

mod catalog;
pub mod definition;
mod http;
mod known_keys;
mod offline;
mod recording;
mod refused;
pub mod retry;
mod scripted;
mod secret;
mod wire;

pub use catalog::{
    Catalog, CatalogSettings, Error as CatalogError, ModelSettings, Pool, ProviderSettings, Resolved, built_in,
    choice::{Candidates, choose},
    fetched::{Error as FetchError, PUBLISHED_AT, URL_VARIABLE},
    file::{CatalogFile, ProviderRow, WireRow},
    key_store::{Error as KeyStoreError, KeyStore, Keys},
    local_servers::{Kind as LocalKind, Probe, addresses as local_addresses},
};
pub use http::network::{Network, NetworkSettings};
pub use known_keys::{KnownKeys, known_keys};
pub use offline::Offline;
pub use recording::{RECORD, REPLAY, REPLAY_TIMED, Recording, Recordings, format::Sanitizer, record::Recorded, replay::Replayed};
pub use refused::Refused;
pub use secret::Secret;
pub use wire::{
    forced_call,
    variants::{Variants, merge},
};

#[cfg(test)]
#[path = "../../tests/support/model_server.rs"]
mod model_server;
#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "../../tests/support/way.rs"]
mod way;
