"""C3 finds every planted violation of conservation."""

import pytest

from sim.chronicle import chronicle
from sim.verdict import (
    c3_conserved,
)
from tests.sim.eventful import after, checks, of


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
