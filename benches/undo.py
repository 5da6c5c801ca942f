#!/usr/bin/env python3
"""What undo costs in a large repository, over stdio. Needs only Python and git, on Linux.

    cargo build --profile dist && benches/undo.py [--files N] [--runs N] [--binary PATH] [--directory REPOSITORY]

A model server on loopback answers with tool calls. The time of a call counts from the last byte of the answer that makes it
to the arrival of the next request, so it includes the tool itself, its commits and the new request: the checkpoint alone
costs less. Each call is also made in a repository of 50 files; the difference is what the size of the repository costs.
`git status` is measured in turns with the commands. The repository is as before afterwards. Fails when a figure is
worse than its limit.
"""
import argparse
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from daemon import ROOT, Daemon, milliseconds
from model import Model
from repository import build

# Milliseconds, but for the command: parts of `git status`.
EDIT, COMMAND, REVERT = 5, 0.5, 200
REVERTED = 200


class Session:
    def __init__(self, binary, home, directory, model):
        model.configure(home)
        self.model, self.directory = model, directory
        self.daemon = Daemon(binary, home, directory)
        self.id = self.daemon.call("session.create", directory=str(directory), mode="all")["id"]

    def turn(self, *calls):
        """The seconds that each call took."""
        self.model.calls, self.model.times = list(calls), []
        answer = self.daemon.call("session.prompt", sessionID=self.id, parts="go")
        assert "error" not in answer["info"], answer["info"]
        assert len(self.model.times) == len(calls), self.model.times
        return self.model.times

    def last_patch(self):
        messages = self.daemon.call("session.messages", sessionID=self.id, limit=6)
        return [part for message in messages for part in message["parts"] if part["type"] == "patch"][-1]

    def last_prompt(self):
        messages = self.daemon.call("session.messages", sessionID=self.id, limit=10)
        return [message["info"]["id"] for message in messages if message["info"]["role"] == "user"][-1]

    def edit(self, name):
        old = (self.directory / name).read_text()
        line = old.splitlines()[3]
        edit = {"filePath": name, "oldString": line, "newString": line + " more"}
        times = self.turn(("read", {"filePath": name}), ("edit", edit))
        assert (self.directory / name).read_text() != old
        (self.directory / name).write_text(old)
        return times[1]

    def command(self, name):
        old = (self.directory / name).read_text()
        time_of_call, = self.turn(("bash", {"command": f"echo more >> {name}"}))
        patch = self.last_patch()
        assert patch["files"] == [str(self.directory / name)] and not patch.get("uncovered"), patch
        (self.directory / name).write_text(old)
        return time_of_call


def git_status(directory):
    began = time.perf_counter()
    subprocess.run(["git", "status", "--porcelain"], cwd=directory, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measure(binary, home, directory, names, runs):
    session = Session(binary, home, directory, Model())
    began = time.perf_counter()
    session.command(names[0])
    first = time.perf_counter() - began
    # Directories get their watches in the background.
    time.sleep(5 if len(names) > 1000 else 0.5)
    step = max(len(names) // (runs + 1), 1)
    chosen = names[::step][:runs]
    edits = [session.edit(name) for name in chosen]
    commands, statuses = [], []
    for name in chosen:
        commands.append(session.command(name))
        statuses.append(git_status(directory))
    reverts = []
    # What git ignores is covered only where a tool names it.
    names = [name for name in names if "/target/" not in name]
    many = names[:: max(len(names) // REVERTED, 1)][:REVERTED]
    before = {name: (directory / name).read_text() for name in many}
    session.turn(("bash", {"command": "for f in " + " ".join(many) + "; do echo more >> $f; done"}))
    patch = session.last_patch()
    assert len(patch["files"]) == len(many), patch
    prompt = session.last_prompt()
    for _ in range(5):
        began = time.perf_counter()
        reverted = session.daemon.call("session.revert", sessionID=session.id, messageID=prompt)
        reverts.append(time.perf_counter() - began)
        assert len(reverted["revert"]["files"]) == len(many)
        assert all((directory / name).read_text() == text for name, text in before.items())
        session.daemon.call("session.unrevert", sessionID=session.id)
    session.daemon.call("session.revert", sessionID=session.id, messageID=prompt)
    session.daemon.end()
    return first, edits, commands, statuses, reverts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    parser.add_argument("--directory", help="where the repository is, or is to be made")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="polytree-bench-") as name:
        work = pathlib.Path(name).resolve()
        large = pathlib.Path(arguments.directory).resolve() if arguments.directory else work / "large"
        names, few = build(large, arguments.files), build(work / "small", 50)
        for directory in (large, work / "small"):
            git_status(directory)
        small = measure(arguments.binary, work / "home-small", work / "small", few, arguments.runs)
        first, edits, commands, statuses, reverts = measure(arguments.binary, work / "home-large", large, names, arguments.runs)

    def show(figure, values, limit=""):
        best, median, worst = (milliseconds(value) for value in (min(values), statistics.median(values), max(values)))
        print(f"{figure:50} best {best:8.2f}   median {median:8.2f}   worst {worst:8.2f} ms   {limit}")
        return median

    show("first command, with the first scan", [first])
    edit = show("an edit and its checkpoint", edits, f"at most {EDIT} ms")
    show("the same among 50 files", small[1])
    command = show("a shell command and its checkpoint", commands)
    command_small = show("the same among 50 files", small[2])
    status = show("git status", statuses)
    share = (command - command_small) / status
    print(f"{'checkpoint around a command / git status':50} {share:5.3f}, whole call {command / status:5.3f}   at most {COMMAND}")
    revert = show(f"revert of {REVERTED} files", reverts, f"at most {REVERT} ms")
    sys.exit(not (edit <= EDIT and share <= COMMAND and revert <= REVERT))


if __name__ == "__main__":
    main()
