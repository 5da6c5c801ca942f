//! Which system calls are refused, by seccomp: sockets that Landlock of this kernel does not know, and what would get
//! round it or reach other processes.
//!
//! All of it is one short program: for each program that is loaded the kernel runs it once for every call that there is, and
//! translates it. What `seccompiler` makes of the same rules is four times as long, and took 0.4 ms of each command.

use std::{collections::BTreeMap, io};

use nix::libc;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter, sock_filter};

use self::How::{HasAny, Is};
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
const NAMESPACES: i32 = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;
/// Of `unshare` alone: for `clone` that bit belongs to a signal.
const NEW_TIME: u32 = 0x80;
/// Requests to `ioctl` that change attributes of files: `FS_IOC_SETFLAGS`, the same of 32 bits, `FS_IOC_SETVERSION`, and
/// `FS_IOC_FSSETXATTR`.
const ATTRIBUTE_REQUESTS: [u32; 4] = [0x4008_6602, 0x4004_6602, 0x4008_7602, 0x401c_5820];
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
/// On x86-64 every call has a second number for programs with short pointers. None of these is allowed.
const X32: u32 = 0x4000_0000;

/// Confines this process.
pub fn confine(spec: &Spec) -> io::Result<()> {
    apply_filter(&filter(spec)?.0).map_err(io::Error::other)
}

fn filter(spec: &Spec) -> io::Result<Filter> {
    let mut filter = Filter::new()?;
    // Its flags lie in memory that a filter cannot read. A library that is told that there is no such call uses `clone`.
    filter.always(&[libc::SYS_clone3], libc::ENOSYS)?;
    privileged(spec, &mut filter)?;
    ways(spec, &mut filter)?;
    filter.end(ALLOW);
    Ok(filter)
}

fn ways(spec: &Spec, filter: &mut Filter) -> io::Result<()> {
    filter.always(&HIDDEN_WAYS, libc::EACCES)?;
    if !spec.attributes {
        filter.always(&ATTRIBUTES, libc::EACCES)?;
        filter.always(&OLD_ATTRIBUTES, libc::EACCES)?;
    }
    let mut families = Vec::new();
    if spec.network != Network::Off {
        // What tells of interfaces is harmless in a network of its own.
        families.extend([libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]);
    }
    if spec.unix {
        families.push(libc::AF_UNIX);
    }
    let allowed: Vec<Test> = families.into_iter().map(|family| (0, Is(family.unsigned_abs()), ALLOW)).collect();
    filter.by_arguments(libc::SYS_socket, &allowed, refused(libc::EACCES))
}

fn privileged(spec: &Spec, filter: &mut Filter) -> io::Result<()> {
    let refusal = refused(libc::EPERM);
    filter.always(&PRIVILEGED, libc::EPERM)?;
    let namespaces = NAMESPACES.unsigned_abs();
    filter.by_arguments(libc::SYS_clone, &[(0, HasAny(namespaces), refusal)], ALLOW)?;
    filter.by_arguments(libc::SYS_unshare, &[(0, HasAny(namespaces | NEW_TIME), refusal)], ALLOW)?;
    filter.by_arguments(libc::SYS_ioctl, &ATTRIBUTE_REQUESTS.map(|request| (2, Is(request), refusal)), ALLOW)?;
    // Other processes are not changed.
    for call in OF_PROCESS {
        filter.by_arguments(call, &[(0, Is(0), ALLOW)], refusal)?;
    }
    // Both halves of the address of what is set.
    filter.by_arguments(
        libc::SYS_prlimit64,
        &[(0, Is(0), ALLOW), (4, HasAny(u32::MAX), refusal), (5, HasAny(u32::MAX), refusal)],
        ALLOW,
    )?;
    // These can name a user too, by these numbers.
    for (call, user) in [(libc::SYS_setpriority, 2), (libc::SYS_ioprio_set, 3)] {
        filter.by_arguments(call, &[(2, HasAny(u32::MAX), refusal), (0, Is(user), refusal)], ALLOW)?;
    }
    if !spec.namespaces {
        filter.always(&IPC, libc::EPERM)?;
    }
    Ok(())
}

/// What comes of a call.
type Verdict = u32;

const ALLOW: Verdict = libc::SECCOMP_RET_ALLOW;

fn refused(error: i32) -> Verdict {
    libc::SECCOMP_RET_ERRNO | error.unsigned_abs()
}

/// The half of an argument, of 32 bits and counted from 0, the lower one first; how it is tested; and what comes of the call
/// where that holds.
type Test = (u32, How, Verdict);

#[derive(Clone, Copy)]
enum How {
    Is(u32),
    HasAny(u32),
}

/// A program for the kernel's filter. Between its parts the number of the call is in the accumulator.
struct Filter(BpfProgram);

impl Filter {
    /// Looks at the architecture; ends programs of another one.
    fn new() -> io::Result<Self> {
        let architecture = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
        let none = SeccompFilter::new(BTreeMap::new(), SeccompAction::Allow, SeccompAction::KillProcess, architecture);
        let mut program: BpfProgram = none.and_then(TryInto::try_into).map_err(io::Error::other)?;
        // Without rules what follows the look at the architecture allows everything.
        program.pop();
        let mut filter = Self(program);
        filter.load(0);
        if cfg!(target_arch = "x86_64") {
            filter.jump(libc::BPF_JGE, X32, 1);
            filter.end(refused(libc::ENOSYS));
        }
        Ok(filter)
    }

    /// Refuses these calls.
    fn always(&mut self, calls: &[i64], error: i32) -> io::Result<()> {
        for call in calls {
            self.jump(libc::BPF_JEQ, number(*call)?, 1);
            self.end(refused(error));
        }
        Ok(())
    }

    /// Decides a call by the first of the tests that holds.
    fn by_arguments(&mut self, call: i64, tests: &[Test], otherwise: Verdict) -> io::Result<()> {
        let length = u8::try_from(tests.len() * 3 + 1).map_err(io::Error::other)?;
        self.jump(libc::BPF_JEQ, number(call)?, length);
        for (half, how, verdict) in tests {
            // The arguments come after the number, the architecture and an address.
            self.load(16 + half * 4);
            match how {
                Is(value) => self.jump(libc::BPF_JEQ, *value, 1),
                HasAny(bits) => self.jump(libc::BPF_JSET, *bits, 1),
            }
            self.end(*verdict);
        }
        self.end(otherwise);
        Ok(())
    }

    fn load(&mut self, offset: u32) {
        self.push(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, offset);
    }

    /// Leaves out so many instructions where the test fails.
    fn jump(&mut self, test: u32, value: u32, skipped: u8) {
        self.push(libc::BPF_JMP | libc::BPF_K | test, skipped, value);
    }

    fn end(&mut self, verdict: Verdict) {
        self.push(libc::BPF_RET | libc::BPF_K, 0, verdict);
    }

    fn push(&mut self, code: u32, jf: u8, k: u32) {
        // The codes are of 16 bits.
        self.0.push(sock_filter { code: (code & 0xffff) as u16, jt: 0, jf, k });
    }
}

fn number(call: i64) -> io::Result<u32> {
    u32::try_from(call).map_err(io::Error::other)
}
