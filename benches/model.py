"""A model server on loopback for benchmarks. It speaks OpenAI's chat format."""
import json
import pathlib
import socket
import threading
import time


class Model:
    """Answers the prompts of `bench/main` with the calls that wait, then with one word, and remembers when requests arrived."""

    def __init__(self):
        self.calls = []
        # When the last request had arrived whole, and the last answer with a call was sent.
        self.arrived, self.sent = 0.0, None
        # The seconds from an answer with a call to the request with its result.
        self.times = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def configure(self, home):
        """Writes the settings of a daemon that uses this server."""
        config = pathlib.Path(home) / "config"
        config.mkdir(parents=True)
        model = {"limit": {"context": 100_000_000, "output": 4000}}
        provider = {"api": "openai", "options": {"baseURL": self.url, "apiKey": "key"}, "models": {"main": model, "small": model}}
        settings = {"model": "bench/main", "small_model": "bench/small", "provider": {"bench": provider}}
        (config / "polytree.json").write_text(json.dumps(settings))

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
            # The request is not parsed: that would take longer than what is measured. Titles come from the small model.
            answer = self.call() if b'"small"' not in body else None
            connection.sendall(answer or completion({"content": "Done."}, "stop"))

    def call(self):
        """The answer with the next call, if one waits."""
        self.arrived = time.perf_counter()
        if self.sent is not None:
            self.times.append(self.arrived - self.sent)
            self.sent = None
        if not self.calls:
            return None
        name, arguments = self.calls.pop(0)
        function = {"name": name, "arguments": json.dumps(arguments)}
        call = {"index": 0, "id": f"call_{time.perf_counter_ns()}", "type": "function", "function": function}
        answer = completion({"tool_calls": [call]}, "tool_calls")
        self.sent = time.perf_counter()
        return answer


def completion(delta, reason):
    chunks = [{"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} for delta, reason in ((delta, None), ({}, reason))]
    body = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    return f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body
