"""Python's websockets against a daemon: odd frames, batches, replay. Usage: frames.py URL TOKEN DIRECTORY

Writes a line for each check: `ok NAME` or `not ok NAME: what went wrong`.
"""

import asyncio
import json
import sys
import traceback

import websockets
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

URL, TOKEN, DIRECTORY = sys.argv[1:4]
PATIENCE = 30
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def opened(**options):
    options.setdefault("additional_headers", {"Authorization": f"Bearer {TOKEN}"})
    # This library stops reading when its queue is full, and then does not see that the other side has closed, too.
    return connect(URL, max_size=64 * 2**20, max_queue=None, **options)


async def received(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), PATIENCE))


async def call(socket, method, params=None, ident=1):
    """Sends a request and waits for its answer; what else comes is dropped."""
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": ident, "method": method, "params": params or {}}))
    while True:
        message = await received(socket)
        if message.get("id") == ident:
            return message


async def result(socket, method, params=None, ident=1):
    answer = await call(socket, method, params, ident)
    assert "result" in answer, answer
    return answer["result"]


async def event(socket, fits):
    while True:
        message = await received(socket)
        if message.get("method") == "event" and fits(message["params"]["result"]):
            return message["params"]["result"]


async def still_serves(socket):
    assert (await result(socket, "server.info", ident="still"))["protocolVersion"] == 1


@check
async def what_is_not_json_rpc_is_told_and_the_connection_goes_on():
    async with opened() as socket:
        for text, code in [
            ("{", -32700),
            ("", -32700),
            ("nonsense", -32700),
            ('{"jsonrpc":"2.0","id":1,"method":"server.info"', -32700),
            ("7", -32600),
            ("[]", -32600),
            ('{"id":1,"method":"server.info"}', -32600),
            ('{"jsonrpc":"1.0","id":1,"method":"server.info"}', -32600),
            ('{"jsonrpc":"2.0","id":1,"method":7}', -32600),
            ('{"jsonrpc":"2.0","id":1.5,"method":"server.info"}', -32600),
            ('{"jsonrpc":"2.0","id":-1,"method":"server.info"}', -32600),
            ('{"jsonrpc":"2.0","id":1,"method":"no.such.method"}', -32601),
            ('{"jsonrpc":"2.0","id":1,"method":"server.info","params":[1]}', -32602),
            ('{"jsonrpc":"2.0","id":1,"method":"server.info","params":{"odd":1}}', -32602),
        ]:
            await socket.send(text)
            answer = await received(socket)
            assert answer["error"]["code"] == code, (text, answer)
            assert answer["jsonrpc"] == "2.0", answer
        await still_serves(socket)


@check
async def text_in_several_frames_is_one_message():
    async with opened() as socket:
        await socket.send(["{", '"jsonrpc":"2.0",', '"id":"split","method":', '"server.info"}'])
        assert (await received(socket))["id"] == "split"


@check
async def binary_frames_and_broken_text_do_not_stop_the_daemon():
    async with opened() as socket:
        try:
            await socket.send(b"\x00\x01")
            await call(socket, "server.info")
        except ConnectionClosed:
            pass
    async with opened() as socket:
        try:
            socket.transport.write(Frame(Opcode.TEXT, b'"\xff\xfe"').serialize(mask=True))
            await call(socket, "server.info")
        except ConnectionClosed:
            pass
    async with opened() as socket:
        await still_serves(socket)


@check
async def frames_against_the_rules_close_the_connection_only():
    for frame in [
        Frame(Opcode.TEXT, b"{}").serialize(mask=False),
        Frame(Opcode.CONT, b"{}").serialize(mask=True),
        b"\xf1\x80\x00\x00\x00\x00",
        b"\x83\x80\x00\x00\x00\x00",
        b"\x89\xfe\x00\x7e\x00\x00\x00\x00" + b"x" * 126,
    ]:
        async with opened(ping_interval=None) as socket:
            socket.transport.write(frame)
            try:
                while True:
                    await asyncio.wait_for(socket.recv(), PATIENCE)
            except ConnectionClosed:
                pass
    async with opened() as socket:
        await still_serves(socket)


@check
async def a_message_that_is_too_large_is_refused_and_the_connection_goes_on_or_ends():
    async with opened(ping_interval=None) as socket:
        try:
            await socket.send('{"jsonrpc":"2.0","id":1,"method":"log.write","params":{"message":"' + "x" * (33 * 2**20) + '"}}')
            answer = await received(socket)
            assert answer["error"]["code"] in (1008, -32007), answer
            await still_serves(socket)
        except ConnectionClosed as closed:
            assert closed.rcvd is not None and closed.rcvd.code == 1009, closed
    async with opened() as socket:
        await still_serves(socket)


