import asyncio
import json
import os
import signal
import subprocess
import sys
from types import SimpleNamespace

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm.errors import ConfigError
from sim import server
from sim import truth as module
from sim.chronicle import chronicle, missing_lines
from sim.market import Facts
from sim.truth import Truth, TruthFile, read_truth, seq_of
from sim.verdict import c1_once, c3_conserved
from tests.sim.live import Client
from tests.sim.staged import batch, scenario, staged
from tests.sim.traders import Trader, l1_headers
from tests.sim.worlds import CID


def test_lines_are_numbered_timed_and_in_their_context():
    truth = Truth(mono_ns=iter(range(100, 200)).__next__, ms=7)
    truth.record("a", x=1)
    with truth.about(request=9):
        truth.record("b")
        with truth.about(leg=2):
            assert truth.context() == {"request": 9, "leg": 2}
    truth.ms = 8
    truth.record("c")
    assert truth.since(0, 10) == [
        {"seq": 1, "kind": "a", "ms": 7, "mono_ns": 100, "x": 1},
        {"seq": 2, "kind": "b", "ms": 7, "mono_ns": 101, "request": 9},
        {"seq": 3, "kind": "c", "ms": 8, "mono_ns": 102},
    ]


@given(st.integers(0, 60), st.integers(0, 70), st.integers(0, 20))
def test_any_part_of_the_log_can_be_had_from_memory(count, since, limit):
    truth = Truth()
    for _ in range(count):
        truth.record("line")
    wanted = [number for number in range(1, count + 1) if number > since][:limit]
    assert [line["seq"] for line in truth.since(since, limit)] == wanted


def test_what_has_left_the_memory_comes_from_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MEMORY_LINES", 10)
    monkeypatch.setattr(module, "_MARK_EVERY", 7)
    truth = Truth(TruthFile(tmp_path / "truth.jsonl"))
    for _ in range(100):
        truth.record("line")
    for since in (0, 5, 6, 7, 8, 50, 89, 90, 95, 100):
        got = [line["seq"] for line in truth.since(since, 20)]
        assert got == list(range(since + 1, min(since + 20, 100) + 1))
    forgetful = Truth()
    for _ in range(100):
        forgetful.record("line")
    assert [line["seq"] for line in forgetful.since(0, 3)] == [91, 92, 93]


def test_a_file_that_exists_is_continued_behind_its_last_line(tmp_path):
    path = tmp_path / "truth.jsonl"
    for _ in range(2):
        truth = Truth(TruthFile(path))
        truth.record("start")
        truth.record("line")
        truth.file.close()
    assert [line["seq"] for line in read_truth(path)] == [1, 2, 3, 4]
    assert len(chronicle(read_truth(path)).runs) == 2


@pytest.mark.parametrize("cut", range(2, 40, 7))
def test_a_torn_last_line_is_left_out_and_left_alone(tmp_path, cut):
    path = tmp_path / "truth.jsonl"
    truth = Truth(TruthFile(path))
    truth.record("whole")
    truth.record("torn", long="x" * 50)
    truth.file.close()
    torn = path.read_bytes()[:-cut]
    path.write_bytes(torn)
    assert [line["kind"] for line in read_truth(path)] == ["whole"]
    again = Truth(TruthFile(path))
    again.record("after")
    again.file.close()
    assert path.read_bytes().startswith(torn)
    assert [(line["seq"], line["kind"]) for line in read_truth(path)] == [
        (1, "whole"),
        (2, "after"),
    ]
    assert seq_of(b'{"seq":"1"}') is None


def test_a_file_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"--truth .*: No such file"):
        TruthFile(tmp_path / "none" / "truth.jsonl")


