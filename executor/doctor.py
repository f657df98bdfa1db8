"""`polytrio doctor`: proves that wallet, venue and clock fit together, with reads only.

Key and signer here; clock, chain, contracts, allowances of cash, approvals of shares, balance and
standing as the venue tells them; what only the chain knows if an RPC is named (executor/node.py),
else it is said to be unchecked. Nothing is created, sent or changed: an API key that does not
exist yet is not made.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

import msgspec

from executor import examination as exam
from executor.answers import read_as, said
from executor.auth import l1_headers
from executor.credentials import Credentials, RequestSigner
from executor.curve import recovered
from executor.examination import Checked
from executor.http import HttpConnection, NoReply, Reply, parse_origin
from executor.keccak import checksum_address, keccak
from executor.node import Node
from executor.node import examined as examined_by
from executor.signing import CHAIN_ID
from executor.wallet import Wallet, load
from executor.wire import ApiKeyReply
from shm.codes import Exchange
from shm.control import read_settings
from shm.errors import UNREADABLE, ConfigError, PolytrioError, SegmentError
from shm.fabric import Fabric
from shm.layout import Market
from shm.markets import MarketsReader, active
from shm.passwords import handed_on
from shm.secrecy import harden
from shm.settings import Settings
from shm.settings import load as load_settings
from shm.units import format_token

EXIT_FOUND = 14
TIMEOUT_S = 10.0
LADDERS = (Exchange.STANDARD, Exchange.NEG_RISK)
"""What ladders are traded through, as long as nobody has listed any."""
LISTING = "/markets?closed=false&limit=100"
_SIGNATURE_TYPES = range(4)


class _Allowed(msgspec.Struct):
    balance: str
    allowances: dict[str, str] = {}


class _Standing(msgspec.Struct):
    closed_only: bool


class _Market(msgspec.Struct):
    """As Gamma lists it; ids are JSON in a string."""

    clob_token_ids: str = msgspec.field(name="clobTokenIds", default="[]")
    position_ids: str | None = msgspec.field(name="positionIds", default=None)
    neg_risk: bool = msgspec.field(name="negRisk", default=False)
    version: str | None = "v1"


Listed = Mapping[Exchange, str]
"""A token of a listed market for each exchange contract that is traded through."""
Ask = Callable[[str, str], Awaitable[Reply | NoReply]]
"""Path and query, signed."""


class Doctor:
    """Asks one thing after the other, and stops where the next would make no sense."""

    def __init__(
        self, settings: Settings, wallet: Wallet, rpc: str | None, listed: Listed | None = None
    ) -> None:
        self._settings = settings
        self._wallet = wallet
        self._listed: dict[Exchange, str] = dict(listed or {})
        self._owner = bytes.fromhex(wallet.address[2:])
        self._rpc = rpc
        self.checks: list[Checked] = []

    async def examine(self) -> list[Checked]:
        """All of it."""
        self.checks.append(self._signer())
        self.checks.append(exam.of_funder(self._owner, self._settings.wallet))
        await self._venue()
        await self._chain()
        return self.checks

    def _signer(self) -> Checked:
        digest = keccak(b"polytrio doctor")
        public = recovered(digest, self._wallet.sign(digest))
        address = checksum_address(keccak(public)[12:])
        if address != self._wallet.address:
            return exam.wrong("signer", f"what it signs is of {address}", "this is a defect")
        locked = "never swapped" if self._wallet.key.locked else "may be swapped (ulimit -l)"
        return exam.ok("signer", f"{address} signs; its key is in memory that is {locked}")

    # --- the venue --------------------------------------------------------------------------------

    async def _venue(self) -> None:
        url = self._settings.venues.clob_url
        if not url:
            self.checks.append(
                exam.unchecked(
                    "venue",
                    f"instance {self._settings.instance!r} does not run, so there is no simulated "
                    "exchange to ask",
                    "start `polytrio run` and ask again, or set venues.clob_url",
                )
            )
            return
        origin = parse_origin(url)
        if self._settings.mode == "paper" and not origin.loopback:
            self.checks.append(
                exam.wrong(
                    "venue",
                    f"mode is paper, and venues.clob_url names {origin.host}",
                    "remove it: paper trading reaches this machine only",
                )
            )
            return
        venue = HttpConnection(origin)
        try:
            if await self._clock(venue):
                signer = await self._log_in(venue)
                if signer is not None:
                    await self._account(venue, signer)
        finally:
            venue.close()
            await asyncio.sleep(0)  # in which the loop closes it

    async def _clock(self, venue: HttpConnection) -> bool:
        await venue.open()  # so that the reading is not of the handshake
        before_ms = time.time_ns() // 1_000_000
        answer = await venue.request("GET", "/time", {}, timeout_s=TIMEOUT_S)
        after_ms = time.time_ns() // 1_000_000
        second = read_as(answer, int)
        if second is None:
            where = venue.origin.authority
            self.checks.append(
                exam.wrong(
                    "venue",
                    f"{where} does not tell the time: {said(answer)}",
                    "check venues.clob_url and the network",
                )
            )
            return False
        reading = (before_ms, second, after_ms)
        self.checks.append(exam.of_clock(reading, self._settings.risk))
        return True

    async def _log_in(self, venue: HttpConnection) -> RequestSigner | None:
        """The venue takes the key's signature for chain 137 only if all of it fits."""
        headers = l1_headers(self._wallet, int(time.time()))
        answer = await venue.request("GET", "/auth/derive-api-key", headers, timeout_s=TIMEOUT_S)
        found = read_as(answer, ApiKeyReply)
        if found is not None:
            self.checks.append(
                exam.ok("login", f"the venue takes this key's signature for chain {CHAIN_ID}")
            )
            credentials = Credentials(found.apiKey, found.secret, found.passphrase)
            return RequestSigner(self._wallet.address, credentials)
        refused = isinstance(answer, Reply) and answer.status in {401, 403}
        judge = exam.wrong if refused else exam.unchecked
        remedy = (
            "check the clock and wallet.key_file; from some places the venue takes nobody"
            if refused
            else "the first start makes an API key; ask again after it"
        )
        self.checks.append(judge("login", f"no API key of this wallet: {said(answer)}", remedy))
        return None

    async def _account(self, venue: HttpConnection, signer: RequestSigner) -> None:
        async def ask(path: str, query: str = "") -> Reply | NoReply:
            headers = signer.headers(int(time.time()), "GET", path, b"")
            return await venue.request("GET", path + query, headers, timeout_s=TIMEOUT_S)

        standing = await ask("/auth/ban-status/closed-only")
        self.checks.append(_of_standing(standing))
        balances: dict[int, int] = {}
        mine: _Allowed | None = None
        for number in _SIGNATURE_TYPES:
            query = f"?asset_type=COLLATERAL&signature_type={number}"
            answer = await ask("/balance-allowance", query)
            found = read_as(answer, _Allowed)
            if found is None or not found.balance.isdecimal():
                self.checks.append(
                    exam.unchecked("balance", f"type {number}: {said(answer)}", "ask again later")
                )
                return
            balances[number] = int(found.balance)
            if number == self._wallet.signature_type:
                mine = found
        assert mine is not None
        reserve = self._settings.executor.cash_reserve_usd_e6
        self.checks.append(exam.of_balance(balances, self._wallet.signature_type, reserve))
        self.checks += exam.of_contracts(list(mine.allowances))
        allowed = {who: int(v) for who, v in mine.allowances.items() if v.isdecimal()}
        self.checks += exam.of_allowances(allowed, int(mine.balance))
        await self._shares(ask)

    async def _shares(self, ask: Ask) -> None:
        """Whether what was bought can be sold: that takes an approval of each exchange."""
        if not self._listed:
            self._listed = await self._listing()
        if not self._listed:
            self.checks.append(
                exam.unchecked(
                    "approval",
                    "no market is listed, so the venue cannot be asked who may take shares",
                    "start `polytrio run` and ask again",
                )
            )
        for exchange, token in self._listed.items():
            kind, _ = exam.SHARES[exchange]
            query = f"asset_type={kind}&token_id={token}"
            query += f"&signature_type={self._wallet.signature_type}"
            answer = await ask("/balance-allowance", f"?{query}")
            found = read_as(answer, _Allowed)
            if found is None:
                name = f"approval {exchange.name.lower()} exchange"
                self.checks.append(exam.unchecked(name, said(answer), "ask again later"))
            else:
                allowed = {who: int(v) for who, v in found.allowances.items() if v.isdecimal()}
                self.checks += exam.of_approvals(exchange, allowed)

    async def _listing(self) -> dict[Exchange, str]:
        """A token for each exchange, as Gamma lists them; whatever is running knows better."""
        url = self._settings.venues.gamma_url
        origin = parse_origin(url, "venues.gamma_url") if url else None
        if origin is None or (self._settings.mode == "paper" and not origin.loopback):
            return {}
        gamma = HttpConnection(origin)
        try:
            answer = await gamma.request("GET", LISTING, {}, timeout_s=TIMEOUT_S)
        finally:
            gamma.close()
            await asyncio.sleep(0)
        return listed_by(read_as(answer, list[_Market]) or [])

    # --- the chain --------------------------------------------------------------------------------

    async def _chain(self) -> None:
        if self._rpc is None:
            self.checks.append(
                exam.unchecked(
                    exam.CHAIN,
                    "no RPC is named, so nobody has asked the chain itself whether contracts and "
                    "wallet are there",
                    "name one with --rpc https://...",
                )
            )
            return
        node = Node(self._rpc)
        try:
            self.checks += await examined_by(node, self._wallet, self._listed or LADDERS)
        finally:
            node.close()
            await asyncio.sleep(0)


