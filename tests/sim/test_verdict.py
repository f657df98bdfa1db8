"""Each checker finds nothing in a true log, and every planted violation."""

import asyncio
import copy
import json
import subprocess
import sys

import pytest

from sim.chronicle import chronicle, missing_lines
from sim.exposure import Caps
from sim.order import Outcome
from sim.verdict import (
    Claim,
    c1_once,
    c2_known,
    c3_conserved,
    c4_capped,
    c5_halted,
    c6_settled,
    c8_fresh,
)
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


@pytest.fixture(scope="module")
def recorded():
    return asyncio.run(eventful())


@pytest.fixture
def lines(recorded):
    return copy.deepcopy(recorded[0])


@pytest.fixture
def wallets(recorded):
    return set(recorded[1])


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


def test_nothing_is_found_in_a_true_log(lines, wallets):
    story = chronicle(lines)
    known = {line["order_id"] for line in of(lines, "order", accepted=True)}
    assert len(story.accepted()) == 8
    assert len(of(lines, "trade_status", status="FAILED")) == 1
    assert missing_lines(lines) == []
    assert c1_once(story, {one: one for one in known}) == []
    assert c2_known(story, known, wallets) == []
    assert c3_conserved(story) == []
    assert c4_capped(story, Caps(60_000_000, 60_000_000)) == []
    assert c5_halted(story, [(lines[-1]["mono_ns"], None), (0, 1)]) == []
    assert c8_fresh(story, 500) == []
    assert c6_settled(chronicle(late(lines)), claims_of(lines)) == []


def test_a_hole_in_the_log_is_found(lines):
    del lines[20]
    (finding,) = missing_lines(lines)
    assert finding.seq == 22


# C1.


@pytest.mark.parametrize("same", ["order_id", "salt"])
def test_c1_finds_a_hash_or_a_salt_that_was_accepted_twice(lines, same):
    line = of(lines, "order", accepted=True)[2]
    other = {"order_id": "0x" + "9" * 64, "salt": "999"}
    del other[same]
    after(lines, line, line, **other)
    assert checks(c1_once(chronicle(lines))) == {"C1"}


def test_c1_finds_two_orders_of_one_intent(lines):
    first, second = [line["order_id"] for line in of(lines, "order", accepted=True)[:2]]
    story = chronicle(lines)
    assert len(c1_once(story, {first: "intent 7", second: "intent 7"})) == 1
    assert c1_once(story, {first: "intent 7", second: "intent 8"}) == []


def test_c1_remembers_what_a_restarted_exchange_has_forgotten(lines):
    line = of(lines, "order", accepted=True)[0]
    lines.append({"seq": 10**6, "kind": "start", "ms": 0, "mono_ns": 0})
    lines.append(line | {"seq": 10**6 + 1})
    assert len(chronicle(lines).runs) == 2
    assert checks(c1_once(chronicle(lines))) == {"C1"}


def test_c1_does_not_mind_the_same_hash_refused_again(lines):
    line = of(lines, "order", accepted=True)[0]
    after(lines, line, line, accepted=False, why="Duplicated")
    assert c1_once(chronicle(lines)) == []


# C2.


def test_c2_finds_an_order_that_no_journal_knows(lines, wallets):
    known = {line["order_id"] for line in of(lines, "order", accepted=True)}
    gone = of(lines, "order", accepted=True)[3]["order_id"]
    (finding,) = c2_known(chronicle(lines), known - {gone}, wallets)
    assert gone in finding.text
    assert c2_known(chronicle(lines), set(), {"0xsomebody"}) == []


# C3.


def balance(lines, number, cause="trade "):
    return [line for line in of(lines, "balance") if line["cause"].startswith(cause)][number]


def test_c3_finds_money_from_nowhere(lines):
    balance(lines, 0)["cash"][0][1] += 1
    assert checks(c3_conserved(chronicle(lines))) == {"C3"}


def test_c3_finds_shares_from_nowhere(lines):
    line = balance(lines, 0)
    line["tokens"][0][2] += 1
    found = c3_conserved(chronicle(lines))
    assert any("shares are off" in finding.text for finding in found)


@pytest.mark.parametrize("what", ["cash_after", "tokens_after"])
def test_c3_finds_a_balance_that_jumps(lines, what):
    line = balance(lines, 1)
    if what == "cash_after":
        wallet = next(iter(line[what]))
        line[what][wallet] += 5
    else:
        line[what][0][2] += 5
    assert any(finding.seq == line["seq"] for finding in c3_conserved(chronicle(lines)))


