#!/usr/bin/env python3
"""The cost of a streamed answer in the daemon, for each wire protocol. Needs only Python, on Linux.

    cargo build --profile dist && benches/models.py [--binary PATH] [--wire NAME] [--deltas N] [--megabytes N] [--runs N]

A model server on loopback speaks each protocol; `polytree stdio --standalone` is driven as an editor would, with a
subscription to all events. Each delta is a write of its own, as fast as the socket takes them, or (paced) one every 2
milliseconds, a tenth as many. CPU is that of the
whole daemon (protocol, turn, store, events), from /proc/PID/stat; memory is the peak of the resident set during the
answer above what it was before. Prints the median of the runs.
"""
import argparse
import json
import os
import pathlib
import re
import select
import socket
import statistics
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WIRES = ("openai", "openai-responses", "anthropic", "gemini", "ollama")
ORDER = re.compile(r"BENCH (text|pace|call) (\d+) (\d+)")
PAUSE = 0.002
TICK = os.sysconf("SC_CLK_TCK")


def line(value):
    return json.dumps(value, separators=(",", ":"))


def event(value):
    name = f"event: {value['type']}\n" if "type" in value else ""
    return f"{name}data: {line(value)}\n\n"


class OpenAi:
    path = "/chat/completions"

    @staticmethod
    def chunk(delta, reason=None):
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]})

    def text(self, pieces):
        yield self.chunk({"role": "assistant", "content": ""})
        for piece in pieces:
            yield self.chunk({"content": piece})
        yield self.chunk({}, "stop") + event({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 10}}) + "data: [DONE]\n\n"

    def call(self, pieces):
        yield self.chunk({"tool_calls": [{"index": 0, "id": "call_1", "type": "function", "function": {"name": "read", "arguments": ""}}]})
        for piece in pieces:
            yield self.chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})
        yield self.chunk({}, "tool_calls") + "data: [DONE]\n\n"


class Responses:
    path = "/responses"

    def end(self, item):
        usage = {"input_tokens": 10, "output_tokens": 10, "output_tokens_details": {"reasoning_tokens": 0}}
        response = {"id": "r", "object": "response", "status": "completed", "error": None, "output": [item], "usage": usage}
        done = event({"type": "response.output_item.done", "output_index": 0, "item": item})
        return done + event({"type": "response.completed", "response": response})

    def text(self, pieces):
        item = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        yield event({"type": "response.output_item.added", "output_index": 0, "item": item})
        place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        said = []
        for piece in pieces:
            said.append(piece)
            yield event({"type": "response.output_text.delta", **place, "delta": piece})
        # The complete text is repeated four times, as the service sends it.
        whole = "".join(said)
        part = {"type": "output_text", "text": whole, "annotations": []}
        yield event({"type": "response.output_text.done", **place, "text": whole})
        yield event({"type": "response.content_part.done", **place, "part": part})
        yield self.end({**item, "status": "completed", "content": [part]})

    def call(self, pieces):
        item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "read", "arguments": ""}
        yield event({"type": "response.output_item.added", "output_index": 0, "item": item})
        said = []
        for piece in pieces:
            said.append(piece)
            yield event({"type": "response.function_call_arguments.delta", "item_id": "fc_1", "output_index": 0, "delta": piece})
        yield self.end({**item, "arguments": "".join(said)})


class Anthropic:
    path = "/messages"

    def blocks(self, block, deltas, reason):
        message = {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 10, "output_tokens": 1}}
        yield event({"type": "message_start", "message": message})
        yield event({"type": "content_block_start", "index": 0, "content_block": block})
        for delta in deltas:
            yield event({"type": "content_block_delta", "index": 0, "delta": delta})
        yield event({"type": "content_block_stop", "index": 0})
        yield event({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 10}})
        yield event({"type": "message_stop"})

    def text(self, pieces):
        return self.blocks({"type": "text", "text": ""}, ({"type": "text_delta", "text": piece} for piece in pieces), "end_turn")

    def call(self, pieces):
        block = {"type": "tool_use", "id": "call_1", "name": "read", "input": {}}
        return self.blocks(block, ({"type": "input_json_delta", "partial_json": piece} for piece in pieces), "tool_use")


