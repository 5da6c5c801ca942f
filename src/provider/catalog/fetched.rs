//! The fetched catalogue: requested by the user, validated, stored in the data directory, and used from then on. One
//! that is invalid or older than the built-in one is ignored, and that is reported.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use polytree_protocol::provider::{CatalogInfo, CatalogSource, ModelRefreshResult};

use crate::{
    config::files::Stamp,
    provider::{
        catalog::{
            built_in::built_in,
            file::{CatalogFile, MAX_BYTES},
        },
        http::{address::Address, client, network::Network},
    },
    stdx::{
        paths::AbsPath,
        private_file,
        tasks::Tasks,
        time::{day, now_ms},
    },
};

/// The default URL.
pub const PUBLISHED_AT: &str = "https://models.dev/api.json";

/// The environment variable with the URL of the catalogue.
pub const URL_VARIABLE: &str = "POLYTREE_MODELS_URL";

/// The timeout of a fetch.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// Why the catalogue cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the catalogue's address cannot be used: {0}")]
    Address(String),
    /// The service cannot be reached, or its response is not usable.
    #[error("the catalogue cannot be fetched from {service}: {why}")]
    Service { service: String, why: String },
    /// The response is not a catalogue.
    #[error("what {service} sent is no catalogue: {why}")]
    Content { service: String, why: String },
    #[error("the catalogue cannot be kept in {path}: {source}")]
    File { path: AbsPath, source: io::Error },
    /// There is no data directory.
    #[error("there is no place to keep a catalogue")]
    None,
}

#[derive(Debug, Clone, Default)]
pub struct Current {
    /// The fetched catalogue; `None`: the built-in one.
    fetched: Option<Arc<CatalogFile>>,
    /// Why a fetched catalogue is ignored.
    pub problem: Option<String>,
}

impl Current {
    pub fn file(&self) -> &CatalogFile {
        self.fetched.as_deref().unwrap_or(built_in())
    }

    pub fn info(&self) -> CatalogInfo {
        let file = self.file();
        let source = if self.fetched.is_some() { CatalogSource::Fetched } else { CatalogSource::BuiltIn };
        CatalogInfo { source, as_of: file.as_of.clone(), url: file.url.clone() }
    }
}

/// The file `models.json` of a data directory.
#[derive(Debug, Default)]
pub struct CatalogCache {
    path: Option<AbsPath>,
    // Locked while the file is read.
    known: Mutex<Option<(Stamp, Current)>>,
}

impl CatalogCache {
    /// The cache of this data directory; the file need not exist. The default cache has no file.
    pub fn new(data: &AbsPath) -> Self {
        Self { path: Some(data.join("models.json")), known: Mutex::default() }
    }

    /// The catalogue in use. Reads only the metadata of an unchanged file.
    pub fn current(&self) -> Current {
        let Some(path) = &self.path else { return Current::default() };
        let begun = SystemTime::now();
        let Some(stamp) = Stamp::of(path.as_path()) else { return Current::default() };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, current)) = &*known
            && *read == stamp
        {
            return current.clone();
        }
        let current = match read(path) {
            Ok(fetched) => Current { fetched, problem: None },
            Err(problem) => {
                let problem = format!(
                    "{problem}; the built-in catalogue of {} is used, `polytree models --refresh` fetches a new one",
                    built_in().as_of
                );
                Current { fetched: None, problem: Some(problem) }
            }
        };
        *known = stamp.is_settled(begun).then(|| (stamp, current.clone()));
        current
    }

    /// Fetches the catalogue, validates and stores it.
    ///
    /// # Errors
    /// See [`Error`]; then nothing changes.
    pub async fn refresh(&self, url: &str, network: Network) -> Result<ModelRefreshResult, Error> {
        let path = self.path.clone().ok_or(Error::None)?;
        let address = address(url)?;
        let service = address.service();
        let bytes = fetch(url, address.clone(), network).await.map_err(|why| Error::Service { service: service.clone(), why })?;
        let shown = address.shown();
        let keep = move || {
            let text = CatalogFile::envelope(&bytes, &day(now_ms()), &shown);
            let read = text.and_then(|text| Ok((CatalogFile::parse(text.as_bytes(), Some(built_in()))?, text)));
            let ((file, skipped), text) = read.map_err(|error| Error::Content { service, why: error.to_string() })?;
            private_file::replace(&path, text.as_bytes()).map_err(|source| Error::File { path, source })?;
            let catalog = CatalogInfo { source: CatalogSource::Fetched, as_of: file.as_of.clone(), url: file.url.clone() };
            Ok(ModelRefreshResult { catalog, providers: file.providers.len() as u64, models: file.models(), skipped })
        };
        match Tasks::spawn_blocking(keep).await {
            Ok(kept) => kept,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // The process is ending; the result is not used.
            Err(_) => std::future::pending().await,
        }
    }
}

fn read(path: &AbsPath) -> Result<Option<Arc<CatalogFile>>, String> {
    let wrong = |why: &dyn std::fmt::Display| format!("the fetched catalogue {path} cannot be used: {why}");
    let Some(bytes) = private_file::read(path, MAX_BYTES).map_err(|error| wrong(&error))? else { return Ok(None) };
    let (file, _) = CatalogFile::parse(&bytes, Some(built_in())).map_err(|error| wrong(&error))?;
    if file.as_of < built_in().as_of {
        return Err(format!("the fetched catalogue of {} is older than this program", file.as_of));
    }
    Ok(Some(Arc::new(file)))
}

/// Only https and loopback URLs are allowed.
fn address(url: &str) -> Result<Address, Error> {
    let address = Address::parse(url).map_err(|_| Error::Address("expected something like https://models.dev/api.json".to_owned()))?;
    if address.is_secure() || address.is_loopback() {
        Ok(address)
    } else {
        Err(Error::Address(format!("{} is neither https nor on this machine", address.service())))
    }
}

async fn fetch(url: &str, address: Address, network: Network) -> Result<Vec<u8>, String> {
    let client = client::client(address, network).await?;
    let told = |error: reqwest::Error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        // The outer errors repeat the URL, which may contain a password.
        if error.is_timeout() { "it took too long".to_owned() } else { cause.to_string() }
    };
    let request = client.get(url.trim()).header("accept", "application/json").timeout(FETCH_TIMEOUT);
    let mut answer = request.send().await.map_err(|error| told(error.without_url()))?;
    let status = answer.status();
    if status.is_redirection() {
        return Err(format!("it leads elsewhere (status {}); give the final address", status.as_u16()));
    }
    if !status.is_success() {
        return Err(format!("it answered with status {}", status.as_u16()));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| told(error.without_url()))? {
        if (bytes.len() + chunk.len()) as u64 > MAX_BYTES {
            return Err(format!("it sent more than {MAX_BYTES} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "fetched_tests.rs"]
mod tests;
