#!/usr/bin/env python3
"""Figures of long sessions of the release build, over stdio. Needs only Python and git, on Linux.

    cargo build --profile dist && benches/history.py [--messages N] [--runs N] [--binary PATH]

A session of N messages is made by `session.import`: prompts and answers in turn, every second answer with a tool call; the
texts of 2,000 messages fit into a context of 200,000 tokens. A model server on loopback answers prompts at once; it reads a request whole and parses nothing. The time of an answer counts
until its line is read, without parsing it. Prints for each figure the best, the median and the worst of the runs; the
figure of a run is the median of its calls.
"""
import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def line(value):
    return json.dumps(value, separators=(",", ":")).encode()


class Models:
    """Answers each request with one word, and remembers when the last request had arrived whole."""

    def __init__(self):
        self.arrived = 0.0
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            threading.Thread(target=self.serve, args=[self.listener.accept()[0]], daemon=True).start()

    def serve(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                more = connection.recv(1 << 20)
                if not more:
                    return
                received += more
            head, received = received.split(b"\r\n\r\n", 1)
            length = next(int(field[15:]) for field in head.lower().split(b"\r\n") if field.startswith(b"content-length:"))
            body = bytearray(received)
            while len(body) < length:
                body += connection.recv(1 << 20)
            received = bytes(body[length:])
            if b'"small"' not in body:
                self.arrived = time.perf_counter()
            chunk = lambda delta, reason: b"data: " + line({"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}) + b"\n\n"
            answer = chunk({"content": "Done."}, None) + chunk({}, "stop") + b"data: [DONE]\n\n"
            headers = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(answer)}\r\n\r\n"
            connection.sendall(headers.encode() + answer)


class Daemon:
    def __init__(self, binary, home, directory):
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "POLYTREE_LOCAL_SERVERS": "off"}
        environment |= {f"POLYTREE_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        self.process = subprocess.Popen([binary, "stdio", "--standalone"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=directory, env=environment)
        self.next = 0

    def timed(self, method, **params):
        """The answer, and when the call began and ended."""
        self.next += 1
        request = line({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}) + b"\n"
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

    def median(self, count, method, **params):
        """The median time of so many calls, in milliseconds."""
        times = [self.timed(method, **params)[1:] for _ in range(count)]
        return statistics.median(1000 * (ended - began) for began, ended in times)

    def pss_mib(self):
        for text in open(f"/proc/{self.process.pid}/smaps_rollup"):
            if text.startswith("Pss:"):
                return int(text.split()[1]) / 1024

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)


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


def prompts(daemon, models, session, count):
    """The medians of the times until the request has arrived at the model, and until the turn has ended, in milliseconds."""
    sent, ended = [], []
    for number in range(count):
        _, began, end = daemon.timed("session.prompt", sessionID=session, parts=f"Go on {number}.")
        sent.append(1000 * (models.arrived - began))
        ended.append(1000 * (end - began))
    return statistics.median(sent), statistics.median(ended)


def measure(binary, work, models, messages):
    home = work / "home"
    (home / "config").mkdir(parents=True)
    model = {"limit": {"context": 100_000_000, "output": 4000}}
    provider = {"api": "openai", "options": {"baseURL": models.url, "apiKey": "key"}, "models": {"main": model, "small": model}}
    settings = {"model": "bench/main", "small_model": "bench/small", "provider": {"bench": provider}}
    (home / "config/polytree.json").write_text(json.dumps(settings))
    repository = work / "repository"
    repository.mkdir()
    subprocess.run(["git", "init", "-q"], cwd=repository, check=True)
    daemon = Daemon(binary, home, repository)
    first = daemon.call("session.create")["id"]
    daemon.call("session.prompt", sessionID=first, parts="Hello.")
    export = conversation(daemon.call("session.export", sessionID=first), messages)
    size = len(line(export)) / 2**20
    imported, began, ended = daemon.timed("session.import", session=export)
    figures = {f"session.import of {messages:,} messages, {size:.1f} MiB (ms)": 1000 * (ended - began)}
    session = imported["id"]
    assert len(daemon.call("session.messages", sessionID=session)) == messages
    middle = daemon.call("session.messages", sessionID=session, limit=messages // 2)[0]["info"]["id"]
    daemon.median(5, "session.messages", sessionID=session)
    figures["session.messages of all (ms)"] = daemon.median(15, "session.messages", sessionID=session)
    # What listing everything has left behind is given back after a second without work.
    time.sleep(2.5)
    figures["a page of 50, the last (ms)"] = daemon.median(50, "session.messages", sessionID=session, limit=50)
    before = daemon.pss_mib()
    figures["a page of 50, in the middle (ms)"] = daemon.median(300, "session.messages", sessionID=session, limit=50, before=middle)
    figures["memory that 300 pages add, PSS (MiB)"] = daemon.pss_mib() - before
    figures["session.export (ms)"] = daemon.median(5, "session.export", sessionID=session)
    figures["session.fork (ms)"] = daemon.median(5, "session.fork", sessionID=session)
    new = daemon.call("session.create")["id"]
    prompts(daemon, models, new, 3)
    sent, ended = prompts(daemon, models, new, 15)
    prompts(daemon, models, session, 3)
    long_sent, long_ended = prompts(daemon, models, session, 15)
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
    models, runs = Models(), []
    for _ in range(arguments.runs):
        with tempfile.TemporaryDirectory(prefix="polytree-bench-") as name:
            runs.append(measure(arguments.binary, pathlib.Path(name), models, arguments.messages))
    for figure in runs[0]:
        values = sorted(run[figure] for run in runs)
        print(f"{figure:66} best {values[0]:8.2f}   median {statistics.median(values):8.2f}   worst {values[-1]:8.2f}")


if __name__ == "__main__":
    main()
