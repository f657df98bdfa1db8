"""HTTP: outcomes are values, and "nothing left" is told apart from "it may have arrived"."""

import asyncio
from collections.abc import Awaitable, Callable

import httptools
import pytest

from executor.counting import METER
from executor.http import HttpConnection, NoReply, Origin, Reply, parse_origin
from shm.errors import ConfigError

REQUEST = b"POST /x HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def with_server(serve: Serve, act):
    """Run `act(connection)` against a raw server."""
    tasks = []

    async def handle(reader, writer):
        tasks.append(asyncio.current_task())
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = HttpConnection(Origin("127.0.0.1", port, tls=False))
    try:
        return await act(connection)
    finally:
        connection.close()
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def run(serve: Serve, act):
    return asyncio.run(with_server(serve, act))


async def read_request(reader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head, await reader.readexactly(length)


def answer(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def get(connection, **some):
    return connection.request("GET", "/x", {}, **({"timeout_s": 2.0} | some))


def test_requests_share_one_connection_and_carry_their_bytes_exactly():
    seen = []

    async def serve(reader, writer):
        while True:
            seen.append(await read_request(reader))
            writer.write(answer(b"%d" % len(seen)))

    async def act(connection):
        first = await connection.request("POST", "/orders", {"A": "b"}, b'{"x":1}', timeout_s=2)
        second = await get(connection)
        return first, second

    first, second = run(serve, act)
    assert (first, second) == (Reply(200, b"1"), Reply(200, b"2"))
    head, body = seen[0]
    assert head.startswith(b"POST /orders HTTP/1.1\r\nHost: 127.0.0.1")
    assert b"\r\nA: b\r\n" in head
    assert b"User-Agent: polytrio" in head
    assert body == b'{"x":1}'


def test_begin_and_finish_are_the_same_request_in_two_halves():
    async def serve(reader, writer):
        _, body = await read_request(reader)
        writer.write(answer(body))

    async def act(connection):
        assert connection.begin(REQUEST) is None  # not open yet
        assert await connection.open() is None
        assert connection.idle
        assert connection.begin(REQUEST) is not None
        assert not connection.idle
        assert connection.begin(REQUEST) is None  # busy
        return await connection.finish(2.0)

    assert run(serve, act) == Reply(200, b"abc")


def test_orders_are_counted_where_bytes_leave_whoever_sends_them():
    order = b'{"signatureType":0}'

    async def serve(reader, writer):
        while True:
            _, body = await read_request(reader)
            writer.write(answer(body))

    async def act(connection):
        before = METER.orders
        await connection.open()
        assert connection.begin(REQUEST) is not None
        await connection.finish(2.0)
        assert METER.orders == before
        connection.begin(REQUEST[:-3].replace(b"3", b"19") + order)
        assert METER.orders == before + 1
        assert connection.begin(order) is None  # busy: nothing has left
        await connection.finish(2.0)
        await connection.request("POST", "/orders", {}, order, timeout_s=2.0)
        return METER.orders - before

    assert run(serve, act) == 2


def test_an_answer_in_pieces_and_in_chunks_is_put_together():
    async def serve(reader, writer):
        await read_request(reader)
        for piece in (b"HTTP/1.1 400 Bad Req", b"uest\r\nTransfer-Encoding: chunked\r\n\r\n",
                      b"3\r\nabc\r\n", b"2\r\nde", b"\r\n0\r\n\r\n"):  # fmt: skip
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    assert run(serve, get) == Reply(400, b"abcde")


def test_retry_after_is_read_and_nonsense_in_it_is_not():
    async def serve(reader, writer):
        for value in nonsense:
            await read_request(reader)
            writer.write(answer(b"", "429 Too Many", f"Retry-After: {value}\r\n"))

    async def act(connection):
        return [(await get(connection)).retry_after_s for _ in nonsense]

    nonsense = ("79", "Tue, 01 Dec 2026 00:00:00 GMT", "-7", "9" * 4_000, "1_0", "+5", "")
    assert run(serve, act) == [79, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("together", [True, False])
def test_an_interim_answer_is_not_the_answer(together):
    async def serve(reader, writer):
        for body in (b"one", b"two"):
            await read_request(reader)
            writer.write(b"HTTP/1.1 103 Early Hints\r\nRetry-After: 9\r\nLink: </x>\r\n\r\n")
            if not together:
                await writer.drain()
                await asyncio.sleep(0.02)
            writer.write(answer(body))

    async def act(connection):
        return await get(connection), await get(connection)

    assert run(serve, act) == (Reply(200, b"one"), Reply(200, b"two"))


def test_a_venue_that_wants_to_speak_another_protocol_is_a_doubt():
    async def serve(reader, writer):
        await read_request(reader)
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
        )
        await writer.drain()
        await asyncio.sleep(1)

    async def act(connection):
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, told: raised.append(told.get("exception")))
        return await get(connection)

    raised: list[object] = []  # in a stage, whatever is raised in a callback ends the process
    outcome = run(serve, act)
    assert isinstance(outcome, NoReply)
    assert outcome.sent
    assert not any(isinstance(one, httptools.HttpParserUpgrade) for one in raised)


@pytest.mark.parametrize("together", [True, False])
def test_what_nobody_asked_for_is_never_taken_for_the_next_ones_answer(together):
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        while True:
            await read_request(reader)
            said = answer(b"right")
            if len(connections) == 1:
                if together:
                    said += answer(b"unasked")
                else:
                    asyncio.get_running_loop().call_later(0.05, writer.write, answer(b"unasked"))
            writer.write(said)

    async def act(connection):
        first = await get(connection)
        await asyncio.sleep(0.1)
        return first, await get(connection)

    assert run(serve, act) == (Reply(200, b"right"), Reply(200, b"right"))
    assert len(connections) == 2


def test_no_server_means_that_nothing_left():
    async def act():
        connection = HttpConnection(Origin("127.0.0.1", 9, tls=False))
        return await get(connection)

    outcome = asyncio.run(act())
    assert isinstance(outcome, NoReply)
    assert not outcome.sent
    assert "cannot connect" in outcome.reason


@pytest.mark.parametrize(
    "reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", b"\x00\x01garbage\r\n\r\n"]
)
def test_a_connection_that_breaks_after_sending_is_a_doubt(reply):
    async def serve(reader, writer):
        await read_request(reader)
        writer.write(reply)
        await writer.drain()

    outcome = run(serve, get)
    assert isinstance(outcome, NoReply)
    assert outcome.sent


