"""Frames of the market channel that are silent, late, doubled or strange: hazards B1 to B19."""

import json

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from sim.rubbish import HUGE_BYTES
from tests.sim.live import read
from tests.sim.staged import heard, scenario, staged
from tests.sim.worlds import CID, TOKENS


def kinds(texts):
    return [json.loads(text)["event_type"] for text in texts]


def market_rule(do, when=None, **more):
    return {"at": "market", "when": when or {}, "then": {"do": do, **more}}


@scenario
async def test_b1_a_socket_is_silent_although_it_answers_pings():
    async with (
        staged(market_rule("lose", {"socket": 1})) as stage,
        stage.watching() as frozen,
        stage.watching() as live,
    ):
        for size in range(1, 6):
            stage.quote(shares=size)
        assert await heard(frozen) == []
        assert len(await heard(live)) == 5
        (first, *_) = stage.truth("frames")
        assert (first["sent"], first["withheld"]) == ({CID: 1}, {CID: 1})


@scenario
async def test_b1_one_token_is_silent_for_a_time():
    when = {"token": TOKENS[1], "until_ms": 5_000}
    async with staged(market_rule("lose", when)) as stage, stage.watching() as ws:
        stage.quote(shares=1)
        assert await heard(ws) == []
        stage.clock.ms += 5_000
        stage.quote(shares=2)
        assert kinds(await heard(ws)) == ["price_change"]


@scenario
async def test_b3_upgrades_are_refused_and_then_accepted_again():
    then = {"do": "answer", "kind": "cloudflare_banned"}
    rule = {"at": "GET /ws/market", "when": {"count": 2}, "then": then}
    async with staged(rule) as stage:
        for _ in range(2):
            with pytest.raises(WSServerHandshakeError) as caught:
                await stage.client.socket("/ws/market")
            assert caught.value.status == 403
        async with stage.watching() as ws:
            assert await heard(ws) == []


@scenario
async def test_b4_there_is_no_snapshot_after_a_subscription():
    rule = {"at": "subscribe", "when": {"token": TOKENS[0]}, "then": {"do": "no_snapshot"}}
    async with staged(rule) as stage:
        async with stage.watching(dump=False) as ws:
            assert await heard(ws) == []
            stage.quote()
            assert kinds(await heard(ws)) == ["price_change"]
        async with stage.watching(*TOKENS, dump=False) as ws:
            (dump,) = await read(ws)
            assert [one["asset_id"] for one in json.loads(dump)] == [TOKENS[1]]


@scenario
async def test_b4_a_subscription_is_not_heard_or_its_snapshot_is_late():
    rule = {"at": "subscribe", "when": {"nth": 1}, "then": {"do": "lose"}, "name": "deaf"}
    late = {"at": "subscribe", "then": {"do": "late", "ms": 2_000}}
    async with staged(rule, late) as stage:
        async with stage.watching(dump=False) as ws:
            assert await heard(ws) == []
            stage.quote()
            assert await heard(ws) == []
        async with stage.watching(dump=False) as ws:
            assert await heard(ws) == []
            await stage.later(2_000)
            (dump,) = await heard(ws)
            assert json.loads(dump)[0]["event_type"] == "book"


@scenario
async def test_b5_frames_come_again():
    async with (
        staged(market_rule("repeat", {"every": 2}, times=2)) as stage,
        stage.watching() as ws,
    ):
        for size in (1, 2):
            stage.quote(shares=size)
        texts = await heard(ws)
        assert len(texts) == 4
        assert texts[1] == texts[2] == texts[3] != texts[0]


@scenario
async def test_b6_frames_change_places():
    async with staged(market_rule("swap", {"nth": 1}, behind=2)) as stage, stage.watching() as ws:
        for size in (1, 2, 3, 4):
            stage.quote(shares=size)
        sizes = [json.loads(text)["price_changes"][0]["size"] for text in await heard(ws)]
        assert sizes == ["2", "3", "1", "4"]


@scenario
async def test_b6_a_frame_that_waits_for_others_comes_at_last():
    async with (
        staged(market_rule("swap", {"nth": 1}, behind=9, ms=500)) as stage,
        stage.watching() as ws,
    ):
        stage.quote(shares=1)
        assert await heard(ws) == []
        await stage.later(500)
        assert len(await heard(ws)) == 1


