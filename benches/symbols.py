#!/usr/bin/env python3
"""Figures of `symbol.find`: the release build over stdio, on a real checkout. Needs only Python.

    cargo build --profile dist && benches/symbols.py --checkout DIR [--runs N] [--binary PATH]

DIR is a directory of source files, best inside a git repository, with some thousand files of several languages.
Prints how fast the first index is made, how long queries take then, and what memory the symbols take.
"""
import argparse
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

from daemon import ROOT, Daemon, milliseconds

EXTENSIONS = "rs ts mts cts tsx js jsx mjs cjs py pyi go c h cc cpp cxx hh hpp hxx java cs rb php lua sh bash".split()
QUERIES = ["new", "parse", "Config", "hashmap", "serialize", "pf", "getname", "Error", "toString", "e", "render", "xyzzyqq", "read line", "Parser::next", "mutex", "init"]


def sources(checkout):
    """The number of source files and their bytes, approximately as the program counts: without large ones."""
    sizes = [path.stat().st_size for path in checkout.rglob("*") if path.suffix[1:] in EXTENSIONS and path.is_file() and not path.is_symlink() and "node_modules" not in path.parts]
    return len([size for size in sizes if size <= 1 << 20]), sum(size for size in sizes if size <= 1 << 20)


def first_index(daemon, checkout):
    """Seconds until a query is answered from the complete index; one query waits for three seconds."""
    began = time.perf_counter()
    while True:
        asked = time.perf_counter()
        daemon.call("symbol.find", query="zzzzqqqq", directory=str(checkout))
        if time.perf_counter() - asked < 2.9:
            return time.perf_counter() - began


def measure(binary, checkout, work):
    home = work / "home"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir()
    daemon = Daemon(binary, home, checkout)
    daemon.call("project.list")
    before = daemon.pss_mib()
    indexed = first_index(daemon, checkout)
    after = daemon.pss_mib()
    times, found = [], 0
    for _ in range(25):
        for query in QUERIES:
            began = time.perf_counter()
            found += len(daemon.call("symbol.find", query=query))
            times.append(milliseconds(time.perf_counter() - began))
    slowest = {}
    for query in QUERIES:
        several = []
        for _ in range(9):
            began = time.perf_counter()
            daemon.call("symbol.find", query=query)
            several.append(milliseconds(time.perf_counter() - began))
        slowest[query] = statistics.median(several)
    daemon.end()
    assert found, "nothing was found: is this a checkout of source files?"
    worst = max(slowest, key=slowest.get)
    print(f"  slowest query {worst!r}: {slowest[worst]:.2f} ms median")
    return {
        "first index (s)": indexed,
        "symbol.find p50 (ms)": statistics.median(times),
        "symbol.find p99 (ms)": statistics.quantiles(times, n=100)[98],
        "memory before, PSS (MiB)": before,
        "memory with the index, PSS (MiB)": after,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    arguments = parser.parse_args()
    checkout = arguments.checkout.resolve()
    files, size = sources(checkout)
    print(f"{files} source files, {size / 1e6:.1f} MB")
    # Warms the page cache.
    subprocess.run(["grep", "-rqs", "no such text anywhere", str(checkout)], check=False)
    with tempfile.TemporaryDirectory(prefix="polytree-bench-") as name:
        runs = [measure(arguments.binary, checkout, pathlib.Path(name)) for _ in range(arguments.runs)]
    for figure in runs[0]:
        values = sorted(run[figure] for run in runs)
        print(f"{figure:35} best {values[0]:8.2f}   median {statistics.median(values):8.2f}   worst {values[-1]:8.2f}")
    print(f"{'first index (MB/s)':35} best {size / 1e6 / min(run['first index (s)'] for run in runs):8.2f}")


if __name__ == "__main__":
    main()
