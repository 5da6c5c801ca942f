//! Which system calls are refused, by seccomp: sockets that Landlock of this kernel does not know, and what would get
//! round it or reach other processes.

use std::{collections::BTreeMap, io};

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen,
    SeccompCmpArgLen::{Dword, Qword},
    SeccompCmpOp::{self, Eq, MaskedEq, Ne},
    SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use crate::sandbox::spec::{Network, Spec};

/// They make sockets and open files without the calls that are looked at, or hand out keys that the kernel keeps.
const HIDDEN_WAYS: [i64; 10] = [
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_open_by_handle_at,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
];
/// They change mounts and namespaces, or the machine as a whole. 467 is `open_tree_attr`, and 469 `file_setattr`.
const PRIVILEGED: [i64; 20] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_open_tree,
    467,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_fanotify_init,
    469,
    libc::SYS_swapon,
    libc::SYS_swapoff,
];
/// The flags by which a call makes a namespace.
const NAMESPACES: [i32; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
];
/// Of `unshare` alone: for `clone` that bit belongs to a signal.
const NEW_TIME: i32 = 0x80;
/// Requests to `ioctl` that change attributes of files: `FS_IOC_SETFLAGS`, the same of 32 bits, `FS_IOC_SETVERSION`, and
/// `FS_IOC_FSSETXATTR`.
const ATTRIBUTE_REQUESTS: [u64; 4] = [0x4008_6602, 0x4004_6602, 0x4008_7602, 0x401c_5820];
/// Their first argument is the process that they change; 0 is the one that calls.
const OF_PROCESS: [i64; 6] = [
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_setscheduler,
    libc::SYS_sched_setparam,
    libc::SYS_sched_setattr,
    libc::SYS_migrate_pages,
    libc::SYS_move_pages,
];
/// Shared memory, semaphores and messages that have numbers, and queues that have names: all processes of a user find them.
const IPC: [i64; 13] = [
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
];
/// They change what belongs to a file beside its content, which Landlock does not know of. The numbers are the same on all
/// systems: of `fchmodat2`, `setxattrat` and `removexattrat`.
const ATTRIBUTES: [i64; 14] = [
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    452,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    463,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    466,
];
/// The older ones.
#[cfg(target_arch = "x86_64")]
const OLD_ATTRIBUTES: [i64; 6] =
    [libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat];
#[cfg(not(target_arch = "x86_64"))]
const OLD_ATTRIBUTES: [i64; 0] = [];
/// On x86-64 every call has a second number for programs with short pointers.
const X32: i64 = 0x4000_0000;

/// The calls that are refused: each where one of its rules holds, or always where it has none.
type Calls = BTreeMap<i64, Vec<SeccompRule>>;

/// Confines this process.
pub fn confine(spec: &Spec) -> io::Result<()> {
    // Its flags lie in memory that a filter cannot read. A library that is told that there is no such call uses `clone`.
    refuse(libc::ENOSYS, BTreeMap::from([(libc::SYS_clone3, Vec::new())]))?;
    refuse(libc::EPERM, privileged(spec)?)?;
    refuse(libc::EACCES, ways(spec)?)
}

fn ways(spec: &Spec) -> io::Result<Calls> {
    let mut calls = always(&HIDDEN_WAYS);
    if !spec.attributes {
        calls.extend(always(&ATTRIBUTES));
        calls.extend(always(&OLD_ATTRIBUTES));
    }
    let mut families = Vec::new();
    if spec.network != Network::Off {
        // What tells of interfaces is harmless in a network of its own.
        families.extend([libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]);
    }
    if spec.unix {
        families.push(libc::AF_UNIX);
    }
    // A socket of none of these families.
    let others: Vec<_> = families.into_iter().map(|family| (0, Dword, Ne, u64::from(family.unsigned_abs()))).collect();
    calls.insert(libc::SYS_socket, if others.is_empty() { Vec::new() } else { vec![rule(&others)?] });
    Ok(calls)
}

fn privileged(spec: &Spec) -> io::Result<Calls> {
    let mut calls = always(&PRIVILEGED);
    let flag = |flag: i32| rule(&[(0, Dword, MaskedEq(u64::from(flag.unsigned_abs())), u64::from(flag.unsigned_abs()))]);
    calls.insert(libc::SYS_clone, NAMESPACES.into_iter().map(flag).collect::<io::Result<_>>()?);
    calls.insert(libc::SYS_unshare, NAMESPACES.into_iter().chain([NEW_TIME]).map(flag).collect::<io::Result<_>>()?);
    let requests = ATTRIBUTE_REQUESTS.into_iter().map(|request| rule(&[(1, Dword, Eq, request)]));
    calls.insert(libc::SYS_ioctl, requests.collect::<io::Result<_>>()?);
    // Other processes are not changed.
    for call in OF_PROCESS {
        calls.insert(call, vec![rule(&[(0, Dword, Ne, 0)])?]);
    }
    calls.insert(libc::SYS_prlimit64, vec![rule(&[(0, Dword, Ne, 0), (2, Qword, Ne, 0)])?]);
    // These can name a user too, by these numbers.
    for (call, user) in [(libc::SYS_setpriority, 2), (libc::SYS_ioprio_set, 3)] {
        calls.insert(call, vec![rule(&[(1, Dword, Ne, 0)])?, rule(&[(0, Dword, Eq, user)])?]);
    }
    if !spec.namespaces {
        calls.extend(always(&IPC));
    }
    Ok(calls)
}

fn always(calls: &[i64]) -> Calls {
    calls.iter().map(|call| (*call, Vec::new())).collect()
}

/// Holds where all of these do: the argument's place, its size, how it is compared, and with what.
fn rule(conditions: &[(u8, SeccompCmpArgLen, SeccompCmpOp, u64)]) -> io::Result<SeccompRule> {
    let conditions = conditions.iter().map(|(place, size, how, value)| SeccompCondition::new(*place, size.clone(), how.clone(), *value));
    let conditions = conditions.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?;
    SeccompRule::new(conditions).map_err(io::Error::other)
}

fn refuse(error: i32, mut calls: Calls) -> io::Result<()> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    if cfg!(target_arch = "x86_64") {
        let doubled: Vec<_> = calls.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
        calls.extend(doubled);
    }
    let refusal = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(calls, SeccompAction::Allow, refusal, architecture).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}
