#!/usr/bin/env python3
"""Start-up, memory and session figures of the release build, over stdio. Needs only Python and git.

    cargo build --profile dist && benches/figures.py [--runs N] [--binary PATH]

Prints for each figure the best of N invocations of the median, as the README quotes them.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Daemon:
    def __init__(self, binary, home, directory):
        environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        environment |= {f"POLYTREE_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        self.started = time.perf_counter()
        self.process = subprocess.Popen([binary, "stdio", "--standalone"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory, env=environment)
        self.next = 0

    def call(self, method, **params):
        self.next += 1
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def pss_mib(self):
        for line in open(f"/proc/{self.process.pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


def repository(path):
    path.mkdir(parents=True)
    (path / "a.txt").write_text("hello\n")
    git = ["git", "-c", "user.email=bench@example.invalid", "-c", "user.name=bench"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(git + arguments, cwd=path, check=True)


def milliseconds(seconds):
    return 1000 * seconds


def measure(binary, work):
    home = work / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    first = work / "p00"
    daemon = Daemon(binary, home, first)
    daemon.call("project.list")
    daemon.end()
    starts, idle = [], []
    for _ in range(20):
        daemon = Daemon(binary, home, first)
        daemon.call("project.list")
        starts.append(milliseconds(time.perf_counter() - daemon.started))
        # Idle memory is measured after a moment without work.
        time.sleep(1.5)
        idle.append(daemon.pss_mib())
        daemon.end()
    daemon = Daemon(binary, home, first)
    daemon.call("project.list")
    opened = []
    for number in range(50):
        began = time.perf_counter()
        daemon.call("session.create", directory=str(work / f"p{number:02}"))
        opened.append(milliseconds(time.perf_counter() - began))
    time.sleep(0.2)
    projects = daemon.pss_mib()
    created = []
    for _ in range(500):
        began = time.perf_counter()
        daemon.call("session.create")
        created.append(milliseconds(time.perf_counter() - began))
    daemon.end()
    return {
        "spawn to first answer, store there (ms)": statistics.median(starts),
        "idle memory, PSS (MiB)": statistics.median(idle),
        "50 projects with a session each, PSS (MiB)": projects,
        "open a project with a session (ms)": statistics.median(opened),
        "session.create p50 (ms)": statistics.median(created),
        "session.create p99 (ms)": statistics.quantiles(created, n=100)[98],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="polytree-bench-") as name:
        work = pathlib.Path(name)
        for number in range(50):
            repository(work / f"p{number:02}")
        runs = [measure(arguments.binary, work) for _ in range(arguments.runs)]
    for figure in runs[0]:
        values = sorted(run[figure] for run in runs)
        print(f"{figure:45} best {values[0]:8.2f}   median {statistics.median(values):8.2f}   worst {values[-1]:8.2f}")
    print(f"{'stripped binary (MB)':45} {os.path.getsize(arguments.binary) / 1e6:13.2f}")


if __name__ == "__main__":
    main()
