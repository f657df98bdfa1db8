"""A real server behind the proxy, and every toxic on it: A5, A28, B2, B3, B15."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys

import aiohttp
import msgspec
import pytest

from shm.errors import ConfigError
from sim import relay
from sim.chronicle import chronicle
from sim.proxy import parse_target
from sim.relay import Proxy
from sim.toxics import Rule, read_rules
from sim.truth import Truth
from tests.sim.live import Client, read
from tests.sim.staged import GIVE_UP_S, batch, heard, scenario, staged


def rules_of(*rows):
    return tuple(msgspec.convert(row, Rule) for row in rows)


@contextlib.asynccontextmanager
async def proxied(*rows, raw=False):
    """A stage whose client goes through a proxy with these rules."""
    async with staged() as stage:
        host, port = stage.client.url.removeprefix("http://").split(":")
        proxy = Proxy((host, int(port)), rules_of(*rows))
        proxy.raw = raw
        through = await proxy.start()
        direct = stage.client
        async with aiohttp.ClientSession() as session:
            stage.client = Client(direct.door, f"http://127.0.0.1:{through}", session)
            stage.proxy, stage.direct = proxy, direct
            try:
                yield stage
            finally:
                await proxy.stop()


async def until(condition):
    """Wait for something that is bound to come."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("raw", [False, True])
@scenario
async def test_without_rules_everything_passes(raw):
    async with proxied(raw=raw) as stage:
        trader = await stage.client.trader()
        for shares in (10, 11):
            assert (await stage.post(trader, stage.buy(trader, shares=shares)))[0] == 200
        async with stage.watching() as ws:
            stage.quote()
            assert json.loads((await heard(ws))[0])["event_type"] == "price_change"


@scenario
async def test_a5_a_reply_is_dropped_and_the_connection_stays():
    rule = {"way": "down", "request": "POST /orders", "then": {"do": "drop"}}
    async with proxied(rule) as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader)
        await stage.lost(trader, "POST", "/orders", batch(body))
        assert stage.accepted() == [stage.hash_of(body)]


@scenario
async def test_a5_a_request_is_dropped_on_its_way_up():
    rule = {"way": "up", "request": "POST /orders", "when": {"count": 1}, "then": {"do": "drop"}}
    async with proxied(rule) as stage:
        trader = await stage.client.trader()
        await stage.lost(trader, "POST", "/orders", batch(stage.buy(trader)))
        assert stage.truth("request", place="POST /orders") == []
        assert (await stage.post(trader, stage.buy(trader)))[1][0]["status"] == "matched"


@scenario
async def test_a28_a_request_is_held_until_its_client_has_gone_and_lands_all_the_same():
    late = {"do": "late", "ms": int(GIVE_UP_S * 1000) + 100}
    rule = {"way": "up", "request": "POST /orders", "when": {"count": 1}, "then": late}
    async with proxied(rule) as stage:
        trader = await stage.client.trader()
        body = stage.buy(trader, price=3000, kind="GTC")
        await stage.lost(trader, "POST", "/orders", batch(body))
        stage.client = stage.direct
        assert (await stage.client.signed(trader, "DELETE", "/cancel-all"))[1]["canceled"] == []
        assert stage.accepted() == []
        await until(stage.accepted)
        assert (await stage.outcome(stage.hash_of(body)))["status"] == "LIVE"


@scenario
async def test_the_door_is_told_when_a_request_came_whatever_a_rule_makes_of_it():
    late = {"do": "late", "ms": 300}
    rule = {"way": "up", "request": "POST /orders", "when": {"count": 1}, "then": late}
    async with proxied(rule) as stage:
        stage.proxy.truth = Truth()
        trader = await stage.client.trader()
        await stage.post(trader, stage.buy(trader))
        (door,) = [one for one in told(stage) if one["place"] == "POST /orders"]
        (inside,) = stage.truth("request", place="POST /orders")
        assert inside["mono_ns"] - door["mono_ns"] >= 300_000_000
        host, port = stage.client.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /orders HTT")
        await asyncio.sleep(0.05)
        writer.close()
        await until(lambda: told(stage)[-1]["kind"] == "request_torn")
        assert told(stage)[-1]["place"] == "POST /orders"
        posts = chronicle(told(stage)).posts()
        assert len(posts) == 2, "the checkers know them as what they are"


def told(stage):
    return stage.proxy.truth.since(0, 1_000)