class Gemini:
    path = ":streamGenerateContent"

    @staticmethod
    def chunk(part, reason=None):
        candidate = {"content": {"parts": [part], "role": "model"}, "index": 0} | ({"finishReason": reason} if reason else {})
        return event({"candidates": [candidate], "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 10}, "modelVersion": "m"})

    def text(self, pieces):
        for piece in pieces:
            yield self.chunk({"text": piece})
        yield self.chunk({"text": ""}, "STOP")

    def call(self, pieces):
        # Calls are sent complete.
        yield self.chunk({"functionCall": {"name": "read", "args": json.loads("".join(pieces))}}, "STOP")


class Ollama:
    path = "/api/chat"

    @staticmethod
    def chunk(message, done=False):
        end = {"done_reason": "stop", "prompt_eval_count": 10, "eval_count": 10} if done else {}
        return line({"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant"} | message, "done": done} | end) + "\n"

    def text(self, pieces):
        for piece in pieces:
            yield self.chunk({"content": piece})
        yield self.chunk({"content": ""}, True)

    def call(self, pieces):
        yield self.chunk({"content": "", "tool_calls": [{"function": {"name": "read", "arguments": json.loads("".join(pieces))}}]})
        yield self.chunk({"content": ""}, True)


PROTOCOLS = dict(zip(WIRES, (OpenAi(), Responses(), Anthropic(), Gemini(), Ollama())))


def paced(pieces):
    for piece in pieces:
        time.sleep(PAUSE)
        yield piece


def answer(protocol, body):
    """The command in the last user message, unless a tool has already answered or this is not a turn (it has no tools)."""
    messages = body.get("messages") or body.get("input") or body.get("contents") or []
    last = line(messages[-1]) if messages else ""
    ordered = ORDER.findall(last)
    if "tools" not in body or not ordered:
        return protocol.text(["Done."])
    kind, count, size = ordered[-1][0], int(ordered[-1][1]), int(ordered[-1][2])
    pieces = ("x" * (size - 1) + " " for _ in range(count))
    if kind == "text":
        return protocol.text(pieces)
    if kind == "pace":
        return protocol.text(paced(pieces))
    return protocol.call(['{"filePath":"', *("x" * size for _ in range(count)), '"}'])


def serve(listener):
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=converse, args=(connection,), daemon=True).start()


def converse(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream = connection.makefile("rb")
    try:
        while request := stream.readline():
            length = 0
            while (header := stream.readline().strip().lower()) != b"":
                if header.startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            body = json.loads(stream.read(length))
            path = request.split()[1].decode().split("?")[0]
            protocol = next(protocol for protocol in PROTOCOLS.values() if path.endswith(protocol.path))
            mime = "application/x-ndjson" if protocol.path == Ollama.path else "text/event-stream"
            connection.sendall(f"HTTP/1.1 200 OK\r\ncontent-type: {mime}\r\ntransfer-encoding: chunked\r\n\r\n".encode())
            for piece in answer(protocol, body):
                data = piece.encode()
                connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))
            connection.sendall(b"0\r\n\r\n")
    except OSError:
        pass


