"""The pages under /sim/: the exchange's own truth, for people and for tests."""

from typing import Any

from shm.units import format_fixed
from sim.book import PRICE_TEXT
from sim.gamma import iso
from sim.ladders import Ladder, Listing
from sim.order import OPEN, Order, Outcome
from sim.replies import INVALID_PARAMETER, Reply, refused
from sim.rules import read_order
from sim.venue import Call, Errand, Guard, Handler, Route, Venue

TRUTH_LINES_MAX = 10_000
ORDER_ROWS_MAX = 1_000


def state(venue: Venue, call: Call) -> Reply:
    """GET /sim/state: counters, mispricings, the engine, rate limits and every user wallet."""
    exchange = venue.exchange
    counts = venue.source.counts
    return Reply(
        {
            "seed": exchange.seed,
            "uptime_s": (call.now_ms - venue.started_ms) // 1000,
            "frames_sent": venue.frames_sent,
            "orders_received": exchange.counters.orders_received,
            "orders_matched": exchange.counters.orders_matched,
            "trades": exchange.floor.tape.count,
            "engine": {
                "mode": str(exchange.engine.mode(call.now_ms)),
                "geoblocked": exchange.engine.geoblocked,
            },
            "rate_limits": exchange.rates.rows(call.now_ms),
            "rules": len(exchange.faults.rows()),
            "truth_seq": exchange.truth.seq,
            "mispricings": {
                "offered": counts.offered,
                "taken": counts.taken,
                "expired": counts.expired,
                "open": counts.open(),
            },
            "mirror": None if venue.mirror is None else venue.mirror.state(),
            "accounts": {
                wallet: _account(venue, wallet, owner) for wallet, owner in exchange.wallets.items()
            },
        }
    )


def _account(venue: Venue, wallet: str, owner: tuple[str, int]) -> dict[str, Any]:
    floor = venue.exchange.floor
    account = floor.ledger.accounts[wallet]
    return {
        "signer": owner[0],
        "signature_type": owner[1],
        "cash_usd_e6": account.cash_usd_e6,
        "opening_usd_e6": account.opening_usd_e6,
        "fees_usd_e6": account.fees_usd_e6,
        "positions": dict(account.positions),
        "open_orders": floor.register.count_open(wallet),
    }


def orders(venue: Venue, call: Call) -> Reply:
    """GET /sim/orders: what became of orders; by `hash`, `wallet`, `open=1`, newest last.

    At most the newest thousand that pass the filters.
    """
    register = venue.exchange.floor.register
    hashes = call.query.get("hash", [])
    if hashes:
        named = [register.get(one) for one in hashes]
        rows = [_order(venue, order) for order in named if order is not None]
        unknown = [one for one in hashes if register.get(one) is None]
        known = [one for one in unknown if register.knows(one)]
        return Reply({"orders": rows, "unknown": unknown, "indexed": known})
    wallet, only_open = call.one("wallet").lower(), call.one("open") == "1"
    chosen = [
        order
        for order in register.all_orders()
        if wallet in ("", order.wallet.lower()) and (order.status in OPEN or not only_open)
    ]
    rows = [_order(venue, order) for order in chosen[-ORDER_ROWS_MAX:]]
    return Reply({"orders": rows, "unknown": [], "indexed": []})


def _order(venue: Venue, order: Order) -> dict[str, Any]:
    tape = venue.exchange.floor.tape
    trades = [tape.by_id[one] for one in order.trade_ids if one in tape.by_id]
    return {
        "hash": order.order_id,
        "wallet": order.wallet,
        "market": order.condition_id,
        "token": order.token,
        "side": str(order.side),
        "price_e4": order.price_e4,
        "original_e6": order.original_e6,
        "matched_e6": order.matched_e6,
        "status": str(order.status),
        "order_type": order.order_type,
        "created_ms": order.created_ms,
        "trades": [
            {
                "id": trade.trade_id,
                "status": str(trade.status),
                "size_e6": trade.execution.size_e6,
                "price_e4": trade.execution.price_e4,
            }
            for trade in trades
        ],
    }


