"""What `polytrio doctor` concludes from what it has read. Pure: facts in, one line per fact out."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from executor.funders import funder_of
from executor.keccak import checksum_address
from executor.signing import CHAIN_ID, CONTRACTS
from shm.codes import Exchange
from shm.limits import RiskSettings
from shm.settings import WalletSettings

State = Literal["ok", "wrong", "unchecked"]
ADAPTERS = {
    "adapter": "0xAdA100Db00Ca00073811820692005400218FcE1f",
    "neg-risk adapter": "0xadA2005600Dec949baf300f4C6120000bDB6eAab",
}
"""Contracts that turn money into outcome tokens and back: not an order's, but a redemption's."""
_CTF = "0x4D97DCd97eC945f40cF65F87097ACe5EA0476045"
SHARES = {
    Exchange.STANDARD: ("CONDITIONAL", _CTF),
    Exchange.NEG_RISK: ("CONDITIONAL", _CTF),
    Exchange.POSITION_IDS: ("CONDITIONAL-V2", "0x006F54F7f9A22e0000CC2AB60031000000ae9fEF"),
}
"""By exchange: what the venue calls its shares, and the contract that keeps them."""
CHAIN = "chain"
"""Name of the check that needs a node of the chain."""
TYPES = ("the key's own address", "a proxy wallet", "a Safe", "a deposit wallet")


class Checked(msgspec.Struct, frozen=True):
    """One line: what was looked at, how it is, what was found, what to do."""

    name: str
    state: State
    found: str
    remedy: str = ""


def ok(name: str, found: str) -> Checked:
    """Proven."""
    return Checked(name, "ok", found)


def wrong(name: str, found: str, remedy: str) -> Checked:
    """Has to be put right before this wallet can trade."""
    return Checked(name, "wrong", found, remedy)


def unchecked(name: str, found: str, remedy: str) -> Checked:
    """Nobody knows; what it takes to know."""
    return Checked(name, "unchecked", found, remedy)


def healthy(checks: Sequence[Checked]) -> bool:
    """Nothing is wrong. What is unchecked may still be."""
    return all(check.state != "wrong" for check in checks)


def objection(checks: Sequence[Checked]) -> str:
    """The first line that forbids real money, in words; "" if there is none.

    What nobody knows forbids it, too, apart from what only a node of the chain could tell: that one
    is the operator's to name (`polytrio doctor --rpc`).
    """
    for check in checks:
        unasked = check.state == "unchecked" and check.name == CHAIN
        if check.state != "ok" and not unasked:
            todo = f": {check.remedy}" if check.remedy else ""
            return f"`polytrio doctor` says {check.state}: {check.name}: {check.found}{todo}"
    return ""


def of_funder(owner: bytes, settings: WalletSettings) -> Checked:
    """Whether the wallet that the settings name is the one that the venue derives for the key."""
    number = settings.signature_type
    derived = funder_of(owner, number)
    named = settings.funder or checksum_address(owner)
    if named.lower() == derived.lower():
        return ok("funder", f"{derived} is {TYPES[number]} of this key (type {number})")
    for other in range(len(TYPES)):
        if named.lower() == funder_of(owner, other).lower():
            return wrong(
                "funder",
                f"{named} is {TYPES[other]} of this key, and wallet.signature_type is {number}",
                f"set wallet.signature_type = {other}"
                + ("" if other else ' and wallet.funder = ""'),
            )
    return wrong(
        "funder",
        f"{named} is no wallet of this key, under any signature type",
        f'set wallet.funder = "{derived}", or take the key of {named}',
    )


def of_clock(reading: tuple[int, int, int], risk: RiskSettings) -> Checked:
    """(our ms before asking, the venue's second, our ms after it answered)."""
    before_ms, second, after_ms = reading
    # The venue's time lies within its second, and was read between our two.
    least, most = second * 1_000 - after_ms, second * 1_000 + 999 - before_ms
    off_ms = 0 if least <= 0 <= most else (least if least > 0 else most)
    if abs(off_ms) <= risk.clock_block_ms:
        return ok("clock", f"within {risk.clock_block_ms} ms of the venue's, as far as it tells")
    what = "holds orders back" if abs(off_ms) <= risk.clock_halt_ms else "stops trading"
    return wrong(
        "clock",
        f"the venue's is at least {abs(off_ms):,} ms {'ahead' if off_ms > 0 else 'behind'}, which "
        f"{what}",
        "let this machine's clock follow a time server (timedatectl set-ntp true)",
    )


def of_balance(balances_usd_e6: Mapping[int, int], signature_type: int, least: int) -> Checked:
    """What the venue counts for this key, by signature type."""
    mine = balances_usd_e6.get(signature_type, 0)
    richest = max(balances_usd_e6, key=lambda number: balances_usd_e6[number])
    if mine == 0 and balances_usd_e6[richest] > 0:
        return wrong(
            "signature type",
            f"nothing under type {signature_type}, and ${balances_usd_e6[richest] / 1e6:,.2f} "
            f"under type {richest} ({TYPES[richest]})",
            f"set wallet.signature_type = {richest} and wallet.funder to that wallet",
        )
    if mine <= least:
        return wrong(
            "balance",
            f"${mine / 1e6:,.2f}, and ${least / 1e6:,.2f} are never spent "
            "(executor.cash_reserve_usd_e6)",
            "move money to the wallet, then let the venue read it anew",
        )
    return ok("balance", f"${mine / 1e6:,.2f} under signature type {signature_type}")


def of_contracts(spenders: Sequence[str]) -> list[Checked]:
    """Whether the exchanges that orders are signed for are those that the venue knows."""
    known = {spender.lower() for spender in spenders}
    checks = []
    for exchange, (version, contract) in CONTRACTS.items():
        name = f"contract {exchange.name.lower()}"
        if contract.lower() in known:
            checks.append(ok(name, f"{contract}, version {version}, is one of the venue's"))
        else:
            checks.append(
                wrong(
                    name,
                    f"orders are signed for {contract}, which the venue does not name",
                    "the venue may have moved on: look for a newer polytrio before trading",
                )
            )
    return checks


def of_allowances(allowances_usd_e6: Mapping[str, int], balance_usd_e6: int) -> list[Checked]:
    """Whether each contract that takes money from the wallet may take all of it."""
    given = {spender.lower(): value for spender, value in allowances_usd_e6.items()}
    wanted = {f"{e.name.lower()} exchange": address for e, (_, address) in CONTRACTS.items()}
    checks = []
    for what, spender in (wanted | ADAPTERS).items():
        name = f"allowance {what}"
        allowed = given.get(spender.lower())
        if allowed is None:
            checks.append(unchecked(name, f"the venue says nothing of {spender}", "ask the chain"))
        elif allowed < max(balance_usd_e6, 1):
            checks.append(
                wrong(
                    name,
                    f"{spender} may take ${allowed / 1e6:,.2f} of ${balance_usd_e6 / 1e6:,.2f}",
                    f"approve {spender} for the collateral from the wallet, then let the venue "
                    "read it anew (/balance-allowance/update)",
                )
            )
        else:
            checks.append(ok(name, f"{spender} may take what there is"))
    return checks


def of_approvals(exchange: Exchange, allowances: Mapping[str, int]) -> list[Checked]:
    """Whether an exchange may take the wallet's shares: without it nothing can be sold through it.

    As the venue tells it of one of the exchange's tokens. An adapter has no part in a sale; where
    the venue names one that lacks its approval it is said, since it has refused orders for less.
    """
    given = {spender.lower(): value for spender, value in allowances.items()}
    name, (_, contract) = exchange.name.lower(), CONTRACTS[exchange]
    spenders = {f"{name} exchange": contract}
    if exchange is not Exchange.POSITION_IDS:
        what = "neg-risk adapter" if exchange is Exchange.NEG_RISK else "adapter"
        if ADAPTERS[what].lower() in given:
            spenders[what] = ADAPTERS[what]
    checks = []
    for what, spender in spenders.items():
        allowed = given.get(spender.lower())
        approved = None if allowed is None else allowed > 0
        checks.append(_of_approval(f"approval {what}", exchange, spender, approved))
    return checks


def of_chain_approval(exchange: Exchange, approved: bool | None) -> Checked:
    """The same from the chain itself."""
    name, (_, contract) = exchange.name.lower(), CONTRACTS[exchange]
    return _of_approval(f"chain approval {name}", exchange, contract, approved)


def _of_approval(name: str, exchange: Exchange, spender: str, approved: bool | None) -> Checked:
    if approved is None:
        return unchecked(name, f"nobody says whether {spender} may take shares", "ask the chain")
    if approved:
        return ok(name, f"{spender} may take the wallet's shares")
    kind, contract = SHARES[exchange]
    return wrong(
        name,
        f"{spender} may not take the wallet's shares, so what is bought cannot be sold",
        f"setApprovalForAll({spender}, true) on {contract} from the wallet, then let the venue "
        f"read it anew (/balance-allowance/update?asset_type={kind}&token_id=...)",
    )


def of_chain(number: int | None) -> Checked:
    """The RPC's own word."""
    if number == CHAIN_ID:
        return ok(CHAIN, f"the RPC is of chain {CHAIN_ID}")
    said = "does not say" if number is None else f"is of chain {number}"
    return wrong(CHAIN, f"the RPC {said}, and {CHAIN_ID} is wanted", "name another with --rpc")


def of_code(name: str, address: str, code: str | None, *, wanted: bool) -> Checked:
    """Whether an address is a contract on the chain, or must be none."""
    if code is None:
        return unchecked(name, f"the RPC does not say what is at {address}", "try another --rpc")
    if bool(code.removeprefix("0x")) == wanted:
        return ok(name, f"{address} is {'a contract' if wanted else 'no contract'} on the chain")
    what = "nothing is deployed at" if wanted else "a contract is at"
    remedy = "deploy the wallet first (the venue's site does)" if wanted else "check the type"
    return wrong(name, f"{what} {address}", remedy)
