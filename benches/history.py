#!/usr/bin/env python3
"""Figures of long sessions of the release build, over stdio. Needs only Python and git, on Linux.

    cargo build --profile dist && benches/history.py [--messages N] [--runs N] [--binary PATH]

A session of N messages is made by `session.import`: prompts and answers in turn, every second answer with a tool call; the
texts of 2,000 messages fit into a context of 200,000 tokens. A model server on loopback answers prompts at once. Prints
for each figure the best, the median and the worst of the runs; the figure of a run is the median of its calls.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import time

from daemon import ROOT, Daemon, milliseconds, table
from model import Model


def median(daemon, count, method, **params):
    """The median time of that many calls, in milliseconds."""
    return statistics.median(daemon.milliseconds(method, **params) for _ in range(count))


def conversation(sample, messages):
    """A conversation of that many messages, made of the prompts and the answers of a short one."""
    export = {**sample, "messages": []}
    (prompt, answer), number = sample["messages"][:2], 0

    def fresh(prefix):
        nonlocal number
        number += 1
        return f"{prefix}_01{number:024}"

    for turn in range(messages // 2):
        user, reply = json.loads(json.dumps(prompt)), json.loads(json.dumps(answer))
        user["info"]["id"], reply["info"]["id"] = fresh("msg"), fresh("msg")
        reply["info"]["parentID"] = user["info"]["id"]
        text = next(part for part in user["parts"] if part["type"] == "text")
        text["text"] = f"Question {turn}: what does the function number {turn} of the parser do, and why does it return early?"
        said = next(part for part in reply["parts"] if part["type"] == "text")
        said["text"] = f"Answer {turn}. " + "It reads a token, compares it with what the grammar allows here, and gives up early. " * 3
        if turn % 2:
            state = {"status": "completed", "input": {"filePath": f"src/part_{turn}.rs"}, "output": "fn parse() -> Result<Token> { todo!() }\n" * 12,
                     "title": f"src/part_{turn}.rs", "metadata": {}, "time": {"start": 1, "end": 2}}
            tool = {"type": "tool", "id": "", "sessionID": said["sessionID"], "messageID": "", "callID": f"call_{turn}", "tool": "read", "state": state}
            reply["parts"].insert(reply["parts"].index(said), tool)
        for message in (user, reply):
            for part in message["parts"]:
                part["id"], part["messageID"] = fresh("prt"), message["info"]["id"]
        export["messages"] += [user, reply]
    return export


def prompts(daemon, model, session, count):
    """The medians of the times until the request has arrived at the model, and until the turn has ended, in milliseconds."""
    sent, ended = [], []
    for number in range(count):
        _, began, end = daemon.timed("session.prompt", sessionID=session, parts=f"Go on {number}.")
        sent.append(milliseconds(model.arrived - began))
        ended.append(milliseconds(end - began))
    return statistics.median(sent), statistics.median(ended)


def measure(binary, work, model, messages):
    home = work / "home"
    model.configure(home)
    repository = work / "repository"
    repository.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    daemon = Daemon(binary, home, repository, POLYTREE_LOCAL_SERVERS="off")
    first = daemon.call("session.create")["id"]
    daemon.call("session.prompt", sessionID=first, parts="Hello.")
    export = conversation(daemon.call("session.export", sessionID=first), messages)
    size = len(json.dumps(export, separators=(",", ":"))) / 2**20
    imported, began, ended = daemon.timed("session.import", session=export)
    figures = {f"session.import of {messages:,} messages, {size:.1f} MiB (ms)": milliseconds(ended - began)}
    session = imported["id"]
    assert len(daemon.call("session.messages", sessionID=session)) == messages
    middle = daemon.call("session.messages", sessionID=session, limit=messages // 2)[0]["info"]["id"]
    median(daemon, 5, "session.messages", sessionID=session)
    figures["session.messages of all (ms)"] = median(daemon, 15, "session.messages", sessionID=session)
    # What listing everything has left behind is given back after a second without work.
    time.sleep(2.5)
    figures["a page of 50, the last (ms)"] = median(daemon, 50, "session.messages", sessionID=session, limit=50)
    before = daemon.pss_mib()
    figures["a page of 50, in the middle (ms)"] = median(daemon, 300, "session.messages", sessionID=session, limit=50, before=middle)
    figures["memory that 300 pages add, PSS (MiB)"] = daemon.pss_mib() - before
    figures["session.export (ms)"] = median(daemon, 5, "session.export", sessionID=session)
    figures["session.fork (ms)"] = median(daemon, 5, "session.fork", sessionID=session)
    new = daemon.call("session.create")["id"]
    prompts(daemon, model, new, 3)
    sent, ended = prompts(daemon, model, new, 15)
    prompts(daemon, model, session, 3)
    long_sent, long_ended = prompts(daemon, model, session, 15)
    figures["a prompt in a new session (ms)"] = ended
    figures["what the long session adds until the model has the request (ms)"] = long_sent - sent
    figures["what the long session adds to the whole turn (ms)"] = long_ended - ended
    daemon.end()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    arguments = parser.parse_args()
    model, runs = Model(), []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory(prefix="polytree-bench-") as name:
            runs.append(measure(arguments.binary, pathlib.Path(name), model, arguments.messages))
    table(runs)


if __name__ == "__main__":
    main()
