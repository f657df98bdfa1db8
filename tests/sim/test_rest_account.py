import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import rest_account as module
from sim.order import Outcome
from sim.rest_account import ROUTES, decode_cursor, encode_cursor
from sim.venue import Call
from sim.wallets import SignatureType
from tests.sim.live import still_venue
from tests.sim.traders import NOW_MS, Trader
from tests.sim.worlds import CID, OPENING_USD_E6, TOKENS

HANDLERS = {(route.method, route.path): route.handler for route in ROUTES}


@pytest.fixture
def scene():
    venue, market, house = still_venue()
    return venue, market, Trader(venue.exchange), house


def get(scene, path, parts=None, **query):
    venue, _, trader, _ = scene
    lists = {name: [value] for name, value in query.items()}
    call = Call(b"", parts or {}, lists, NOW_MS, key=trader.key)
    return HANDLERS["GET", path](venue, call)


def test_keys_are_created_once_derived_listed_and_deleted():
    venue, _, _ = still_venue()
    trader = Trader(venue.exchange, key="none")
    call = Call(b"", {}, {}, NOW_MS, identity=(trader.eoa.address, 3))
    missing = HANDLERS["GET", "/auth/derive-api-key"](venue, call)
    assert (missing.status, missing.body) == (400, {"error": "Could not derive api key!"})
    made = HANDLERS["POST", "/auth/api-key"](venue, call)
    assert set(made.body) == {"apiKey", "secret", "passphrase"}
    assert HANDLERS["GET", "/auth/derive-api-key"](venue, call).body == made.body
    again = HANDLERS["POST", "/auth/api-key"](venue, call)
    assert (again.status, again.body) == (400, {"error": "Could not create api key"})
    key = venue.exchange.keys.get(made.body["apiKey"])
    private = Call(b"", {}, {}, NOW_MS, key=key)
    listed = HANDLERS["GET", "/auth/api-keys"](venue, private)
    assert listed.body == {"apiKeys": [key.key]}
    HANDLERS["DELETE", "/auth/api-key"](venue, private)
    assert venue.exchange.keys.get(key.key) is None


@pytest.mark.parametrize("path", ["/balance-allowance", "/balance-allowance/update"])
@pytest.mark.parametrize("signature_type", SignatureType)
def test_balances_are_those_of_the_wallet_of_the_signature_type(scene, path, signature_type):
    _, market, trader, _ = scene
    trader.give(market, 7)
    number = str(int(signature_type))
    reply = get(scene, path, asset_type="COLLATERAL", signature_type=number)
    spent = 7_000_000 if signature_type is SignatureType.EOA else 0
    assert reply.body["balance"] == str(OPENING_USD_E6 - spent)
    assert all(int(one) == 2**256 - 1 for one in reply.body["allowances"].values())
    shares = get(scene, path, asset_type="CONDITIONAL", token_id=TOKENS[0], signature_type=number)
    assert shares.body["balance"] == str(spent)


@pytest.mark.parametrize(
    "query",
    [
        {"asset_type": "OTHER"},
        {"asset_type": "CONDITIONAL"},
        {"asset_type": "COLLATERAL", "signature_type": "4"},
        {"asset_type": "COLLATERAL", "signature_type": "x"},
    ],
)
def test_questions_about_nothing_are_refused(scene, query):
    assert get(scene, "/balance-allowance", **query).status == 400


def test_open_orders_are_listed_and_filtered(scene):
    _, market, trader, _ = scene
    yes = trader.place(market, Outcome.YES, "BUY", 3000, 10)[0].order_id
    no = trader.place(market, Outcome.NO, "BUY", 3000, 10)[0].order_id
    done = trader.place(market, Outcome.YES, "BUY", 5000, 10)[0].order_id

    def ids(**query):
        return [row["id"] for row in get(scene, "/data/orders", **query).body["data"]]

    assert ids() == [yes, no]
    assert ids(asset_id=TOKENS[1]) == [no]
    assert ids(market=CID) == [yes, no]
    assert ids(market="0x1") == []
    assert ids(id=yes) == [yes]
    row = get(scene, "/data/order/{id}", {"id": no})
    assert (row.body["id"], row.body["outcome"], row.body["price"]) == (no, "No", "0.3")
    for other in (done, "0x"):
        assert get(scene, "/data/order/{id}", {"id": other}).status == 404


