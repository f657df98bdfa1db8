"""A market channel at any rate: ready-made frames, sent by a schedule, whatever the client does.

`python -m sim.firehose` listens on a loopback port and prints it. It is told what to do by JSON
lines on its input and answers each with one:

    {"markets": [{"condition": "0x..", "yes": "..", "no": ".."}, ..]}    which markets there are
    {}                                                                   who is connected
    {"start_ns": N, "slot_ns": N, "counts": [..]}                        how many frames in a slot

The schedule is open-loop: a client that does not keep up finds its frames waiting, in the socket
and then here, and their time still counts from the slot that they were meant for. Frames are made
beforehand, a ring of them for every connection, so that sending costs next to nothing and a
hundred thousand a second need a part of one core. Books and changes are right in form and in their
mirrored entries, and enclose one fair price a market; they carry one time and no true book hash.
A market with an "offer_e4" is now and then shown at a price so much higher, and in its next frame
at the right one again: then there is something to trade.
"""

import base64
import hashlib
import json
import select
import socket
import sys
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from sim.delivery import text_frame
from sim.encode import Entry, price_change
from sim.lifecycle import die_with_parent

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
AT_MS = "1790000000000"
RING_FRAMES = 8_192
LEVELS = 12
OFFER_ROUNDS = 16
"""One offer in so many rounds of a connection's markets."""
IDLE_S = 0.02
READ_BYTES = 1 << 16
_SHORT, _LONG = 126, 127


@dataclass(frozen=True, slots=True)
class Listing:
    """One market and the price that its books enclose."""

    condition: str
    yes: str
    no: str
    fair_e4: int
    offer_e4: int = 0
    tick_e4: int = 10


def listing_of(facts: dict[str, Any]) -> Listing:
    """A market as it was told; `fair_e4` is 5000 where nothing is said."""
    return Listing(
        facts["condition"],
        facts["yes"],
        facts["no"],
        int(facts.get("fair_e4", 5_000)),
        int(facts.get("offer_e4", 0)),
        int(facts.get("tick_e4", 10)),
    )


def price_text(price_e4: int) -> str:
    """As the venue writes it: at least two decimals, no zeros behind them."""
    text = f"{price_e4 // 10_000}.{price_e4 % 10_000:04d}"
    return text[:4] + text[4:].rstrip("0")


def digest_of(seed: object) -> str:
    """Something that looks like a book hash."""
    return hashlib.sha1(str(seed).encode(), usedforsecurity=False).hexdigest()


def book_text(listing: Listing, random: Random, lift_e4: int = 0) -> str:
    """One element of the initial dump: a dozen levels a side, one tick apart."""
    fair_e4 = listing.fair_e4 + lift_e4

    def side(step: int) -> str:
        prices = [fair_e4 + step * (2 + number) * listing.tick_e4 for number in range(LEVELS)]
        shown = [price for price in reversed(prices) if 0 < price < 10_000]
        return ",".join(
            f'{{"price":"{price_text(price)}","size":"{random.randint(5, 900)}.25"}}'
            for price in shown
        )

    return (
        f'{{"market":"{listing.condition}","asset_id":"{listing.yes}","timestamp":"{AT_MS}",'
        f'"hash":"{digest_of(listing.yes)}","bids":[{side(-1)}],"asks":[{side(1)}],'
        f'"tick_size":"{price_text(listing.tick_e4)}","event_type":"book","last_trade_price":""}}'
    )


def change_text(listing: Listing, random: Random) -> str:
    """A change of one level near the top, with its mirrored entry."""
    tick_e4, fair_e4 = listing.tick_e4, listing.fair_e4
    buys = random.random() < 0.5
    away = random.randint(2, LEVELS) * tick_e4
    price_e4 = min(max(fair_e4 + (-away if buys else away), tick_e4), 10_000 - tick_e4)
    if price_e4 in {fair_e4, fair_e4 - tick_e4, fair_e4 + tick_e4}:
        buys = price_e4 < fair_e4  # so near the end of the grid that there is no room
    size = f"{random.randint(5, 900)}.{random.randint(10, 99)}"
    best = [price_text(fair_e4 + step * 2 * tick_e4) for step in (-1, 1)]
    mirrored = [price_text(10_000 - fair_e4 + step * 2 * tick_e4) for step in (-1, 1)]
    sides = ("BUY", "SELL") if buys else ("SELL", "BUY")
    texts = (price_text(price_e4), price_text(10_000 - price_e4))
    entries = [
        Entry(token, text, size, side, digest_of((token, size)), *tops)
        for token, text, side, tops in zip(
            (listing.yes, listing.no), texts, sides, (best, mirrored), strict=True
        )
    ]
    return price_change(listing.condition, entries[0], entries[1], AT_MS)