def listed_in(markets: Iterable[Market]) -> dict[Exchange, str]:
    """A token for each exchange, of the markets that are traded."""
    return {Exchange(market.exchange): format_token(market.yes_token) for market in markets}


def listed_by(rows: Iterable[_Market]) -> dict[Exchange, str]:
    """The same from Gamma's rows."""
    found = {}
    for row in rows:
        second = row.version == "v2"
        ladder = Exchange.NEG_RISK if row.neg_risk else Exchange.STANDARD
        token = _first(row.position_ids or "[]" if second else row.clob_token_ids)
        if token.isdecimal():
            found[Exchange.POSITION_IDS if second else ladder] = token
    return found


def _first(ids: str) -> str:
    try:
        return next(iter(msgspec.json.decode(ids, type=list[str])), "")
    except UNREADABLE:
        return ""


def _of_standing(answer: Reply | NoReply) -> Checked:
    found = read_as(answer, _Standing)
    if found is None:
        return exam.unchecked("standing", said(answer), "ask again later")
    if found.closed_only:
        return exam.wrong(
            "standing", "the venue lets this account only close positions", "ask the venue why"
        )
    return exam.ok("standing", "the venue lets this account trade")


# --- the command line -----------------------------------------------------------------------------


def examined(
    settings: Settings, rpc: str | None, password_fd: int | None, listed: Listed | None = None
) -> list[Checked]:
    """Open the key file, then ask everything."""
    path = settings.key_path
    try:
        with handed_on(path, password_fd, os.environ) as fd:
            wallet = load(path, settings.wallet, fd)
    except ConfigError as error:
        remedy = "`polytrio wallet new` makes one; on paper `polytrio run` does it by itself"
        return [exam.wrong("key file", str(error), remedy)]
    kept = exam.ok("key file", f"{path} is private and opens")
    return [kept, *asyncio.run(Doctor(settings, wallet, rpc, listed).examine())]


