"""`doctor`: what is wrong with the shared memory of this machine, why, and what to do about it.

Each check is a function that yields findings; none changes anything. An error or a warning makes
the machine unhealthy, a note tells something that is worth knowing and harms nothing.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from shm import backend, holders
from shm.codes import Role, StageState
from shm.control import read_settings
from shm.errors import SegmentDamaged, SegmentError
from shm.fabric import Fabric
from shm.findings import Finding, Severity, error, note, warning
from shm.inspector import open_view, wall_time
from shm.leftovers import leftovers
from shm.markets import MarketsReader
from shm.process import boot_id, start_ticks
from shm.readings import Look, RingReading, RoleReading, lock_path, look
from shm.roles import HEARTBEAT_LIMIT_NS
from shm.segment import MODE, SHM_ROOT, SegmentFile, list_files
from shm.segments import APP, LAYOUT_ID, SEGMENTS

_LOCK = re.compile(rf"{APP}\.(?P<instance>[a-z0-9-]+)\.(?P<role>[a-z0-9_-]+)\.lock")
_START_PATIENCE_MS = 10_000.0
"""A stage that has just been started may be busy importing before its first heartbeat."""
_KERNELS = ("native.", "kernel.")


def examine(instance: str | None = None) -> list[Finding]:
    """All findings about one instance, or about all, worst first."""
    files = list(list_files(instance))
    names = sorted({file.instance for file in files} | ({instance} if instance else set()))
    findings = [*_machine(files), *_orphans(instance), *_kernel()]
    if not files:
        findings.append(
            error(
                "no-segments",
                f"instance {instance}" if instance else "this machine",
                "there is no segment: nothing has been started, or it was stopped and tidied up",
                "start the system: `make run`, or `python supervisor.py up`",
            )
        )
    for file in files:
        findings += _file(file)
    for name in names:
        findings += _instance(name, [file for file in files if file.instance == name])
    order = list(Severity)
    return sorted(findings, key=lambda finding: order.index(finding.severity))


# --- the machine ------------------------------------------------------------------------------


def _machine(files: list[SegmentFile]) -> Iterator[Finding]:
    needed = sum(plan.total_bytes for plan in SEGMENTS.values())
    free = _free_bytes()
    if free < needed:
        make = warning if files else error
        yield make(
            "no-room",
            str(SHM_ROOT),
            f"{free // 1024:,} KiB are free, a start needs {needed // 1024:,}",
            f"remove what fills it, or `mount -o remount,size=64m {SHM_ROOT}` "
            "(in a container: --shm-size=64m)",
        )
    for leftover in leftovers():
        if leftover.abandoned:
            yield warning(
                "leftover",
                leftover.path.name,
                f"process {leftover.pid} was killed while it made a segment"
                + (", after putting it in place" if leftover.linked else ""),
                "`python -m shm destroy` (or the next start) removes it",
            )
        else:
            yield note("building", leftover.path.name, f"process {leftover.pid} is making it now")


def _free_bytes() -> int:
    space = os.statvfs(SHM_ROOT)
    return space.f_bavail * space.f_frsize


def _orphans(instance: str | None) -> Iterator[Finding]:
    prefix = f"{APP}.{instance}." if instance else f"{APP}."
    for pid in holders.pids():
        gone = sorted(
            mapped.path.name
            for mapped in holders.mapped_files(pid)
            if mapped.removed
            and mapped.path.parent == SHM_ROOT
            and mapped.path.name.startswith(prefix)
        )
        if gone:
            more = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
            yield error(
                "orphaned",
                f"process {pid}",
                f"{holders.command(pid)} has {gone[0]}{more} mapped, whose name was removed",
                f"end it (`kill {pid}`); a started system makes new segments",
            )


def _kernel() -> Iterator[Finding]:
    try:
        backend.require_usable()
    except SegmentError as reason:
        cause, _, remedy = str(reason).rpartition(": ")
        yield error("stale-kernel", "this build", cause, remedy)
        return
    if not backend.NATIVE:
        yield note("python-mode", "this build", "no compiled kernel: everything works, slowly")


# --- one file -----------------------------------------------------------------------------------


def _file(file: SegmentFile) -> Iterator[Finding]:
    name = file.path.name
    destroy = f"stop the system, then `python -m shm destroy --instance {file.instance}`"
    yield from _access(file.path)
    try:
        view = open_view(file)
    except SegmentError as reason:
        yield error("damaged", name, str(reason).partition(": stop the system")[0], destroy)
        return
    header_id = view.header.layout_hash.hex()[:8]
    if header_id != file.layout_id:
        yield error(
            "name-differs", name, f"its name says {file.layout_id}, its header {header_id}", destroy
        )
    elif header_id != LAYOUT_ID:
        yield error(
            "other-version",
            name,
            f"polytrio with layout {header_id} made it, this build has {LAYOUT_ID}",
            f"use the build that made it, or {destroy}",
        )
    held = view.header.instance.rstrip(b"\0"), view.header.segment.rstrip(b"\0")
    if held != (file.instance.encode(), file.segment.encode()):
        yield error("name-differs", name, f"it is a copy of {view.schema.segment}", destroy)
    if view.header.boot_id != boot_id():
        yield error(
            "stale-boot",
            name,
            f"it was made before the last boot ({wall_time(view.header.created_wall_ns)})",
            f"start the system again, which replaces it, or {destroy}",
        )


def _access(path: Path) -> Iterator[Finding]:
    try:
        status = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) != MODE:
        yield error(
            "mode",
            path.name,
            f"its mode is {stat.S_IMODE(status.st_mode):04o}: others may read or change it",
            f"`chmod 600 {path}`",
        )
    if status.st_uid != os.geteuid():
        yield error(
            "owner",
            path.name,
            f"it belongs to user {status.st_uid}, you are {os.geteuid()}",
            "run as that user, or choose another --instance",
        )


# --- one instance -------------------------------------------------------------------------------


def _instance(instance: str, files: list[SegmentFile]) -> Iterator[Finding]:
    ours = {file.segment for file in files if file.layout_id == LAYOUT_ID}
    missing = sorted(set(SEGMENTS) - ours)
    if ours and missing:
        yield error(
            "incomplete",
            f"instance {instance}",
            f"{len(missing)} of {len(SEGMENTS)} segments are missing ({missing[0]}): its start "
            "was interrupted, or somebody removed them",
            "start the system again",
        )
    if not missing:
        yield from _records(instance)
    locks = sorted(
        path
        for path in SHM_ROOT.glob(f"{APP}.{instance}.*.lock")
        if (match := _LOCK.fullmatch(path.name)) and match["instance"] == instance
    )
    for path in locks:
        yield from _access(path)
    held_by = holders.lock_holders(locks)
    seen = look(instance)
    labels = {match["role"] for path in locks if (match := _LOCK.fullmatch(path.name))}
    for label in sorted(labels | set(seen.roles)):
        path = SHM_ROOT / lock_path(instance, label)
        yield from _role(seen, label, held_by.get(path, []))
    for name, ring in seen.rings.items():
        yield from _ring(f"{instance}.{name}", ring)


def _records(instance: str) -> Iterator[Finding]:
    """The records that carry a checksum of their own, as a stage would read them."""
    fabric = Fabric(instance)
    for read in (lambda: read_settings(fabric), lambda: MarketsReader(fabric).read()):
        try:
            read()
        except SegmentDamaged as reason:
            cause, _, remedy = str(reason).partition(": ")
            yield error("damaged-record", f"instance {instance}", cause, remedy)
        except SegmentError:
            continue  # said about its file


def _role(seen: Look, label: str, pids: list[int]) -> Iterator[Finding]:
    subject = f"{seen.instance}.{label}"
    reading = seen.roles.get(label)
    alive = holders.lock_held(SHM_ROOT / lock_path(seen.instance, label))
    if alive:
        for pid in pids:
            yield note(
                "alive", subject, f"its lock is held by process {pid}, {holders.command(pid)}"
            )
            yield from _build(seen.instance, subject, pid)
        if not pids:
            yield note("alive", subject, "its lock is held by a process that we cannot see")
        if len(pids) > 1:
            yield error(
                "shared-lock",
                subject,
                f"processes {', '.join(map(str, pids))} share its lock: one inherited it",
                "end all of them, then start the system again",
            )
    if reading is None or reading.epoch == 0:
        if alive and seen.system is not None:
            yield warning(
                "epoch-differs",
                subject,
                "its lock is held, and nobody has entered the role table",
                "wait a moment; if it stays so, end the process that holds the lock",
            )
        return
    if alive:
        yield from _living(subject, label, reading, pids)
    elif alive is False:
        yield from _dead(subject, reading)


def _living(subject: str, label: str, row: RoleReading, pids: list[int]) -> Iterator[Finding]:
    if pids and row.pid not in pids:
        yield error(
            "epoch-differs",
            subject,
            f"process {pids[0]} holds its lock, but epoch {row.epoch} belongs to process {row.pid}",
            f"wait a moment; if it stays so, `kill {pids[0]}`",
        )
        return
    if pids and start_ticks(row.pid) != row.start_ticks:
        yield error(
            "epoch-differs",
            subject,
            f"epoch {row.epoch} belongs to an earlier process with the number {row.pid}",
            f"wait a moment; if it stays so, `kill {row.pid}`",
        )
        return
    if label == Role.SUPERVISOR.label:
        return  # it has no loop of its own: supervisord turns it
    age_ms = row.heartbeat_age_ms or 0.0
    starting = row.state == StageState.STARTING and row.loops == 0
    limit_ms = _START_PATIENCE_MS if starting else HEARTBEAT_LIMIT_NS / 1e6
    if age_ms > limit_ms:
        halted = bool(pids) and holders.stopped(row.pid)
        why = "a signal has stopped it" if halted else "its loop does not come round"
        yield error(
            "no-heartbeat",
            subject,
            f"alive, and its last heartbeat is {age_ms / 1e3:,.1f} s old: {why}",
            f"`kill -CONT {row.pid}`" if halted else f"`kill -9 {row.pid}`; it is started again",
        )


def _dead(subject: str, row: RoleReading) -> Iterator[Finding]:
    if row.state in {StageState.NONE, StageState.STOPPED}:
        return
    if row.pid and start_ticks(row.pid) == row.start_ticks:
        yield error(
            "no-lock",
            subject,
            f"process {row.pid} lives as epoch {row.epoch} without the lock: only the epoch "
            "stands between it and a successor",
            f"`kill {row.pid}`, and report this: it cannot happen",
        )
        return
    yield warning(
        "died",
        subject,
        f"process {row.pid} (epoch {row.epoch}) died while {row.doing}",
        "its supervisor starts it again; if there is none, start the system",
    )


def _build(instance: str, subject: str, pid: int) -> Iterator[Finding]:
    mapped = holders.mapped_files(pid)
    ids = {
        file.path.name.rpartition(".")[2]
        for file in mapped
        if file.path.parent == SHM_ROOT and file.path.name.startswith(f"{APP}.{instance}.")
    }
    for other in sorted(ids - {LAYOUT_ID}):
        yield error(
            "other-build",
            subject,
            f"process {pid} runs a build with layout {other}, this is {LAYOUT_ID}",
            "stop that system before this build is started under its name",
        )
    replaced = [
        file.path.name
        for file in mapped
        if file.removed and file.path.suffix == ".so" and file.path.name.startswith(_KERNELS)
    ]
    if replaced:
        yield warning(
            "other-build",
            subject,
            f"process {pid} runs a {replaced[0]} that has been built anew since it started",
            "restart the system when it suits you",
        )


def _ring(subject: str, ring: RingReading) -> Iterator[Finding]:
    if ring.lag >= ring.capacity:
        yield error(
            "ring-full",
            subject,
            f"{ring.lag:,} messages wait in {ring.capacity:,} slots: its reader is dead or too "
            f"slow; what comes now is {ring.full_means}",
            "see whether the reader lives (`python -m shm stats`), and start it again",
        )
    if ring.overflow:
        lost = ring.full_means.startswith(("refused", "counted"))
        cause = f"{ring.overflow:,} messages found it full since the start: {ring.full_means}"
        if lost:
            yield warning("overflow", subject, cause, "look at its reader's load and latencies")
        else:
            yield note("overflow", subject, cause)
