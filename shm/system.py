"""Making and removing all segments of an instance: the first and the last act of a run."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shm.codes import SUPERVISED, Role, StageState
from shm.control import publish_settings
from shm.errors import RoleTaken, SegmentError, SegmentExists
from shm.fabric import Fabric
from shm.leftovers import remove_leftovers
from shm.origin import Origin
from shm.roles import RoleHolder, RoleLock
from shm.segment import SHM_ROOT, create, destroy, list_files
from shm.segments import APP, LAYOUT_ID, SEGMENTS
from shm.settings import Settings
from shm.sources import Loaded, derived


def living_roles(instance: str, among: Iterable[Role] = Role) -> list[str]:
    """Labels of the roles that some process holds now."""
    return [role.label for role in among if RoleLock(instance, role).held_by_anyone()]


def living_instances(root: Path = SHM_ROOT) -> list[str]:
    """Names of the systems of this user of which any stage runs, of whatever version."""
    locks = root.glob(f"{APP}.*.*.lock")
    names = sorted({path.name.removeprefix(f"{APP}.").rsplit(".", 2)[0] for path in locks})
    living = []
    for name in names:
        with suppress(RoleTaken):  # another user's
            if living_roles(name, SUPERVISED):
                living.append(name)
    return living


def create_all(settings: Settings, origin: Origin | None = None) -> Fabric:
    """Make fresh segments and publish the settings; the caller holds the supervisor's lock.

    What a dead system of this version left behind is replaced: positions are found at the venue,
    not here. What another version left, or a living process uses, is not touched: `SegmentExists`.
    If the machine has no room for all of them, none is left: `SegmentNoRoom`.
    """
    instance = settings.instance
    onlookers = {Role.SUPERVISOR.label, Role.OPERATOR.label}
    alive = [label for label in living_roles(instance) if label not in onlookers]
    if alive:
        raise SegmentExists(
            f"{', '.join(alive)} of instance {instance!r} still runs without a supervisor: "
            "stop it (it ends by itself within a second of its supervisor), then try again"
        )
    for file in list_files(instance):
        if file.layout_id != LAYOUT_ID:
            raise SegmentExists(
                f"instance {instance!r} has segments of another polytrio version (layout "
                f"{file.layout_id}, this is {LAYOUT_ID}): stop that version, then run "
                f"`python -m shm destroy --instance {instance}`"
            )
        destroy(file)
    remove_leftovers()
    try:
        for plan in SEGMENTS.values():
            create(instance, plan)
    except SegmentError:
        destroy_all(instance)  # half a system is of use to nobody, and holds memory
        raise
    fabric = Fabric(instance, Role.SUPERVISOR)
    holder = RoleHolder(fabric.segment("control", writable=True), Role.SUPERVISOR)
    fabric.fence = holder.fence
    final = derived(Loaded(settings, origin or Origin()), settings.anchored())
    holder.adopt_settings(publish_settings(fabric, *final))
    holder.enter(StageState.RUNNING)
    return fabric


def destroy_all(instance: str) -> int:
    """Remove every segment of an instance, of every version; how many there were."""
    files = list(list_files(instance))
    for file in files:
        destroy(file)
    return len(files)


@dataclass(frozen=True)
class Removed:
    """What a removal took away."""

    segments: int
    leftovers: int


def destroy_unused(instance: str, *, force: bool) -> Removed:
    """Remove an instance's segments and what killed makers left; `SegmentExists` if it is in use.

    The supervisor's lock is held meanwhile, so that no start comes between looking and removing.
    """
    lock = RoleLock(instance, Role.SUPERVISOR)
    alive = living_roles(instance)
    if alive and not force:
        raise SegmentExists(
            f"instance {instance!r} is in use by {', '.join(alive)}: stop it first (or --force)"
        )
    if Role.SUPERVISOR.label not in alive and any(list_files(instance)):
        lock.take()
    try:
        return Removed(destroy_all(instance), remove_leftovers())
    finally:
        lock.release()
