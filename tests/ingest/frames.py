"""Market channel frames for tests: in the venue's two spellings, random, and slightly wrong."""

import random
from functools import cache
from hashlib import sha1, sha256

SPACED, COMPACT = ", ", ","


def token_of(number: int) -> str:
    """A token id as long as real ones."""
    return str(int.from_bytes(sha1(f"token {number}".encode()).digest() * 2, "big") >> 64)


def condition_of(row: int) -> bytes:
    """Condition id of the market whose tokens are `token_of(2 * row)` and the one behind it."""
    return sha256(b"%d" % row).digest()


@cache
def market_of(token: str) -> str:
    """What a frame about a token has to name as its market; some other one for strangers."""
    rows = {token_of(number): number // 2 for number in range(64)}
    condition = condition_of(rows[token]) if token in rows else sha256(token.encode()).digest()
    return "0x" + condition.hex()


def hash_of(seed: object) -> str:
    return sha1(str(seed).encode()).hexdigest()


def levels(side: list[tuple[str, str]], comma: str) -> str:
    return comma.join(f'{{"price":"{price}"{comma}"size":"{size}"}}' for price, size in side)


def dump_book(token: str, at: int, bids, asks, *, hash_text: str, tick: str, last: str) -> str:
    """A book of the first dump, compact."""
    return (
        f'{{"market":"{market_of(token)}","asset_id":"{token}","timestamp":"{at}",'
        f'"hash":"{hash_text}","bids":[{levels(bids, COMPACT)}],"asks":[{levels(asks, COMPACT)}],'
        f'"tick_size":"{tick}","event_type":"book","last_trade_price":"{last}"}}'
    )


def later_book(token: str, at: int, bids, asks, *, hash_text: str) -> str:
    """A book after a trade, with spaces."""
    return (
        f'{{"market":"{market_of(token)}", "asset_id":"{token}", "bids":[{levels(bids, SPACED)}], '
        f'"asks":[{levels(asks, SPACED)}], "hash":"{hash_text}", "timestamp":"{at}", '
        '"event_type":"book"}'
    )


def change(token: str, side: str, price: str, size: str, hash_text: str) -> str:
    return (
        f'{{"asset_id":"{token}", "price":"{price}", "size":"{size}", "side":"{side}", '
        f'"hash":"{hash_text}", "best_bid":"0.4", "best_ask":"0.6"}}'
    )


def price_change(token: str, at: int, entries: list[str]) -> str:
    """Entries of the market that a token belongs to."""
    return (
        f'{{"market":"{market_of(token)}", "price_changes":[{SPACED.join(entries)}], '
        f'"timestamp":"{at}", "event_type":"price_change"}}'
    )


def trade(token: str, at: int, price: str) -> str:
    return (
        f'{{"market":"{market_of(token)}", "asset_id":"{token}", "price":"{price}", '
        f'"size":"18.518517", "fee_rate_bps":"0", "side":"BUY", "timestamp":"{at}", '
        f'"event_type":"last_trade_price", "transaction_hash":"0x{hash_of(at)}"}}'
    )


def tick_change(token: str, at: int, tick: str) -> str:
    return (
        f'{{"market":"{market_of(token)}", "asset_id":"{token}", "old_tick_size":"0.01", '
        f'"new_tick_size":"{tick}", "timestamp":"{at}", "event_type":"tick_size_change"}}'
    )


ODD_NUMBERS = (
    "0", "1", "0.0", "-0", "-1", "+1", "1.5", "0.00001", "0.12345", "00.1", "0.1e1", "1e308", "NaN",
    "Infinity", "", ".", ".5", "5.", " .5 ", "0x1", "1_0", "\u0661", "9" * 10_000, "0." + "9" * 400,
    "9007199254.740992", "9007199254.740993", "99999999999999999999", "0.1000", "0.10000", "1.0",
)  # fmt: skip
"""What a number may be that no number should be."""


class Stream:
    """A seeded stream of frames about some markets: mostly right, in many ways slightly wrong."""

    def __init__(self, seed: int, markets: int = 3, *, wrong: float = 0.2) -> None:
        self.random = random.Random(seed)
        self.pairs = [(token_of(2 * i), token_of(2 * i + 1)) for i in range(markets)]
        self._wrong = wrong
        self._at = 1_790_000_000_000

    def price(self) -> str:
        if self.random.random() < self._wrong * 0.05:
            return self.random.choice(ODD_NUMBERS)
        tenths = self.random.choice((1, 1, 1, 10, 10, 100))
        return f"{self.random.randint(1, 9999 // tenths) * tenths / 10_000:.4f}".rstrip("0")

    def size(self) -> str:
        if self.random.random() < self._wrong * 0.05:
            return self.random.choice(ODD_NUMBERS)
        if self.random.random() < 0.2:
            return "0"
        digits = self.random.choice((0, 0, 1, 2, 6))
        return f"{self.random.uniform(1, 5000):.{digits}f}"

    def side(self) -> list[tuple[str, str]]:
        count = self.random.choice((0, 1, 2, 5, 20, 40))
        return [(self.price(), self.size()) for _ in range(count)]

    def hash_text(self) -> str:
        return self.random.choice(("", hash_of(self._at), hash_of(self._at // 7), "short"))

    def event(self) -> str:
        roll = self.random.random()
        yes, no = self.random.choice(self.pairs)
        if self.random.random() < self._wrong * 0.05:
            yes = self.random.choice(("", "7", "stranger", "0" + yes, yes + "0" * 5))
        at = self._at + self.random.choice((0, 0, 0, 1, 5, -3 if self._wrong else 0))
        self._at = max(self._at, at)
        token = self.random.choice((yes, no))
        text = self.event_of(roll, (yes, no), token, at)
        if self.random.random() < self._wrong * 0.05:
            stranger = self.random.choice(self.pairs)[0]
            text = text.replace(market_of(yes), market_of(stranger), 1)
        return text

    def event_of(self, roll: float, pair: tuple[str, str], token: str, at: int) -> str:
        yes, no = pair
        if roll < 0.7:
            return price_change(yes, at, self.entries(yes, no))
        if roll < 0.8:
            last = self.random.choice(("", "0.280", "0.5", "a text too long"))
            tick = self.random.choice(("0.01", "0.001", "0.0001"))
            bids, asks, hash_text = self.side(), self.side(), self.hash_text()
            return dump_book(token, at, bids, asks, hash_text=hash_text, tick=tick, last=last)
        if roll < 0.92:
            return later_book(token, at, self.side(), self.side(), hash_text=self.hash_text())
        if roll < 0.97:
            return trade(token, at, self.price())
        return tick_change(token, at, self.random.choice(("0.01", "0.001")))

    def entries(self, yes: str, no: str) -> list[str]:
        """Mirrored pairs, some one side only; wrong ones contradict, or are another market's."""
        entries = []
        for _ in range(self.random.choice((1, 1, 1, 1, 1, 2, 2, 5, 10))):
            price, size, hash_text = self.price(), self.size(), self.hash_text()
            side, other = self.random.choice((("BUY", "SELL"), ("SELL", "BUY")))
            if self.random.random() < self._wrong * 0.2:
                yes, no = self.random.choice(self.pairs)
            entries.append(change(yes, side, price, size, hash_text))
            if self.random.random() < 0.9:
                mirrored = self.mirrored(price)
                if self.random.random() < self._wrong * 0.05:
                    size = "1"
                entries.append(change(no, other, mirrored, size, hash_text))
        self.random.shuffle(entries)
        return entries

    def mirrored(self, price: str) -> str:
        try:
            tenths = 10_000 - round(float(price) * 10_000)
        except (ValueError, OverflowError):
            return price
        return f"{tenths / 10_000:.4f}".rstrip("0")

    def frame(self) -> bytes:
        """One frame; what is slightly wrong is so in one byte, or in its spelling."""
        if self.random.random() < 0.1:
            text = "[" + ",".join(self.event() for _ in range(self.random.randint(1, 4))) + "]\n"
        else:
            text = self.event()
        frame = text.encode()
        if self.random.random() < self._wrong:
            frame = self.spoil(frame)
        return frame

    def spoil(self, frame: bytes) -> bytes:
        at = self.random.randrange(len(frame))
        match self.random.randrange(6):
            case 0:
                return frame[:at] + bytes([self.random.randrange(256)]) + frame[at + 1 :]
            case 1:
                return frame[:at] + frame[at + 1 :]
            case 2:
                return frame[:at]
            case 3:
                return frame.replace(b", ", b",")
            case 4:
                return frame.replace(b'"price"', rb'"pri\u0063e"', 1)
            case _:
                return frame + self.random.choice((b" ", b"\n", b"\n\n", b"x", b"PONG"))
