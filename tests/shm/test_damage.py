"""Bytes that go bad: M5, every value of every byte of a header; M6, bits flipped at random.

A hundred thousand books or so in an ordinary run of the tests; `make soak` or `POLYTRIO_FLIPS=20`
makes twenty times as many, which is more than a million.
"""

import itertools
import os
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from engine import pricer
from engine.core import make_core
from engine.reference import PythonCore
from executor import gate
from shm import backend, segment
from shm.codes import Role
from shm.control import publish_settings, read_settings
from shm.errors import EXIT_CODES_FINAL, FencedError, LayoutMismatch, SegmentDamaged
from shm.fabric import Fabric, find_section
from shm.layout import RECORDS, SIGNAL, UPDATE
from shm.markets import MarketsReader
from shm.segment import attach, create
from shm.segments import SCHEMA_OFFSET, SEGMENTS, Kind, segment_name
from shm.settings import Settings
from shm.system import create_all
from tests.conftest import require_or_skip
from tests.shm import victims
from tests.shm.damage import ENGINE, Bench, orders, row_bytes, section_bytes
from tests.shm.victims import bury

pytestmark = pytest.mark.contract

LONG = os.environ.get("POLYTRIO_SOAK") == "long"
TIMES = int(os.environ.get("POLYTRIO_FLIPS", "20" if LONG else "1"))
CORES = {"python": PythonCore, "compiled": make_core}
cores = pytest.mark.parametrize("core", CORES)


def core_of(name: str) -> Callable:
    require_or_skip(name == "python" or backend.NATIVE, "the compiled kernels")
    return CORES[name]


def say(bench: Bench) -> None:
    """For `pytest -s`: how much damage was done."""
    sys.stdout.write(f" {bench.flips} flips ")


# --- M5: a header that is not ours --------------------------------------------------------------


def accepted_bytes(instance: str) -> list[tuple[int, int]]:
    """(offset, value) of each change of one byte before the schema that attaching does not mind."""
    plan = SEGMENTS["signals"]
    create(instance, plan)
    fd = os.open(segment._path(segment_name(instance, plan.name)), os.O_RDWR)
    accepted = []
    for offset in range(SCHEMA_OFFSET):
        (before,) = os.pread(fd, 1, offset)
        for value in set(range(256)) - {before}:
            os.pwrite(fd, bytes([value]), offset)
            with suppress(LayoutMismatch):
                attach(instance, plan, writable=False)
                accepted.append((offset, value))
        os.pwrite(fd, bytes([before]), offset)
    os.close(fd)
    attach(instance, plan, writable=False)
    return accepted


def test_m5_every_other_value_of_every_byte_of_the_header_is_refused(instance):
    assert accepted_bytes(instance) == []


def test_m5_a_checksum_that_leaves_bytes_out_would_be_caught(instance, monkeypatch):
    whole = segment._checksum
    monkeypatch.setattr(segment, "_checksum", lambda head, schema: whole(head[:184], schema))
    assert len(accepted_bytes(instance)) == (SCHEMA_OFFSET - 184) * 255


@pytest.mark.parametrize(
    "changed",
    [
        {"layout_hash": bytes(16)},
        {"boot_id": bytes(16)},
        {"segment": b"books"},
        {"instance": b"another"},
        {"endian_tag": 0x0807060504030201},
        {"header_bytes": 256},
        {"data_offset": 8192},
        {"schema_bytes": 10},
        {"total_bytes": 4096},
    ],
)
def test_m5_a_right_checksum_over_a_wrong_field_helps_nothing(instance, changed, monkeypatch):
    header = segment.Header
    monkeypatch.setattr(segment, "Header", lambda **fields: header(**(fields | changed)))
    create(instance, SEGMENTS["signals"])
    with pytest.raises(LayoutMismatch, match=f"python -m shm destroy --instance {instance}"):
        attach(instance, SEGMENTS["signals"], writable=False)


@pytest.mark.parametrize("offset", [0, 11 * 8, 9 * 8, 250])
def test_m5_a_stage_refuses_it_with_one_line_and_a_code_that_stops_the_restarts(instance, offset):
    create_all(Settings(instance=instance))
    path = segment._path(segment_name(instance, "control"))
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    done = bury(victims.start(victims.stage, instance))
    assert done.code == LayoutMismatch.exit_code
    assert done.code in EXIT_CODES_FINAL
    assert done.err.count("\n") == 1


