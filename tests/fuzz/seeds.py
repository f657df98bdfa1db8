"""What fuzzers begin with: frames made from code, right and slightly wrong, and their words."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.ingest import frames
from tests.ingest.frames import Stream, hash_of, token_of

SEPARATOR = b"\x1e"
"""Between the frames of a sequence: no frame that the venue sends has it."""


def seeds() -> Iterator[bytes]:
    """A level that comes and goes, one frame of every shape, then streams, right and wrong."""
    token, other, at = token_of(0), token_of(1), 1_790_000_000_000
    bids, asks = [("0.28", "5"), ("0.3", "1.5")], [("0.4", "17")]
    book = {"hash_text": hash_of(1), "tick": "0.01", "last": "0.280"}
    change, gone = (
        frames.price_change(token, at, [
            frames.change(token, "BUY", "0.28", size, hash_of(1)),
            frames.change(other, "SELL", "0.72", size, hash_of(2)),
        ])
        for size in ("100", "0")
    )  # fmt: skip
    dump = frames.dump_book(token, at, bids, asks, **book)
    shapes = [dump, change, gone, frames.later_book(token, at, [], asks, hash_text=""),
              frames.trade(token, at, "0.285"), frames.tick_change(token, at, "0.001"),
              f"[{dump},{change}]\n", change.replace(", ", ","), "PONG", "[]"]  # fmt: skip
    yield from (shape.encode() for shape in shapes)
    for seed in range(24):
        stream = Stream(seed, wrong=(0.0, 0.0, 0.4)[seed % 3])
        yield from (stream.frame() for _ in range(12))


def write_seeds(folder: Path, longest: int, *, of_frames: int = 1) -> None:
    """The seeds as files; with `of_frames`, sequences of so many frames."""
    folder.mkdir(parents=True)
    made = list(seeds())
    for number in range(0, len(made), of_frames):
        seed = SEPARATOR.join(made[number : number + of_frames])
        if len(seed) <= longest:
            (folder / f"{number}").write_bytes(seed)


def write_words(path: Path) -> None:
    """libFuzzer's dictionary: the words that frames are made of."""
    words = sorted({word for seed in seeds() for word in re.findall(rb'"[a-z_]+":"?', seed)})
    lines = ["".join(f"\\x{byte:02x}" for byte in word) for word in words]
    path.write_text("".join(f'"{line}"\n' for line in lines))
