"""Clients for the tests: they sign and authenticate with eth-account and the standard library."""

import base64
import hashlib
import hmac
import itertools
import json

from eth_account import Account
from eth_account.messages import encode_typed_data

from sim.market import Facts
from sim.wallets import SignatureType, wallet_of

NOW_MS = 1_795_363_200_000
SALTS = itertools.count(1)
CONTRACTS = {
    ("v1", False): ("2", "0xE111180000d2663C0091e4f400237545B87B996B"),
    ("v1", True): ("2", "0xe2222d279d744050d28e00520010520000310F59"),
    ("v2", False): ("3", "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"),
    ("v2", True): ("3", "0xe3333700cA9d93003F00f0F71f8515005F6c00Aa"),
}
ORDER_FIELDS = [
    ("salt", "uint256"),
    ("maker", "address"),
    ("signer", "address"),
    ("tokenId", "uint256"),
    ("makerAmount", "uint256"),
    ("takerAmount", "uint256"),
    ("side", "uint8"),
    ("signatureType", "uint8"),
    ("timestamp", "uint256"),
    ("metadata", "bytes32"),
    ("builder", "bytes32"),
]
WRAPPER_FIELDS = [
    ("contents", "Order"),
    ("name", "string"),
    ("version", "string"),
    ("chainId", "uint256"),
    ("verifyingContract", "address"),
    ("salt", "bytes32"),
]


def typed(fields):
    return [{"name": name, "type": kind} for name, kind in fields]


def account(number: int):
    """A throwaway key that depends on nothing but the number."""
    return Account.from_key(hashlib.sha256(f"test key {number}".encode()).digest())


class Trader:
    """One EOA with an API key on an exchange, trading with the wallet of a signature type."""

    def __init__(self, exchange, number=1, signature_type=0, key=None):
        self.exchange = exchange
        self.eoa = account(number)
        self.signature_type = SignatureType(signature_type)
        self.wallet = wallet_of(self.eoa.address, self.signature_type)
        self.key = key or exchange.create_key(self.eoa.address, 0)

    def signed(self, facts: Facts, token: str, side: str, amounts, **changes) -> dict:
        """The `order` object, signed; `amounts` are (maker, taker) base units."""
        deposit = self.signature_type is SignatureType.DEPOSIT
        order = {
            "salt": next(SALTS),
            "maker": self.wallet,
            "signer": self.wallet if deposit else self.eoa.address,
            "tokenId": token,
            "makerAmount": str(amounts[0]),
            "takerAmount": str(amounts[1]),
            "side": side,
            "expiration": "0",
            "signatureType": int(self.signature_type),
            "timestamp": str(NOW_MS),
            "metadata": "0x" + "00" * 32,
            "builder": "0x" + "00" * 32,
        } | changes
        version, contract = CONTRACTS[facts.version, facts.neg_risk]
        order["signature"] = "0x" + self._signature(order, version, contract).hex()
        return order

    def _signature(self, order: dict, version: str, contract: str) -> bytes:
        message = {name: order[name] for name, _ in ORDER_FIELDS}
        for name in ("tokenId", "makerAmount", "takerAmount", "timestamp"):
            message[name] = int(message[name])
        message["side"] = ["BUY", "SELL"].index(order["side"])
        for name in ("metadata", "builder"):
            message[name] = bytes.fromhex(order[name][2:])
        domain = {
            "name": "Polymarket CTF Exchange",
            "version": version,
            "chainId": 137,
            "verifyingContract": contract,
        }
        plain = encode_typed_data(domain, {"Order": typed(ORDER_FIELDS)}, message)
        if self.signature_type is not SignatureType.DEPOSIT:
            return bytes(self.eoa.sign_message(plain).signature)
        wrapper = {
            "contents": message,
            "name": "DepositWallet",
            "version": "1",
            "chainId": 137,
            "verifyingContract": self.wallet,
            "salt": bytes(32),
        }
        types = {"TypedDataSign": typed(WRAPPER_FIELDS), "Order": typed(ORDER_FIELDS)}
        inner = self.eoa.sign_message(encode_typed_data(domain, types, wrapper)).signature
        text = "Order(" + ",".join(f"{kind} {name}" for name, kind in ORDER_FIELDS) + ")"
        tail = text.encode() + len(text).to_bytes(2, "big")
        return bytes(inner) + plain.header + plain.body + tail

    def body(self, market, *terms, kind="GTC", post_only=False, **changes):
        """The bytes of POST /order; `terms` are outcome, side, price_e4 and shares."""
        outcome, side, price, size = terms
        shares = round(size * 100) * 10_000
        money = shares * price // 10_000
        amounts = (money, shares) if side == "BUY" else (shares, money)
        facts = market.facts
        order = self.signed(facts, facts.tokens[outcome], side, amounts, **changes)
        return self.wrap(order, kind, post_only)

    def wrap(self, order: dict, kind="GTC", post_only=False, owner=None) -> bytes:
        """An order object as the body of POST /order."""
        body = {
            "order": order,
            "owner": owner or self.key.key,
            "orderType": kind,
            "deferExec": False,
            "postOnly": post_only,
        }
        return json.dumps(body, separators=(",", ":")).encode()

    def place(self, *terms, now_ms=NOW_MS, **changes):
        """Sign and place; returns (verdict, events)."""
        return self.exchange.place(self.key, self.body(*terms, **changes), now_ms)

    def give(self, market, size):
        """Put whole sets into the wallet, paid from its cash."""
        facts = market.facts
        self.exchange.floor.ledger.mint(
            self.wallet, facts.condition_id, facts.tokens, size * 1_000_000
        )

    def headers(self, method: str, path: str, body: bytes, now_s: int) -> dict[str, str]:
        """L2 headers of one request."""
        return l2_headers(self.eoa.address, self.key.public(), (method, path, body), now_s)


def l2_headers(address: str, creds: dict, request, now_s: int) -> dict[str, str]:
    method, path, body = request
    message = f"{now_s}{method}{path}".encode() + body
    digest = hmac.new(base64.urlsafe_b64decode(creds["secret"]), message, hashlib.sha256).digest()
    return {
        "POLY_ADDRESS": address,
        "POLY_API_KEY": creds["apiKey"],
        "POLY_PASSPHRASE": creds["passphrase"],
        "POLY_TIMESTAMP": str(now_s),
        "POLY_SIGNATURE": base64.urlsafe_b64encode(digest).decode(),
    }


def l1_headers(eoa, now_s: int, nonce: int = 0) -> dict[str, str]:
    types = {
        "ClobAuth": typed(
            [("address", "address"), ("timestamp", "string"), ("nonce", "uint256"),
             ("message", "string")]
        )
    }  # fmt: skip
    domain = {"name": "ClobAuthDomain", "version": "1", "chainId": 137}
    message = {
        "address": eoa.address,
        "timestamp": str(now_s),
        "nonce": nonce,
        "message": "This message attests that I control the given wallet",
    }
    signature = eoa.sign_message(encode_typed_data(domain, types, message)).signature
    return {
        "POLY_ADDRESS": eoa.address,
        "POLY_SIGNATURE": "0x" + bytes(signature).hex(),
        "POLY_TIMESTAMP": str(now_s),
        "POLY_NONCE": str(nonce),
    }