# --- M6: books ------------------------------------------------------------------------------------


def damage_books(bench: Bench, flips: int) -> None:
    rows = list(bench.by_row)
    damaged = {row: bench.flipping(*row_bytes("books", row)) for row in rows}
    for turn in range(flips):
        if turn % 500 == 0:
            bench.refresh()
        row = rows[turn % len(rows)]
        next(damaged[row])  # mends what was flipped here before
        bench.update(row)
        bench.judge_signals()


@cores
def test_m6_no_flipped_bit_of_a_book_makes_an_absurd_order(instance, core):
    bench = Bench(instance, core_of(core))
    damage_books(bench, TIMES * (5_000 if core == "python" else 100_000))
    say(bench)
    assert not bench.complaints, bench.complaints[:3]
    assert bench.signalled > 300, "the books had no edges to begin with"
    assert bench.admitted > 300


def test_m6_a_pricer_that_believes_every_price_would_be_caught(instance, monkeypatch):
    monkeypatch.setattr(pricer, "PRICE_ONE_E4", 10**9)
    bench = Bench(instance, PythonCore)
    with pytest.raises(IndexError):  # there is no fee for such a price: it dies loudly
        damage_books(bench, 4_000)


# --- M6: signals ----------------------------------------------------------------------------------


def damage_signals(bench: Bench, flips: int) -> list[str]:
    """Flip bits between engine and executor; what would be ordered that was not meant.

    Which tokens, sides and prices: the number of shares may change within what the executor may
    spend, for nothing else in a signal says it (the profit bounds it, until that is hit, too).
    """
    bench.update(0)
    meant = bench.signals.pop()
    assert meant is not None
    unwanted = []
    producer = bench.engine.produce("signals", SIGNAL)
    for turn in range(flips):
        now_ns = bench.situation().now_ns
        signal = meant._replace(created_ns=now_ns, seen_ns=now_ns)
        slot = producer.ring.position % SEGMENTS["signals"].placed["signals"].section.rows
        assert producer.try_push(signal)
        name, start, stride = row_bytes("signals", slot)
        for _ in range(1 + turn % 3):
            bench.flip(name, start + 8, stride - 8)
        popped = bench.signals.pop()
        outcome = bench.judge(popped)
        if outcome is not None and orders(popped) != orders(meant):
            unwanted.append(f"{orders(popped)} for {orders(meant)}")
    return unwanted


def test_m6_no_flipped_bit_of_a_signal_orders_anything_that_was_not_meant(instance):
    bench = Bench(instance, core_of("compiled"))
    unwanted = damage_signals(bench, TIMES * 30_000)
    say(bench)
    assert not unwanted, unwanted[:3]
    assert not bench.complaints, bench.complaints[:3]
    assert bench.admitted > 300, "nothing was left to admit"


def test_m6_a_gate_that_computes_nothing_again_would_be_caught(instance, monkeypatch):
    monkeypatch.setattr(gate, "_contradictory", lambda *_asked: False)
    assert damage_signals(Bench(instance, PythonCore), 3_000)


# --- M6: rings, marks, roles, switches ------------------------------------------------------------

AROUND = ["updates.updates", "updates.dirty", "updates.dirty_seen", "reports.reports",
          "signals.signals", "control.roles", "control.switches"]  # fmt: skip


def damage_around(bench: Bench, rounds: int, *, at_once: int = 16) -> None:
    """Flip bits in everything else that the engine reads, and let it turn."""
    kept = {path: bytes(_bytes(bench, path)) for path in AROUND}
    for _ in range(rounds):
        for path, before in kept.items():
            _bytes(bench, path)[:] = before
        bench.core = bench.core_of(bench.engine, ENGINE, bench.holder.epoch)
        bench.signals = bench.fabric.consume("signals", SIGNAL)
        updates = bench.ingest_fabric.produce("updates", UPDATE)
        bench.refresh()
        for row in bench.by_row:
            updates.try_push(UPDATE.blank()._replace(market=row))
            bench.marker.mark(row)
        for path in bench.random.choices(AROUND, k=at_once):
            bench.flip(*_used(path))
        with suppress(FencedError):  # the epoch was hit: a loud end
            for _ in range(3):
                bench.core.step(0, 0, may_sleep=False)
                bench.judge_signals()


