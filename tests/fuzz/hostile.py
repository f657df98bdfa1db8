"""Frames that are meant to hurt: as large, as deep, as many-levelled as the venue could send them.

As a program, `python -m tests.fuzz.hostile INSTANCE`, it gives them to a compiled keeper again and
again and says in JSON how much memory that took and how long each frame took at most.
"""

import json
import sys
import time
from collections.abc import Iterator

from tests.ingest import frames
from tests.ingest.frames import token_of

TEN_MB = 10 * 2**20
ROUNDS_BEFORE, ROUNDS = 3, 9
YES, NO = token_of(0), token_of(1)


def level(number: int) -> tuple[str, str]:
    return f"0.{number % 9_999 + 1:04d}", "1.5"


def book_of(levels: int) -> str:
    """A book with so many levels on one side, each price up to 9,999 once."""
    bids = [level(number) for number in range(levels)]
    return frames.later_book(YES, 7, bids, [], hash_text=frames.hash_of(1))


def changes_of(count: int, *, distinct: bool, token: str = NO) -> str:
    """So many entries of one market in one event."""
    entries = [
        frames.change(token, "BUY", level(number if distinct else 0)[0], "3", "")
        for number in range(count)
    ]
    return frames.price_change(token, 8, entries)


def hostile() -> Iterator[tuple[str, bytes]]:
    """Each with its name."""
    entry = frames.change(YES, "BUY", "0.5", "7", "")
    change = frames.price_change(YES, 7, [entry])
    fill = "x" * TEN_MB
    yield "a text of 10 MB", change.replace('"best_bid":"0.4"', f'"best_bid":"{fill}"').encode()
    yield "an unknown key of 10 MB", change.replace("{", f'{{"{fill}":1, ', 1).encode()
    yield "a token of 10 MB", change.replace(YES, "7" * TEN_MB).encode()
    yield "10 MB of spaces", b" " * TEN_MB
    yield "10 MB of nothing", b"\x00" * TEN_MB
    yield "10 MB of bytes that are no UTF-8", b"\xff" * TEN_MB
    yield "a book of 10,001 levels", book_of(10_001).encode()
    yield "a book of 100,000 levels", book_of(100_000).encode()
    yield "4,096 entries of one level", changes_of(4_096, distinct=False).encode()
    yield "4,096 entries of as many levels", changes_of(4_096, distinct=True).encode()
    yield (
        "4,096 entries in another spelling",
        (
            changes_of(4_096, distinct=True)
            .replace('"price_changes":[', '"price_changes": [')
            .encode()
        ),
    )
    yield "70,000 entries", changes_of(70_000, distinct=True).encode()
    some = changes_of(4_096, distinct=True)
    yield "10 MB of events with 4,096 entries", f"[{','.join([some] * 10)}]".encode()
    yield "4,096 events", f"[{','.join([change] * 4_096)}]".encode()
    yield "100,000 events", f"[{','.join(['{}'] * 100_000)}]".encode()
    yield "arrays 100,000 deep", b"[" * 100_000
    yield "closed arrays 100,000 deep", b"[" * 100_000 + b"]" * 100_000
    yield "objects 100,000 deep", b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    yield "depth inside an event", change.replace("{", '{"new":' + "[" * 100_000, 1).encode()
    yield "a number of 10 million digits", change.replace('"0.5"', f'"{"9" * TEN_MB}"').encode()


def resident_kb() -> int:
    """Memory of this process that is in use now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4


def main() -> None:
    """Take everything some times to grow as far as needed, then many times more."""
    from ingest.keeper import make_keeper
    from tests.ingest.test_keeper import World, market

    world = World(sys.argv[1], make_keeper, [market(row) for row in range(3)])
    book = frames.later_book(YES, 7, [("0.4", "1")], [], hash_text="").encode()
    sent = list(hostile())
    slowest: dict[str, float] = {}
    before_kb = 0
    for number in range(ROUNDS_BEFORE + ROUNDS):
        if number == ROUNDS_BEFORE:
            before_kb = resident_kb()
        for name, frame in sent:
            world.take(book, 1)
            began_ns = time.thread_time_ns()
            world.keeper.take(frame, 2)
            took_ms = (time.thread_time_ns() - began_ns) / 1e6
            slowest[name] = max(slowest.get(name, 0), took_ms)
            world.keeper.news()
    grown_kb = resident_kb() - before_kb
    sys.stdout.write(json.dumps({"grown_kb": grown_kb, "rounds": ROUNDS, "slowest_ms": slowest}))


if __name__ == "__main__":
    main()