WRITER = """
import os, signal, sys
from pathlib import Path
from sim.truth import Truth, TruthFile
file = TruthFile(Path(sys.argv[1]))
if sys.argv[2] == "buffered":
    buffered = open(sys.argv[1], "ab", buffering=1 << 20)
    file._write = lambda data: buffered.write(data)
truth = Truth(file)
for number in range(500):
    truth.record("line", number=number)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("how", "lines"), [("as it is", 500), ("buffered", 0)])
def test_every_line_survives_kill_9_and_would_not_if_it_were_buffered(tmp_path, how, lines):
    path = tmp_path / "truth.jsonl"
    done = subprocess.run([sys.executable, "-c", WRITER, str(path), how])
    assert done.returncode == -signal.SIGKILL
    assert len(read_truth(path)) == lines


# The running exchange.


async def client_of(url, session):
    """A client of a process: it knows only what HTTP tells it."""
    client = Client(None, url, session)
    now_s = (await client.call("GET", "/time"))[1]
    client.now_s = lambda: now_s
    trader = Trader(None, 1, 0, key="none")
    headers = l1_headers(trader.eoa, now_s)
    _, creds = await client.call("POST", "/auth/api-key", headers=headers)
    trader.key = SimpleNamespace(key=creds["apiKey"], public=lambda: creds)
    ladders = (await client.call("GET", "/sim/ladders"))[1]
    # The one whose price leaves most room: where the others are depends on the time of the day.
    quoted = [one for one in ladders[0]["markets"] if one["best_ask"]]
    market = min(quoted, key=lambda one: abs(float(one["best_ask"]) - 0.5))
    facts = Facts(market["condition_id"], tuple(market["tokens"]), market["neg_risk"])
    return client, trader, SimpleNamespace(facts=facts)


async def trade_until_dead(child, url):
    """Hashes that the exchange has acknowledged, until it is killed in the middle of it."""
    acknowledged = []
    async with aiohttp.ClientSession() as session:
        client, trader, market = await client_of(url, session)
        with_kill = asyncio.get_running_loop().call_later(1.0, child.kill)
        try:
            while True:
                bodies = [trader.body(market, 0, "BUY", 1000 + leg * 10, 10) for leg in range(3)]
                _, rows = await client.signed(trader, "POST", "/orders", batch(*bodies))
                acknowledged += [row["orderID"] for row in rows if not row["errorMsg"]]
        except (aiohttp.ClientError, OSError):
            with_kill.cancel()
    return acknowledged


@pytest.mark.slow
def test_an_exchange_that_is_killed_has_written_all_that_it_has_acknowledged(tmp_path):
    path = tmp_path / "truth.jsonl"
    options = ["--port", "0", "--coins", "BTC", "--days", "1", "--seed", "3", "--truth", str(path)]
    for _ in range(2):
        command = [sys.executable, "-m", "sim", *options]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            ready = json.loads(child.stdout.readline())
            try:
                acknowledged = asyncio.run(trade_until_dead(child, ready["url"]))
            finally:
                child.kill()  # or leaving the block would wait for ever
            assert child.wait() == -signal.SIGKILL
        assert len(acknowledged) > 10
        lines = read_truth(path)
        accepted = {line["order_id"] for line in lines if line.get("accepted")}
        assert set(acknowledged) <= accepted
        assert missing_lines(lines) == []
        assert c1_once(chronicle(lines)) == []
        assert c3_conserved(chronicle(lines)) == []
    assert oct(os.stat(path).st_mode & 0o777) == "0o600"


@scenario
async def test_the_log_tells_the_whole_life_of_a_request_and_of_its_orders():
    async with staged() as stage:
        trader = await stage.client.trader()
        good, bad = stage.buy(trader), stage.buy(trader, price=4900)
        async with stage.listening(trader):
            await stage.post(trader, good, bad, b"{}")
            await stage.later(2_000)
        (request,) = stage.truth("request", place="POST /orders")
        assert [one["order_id"] for one in request["orders"]] == [
            stage.hash_of(good), stage.hash_of(bad)
        ]  # fmt: skip
        assert request["signer"] == trader.eoa.address
        assert len(request["digest"]) == 64
        number = request["request"]
        legs = {line["leg"]: line for line in stage.truth("order", request=number)}
        assert [legs[leg]["accepted"] for leg in (1, 2, 3)] == [True, True, False]
        assert legs[3]["why"] == "Invalid order payload"
        assert legs[1]["salt"] == request["orders"][0]["salt"]
        ends = {line["order_id"]: line for line in stage.truth("order_end", request=number)}
        assert ends[stage.hash_of(good)]["status"] == "MATCHED"
        assert ends[stage.hash_of(bad)]["status"].startswith("CANCELED_order couldn't be fully")
        (trade,) = stage.truth("trade", request=number)
        assert trade["fee_usd_e6"] == 175_000
        (balance,) = stage.truth("balance", cause=f"trade {trade['trade_id']}")
        assert balance["cash_after"] == {trader.wallet: stage.cash(trader)}
        statuses = [line["status"] for line in stage.truth("trade_status")]
        assert statuses == ["MINED", "CONFIRMED"]
        (reply,) = stage.truth("reply", request=number)
        assert (reply["status"], reply["fate"]) == (200, "sent")
        told = [(line["event"], line["status"], line["sockets"]) for line in stage.truth("event")]
        assert ("trade", "CONFIRMED", [1]) in told


@scenario
async def test_a_request_whose_body_never_comes_is_noted_as_torn():
    async with staged() as stage:
        host, port = stage.client.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /orders HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[")
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        async with asyncio.timeout(5):
            while not stage.truth("request_torn", place="POST /orders"):
                await asyncio.sleep(0.005)


@scenario
async def test_a_request_that_is_too_long_is_noted_all_the_same(monkeypatch):
    monkeypatch.setattr(server, "MAX_BODY_BYTES", 1000)
    async with staged() as stage:
        trader = await stage.client.trader()
        status, _, _ = await stage.request(trader, "POST", "/orders", b"x" * 1001)
        assert status == 413
        assert len(stage.truth("request_torn", place="POST /orders")) == 1


@scenario
async def test_no_secret_of_a_trader_is_in_the_log():
    async with staged() as stage:
        trader = await stage.client.trader()
        async with stage.listening(trader):
            await stage.post(trader, stage.buy(trader))
            await stage.client.signed(trader, "GET", "/data/trades")
        text = json.dumps(stage.exchange.truth.since(0, 10**6))
        for secret in trader.key.public().values():
            assert secret not in text
        assert trader.eoa.key.hex() not in text


@scenario
async def test_the_log_is_a_page_with_a_number_to_go_on_from():
    async with staged() as stage:
        trader = await stage.client.trader()
        await stage.post(trader, stage.buy(trader))
        _, first = await stage.client.call("GET", "/sim/truth", query="?limit=3")
        assert [line["seq"] for line in first["lines"]] == [1, 2, 3]
        _, rest = await stage.client.call("GET", "/sim/truth", query=f"?since={first['next']}")
        assert rest["lines"][0]["seq"] == 4
        assert rest["next"] == rest["lines"][-1]["seq"]
        _, none = await stage.client.call("GET", "/sim/truth", query=f"?since={rest['next']}")
        assert none == {"next": rest["next"], "lines": []}
        assert (await stage.client.call("GET", "/sim/truth", query="?since=x"))[0] == 400


@scenario
async def test_what_became_of_orders_is_a_page():
    async with staged({"at": "trade", "then": {"do": "stuck"}}) as stage:
        trader, other = await stage.client.trader(1), await stage.client.trader(2)
        filled, resting = stage.buy(trader), stage.buy(trader, price=3000, kind="GTC")
        refused = stage.buy(trader, price=9999)
        await stage.post(trader, filled, resting, refused)
        await stage.post(other, stage.buy(other))
        row = await stage.outcome(stage.hash_of(filled))
        assert (row["status"], row["matched_e6"], row["market"]) == ("MATCHED", 10_000_000, CID)
        assert [trade["status"] for trade in row["trades"]] == ["MATCHED"]
        assert await stage.outcome(stage.hash_of(refused)) is None
        query = f"?wallet={trader.wallet.lower()}"
        _, mine = await stage.client.call("GET", "/sim/orders", query=query)
        hashes = {row["hash"] for row in mine["orders"]}
        assert hashes == {stage.hash_of(filled), stage.hash_of(resting)}
        _, still = await stage.client.call("GET", "/sim/orders", query="?open=1")
        assert [row["hash"] for row in still["orders"]] == [stage.hash_of(resting)]
        query = f"?hash={stage.hash_of(refused)}&hash={stage.hash_of(resting)}"
        _, named = await stage.client.call("GET", "/sim/orders", query=query)
        assert named["unknown"] == [stage.hash_of(refused)]
        assert named["indexed"] == []