@scenario
async def test_b6_frames_that_wait_for_each_other_come_at_last():
    async with (
        staged(market_rule("swap", {"nth": [1, 2]}, behind=1, ms=500)) as stage,
        stage.watching() as ws,
    ):
        for size in (1, 2):
            stage.quote(shares=size)
        assert await heard(ws) == []
        await stage.later(500)
        assert len(await heard(ws)) == 2


@pytest.mark.parametrize("ms", [-5_000, 10_000])
@scenario
async def test_b6_timestamps_go_back_and_into_the_future(ms):
    async with staged(market_rule("restamp", {"nth": 2}, ms=ms)) as stage, stage.watching() as ws:
        for size in (1, 2, 3):
            stage.clock.ms += 1
            stage.quote(shares=size)
        stamps = [int(json.loads(text)["timestamp"]) for text in await heard(ws)]
        assert stamps[2] - stamps[0] == 2
        assert stamps[1] - stamps[0] == 1 + ms


@scenario
async def test_b7_one_price_change_in_so_many_is_lost_and_the_same_ones_for_the_same_seed():
    lost = []
    for _ in range(2):
        rule = market_rule("lose", {"chance": 0.1, "event": "price_change"})
        async with staged(rule) as stage, stage.watching() as ws:
            for size in range(1, 101):
                stage.quote(shares=size)
            sizes = {json.loads(text)["price_changes"][0]["size"] for text in await heard(ws)}
            lost.append({str(size) for size in range(1, 101)} - sizes)
    assert lost[0] == lost[1]
    assert 2 <= len(lost[0]) <= 25


@pytest.mark.parametrize("locked", [False, True])
@scenario
async def test_b8_the_book_is_crossed_or_locked_for_a_moment(locked):
    rule = market_rule("cross", {"nth": 1}, ms=50, locked=locked)
    async with staged(rule) as stage, stage.watching() as ws:
        stage.quote()
        first, crossed = [json.loads(text) for text in await heard(ws)]
        yes = crossed["price_changes"][0]
        assert (yes["side"], yes["size"]) == ("BUY", "10")
        assert yes["price"] == yes["best_bid"] == ("0.5" if locked else "0.501")
        assert yes["best_ask"] == "0.5"
        no = crossed["price_changes"][1]
        assert (no["side"], no["best_bid"]) == ("SELL", "0.5")
        assert crossed["timestamp"] == first["timestamp"]
        await stage.later(50)
        (healed,) = [json.loads(text) for text in await heard(ws)]
        assert healed["price_changes"][0]["size"] == "0"


@pytest.mark.parametrize(
    ("text", "bare"),
    [("NaN", False), ("NaN", True), ("Infinity", False), ("1e308", True), ("-0.5", False),
     ("1.5", False), ("0x1", False), ("1_0", False), (" .5 ", False), ("\u0660.\u0665", False),
     ("9" * 10_000, False)],
)  # fmt: skip
@scenario
async def test_b9_prices_and_sizes_that_are_no_numbers(text, bare):
    for field in ("price", "size"):
        rule = market_rule("number", {"nth": 1}, field=field, text=text, bare=bare)
        async with staged(rule) as stage, stage.watching() as ws:
            stage.quote()
            (told,) = await heard(ws)
            wanted = text if bare else json.dumps(text)
            assert told.count(f'"{field}":{wanted}') == 2


@pytest.mark.parametrize("token", ["0123", "9" * 90, "0xABC", "-1", "tok\u0000en"])
@scenario
async def test_b10_token_ids_that_are_none(token):
    async with (
        staged(market_rule("edit", set={"asset_id": token})) as stage,
        stage.watching() as ws,
    ):
        stage.house.take(stage.market, 0, "BUY", (5000, 10_000_000), stage.clock.ms)
        stage.quote()
        (told,) = await heard(ws)
        assert json.loads(told)["asset_id"] == token


@pytest.mark.parametrize("kind", ["text", "array", "unknown_event", "bad_element", "deep"])
@scenario
async def test_b11_b14_rubbish_that_is_text_comes_before_the_frame(kind):
    async with (
        staged(market_rule("garbage", {"nth": 1}, kind=kind)) as stage,
        stage.watching() as ws,
    ):
        stage.quote()
        rubbish, frame = await heard(ws)
        assert json.loads(frame)["event_type"] == "price_change"
        if kind == "text":
            assert not rubbish.startswith(("{", "["))
        elif kind == "array":
            assert json.loads(rubbish)[0] == 1
        elif kind == "unknown_event":
            assert json.loads(rubbish)["event_type"] == "something_new"
        elif kind == "bad_element":
            bad, good = json.loads(rubbish)
            assert bad["price_changes"] == [{"asset_id": None}]
            assert good == json.loads(frame)
        else:
            assert rubbish == "[" * 100_000