@scenario
async def test_a_doubled_reply_is_taken_for_the_answer_of_the_next_request():
    rule = {"way": "down", "request": "GET /time", "when": {"count": 1}, "then": {"do": "repeat"}}
    async with proxied(rule) as stage:
        host, port = stage.client.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for path in ("/time", "/version"):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await asyncio.sleep(0.05)
        writer.write_eof()
        got = (await reader.read()).split(b"HTTP/1.1 200 OK")[1:]
        writer.close()
        assert [b"version" in one for one in got] == [False, False, True]


@scenario
async def test_replies_change_places_on_a_pipelined_connection():
    rule = {"way": "down", "request": "GET /time", "then": {"do": "swap"}}
    async with proxied(rule) as stage:
        host, port = stage.client.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        for path in ("/time", "/version"):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await asyncio.sleep(0.05)
        writer.write_eof()
        got = (await reader.read()).split(b"HTTP/1.1 200 OK")[1:]
        writer.close()
        assert [b"version" in one for one in got] == [True, False]


@scenario
async def test_frames_are_dropped_doubled_and_swapped_on_their_way_down():
    def rule(do, nth):
        return {"way": "down", "request": "GET /ws", "when": {"nth": nth}, "then": {"do": do}}

    # The answer to the upgrade is the first message, the dump the second.
    async with (
        proxied(rule("drop", 3), rule("repeat", 4), rule("swap", 6)) as stage,
        stage.watching() as ws,
    ):
        for size in (1, 2, 3, 4, 5):
            stage.quote(shares=size)
        sizes = [json.loads(text)["price_changes"][0]["size"] for text in await read(ws, 5)]
        assert sizes == ["2", "2", "3", "5", "4"]


@scenario
async def test_b15_bytes_come_one_at_a_time():
    async with proxied({"way": "down", "then": {"do": "slice", "bytes": 1}}) as stage:
        host, port = stage.client.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        pieces = []
        while piece := await reader.read(65_536):
            pieces.append(piece)
        writer.close()
        assert b"".join(pieces).endswith(b'{"version":2}')
        assert len(pieces) > len(b"".join(pieces)) / 4
        trader = await stage.client.trader()
        assert (await stage.post(trader, stage.buy(trader)))[1][0]["status"] == "matched"


@pytest.mark.parametrize(
    "then",
    [
        {"do": "latency", "ms": 40, "jitter_ms": 20},
        {"do": "bandwidth", "bytes_per_s": 5_000},
        {"do": "stall", "after_bytes": 100, "ms": 60},
        {"do": "slice", "bytes": 100, "gap_ms": 5},
    ],
)
@scenario
async def test_bytes_take_their_time_and_arrive_in_order(then, monkeypatch):
    slept = []

    async def noted(seconds):
        slept.append(seconds)
        await asyncio.sleep(seconds)

    monkeypatch.setattr(relay, "_sleep", noted)
    async with proxied({"way": "down", "then": then}) as stage:
        for _ in range(2):
            assert await stage.client.call("GET", "/version") == (200, {"version": 2})
        assert sum(slept) >= 0.02


@scenario
async def test_b2_a_peer_vanishes_and_nothing_closes():
    async with proxied() as stage, stage.watching() as ws:
        stage.proxy.set_rules(rules_of({"then": {"do": "vanish"}}))
        stage.quote()
        with pytest.raises(TimeoutError):
            await read(ws, timeout_s=0.1)
        await ws.send_str("PING")
        with pytest.raises(TimeoutError):
            await read(ws, timeout_s=0.1)
        assert not ws.closed
        assert stage.truth("socket", what="close") == []


@scenario
async def test_b2_a_connection_stalls_for_ever_after_some_bytes():
    rule = {"way": "down", "then": {"do": "stall", "after_bytes": 30}}
    async with proxied(rule) as stage:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(GIVE_UP_S):
                await stage.client.call("GET", "/version")


@pytest.mark.parametrize(
    ("do", "error"), [("reset", aiohttp.ClientError), ("close", aiohttp.ClientPayloadError)]
)
@scenario
async def test_a5_the_connection_is_cut_after_so_many_bytes_of_the_reply(do, error):
    rule = {"way": "down", "then": {"do": do, "after_bytes": 250}, "when": {"nth": [2, 3]}}
    async with proxied(rule) as stage:
        trader = await stage.client.trader()
        await stage.client.session.close()
        async with aiohttp.ClientSession() as session:
            stage.client = Client(stage.direct.door, stage.client.url, session)
            body = stage.buy(trader)
            broken = await stage.broken(trader, "POST", "/orders", batch(body))
            assert isinstance(broken, error), broken
            assert stage.accepted() == [stage.hash_of(body)]


