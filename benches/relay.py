#!/usr/bin/env python3
"""The cost of the relay: `polytree stdio` and its daemon. Needs only Python and git, on Linux.

    cargo build --profile dist && benches/relay.py [--runs N] [--binary PATH]

Prints for each figure the best, the median and the worst of N invocations; within an invocation each is itself a median.
The latency that is added is the difference of two medians: asked through the relay, and on the daemon's own socket.
"""
import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
STARTS, COLD, REQUESTS = 60, 15, 2000


def milliseconds(began):
    return 1000 * (time.perf_counter() - began)


class Relay:
    """An editor's `polytree stdio`."""

    def __init__(self, binary, environment, directory):
        self.began = time.perf_counter()
        self.process = subprocess.Popen([binary, "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory, env=environment)

    def ask(self, number):
        return ask(self.process.stdin, self.process.stdout, number)

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


def ask(output, lines, number):
    output.write(json.dumps({"jsonrpc": "2.0", "id": number, "method": "server.info"}).encode() + b"\n")
    output.flush()
    return json.loads(lines.readline())["result"]


def rollup(pid):
    """PSS and private memory of a process, in MiB."""
    found = {"Pss:": 0, "Private_Clean:": 0, "Private_Dirty:": 0}
    for line in open(f"/proc/{pid}/smaps_rollup"):
        name, *rest = line.split()
        if name in found:
            found[name] = int(rest[0]) / 1024
    return found["Pss:"], found["Private_Clean:"] + found["Private_Dirty:"]


def latency(asking):
    times = []
    for number in range(REQUESTS):
        began = time.perf_counter()
        asking(number)
        times.append(milliseconds(began))
    return statistics.median(times)


def measure(binary, environment, directory):
    stop = lambda: subprocess.run([binary, "stop", "--now"], env=environment, cwd=directory, check=True, capture_output=True)
    cold = []
    for _ in range(COLD):
        stop()
        relay = Relay(binary, environment, directory)
        relay.ask(1)
        cold.append(milliseconds(relay.began))
        relay.end()
    warm = []
    for _ in range(STARTS):
        relay = Relay(binary, environment, directory)
        info = relay.ask(1)
        warm.append(milliseconds(relay.began))
        relay.end()
    relay = Relay(binary, environment, directory)
    info = relay.ask(1)
    through = latency(relay.ask)
    pss, private = rollup(relay.process.pid)
    relay.end()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(local_socket(info["pid"]))
        hello = {"hello": {"directory": str(directory), "protocolVersion": info["protocolVersion"], "executableVersion": info["version"], "environment": {}}}
        output, lines = connection.makefile("wb"), connection.makefile("rb")
        output.write(json.dumps(hello).encode() + b"\n")
        straight = latency(lambda number: ask(output, lines, number))
    return {
        "a running daemon: first answer, p50 (ms)": statistics.median(warm),
        "no daemon: first answer, p50 (ms)": statistics.median(cold),
        "a request through the relay, p50 (ms)": through,
        "the same on the socket, p50 (ms)": straight,
        "latency added, p50 (ms)": through - straight,
        "the relay's memory, PSS (MiB)": pss,
        "of it its own alone (MiB)": private,
    }


def local_socket(pid):
    """Where the daemon listens."""
    for line in open("/proc/net/unix").readlines()[1:]:
        fields = line.split()
        if len(fields) == 8 and fields[3] == "00010000" and any(os.readlink(f"/proc/{pid}/fd/{number}") == f"socket:[{fields[6]}]" for number in os.listdir(f"/proc/{pid}/fd")):
            return fields[7]
    raise RuntimeError("the daemon's socket is not found")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    arguments = parser.parse_args()
    binary = str(pathlib.Path(arguments.binary).resolve())
    with tempfile.TemporaryDirectory(prefix="polytree-bench-") as name:
        home = pathlib.Path(name)
        directory = home / "repository"
        subprocess.run(["git", "init", "-q", directory], check=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        subprocess.run([binary, "sessions", "list"], env=environment, cwd=directory, check=True, capture_output=True)
        runs = [measure(binary, environment, directory) for _ in range(arguments.runs)]
        subprocess.run([binary, "stop", "--now"], env=environment, cwd=directory, check=True, capture_output=True)
    for figure in runs[0]:
        values = sorted(run[figure] for run in runs)
        print(f"{figure:45} best {values[0]:8.3f}   median {statistics.median(values):8.3f}   worst {values[-1]:8.3f}")


if __name__ == "__main__":
    main()