def _bytes(bench: Bench, path: str) -> memoryview:
    name, start, size = section_bytes(path)
    return bench.views[name][start : start + size]


def _used(path: str) -> tuple[str, int, int]:
    """The part of a section where something stands: of a ring, its words and first slots."""
    name, start, size = section_bytes(path)
    return name, start, min(size, 4_096)


@cores
def test_m6_flipped_bits_in_rings_marks_roles_and_switches_make_no_absurd_order(instance, core):
    bench = Bench(instance, core_of(core))
    damage_around(bench, TIMES * (100 if core == "python" else 1_000))
    say(bench)
    assert not bench.complaints, bench.complaints[:3]
    assert bench.signalled > 10


def test_m6_a_switch_is_on_by_one_value_only(instance):
    bench = Bench(instance, core_of("compiled"))
    name, start, _ = section_bytes("control.switches")
    for value in [0, *(1 << bit for bit in range(1, 64)), 3, 2**64 - 1]:
        bench.views[name][start : start + 8] = value.to_bytes(8, "little")
        bench.update(0)
        assert bench.signals.pop() is None, value
    bench.views[name][start : start + 8] = (1).to_bytes(8, "little")
    bench.update(0)
    assert bench.signals.pop() is not None


@cores
def test_m6_a_heartbeat_of_the_future_is_no_heartbeat(instance, core):
    bench = Bench(instance, core_of(core))
    bench.ingest_role.beat(2**62)
    bench.update(0)
    assert bench.signals.pop() is None
    bench.refresh()
    bench.update(0)
    assert bench.signals.pop() is not None


# --- M6: what is read seldom ----------------------------------------------------------------------


def outcomes(bench: Bench, path: str, flips: int, read: Callable[[], object]) -> set[str]:
    """Flip a bit, read, mend: the kinds of ends, and `wrong` if another value came out."""
    right = read()
    name, start, size = section_bytes(path)
    placed = find_section(path)[1]
    used = min(size, 2 * placed.section.stride_bytes)
    seen = set()
    for _ in itertools.islice(bench.flipping(name, start, used), flips):
        try:
            value = read()
        except SegmentDamaged:
            seen.add("refused")
        else:
            seen.add("right" if value == right else "nothing" if not value else "wrong")
    return seen


def test_m6_markets_and_settings_are_the_published_ones_or_refused(instance):
    bench = Bench(instance, PythonCore)
    desk = Fabric(instance, Role.DESK)

    def markets():
        found = MarketsReader(desk).read()
        return found if found[1] else None

    assert outcomes(bench, "markets.markets", 600 * TIMES, markets) <= {
        "right", "nothing", "refused"
    }  # fmt: skip
    publish_settings(Fabric(instance, Role.SUPERVISOR), Settings(instance=instance))
    found = outcomes(bench, "control.settings", 3_000 * TIMES, lambda: read_settings(desk))
    assert found == {"right", "refused"} | (found & {"nothing"})
    say(bench)


def test_m6_every_section_can_be_read_with_any_bit_flipped(instance):
    """Tables that only people look at: damaged numbers are shown as numbers, nothing dies."""
    bench = Bench(instance, PythonCore)
    for plan in SEGMENTS.values():
        for name, placed in plan.placed.items():
            size = min(placed.section.total_bytes, 4_096)
            for _ in range(40 * TIMES):
                bench.flip(plan.name, placed.offset, size)
            record = placed.section.parts[0][0]
            assert record in RECORDS
            if placed.section.kind is Kind.LATCH and len(placed.section.parts) == 1:
                table = bench.engine.read_table(f"{plan.name}.{name}", record)
                for row in range(min(4, table.count)):
                    table.read(row)
            record.unpack(bench.views[plan.name], placed.offset + placed.section.prelude_bytes)
    say(bench)
