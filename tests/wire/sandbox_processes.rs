//! What commands in the sandbox may not do to the system and to other processes, and that nothing of them is left, with the
//! real kernel, by a user without rights and by root where the tests are root's.

use nix::libc;
use polytree::{
    sandbox::{self, Abilities, Sandbox},
    stdx::{paths::AbsPath, process::Group},
};
use polytree_protocol::sandbox::SandboxPolicy;
use serde_json::{Value, json};

use super::{
    sandbox::{Place, edits, output, somebody, unguarded},
    support::fixture::Fixture,
};

/// Calls them all and names those that are not refused.
const CALLS: &str = r#"
import ctypes, os, struct, sys
c = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    ctypes.set_errno(0)
    return 0 if c.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)) >= 0 else ctypes.get_errno()
me, buffer = os.getpid(), ctypes.create_string_buffer(256)
path = ctypes.c_char_p(b"a.txt")
file = os.open("a.txt", os.O_RDONLY)
attempts = {
    "mount": (path, path, None, 4096, None),
    "umount2": (path, 0),
    "mount_setattr": (-100, path, 0, ctypes.create_string_buffer(struct.pack("QQQQ", 0, 1, 0, 0), 32), 32),
    "open_tree": (-100, path, 1),
    "fsopen": (ctypes.c_char_p(b"tmpfs"), 0),
    "fsconfig": (file, 6, None, None, 0),
    "fsmount": (file, 0, 0),
    "fspick": (-100, path, 0),
    "move_mount": (-100, path, -100, path, 0),
    "pivot_root": (path, path),
    "chroot": (ctypes.c_char_p(b"."),),
    "setns": (file, 0),
    "unshare": (0x10000000,),
    "clone": (0x10000000 | 17, 0, 0, 0, 0),
    "sethostname": (ctypes.c_char_p(b"x"), 1),
    "setdomainname": (ctypes.c_char_p(b"x"), 1),
    "syslog": (10, None, 0),
    "fanotify_init": (0x200, 0),
    "ioctl": (file, 0x40086602, buffer),
    "prlimit64": (me, 7, ctypes.create_string_buffer(struct.pack("QQ", 64, 64), 16), None),
    "sched_setaffinity": (me, 8, ctypes.create_string_buffer(b"\xff" * 8, 8)),
    "sched_setscheduler": (me, 0, buffer),
    "sched_setparam": (me, buffer),
    "sched_setattr": (me, buffer, 0),
    "setpriority": (0, me, 1),
    "ioprio_set": (1, me, 2 << 13),
    "migrate_pages": (me, 0, None, None),
    "move_pages": (me, 0, None, None, None, 0),
}
for entry in sys.argv[1].split(","):
    name, _, number = entry.partition("=")
    error = call(int(number), *attempts[name])
    if name == "clone" and error == 0 and os.getpid() != me: os._exit(0)
    if error != 1: print("NOT REFUSED", name, error)
print("clone3", call(435, buffer, 88))
os.setpriority(os.PRIO_PROCESS, 0, 1)
import resource, threading
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
thread = threading.Thread(target=print, args=("thread",)); thread.start(); thread.join()
print("capabilities", sum(c.prctl(23, capability) for capability in (2, 5, 6, 7, 8, 12, 13, 16, 17, 18, 19, 21, 23, 27, 38, 39)))
print("shared memory", call(int(sys.argv[2]), 0, 4096, 0o600))
print("done")
"#;

fn numbers() -> String {
    let calls = [
        ("mount", libc::SYS_mount),
        ("umount2", libc::SYS_umount2),
        ("mount_setattr", libc::SYS_mount_setattr),
        ("open_tree", libc::SYS_open_tree),
        ("fsopen", libc::SYS_fsopen),
        ("fsconfig", libc::SYS_fsconfig),
        ("fsmount", libc::SYS_fsmount),
        ("fspick", libc::SYS_fspick),
        ("move_mount", libc::SYS_move_mount),
        ("pivot_root", libc::SYS_pivot_root),
        ("chroot", libc::SYS_chroot),
        ("setns", libc::SYS_setns),
        ("unshare", libc::SYS_unshare),
        ("clone", libc::SYS_clone),
        ("sethostname", libc::SYS_sethostname),
        ("setdomainname", libc::SYS_setdomainname),
        ("syslog", libc::SYS_syslog),
        ("fanotify_init", libc::SYS_fanotify_init),
        ("ioctl", libc::SYS_ioctl),
        ("prlimit64", libc::SYS_prlimit64),
        ("sched_setaffinity", libc::SYS_sched_setaffinity),
        ("sched_setscheduler", libc::SYS_sched_setscheduler),
        ("sched_setparam", libc::SYS_sched_setparam),
        ("sched_setattr", libc::SYS_sched_setattr),
        ("setpriority", libc::SYS_setpriority),
        ("ioprio_set", libc::SYS_ioprio_set),
        ("migrate_pages", libc::SYS_migrate_pages),
        ("move_pages", libc::SYS_move_pages),
    ];
    calls.map(|(name, number)| format!("{name}={number}")).join(",")
}

/// Somebody without rights, and root where the tests are root's.
fn users() -> Vec<Option<u32>> {
    if somebody().is_some() { vec![somebody(), None] } else { vec![None] }
}

