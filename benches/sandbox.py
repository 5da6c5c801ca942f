#!/usr/bin/env python3
"""The cost of the sandbox: milliseconds for one command, with and without it, in a user's own daemon.

    cargo build --profile dist && benches/sandbox.py [target/dist/polytree] [RUNS]

Each run starts /bin/true by way of bash as the tool does, alone and by way of the helper; the median of the differences
counts. The helper is told what `polytree` tells it in a repository of some hundred files.
"""
import json, os, pathlib, socket, statistics, subprocess, sys, tempfile, time

POLYTREE = sys.argv[1] if len(sys.argv) > 1 else "target/dist/polytree"
RUNS = int(sys.argv[2]) if len(sys.argv) > 2 else 300
SHELL = ["/bin/bash", "-c", "--", "true"]
READ = [p for p in ("/usr", "/etc", "/opt", "/proc", "/sys") if os.path.isdir(p)]


def spec(grants, covers=(), **more):
    head = {"landlock": 1, "namespaces": False, "network": "Off", "unix": False, "attributes": False, "seals": False, **more}
    head |= {"grants": [access for access, _ in grants], "covers": [kind for kind, _ in covers]}
    paths = [path for _, path in grants] + [path for _, path in covers] + ["/dev/null"]
    return json.dumps(head).encode() + b"\n" + b"".join(path.encode() + b"\0" for path in paths)


def once(told):
    if told is None:
        began = time.perf_counter()
        subprocess.run(SHELL, stdin=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began
    ours, theirs = socket.socketpair()
    began = time.perf_counter()
    child = subprocess.Popen([POLYTREE, "__sandbox", *SHELL], stdin=theirs)
    theirs.close(); ours.sendall(told); ours.shutdown(socket.SHUT_WR)
    if child.wait() != 0:
        sys.exit("the helper failed")
    took = time.perf_counter() - began
    ours.close()
    return took


with tempfile.TemporaryDirectory() as top:
    tree = pathlib.Path(top) / "tree"
    for name in ("tmp", "cache", "tree/.git/hooks"):
        (pathlib.Path(top) / name).mkdir(parents=True)
    (tree / ".git/config").write_text("")
    files = [tree / f"f{n}" for n in range(100)]
    for file in files:
        file.write_text("")
    system = [("Read", path) for path in READ] + [("Device", "/dev/null"), ("List", str(tree))]
    home = [("Read", str(file)) for file in files]
    write = [("Write", f"{top}/{name}") for name in ("tree", "tmp", "cache")]
    covers = [("Pin", path) for _, path in write] + [("ReadOnly", f"{tree}/.git/config"), ("ReadOnly", f"{tree}/.git/hooks")]
    apart = dict(namespaces=True, attributes=True, seals=True)
    kinds = {
        "without": None,
        "read-only": spec(system + [("Read", str(tree)), ("Write", f"{top}/tmp")]),
        "read-only, 100 siblings of a secret": spec(system + home + [("Write", f"{top}/tmp")]),
        "workspace": spec(system + write, covers, network="Own", **apart),
        "workspace with domains": spec(system + write, covers, network="Proxy", **apart),
    }
    for told in kinds.values():
        once(told)
    times = {name: [] for name in kinds}
    for _ in range(RUNS):
        for name, told in kinds.items():
            times[name].append(once(told) * 1000)
    base = statistics.median(times["without"])
    print(f"{'without':40} {base:6.2f} ms")
    for name in list(kinds)[1:]:
        print(f"{name:40} {statistics.median(times[name]):6.2f} ms, {statistics.median(times[name]) - base:+.2f} ms")
