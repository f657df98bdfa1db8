"""The frames that parsers are measured on: generated ones, and the recordings where they are.

`write` puts them into one JSON file that workers of every environment read: by name the frames, and
the markets that they are about.
"""

import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from tests.conftest import SHARED
from tests.ingest import frames
from tests.ingest.frames import hash_of, market_of, token_of

AT_MS = 1_790_000_000_000
CHANGES = 2_000
BOOKS = 16
SIDES = {"book of 98 levels": 49, "book of 60 levels": 30}
RECORDINGS = (
    "data/raw_ws_frames/market-ws-frames-h1-run-8.jsonl",
    "data/raw_ws_frames/ws-market-v2-session.jsonl",
    "samples/argos/ws_session_2026-08-10.jsonl",
)
STAMP = re.compile(r'("timestamp": ?")\d{13}')
_TEXT_KEYS = ("payloadUtf8", "raw", "data")


def change_frames() -> list[str]:
    """Changes of two mirrored entries, near the top of the book; one time, so that they repeat."""
    random = Random(7)
    yes, no = token_of(0), token_of(1)
    made = []
    for number in range(CHANGES):
        mills = random.randint(281, 290)
        size = f"{random.uniform(5, 900):.2f}"
        made.append(
            frames.price_change(yes, AT_MS, [
                frames.change(yes, "BUY", f"0.{mills}", size, hash_of(number)),
                frames.change(no, "SELL", f"0.{1000 - mills}", size, hash_of(-number)),
            ])
        )  # fmt: skip
    return made


def book_frames(levels: int) -> list[str]:
    """Snapshots of so many levels a side, each a little different."""
    made = []
    for number in range(BOOKS):
        bids = [(f"0.{100 + 3 * n:03d}", f"{n * 37 + 12.5 + number}") for n in range(levels)]
        asks = [(f"0.{500 + 3 * n:03d}", f"{n * 41 + 17.5 + number}") for n in range(levels)]
        yes = token_of(0)
        made.append(frames.later_book(yes, AT_MS, bids, asks, hash_text=hash_of(number)))
    return made


def recorded_frames() -> list[str]:
    """Book and price change messages of the recordings; none where there are no recordings.

    Byte for byte but for the time, which is one for all: so they can be repeated, and none is older
    than the book that it is for.
    """
    found = [text for name in RECORDINGS for text in _texts(SHARED / name)]
    kept = [text for text in found if '"book"' in text or '"price_change"' in text]
    return [STAMP.sub(rf"\g<1>{AT_MS}", text) for text in kept]


def _texts(path: Path) -> Iterator[str]:
    if not path.exists():
        return
    for line in path.read_text("utf-8").splitlines():
        fields = json.loads(line)
        text = next((fields[key] for key in _TEXT_KEYS if isinstance(fields.get(key), str)), "")
        if text.lstrip().startswith(("{", "[")) and fields.get("dir", "recv") == "recv":
            yield text


def markets_of(texts: list[str]) -> list[dict[str, str]]:
    """Condition and tokens of every market in some frames, as far as they show both."""
    tokens: dict[str, dict[str, None]] = {}
    for event in (event for text in texts for event in _events(text)):
        known = tokens.setdefault(event["market"], {})
        named = event.get("price_changes", [event])
        known.update(dict.fromkeys(one["asset_id"] for one in named if "asset_id" in one))
    return [
        {"condition": condition, "yes": next(iter(known)), "no": [*known, "1"][1]}
        for condition, known in tokens.items()
    ]


def _events(text: str) -> list[dict[str, Any]]:
    decoded = json.loads(text)
    return [event for event in (decoded if isinstance(decoded, list) else [decoded])
            if "market" in event]  # fmt: skip


@contextmanager
def on_disk() -> Iterator[tuple[Path, dict[str, int]]]:
    """The file where workers find it, and how many frames there are, by name; gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "corpus.json"
        yield path, write(path)


def write(path: Path) -> dict[str, int]:
    """Write the file; how many frames there are, by name."""
    generated = {"market": market_of(token_of(0)), "yes": token_of(0), "no": token_of(1)}
    corpora = {"change": change_frames()}
    corpora |= {name: book_frames(levels) for name, levels in SIDES.items()}
    own = [{"condition": generated["market"], "yes": generated["yes"], "no": generated["no"]}]
    markets = dict.fromkeys(corpora, own)
    corpora["recorded"] = recorded_frames()
    markets["recorded"] = markets_of(corpora["recorded"])
    path.write_text(json.dumps({"frames": corpora, "markets": markets}))
    return {name: len(texts) for name, texts in corpora.items()}