@pytest.mark.parametrize(
    ("kind", "code"),
    [("utf8", 1007), ("rsv1", 1002), ("opcode", 1002), ("fragment", 1002), ("masked", None),
     ("close_code", 1002), ("huge", 1009)],
)  # fmt: skip
@scenario
async def test_b12_b13_frames_that_a_client_must_refuse(kind, code):
    rule = market_rule("garbage", {"nth": 1}, kind=kind, instead=True)
    async with staged(rule) as stage, stage.watching() as ws:
        stage.quote()
        message = await ws.receive(10)
        if kind == "masked":
            # aiohttp is lenient here: it takes the mask off.
            assert message.type in {WSMsgType.TEXT, WSMsgType.ERROR}
            return
        assert message.type in {WSMsgType.ERROR, WSMsgType.CLOSE}
        assert ws.close_code == code or getattr(message.data, "code", None) == code


@scenario
async def test_b13_a_binary_frame_comes_in_place_of_a_text():
    async with (
        staged(market_rule("garbage", kind="binary", instead=True)) as stage,
        stage.watching() as ws,
    ):
        stage.quote()
        assert (await ws.receive(5)).type is WSMsgType.BINARY


@scenario
async def test_b11_a_frame_of_ten_megabytes():
    rule = market_rule("garbage", kind="huge", instead=True)
    async with (
        staged(rule) as stage,
        stage.client.session.ws_connect(stage.client.url + "/ws/market", max_msg_size=0) as ws,
    ):
        await ws.send_str(json.dumps({"type": "market", "assets_ids": [TOKENS[0]]}))
        await read(ws)
        stage.quote()
        assert len((await read(ws))[0]) > HUGE_BYTES


@scenario
async def test_b15_a_sockets_bytes_trickle():
    async with (
        staged(market_rule("slow", {"once": True}, bytes_per_s=100)) as stage,
        stage.watching() as ws,
    ):
        stage.quote()
        await stage.later(1_000)
        with pytest.raises(TimeoutError):
            await read(ws, timeout_s=0.05)
        (socket,) = stage.client.door.hub._dispatch.sockets
        assert socket.is_busy()
        for _ in range(20):
            await stage.later(1_000)
        assert json.loads((await read(ws))[0])["event_type"] == "price_change"


@scenario
async def test_b15_a_socket_is_slow_until_it_is_told_to_flow_again():
    rules = [
        market_rule("slow", {"nth": 1}, bytes_per_s=1),
        market_rule("slow", {"nth": 3}, bytes_per_s=0),
    ]
    async with staged(*rules) as stage, stage.watching() as ws:
        for size in (1, 2, 3):
            stage.quote(shares=size)
        await stage.later(5)
        assert len(await heard(ws)) == 3


@pytest.mark.parametrize("what", ["market", "token"])
@scenario
async def test_b18_the_frame_names_another_market_or_another_token(what):
    async with (
        staged(market_rule("foreign", {"nth": 1}, what=what)) as stage,
        stage.watching() as ws,
    ):
        stage.quote()
        told = json.loads((await heard(ws))[0])
        changes = {change["asset_id"] for change in told["price_changes"]}
        assert (told["market"] == CID) == (what == "token")
        assert (changes == set(TOKENS)) == (what == "market")


@scenario
async def test_b19_the_venues_frames_are_from_another_time_zone():
    async with staged(market_rule("restamp", ms=3_600_000)) as stage, stage.watching() as ws:
        stage.quote()
        told = json.loads((await heard(ws))[0])
        assert int(told["timestamp"]) == stage.market.stamp_ms + 3_600_000


@scenario
async def test_b2_a_socket_does_not_even_answer_pings():
    rules = [
        {"at": "ping", "when": {"nth": 1}, "then": {"do": "lose"}},
        {"at": "ping", "when": {"nth": 1}, "then": {"do": "late", "ms": 700}},
    ]
    async with staged(*rules) as stage, stage.watching() as ws:
        await ws.send_str("PING")
        await ws.send_str("PING")
        (one,) = await read(ws)
        assert one == "PONG"
        with pytest.raises(TimeoutError):
            await read(ws, timeout_s=0.05)
