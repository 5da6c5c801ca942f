#!/usr/bin/env python3
"""text.find with complete results, compared with `rg --json` on the same files in the same run.

    cargo build --profile dist && benches/text.py [--runs N] [--files N] [--checkout DIR] [--binary PATH]

On a synthetic repository of 100,000 files, and on the checkout DIR where one is given. Each query is run by both in turn;
the medians are compared, and the last column is ours divided by ripgrep's. Both must find the same number of lines. Needs
Python, git and ripgrep.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 100_000
WORDS = """alpha beta gamma delta value result error index buffer stream parser token cursor session message storage commit
branch worktree overlay search pattern handler request answer notification thread channel future select publish watch
return match struct enum impl where while loop break continue static const string vector option""".split()


def build(root, files):
    """A repository with this number of files: directories of a hundred, three levels, ignore files, ignored files."""
    rng = random.Random(1)
    lines = [" ".join(rng.choices(WORDS, k=rng.randint(2, 9))) for _ in range(5000)]
    for number in range(files):
        directory = root / f"part{number // 10000:02}" / f"module{number // 1000 % 10}" / f"group{number // 100 % 10}"
        if number % 100 == 0:
            directory.mkdir(parents=True)
            (directory / ".gitignore").write_text("*.log\n/out/\n")
            (directory / "ignored.log").write_text("alpha\n")
        text = "\n".join(rng.choices(lines, k=rng.randint(5, 40)))
        if number % 9973 == 0:
            text += "\nUnheardOfName once in a while\n"
        if number % 50 == 0:
            text += "\nfn common_name(value: u32) -> Option<u32> {\n"
        (directory / f"file{number:06}.{rng.choice(['rs', 'ts', 'md', 'py'])}").write_text(text + "\n")
    subprocess.run(["git", "init", "-q", root], check=True)


QUERIES = {
    "synthetic": [
        ("rare word", "UnheardOfName", []),
        ("common word", "worktree overlay", []),
        ("very common word", "vector option", []),
        ("regular expression", r"fn \w+\(value: [a-z]\d+\)", []),
        ("case-insensitive", "UNHEARDOFNAME", ["-i"]),
        ("no match", "no such thing anywhere", []),
    ],
    "checkout": [
        ("rare word", "unreachable_unchecked", []),
        ("common word", "impl", ["-w"]),
        ("regular expression", r"fn \w+<[A-Z]>\(", []),
        ("case-insensitive", "BUFREADER", ["-i"]),
        ("no match", "no such thing anywhere", []),
    ],
}


class Daemon:
    def __init__(self, binary, home, directory):
        environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
        self.process = subprocess.Popen(
            [binary, "stdio", "--standalone"], cwd=directory, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.call("server.info", {})

    def call(self, method, params):
        line = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n"
        began = time.perf_counter()
        os.write(self.process.stdin.fileno(), line.encode())
        pieces = []
        while not pieces or not pieces[-1].endswith(b"\n"):
            piece = os.read(self.process.stdout.fileno(), 1 << 20)
            assert piece, "the daemon has gone"
            pieces.append(piece)
        return time.perf_counter() - began, b"".join(pieces)

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def ripgrep(directory, pattern, flags):
    began = time.perf_counter()
    process = subprocess.Popen(
        ["rg", "--no-config", "--json", "--hidden", "--glob", "!.git", *flags, "-e", pattern, "./"],
        cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, bufsize=0,
    )
    pieces = []
    while piece := os.read(process.stdout.fileno(), 1 << 20):
        pieces.append(piece)
    process.wait()
    return time.perf_counter() - began, b"".join(pieces)


def measure(name, directory, binary, runs):
    with tempfile.TemporaryDirectory() as home:
        daemon = Daemon(binary, home, directory)
        for title, pattern, flags in QUERIES[name]:
            params = {"pattern": pattern, "limit": LIMIT, "letterCase": "insensitive" if "-i" in flags else "sensitive", "word": "-w" in flags}
            ours, theirs = [], []
            for _ in range(runs + 1):
                elapsed, answer = daemon.call("text.find", params)
                ours.append(elapsed)
                elapsed, output = ripgrep(directory, pattern, flags)
                theirs.append(elapsed)
            items = json.loads(answer)["result"]
            expected = sum(line.startswith(b'{"type":"match"') for line in output.splitlines())
            assert len(items) == expected, f"{title}: {len(items)} lines, and {expected} by ripgrep"
            # The first run warms up.
            ours, theirs = (1000 * statistics.median(times[1:]) for times in (ours, theirs))
            print(f"{name:10} {title:20} {expected:7} lines  text.find {ours:8.1f} ms  rg --json {theirs:8.1f} ms  {ours / theirs:5.2f}")
        print(f"{name:10} {'peak memory':20} {daemon.peak_mib():7.0f} MiB")
        daemon.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--checkout", help="a checkout of real sources")
    parser.add_argument("--synthetic", help="where the synthetic repository is, or is to be kept")
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="polytree-bench-") as work:
        synthetic = pathlib.Path(arguments.synthetic or work) / "synthetic"
        if not synthetic.exists():
            synthetic.mkdir(parents=True)
            build(synthetic, arguments.files)
        measure("synthetic", synthetic, arguments.binary, arguments.runs)
        if arguments.checkout:
            measure("checkout", pathlib.Path(arguments.checkout).resolve(), arguments.binary, arguments.runs)


if __name__ == "__main__":
    main()
