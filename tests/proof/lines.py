"""Kills a process at every line of the modules that start a system: whatever an act runs there.

    python -m tests.proof.lines ACT [PLANT]

A program of its own, because it forks for each death and no other thread may be there. Per death:
a child performs the act under a tracer that kills it at its n-th line (for the short acts: at its
n-th bytecode instruction); then other children, who know nothing of it, look and start. One line
of JSON says how many deaths there were and what was seen; a broken promise is exit code 1.
"""

import json
import os
import secrets
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import FrameType
from typing import Any

from shm import control, leftovers, roles, segment, system
from shm.codes import Role, StageState
from shm.control import require_settings
from shm.errors import PolytrioError, SegmentExists, SegmentMissing
from shm.fabric import Fabric
from shm.layout import BOOK, UPDATE
from shm.roles import RoleHolder, RoleLock, RoleTable
from shm.segment import SHM_ROOT, list_files
from shm.segments import SEGMENTS
from shm.settings import EngineSettings, Settings
from tests.proof import planted
from tests.proof.deaths import Broken, require

DEATHS_MAX = 20_000
TRACED = {module.__file__ for module in (segment, roles, system, leftovers, control, planted)}
PLAN = SEGMENTS["signals"]


# --- children -------------------------------------------------------------------------------------


def reported(work: Callable[[], Any]) -> Any:
    """Run `work` in a child that starts with nothing mapped; its result, or its known error."""
    end, start = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            told = {"is": work()}
        except PolytrioError as error:
            told = {"error": type(error).__name__, "says": str(error)}
        except BaseException:  # noqa: BLE001  # the child must not return into its parent's code
            told = {"crash": traceback.format_exc()}
        os.write(start, json.dumps(told).encode())
        os._exit(0)
    os.close(start)
    with os.fdopen(end, "rb") as pipe:
        answer = json.loads(pipe.read())
    os.waitpid(pid, 0)
    require("crash" not in answer, answer.get("crash", ""))
    if "error" in answer:
        require(len(answer["says"].splitlines()) == 1, f"not one line: {answer['says']}")
        return answer["error"]
    return answer["is"]


class Killer:
    """A trace function that kills its own process at the n-th line or instruction."""

    def __init__(self, fatal: int, grain: str) -> None:
        self._left = fatal
        self._grain = grain

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> "Killer | None":
        if frame.f_code.co_filename not in TRACED:
            return None
        frame.f_trace_opcodes = self._grain == "opcode"
        if event == self._grain:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return self


def dies(act: Callable[[], None], fatal: int, grain: str) -> tuple[int, bool]:
    """Perform the act in a child that dies at step `fatal`; its pid, and whether it did die."""
    pid = os.fork()
    if pid == 0:
        try:
            sys.settrace(Killer(fatal, grain))
            act()
            sys.settrace(None)
            os._exit(0)
        except BaseException:  # noqa: BLE001  # as above
            sys.settrace(None)
            traceback.print_exc()
            os._exit(70)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return pid, True
    assert os.waitstatus_to_exitcode(status) == 0, "the act failed without being killed"
    return pid, False


# --- what anybody can check afterwards ------------------------------------------------------------


@dataclass
class Deaths:
    """One act of one instance, and what its deaths left."""

    instance: str
    seen: Counter[str] = field(default_factory=Counter)

    def temporaries_of(self, pid: int) -> list[Path]:
        """A death may leave its unfinished work behind, private to this user, never a segment.

        The start of any other system on this machine may remove it at any moment.
        """
        left = list(SHM_ROOT.glob(f"{segment.BUILDING}.{pid}.*"))
        for path in left:
            with suppress(FileNotFoundError):
                require(path.stat().st_mode & 0o077 == 0, "a temporary is open to others")
            require(path not in [file.path for file in list_files()], "a temporary is listed")
        self.seen["left a temporary"] += len(left)
        return left

    def sweep_temporaries(self, pid: int) -> None:
        """Remove what the next start would remove, where there is no next start."""
        for path in self.temporaries_of(pid):
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Nothing of the instance remains."""
        for path in SHM_ROOT.glob(f"polytrio.{self.instance}.*"):
            path.unlink()

    def require_whole(self) -> list[str]:
        """Whatever is visible under a final name can be attached; the names of these segments."""
        names = []
        for file in list_files(self.instance):
            for writable in (False, True):
                require(
                    attach(self.instance, file.segment, writable=writable) == "whole",
                    f"{file.path.name} is visible and not whole",
                )
            names.append(file.segment)
        return names


def attach(instance: str, name: str, *, writable: bool) -> str:
    """Attach in this process; "whole", or the error's name."""
    try:
        mapped = segment.attach(instance, SEGMENTS[name], writable=writable)
    except PolytrioError as error:
        return type(error).__name__
    os.close(mapped._fd)
    return "whole"


