//! What the helper is told: which files, which mounts, which network. Written by the daemon and read by the helper, as a
//! line of JSON and then the paths, which need not be UTF-8. Pure.

use std::{
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// What may be done below a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Access {
    /// Names of files may be listed.
    List,
    /// Files may be read and run, too.
    Read,
    /// A device, or a single file, is read and written.
    Device,
    /// Files may be made, written and removed, but not read.
    Change,
    /// All of it, but for devices.
    Write,
    /// A UNIX socket may be connected to, where Landlock knows it.
    Connect,
}

/// What is mounted over a path, in a mount namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Cover {
    /// Itself: then it cannot be renamed or removed.
    Pin,
    /// Itself, read-only.
    ReadOnly,
    /// Something that cannot be opened.
    Hide,
    /// An empty file system in memory.
    Memory,
}

/// The network that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Network {
    /// No sockets of the internet can be made.
    #[default]
    Off,
    /// A network of its own with nothing but loopback.
    Own,
    /// The same, with a listener in it whose other side is the proxy.
    Proxy,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// The ABI of Landlock that was found; with less the helper runs nothing.
    pub landlock: u32,
    /// Whether namespaces are made.
    pub namespaces: bool,
    /// The network.
    pub network: Network,
    /// Whether UNIX sockets can be made.
    pub unix: bool,
    /// Whether modes, owners, times and the like of files can be changed; Landlock does not know of these.
    pub attributes: bool,
    /// Whether everything that is not pinned is mounted read-only.
    pub seals: bool,
    /// What may be done where.
    pub grants: Vec<(Access, PathBuf)>,
    /// What is mounted where, in this order.
    pub covers: Vec<(Cover, PathBuf)>,
    /// The directory with what hides files and directories.
    pub blank: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Head {
    landlock: u32,
    namespaces: bool,
    network: Network,
    unix: bool,
    attributes: bool,
    seals: bool,
    grants: Vec<Access>,
    covers: Vec<Cover>,
}

impl Spec {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = Head {
            landlock: self.landlock,
            namespaces: self.namespaces,
            network: self.network,
            unix: self.unix,
            attributes: self.attributes,
            seals: self.seals,
            grants: self.grants.iter().map(|(access, _)| *access).collect(),
            covers: self.covers.iter().map(|(cover, _)| *cover).collect(),
        };
        let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
        bytes.push(b'\n');
        let paths = self.grants.iter().map(|(_, path)| path).chain(self.covers.iter().map(|(_, path)| path));
        for path in paths.chain([&self.blank]) {
            bytes.extend_from_slice(path.as_os_str().as_bytes());
            bytes.push(0);
        }
        bytes
    }

    /// From bytes.
    ///
    /// # Errors
    /// When they are not what [`Spec::encode`] has made.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "the description of the sandbox is damaged");
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
        let (head, rest) = bytes.split_at(end);
        let head: Head = serde_json::from_slice(head)?;
        let rest = rest.strip_prefix(b"\n").and_then(|rest| rest.strip_suffix(b"\0")).ok_or_else(broken)?;
        let mut paths = rest.split(|byte| *byte == 0).map(|path| PathBuf::from(OsString::from_vec(path.to_vec())));
        let mut next = || paths.next().ok_or_else(broken);
        let grants = head.grants.iter().copied().map(|access| Ok((access, next()?))).collect::<io::Result<_>>()?;
        let covers = head.covers.iter().copied().map(|cover| Ok((cover, next()?))).collect::<io::Result<_>>()?;
        let blank = next()?;
        if paths.next().is_some() {
            return Err(broken());
        }
        let Head { landlock, namespaces, network, unix, attributes, seals, .. } = head;
        Ok(Self { landlock, namespaces, network, unix, attributes, seals, grants, covers, blank })
    }

    /// Grants it, unless it names nothing by being empty.
    pub fn grant(&mut self, access: Access, path: impl AsRef<Path>) {
        if !path.as_ref().as_os_str().is_empty() {
            self.grants.push((access, path.as_ref().to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let odd = PathBuf::from(OsString::from_vec(b"/a/\xff\n b".to_vec()));
        let spec = Spec {
            landlock: 7,
            namespaces: true,
            network: Network::Proxy,
            unix: true,
            attributes: true,
            seals: true,
            grants: vec![(Access::Read, "/usr".into()), (Access::Write, odd.clone())],
            covers: vec![(Cover::Hide, odd)],
            blank: "/blank".into(),
        };
        assert_eq!(Spec::decode(&spec.encode()).unwrap(), spec);
        assert_eq!(Spec::decode(&Spec::default().encode()).unwrap(), Spec::default());
    }

    #[test]
    fn what_is_cut_is_refused() {
        let bytes = Spec { grants: vec![(Access::Read, "/usr".into())], ..Spec::default() }.encode();
        for end in 0..bytes.len() {
            assert!(Spec::decode(&bytes[..end]).is_err(), "{end}");
        }
    }
}
