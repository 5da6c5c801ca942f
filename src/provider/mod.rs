//! Models: the interface (`definition`), the known services and models (`catalog`), the implementations (`wire` over
//! `http`, the built-in `offline` model, `scripted` answers for tests and demos), and recordings of requests and
//! answers (`recording`).
//!
//! The rest of the daemon uses only what is exported here.

mod catalog;
pub(crate) mod definition;
mod http;
mod known_keys;
mod offline;
mod recording;
mod refused;
pub(crate) mod retry;
mod scripted;
mod secret;
mod wire;

pub(crate) use catalog::{
    Catalog, CatalogSettings, Error as CatalogError, ModelSettings, Pool, ProviderSettings, Resolved,
    choice::{Candidates, choose},
    fetched::{Error as FetchError, PUBLISHED_AT, URL_VARIABLE},
    key_store::{Error as KeyStoreError, Keys},
    local_servers::{Kind as LocalKind, Probe, addresses as local_addresses},
};
pub use catalog::{built_in, file::ProviderRow};
pub(crate) use http::{
    client::use_ring,
    network::{Network, NetworkSettings},
};
pub(crate) use known_keys::{KnownKeys, known_keys};
pub(crate) use recording::{RECORD, REPLAY, REPLAY_TIMED, Recording, Recordings, format::Sanitizer, record::Recorded, replay::Replayed};
pub(crate) use refused::Refused;
pub(crate) use secret::Secret;
pub(crate) use wire::{
    forced_call,
    variants::{Variants, merge},
};

#[cfg(test)]
pub(crate) use {catalog::key_store::KeyStore, offline::Offline};

#[cfg(test)]
#[path = "../../tests/support/model_server.rs"]
mod model_server;
#[cfg(test)]
mod testing;
#[cfg(test)]
#[path = "../../tests/support/way.rs"]
mod way;
