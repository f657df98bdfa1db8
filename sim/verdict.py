"""Did the trader lose anything or do anything twice? Checkers over the truth log alone. Pure.

    C1  at most one accepted order for each hash, salt, and intent
    C2  every accepted order is one that the trader knows of
    C3  cash and shares are conserved, and fills explain every change (`conservation`)
    C4  exposure is never above a cap (`exposure`)
    C5  no byte of an order arrives while trading is halted
    C6  when faults have stopped, every order comes to an end, and the trader knows which
    C8  no order is sent on quotes that are silent, withheld or nobody's (`quotes`)

What the trader believes comes in as arguments; a checker without it checks less. An empty list
means that nothing was found. `python -m sim.verdict --truth FILE` runs what needs no belief.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

import click

from shm.errors import PolytrioError
from shm.units import UnitError, parse_fixed
from sim.chronicle import Chronicle, Finding, Line, Run, chronicle, missing_lines
from sim.conservation import conserved
from sim.exposure import Caps, within_caps
from sim.quotes import on_live_quotes
from sim.truth import read_truth

SETTLE_NS = 30_000_000_000


@dataclass(frozen=True, slots=True)
class Claim:
    """What the trader says of one order: whether it is over, and how much it filled."""

    over: bool
    filled_e6: int


def c1_once(story: Chronicle, intents: Mapping[str, str] | None = None) -> list[Finding]:
    """No hash, no salt of a wallet and no intent (by hash) is accepted twice."""
    seen: dict[tuple[str, ...], Line] = {}
    findings: list[Finding] = []
    for line in story.accepted():
        keys: list[tuple[str, ...]] = [("hash", line["order_id"])]
        keys.append(("salt", line["wallet"], line["salt"]))
        if intents is not None and line["order_id"] in intents:
            keys.append(("intent", intents[line["order_id"]]))
        for key in keys:
            if key in seen:
                text = f"{' '.join(key)} was accepted before, in line {seen[key]['seq']}"
                findings.append(Finding("C1", line["seq"], text))
            else:
                seen[key] = line
    return findings


def c2_known(story: Chronicle, known: AbstractSet[str], wallets: AbstractSet[str]) -> list[Finding]:
    """Every order that was accepted from these wallets is one of `known`."""
    return [
        Finding("C2", line["seq"], f"order {line['order_id']} is in no journal")
        for line in story.accepted()
        if line["wallet"] in wallets and line["order_id"] not in known
    ]


def c3_conserved(story: Chronicle) -> list[Finding]:
    """Cash, shares, collateral and fees add up, line by line, and fills explain them."""
    return [finding for run in story.runs for finding in conserved(run)]


def c4_capped(story: Chronicle, caps: Caps, apart: AbstractSet[str] = frozenset()) -> list[Finding]:
    """Exposure is at no moment above a cap; orders `apart` (hashes) do not count."""
    return [finding for run in story.runs for finding in within_caps(run, caps, apart)]


def c5_halted(story: Chronicle, halts: Sequence[tuple[int, int | None]]) -> list[Finding]:
    """Nothing of an order arrives within (from, to) of a halt, in monotonic nanoseconds.

    A halt without an end lasts. Whole requests and torn ones count, refused ones as well.
    """
    return [
        Finding("C5", line["seq"], f"a POST arrived {(line['mono_ns'] - since) / 1e6:.1f} ms late")
        for line in story.posts()
        for since, until in halts
        if line["mono_ns"] > since and (until is None or line["mono_ns"] < until)
    ]


def c5_unwanted(story: Chronicle, written_halted: AbstractSet[str]) -> list[Finding]:
    """No order arrives that was written down between a halt and the next arming (hashes)."""
    return [
        Finding("C5", line["seq"], f"order {order['order_id']} was made while trading was halted")
        for line in story.posts()
        for order in line.get("orders", [])
        if order["order_id"] in written_halted
    ]


def c6_peaceful(
    story: Chronicle, peaces: Sequence[tuple[int, int]], settle_ns: int = SETTLE_NS
) -> list[Finding]:
    """At the end of each peace (from, to; monotonic ns) nothing is open, and it took no longer.

    A peace begins when the last fault is taken back, and ends when the trader says that it is done.
    """
    findings: list[Finding] = []
    for since, until in peaces:
        if until - since > settle_ns:
            text = f"it took {(until - since) / 1e9:.1f} s until everything had come to its end"
            findings.append(Finding("C6", 0, text))
        for run in story.runs:
            for order in run.orders().values():
                accepted, end = order.accepted, order.end
                open_then = end is None or end["mono_ns"] > until
                if accepted["mono_ns"] <= since and open_then and not order.by_hand:
                    text = f"order {order.order_id} was open when everything was said to be over"
                    findings.append(Finding("C6", accepted["seq"], text))
    return findings


def c6_settled(
    story: Chronicle,
    claims: Mapping[str, Claim] | None = None,
    wallets: AbstractSet[str] = frozenset(),
    settle_ns: int = SETTLE_NS,
) -> list[Finding]:
    """`settle_ns` after the last fault no order of these wallets is open, and all claims are true.

    No wallets means all of them.
    """
    findings: list[Finding] = []
    for run in story.runs[-1:]:
        deadline_ns = _last_fault_ns(run) + settle_ns
        last = run.lines[-1] if run.lines else None
        if last is not None and last["mono_ns"] < deadline_ns:
            findings.append(Finding("C6", last["seq"], "the log ends before the time to settle"))
        for order in run.orders().values():
            if order.by_hand or (wallets and order.wallet not in wallets):
                continue
            end, seq = order.end, order.accepted["seq"]
            if end is None or end["mono_ns"] > deadline_ns:
                findings.append(Finding("C6", seq, f"order {order.order_id} is still open"))
            elif claims is not None:
                findings += _false_claim(order.order_id, end, claims.get(order.order_id))
    return findings


def _last_fault_ns(run: Run) -> int:
    marks = run.of("fault", "rule_cleared") or run.lines[:1]
    return int(marks[-1]["mono_ns"]) if marks else 0


def _false_claim(order_id: str, end: Line, claim: Claim | None) -> list[Finding]:
    if claim is None:
        return [Finding("C6", end["seq"], f"the trader says nothing of order {order_id}")]
    if not claim.over:
        return [Finding("C6", end["seq"], f"the trader believes that order {order_id} is open")]
    if claim.filled_e6 != end["matched_e6"]:
        text = f"order {order_id} filled {end['matched_e6']}, not {claim.filled_e6}"
        return [Finding("C6", end["seq"], text)]
    return []


def c8_fresh(
    story: Chronicle, limit_ms: int, wallets: AbstractSet[str] = frozenset()
) -> list[Finding]:
    """No order was sent on quotes that had been withheld for longer than `limit_ms`, or blindly."""
    return [finding for run in story.runs for finding in on_live_quotes(run, limit_ms, wallets)]


@click.command(context_settings={"max_content_width": 100})
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="The truth log.")
@click.option("--market-cap-usd", help="C4: most exposure in one market.")
@click.option("--wallet-cap-usd", help="C4: most exposure of one wallet.")
@click.option("--quote-limit-ms", type=int, help="C8: oldest quote to act on.")
@click.option("--halt-mono-ns", type=int, multiple=True, help="C5: trading was halted from here.")
def main(
    *,
    truth: Path,
    market_cap_usd: str | None,
    wallet_cap_usd: str | None,
    quote_limit_ms: int | None,
    halt_mono_ns: tuple[int, ...],
) -> None:
    """Look for violations in a truth log; exit code 1 when there are any."""
    try:
        lines = read_truth(truth)
        caps = Caps(_usd_e6(market_cap_usd), _usd_e6(wallet_cap_usd))
    except (OSError, PolytrioError, UnitError) as error:
        raise click.ClickException(str(error)) from error
    story = chronicle(lines)
    findings = missing_lines(lines) + c1_once(story) + c3_conserved(story) + c4_capped(story, caps)
    findings += c5_halted(story, [(since, None) for since in halt_mono_ns])
    if quote_limit_ms is not None:
        findings += c8_fresh(story, quote_limit_ms)
    for finding in findings:
        click.echo(f"{finding.check} line {finding.seq}: {finding.text}")
    counts: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        counts[line["kind"]] += 1
    shown = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
    click.echo(f"{len(findings)} findings in {len(lines)} lines ({shown})")
    sys.exit(1 if findings else 0)


def _usd_e6(text: str | None) -> int | None:
    return None if text is None else parse_fixed(text, 6)


if __name__ == "__main__":
    main()