fn policies() -> [(Value, &'static str); 2] {
    [(json!({ "agent": "plan" }), "read-only"), (edits(), "workspace")]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_system_and_other_processes_are_not_changed() {
    for user in users() {
        let fixture = Fixture::new().await;
        std::fs::write(fixture.path("repo/calls.py"), CALLS).unwrap();
        let mut place = Place::of(fixture, "repo", &unguarded(), user).await;
        for (more, policy) in policies() {
            let line = format!("/usr/bin/python3 calls.py {} {}", numbers(), libc::SYS_shmget);
            let state = place.run(&line, more).await;
            let printed = output(&state);
            assert_eq!(state["metadata"]["sandbox"]["policy"], policy, "{state}");
            assert!(printed.contains("thread\n") && printed.contains("done\n") && !printed.contains("NOT REFUSED"), "{user:?} {printed}");
            assert!(printed.contains(&format!("clone3 {}\n", libc::ENOSYS)), "{user:?} {policy} {printed}");
            if user.is_none() && rustix::process::geteuid().is_root() {
                assert!(printed.contains("capabilities 0\n"), "{user:?} {policy} {printed}");
            }
            // Without a namespace of its own it has none at all.
            let memory = if policy == "workspace" { 0 } else { libc::EPERM };
            assert!(printed.contains(&format!("shared memory {memory}\n")), "{user:?} {policy} {printed}");
        }
        let own = std::fs::read_link("/proc/self/ns/ipc").unwrap().display().to_string();
        let state = place.run("/usr/bin/python3 -c \"import os; print(os.readlink('/proc/self/ns/ipc'))\"", edits()).await;
        assert!(output(&state).starts_with("ipc:") && !output(&state).contains(&own), "{state}");
    }
}

/// Leaves group, session and parent, tells that it has, and goes on for ever.
const SURVIVOR: &str = r#"
import os, sys, time
if len(sys.argv) == 3:
    os.write(int(sys.argv[2]), b"x")
    os.close(int(sys.argv[2]))
    while True: time.sleep(1)
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        null = os.open("/dev/null", os.O_RDWR)
        for number in range(3): os.dup2(null, number)
        os.set_inheritable(writer, True)
        variables = {} if sys.argv[1].startswith("bare") else os.environ
        os.execve("/usr/bin/python3", ["python3", "survivor.py", sys.argv[1], str(writer)], variables)
    os._exit(0)
os.close(writer)
print("survives:", os.read(reader, 1))
"#;

/// Whether a program with this argument runs.
fn runs(argument: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.into_iter().any(|line| line.split(|byte| *byte == 0).any(|word| word == argument.as_bytes()))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_command_has_started_survives_it() {
    for user in users() {
        let fixture = Fixture::new().await;
        std::fs::write(fixture.path("repo/survivor.py"), SURVIVOR).unwrap();
        let mut place = Place::of(fixture, "repo", &unguarded(), user).await;
        let [read_only, workspace] = policies();
        // Without namespaces it is known again by its variables, so that one without any goes on.
        for (kind, more) in [("named", read_only.0), ("named", workspace.0.clone()), ("bare", workspace.0)] {
            let argument = format!("{kind}-{}-{}", std::process::id(), place.fixture.path("").display().to_string().replace('/', "-"));
            let state = place.run(&format!("/usr/bin/python3 survivor.py {argument}"), more).await;
            assert!(output(&state).contains("survives: b'x'"), "{state}");
            assert!(!runs(&argument), "{user:?} {kind}: {state}");
            assert!(state["metadata"].get("running").is_none(), "{state}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_bubblewrap_nothing_survives_either() {
    let fixture = Fixture::new().await;
    let [worktree, data] = ["repo", "data"].map(|name| AbsPath::new(fixture.path(name)).unwrap());
    std::fs::write(fixture.path("repo/survivor.py"), SURVIVOR).unwrap();
    let sandbox = Sandbox::new(&data, &[]).with_program(env!("CARGO_BIN_EXE_polytree"));
    let found = sandbox.abilities().await;
    if !found.bubblewrap {
        return;
    }
    let place = sandbox::Place {
        policy: SandboxPolicy::Workspace,
        settings: &sandbox::Settings::default(),
        worktree: &worktree,
        private: &[],
        home: None,
        search_path: None,
        outputs: &data,
        outside: &[],
        own_names: &[".polytree"],
        rules: &|_| sandbox::Verdict { hidden: false, fixed: false },
        rules_key: 0,
    };
    let confined = sandbox.confine(Abilities { namespaces: false, ..found }, &place).unwrap();
    let (mut command, sender) = confined.command("/bin/bash".as_ref(), &worktree).unwrap();
    let argument = format!("bare-bubblewrap-{}", std::process::id());
    command.args(["-c", "--", &format!("/usr/bin/python3 survivor.py {argument} | grep -q survives && touch survived")]);
    let mut group = Group::spawn(command).unwrap();
    sender.send().await;
    assert!(group.wait().await.unwrap().success());
    assert!(fixture.path("repo/survived").exists() && runs(&argument), "it has not left the group");
    group.kill();
    group.ended().await;
    assert!(!runs(&argument));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_namespaces_ends_as_it_does_without() {
    let mut place = Place::of(Fixture::new().await, "repo", &json!({}), somebody()).await;
    for (line, exit, note) in [
        ("exit 7", json!(7), "[exit code 7]"),
        ("kill -TERM $$", json!(null), "[ended by signal: 15"),
        ("kill -KILL $$", json!(null), "[ended by signal: 9"),
        ("sleep 1000 & echo started", json!(0), "had left running in the background were ended"),
    ] {
        let state = place.run(line, edits()).await;
        assert_eq!(state["metadata"]["exit"], exit, "{line}: {state}");
        assert!(output(&state).contains(note), "{line}: {state}");
    }
    let state = place.run("ps -o pid= -p $$ && test \"$(ps -e -o pid= | wc -l)\" -lt 10", edits()).await;
    assert_eq!(state["metadata"]["exit"], 0, "{state}");
}