def traffic(instance: str) -> str:
    """ingest and engine start, as stages do, and a book and an update go from one to the other."""
    require_settings(Fabric(instance))
    ends = {}
    for role in (Role.INGEST, Role.ENGINE):
        fabric = Fabric(instance, role)
        RoleLock(instance, role).take()
        holder = RoleHolder(fabric.segment("control", writable=True), role)
        fabric.fence = holder.fence
        holder.enter(StageState.RUNNING)
        ends[role] = fabric
    for name in SEGMENTS:
        ends[Role.ENGINE].segment(name, writable=False)
    books = ends[Role.INGEST].write_table("books", BOOK)
    version = books.write(3, BOOK.blank())
    producer = ends[Role.INGEST].produce("updates", UPDATE)
    consumer = ends[Role.ENGINE].consume("updates", UPDATE)
    while consumer.pop() is not None:
        pass
    require(producer.try_push(UPDATE.blank()._replace(market=3)), "no room in a ring of the dead")
    row = consumer.pop()
    require(row is not None and row.market == 3, "an update did not arrive")
    table = ends[Role.ENGINE].read_table("books", BOOK)
    require(table.read(3) is not None and table.seen == version, "a book did not arrive")
    return "works"


# --- the acts -------------------------------------------------------------------------------------


def kill_create(deaths: Deaths, fatal: int) -> bool:
    """Making one segment, under a name that is free."""
    deaths.clear()
    pid, died = dies(lambda: segment.create(deaths.instance, PLAN), fatal, "opcode")
    visible = deaths.require_whole()
    deaths.seen["visible" if visible else "not visible"] += 1
    deaths.sweep_temporaries(pid)
    again = reported(lambda: segment.create(deaths.instance, PLAN))
    require(again == (SegmentExists.__name__ if visible else None), f"a second start: {again}")
    require(deaths.require_whole() == [PLAN.name], "the segment is not there")
    return died


def kill_create_again(deaths: Deaths, fatal: int) -> bool:
    """Making one segment whose name is taken: what is there is not touched."""
    (there,) = [file.path for file in list_files(deaths.instance)] or [None]
    if there is None:
        segment.create(deaths.instance, PLAN)
        (there,) = [file.path for file in list_files(deaths.instance)]
    before = (there.stat().st_ino, there.read_bytes())

    def act() -> None:
        try:
            segment.create(deaths.instance, PLAN)
        except SegmentExists:
            return
        raise Broken("a segment was made twice")

    pid, died = dies(act, fatal, "opcode")
    deaths.sweep_temporaries(pid)
    require((there.stat().st_ino, there.read_bytes()) == before, "what was there was changed")
    return died


def kill_attach(deaths: Deaths, fatal: int) -> bool:
    """Attaching for writing: who dies at it has changed nothing."""
    if not list(list_files(deaths.instance)):
        segment.create(deaths.instance, PLAN)
    (path,) = [file.path for file in list_files(deaths.instance)]
    before = (path.stat().st_ino, path.stat().st_mode, path.read_bytes())
    _, died = dies(lambda: _attach_here(deaths.instance), fatal, "opcode")
    require((path.stat().st_ino, path.stat().st_mode, path.read_bytes()) == before, "changed")
    deaths.require_whole()
    return died


def _attach_here(instance: str) -> None:
    segment.attach(instance, PLAN, writable=True)


def kill_role(deaths: Deaths, fatal: int) -> bool:
    """Taking a role by lock and epoch, after a predecessor that is dead."""
    instance, role = deaths.instance, Role.EXECUTOR
    if not list(list_files(instance)):
        segment.create(instance, SEGMENTS["control"])

    def take() -> int:
        RoleLock(instance, role).take()
        return RoleHolder(Fabric(instance, role).segment("control", writable=True), role).epoch

    before = reported(take)
    _, died = dies(lambda: take() and None, fatal, "opcode")
    table = RoleTable(Fabric(instance).segment("control", writable=False))
    between = table.epoch(role)
    require(not RoleLock(instance, role).held_by_anyone(), "a dead process holds the role")
    require(between in {before, before + 1}, "the epoch jumped")
    deaths.seen["epoch raised" if between > before else "epoch not raised"] += 1
    after = reported(take)
    require(after == between + 1, f"the epoch went from {between} to {after}")
    deaths.require_whole()
    return died


