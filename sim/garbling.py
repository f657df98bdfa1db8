"""Replies that are no replies: what proxies, bugs and other charsets make of a body. Pure."""

from dataclasses import dataclass, field
from typing import Any

import msgspec

from sim.canned import ANSWERS, Canned
from sim.effects import Answer, Garbling
from sim.replies import Reply

DEEP_LEVELS = 100_000
HUGE_BYTES = 10_000_000
_JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Wire:
    """A reply as bytes. With `promised` the length header says that many, whatever comes."""

    status: int
    body: bytes
    content_type: str = _JSON
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None

    def raw(self) -> bytes:
        """The whole HTTP/1.1 message."""
        length = len(self.body) if self.promised is None else self.promised
        lines = [
            f"HTTP/1.1 {self.status} {_PHRASES.get(self.status, 'Unknown')}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {length}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


_PHRASES = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 500: "Internal Server Error"}


def wire_of(reply: Reply) -> Wire:
    """The bytes of an ordinary reply."""
    if reply.text is not None:
        body = reply.text.encode()
        return Wire(reply.status, body, "text/plain; charset=utf-8", dict(reply.headers))
    return Wire(reply.status, msgspec.json.encode(reply.body), _JSON, dict(reply.headers))


def answer_of(answer: Answer, order_id: str, address: str) -> Wire:
    """The bytes of an answer that a rule gives in the exchange's place."""
    if not answer.kind:
        headers = dict(answer.headers)
        if answer.retry_after_s is not None:
            headers["Retry-After"] = str(answer.retry_after_s)
        return Wire(answer.status, answer.text.encode(), answer.content_type, headers)
    canned = ANSWERS[answer.kind]
    seconds = canned.retry_after_s if answer.retry_after_s is None else answer.retry_after_s
    headers = canned.headers | answer.headers
    if seconds is not None:
        headers["Retry-After"] = str(seconds)
    if canned.html:
        return Wire(canned.status, canned.text.encode(), "text/html", headers)
    text = canned.text.replace("{id}", order_id).replace("{address}", address)
    body = {"error": text} | _members(canned, seconds)
    return Wire(canned.status, msgspec.json.encode(body), _JSON, headers)


def _members(canned: Canned, seconds: int | None) -> dict[str, Any]:
    return {
        name: seconds if value == "{seconds}" else value for name, value in canned.members.items()
    }


def garble(wire: Wire, how: Garbling) -> Wire:
    """The same reply with a body, or headers, that nobody should believe."""
    body, kind, headers, promised = wire.body, wire.content_type, dict(wire.headers), None
    match how:
        case "truncated":
            body = body[: len(body) // 2]
        case "html":
            body, kind = ANSWERS["bad_gateway"].text.encode(), "text/html"
        case "empty":
            body = b""
        case "string":
            body = b'"ok"'
        case "null":
            body = b"null"
        case "charset":
            body, kind = body.decode().encode("utf-16"), f"{_JSON}; charset=utf-16"
        case "utf8":
            body = b'{"error":"\xff\xfe\xc3("}'
        case "gzip":
            headers["Content-Encoding"] = "gzip"
            body = b"\x1f\x8b\x08\x00 this is not gzip"
        case "error_dict":
            body = b'{"error":"something went wrong"}'
        case "deep":
            body = b"[" * DEEP_LEVELS
        case "huge":
            body = b'["' + b"x" * HUGE_BYTES + b'"]'
        case "length":
            promised = len(body) + 100
    return Wire(200, body, kind, headers, promised)


def edit(wire: Wire, members: dict[str, Any], remove: tuple[str, ...]) -> Wire:
    """Set and remove members of the object, or of each object of the array, that a body is."""
    value = msgspec.json.decode(wire.body)
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, dict):
            one.update(members)
            for name in remove:
                one.pop(name, None)
    return Wire(wire.status, msgspec.json.encode(value), wire.content_type, wire.headers)
