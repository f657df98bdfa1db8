"""The pages under /sim/: the exchange's own truth, for people and for tests."""

from typing import Any

from shm.units import format_fixed
from sim.book import PRICE_TEXT
from sim.gamma import iso
from sim.ladders import Ladder, Listing
from sim.order import Outcome
from sim.replies import Reply
from sim.venue import Call, Route, Venue


def state(venue: Venue, call: Call) -> Reply:
    """GET /sim/state: counters, mispricings and every user wallet."""
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
            "mispricings": {
                "offered": counts.offered,
                "taken": counts.taken,
                "expired": counts.expired,
                "open": counts.open(),
            },
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


ROUTES = (
    Route("GET", "/sim/state", state),
    Route("GET", "/sim/health", health),
    Route("GET", "/sim/ladders", ladders),
)
