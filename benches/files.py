#!/usr/bin/env python3
"""Finding files by name in a repository of 100,000, over stdio. Needs only Python and git.

    cargo build --profile dist && benches/files.py [--runs N] [--files N] [--binary PATH] [--repository DIRECTORY]

Each run starts a daemon: the first query, which reads the tree; queries typed letter by letter; how long until a file that
was just made is found, while the tree is still being watched and later; and the memory above that of an idle daemon.
"""
import argparse
import os
import pathlib
import random
import shutil
import statistics
import tempfile
import time

import repository
from daemon import ROOT, Daemon, milliseconds, table


def queries(names, count, seed=3):
    """Typical queries: a name, a part of one, a folder and a name, several words, a typing error."""
    choose = random.Random(seed)
    for number in range(count):
        parts = choose.choice(names).split("/")
        stem = parts[-1].rsplit(".", 1)[0].lower()
        yield (
            stem[:8],
            "".join(word[:3] for word in stem.replace("-", "_").split("_")),
            f"{parts[1][:4]} {stem[:6]}",
            f"{parts[-2]}/{stem[:4]}",
            f"'{stem[:5]} !test",
            stem[:3] + "zq",
        )[number % 6]


def made(daemon, directory, name):
    """Milliseconds from creating a file until it is found."""
    began = time.perf_counter()
    (directory / name).write_text("")
    while True:
        if any(path.endswith(name) for path in daemon.call("file.find", query=name, limit=5)):
            return milliseconds(time.perf_counter() - began)


def measure(binary, home, tree, names):
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    daemon = Daemon(binary, home, tree)
    daemon.call("path.get")
    time.sleep(0.3)
    idle = daemon.pss_mib()
    first = daemon.milliseconds("file.find", query=names[len(names) // 2].rsplit("/", 1)[1])
    directory = tree / os.path.dirname(names[len(names) // 3])
    early = made(daemon, directory, "fresh-early-file.txt")
    (directory / "fresh-early-file.txt").unlink()
    # Until everything is watched.
    time.sleep(1)
    warm = []
    for query in queries(names, 60):
        for end in range(1, len(query) + 1):
            warm.append(daemon.milliseconds("file.find", query=query[:end]))
    fresh = []
    for number in range(20):
        name = f"fresh-file-{number}.txt"
        fresh.append(made(daemon, directory, name))
        (directory / name).unlink()
    time.sleep(0.5)
    full = daemon.pss_mib()
    daemon.end()
    cuts = statistics.quantiles(warm, n=100)
    return {
        "first query on a cold index (ms)": first,
        "warm query p50 (ms)": statistics.median(warm),
        "warm query p99 (ms)": cuts[98],
        "warm query worst (ms)": max(warm),
        "a new file, directly after the first query (ms)": early,
        "a new file (ms)": statistics.median(fresh),
        "memory above idle, PSS (MiB)": full - idle,
    }, len(warm)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    parser.add_argument("--repository", help="where it is, or is to be built and kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="polytree-bench-") as work:
        work = pathlib.Path(work)
        tree = pathlib.Path(arguments.repository).resolve() if arguments.repository else work / "tree"
        names = repository.build(tree, arguments.files)
        runs = [measure(arguments.binary, work / "home", tree, names) for _ in range(arguments.runs)]
    print(f"{len(names)} files, {runs[0][1]} warm queries a run, {arguments.runs} runs")
    table([run for run, _ in runs])


if __name__ == "__main__":
    main()
