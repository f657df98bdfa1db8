"""C3: every change of a user's cash and shares is balanced, continuous, and explained. Integers.

Continuous: it follows from the balance before. Explained: exactly one fill, reversal, payment or
hand of somebody is behind it, and it is as large as that says.
"""

from collections import Counter, defaultdict
from typing import Any

from sim.chronicle import Finding, Line, Run
from sim.fees import taker_fee_usd_e6

_WITHOUT_TRADE = frozenset({"open", "mint", "redeem", "transfer", "dust"})
Deltas = Counter[tuple[str, ...]]
"""Changes by (wallet,) for cash and (wallet, token) for shares."""


def conserved(run: Run) -> list[Finding]:
    """All violations of one run."""
    balances = run.of("balance")
    findings = [finding for line in balances for finding in _unbalanced(line)]
    findings += _discontinuous(balances)
    by_cause: defaultdict[str, list[Line]] = defaultdict(list)
    for line in balances:
        by_cause[line["cause"]].append(line)
    return findings + _unexplained(run, by_cause)


def _unbalanced(line: Line) -> list[Finding]:
    """A change in which money or shares appear or vanish."""
    if line["cause"] == "open":
        return []
    money = sum(by for _, by in line["cash"]) + line["collateral_usd_e6"] + line["fee_usd_e6"]
    net: Counter[str] = Counter()
    for _, token, by in line["tokens"]:
        net[token] += by
    made = [by for by in net.values() if by]
    findings = []
    if money:
        text = f"{line['cause']}: cash, collateral and fee are off by {money}"
        findings.append(Finding("C3", line["seq"], text))
    # One wallet's redemption takes its shares out of the world; elsewhere they come and go in sets.
    whole = line["cause"] == "redeem" or not made or made == [line["collateral_usd_e6"]] * 2
    if not whole:
        findings.append(Finding("C3", line["seq"], f"{line['cause']}: shares are off by {made}"))
    return findings


def _discontinuous(balances: list[Line]) -> list[Finding]:
    """A balance that is not the one before plus the change."""
    cash: Counter[str] = Counter()
    shares: Counter[tuple[str, str]] = Counter()
    findings: list[Finding] = []
    for line in balances:
        for wallet, by in line["cash"]:
            cash[wallet] += by
        for wallet, token, by in line["tokens"]:
            shares[wallet, token] += by
        for wallet, after in line["cash_after"].items():
            if cash[wallet] != after:
                text = f"{line['cause']}: cash of {wallet} is {after}, not {cash[wallet]}"
                findings.append(Finding("C3", line["seq"], text))
                cash[wallet] = after
        for wallet, token, after in line["tokens_after"]:
            if shares[wallet, token] != after:
                text = f"{line['cause']}: {wallet} has {after} of a token, not "
                findings.append(Finding("C3", line["seq"], f"{text}{shares[wallet, token]}"))
                shares[wallet, token] = after
    return findings


def _unexplained(run: Run, by_cause: dict[str, list[Line]]) -> list[Finding]:
    """Trades without their change, changes without their trade, and the same twice."""
    findings: list[Finding] = []
    failed = {one["trade_id"] for one in run.of("trade_status") if one["status"] == "FAILED"}
    expected: dict[str, int] = {}
    for trade in run.of("trade"):
        name = trade["trade_id"]
        if f"trade {name}" in expected:
            findings.append(Finding("C3", trade["seq"], f"trade {name} happens twice"))
        expected |= {f"trade {name}": 1, f"failed {name}": int(name in failed)}
        for sign, cause in ((1, f"trade {name}"), (-1, f"failed {name}")):
            for line in by_cause.get(cause, []):
                findings += _wrong(trade, line, sign)
    for cause, count in expected.items():
        lines = by_cause.get(cause, [])
        if len(lines) != count:
            seq = lines[-1]["seq"] if lines else run.lines[-1]["seq"]
            findings.append(
                Finding("C3", seq, f"{cause} is booked {len(lines)} times, not {count}")
            )
    for cause, lines in by_cause.items():
        if cause not in _WITHOUT_TRADE and cause not in expected:
            findings.append(Finding("C3", lines[0]["seq"], f"{cause} has no trade"))
    return findings


def _wrong(trade: Line, line: Line, sign: int) -> list[Finding]:
    """A booking that is not what its trade says."""
    wanted = _parts(trade)
    mine = {part["wallet"] for part in trade["parties"] if not part["house"]}
    booked: Deltas = Counter()
    for wallet, by in line["cash"]:
        booked[wallet,] += sign * by
    for wallet, token, by in line["tokens"]:
        booked[wallet, token] += sign * by
    return [
        Finding("C3", line["seq"], f"{line['cause']}: {key} changed by {booked[key]}, not {by}")
        for key, by in {key: wanted[key] for key in {*wanted, *booked}}.items()
        if key[0] in mine and booked[key] != by
    ]


def _parts(trade: Line) -> Deltas:
    """What each party's cash and shares should change by: price times size, and the fee."""
    deltas: Deltas = Counter()
    taker, *makers = trade["parties"]
    for maker in makers:
        exact_e10 = maker["size_e6"] * trade["price_e4"]
        buying = taker["side"] == "BUY"
        usd_e6 = -(-exact_e10 // 10_000) if buying else exact_e10 // 10_000
        maker_usd_e6 = usd_e6 if maker["token"] == taker["token"] else maker["size_e6"] - usd_e6
        for part, money in ((taker, usd_e6), (maker, maker_usd_e6)):
            _book(deltas, part, money, maker["size_e6"])
    if not taker["house"]:
        fee = taker_fee_usd_e6(trade["size_e6"], trade["price_e4"], trade["fee_rate_e6"])
        deltas[taker["wallet"],] -= fee
    return deltas


def _book(deltas: Deltas, part: dict[str, Any], usd_e6: int, size_e6: int) -> None:
    sign = 1 if part["side"] == "BUY" else -1
    deltas[part["wallet"],] -= sign * usd_e6
    deltas[part["wallet"], part["token"]] += sign * size_e6
