"""A node of the chain, asked by JSON-RPC what the venue only says: contracts, wallet, approvals."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from executor import examination as exam
from executor.answers import read_as
from executor.examination import Checked
from executor.http import HttpConnection, Origin
from executor.keccak import address_word, keccak
from executor.signing import CONTRACTS
from executor.wallet import Wallet
from shm.codes import Exchange
from shm.errors import ConfigError

TIMEOUT_S = 10.0
_HEX = frozenset("0123456789abcdefABCDEFx")
_IS_APPROVED = keccak(b"isApprovedForAll(address,address)")[:4]


class _Rpc(msgspec.Struct):
    result: str | None = None


class Node:
    """One connection; None for whatever is no answer."""

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
        found = read_as(answer, _Rpc)
        result = found.result if found is not None else None
        hexes = result is not None and result.startswith("0x")
        return result if hexes and set(result or "") <= _HEX else None

    async def approved(self, shares: str, owner: str, operator: str) -> bool | None:
        """Whether a contract may take all shares that a wallet has."""
        data = _IS_APPROVED + address_word(owner) + address_word(operator)
        word = await self.ask("eth_call", {"to": shares, "data": "0x" + data.hex()}, "latest")
        # A contract that is not there answers with nothing at all.
        return None if word is None or len(word) != len("0x") + 64 else int(word, 16) == 1

    def close(self) -> None:
        """Hang up."""
        self._http.close()


async def examined(node: Node, wallet: Wallet, traded: Iterable[Exchange]) -> list[Checked]:
    """What the chain says of the wallet, and of the contracts that it trades through."""
    number = await node.ask("eth_chainId")
    checks = [exam.of_chain(int(number, 16) if number else None)]
    if checks[0].state != "ok":
        return checks
    for exchange, (_, contract) in CONTRACTS.items():
        code = await node.ask("eth_getCode", contract, "latest")
        checks.append(
            exam.of_code(f"code {exchange.name.lower()}", contract, code, wanted=True)
        )  # fmt: skip
    code = await node.ask("eth_getCode", wallet.maker, "latest")
    wanted = wallet.signature_type != 0
    checks.append(exam.of_code("code wallet", wallet.maker, code, wanted=wanted))
    for exchange in traded:
        _, contract = CONTRACTS[exchange]
        found = await node.approved(exam.SHARES[exchange][1], wallet.maker, contract)
        checks.append(exam.of_chain_approval(exchange, found))
    return checks
