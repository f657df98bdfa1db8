"""The pens: both write the same bytes, refuse the same rows, and a failed write leaves no trace."""

import errno
import os
import pickle
import resource
import struct
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.pens import PlainPen, make_pen
from shm import backend
from shm.journal_record import (
    GROUP_MAX,
    PAYLOAD_BYTES,
    RECORD_BYTES,
    Draft,
    Link,
    seal_group,
)
from shm.layout import Array, Octets
from shm.payloads import PAYLOADS
from shm.records import Kind
from tests.conftest import require_or_skip

LINK = Link(0x1122334455667788, 41, 3, b"\xa5" * 8)
MONO_NS, WALL_NS = 7_000_000_001, 1_795_000_000_000_000_002
REFUSED = (ValueError, OverflowError, struct.error)
ROOM = 6
"""Longest rows that hypothesis draws; the longest of all are an example of their own."""


@pytest.fixture(autouse=True)
def compiled():
    require_or_skip(backend.NATIVE, "the compiled kernels")


def values_of(kind):
    """All that a field of this kind can hold."""
    if isinstance(kind, Octets):
        return st.binary(min_size=0 if kind.text else kind.count, max_size=kind.count)
    if isinstance(kind, Array):
        return st.tuples(*[values_of(kind.item)] * kind.count)
    bits = 8 * kind.size
    if kind.code.isupper():
        return st.integers(0, 2**bits - 1)
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def rows_of(kind):
    """Rows of a kind of record."""
    return st.tuples(*(values_of(field.kind) for field in PAYLOADS[kind].record.fields))


def drafts_of(kind):
    """Records of a kind, as a row or packed already."""
    row = rows_of(kind)
    payload = row | row.map(lambda values: PAYLOADS[kind].pack(PAYLOADS[kind].row(*values)))
    return st.builds(Draft, st.just(kind), st.integers(0, 2**64 - 1), st.integers(0, 255), payload)


