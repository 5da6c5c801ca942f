"""What the benchmarks in Python share: a daemon over stdio, and the table of their figures."""
import json
import os
import pathlib
import statistics
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


class Daemon:
    """A daemon of its own, with its directories below `home`. It reads no event: a subscription would disturb `call`."""

    def __init__(self, binary, home, directory, **variables):
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), **variables}
        environment |= {f"POLYTREE_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        self.started = time.perf_counter()
        self.process = subprocess.Popen([binary, "stdio", "--standalone"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory, env=environment)
        self.next = 0

    def timed(self, method, **params):
        """The result, and when the call began and ended. Parsing the answer does not count."""
        self.next += 1
        request = json.dumps({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}, separators=(",", ":")).encode() + b"\n"
        began = time.perf_counter()
        self.process.stdin.write(request)
        self.process.stdin.flush()
        text = self.process.stdout.readline()
        ended = time.perf_counter()
        answer = json.loads(text)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"], began, ended

    def call(self, method, **params):
        return self.timed(method, **params)[0]

    def milliseconds(self, method, **params):
        _, began, ended = self.timed(method, **params)
        return milliseconds(ended - began)

    def pss_mib(self):
        for line in open(f"/proc/{self.process.pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


def milliseconds(seconds):
    return 1000 * seconds


def table(runs):
    """Prints the best, the median and the worst of each figure."""
    for figure in runs[0]:
        values = sorted(run[figure] for run in runs)
        print(f"{figure:66} best {values[0]:8.2f}   median {statistics.median(values):8.2f}   worst {values[-1]:8.2f}")