@check
async def batches_are_answered_without_their_notifications():
    async with opened() as socket:
        log = {"service": "test", "level": "info", "message": "from a batch"}
        await socket.send(
            json.dumps(
                [
                    {"jsonrpc": "2.0", "id": 1, "method": "server.info"},
                    {"jsonrpc": "2.0", "method": "log.write", "params": log},
                    {"jsonrpc": "2.0", "id": "two", "method": "no.such.method"},
                    7,
                    {"jsonrpc": "2.0", "id": 3, "method": "event.subscribe"},
                ]
            )
        )
        answers = await received(socket)
        assert sorted(str(answer["id"]) for answer in answers) == ["1", "3", "None", "two"], answers
        codes = {str(answer["id"]): answer.get("error", {}).get("code") for answer in answers}
        assert codes["1"] is None and codes["two"] == -32601 and codes["None"] == -32600 and codes["3"] is not None, codes
        await socket.send(json.dumps([{"jsonrpc": "2.0", "method": "log.write", "params": log}]))
        await still_serves(socket)
        await socket.send(json.dumps([{"jsonrpc": "2.0", "id": n, "method": "server.info"} for n in range(100)]))
        assert len(await received(socket)) == 100
        await socket.send(json.dumps([{"jsonrpc": "2.0", "id": n, "method": "server.info"} for n in range(101)]))
        refused = await received(socket)
        assert "error" in (refused[0] if isinstance(refused, list) else refused), str(refused)[:300]
        await still_serves(socket)


@check
async def a_notification_is_carried_out_and_not_answered():
    async with opened() as socket:
        await socket.send(json.dumps({"jsonrpc": "2.0", "method": "project.init", "params": {"directory": DIRECTORY}}))
        await socket.send(json.dumps({"jsonrpc": "2.0", "method": "no.such.method"}))
        while not await result(socket, "project.list", ident="list"):
            pass


@check
async def who_comes_back_gets_what_was_missed_once_and_in_order():
    async with opened() as first:
        cursor = (await result(first, "server.initialize"))["cursor"]
        await result(first, "event.subscribe", {"since": cursor}, ident=2)
        session = await result(first, "session.create", {"directory": DIRECTORY}, ident=3)
        await result(first, "session.prompt", {"sessionID": session["id"], "parts": "help"}, ident=4)
        wanted = (await result(first, "event.list", {"since": cursor}, ident=5))["events"]
    seen = []
    last = cursor
    # Comes and goes, and each time goes on where it was.
    while last < wanted[-1]["cursor"]:
        async with opened() as socket:
            await subscribed(socket, last)
            for _ in range(1 + len(seen) % 4):
                if last < wanted[-1]["cursor"]:
                    one = await event(socket, lambda found: not found["type"].startswith("server."))
                    seen.append(one)
                    last = one["cursor"]
    # Deltas that come from the log may be joined, so of them only the text counts.
    text = lambda events: "".join(one["properties"]["delta"] for one in events if one["type"] == "message.part.delta")
    rest = lambda events: [one["cursor"] for one in events if one["type"] != "message.part.delta"]
    assert rest(seen) == rest(wanted) and len(seen) > 10, (rest(seen), rest(wanted))
    assert text(seen) == text(wanted) and "help" in text(seen), (text(seen), text(wanted))


async def subscribed(socket, since):
    """Subscribes. The first event may overtake the answer, but it tells only the cursor."""
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "event.subscribe", "params": {"since": since}}))
    message = await received(socket)
    if "method" in message:
        assert message["params"]["result"]["type"] == "server.connected", message
        message = await received(socket)
    assert isinstance(message["result"], int), message


@check
async def an_unsubscribed_stream_is_silent():
    async with opened() as socket:
        number = await result(socket, "event.subscribe", {})
        assert await result(socket, "event.unsubscribe", {"subscription": number}, ident=2) is True
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 3, "method": "session.create", "params": {"directory": DIRECTORY}}))
        assert (await received(socket))["id"] == 3
        await socket.send(json.dumps({"jsonrpc": "2.0", "id": 4, "method": "server.info"}))
        assert (await received(socket))["id"] == 4
        assert await result(socket, "event.unsubscribe", {"subscription": number}, ident=5) is False


@check
async def the_log_is_read_in_pages():
    async with opened() as socket:
        listed = await result(socket, "event.list", {"since": 0, "limit": 1})
        assert listed["more"] is True and len(listed["events"]) == 1, listed


@check
async def many_at_once_are_all_served():
    async def one(number):
        async with opened() as socket:
            for ident in range(20):
                await result(socket, "session.list", {"scope": "all"}, ident=ident)
            return number

    assert sorted(await asyncio.gather(*map(one, range(30)))) == list(range(30))


@check
async def without_the_token_nobody_comes_in():
    for headers in [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}]:
        try:
            async with opened(additional_headers=headers):
                raise AssertionError(f"let in with {headers}")
        except InvalidStatus as refused:
            assert refused.response.status_code == 401, refused
    try:
        async with opened(origin="https://elsewhere.example"):
            raise AssertionError("let in from elsewhere")
    except InvalidStatus as refused:
        assert refused.response.status_code == 403, refused
    async with opened(additional_headers={}, subprotocols=["polytree.v1", f"polytree.token.{TOKEN}"]) as socket:
        assert socket.subprotocol == "polytree.v1", socket.subprotocol
        await still_serves(socket)


async def main():
    print(f"# websockets {websockets.__version__}, Python {sys.version.split()[0]}", flush=True)
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            await asyncio.wait_for(function(), 2 * PATIENCE)
            print(f"ok {name}", flush=True)
        except Exception as problem:
            traceback.print_exc()
            print(f"not ok {name}: {problem!r}"[:2000].replace("\n", " "), flush=True)


asyncio.run(main())
