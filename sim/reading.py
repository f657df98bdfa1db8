"""What a request is about, read from its bytes before anybody acts on it: for rules and the log.

Nothing is decided here: what cannot be read is left out, and the handler will refuse it.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sim.auth import ApiKey
from sim.exchange import Exchange
from sim.faults import Subject
from sim.intake import subject_of
from sim.verify import domain_of, order_hash, order_message
from sim.wallets import SignatureType, wallet_of
from sim.wire import Submission, parse_batch, parse_submission


@dataclass(frozen=True, slots=True)
class Reading:
    """The subjects of a request and how the log shows it.

    A request that is about no order has the wallets of its sender as subjects.
    """

    subjects: tuple[Subject, ...]
    shown: dict[str, Any] = field(default_factory=dict)

    def order_ids(self) -> dict[int, str]:
        """Hashes by place in the batch, from 1; "" where there is none to know."""
        return {subject.leg: subject.order_id for subject in self.subjects}


def read_request(exchange: Exchange, place: str, body: bytes, key: ApiKey | None) -> Reading:
    """What a request to an endpoint says; `key` is that of its sender, if it has proved one."""
    shown: dict[str, Any] = {"signer": key.address if key is not None else ""}
    if body:
        shown["bytes"] = len(body)
        shown["digest"] = hashlib.sha256(body).hexdigest()
    if place in {"POST /order", "POST /orders"}:
        raws = [body] if place == "POST /order" else parse_batch(body) or []
        return _placing(exchange, raws, shown)
    if place in {"DELETE /order", "DELETE /orders"}:
        return _cancelling(exchange, body, shown)
    if key is None:
        return Reading((Subject(),), shown)
    wallets = [wallet_of(key.address, signature_type) for signature_type in SignatureType]
    return Reading(tuple(Subject(wallet=wallet) for wallet in wallets), shown)


def _placing(exchange: Exchange, raws: list[Any], shown: dict[str, Any]) -> Reading:
    subjects: list[Subject] = []
    orders: list[dict[str, Any]] = []
    for leg, raw in enumerate(raws, start=1):
        submission = parse_submission(raw)
        if isinstance(submission, str):
            subjects.append(Subject(leg=leg))
            continue
        order_id = id_of(exchange, submission)
        subjects.append(subject_of(submission, exchange.by_token, leg, order_id))
        signed = submission.order
        orders.append(
            {"leg": leg, "order_id": order_id, "wallet": signed.maker, "salt": str(signed.salt),
             "market": subjects[-1].market, "token": str(signed.token_id)}
        )  # fmt: skip
    return Reading(tuple(subjects) or (Subject(),), shown | {"orders": orders})


def id_of(exchange: Exchange, submission: Submission) -> str:
    """The hash of an order; empty while its market, and with it the domain, is unknown."""
    found = exchange.by_token.get(str(submission.order.token_id))
    if found is None:
        return ""
    return order_hash(order_message(submission.order, domain_of(found[0].facts)))


def _cancelling(exchange: Exchange, body: bytes, shown: dict[str, Any]) -> Reading:
    try:
        asked: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        asked = None
    named: Any = [asked.get("orderID")] if isinstance(asked, dict) else asked
    ids = [str(one) for one in named if isinstance(one, str)] if isinstance(named, list) else []
    subjects: list[Subject] = []
    for leg, order_id in enumerate(ids, start=1):
        order = exchange.floor.register.get(order_id)
        if order is None:
            subjects.append(Subject(leg=leg, order_id=order_id))
            continue
        subjects.append(
            Subject(
                wallet=order.wallet,
                market=order.condition_id,
                token=order.token,
                side=str(order.side),
                leg=leg,
                order_type=order.order_type,
                order_id=order_id,
                status=str(order.status),
            )
        )
    return Reading(tuple(subjects) or (Subject(),), shown | {"cancels": ids[:1000]})
