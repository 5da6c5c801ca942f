#!/usr/bin/env python3
"""What child sessions at work take of memory, of the release build, over stdio. Needs only Python and git, on Linux.

    cargo build --profile dist && benches/subagents.py [--children N] [--runs N] [--binary PATH]

A model server on loopback starts N children in one answer; each streams a word and then waits. Prints by how much the memory of
the daemon (PSS) has grown for each child, compared with the same session after a turn without children.
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
import threading
import time

from daemon import ROOT, Daemon, table
from model import Model, completion


class Children(Model):
    """Answers the prompt `start` with N calls of the tool `task`, and the children with a word and then nothing more."""

    def __init__(self, count):
        self.count, self.waiting, self.released = count, 0, threading.Event()
        super().__init__()

    def serve(self, connection):
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                more = connection.recv(1 << 20)
                if not more:
                    return
                received += more
            head, received = received.split(b"\r\n\r\n", 1)
            length = next(int(field[15:]) for field in head.lower().split(b"\r\n") if field.startswith(b"content-length:"))
            while len(received) < length:
                received += connection.recv(1 << 20)
            body, received = json.loads(received[:length]), received[length:]
            said = [message for message in body["messages"] if message["role"] != "system"]
            if body["model"] == "small" or said[-1]["role"] == "tool" or "start" not in said[-1]["content"] and "job" not in said[-1]["content"]:
                connection.sendall(completion({"content": "Done."}, "stop"))
            elif "start" in said[-1]["content"]:
                arguments = [{"description": "Work", "prompt": f"job {number}", "subagent_type": "general"} for number in range(self.count)]
                calls = [{"index": number, "id": f"call_{number}", "type": "function", "function": {"name": "task", "arguments": json.dumps(job)}}
                         for number, job in enumerate(arguments)]
                connection.sendall(completion({"tool_calls": calls}, "tool_calls"))
            else:
                chunk = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": "Working"}, "finish_reason": None}]}).encode() + b"\n\n"
                rest = b"data: " + json.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}).encode() + b"\n\ndata: [DONE]\n\n"
                size = len(chunk) + len(rest)
                connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {size}\r\n\r\n".encode() + chunk)
                self.waiting += 1
                self.released.wait()
                connection.sendall(rest)


def run(binary, count):
    with tempfile.TemporaryDirectory() as home:
        home = pathlib.Path(home)
        work = home / "work"
        work.mkdir()
        subprocess.run(["git", "init", "-q", str(work)], check=True)
        model = Children(count)
        model.configure(home)
        daemon = Daemon(binary, home, work)
        session = daemon.call("session.create")["id"]
        for _ in range(5):
            daemon.call("session.prompt", sessionID=session, parts="hello")
        # The maintenance after the start is over.
        time.sleep(3)
        before = daemon.pss_mib()
        daemon.call("session.submit", sessionID=session, parts="start")
        while model.waiting < count:
            time.sleep(0.05)
        time.sleep(1)
        after = daemon.pss_mib()
        model.released.set()
        while daemon.call("session.status"):
            time.sleep(0.05)
        daemon.end()
        return {f"memory for each of {count} children, MiB": (after - before) / count}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--children", type=int, default=10)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    options = parser.parse_args()
    table([run(options.binary, options.children) for _ in range(options.runs)])


if __name__ == "__main__":
    main()
