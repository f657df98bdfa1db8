"""What the rules make of one frame on its way to one socket. Pure: text in, ready frames out.

Edited frames keep the channel's way of writing JSON: ", " between members of the market channel.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from shm.units import PRICE_ONE_E4, format_size, parse_size_e6
from sim import encode
from sim.book import PRICE_TEXT
from sim.delivery import text_frame
from sim.effects import (
    Close,
    Cross,
    Edit,
    Foreign,
    Garbage,
    Late,
    Lose,
    Number,
    Repeat,
    Reset,
    Restamp,
    Slow,
    Strangers,
    Swap,
)
from sim.faults import Strike, Subject
from sim.market import Market
from sim.order import OTHER_SIDE, Outcome, Side
from sim.rubbish import rubbish

_MARK = "@number@"
_CROSS_SIZE = "10"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else of the exchange an effect may need: the frame's market, and all of them."""

    market: Market | None
    markets: Sequence[Market]


@dataclass(slots=True)
class Tampered:
    """What is to be written, in this order, and what happens to the socket afterwards.

    `frames` are (milliseconds to wait, ready frame).
    """

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    behind: Swap | None = None
    slow: Slow | None = None
    end: Close | Reset | None = None
    lost: bool = False


def subject_of_frame(text: str, socket: int) -> Subject:
    """What a rule can ask about a frame."""
    frame = json.loads(text)
    changes = frame.get("price_changes", [])
    tokens = tuple(str(change["asset_id"]) for change in changes)
    token = str(frame.get("asset_id", tokens[0] if tokens else ""))
    return Subject(
        wallet=str(frame.get("maker_address", "")),
        market=str(frame.get("market", "")),
        token=token,
        side=str(frame.get("side", "")),
        order_id=str(frame.get("id", "")),
        event=str(frame.get("event_type", "")),
        status=str(frame.get("status", "")),
        socket=socket,
        other_tokens=tokens,
    )


def tamper(text: str, strikes: Sequence[Strike], around: Surroundings) -> Tampered:
    """All effects on one frame, in the order of the rules."""
    done = Tampered()
    wait_ms, copies, instead = 0, 1, False
    before: list[bytes] = []
    after: list[tuple[int, bytes]] = []
    for strike in strikes:
        effect = strike.effect
        text = _rewritten(text, strike, around)
        if isinstance(effect, Lose):
            done.lost = True
        elif isinstance(effect, Late):
            wait_ms += effect.ms
        elif isinstance(effect, Repeat):
            copies += effect.times
        elif isinstance(effect, Swap):
            done.behind = effect
        elif isinstance(effect, Garbage):
            before.append(rubbish(effect.kind, text))
            instead = instead or effect.instead
        elif isinstance(effect, Cross) and around.market is not None:
            after += _crossing(around.market, effect)
        elif isinstance(effect, Slow):
            done.slow = effect
        elif isinstance(effect, Close | Reset):
            done.end = effect
    done.frames = [(0, frame) for frame in before]
    if not done.lost and not instead:
        done.frames += [(wait_ms, text_frame(text))] * copies
    done.frames += after
    done.lost = done.lost or instead
    return done


def _rewritten(text: str, strike: Strike, around: Surroundings) -> str:
    """The text after an effect that changes it; others leave it as it is."""
    effect = strike.effect
    if not isinstance(effect, Edit | Restamp | Foreign | Number | Strangers):
        return text
    frame: dict[str, Any] = json.loads(text)
    if isinstance(effect, Edit):
        frame.update(effect.set)
        for name in effect.remove:
            frame.pop(name, None)
    elif isinstance(effect, Restamp):
        frame["timestamp"] = str(int(frame["timestamp"]) + effect.ms)
    elif isinstance(effect, Foreign):
        _make_foreign(frame, effect, around, strike.rng)
    elif isinstance(effect, Number):
        _put_number(frame, effect)
    else:
        _add_strangers(frame, effect.count)
    spaced = '", "' in text
    written = json.dumps(frame, separators=((", " if spaced else ","), ":"))
    if isinstance(effect, Number):
        bare = effect.text if effect.bare else json.dumps(effect.text)
        written = written.replace(f'"{_MARK}"', bare)
    return written


def _make_foreign(
    frame: dict[str, Any], effect: Foreign, around: Surroundings, rng: Random
) -> None:
    others = [one.facts for one in around.markets if one is not around.market]
    chosen = rng.choice(others) if others else None
    if effect.what == "market":
        invented = "0x" + hashlib.sha256(str(frame.get("market")).encode()).hexdigest()
        frame["market"] = chosen.condition_id if chosen is not None else invented
        return
    token = chosen.tokens[Outcome.YES] if chosen is not None else "1"
    for one in [frame, *frame.get("price_changes", [])]:
        if "asset_id" in one:
            one["asset_id"] = token


def _put_number(frame: dict[str, Any], effect: Number) -> None:
    rows = [*frame.get("price_changes", []), *frame.get("bids", []), *frame.get("asks", [])]
    for one in [frame, *rows]:
        if effect.field in one:
            one[effect.field] = _MARK


def _add_strangers(frame: dict[str, Any], count: int) -> None:
    makers = frame.get("maker_orders")
    if not makers:
        return
    for number in range(count):
        digest = hashlib.sha256(f"stranger {number} {frame['id']}".encode()).hexdigest()
        stranger = makers[0] | {
            "order_id": f"0x{digest}",
            "owner": str(uuid.UUID(hex=digest[:32], version=4)),
            "maker_address": f"0x{digest[:40]}",
            "matched_amount": "5",
        }
        makers.insert(number % 2, stranger)
    frame["size"] = format_size(parse_size_e6(frame["size"]) + count * 5_000_000)


def _crossing(market: Market, effect: Cross) -> list[tuple[int, bytes]]:
    """A bid in both tokens' terms that reaches the best ask, and its end."""
    ask_e4 = market.book.best_e4(Side.SELL)
    price_e4 = (ask_e4 or 0) + (0 if effect.locked else market.tick_e4)
    if ask_e4 is None or price_e4 >= PRICE_ONE_E4:
        return []
    return [
        (wait_ms, text_frame(_level_text(market, price_e4, ask_e4, size)))
        for wait_ms, size in ((0, _CROSS_SIZE), (effect.ms, "0"))
    ]


def _level_text(market: Market, price_e4: int, ask_e4: int, size: str) -> str:
    entries = []
    for outcome in Outcome:
        yes = outcome is Outcome.YES
        bid, ask = (price_e4, ask_e4) if yes else (PRICE_ONE_E4 - ask_e4, PRICE_ONE_E4 - price_e4)
        entries.append(
            encode.Entry(
                asset_id=market.facts.tokens[outcome],
                price=PRICE_TEXT[price_e4 if yes else PRICE_ONE_E4 - price_e4],
                size=size,
                side=Side.BUY if yes else OTHER_SIDE[Side.BUY],
                book_hash=market.hashes[outcome],
                best_bid=PRICE_TEXT[bid],
                best_ask=PRICE_TEXT[ask],
            )
        )
    return encode.price_change(
        market.facts.condition_id, entries[0], entries[1], str(market.stamp_ms)
    )