def test_c3_finds_a_fill_that_was_booked_twice(lines):
    line = balance(lines, 0)
    after(lines, line, line)
    found = c3_conserved(chronicle(lines))
    assert any("booked 2 times, not 1" in finding.text for finding in found)


def test_c3_finds_a_fill_that_was_never_booked(lines):
    lines.remove(balance(lines, 0))
    found = c3_conserved(chronicle(lines))
    assert any("booked 0 times, not 1" in finding.text for finding in found)


def test_c3_finds_a_failed_trade_that_was_not_given_back(lines):
    lines.remove(balance(lines, 0, "failed "))
    found = c3_conserved(chronicle(lines))
    assert any(finding.text.startswith("failed ") for finding in found)


def test_c3_finds_a_trade_given_back_that_did_not_fail(lines):
    status = of(lines, "trade_status", status="FAILED")[0]
    status["status"] = "CONFIRMED"
    found = c3_conserved(chronicle(lines))
    assert any("booked 1 times, not 0" in finding.text for finding in found)


@pytest.mark.parametrize(
    ("member", "by"), [("price_e4", 1), ("size_e6", 1_000_000), ("fee_rate_e6", 10_000)]
)
def test_c3_finds_a_fill_that_was_booked_at_other_terms(lines, member, by):
    trade = of(lines, "trade")[0]
    trade[member] += by
    if member == "size_e6":
        for part in trade["parties"]:
            part[member] += by
    found = c3_conserved(chronicle(lines))
    assert any("changed by" in finding.text for finding in found)


def test_c3_finds_a_fee_of_the_wrong_size_although_it_balances(lines):
    line = next(line for line in of(lines, "balance") if line["fee_usd_e6"] > 0)
    payer = line["cash"][0]
    payer[1] -= 10
    line["fee_usd_e6"] += 10
    for later in of(lines, "balance")[of(lines, "balance").index(line) :]:
        if payer[0] in later["cash_after"]:
            later["cash_after"][payer[0]] -= 10
    found = c3_conserved(chronicle(lines))
    assert any("changed by" in finding.text for finding in found)


def test_c3_finds_a_change_that_nobody_caused(lines):
    balance(lines, 0)["cause"] = "trade unheard-of"
    found = c3_conserved(chronicle(lines))
    assert any("has no trade" in finding.text for finding in found)


# C4.


def test_c4_finds_every_moment_above_a_cap(lines, wallets):
    story = chronicle(lines)
    assert checks(c4_capped(story, Caps(market_usd_e6=20_000_000))) == {"C4"}
    assert checks(c4_capped(story, Caps(wallet_usd_e6=20_000_000))) == {"C4"}
    most = [c4_capped(story, Caps(wallet_usd_e6=usd * 1_000_000)) for usd in range(10, 61)]
    counts = [len(findings) for findings in most]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1] == 0


def test_c4_counts_an_order_from_its_acceptance_and_gives_a_failed_one_back(lines):
    order = of(lines, "order", accepted=True)[0]
    order["size_e6"] *= 100
    assert any(
        finding.seq == order["seq"]
        for finding in c4_capped(chronicle(lines), Caps(market_usd_e6=100_000_000))
    )
    wallet = order["wallet"]
    spent = {
        "kind": "order",
        "accepted": True,
        "wallet": wallet,
        "market": "m",
        "side": "BUY",
        "price_e4": 5000,
        "size_e6": 10_000_000,
        "order_id": "a",
        "seq": 1,
        "mono_ns": 0,
    }
    part = {
        "order_id": "a",
        "wallet": wallet,
        "house": False,
        "token": "t",
        "side": "BUY",
        "size_e6": 10_000_000,
    }
    maker = part | {"order_id": "h", "house": True, "side": "SELL"}
    trade = {"kind": "trade", "trade_id": "t1", "price_e4": 5000, "size_e6": 10_000_000,
             "fee_usd_e6": 100_000, "parties": [part, maker], "seq": 2, "mono_ns": 0}  # fmt: skip
    failed = {"kind": "trade_status", "trade_id": "t1", "status": "FAILED", "seq": 3, "mono_ns": 0}
    again = spent | {"order_id": "b", "seq": 4}
    caps = Caps(market_usd_e6=5_100_000)
    assert c4_capped(chronicle([spent, trade, failed, again]), caps) == []
    (finding,) = c4_capped(chronicle([spent, trade, again]), caps)
    assert finding.seq == 4