class Daemon:
    def __init__(self, binary, work, wire, url):
        directory = work / "project"
        directory.mkdir(parents=True)
        settings = {"model": "bench/m", "provider": {"bench": {"api": wire, "options": {"baseURL": url, "apiKey": "key"}, "models": {"m": {}}}}}
        environment = {"PATH": os.environ["PATH"], "HOME": str(work), "POLYTREE_CONFIG_CONTENT": json.dumps(settings)}
        environment |= {f"POLYTREE_{name}_DIR": str(work / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        self.process = subprocess.Popen(
            [binary, "stdio", "--standalone"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=directory, env=environment
        )
        self.next = 0
        self.rest = b""
        self.call("event.subscribe")

    def call(self, method, **params):
        self.next += 1
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": self.next, "method": method, "params": params}).encode() + b"\n")
        self.process.stdin.flush()
        wanted = b'"id":%d,' % self.next
        while True:
            *lines, self.rest = (self.rest + self.read()).split(b"\n")
            for text in lines:
                # Events have no id of their own at the top; only what may be the answer is parsed.
                if wanted in text[:64] or wanted[:-1] + b"}" in text[-32:]:
                    value = json.loads(text)
                    if value.get("id") == self.next:
                        if "error" in value:
                            raise RuntimeError(value["error"])
                        return value["result"]

    def read(self):
        output = self.process.stdout.fileno()
        if not select.select([output], [], [], 120)[0]:
            raise TimeoutError("the daemon says nothing")
        data = os.read(output, 1 << 20)
        if not data:
            raise RuntimeError("the daemon has ended")
        return data

    def cpu(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def memory(self, name):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{name}:\s+(\d+) kB", status)[1]) / 1024

    def prompt(self, text):
        """Seconds of CPU, and MiB above what was there before."""
        session = self.call("session.create", title="bench")["id"]
        pathlib.Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")
        cpu, memory = self.cpu(), self.memory("VmRSS")
        self.call("session.submit", sessionID=session, parts=text)
        while b'"session.idle"' not in self.rest:
            # Events are complete lines; older ones are ignored.
            self.rest = self.rest[self.rest.rfind(b"\n") + 1 :] + self.read()
        figures = self.cpu() - cpu, self.memory("VmHWM") - memory
        *_, answer = self.call("session.messages", sessionID=session)
        if "error" in answer["info"]:
            raise RuntimeError(answer["info"]["error"])
        kind, count, size = ORDER.search(text).groups()
        said = sum(len(part.get("text") or "") for part in answer["parts"])
        if kind != "call" and said != int(count) * int(size):
            raise RuntimeError(f"{said} characters came of {text}")
        return figures

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


def measure(binary, wire, url, deltas, megabytes):
    with tempfile.TemporaryDirectory(prefix="polytree-bench-") as name:
        daemon = Daemon(binary, pathlib.Path(name), wire, url)
        daemon.prompt("BENCH text 100 5")
        text, _ = daemon.prompt(f"BENCH text {deltas} 5")
        pace, _ = daemon.prompt(f"BENCH pace {deltas // 10} 5")
        call, _ = daemon.prompt(f"BENCH call {deltas} 5")
        _, memory = daemon.prompt(f"BENCH text {megabytes * 1000} 1000")
        daemon.end()
    return 1e6 * text / deltas, 1e6 * pace / (deltas // 10), 1e6 * call / deltas, memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=str(ROOT / "target/dist/polytree"))
    parser.add_argument("--wire", choices=WIRES, action="append")
    parser.add_argument("--deltas", type=int, default=20_000)
    parser.add_argument("--megabytes", type=int, default=10)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    root = f"http://127.0.0.1:{listener.getsockname()[1]}"
    print(f"{'':18} {'text, us/delta':>16} {'paced, us/delta':>16} {'call, us/piece':>16} {f'{arguments.megabytes} MB answer, MiB':>20}")
    for wire in arguments.wire or WIRES:
        url = root if wire == "ollama" else f"{root}/v1"
        runs = [measure(arguments.binary, wire, url, arguments.deltas, arguments.megabytes) for _ in range(arguments.runs)]
        text, pace, call, memory = (statistics.median(figures) for figures in zip(*runs))
        print(f"{wire:18} {text:16.1f} {pace:16.1f} {call:16.1f} {memory:20.1f}", flush=True)


if __name__ == "__main__":
    main()
