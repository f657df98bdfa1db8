"""System: fresh segments at each start; the living and other versions are left alone."""

import pytest

from shm.codes import Role
from shm.control import SwitchBoard, SwitchPanel, read_settings
from shm.errors import SegmentExists
from shm.fabric import Fabric
from shm.layout import BOOK, MARKETS_MAX
from shm.markets import MarketsReader, MarketsWriter, active
from shm.roles import RoleLock
from shm.segment import SHM_ROOT, list_files
from shm.segments import SEGMENTS
from shm.settings import Settings
from shm.system import create_all, destroy_all, living_roles
from tests.engine.factory import ladder


def test_all_segments_are_made_and_carry_the_settings(instance):
    settings = Settings(instance=instance, execution="off")
    create_all(settings)
    assert {file.segment for file in list_files(instance)} == set(SEGMENTS)
    assert read_settings(Fabric(instance)) == settings.anchored()
    assert destroy_all(instance) == len(SEGMENTS)


def test_what_a_dead_system_left_is_replaced(instance):
    create_all(Settings(instance=instance))
    Fabric(instance, Role.INGEST).write_table("books", BOOK).write(0, BOOK.blank())
    create_all(Settings(instance=instance))
    assert Fabric(instance).read_table("books", BOOK).version(0) == 0


def test_segments_of_another_version_are_left_alone_and_named(instance):
    stranger = SHM_ROOT / f"polytrio.{instance}.books.deadbeef"
    stranger.write_bytes(b"")
    with pytest.raises(SegmentExists, match=f"python -m shm destroy --instance {instance}"):
        create_all(Settings(instance=instance))
    assert stranger.exists()


def test_a_living_stage_of_a_lost_supervisor_is_not_robbed(instance):
    create_all(Settings(instance=instance))
    lock = RoleLock(instance, Role.EXECUTOR)
    lock.take()
    assert living_roles(instance) == ["executor"]
    with pytest.raises(SegmentExists, match="executor of instance"):
        create_all(Settings(instance=instance))
    lock.release()


def test_a_generation_of_markets_is_seen_whole(segments):
    writer = MarketsWriter(Fabric(segments, Role.DESK))
    reader = MarketsReader(Fabric(segments))
    assert not reader.changed()
    assert reader.read() == (0, [])
    rows = ladder([10, 20, 30])
    writer.publish(5, rows)
    assert reader.changed()
    generation, seen = reader.read()
    assert generation == 5
    assert [row.key for row in active(seen)] == [row.key for row in rows]
    assert not reader.changed()
    writer.publish(6, rows[:2])
    assert [row.row for row in reader.read()[1]] == [0, 1]


def test_the_age_of_facts_is_a_rows_own_and_no_generation_changes_it(segments):
    writer = MarketsWriter(Fabric(segments, Role.DESK))
    reader = MarketsReader(Fabric(segments))
    writer.publish(1, ladder([10, 20, 30]))
    assert reader.confirmed_ns(MARKETS_MAX - 1) == reader.confirmed_ns(0) == 0
    reader.read()
    writer.confirm([0, MARKETS_MAX - 1], 70)
    writer.confirm([2], 2**63)
    assert not reader.changed()
    writer.publish(2, ladder([10, 20, 30]))
    assert [reader.confirmed_ns(row) for row in (0, 1, 2, 3)] == [70, 0, 2**63, 0]
    assert reader.confirmed_ns(MARKETS_MAX - 1) == 70
    with pytest.raises(IndexError):
        reader.confirmed_ns(MARKETS_MAX)


def test_the_trading_switch_is_off_until_desk_turns_it_on(segments):
    board = SwitchBoard(Fabric(segments, Role.ENGINE))
    panel = SwitchPanel(Fabric(segments, Role.DESK))
    assert not board.trading
    panel.set_trading(enabled=True)
    assert board.trading
    panel.set_trading(enabled=False)
    assert not board.trading
