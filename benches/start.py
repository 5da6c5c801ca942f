#!/usr/bin/env python3
"""The time of a command that starts the daemon, and of one that finds it running.

    cargo build --profile dist && benches/start.py [--runs N] [--binary PATH]

The last figure is what the start adds to a command: from finding no daemon until the connection stands. Medians. Needs only
Python and git.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--runs", type=int, default=20)
    arguments.add_argument("--binary", default=ROOT / "target/dist/polytree")
    options = arguments.parse_args()
    binary = pathlib.Path(options.binary).resolve()
    with tempfile.TemporaryDirectory() as work:
        home = pathlib.Path(work)
        repository = home / "repository"
        subprocess.run(["git", "init", "-q", repository], check=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(home)}

        def run(*command):
            began = time.perf_counter()
            subprocess.run([binary, *command], check=True, cwd=repository, env=environment, capture_output=True)
            return 1000 * (time.perf_counter() - began)

        def measure(prepare, *command):
            times = []
            for _ in range(options.runs):
                prepare()
                times.append(run(*command))
            return statistics.median(times)

        stop = lambda: run("stop", "--now")
        nothing = lambda: None
        run("sessions", "list")
        alone = measure(nothing, "completions", "bash")
        found = measure(nothing, "sessions", "list")
        started = measure(stop, "sessions", "list")
        stop()
        print(f"a command without a daemon        {alone:6.1f} ms")
        print(f"a command that finds the daemon   {found:6.1f} ms")
        print(f"a command that starts the daemon  {started:6.1f} ms")
        print(f"cold start of the daemon          {started - found:6.1f} ms")


if __name__ == "__main__":
    main()