def test_c4_leaves_out_what_was_placed_by_hand(lines):
    (hand,) = of(lines, "order", by_hand=True)
    hand["size_e6"] *= 10**6
    assert c4_capped(chronicle(lines), Caps(60_000_000, 60_000_000)) == []


# C5.


def test_c5_finds_whole_and_torn_posts_after_a_halt(lines):
    posts = of(lines, "request", place="POST /orders")
    halt_ns = posts[-2]["mono_ns"]
    assert len(c5_halted(chronicle(lines), [(halt_ns, None)])) == 1
    torn = {"kind": "request_torn", "place": "POST /order", "seq": 10**6, "ms": 0}
    lines.append(torn | {"mono_ns": lines[-1]["mono_ns"] + 1})
    assert len(c5_halted(chronicle(lines), [(halt_ns, None)])) == 2
    assert c5_halted(chronicle(lines), [(halt_ns, posts[-1]["mono_ns"])]) == []


# C6.


def test_c6_finds_orders_that_stay_open_and_logs_that_end_too_soon(lines):
    end = of(lines, "order_end")[0]
    lines.remove(end)
    assert {"is still open" in one.text for one in c6_settled(chronicle(late(lines)))} == {True}
    assert any("ends before" in one.text for one in c6_settled(chronicle(lines[:-1])))


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        (None, "says nothing"),
        (Claim(over=False, filled_e6=0), "believes that"),
        (Claim(over=True, filled_e6=1), "filled"),
    ],
)
def test_c6_finds_what_the_trader_has_wrong(lines, claim, text):
    claims = claims_of(lines)
    order_id = of(lines, "order_end")[0]["order_id"]
    claims[order_id] = claim
    if claim is None:
        del claims[order_id]
    (finding,) = c6_settled(chronicle(late(lines)), claims)
    assert text in finding.text


def test_c6_looks_at_the_wallets_that_are_meant(lines, wallets):
    claims = {}
    findings = c6_settled(chronicle(late(lines)), claims)
    mine = c6_settled(chronicle(lines), claims, {next(iter(wallets))})
    assert len(findings) > len(mine) > 0
    assert c6_settled(chronicle(lines), claims, {"0xnobody"}) == []


# C8.


def test_c8_finds_orders_of_one_who_hears_nothing(lines):
    (subscribed,) = of(lines, "socket", what="subscribe")
    lines.remove(subscribed)
    found = c8_fresh(chronicle(lines), 500)
    assert len(found) == 8
    assert {"nobody was subscribed" in one.text for one in found} == {True}


def test_c8_finds_orders_after_the_socket_has_closed(lines):
    (subscribed,) = of(lines, "socket", what="subscribe")
    after(lines, subscribed, subscribed, what="close")
    assert len(c8_fresh(chronicle(lines), 500)) == 8


def test_c8_finds_orders_on_quotes_that_were_withheld_too_long(lines):
    post = of(lines, "request", place="POST /orders")[3]
    frozen = {"kind": "frames", "seq": 0, "ms": 0, "sent": {}, "withheld": {CID: 1}}
    at = lines.index(post)
    lines.insert(at, frozen | {"mono_ns": post["mono_ns"] - SECOND_NS})
    found = c8_fresh(chronicle(lines), 500)
    assert found[0].seq == post["seq"]
    assert c8_fresh(chronicle(lines), 10_000) == []
    healed = frozen | {"sent": {CID: 1}, "withheld": {}, "mono_ns": post["mono_ns"] - 1}
    lines.insert(at + 1, healed)
    assert c8_fresh(chronicle(lines), 500) == []


def test_the_command_line_prints_findings_and_says_so_with_its_exit_code(lines, tmp_path):
    path = tmp_path / "truth.jsonl"

    def judged(*options):
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        command = [sys.executable, "-m", "sim.verdict", "--truth", str(path), *options]
        return subprocess.run(command, capture_output=True, text=True)

    clean = judged("--market-cap-usd", "60", "--quote-limit-ms", "500")
    assert (clean.returncode, clean.stdout.split(" in ")[0]) == (0, "0 findings")
    bad = judged("--wallet-cap-usd", "1", "--halt-mono-ns", "0")
    assert bad.returncode == 1
    assert "C4 line" in bad.stdout
    assert "C5 line" in bad.stdout
    assert judged("--wallet-cap-usd", "much").returncode == 1
