//! The hello, a client's first line: its directory, its versions, and its environment variables.

use std::{collections::BTreeMap, fmt, sync::Arc};

use polytree_protocol::PROTOCOL_VERSION;
use serde::{Deserialize, Serialize};

use crate::{
    daemon::life::Handover,
    rpc::{
        connection::{Connection, Door},
        error::Error,
    },
    stdx::{paths::AbsPath, version::version},
    store::OwnerKind,
};

/// A client's first line. Newer clients may send more fields.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The directory of requests that name none; absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// The client's protocol version.
    pub protocol_version: u32,
    /// The version of the client's executable.
    #[serde(default)]
    pub executable_version: String,
    /// The client's variables, for the turns that it starts.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// The client wants a [`Welcome`] first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub welcome: bool,
}

/// The daemon's first line, if the hello asks for it. Newer daemons may send more fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Welcome {
    pub pid: u32,
    /// The version of the daemon's executable.
    pub version: String,
    pub kind: OwnerKind,
    /// What it does about a client that is newer than it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Handover>,
}

impl Welcome {
    /// The line, without the line end.
    #[must_use]
    pub fn line(&self) -> String {
        serde_json::json!({ "welcome": self }).to_string()
    }
}

#[derive(Serialize, Deserialize)]
struct Line<H> {
    hello: H,
}

impl Hello {
    /// The hello of this program.
    #[must_use]
    pub fn new(directory: Option<&AbsPath>, environment: BTreeMap<String, String>) -> Self {
        Self {
            directory: directory.map(ToString::to_string),
            protocol_version: PROTOCOL_VERSION,
            executable_version: version().to_owned(),
            environment,
            welcome: false,
        }
    }

    /// The line, without the line end.
    #[must_use]
    pub fn line(&self) -> String {
        // A map of strings can always be serialized.
        serde_json::to_string(&Line { hello: self }).unwrap_or_default()
    }

    /// The version of the client's executable, even if the rest is invalid.
    #[must_use]
    pub fn executable_version_in(line: &[u8]) -> Option<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            executable_version: String,
        }
        serde_json::from_slice::<Line<Version>>(line).ok().map(|line| line.hello.executable_version)
    }

    /// Parses a client's first line.
    ///
    /// # Errors
    /// `invalid_request`, or `unsupported_version`.
    pub fn parse(line: &[u8]) -> Result<Self, Error> {
        // The version is checked first: another version may have another hello.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            protocol_version: u32,
        }
        // Without the parser's message, which could quote the environment.
        let refuse =
            |_| Error::invalid_request("the first line must be {\"hello\": {directory, protocolVersion, executableVersion, environment}}");
        let version = serde_json::from_slice::<Line<Version>>(line).map_err(refuse)?.hello.protocol_version;
        if version != PROTOCOL_VERSION {
            return Err(Error::unsupported_version(version));
        }
        Ok(serde_json::from_slice::<Line<Self>>(line).map_err(refuse)?.hello)
    }

    /// The connection of the client.
    ///
    /// # Errors
    /// `invalid_params` if the directory is not absolute.
    pub fn connection(self) -> Result<Connection, Error> {
        let directory = self.directory.map(|text| {
            AbsPath::new(&text).ok_or_else(|| Error::invalid_params(format!("field `hello.directory`: {text:?} is not an absolute path")))
        });
        Ok(Connection::new(Door::Local, directory.transpose()?, Arc::new(self.environment)))
    }
}

impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the environment, which contains keys.
        f.debug_struct("Hello")
            .field("directory", &self.directory)
            .field("protocol_version", &self.protocol_version)
            .field("executable_version", &self.executable_version)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use polytree_protocol::errors::ErrorKind;

    use super::*;

    #[test]
    fn what_is_said_is_understood() {
        let hello = Hello::new(AbsPath::new("/a").as_ref(), BTreeMap::from([("KEY".to_owned(), "secret\n".to_owned())]));
        assert_eq!(Hello::parse(hello.line().as_bytes()).unwrap(), hello);
        assert!(!format!("{hello:?}").contains("secret"));
        let connection = hello.connection().unwrap();
        assert_eq!(connection.default_directory(), AbsPath::new("/a"));
        assert_eq!(connection.environment()["KEY"], "secret\n");
    }

    #[test]
    fn what_is_not_a_hello_is_refused() {
        let kind = |line: &str| Hello::parse(line.as_bytes()).map(drop).unwrap_err().kind();
        assert_eq!(kind("{}"), ErrorKind::InvalidRequest);
        assert_eq!(kind(r#"{"jsonrpc":"2.0","id":1,"method":"a"}"#), ErrorKind::InvalidRequest);
        assert_eq!(kind(r#"{"hello":{"directory":"/a"}}"#), ErrorKind::InvalidRequest);
        assert_eq!(kind(r#"{"hello":{"protocolVersion":1,"environment":{"KEY":1}}}"#), ErrorKind::InvalidRequest);
        assert_eq!(kind(r#"{"hello":{"protocolVersion":99,"environment":[]}}"#), ErrorKind::UnsupportedVersion);
        let relative = Hello::parse(br#"{"hello":{"protocolVersion":1,"directory":"a","future":true}}"#).unwrap();
        assert_eq!(relative.connection().unwrap_err().kind(), ErrorKind::InvalidParams);
    }
}
