"""A log in which nearly everything happens, for the tests of the checkers."""

import copy
import json

from sim.order import Outcome
from sim.verdict import Claim
from tests.sim.staged import batch, staged
from tests.sim.worlds import CID

SECOND_NS = 1_000_000_000


async def eventful():
    """The lines of a log in which nearly everything happens, and the traders' wallets."""
    rules = [
        {"at": "trade", "when": {"nth": 2}, "then": {"do": "fail", "ms": 1_000}},
        {"at": "trade", "when": {"nth": 3}, "then": {"do": "retry", "ms": 100, "again_ms": 100}},
        {"at": "order", "when": {"nth": 6}, "then": {"do": "delay", "ms": 2_000}},
        {"at": "POST /orders", "when": {"nth": 4}, "then": {"do": "lose"}},
    ]
    async with staged(*rules) as stage, stage.watching():
        one, two = await stage.client.trader(1), await stage.client.trader(2)
        market = {"do": "deposit", "shares": "40", "market": CID, "wallet": two.wallet}
        await stage.script({"at": "clock", "then": market})
        for shares in (10, 20, 30):
            await stage.post(one, stage.buy(one, shares=shares))
        lost = batch(stage.buy(one, price=3000, kind="GTC"))
        await stage.lost(one, "POST", "/orders", lost)
        selling = two.body(stage.market, Outcome.YES, "SELL", 4500, 25)
        making = two.body(stage.market, Outcome.NO, "BUY", 5520, 7)
        await stage.post(two, selling, making)
        await stage.post(one, stage.buy(one, price=4600, shares=31, kind="GTC"))
        await stage.post(one, one.body(stage.market, Outcome.NO, "BUY", 6100, 10, kind="FOK"))
        await stage.later(3_000)
        withdraw = {"do": "withdraw", "usd": "5.25", "wallet": one.wallet}
        await stage.script({"at": "clock", "then": withdraw})
        await stage.client.signed(one, "DELETE", "/cancel-all")
        await stage.client.signed(two, "DELETE", "/cancel-all")
        hand = {"do": "manual_order", "token": stage.market.facts.tokens[0], "wallet": one.wallet}
        await stage.script({"at": "clock", "then": hand | {"shares": "9"}})
        resolve = {"do": "resolve", "market": CID, "winner": "SPLIT"}
        await stage.script({"at": "clock", "then": resolve})
        await stage.later(1_000)
        lines = json.loads(json.dumps(stage.exchange.truth.since(0, 10**6)))
        return lines, (one.wallet, two.wallet)


def of(lines, kind, **wanted):
    return [
        line
        for line in lines
        if line["kind"] == kind and all(line.get(k) == v for k, v in wanted.items())
    ]


def after(lines, line, more, **changes):
    """Put a copy of a line, changed, behind another one."""
    lines.insert(lines.index(line) + 1, copy.deepcopy(more) | changes)


def checks(findings):
    return {finding.check for finding in findings}


def claims_of(lines):
    return {
        line["order_id"]: Claim(over=True, filled_e6=line["matched_e6"])
        for line in of(lines, "order_end")
    }


def late(lines):
    """The log goes on for a minute in which nothing happens."""
    last = lines[-1]
    quiet = {"seq": last["seq"] + 1, "kind": "rule", "ms": last["ms"] + 60_000}
    lines.append(quiet | {"mono_ns": last["mono_ns"] + 60 * SECOND_NS})
    return lines