def test_nobody_sees_the_orders_of_others(scene):
    venue, market, trader, house = scene
    mine = trader.place(market, Outcome.YES, "BUY", 3000, 10)[0].order_id
    other = (venue, market, Trader(venue.exchange, number=2), house)
    assert get(other, "/data/orders").body["data"] == []
    assert get(other, "/data/order/{id}", {"id": mine}).status == 404


def test_trades_are_seen_from_both_sides(scene):
    venue, market, taker, house = scene
    maker = Trader(venue.exchange, number=2)
    maker.place(market, Outcome.NO, "BUY", 5500, 10)
    taker.place(market, Outcome.YES, "BUY", 4500, 10, kind="FOK")
    rows = [get(scene, "/data/trades").body["data"]]
    rows.append(get((venue, market, maker, house), "/data/trades").body["data"])
    assert [[row["trader_side"] for row in one] for one in rows] == [["TAKER"], ["MAKER"]]
    (seen,) = rows[1]
    assert seen["asset_id"] == TOKENS[0]
    assert seen["maker_orders"][0]["asset_id"] == TOKENS[1]
    assert seen["maker_orders"][0]["owner"] == maker.key.key


def test_trades_are_filtered_by_their_top_level(scene):
    _, market, trader, _ = scene
    first = trader.place(market, Outcome.YES, "BUY", 5000, 10, kind="FOK")[0]
    later = NOW_MS + 10_000
    second, _ = trader.place(market, Outcome.NO, "BUY", 6000, 10, kind="FOK", now_ms=later)

    def ids(**query):
        return [row["id"] for row in get(scene, "/data/trades", **query).body["data"]]

    both = [*first.trade_ids, *second.trade_ids]
    assert ids() == both
    assert ids(asset_id=TOKENS[0]) == both[:1]
    assert ids(id=both[1]) == both[1:]
    assert ids(maker_address=trader.wallet) == both
    assert ids(after=str(NOW_MS // 1000)) == both[1:]
    assert ids(before=str(later // 1000)) == both[:1]
    assert get(scene, "/data/trades", before="soon").status == 400


def test_pages_follow_their_cursors_to_the_end(scene, monkeypatch):
    monkeypatch.setattr(module, "PAGE_ROWS", 3)
    _, market, trader, _ = scene
    ids = [trader.place(market, Outcome.YES, "BUY", 3000, 10)[0].order_id for _ in range(7)]
    seen, cursor = [], "MA=="
    sizes = []
    while cursor != "LTE=":
        body = get(scene, "/data/orders", next_cursor=cursor).body
        seen += [row["id"] for row in body["data"]]
        sizes.append(body["count"])
        cursor = body["next_cursor"]
        assert body["limit"] == 3
    assert (seen, sizes) == (ids, [3, 3, 1])
    assert get(scene, "/data/orders", next_cursor="LTE=").body["data"] == []
    assert get(scene, "/data/orders", next_cursor="?").status == 400


@given(st.integers(0, 10**9 - 1))
def test_cursors_are_the_base64_of_the_offset(offset):
    assert decode_cursor(encode_cursor(offset)) == offset
    assert base64.b64decode(encode_cursor(offset)) == str(offset).encode()


@given(st.text(max_size=12))
def test_any_text_is_a_cursor_or_none(text):
    offset = decode_cursor(text)
    assert offset is None or offset >= -1


def test_the_documented_cursors_are_ours():
    assert (decode_cursor("MA=="), decode_cursor("LTE=")) == (0, -1)


def test_nobody_is_in_closed_only_mode(scene):
    assert get(scene, "/auth/ban-status/closed-only").body == {"closed_only": False}