def kill_create_all(deaths: Deaths, fatal: int) -> bool:
    """Making a system where nothing was before."""
    deaths.clear()
    return _kill_system(deaths, fatal, made_before=set())


def kill_renew(deaths: Deaths, fatal: int) -> bool:
    """Making a system over what a dead one left: never old and new beside each other."""
    if not list(list_files(deaths.instance)):
        require(reported(lambda: start(deaths.instance, "old")) == "made", "cannot begin")
    made_before = {file.path.stat().st_ino for file in list_files(deaths.instance)}
    return _kill_system(deaths, fatal, made_before)


def start(instance: str, which: str) -> str:
    """What a supervisor does: its lock, then the segments."""
    RoleLock(instance, Role.SUPERVISOR).take()
    engine = EngineSettings(cooldown_ms=COOLDOWN_MS[which])
    system.create_all(Settings(instance=instance, engine=engine))
    return "made"


COOLDOWN_MS = {"old": 111, "new": 222}


def _kill_system(deaths: Deaths, fatal: int, made_before: set[int]) -> bool:
    instance = deaths.instance
    # Old inodes stay taken while we hold them, so that a new segment cannot get the same number.
    held = [os.open(file.path, os.O_RDONLY) for file in list_files(instance)]
    pid, died = dies(lambda: start(instance, "new") and None, fatal, "line")
    left = deaths.temporaries_of(pid)
    visible = deaths.require_whole()
    old = [file.path.stat().st_ino in made_before for file in list_files(instance)]
    require(all(old) or not any(old), "segments of two systems are visible together")
    require(not RoleLock(instance, Role.SUPERVISOR).held_by_anyone(), "a dead supervisor lives")
    stage = reported(lambda: traffic(instance))
    require(stage in {"works", SegmentMissing.__name__}, f"a stage said {stage}")
    complete = set(visible) == set(SEGMENTS)
    if not any(old) and visible:
        settled = reported(lambda: bool(require_settings(Fabric(instance))))
        require(settled is not True or complete, "settings are out and segments are missing")
    require(stage != "works" or complete, "a stage works in half a system")
    deaths.seen[f"a stage then: {stage}"] += 1
    require(reported(lambda: start(instance, "new")) == "made", "no second start")
    require(not any(path.exists() for path in left), "the second start left a temporary there")
    require(set(deaths.require_whole()) == set(SEGMENTS), "the second start made half a system")
    settled = reported(lambda: require_settings(Fabric(instance)).engine.cooldown_ms)
    require(settled == COOLDOWN_MS["new"], "the second start left other settings")
    require(reported(lambda: traffic(instance)) == "works", "the second start does not work")
    for fd in held:
        os.close(fd)
    return died


ACTS: dict[str, Callable[[Deaths, int], bool]] = {
    "create": kill_create,
    "create-again": kill_create_again,
    "attach": kill_attach,
    "role": kill_role,
    "create-all": kill_create_all,
    "renew": kill_renew,
}


def plant(name: str) -> None:
    """Put one of the mistakes in place."""
    match name:
        case "final-name":
            segment.create = system.create = planted.create_under_the_final_name
        case "settings-first":
            system.create_all = planted.create_all_settings_first
        case "keep-leftovers":
            system.remove_leftovers = lambda: 0
        case "same-epoch":
            roles.take_role = planted.take_role_without_an_epoch
        case _:
            raise AssertionError(name)


def main(act: str, mistake: str = "") -> None:
    """Every death of one act."""
    if mistake:
        plant(mistake)
    deaths = Deaths(f"t-{secrets.token_hex(6)}")
    began = time.monotonic()
    try:
        for fatal in count(1):
            assert fatal <= DEATHS_MAX, "the act does not end"
            if not ACTS[act](deaths, fatal):
                break
    except Broken as broken:
        sys.exit(f"BROKEN at step {fatal}: {broken}")
    finally:
        deaths.clear()
        leftovers.remove_leftovers()
    seconds = round(time.monotonic() - began, 1)
    sys.stdout.write(json.dumps({"deaths": fatal - 1, "seconds": seconds, **deaths.seen}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
