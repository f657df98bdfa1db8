"""Small exchanges for the tests: one market, a known book, and a client's view of the frames."""

import json
from random import Random

from sim.events import Audience, Frame
from sim.exchange import Exchange
from sim.house import House
from sim.market import Facts, Market
from sim.order import Order, Outcome, Side
from sim.trades import Delays
from tests.sim.traders import NOW_MS

CID = "0x" + "ab" * 32
TOKENS = (
    "71321045679252212594626385532706912750332728571942532289631379312455583992563",
    "52114319501245915516055106046884209969926127482827954674443846427813813222426",
)
OPENING_USD_E6 = 10_000_000_000


def facts(**changes) -> Facts:
    return Facts(**({"condition_id": CID, "tokens": TOKENS, "neg_risk": False} | changes))


def world(levels=(), seed=1, tick_e4=10, **changes):
    """(exchange, market, house) with house levels given as (side, price_e4, shares)."""
    exchange = Exchange(seed, OPENING_USD_E6, Delays(400, 1200))
    market = Market(facts(**changes), tick_e4, NOW_MS)
    exchange.list_market(market)
    house = House(exchange.floor, Random(seed))
    wanted = [((Side(side), price), shares * 1_000_000) for side, price, shares in levels]
    house.set_levels(market, wanted, NOW_MS)
    return exchange, market, house


def order(side="BUY", price=5000, size=10, outcome=Outcome.YES, **changes) -> Order:
    given = {
        "order_id": f"0x{Random(str((side, price, size, outcome, changes))).getrandbits(256):064x}",
        "owner": "owner",
        "wallet": "wallet",
        "condition_id": CID,
        "token": TOKENS[outcome],
        "outcome": Outcome(outcome),
        "side": Side(side),
        "price_e4": price,
        "original_e6": size * 1_000_000,
        "order_type": "GTC",
        "created_ms": NOW_MS,
    }
    return Order(**(given | changes))


def frames(events, kind=None) -> list[dict]:
    """Market frames as objects, of one event type or all."""
    objects = [json.loads(event.text) for event in events if isinstance(event, Frame)]
    return [one for one in objects if kind in (None, one["event_type"])]


class Watcher:
    """A client that follows every token: books by token, from frames alone."""

    def __init__(self):
        self.books: dict[str, dict[str, dict[str, str]]] = {}

    def see(self, event) -> dict | None:
        """Apply a frame and return it as an object; other events give None."""
        if not isinstance(event, Frame):
            return None
        frame = json.loads(event.text)
        if frame["event_type"] == "price_change":
            for one in frame["price_changes"]:
                book = self.books.setdefault(one["asset_id"], {"BUY": {}, "SELL": {}})
                book[one["side"]].pop(one["price"], None)
                if one["size"] != "0":
                    book[one["side"]][one["price"]] = one["size"]
        elif frame["event_type"] == "book" and event.audience is Audience.TOKEN:
            self.books[frame["asset_id"]] = {
                "BUY": {level["price"]: level["size"] for level in frame["bids"]},
                "SELL": {level["price"]: level["size"] for level in frame["asks"]},
            }
        return frame

    def best(self, token: str, side: str) -> int | None:
        """Best price of a side in e4."""
        prices = [round(float(p) * 10_000) for p in self.books.get(token, {}).get(side, {})]
        if not prices:
            return None
        return max(prices) if side == "BUY" else min(prices)
