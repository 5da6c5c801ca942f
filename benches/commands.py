#!/usr/bin/env python3
"""What commands add to a prompt: the release build over stdio, with a model server on loopback. Needs only Python and git.

    cargo build --profile dist && benches/commands.py [--runs N] [--binary PATH]

Sends the same text as a plain prompt and as a command with arguments, both through `session.submit`, in sessions of their own.
The first figures are until the prompt is stored; the last ones are until the model is asked, with a file and a shell line.
"""
import argparse
import pathlib
import shutil
import statistics
import tempfile
import time

from daemon import ROOT, Daemon, milliseconds, table
from figures import repository
from model import Model

TEXT = "Check $1 for $2, and again $ARGUMENTS. " + "A line of the template.\n" * 40
WORDS = "src/main.rs 'unused names'"


def submitted(daemon, model, part):
    """Milliseconds until the prompt is stored, and until the model is asked."""
    session = daemon.call("session.create")["id"]
    before = model.arrived
    result, began, ended = daemon.timed("session.submit", sessionID=session, parts=[part])
    while model.arrived <= before:
        time.sleep(0.0002)
    asked = milliseconds(model.arrived - began)
    while daemon.call("session.status"):
        time.sleep(0.001)
    return milliseconds(ended - began), asked


def measure(binary, work, count):
    home = work / "home"
    shutil.rmtree(home, ignore_errors=True)
    model = Model()
    model.configure(home)
    commands = home / "config" / "command"
    commands.mkdir()
    (commands / "check.md").write_text("---\ndescription: d\n---\n" + TEXT)
    (commands / "full.md").write_text("---\ndescription: d\n---\n" + TEXT + "@a.txt !`true`\n")
    # Others that have to be read too.
    for number in range(20):
        (commands / f"other{number}.md").write_text("---\ndescription: d\n---\n" + TEXT)
    directory = work / "repository"
    if not directory.exists():
        repository(directory)
    (home / "config" / "polytree.jsonc").write_text('{ "permission": { "bash": { "true": "allow" } } }')
    daemon = Daemon(binary, home, directory)
    kinds = {
        "text": {"type": "text", "text": TEXT},
        "command": {"type": "command", "name": "check", "arguments": WORDS},
        "full": {"type": "command", "name": "full", "arguments": WORDS},
    }
    times = {kind: [] for kind in kinds}
    for _ in range(count):
        for kind, part in kinds.items():
            times[kind].append(submitted(daemon, model, part))
    daemon.end()
    stored = {kind: statistics.median(time[0] for time in times[kind]) for kind in kinds}
    asked = {kind: statistics.median(time[1] for time in times[kind]) for kind in kinds}
    return {
        "a text, stored (ms)": stored["text"],
        "a command, stored (ms)": stored["command"],
        "what the expansion adds (ms)": stored["command"] - stored["text"],
        "a text, until the model is asked (ms)": asked["text"],
        "a command, until the model is asked (ms)": asked["command"],
        "one with a file and a shell line, until the model is asked (ms)": asked["full"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--prompts", type=int, default=100)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target" / "dist" / "polytree")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        table([measure(arguments.binary.resolve(), pathlib.Path(work), arguments.prompts) for _ in range(arguments.runs)])


main()