DRAFTS = st.sampled_from(list(PAYLOADS)).flatmap(drafts_of)
GROUPS = st.lists(DRAFTS, min_size=1, max_size=ROOM)
ORDERS = st.tuples(
    st.integers(0, 2**64 - 1),
    rows_of(Kind.BASKET),
    st.lists(rows_of(Kind.INTENT), min_size=1, max_size=ROOM),
)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A descriptor to write to."""
    fd = os.open(tmp_path_factory.mktemp("pen") / "file", os.O_RDWR | os.O_CREAT, 0o600)
    yield fd
    os.close(fd)


def both():
    """The compiled pen and the plain one, at the same place."""
    return make_pen(LINK, native=True), PlainPen(LINK)


def written_by(pen, act, file):
    """What `act` of a pen puts into an empty file, and how many bytes it says that it wrote."""
    os.ftruncate(file, 0)
    said = act(pen)
    return os.pread(file, GROUP_MAX * RECORD_BYTES + 1, 0), said


@given(st.lists(GROUPS, min_size=1, max_size=4))
def test_both_pens_write_the_same_bytes_group_after_group(file, groups):
    ours, plain = both()
    for group in groups:

        def act(pen, drafts=group):
            return pen.write(file, 0, drafts, MONO_NS, WALL_NS)

        data, said = written_by(ours, act, file)
        assert (data, said) == written_by(plain, act, file)
        assert said == len(data) == len(group) * RECORD_BYTES
        assert ours.link == plain.link


@given(st.lists(ORDERS, min_size=1, max_size=3))
def test_orders_are_a_basket_and_its_intents_in_the_order_of_their_legs(file, batches):
    ours, plain = both()
    link = LINK
    for flight, basket, intents in batches:
        legs = [Draft(Kind.INTENT, flight, leg, intent) for leg, intent in enumerate(intents)]
        expected, link = seal_group(
            link, [Draft(Kind.BASKET, flight, 0, basket), *legs], MONO_NS, WALL_NS
        )
        for pen in (ours, plain):
            data, said = written_by(
                pen,
                lambda one, orders=(flight, basket, intents): one.write_orders(
                    file, 0, orders, MONO_NS, WALL_NS
                ),
                file,
            )
            assert data == expected
            assert said == len(expected)
    assert ours.link == plain.link == link


@pytest.mark.parametrize("count", [1, 2, 3, 4, GROUP_MAX - 1, GROUP_MAX])
def test_groups_of_every_length_are_sealed_to_their_last_record(file, count):
    drafts = [Draft(Kind.MARK, number, 0, (number, -number)) for number in range(count)]
    for pen in both():
        data, _ = written_by(pen, lambda one: one.write(file, 0, drafts, MONO_NS, WALL_NS), file)
        assert data == seal_group(LINK, drafts, MONO_NS, WALL_NS)[0]


@pytest.mark.parametrize("count", [0, GROUP_MAX + 1])
def test_a_group_of_no_records_or_of_too_many_is_refused(file, count):
    drafts = [Draft(Kind.MARK, 0, 0, (1, 2))] * count
    ours, plain = both()
    with pytest.raises(ValueError, match=f"a group of {count} records"):
        ours.write(file, 0, drafts, MONO_NS, WALL_NS)
    with pytest.raises(AssertionError, match=f"a group of {count} records"):
        plain.write(file, 0, drafts, MONO_NS, WALL_NS)


def nothing(field):
    """Zeros, of the shape of a field."""
    if isinstance(field, Octets):
        return bytes(field.count)
    return (0,) * field.count if isinstance(field, Array) else 0


def misfits(field):
    """Values that are just too much, or too few, for a field."""
    if isinstance(field, Octets):
        return [bytes(field.count + 1), *([] if field.text else [bytes(field.count - 1)])]
    if isinstance(field, Array):
        rest = (0,) * (field.count - 1)
        return [rest, (*rest, 0, 0), *((*rest, value) for value in misfits(field.item))]
    bits = 8 * field.size
    return [2**bits, -1] if field.code.isupper() else [2 ** (bits - 1), -(2 ** (bits - 1)) - 1]


def spoilt(kind):
    """Rows of zeros in which one value does not fit, for each field and way; and two lengths."""
    fields = [field.kind for field in PAYLOADS[kind].record.fields]
    row = tuple(map(nothing, fields))
    for place, field in enumerate(fields):
        for value in misfits(field):
            yield (*row[:place], value, *row[place + 1 :])
    yield row[:-1]
    yield (*row, 0)


@pytest.mark.parametrize("kind", list(PAYLOADS), ids=lambda kind: kind.name)
def test_what_does_not_fit_its_field_is_refused_and_leaves_no_trace(file, kind):
    good = [Draft(Kind.MARK, 1, 0, (1, 2))] * 2
    for row in spoilt(kind):
        for pen in both():
            os.ftruncate(file, 0)
            with pytest.raises(REFUSED):
                pen.write(file, 0, [good[0], Draft(kind, 0, 0, row)], MONO_NS, WALL_NS)
            assert os.fstat(file).st_size == 0
            assert pen.link == LINK
            data, _ = written_by(pen, lambda one: one.write(file, 0, good, MONO_NS, WALL_NS), file)
            assert data == seal_group(LINK, good, MONO_NS, WALL_NS)[0]


def test_packed_bytes_that_are_longer_than_a_payload_are_refused(file):
    draft = Draft(Kind.MARK, 0, 0, bytes(PAYLOAD_BYTES + 1))
    ours, plain = both()
    with pytest.raises(ValueError, match="a payload of 189 bytes"):
        ours.write(file, 0, [draft], MONO_NS, WALL_NS)
    with pytest.raises(AssertionError, match="a payload of 189 bytes"):
        plain.write(file, 0, [draft], MONO_NS, WALL_NS)


def test_a_write_that_fails_says_why_and_the_next_group_takes_its_place(file):
    drafts = [Draft(Kind.MARK, 1, 0, (1, 2))]
    reading, closed = os.pipe()
    os.close(closed)
    for pen in both():
        assert pen.write(reading, 0, drafts, MONO_NS, WALL_NS) == -errno.ESPIPE
        assert pen.write_orders(closed, 0, orders(), MONO_NS, WALL_NS) == -errno.EBADF
        assert pen.link == LINK
        data, _ = written_by(pen, lambda one: one.write(file, 0, drafts, MONO_NS, WALL_NS), file)
        assert data == seal_group(LINK, drafts, MONO_NS, WALL_NS)[0]
    os.close(reading)


@contextmanager
def files_of_at_most(count):
    """No file of this process may become longer, as on a disk that is full within a group."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_half_a_group_is_no_group(file):
    drafts = [Draft(Kind.MARK, number, 0, (number, 2)) for number in range(4)]
    whole = seal_group(LINK, drafts, MONO_NS, WALL_NS)[0]
    for pen in both():
        os.ftruncate(file, 0)
        with files_of_at_most(700):
            assert pen.write(file, 0, drafts, MONO_NS, WALL_NS) == 700
        assert pen.link == LINK
        assert pen.write(file, 0, drafts, MONO_NS, WALL_NS) == len(whole)
        assert os.pread(file, 2_000, 0) == whole


def orders():
    """A flight with one leg."""
    basket = PAYLOADS[Kind.BASKET].unpack(bytes(PAYLOAD_BYTES))
    return 5, basket, [(*PAYLOADS[Kind.INTENT].unpack(bytes(PAYLOAD_BYTES))[:-1], bytes(65))]


def test_a_pen_is_not_copied():
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(make_pen(LINK, native=True))