def test_a_late_answer_is_never_taken_for_the_next_ones():
    release = {}

    async def serve(reader, writer):
        await read_request(reader)
        if "late" not in release:
            release["late"] = True
            await asyncio.sleep(0.3)
            writer.write(answer(b"late"))
            return
        writer.write(answer(b"right"))

    async def act(connection):
        first = await get(connection, timeout_s=0.05)
        second = await get(connection)
        return first, second

    first, second = run(serve, act)
    assert isinstance(first, NoReply)
    assert first.timed_out
    assert second == Reply(200, b"right")


def test_who_is_told_to_wait_no_longer_leaves_no_answer_behind():
    """The next one would get it, and each one after that the answer to the one before."""
    targets = []

    async def serve(reader, writer):
        while True:
            head, _ = await read_request(reader)
            targets.append(target := head.split()[1])
            await asyncio.sleep(0.1 if target == b"/first" else 0)
            writer.write(answer(target))

    async def act(connection):
        asked = asyncio.ensure_future(connection.request("GET", "/first", {}, timeout_s=2.0))
        while not targets:
            await asyncio.sleep(0.001)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        found = []
        for target in ("/second", "/third"):
            found.append(await connection.request("GET", target, {}, timeout_s=2.0))
            await asyncio.sleep(0.15)  # the first one's answer has had its time
        return asked.cancelled(), found

    assert run(serve, act) == (True, [Reply(200, b"/second"), Reply(200, b"/third")])


def test_a_closed_connection_is_opened_again():
    async def serve(reader, writer):
        await read_request(reader)
        writer.write(answer(b"x", more="Connection: close\r\n"))

    async def act(connection):
        return [await get(connection), await get(connection)]

    assert run(serve, act) == [Reply(200, b"x")] * 2


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://127.0.0.1:8700", Origin("127.0.0.1", 8700, tls=False)),
        ("https://clob.example", Origin("clob.example", 443, tls=True)),
    ],
)
def test_origins_are_parsed(url, origin):
    assert parse_origin(url) == origin


@pytest.mark.parametrize("url", ["", "ftp://x", "127.0.0.1:80", "http://x/path", "http://"])
def test_what_is_no_origin_is_refused(url):
    with pytest.raises(ConfigError, match="clob_url"):
        parse_origin(url)
