//! Which system calls are refused, by seccomp: sockets that Landlock of this kernel does not know, and what would get
//! round it.

use std::{collections::BTreeMap, io};

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

use crate::sandbox::spec::{Network, Spec};

/// They make sockets and open files without the calls that are looked at, or hand out keys that the kernel keeps.
const REFUSED: [i64; 9] = [
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
];
/// They change what belongs to a file beside its content, which Landlock does not know of. The numbers are the same on all
/// systems: of `fchmodat2`, `setxattrat`, `removexattrat` and `file_setattr`.
const ATTRIBUTES: [i64; 15] = [
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
    469,
];
/// The older ones.
#[cfg(target_arch = "x86_64")]
const OLD_ATTRIBUTES: [i64; 6] =
    [libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat];
#[cfg(not(target_arch = "x86_64"))]
const OLD_ATTRIBUTES: [i64; 0] = [];
/// On x86-64 every call has a second number for programs with short pointers.
const X32: i64 = 0x4000_0000;

/// Confines this process.
pub fn confine(spec: &Spec) -> io::Result<()> {
    let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.into_iter().map(|call| (call, Vec::new())).collect();
    if !spec.attributes {
        rules.extend(ATTRIBUTES.into_iter().chain(OLD_ATTRIBUTES).map(|call| (call, Vec::new())));
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
    let others = families.into_iter().map(|family| {
        let family = u64::from(family.unsigned_abs());
        SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, family).map_err(io::Error::other)
    });
    let others = others.collect::<io::Result<Vec<_>>>()?;
    let socket = if others.is_empty() { Vec::new() } else { vec![SeccompRule::new(others).map_err(io::Error::other)?] };
    rules.insert(libc::SYS_socket, socket);
    if cfg!(target_arch = "x86_64") {
        let doubled: Vec<_> = rules.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
        rules.extend(doubled);
    }
    let refusal = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    apply_filter(&program).map_err(io::Error::other)
}
