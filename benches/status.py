#!/usr/bin/env python3
"""How long `file.status` takes beside git, over stdio, with 100 changed files in a repository of 100,000.

    cargo build --profile dist && benches/status.py [--files N] [--runs N] [--binary PATH]

In each run git and polytree take turns, so that both meet the same machine. Prints the medians, and the share of what
`git status --porcelain` and `git diff --numstat HEAD` need one after the other. Needs only Python and git.
"""
import argparse
import pathlib
import statistics
import subprocess
import tempfile
import time

from daemon import ROOT, Daemon, milliseconds


def repository(path, files, changed):
    names = [path / f"d{number % 50:02}" / f"s{number // 50 % 40:02}" / f"file{number}.txt" for number in range(files)]
    for number, name in enumerate(names):
        if number < 2000:
            name.parent.mkdir(parents=True, exist_ok=True)
        name.write_text("".join(f"line {line} of file {number}\n" for line in range(20)))
    (path / ".gitignore").write_text("*.log\ntarget/\n")
    git = ["git", "-c", "user.email=bench@example.invalid", "-c", "user.name=bench", "-c", "gc.auto=0"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "first"]):
        subprocess.run(git + arguments, cwd=path, check=True)
    # Files that were staged in the same second would be read again each time.
    time.sleep(1.1)
    subprocess.run(["git", "status", "--porcelain"], cwd=path, check=True, stdout=subprocess.DEVNULL)
    for name in names[:: files // changed][:changed]:
        with name.open("a") as file:
            file.write("one more line\n")


def timed(work):
    began = time.perf_counter()
    result = work()
    return milliseconds(time.perf_counter() - began), result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--changed", type=int, default=100)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="polytree-bench-") as name:
        work = pathlib.Path(name)
        home, path = work / "home", work / "repository"
        home.mkdir()
        path.mkdir()
        repository(path, arguments.files, arguments.changed)
        daemon = Daemon(arguments.binary, home, path)

        def git():
            for command in (["status", "--porcelain"], ["diff", "--numstat", "HEAD"]):
                subprocess.run(["git"] + command, cwd=path, check=True, stdout=subprocess.DEVNULL)

        theirs, ours, shares = [], [], []
        for _ in range(arguments.runs):
            git_time, _ = timed(git)
            own_time, files = timed(lambda: daemon.call("file.status"))
            assert len(files) == arguments.changed and all(file["added"] == 1 for file in files), files[:3]
            theirs.append(git_time)
            ours.append(own_time)
            shares.append(own_time / git_time)
        reads = [timed(lambda: daemon.call("file.read", path=files[0]["path"]))[0] for _ in range(arguments.runs)]
        lists = [timed(lambda: daemon.call("file.list", path="d00/s00"))[0] for _ in range(arguments.runs)]
        daemon.end()
    for figure, values, unit in (
        ("git status, then git diff --numstat HEAD", theirs, "ms"),
        ("file.status", ours, "ms"),
        ("file.status as a share of git's", shares, ""),
        ("file.read of a changed file", reads, "ms"),
        ("file.list of 50 files", lists, "ms"),
    ):
        print(f"{figure:42} best {min(values):8.2f}   median {statistics.median(values):8.2f}   worst {max(values):8.2f} {unit}")


if __name__ == "__main__":
    main()