def ring_texts(listings: list[Listing], random: Random) -> list[str]:
    """A ring of changes, market after market, whole rounds of them; and the offers."""
    rounds = max(2, RING_FRAMES // len(listings))
    offering = [place for place, one in enumerate(listings) if one.offer_e4]
    texts = [change_text(one, random) for _ in range(rounds) for one in listings]
    for turn in range(0, rounds - 1, OFFER_ROUNDS):
        if offering:
            place = offering[turn // OFFER_ROUNDS % len(offering)]
            one, at = listings[place], turn * len(listings) + place
            texts[at] = book_text(one, random, one.offer_e4)
            texts[at + len(listings)] = book_text(one, random)
    return texts


@dataclass(slots=True, eq=False)
class Client:
    """One connection: what it asked for, its ring of frames, and what waits to be written."""

    connection: socket.socket
    tokens: dict[str, None] = field(default_factory=dict)
    heard: bytearray = field(default_factory=bytearray)
    open: bool = False
    ring: bytes = b""
    starts: list[int] = field(default_factory=list)
    """Where each frame of the ring begins, and where the last one ends."""
    at: int = 0
    waiting: list[memoryview] = field(default_factory=list)
    share: float = 0.0
    """How many frames it is owed beyond those that it was sent."""

    def push(self, count: int) -> None:
        """Send the next frames of the ring, or keep them waiting."""
        while count > 0 and self.starts:
            some = min(count, len(self.starts) - 1 - self.at)
            piece = memoryview(self.ring)[self.starts[self.at] : self.starts[self.at + some]]
            self.waiting.append(piece)
            self.at = (self.at + some) % (len(self.starts) - 1)
            count -= some
        self.flush()

    def flush(self) -> None:
        """Write as much as the socket takes."""
        while self.waiting:
            piece = self.waiting[0]
            try:
                sent = self.connection.send(piece)
            except BlockingIOError:
                return
            if sent == len(piece):
                self.waiting.pop(0)
            else:
                self.waiting[0] = piece[sent:]

    def make_ring(self, listings: list[Listing], random: Random) -> None:
        """Frames about these markets, one after the other."""
        frames = [text_frame(text) for text in ring_texts(listings, random)]
        self.starts = [0]
        for frame in frames:
            self.starts.append(self.starts[-1] + len(frame))
        self.ring = b"".join(frames)
        self.at = 0


def shared_out(count: int, clients: list[Client], total: int) -> list[tuple[Client, int]]:
    """Who gets how many of a slot's frames: by their markets, and to the frame over time."""
    for client in clients:
        client.share += count * len(client.tokens) / total
    parts = {id(client): max(0, int(client.share)) for client in clients}
    left = count - sum(parts.values())
    for client in sorted(clients, key=lambda one: parts[id(one)] - one.share):
        step = max(-parts[id(client)], min(1, left))
        parts[id(client)] += step
        left -= step
    for client in clients:
        client.share -= parts[id(client)]
    return [(client, parts[id(client)]) for client in clients if parts[id(client)]]


def accept_line(request: bytes) -> bytes:
    """The answer to a WebSocket request."""
    key = next(
        line.split(b":", 1)[1].strip()
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"sec-websocket-key:")
    )
    accept = base64.b64encode(hashlib.sha1(key + MAGIC, usedforsecurity=False).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def unmasked(heard: bytearray) -> bytes | None:
    """The next whole client frame, taken from the front; None while there is none."""
    if len(heard) < 2:
        return None
    size, at = heard[1] & 0x7F, 2
    if size in {_SHORT, _LONG}:
        wide = 2 if size == _SHORT else 8
        if len(heard) < at + wide:
            return None
        size, at = int.from_bytes(heard[at : at + wide], "big"), at + wide
    if len(heard) < at + 4 + size:
        return None
    mask, body = heard[at : at + 4], heard[at + 4 : at + 4 + size]
    del heard[: at + 4 + size]
    repeated = bytes(mask) * (size // 4 + 1)
    whole = int.from_bytes(body, "big") ^ int.from_bytes(repeated[:size], "big")
    return whole.to_bytes(size, "big")


class Firehose:
    """The listening socket, its clients, and the schedule that runs."""

    def __init__(self, port: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.listener.setblocking(False)
        self.port = int(self.listener.getsockname()[1])
        self.clients: list[Client] = []
        self.listings: dict[str, Listing] = {}
        self._random = Random(1)
        self._stale = True

    # --- clients ------------------------------------------------------------------------------

    def look(self, patience_s: float) -> bool:
        """Hear clients for a while; whether there is a line of input."""
        watched = [self.listener, sys.stdin, *(client.connection for client in self.clients)]
        owed = [client.connection for client in self.clients if client.waiting]
        ready, _, _ = select.select(watched, owed, [], patience_s)
        if self.listener in ready:
            connection, _ = self.listener.accept()
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.clients.append(Client(connection))
        for client in list(self.clients):
            try:
                if client.connection in ready:
                    self._hear(client)
                client.flush()
            except OSError:
                self._drop(client)
        return sys.stdin in ready

    def _drop(self, client: Client) -> None:
        client.connection.close()
        client.starts, client.waiting = [], []
        self.clients.remove(client)

    def _hear(self, client: Client) -> None:
        piece = client.connection.recv(READ_BYTES)
        if not piece:
            raise ConnectionResetError
        client.heard += piece
        if not client.open and b"\r\n\r\n" in client.heard:
            end = client.heard.index(b"\r\n\r\n") + 4
            self._send(client, accept_line(bytes(client.heard[:end])))
            del client.heard[:end]
            client.open = True
        while client.open and (said := unmasked(client.heard)) is not None:
            self._answer(client, said)

    def _answer(self, client: Client, said: bytes) -> None:
        if said == b"PING":
            self._send(client, text_frame("PONG"))
        elif said.startswith(b"{"):
            wanted = json.loads(said)
            if wanted.get("operation") != "unsubscribe":
                client.tokens.update(dict.fromkeys(wanted["assets_ids"]))
                self._dump(client, wanted["assets_ids"])
            self._stale = True

    def _send(self, client: Client, data: bytes) -> None:
        client.waiting.append(memoryview(data))
        client.flush()

    def _dump(self, client: Client, tokens: list[str]) -> None:
        known = [self.listings[token] for token in tokens if token in self.listings]
        if known:
            texts = ",".join(book_text(listing, self._random) for listing in known)
            self._send(client, text_frame(f"[{texts}]\n"))

    # --- what is asked of it ------------------------------------------------------------------

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one line of input; the answer."""
        if "markets" in order:
            known = [listing_of(facts) for facts in order["markets"]]
            self.listings = {listing.yes: listing for listing in known}
            for client in self.clients:
                self._dump(client, list(client.tokens))
            self._stale = True
            return {"markets": len(known)}
        if "start_ns" in order:
            return self._run(order["start_ns"], order["slot_ns"], order["counts"])
        self._make_rings()
        return {"clients": len(self.clients), "tokens": sum(len(c.tokens) for c in self.clients)}

    def _make_rings(self) -> None:
        if not self._stale:
            return
        self._stale = False
        for client in self.clients:
            known = [self.listings[token] for token in client.tokens if token in self.listings]
            if known:
                client.make_ring(known, self._random)

    def _run(self, start_ns: int, slot_ns: int, counts: list[int]) -> dict[str, Any]:
        """Send by the schedule; afterwards wait until everything has left."""
        self._make_rings()
        fed = [client for client in self.clients if client.starts]
        total = sum(len(client.tokens) for client in fed) or 1
        late_ns = sent = 0
        for slot, count in enumerate(counts):
            due_ns = start_ns + slot * slot_ns
            while (left_ns := due_ns - time.monotonic_ns()) > 0:
                time.sleep(left_ns / 1e9)
            if count:
                late_ns = max(late_ns, time.monotonic_ns() - due_ns)
            for client, some in shared_out(count, fed, total):
                try:
                    client.push(some)
                except OSError:
                    self._drop(client)
            sent += count if fed else 0
            if slot % 16 == 0:
                self.look(0.0)
        deadline_ns = time.monotonic_ns() + 20 * 10**9
        while any(client.waiting for client in fed) and time.monotonic_ns() < deadline_ns:
            self.look(0.001)
        left = len(fed) - sum(client in self.clients for client in fed)
        return {"sent": sent, "late_ns": late_ns, "lost_clients": left}


def main() -> None:
    """Serve until the input ends."""
    die_with_parent()
    firehose = Firehose(0)
    sys.stdout.write(json.dumps({"ready": True, "port": firehose.port}) + "\n")
    sys.stdout.flush()
    while True:
        if firehose.look(IDLE_S):
            line = sys.stdin.readline()
            if not line:
                return
            sys.stdout.write(json.dumps(firehose.obey(json.loads(line))) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
