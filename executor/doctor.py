"""`polytrio doctor`: proves that wallet, venue and clock fit together, with reads only.

Key and signer here; clock, chain, contracts, allowances, balance and standing as the venue tells
them; what only the chain knows if an RPC is named, else it is said to be unchecked. Nothing is
created, sent or changed: an API key that does not exist yet is not made.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec

from executor import examination as exam
from executor.auth import l1_headers
from executor.credentials import Credentials, RequestSigner
from executor.curve import recovered
from executor.examination import Checked
from executor.http import HttpConnection, NoReply, Origin, Reply, parse_origin
from executor.keccak import checksum_address, keccak
from executor.signing import CHAIN_ID, CONTRACTS
from executor.wallet import Wallet, load
from executor.wire import ApiKeyReply
from shm.control import read_settings
from shm.errors import ConfigError, PolytrioError, SegmentError
from shm.fabric import Fabric
from shm.passwords import handed_on
from shm.secrecy import harden
from shm.settings import Settings
from shm.settings import load as load_settings

EXIT_FOUND = 14
TIMEOUT_S = 10.0
_OK = 200
_SIGNATURE_TYPES = range(4)


class _Allowed(msgspec.Struct):
    balance: str
    allowances: dict[str, str] = {}


class _Standing(msgspec.Struct):
    closed_only: bool


class _Rpc(msgspec.Struct):
    result: str | None = None


class Doctor:
    """Asks one thing after the other, and stops where the next would make no sense."""

    def __init__(self, settings: Settings, wallet: Wallet, rpc: str | None) -> None:
        self._settings = settings
        self._wallet = wallet
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
        second = _read(answer, int)
        if second is None:
            where = venue.origin.authority
            self.checks.append(
                exam.wrong(
                    "venue",
                    f"{where} does not tell the time: {_said(answer)}",
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
        found = _read(answer, ApiKeyReply)
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
        self.checks.append(judge("login", f"no API key of this wallet: {_said(answer)}", remedy))
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
            found = _read(answer, _Allowed)
            if found is None or not found.balance.isdecimal():
                self.checks.append(
                    exam.unchecked("balance", f"type {number}: {_said(answer)}", "ask again later")
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
        rpc = _Node(self._rpc)
        try:
            await self._ask_chain(rpc)
        finally:
            rpc.close()
            await asyncio.sleep(0)

    async def _ask_chain(self, rpc: "_Node") -> None:
        number = await rpc.ask("eth_chainId")
        chain = exam.of_chain(int(number, 16) if number else None)
        self.checks.append(chain)
        if chain.state != "ok":
            return
        for exchange, (_, contract) in CONTRACTS.items():
            name = f"code {exchange.name.lower()}"
            code = await rpc.ask("eth_getCode", contract, "latest")
            self.checks.append(exam.of_code(name, contract, code, wanted=True))
        code = await rpc.ask("eth_getCode", self._wallet.maker, "latest")
        wanted = self._wallet.signature_type != 0
        self.checks.append(exam.of_code("code wallet", self._wallet.maker, code, wanted=wanted))


class _Node:
    """A chain's JSON-RPC; None for whatever is no answer."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError("--rpc must be http(s)://host[:port]/path")
        tls = parts.scheme == "https"
        self._http = HttpConnection(
            Origin(parts.hostname, parts.port or (443 if tls else 80), tls)
        )  # fmt: skip
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    async def ask(self, method: str, *params: Any) -> str | None:
        """One question."""
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        headers = {"Content-Type": "application/json"}
        answer = await self._http.request(
            "POST", self._target, headers, body, timeout_s=TIMEOUT_S
        )  # fmt: skip
        found = _read(answer, _Rpc)
        result = found.result if found is not None else None
        hexes = result is not None and result.startswith("0x")
        return result if hexes and set(result or "") <= set("0123456789abcdefABCDEFx") else None

    def close(self) -> None:
        """Hang up."""
        self._http.close()


def _of_standing(answer: Reply | NoReply) -> Checked:
    found = _read(answer, _Standing)
    if found is None:
        return exam.unchecked("standing", _said(answer), "ask again later")
    if found.closed_only:
        return exam.wrong(
            "standing", "the venue lets this account only close positions", "ask the venue why"
        )
    return exam.ok("standing", "the venue lets this account trade")


def _read(answer: Reply | NoReply, model: type[Any]) -> Any:
    """The answer as a model; None if it is none."""
    if isinstance(answer, NoReply) or answer.status != _OK:
        return None
    try:
        return msgspec.json.decode(answer.body, type=model)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _said(answer: Reply | NoReply) -> str:
    """What a refusal said, as one harmless line."""
    if isinstance(answer, NoReply):
        return answer.reason
    text = answer.body[:120].decode("ascii", "replace")
    return f"HTTP {answer.status} " + "".join(c if c.isprintable() else " " for c in text)


# --- the command line -----------------------------------------------------------------------------


def examined(settings: Settings, rpc: str | None, password_fd: int | None) -> list[Checked]:
    """Open the key file, then ask everything."""
    path = settings.key_path
    try:
        with handed_on(path, password_fd, os.environ) as fd:
            wallet = load(path, settings.wallet, fd)
    except ConfigError as error:
        remedy = "`polytrio wallet new` makes one; on paper `polytrio run` does it by itself"
        return [exam.wrong("key file", str(error), remedy)]
    kept = exam.ok("key file", f"{path} is private and opens")
    return [kept, *asyncio.run(Doctor(settings, wallet, rpc).examine())]


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
        settings = _settings(found.config, found.instance)
        checks = examined(settings, found.rpc, found.password_fd)
    except PolytrioError as error:
        sys.stderr.write(f"polytrio: {error}\n")
        sys.exit(error.exit_code)
    well = exam.healthy(checks)
    told = msgspec.json.encode({"healthy": well, "checks": checks}).decode()
    sys.stdout.write((told if found.json else "\n".join(lines(checks))) + "\n")
    sys.exit(0 if well else EXIT_FOUND)


def _settings(config: Path | None, instance: str | None) -> Settings:
    """Those of the running system, else of the file."""
    settings = load_settings(config, dict(os.environ))
    if instance:
        settings = msgspec.structs.replace(settings, instance=instance)
    if settings.mode == "live":
        settings = settings.with_live_addresses()
    try:
        return read_settings(Fabric(settings.instance)) or settings
    except SegmentError:
        return settings


if __name__ == "__main__":
    main()
