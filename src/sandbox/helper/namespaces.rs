//! Namespaces of its own for users, mounts and the network: for what Landlock cannot do.

use std::{
    fs,
    io::{self, IoSlice},
    mem::MaybeUninit,
    net::{Ipv4Addr, SocketAddrV4, TcpListener},
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use nix::{
    libc,
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use rustix::{
    fs::{CWD, FileType, Mode, OFlags, openat},
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
    // Programs look up processes by their numbers in this namespace. In a container the system may refuse it; then they see
    // those outside, as they would without one.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let _ = mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>);
    let here = rustix::process::getcwd(Vec::new())?;
    let of = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"))
    };
    let is_pin = |(kind, _): &&(Cover, PathBuf)| *kind == Cover::Pin;
    // Copies of what stays writable, before everything else is sealed.
    let mut pins = Vec::new();
    for (_, path) in spec.covers.iter().filter(is_pin) {
        if let Some(place) = open_place(path).map_err(of(path))? {
            pins.push((path, copy(place.as_fd()).map_err(of(path))?, Stat::of(&place)?));
        }
    }
    let root = openat(CWD, "/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    // Nothing that is mounted here is seen outside.
    change(root.as_fd(), if spec.seals { libc::MOUNT_ATTR_RDONLY } else { 0 }, libc::MS_SLAVE)?;
    for (path, tree, was) in pins {
        // Anew, since a pin may lie in another one.
        let Some(place) = open_place(path).map_err(of(path))? else { continue };
        if Stat::of(&place)? != was {
            return Err(of(path)(io::Error::other("something else has taken its place")));
        }
        attach(tree.as_fd(), place.as_fd()).map_err(of(path))?;
    }
    for (kind, path) in spec.covers.iter().filter(|cover| !is_pin(cover)) {
        cover(*kind, path, &spec.blank).map_err(of(path))?;
    }
    // Where this process was before lies under what was mounted, and shows what that hides.
    rustix::process::chdir(here)?;
    if spec.network != Network::Off {
        raise_loopback()?;
    }
    Ok(first)
}

/// What a file is known by.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    device: u64,
    inode: u64,
}

impl Stat {
    fn of(file: &OwnedFd) -> io::Result<Self> {
        let found = rustix::fs::fstat(file)?;
        Ok(Self { device: found.st_dev, inode: found.st_ino })
    }
}

/// What is mounted on is opened once, without following links, so that nobody can exchange it meanwhile. `None` where it has
/// gone: who makes it anew is outside.
fn open_place(path: &Path) -> io::Result<Option<OwnedFd>> {
    match open_real(path) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(Errno::LOOP) => Err(io::Error::other("it has become a link")),
        Err(error) => Err(error.into()),
    }
}

fn cover(kind: Cover, path: &Path, blank: &Path) -> io::Result<()> {
    let Some(place) = open_place(path)? else { return Ok(()) };
    match kind {
        Cover::Pin => attach(copy(place.as_fd())?.as_fd(), place.as_fd()),
        Cover::ReadOnly => attach_read_only(place.as_fd(), place.as_fd()),
        Cover::Hide => {
            let is_directory = FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode) == FileType::Directory;
            let blank = if is_directory { blank::directory(blank) } else { blank::file(blank) };
            let blank = openat(CWD, &blank, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            attach_read_only(blank.as_fd(), place.as_fd())
        }
        Cover::Memory => {
            let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
            // The name by which the kernel finds what is open.
            let name = format!("/proc/self/fd/{}", place.as_raw_fd());
            Ok(mount(Some("tmpfs"), name.as_str(), Some("tmpfs"), flags, Some("mode=1777"))?)
        }
    }
}

fn attach_read_only(source: BorrowedFd<'_>, place: BorrowedFd<'_>) -> io::Result<()> {
    let tree = copy(source)?;
    change(tree.as_fd(), libc::MOUNT_ATTR_RDONLY, 0)?;
    attach(tree.as_fd(), place)
}

/// Copies what is mounted there and below; the copy is mounted nowhere yet.
fn copy(source: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(open_tree(source, "", flags | OpenTreeFlags::AT_RECURSIVE)?)
}

fn attach(tree: BorrowedFd<'_>, place: BorrowedFd<'_>) -> io::Result<()> {
    Ok(move_mount(tree, "", place, "", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH)?)
}

/// Gives all mounts of a tree these attributes besides those that they have, and says how they pass on what is mounted.
fn change(tree: BorrowedFd<'_>, attributes: u64, propagation: u64) -> io::Result<()> {
    // As in `struct mount_attr`: what is set, what is cleared, the propagation, and a namespace of users.
    let wanted = [attributes, 0, propagation, 0_u64];
    #[expect(unsafe_code, reason = "no crate has this call")]
    // SAFETY: the kernel reads an empty path and as many bytes as it is told, and keeps neither.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            wanted.as_ptr(),
            size_of_val(&wanted),
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
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
