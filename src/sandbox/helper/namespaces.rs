//! Namespaces of its own for users, mounts and the network: for what Landlock cannot do.

use std::{
    ffi::OsString,
    fs,
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::{
        fd::{AsFd as _, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt as _,
    },
    path::{Path, PathBuf},
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, StatVfsMountFlags, openat},
    io::Errno,
    mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree},
    net::{AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketType, send, sendmsg, socket_with},
};

use super::{
    files::open_real,
    processes::{self, First},
};
use crate::sandbox::{
    blank,
    spec::{Cover, Network, Spec},
};

/// Makes the namespaces and mounts what is to be mounted; returns in the first process of the one for processes.
pub fn enter(spec: &Spec) -> io::Result<First> {
    let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let mut flags = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWIPC;
    if spec.network != Network::Off {
        flags |= CloneFlags::CLONE_NEWNET;
    }
    unshare(flags)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    let first = processes::enter()?;
    // Nothing that is mounted here is seen outside.
    attach(Path::new("/"), MsFlags::MS_REC | MsFlags::MS_SLAVE)?;
    // Programs look up processes by their numbers in this namespace. In a container the system may refuse it; then they see
    // those outside, as they would without one.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let _ = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>);
    let here = rustix::process::getcwd(Vec::new())?;
    let mounts = if spec.seals { mounts()? } else { Vec::new() };
    let is_pin = |(kind, _): &&(Cover, PathBuf)| *kind == Cover::Pin;
    for (kind, path) in spec.covers.iter().filter(is_pin) {
        cover(*kind, path, &spec.blank).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    }
    let is_pinned = |mount: &Path| spec.covers.iter().filter(is_pin).any(|(_, path)| mount.starts_with(path));
    for mount in mounts.iter().filter(|mount| !is_pinned(mount)) {
        // What lies below another mount, or cannot be reached, cannot be changed either.
        let _ = open_real(mount).map_err(io::Error::from).and_then(|mount| read_only(mount.as_fd()));
    }
    for (kind, path) in spec.covers.iter().filter(|cover| !is_pin(cover)) {
        cover(*kind, path, &spec.blank).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))?;
    }
    // Where this process was before lies under what was mounted, and shows what that hides.
    rustix::process::chdir(here)?;
    if spec.network != Network::Off {
        raise_loopback()?;
    }
    Ok(first)
}

/// Where something is mounted.
fn mounts() -> io::Result<Vec<PathBuf>> {
    let table = fs::read("/proc/self/mountinfo")?;
    let lines = table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(lines.map(|path| PathBuf::from(OsString::from_vec(unescaped(path)))).collect())
}

/// Spaces and the like stand as three octal digits behind a backslash.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &after[3..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

fn attach(target: &Path, flags: MsFlags) -> io::Result<()> {
    Ok(mount(None::<&str>, target, None::<&str>, flags, None::<&str>)?)
}

/// What is mounted on is opened once, without following links, so that nobody can exchange it meanwhile.
fn cover(kind: Cover, path: &Path, blank: &Path) -> io::Result<()> {
    let target = match open_real(path) {
        Ok(target) => target,
        // It has gone meanwhile; who makes it anew is outside.
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
        Err(Errno::LOOP) => return Err(io::Error::other("it has become a link")),
        Err(error) => return Err(error.into()),
    };
    let is_directory = FileType::from_raw_mode(rustix::fs::fstat(&target)?.st_mode) == FileType::Directory;
    match kind {
        Cover::Pin => bind(target.as_fd(), target.as_fd()).map(drop),
        Cover::ReadOnly => read_only(bind(target.as_fd(), target.as_fd())?.as_fd()),
        Cover::Hide => {
            let blank = if is_directory { blank::directory(blank) } else { blank::file(blank) };
            let blank = openat(CWD, &blank, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            read_only(bind(blank.as_fd(), target.as_fd())?.as_fd())
        }
        Cover::Memory => {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
            Ok(mount(Some("tmpfs"), &by_descriptor(&target), Some("tmpfs"), flags, Some("mode=1777"))?)
        }
    }
}

/// Mounts what `source` is on `target`; gives the mount.
fn bind(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(source, "", flags | OpenTreeFlags::AT_RECURSIVE)?;
    move_mount(&tree, "", target, "", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH)?;
    Ok(tree)
}

/// The name by which the kernel finds what is open.
fn by_descriptor(file: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// What the mount was not allowed before, it is not allowed now either: the kernel wants it to be said again.
fn read_only(tree: BorrowedFd<'_>) -> io::Result<()> {
    let had = rustix::fs::fstatvfs(tree)?.f_flag;
    let mut flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    for (had_flag, flag) in [
        (StatVfsMountFlags::NOSUID, MsFlags::MS_NOSUID),
        (StatVfsMountFlags::NODEV, MsFlags::MS_NODEV),
        (StatVfsMountFlags::NOEXEC, MsFlags::MS_NOEXEC),
        (StatVfsMountFlags::NOATIME, MsFlags::MS_NOATIME),
        (StatVfsMountFlags::NODIRATIME, MsFlags::MS_NODIRATIME),
        (StatVfsMountFlags::RELATIME, MsFlags::MS_RELATIME),
    ] {
        if had.contains(had_flag) {
            flags |= flag;
        }
    }
    attach(&by_descriptor(&tree), flags)
}

/// Asks the kernel by a message of the routing protocol (RTM_NEWLINK) to bring up the first interface.
fn raise_loopback() -> io::Result<()> {
    const NEW_LINK: u16 = 16;
    const REQUEST: u16 = 1;
    const UP: u32 = 1;
    let mut message = Vec::with_capacity(32);
    message.extend_from_slice(&32_u32.to_ne_bytes());
    message.extend_from_slice(&NEW_LINK.to_ne_bytes());
    message.extend_from_slice(&REQUEST.to_ne_bytes());
    // Sequence and port; then family, padding and type.
    message.extend_from_slice(&[0; 12]);
    for number in [1_u32, UP, UP] {
        message.extend_from_slice(&number.to_ne_bytes());
    }
    // Protocol 0 of netlink is that for routes.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, rustix::net::SocketFlags::CLOEXEC, None)?;
    send(&socket, &message, SendFlags::empty())?;
    // It takes effect before the call returns; who cannot listen will tell.
    Ok(())
}

/// Listens on loopback and hands the listener to whoever is at the other end of `back`; gives the port.
pub fn listen(back: BorrowedFd<'_>) -> io::Result<u16> {
    let listener = TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = [listener.as_fd()];
    if !ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("a descriptor cannot be handed on"));
    }
    sendmsg(back, &[IoSlice::new(b"l")], &mut ancillary, SendFlags::empty())?;
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_of_the_table_of_mounts() {
        assert_eq!(unescaped(br"/a\040b\134c\x"), br"/a b\c\x");
        assert!(mounts().unwrap().contains(&PathBuf::from("/")));
    }
}