def truth(venue: Venue, call: Call) -> Reply:
    """GET /sim/truth: lines of the truth log after number `since`, oldest first."""
    numbers = [call.one("since") or "0", call.one("limit") or str(TRUTH_LINES_MAX)]
    if not all(one.isascii() and one.isdigit() and len(one) < 16 for one in numbers):
        return refused(INVALID_PARAMETER.format(name="since/limit"))
    since, limit = map(int, numbers)
    lines = venue.exchange.truth.since(since, min(limit, TRUTH_LINES_MAX))
    return Reply({"next": lines[-1]["seq"] if lines else since, "lines": lines})


def faults(venue: Venue, _call: Call) -> Reply:
    """GET /sim/faults: the rules in force, what each has seen and done."""
    return Reply({"rules": venue.exchange.faults.rows()})


def change_faults(venue: Venue, call: Call) -> Reply:
    """POST /sim/faults: `clear` rules by name (or "all"), then `add` others; answers the list.

    What is due by the clock at once has happened when this is answered.
    """
    asked = read_order(call.body)
    if isinstance(asked, str):
        return refused(asked)
    rules = venue.exchange.faults
    venue.exchange.truth.ms = call.now_ms
    rules.clear(None if asked.clear == "all" else asked.clear, call.now_ms)
    trouble = rules.add(asked.add, call.now_ms)
    if trouble:
        return refused(trouble)
    return Reply({"rules": rules.rows()}, events=rules.tick(call.now_ms))


def health(_venue: Venue, _call: Call) -> Reply:
    """GET /sim/health."""
    return Reply({"ok": True})


def ladders(venue: Venue, _call: Call) -> Reply:
    """GET /sim/ladders: the groups with ids, fair values and best quotes."""
    return Reply([_group(venue, ladder, fairs) for ladder, fairs in venue.source.ladders()])


def _group(venue: Venue, ladder: Ladder, fairs: list[float | None]) -> dict[str, Any]:
    pairs = zip(ladder.listings, fairs, strict=True)
    return {
        "group": ladder.name,
        "coin": ladder.coin.symbol,
        "expiry": iso(ladder.expiry_ms),
        "strikes": [format_fixed(strike_e4, 4) for strike_e4 in ladder.strikes_e4],
        "events": [event.slug for event in (ladder.above, ladder.price) if event.listings],
        "markets": [_market(venue, listing, fair_e4) for listing, fair_e4 in pairs],
    }


def _market(venue: Venue, listing: Listing, fair_e4: float | None) -> dict[str, Any]:
    market = venue.exchange.floor.markets[listing.facts.condition_id]
    best_bid, best_ask = market.best_texts(Outcome.YES)
    return {
        "kind": listing.kind,
        "lower": None if listing.lower_e4 is None else format_fixed(listing.lower_e4, 4),
        "upper": None if listing.upper_e4 is None else format_fixed(listing.upper_e4, 4),
        "slug": listing.slug,
        "condition_id": listing.facts.condition_id,
        "tokens": list(listing.facts.tokens),
        "neg_risk": listing.facts.neg_risk,
        "tick": PRICE_TEXT[market.tick_e4],
        "accepting": market.accepting,
        # The fair value is a model's float, shown for people; nothing settles on it.
        "fair": None if fair_e4 is None else round(fair_e4 / 10_000, 6),
        "best_bid": best_bid,
        "best_ask": best_ask,
    }


def _page(method: str, path: str, handler: Handler) -> Route:
    return Route(method, path, handler, Guard.OPEN, Errand.ADMIN)


ROUTES = (
    _page("GET", "/sim/state", state),
    _page("GET", "/sim/health", health),
    _page("GET", "/sim/ladders", ladders),
    _page("GET", "/sim/orders", orders),
    _page("GET", "/sim/truth", truth),
    _page("GET", "/sim/faults", faults),
    _page("POST", "/sim/faults", change_faults),
)
