"""The same faults against pmquant 0.7.1 and against us: who loses an order, who makes one twice.

    python -m venv .bench/pmquant && .bench/pmquant/bin/pip install pmquant==0.7.1
    python -m tests.crash.against .bench/pmquant/bin/python

Each row: a fresh exchange with one fault, one purchase of ten dollars by each. Whoever is uncertain
does what its documentation says. *Lost*: the exchange has filled an order, and the buyer believes
in the end that less was bought. *Twice*: more than one order was accepted for the one that was
wanted. Counted from the exchange's own log.
"""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from sim.market import Facts
from tests.crash.faults import rule
from tests.crash.hand import SIZE_E6, hand, sim_venue, tokens
from tests.sim.live import serving

PRICE, USD = "0.5", "5"
RIVAL = Path(__file__).with_name("rival.py")
KEY = "0x" + "17" * 32
ONCE = {"once": True}
CASES: dict[str, dict[str, Any]] = {
    "nothing goes wrong": rule("clock", "index_refused"),
    "502 after it was accepted": rule(
        "placing", "answer", when=ONCE, kind="bad_gateway", moment="after"
    ),
    "500 after it was accepted": rule(
        "placing", "answer", when=ONCE, kind="internal", moment="after"
    ),
    "504 after it was accepted": rule(
        "placing", "answer", when=ONCE, kind="gateway_timeout", moment="after"
    ),
    "connection reset after it was accepted": rule("placing", "reset", when=ONCE, moment="after"),
    "reply cut off": rule("placing", "close", when=ONCE, bytes=60),
    "reply never comes": rule("placing", "lose", when=ONCE),
    "request never arrives": rule("placing", "drop", when=ONCE),
    "request arrives after eight seconds": rule("placing", "hold", when=ONCE, ms=8_000),
    "400 Duplicated": rule("placing", "answer", when=ONCE, kind="duplicated", moment="after"),
    "400 context canceled after it was accepted": rule(
        "placing", "answer", when=ONCE, kind="context_canceled", moment="after"
    ),
    "200 that says nothing": rule("placing", "garble", when=ONCE, how="empty"),
    "200 in HTML": rule("placing", "garble", when=ONCE, how="html"),
    "delayed, fills three seconds later": rule("order", "delay", ms=3_000),
}
AFTERWARDS_S = 12.0
"""The exchange is watched until everything that was held back must have arrived."""


class Outcome(NamedTuple):
    """What became of one purchase."""

    believed: float
    bought: float
    accepted: int
    text: str

    @property
    def lost(self) -> int:
        """Whether something was bought that the buyer does not know of."""
        return int(self.believed < self.bought)

    @property
    def twice(self) -> int:
        """Orders beyond the one that was wanted."""
        return max(0, self.accepted - 1)


async def theirs(python: str, case: dict[str, Any]) -> Outcome:
    """pmquant's outcome."""
    async with serving(sim_venue(), running=True) as client:
        exchange = client.door.venue.exchange
        condition = "0x" + "01" * 32
        words = [client.url, KEY, condition, tokens(0)[0], PRICE, USD]
        process = await asyncio.create_subprocess_exec(
            python, str(RIVAL), *words,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        body = json.dumps({"clear": "all", "add": [case]}).encode()
        assert (await client.call("POST", "/sim/faults", body))[0] == 200
        process.stdin.write(b"buy\n")
        said = json.loads(await asyncio.wait_for(process.stdout.readline(), 90) or b"{}")
        process.stdin.close()
        await process.wait()
        await asyncio.sleep(AFTERWARDS_S)
        lines = exchange.truth.since(0, 100_000)
        orders = [one for one in lines if one["kind"] == "order" and one["accepted"]]
        held = [account.positions for account in exchange.floor.ledger.accounts.values()]
        bought = sum(one.get(tokens(0)[0], 0) for one in held) / 1e6
        return Outcome(said.get("matched", -2.0), bought, len(orders), str(said.get("text"))[:90])


async def ours(case: dict[str, Any]) -> Outcome:
    """Ours, with the same order at the same exchange; a settle window of 10 s instead of 120."""
    with tempfile.TemporaryDirectory() as folder:
        async with hand(
            Path(folder), case, doubt_settle_ms=10_000, reply_timeout_ms=3_000, fill_wait_ms=500
        ) as one:
            flight = await one.send(one.wish(0))
            await one.settled()
            await asyncio.sleep(AFTERWARDS_S / 4)
            await one.settled()
            believed = one.chronicle.state.ledger.of_order(flight.legs[0].order_hash).size_e6
            positions = one.exchange.floor.ledger.accounts[one.wallet].positions
            bought = positions.get(tokens(0)[0], 0)
            assert bought in {0, SIZE_E6}
            return Outcome(believed / 1e6, bought / 1e6, len(one.accepted()), "")


async def compare(python: str) -> None:
    """Print the table."""
    rows = []
    for name, case in CASES.items():
        they, we = await theirs(python, case), await ours(case)
        rows.append((name, they, we))
        sys.stdout.write(
            f"| {name} | {they.bought:g} | {they.believed:g} | {they.lost} | {they.twice} "
            f"| {we.bought:g} | {we.believed:g} | {we.lost} | {we.twice} |\n"
        )
        sys.stderr.write(f"   {they.text}\n")
        sys.stdout.flush()
    sums = [
        sum(getattr(row[who], what) for row in rows) for who in (1, 2) for what in ("lost", "twice")
    ]
    sys.stdout.write(f"lost and twice: pmquant {sums[:2]}, polytrio {sums[2:]}\n")


if __name__ == "__main__":
    assert Facts
    asyncio.run(compare(sys.argv[1]))
