"""The fault script: what the exchange and the connection do wrong, a few of them at a time."""

import random
from collections.abc import Sequence
from typing import Any

Rule = dict[str, Any]


def rule(at: str, do: str, /, *, when: Rule | None = None, **then: Any) -> Rule:
    """A rule as the exchange takes it."""
    return {"at": at, "when": when or {}, "then": {"do": do, **then}}


def chance(share: float, **more: Any) -> Rule:
    """A condition."""
    return {"chance": share, **more}


POSTS = "POST /orders"
SOME = 0.25
EACH_SILENT = "each of some"
"""Stands for a market: the rule is made once for each of a third of them, drawn anew each time."""
SILENT_PART = 3
VENUE: dict[str, list[Rule]] = {
    "replies are lost": [rule(POSTS, "lose", when=chance(SOME))],
    "requests are lost": [rule(POSTS, "drop", when=chance(SOME))],
    "late replies": [rule("placing", "late", when=chance(SOME), ms=150)],
    "later than we wait": [rule("placing", "late", when=chance(SOME), ms=300)],
    "zombies": [rule("placing", "hold", when=chance(SOME), ms=250)],
    "reset after": [rule(POSTS, "reset", when=chance(SOME), moment="after")],
    "reset before": [rule(POSTS, "reset", when=chance(SOME), moment="before")],
    "half a reply": [rule(POSTS, "close", when=chance(SOME), bytes=120)],
    "500 after": [rule(POSTS, "answer", when=chance(SOME), kind="internal", moment="after")],
    "502 after": [rule(POSTS, "answer", when=chance(SOME), kind="bad_gateway", moment="after")],
    "503 after": [rule(POSTS, "answer", when=chance(SOME), kind="unavailable", moment="after")],
    "504 after": [rule(POSTS, "answer", when=chance(SOME), kind="gateway_timeout", moment="after")],
    "timed out after": [rule(POSTS, "answer", when=chance(SOME), kind="timed_out", moment="after")],
    "duplicated": [rule(POSTS, "answer", when=chance(SOME), kind="duplicated", moment="after")],
    "context canceled": [
        rule(POSTS, "answer", when=chance(SOME), kind="context_canceled", moment="after")
    ],
    "425": [rule(POSTS, "answer", when=chance(0.1), kind="restarting")],
    "429": [rule(POSTS, "answer", when=chance(0.1), kind="throttled")],
    "post-only": [rule(POSTS, "answer", when=chance(0.1), kind="post_only_mode")],
    "garbled": [
        rule(POSTS, "garble", when=chance(0.08), how=how)
        for how in ("truncated", "html", "empty", "string", "null", "error_dict", "length")
    ],
    "permuted": [rule(POSTS, "batch", when=chance(0.5), how="permuted")],
    "missing": [rule(POSTS, "batch", when=chance(SOME, leg=2), how="missing")],
    "doubled": [rule(POSTS, "batch", when=chance(SOME, leg=1), how="doubled")],
    "blank": [
        rule(POSTS, "batch", when=chance(SOME, leg=1), how="blank", text="unheard of before")
    ],
    "unmatched": [rule("placing", "word", when=chance(SOME, leg=3), status="unmatched")],
    "delayed": [rule("order", "delay", when=chance(SOME), ms=300)],
    "delayed, killed": [rule("order", "delay", when=chance(SOME), ms=200, ending="kill")],
    "legs killed": [rule("order", "kill", when=chance(SOME))],
    "legs refused": [
        rule("order", "refuse", when=chance(0.15), text="not enough balance / allowance")
    ],
    "thin": [rule("order", "thin", when=chance(SOME), shares=4)],
    "improved": [rule("order", "improve", when=chance(0.5), ticks=1)],
    "failed": [rule("trade", "fail", when=chance(0.1), ms=300, retrying=True)],
    "retrying": [
        rule("trade", "retry", when=chance(0.3), ms=100, again_ms=200, times=1, ending="CONFIRMED")
    ],
    "retried and failed": [
        rule("trade", "retry", when=chance(0.1), ms=100, again_ms=200, times=1, ending="FAILED")
    ],
    "silent user channel": [rule("user", "lose")],
    "late fills": [rule("user", "late", when=chance(0.5), ms=250)],
    "fills again": [rule("user", "repeat", when=chance(0.5), times=2)],
    "fills out of order": [rule("user", "swap", when=chance(0.5), behind=2, ms=300)],
    "user channel ends": [rule("user", "close", when=chance(0.1), code=1012)],
    "reads fail": [rule("account", "answer", when=chance(0.2), kind="bad_gateway")],
    "reads are refused, once each": [
        rule(place, "answer", when={"nth": [3, 30]}, kind=kind)
        for place, kind in (
            ("GET /balance-allowance", "unauthorized"),
            ("GET /data/trades", "cloudflare_banned"),
        )
    ],
    "reads are late": [rule("account", "late", when=chance(0.2), ms=100)],
    "declined cancels": [
        rule("cancelling", "decline", when=chance(0.5), reason="order is being processed")
    ],
    "refused hashes": [rule("clock", "index_refused")],
    "no quotes": [rule("market", "lose")],
    "quotes of some markets stop": [rule("market", "lose", when={"market": EACH_SILENT})],
    "quotes are lost": [rule("market", "lose", when=chance(0.05))],
}
CONNECTION: dict[str, list[Rule]] = {
    "resets": [
        {"way": "down", "when": {"chance": 0.1}, "then": {"do": "reset", "after_bytes": 400}}
    ],
    "replies vanish": [
        {"way": "down", "request": POSTS, "when": {"chance": 0.2}, "then": {"do": "drop"}}
    ],
    "requests come late": [
        {"way": "up", "request": POSTS, "when": {"chance": 0.2}, "then": {"do": "late", "ms": 200}}
    ],
    "slices": [
        {"way": "down", "when": {"every": 2}, "then": {"do": "slice", "bytes": 40, "gap_ms": 1}}
    ],
    "latency": [{"when": {"every": 2}, "then": {"do": "latency", "ms": 20, "jitter_ms": 10}}],
}
"""Names say what it is; several rules of one name belong together."""


def script(
    chosen: random.Random, markets: Sequence[str], always: Sequence[str] = ()
) -> tuple[list[str], list[Rule], list[Rule]]:
    """(names, rules of the exchange, rules of the connection); `markets`: their condition ids."""
    names = sorted({*always, *chosen.sample(sorted(VENUE), chosen.randint(0, 4))})
    spoiled = chosen.sample(sorted(CONNECTION), chosen.choice((0, 0, 1)))
    silent = chosen.sample(markets, len(markets) // SILENT_PART)
    rules = [made for name in names for one in VENUE[name] for made in _made(one, silent)]
    return names + spoiled, rules, [one for name in spoiled for one in CONNECTION[name]]


def _made(one: Rule, silent: Sequence[str]) -> list[Rule]:
    if one["when"].get("market") != EACH_SILENT:
        return [one]
    return [one | {"when": one["when"] | {"market": market}} for market in silent]
