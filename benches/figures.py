#!/usr/bin/env python3
"""Start-up, memory and session figures of the release build, over stdio. Needs only Python and git.

    cargo build --profile dist && benches/figures.py [--runs N] [--binary PATH]

Prints for each figure the best of N invocations of the median, as the README quotes them.
"""
import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

from daemon import ROOT, Daemon, milliseconds, table


def repository(path):
    path.mkdir(parents=True)
    (path / "a.txt").write_text("hello\n")
    git = ["git", "-c", "user.email=bench@example.invalid", "-c", "user.name=bench"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(git + arguments, cwd=path, check=True)


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
        opened.append(daemon.milliseconds("session.create", directory=str(work / f"p{number:02}")))
    time.sleep(0.2)
    projects = daemon.pss_mib()
    created = []
    for _ in range(500):
        created.append(daemon.milliseconds("session.create"))
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
    table(runs)
    print(f"{'stripped binary (MB)':66} {os.path.getsize(arguments.binary) / 1e6:13.2f}")


if __name__ == "__main__":
    main()
