"""The verdict over a campaign: what the exchange and its door have seen, against the journal.

Every checker looks at lines that the executor has no hand in; what it believes comes in as hashes
(which orders it knows, what they were meant for, whether they are over).
"""

from sim.chronicle import Finding, chronicle, missing_lines
from sim.verdict import (
    c1_once,
    c2_known,
    c3_conserved,
    c4_capped,
    c5_halted,
    c5_unwanted,
    c6_peaceful,
    c6_settled,
    c8_fresh,
)
from tests.crash.canaries import c7_hidden, canaries_of
from tests.crash.place import CAPS, QUOTE_AGE_MS, Place
from tests.crash.report import Report

ON_ITS_WAY_MS = 1_000
"""From the decision to the exchange, which notes when it came, on a busy machine."""
Times = list[tuple[int, int]]


def judge(place: Place, report: Report, halts: Times, peaces: Times) -> None:
    """Put what is wrong, and the numbers, into the report."""
    books = place.books()
    lines, door = place.told()
    story, arrivals = chronicle(lines), chronicle(door)
    wallets = {line["wallet"] for line in story.accepted()}
    findings: list[Finding] = missing_lines(lines) + missing_lines(door)
    findings += c1_once(story, books.intents)
    findings += c2_known(story, books.intents.keys(), wallets)
    findings += c3_conserved(story)
    findings += c4_capped(story, CAPS, books.repairs)
    findings += c5_halted(arrivals, halts)
    findings += c5_unwanted(story, books.written_halted)
    findings += c6_peaceful(story, peaces)
    late = [one for one in c6_settled(story, books.claims) if "the log ends" not in one.text]
    findings += late
    secrets, report.hidden = c7_hidden(place.secret_places(), canaries_of(*place.secret_files))
    findings += secrets
    findings += c8_fresh(story, QUOTE_AGE_MS + ON_ITS_WAY_MS)
    report.findings += [f"{one.check} line {one.seq}: {one.text}" for one in findings]
    counters, sweeps = place.counters()
    report.orders = len(story.accepted())
    report.trades = len(story.of("trade"))
    report.failed = sum(1 for one in story.of("trade_status") if one["status"] == "FAILED")
    report.doubts, report.repairs = counters.orders_doubt, counters.repairs_sent
    report.capped = (
        counters.refused_exposure + counters.refused_exposure_market + counters.refused_notional
    )
    report.stopped = sweeps.cancels_done
    report.lines = len(lines)
    report.segments = len(list((place.var / "journal").glob("*.journal")))