@scenario
async def test_b3_connections_are_refused_until_the_rules_change():
    async with proxied({"then": {"do": "refuse"}}) as stage:
        for _ in range(3):
            with pytest.raises((OSError, aiohttp.ClientError)):
                await stage.client.call("GET", "/version")
        assert stage.proxy.rows()[0]["done"] >= 3
        stage.proxy.set_rules(())
        assert (await stage.client.call("GET", "/version"))[0] == 200


@scenario
async def test_a_server_that_is_not_there_looks_like_a_reset():
    proxy = Proxy(("127.0.0.1", 1))
    port = await proxy.start()
    async with aiohttp.ClientSession() as session:
        with pytest.raises((OSError, aiohttp.ClientError)):
            await session.get(f"http://127.0.0.1:{port}/")
    await proxy.stop()


def test_the_same_seed_gives_the_same_choices():
    async def chosen(seed):
        rule = {"way": "down", "request": "GET /time", "when": {"chance": 0.5},
                "then": {"do": "repeat"}}  # fmt: skip
        async with staged() as stage:
            host, port = stage.client.url.removeprefix("http://").split(":")
            proxy = Proxy((host, int(port)), rules_of(rule), seed)
            through = await proxy.start()
            done = []
            for _ in range(12):
                async with (
                    aiohttp.ClientSession() as session,
                    session.get(f"http://127.0.0.1:{through}/time") as reply,
                ):
                    await reply.read()
                done.append(proxy.rows()[0]["done"])
            await proxy.stop()
            return done

    first, second, other = (asyncio.run(chosen(seed)) for seed in (5, 5, 6))
    assert first == second != other


# Files and the command line.


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"rules": [{"then": {"do": "latency"}}]}', "missing required field `ms`"),
        ('{"rules": [{"then": {"do": "warp"}}]}', "Invalid value 'warp'"),
        ('{"rules": [{"then": {"do": "drop"}, "wey": "up"}]}', "unknown field `wey`"),
        ('{"rules": [{"then": {"do": "close"}, "request": "GET"}]}', "bytes know no requests"),
        ("[", "Expected `object`"),
    ],
)
def test_a_file_of_rules_that_is_wrong_is_refused_with_the_place(tmp_path, text, why):
    path = tmp_path / "rules.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=why):
        read_rules(path)
    with pytest.raises(ConfigError, match="No such file"):
        read_rules(tmp_path / "none.toml")


@pytest.mark.parametrize("text", ["localhost", ":80", "host:", "host:99999", "host:8o"])
def test_a_target_needs_a_host_and_a_port(text):
    with pytest.raises(ConfigError, match="HOST:PORT is wanted"):
        parse_target(text)


def test_targets_may_be_urls():
    assert parse_target("http://127.0.0.1:8700/") == ("127.0.0.1", 8700)
    assert parse_target("[::1]:80") == ("::1", 80)


@pytest.mark.slow
def test_the_command_runs_and_reads_its_rules_again_on_sighup(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text('[[rules]]\nthen = { do = "refuse" }\n')

    async def scenario():
        async with staged() as stage:
            target = stage.client.url.removeprefix("http://")
            command = [sys.executable, "-m", "sim.proxy", "--to", target, "--faults", str(path)]
            with subprocess.Popen(  # noqa: ASYNC220  # once, and its pipes are read elsewhere
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as child:
                loop = asyncio.get_running_loop()
                ready = json.loads(await loop.run_in_executor(None, child.stdout.readline))
                url = f"http://127.0.0.1:{ready['port']}/version"
                with pytest.raises((OSError, aiohttp.ClientError)):
                    await stage.client.session.get(url)
                for text, said in (("[[rules]]\nfoo=1\n", b"stay as they are"), ("", b"0 rules")):
                    path.write_text(text)
                    os.kill(child.pid, signal.SIGHUP)
                    assert said in await loop.run_in_executor(None, child.stderr.readline)
                async with stage.client.session.get(url) as reply:
                    assert reply.status == 200
                child.terminate()
                assert await loop.run_in_executor(None, child.wait) == 0

    asyncio.run(scenario())


@pytest.mark.slow
def test_a_wrong_option_ends_the_command_with_a_sentence(tmp_path):
    for options, why in (
        (["--to", "nowhere"], "HOST:PORT is wanted"),
        (["--to", "h:1", "--host", "0.0.0.0"], "loopback"),
        (["--to", "h:1", "--faults", str(tmp_path / "no.toml")], "No such file"),
    ):
        command = [sys.executable, "-m", "sim.proxy", *options]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 3
        assert why in done.stderr