def lines(checks: Sequence[Checked]) -> Iterator[str]:
    """One for each, with what to do."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        todo = f": {check.remedy}" if check.remedy else ""
        yield f"{check.state:<9} {check.name:<{width}}  {check.found}{todo}"


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Examine, tell, and end with 0 or 14."""
    harden()
    parser = argparse.ArgumentParser(prog="polytrio doctor", description="Proves the wallet.")
    parser.add_argument("--config", type=Path, help="settings file; ./polytrio.toml if present")
    parser.add_argument("--instance", help="which system; default: the one of the settings")
    parser.add_argument("--rpc", help="JSON-RPC of the chain, to ask it, too")
    parser.add_argument("--password-fd", type=int, help="descriptor with the key file's password")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    found = parser.parse_args(words)
    try:
        settings, listed = _running(found.config, found.instance)
        checks = examined(settings, found.rpc, found.password_fd, listed)
    except PolytrioError as error:
        sys.stderr.write(f"polytrio: {error}\n")
        sys.exit(error.exit_code)
    well = exam.healthy(checks)
    told = msgspec.json.encode({"healthy": well, "checks": checks}).decode()
    sys.stdout.write((told if found.json else "\n".join(lines(checks))) + "\n")
    sys.exit(0 if well else EXIT_FOUND)


def _running(config: Path | None, instance: str | None) -> tuple[Settings, dict[Exchange, str]]:
    """Settings and markets of the running system; else the settings of the file."""
    settings = load_settings(config, dict(os.environ))
    if instance:
        settings = msgspec.structs.replace(settings, instance=instance)
    if settings.mode == "live":
        settings = settings.with_live_addresses()
    fabric = Fabric(settings.instance)
    try:
        _, rows = MarketsReader(fabric).read()
        return read_settings(fabric) or settings, listed_in(active(rows))
    except SegmentError:
        return settings, {}


if __name__ == "__main__":
    main()
