//! Listening on the network.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

params! {
    /// Params of `server.listen`.
    ServerListenParams {
        /// `HOST:PORT` or `[IPV6]:PORT`; port 0 takes a free one.
        address: String,
        /// Origins whose pages may connect, such as `https://app.example`; the daemon's own pages always may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allow_origins: Option<Vec<String>>,
        /// Names, with or without a port, by which clients may reach the listener beside those of loopback.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allow_hosts: Option<Vec<String>>,
        /// The path below which everything is served, such as `/polytree`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base_path: Option<String>,
        /// Believe the `X-Forwarded-*` headers: only behind a proxy that sets them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trust_forwarded: Option<bool>,
        /// The absolute path of the certificate chain in PEM form; with `key`, the listener speaks TLS.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        certificate: Option<String>,
        /// The absolute path of the certificate's private key in PEM form.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    }
}

/// Result of `server.listen`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerListenResult {
    /// Where it listens, with the real port.
    pub url: String,
    /// The file that holds the token which clients must show.
    pub token_file: String,
}
