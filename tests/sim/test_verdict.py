"""Each checker finds nothing in a true log, and every planted violation."""

import itertools
import json
import subprocess
import sys

import pytest

from sim.chronicle import chronicle, missing_lines
from sim.exposure import Caps
from sim.quotes import ON_ITS_WAY_NS
from sim.verdict import (
    Claim,
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
from tests.sim.eventful import SECOND_NS, after, checks, claims_of, late, of
from tests.sim.worlds import CID


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


def exposed(price_e4=5_000, shares=10, order_id="a", status=""):
    """An order, its trade of everything, and what the chain says of it."""
    order = {
        "kind": "order", "accepted": True, "wallet": "w", "market": "m", "side": "BUY",
        "price_e4": price_e4, "size_e6": shares * 1_000_000, "order_id": order_id, "mono_ns": 0,
    }  # fmt: skip
    part = {
        "order_id": order_id, "wallet": "w", "house": False, "token": "t", "side": "BUY",
        "size_e6": shares * 1_000_000,
    }  # fmt: skip
    maker = part | {"order_id": "h", "house": True, "side": "SELL"}
    trade = {
        "kind": "trade", "trade_id": f"t{order_id}", "price_e4": price_e4, "mono_ns": 0,
        "size_e6": shares * 1_000_000, "fee_usd_e6": 0, "parties": [part, maker],
    }  # fmt: skip
    end = {"kind": "order_end", "order_id": order_id, "mono_ns": 0}
    told = {"kind": "trade_status", "trade_id": f"t{order_id}", "status": status, "mono_ns": 0}
    return [order, trade, end, *([told] if status else [])]


def numbered(*stories):
    return [one | {"seq": seq} for seq, one in enumerate(itertools.chain(*stories), 1)]


@pytest.mark.parametrize("status", ["", "MATCHED", "MINED", "RETRYING"])
def test_c4_counts_as_unsettled_what_the_chain_has_not_decided(status):
    lines = numbered(exposed(status=status), exposed(order_id="b"))
    for caps in (Caps(unsettled_market_usd_e6=9_999_999), Caps(unsettled_wallet_usd_e6=9_999_999)):
        assert checks(c4_capped(chronicle(lines), caps)) == {"C4"}
    enough = Caps(unsettled_market_usd_e6=10_000_000, unsettled_wallet_usd_e6=10_000_000)
    assert c4_capped(chronicle(lines), enough) == []


@pytest.mark.parametrize("status", ["CONFIRMED", "FAILED"])
def test_c4_counts_nothing_as_unsettled_that_the_chain_has_decided(status):
    lines = numbered(exposed(status=status), exposed(order_id="b"))
    assert c4_capped(chronicle(lines), Caps(unsettled_market_usd_e6=5_000_000)) == []
    assert c4_capped(chronicle(lines), Caps(unsettled_market_usd_e6=4_999_999))


def test_c4_finds_an_order_that_is_too_large_and_leaves_repairs_out():
    lines = numbered(exposed())
    (finding,) = c4_capped(chronicle(lines), Caps(order_usd_e6=4_999_999))
    assert finding.seq == 1
    assert c4_capped(chronicle(lines), Caps(order_usd_e6=5_000_000)) == []
    caps = Caps(order_usd_e6=1, unsettled_market_usd_e6=1, wallet_usd_e6=1)
    assert c4_capped(chronicle(lines), caps, frozenset({"a"})) == []


# C5.


def test_c5_finds_whole_and_torn_posts_after_a_halt(lines):
    posts = of(lines, "request", place="POST /orders")
    halt_ns = posts[-2]["mono_ns"]
    assert len(c5_halted(chronicle(lines), [(halt_ns, None)])) == 1
    torn = {"kind": "request_torn", "place": "POST /order", "seq": 10**6, "ms": 0}
    lines.append(torn | {"mono_ns": lines[-1]["mono_ns"] + 1})
    assert len(c5_halted(chronicle(lines), [(halt_ns, None)])) == 2
    assert c5_halted(chronicle(lines), [(halt_ns, posts[-1]["mono_ns"])]) == []


def test_c5_finds_an_order_that_was_made_while_trading_was_halted(lines):
    made = of(lines, "request", place="POST /orders")[-1]
    order_id = made["orders"][0]["order_id"]
    (finding,) = c5_unwanted(chronicle(lines), {order_id})
    assert (finding.check, finding.seq) == ("C5", made["seq"])
    assert c5_unwanted(chronicle(lines), {"0x" + "9" * 64}) == []


# C6.


def test_c6_finds_a_peace_that_ends_with_an_open_order_or_takes_too_long(lines):
    order = of(lines, "order", accepted=True)[0]
    (end,) = of(lines, "order_end", order_id=order["order_id"])
    between_ns = (order["mono_ns"] + end["mono_ns"]) // 2
    peace = (order["mono_ns"], between_ns)
    end["mono_ns"] = max(end["mono_ns"], between_ns + 1)
    story = chronicle(lines)
    assert [one.seq for one in c6_peaceful(story, [peace])] == [order["seq"]]
    whole = (lines[0]["mono_ns"], lines[-1]["mono_ns"] + 1)
    assert c6_peaceful(story, [whole], 10**18) == []
    assert "until everything" in c6_peaceful(story, [whole], 0)[0].text


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


@pytest.mark.parametrize("what", ["close", "unsubscribe"])
def test_c8_finds_orders_after_the_socket_has_closed_but_not_those_on_their_way_then(lines, what):
    (subscribed,) = of(lines, "socket", what="subscribe")
    posts = of(lines, "request", place="POST /orders")
    first_ns, last_ns = posts[0]["mono_ns"], posts[-1]["mono_ns"]
    after(lines, subscribed, subscribed, what=what, mono_ns=last_ns - ON_ITS_WAY_NS)
    ended = lines[lines.index(subscribed) + 1]
    assert c8_fresh(chronicle(lines), 500) == []
    ended["mono_ns"] = first_ns - ON_ITS_WAY_NS - 1
    assert len(c8_fresh(chronicle(lines), 500)) == 8
    # Who asks for the book again is not blind meanwhile, however long ago.
    after(lines, ended, subscribed, mono_ns=ended["mono_ns"] + 1)
    assert c8_fresh(chronicle(lines), 500) == []


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
