"""JSON libraries: a frame into Python objects. What comes after (books, checks) is not in it."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
import orjson
import simdjson
from line import Thing, serve

CORPUS = json.loads(Path(sys.argv[1]).read_text())["frames"]
PARSER = simdjson.Parser()


def one_field(frame: bytes) -> object:
    """simdjson is lazy: to parse and look at one value is its best case."""
    found = PARSER.parse(frame)
    first = found[0] if frame[:1] == b"[" else found
    return first["timestamp"]


class Level(msgspec.Struct):
    price: str
    size: str


class Change(msgspec.Struct):
    asset_id: str
    price: str
    size: str
    side: str
    hash: str


class Book(msgspec.Struct, tag="book", tag_field="event_type"):
    market: str
    asset_id: str
    timestamp: str
    hash: str
    bids: list[Level]
    asks: list[Level]


class Changes(msgspec.Struct, tag="price_change", tag_field="event_type"):
    market: str
    price_changes: list[Change]
    timestamp: str


TYPED = msgspec.json.Decoder(Book | Changes | list[Book])
CALLS = {
    "json": json.loads,
    "orjson": orjson.loads,
    "msgspec": msgspec.json.decode,
    "msgspec typed": TYPED.decode,
    "pysimdjson": one_field,
}


def thing(name: str, corpus: str) -> Thing:
    inputs = [(text.encode(),) for text in CORPUS[corpus]]
    return Thing(CALLS[name], inputs, group=5)


serve(
    {
        f"{name}/{corpus}": (lambda n=name, c=corpus: thing(n, c))
        for name in CALLS
        for corpus in CORPUS
    },
    {name: version(name) for name in ("orjson", "msgspec", "pysimdjson")}
    | {"msgspec typed": version("msgspec"), "json": sys.version.split()[0]},
)
