"""Kills two real stages at random, again and again, and checks that nothing was harmed.

    python -m tests.proof.soak KILLS [SEED] [PLANT]

The stages (tests/proof/soaked.py) are forked from here, so that a start costs a millisecond, and
then attach, lock and take their roles like any other. After each death the driver looks at the
bytes: what is committed, where the consumer stands, whether every book can be read at once. Now and
then it lets both come to rest and compares what was written with what was looked at. One line of
JSON tells what was seen; a broken promise is exit code 1.
"""

import json
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable

from shm import backend
from shm.codes import Role
from shm.layout import UPDATE
from shm.roles import RoleTable
from shm.segment import SHM_ROOT, create
from shm.segments import LATCH_HEAD_BYTES, RING_READ_OFFSET, SEGMENTS
from tests.proof import planted, soaked
from tests.proof.deaths import Broken, require
from tests.proof.soaked import (
    BOOKS,
    POP_MOST,
    ROWS,
    Account,
    Consumer,
    Ends,
    Producer,
    opened,
    perish,
)

SETTLE_EVERY = 40
PEEKS = 8
LIFE_MEAN_S = 0.006
GRAVE_MEAN_S = 0.002


class Soak:
    """One instance, its two stages, and everything that must stay true of them."""

    patience_s = 60.0
    """Who has not come to rest after this is wedged; two starts and a full ring take less."""

    def __init__(self, instance: str, kills: int, seed: int) -> None:
        self.instance = instance
        self.kills = kills
        self.seed = seed
        self.seen: Counter[str] = Counter()
        self._chance = random.Random(seed)
        self._account = Account(2 * kills + 16)
        self._ends = Ends(instance, None)
        self._roles = RoleTable(self._ends.fabric.segment("control", writable=False))
        self._tail = backend.RingTail(self._ends.ring_view, *self._ends.shape)
        self._pids: dict[Role, int] = {}
        self._incarnation = 0
        self._handles_first = False
        self._committed = 0
        self._epochs = {Role.INGEST: 0, Role.ENGINE: 0}
        self._versions = [0] * ROWS
        self._shown = 0.0

    # --- births and deaths ---------------------------------------------------------------------

    def run(self) -> None:
        """As many deaths as were asked for, and a rest at the end."""
        for role in (Role.INGEST, Role.ENGINE):
            self._start(role)
        for kill in range(1, self.kills + 1):
            self._show(kill)
            time.sleep(self._chance.expovariate(1 / LIFE_MEAN_S))
            role = self._chance.choice([Role.INGEST, Role.ENGINE])
            self._kill(role)
            if self._chance.random() < 0.25:
                time.sleep(self._chance.expovariate(1 / GRAVE_MEAN_S))
            self._start(role)
            if kill % SETTLE_EVERY == 0:
                self._settle()
        self._settle()

    def end(self) -> None:
        """Nobody survives the driver."""
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._pids.clear()

    def _start(self, role: Role) -> None:
        seed = self._chance.getrandbits(32)
        body: Callable[[], None]
        if role is Role.INGEST:
            self._incarnation += 1
            incarnation = self._incarnation
            self._account.born(incarnation, self._committed)

            def body() -> None:
                Producer(self.instance, self._account, incarnation, seed).run()
        else:
            handles_first = self._handles_first = self._chance.random() < 0.25

            def body() -> None:
                Consumer(self.instance, self._account, handles_first, seed).run()

        pid = os.fork()
        if pid == 0:
            try:
                body()
            except BaseException as error:  # noqa: BLE001  # the child must not become a driver
                os._exit(perish(error))
        self._pids[role] = pid

    def _kill(self, role: Role) -> None:
        pid = self._pids.pop(role)
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        require(killed, f"{role.label} ended by itself, status {status}")
        self.seen[f"kills of {role.label}"] += 1
        epoch = self._roles.epoch(role)
        require(epoch - self._epochs[role] in {0, 1}, "the epoch of a role jumped")
        self.seen["deaths before the role was taken"] += epoch == self._epochs[role]
        self._epochs[role] = epoch
        if role is Role.INGEST:
            self._look_at_a_dead_producer()
        else:
            self._look_at_a_dead_consumer()

    def _look_at_a_dead_producer(self) -> None:
        ends = self._ends
        end = ends.committed()
        require(end >= self._committed, "a committed message is gone")
        self._committed = end
        self._account.died(self._incarnation, self._committed)
        hint = self._word(0)
        require(hint <= self._committed, "the hint is ahead of what is committed")
        self.seen["hint behind"] += hint < self._committed
        begun = self._slot_was_begun()
        self.seen["half a message"] += begun
        for row in range(ROWS):
            version = ends.look(row)
            require(version >= self._versions[row], f"row {row} went back")
            self._versions[row] = version
            self.seen["half a row"] += self._hidden_is_half(row, version)
        messages, first = ends.last_messages(end)
        opened(messages, first, self._account)
        for _ in range(PEEKS):
            position = self._committed - self._chance.randint(1, ends.capacity)
            payload = self._tail.peek(position) if position >= 0 else None
            if payload is not None:
                opened(payload, position, self._account)
                self.seen["messages peeked"] += 1

    def _look_at_a_dead_consumer(self) -> None:
        position, handled = self._word(RING_READ_OFFSET), self._account.handled
        if self._handles_first:
            require(position <= handled, f"lost: given back {position}, handled {handled}")
            require(handled <= position + 1, "more than the message in hand comes again")
            self.seen["redelivered"] += handled - position
        else:
            require(handled <= position, f"doubled: given back {position}, handled {handled}")
            require(position <= handled + POP_MOST, "more than what was in hand is gone")
            self.seen["in hand and gone"] += position - handled
        self._account.handled = position  # the successor begins here, however early it dies

    def _word(self, offset: int) -> int:
        at = self._ends.shape[0] + offset
        return int.from_bytes(self._ends.ring_view[at : at + 8], "little")

    def _slot_was_begun(self) -> bool:
        """Whether the dead one had begun the slot after its last commit."""
        at = self._ends.slot(self._committed) + 8
        payload = bytes(self._ends.ring_view[at : at + UPDATE.size])
        before = self._committed - self._ends.capacity
        if before < 0:
            return any(payload)
        try:
            opened(payload, before, self._account)
        except Broken:
            return True
        return False

    def _hidden_is_half(self, row: int, version: int) -> bool:
        view, offset, size, _ = self._ends.tables[row // BOOKS]
        start = offset + row % BOOKS * (LATCH_HEAD_BYTES + 2 * size)
        at = start + LATCH_HEAD_BYTES + (version + 1) % 2 * size
        hidden = bytes(view[at : at + size])
        return hidden != hidden[:8] * (size // 8)

    # --- coming to rest --------------------------------------------------------------------------

    def _settle(self) -> None:
        """Let the producer pause and the consumer come to the end: then all must be looked at."""
        account = self._account
        account.pause += 1
        self._await(lambda: account.drained == account.pause, "the consumer never came to the end")
        for row in range(ROWS):
            version, looked = self._ends.look(row), account.looked(row)
            require(version == looked, f"row {row}: version {version}, looked at {looked}")
        require(account.handled == self._word(RING_READ_OFFSET), "something was left")
        self.seen["rests"] += 1
        before = account.produced
        account.pause += 1
        self._await(lambda: account.produced > before + 10, "the producer did not go on")
        handled = account.handled
        self._await(lambda: account.handled > handled + 10, "the consumer did not go on")

    def _await(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + self.patience_s
        while not reached():
            for role, pid in self._pids.items():
                ended, status = os.waitpid(pid, os.WNOHANG)
                if ended:
                    del self._pids[role]
                    raise Broken(f"{role.label} ended by itself, status {status}")
            require(time.monotonic() < deadline, f"wedged: {what}")
            time.sleep(0.0005)

    # --- people ----------------------------------------------------------------------------------

    def _show(self, kill: int) -> None:
        if not sys.stderr.isatty() or time.monotonic() - self._shown < 0.2:
            return
        self._shown = time.monotonic()
        end = "\n" if kill == self.kills else ""
        sys.stderr.write(f"\rsoak: {kill} of {self.kills} kills, {self._committed} messages{end}")
        sys.stderr.flush()

    def report(self, seconds: float) -> dict[str, float]:
        """What was seen, for machines."""
        return {"kills": self.kills, "seed": self.seed, "seconds": round(seconds, 1),
                "messages": self._committed, **self.seen}  # fmt: skip


def plant(name: str) -> None:
    """Put one of the mistakes in place."""
    match name:
        case "forgetful":
            Producer.ring = planted.ForgetfulProducer
        case "publish-first":
            Producer.latch = planted.LatchPublishingFirst
        case "release-first":
            soaked.Consumer._handle_then_pop = soaked.Consumer._pop_then_handle
        case "blind-marks":
            Producer.marker = planted.BlindMarker
        case "stuck":
            Consumer.run = lambda _self: signal.pause()
            Soak.patience_s = 1.0
        case _:
            raise AssertionError(name)


def main(kills: str, seed: str = "", mistake: str = "") -> None:
    """One soak."""
    if len(os.listdir("/proc/self/task")) > 1:  # numpy's threads must not see us fork
        calm = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        os.execve(sys.executable, [sys.executable, "-m", "tests.proof.soak", *sys.argv[1:]], calm)
    if mistake:
        plant(mistake)
    instance = f"t-soak-{os.getpid()}"
    chosen = int(seed) if seed else random.SystemRandom().getrandbits(32)
    for name in ("control", "updates", "books", "markets"):
        create(instance, SEGMENTS[name])
    soak = Soak(instance, int(kills), chosen)
    began = time.monotonic()
    try:
        soak.run()
    except Broken as broken:
        sys.exit(f"BROKEN (seed {chosen}): {broken}\n{dict(soak.seen)}")
    finally:
        soak.end()
        for path in SHM_ROOT.glob(f"polytrio.{instance}.*"):
            path.unlink()
    sys.stdout.write(json.dumps(soak.report(time.monotonic() - began)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
