"""The core of the engine as the stage sees it, and the choice between its two implementations."""

from collections.abc import Sequence
from typing import Any, Protocol

from engine.baskets import Basket
from engine.handover import State
from engine.pricer import Edge, Pricer
from engine.reference import HISTOGRAMS, Plan, PythonCore
from shm import backend
from shm.codes import Role, Verdict
from shm.errors import ConfigError
from shm.fabric import Fabric
from shm.layout import BASKET_ROW, BOOK, ENGINE_STATS, REPORT, SIGNAL, SWITCHES, UPDATE
from shm.modes import EngineMode
from shm.roles import RoleTable
from shm.settings import EngineSettings


class Core(Protocol):
    """Decides; see engine/reference.py. A plan belongs to the core that prepared it."""

    def prepare(self, baskets: Sequence[Basket], hurdles_e8: Sequence[int]) -> Any:
        """Make a plan; may be called in another thread."""

    def adopt(self, plan: Any, generation: int) -> None:
        """Go over to another plan: cooldowns and what is on its way are kept."""

    def step(self, spins: int, turn_ns: int, *, may_sleep: bool) -> int:
        """Do what is there to do for `turn_ns`; how much it was.

        With nothing to do it looks `spins` times, and then sleeps if it may.
        """

    def configure(self, settings: EngineSettings, version: int = 0) -> None:
        """Go over to other settings, between two turns; hurdles are the plan's."""

    def follow_ingest(self) -> None:
        """Look who writes the books now."""

    def state(self) -> State:
        """What another core needs to go on from here; see engine/handover.py."""

    def restore(self, state: State) -> None:
        """Go on from where another core has stopped; after `adopt`."""

    def edge(self, number: int) -> Edge | None:
        """Worth of a basket, or None while a price that it needs is not quoted."""

    def verdict(self, number: int) -> Verdict:
        """What was said when the basket was last a hit."""


def resolved(chosen: EngineMode | None) -> EngineMode:
    """The engine that decides, where None leaves it to us: the compiled one where there is one."""
    if chosen is None:
        return EngineMode.NATIVE if backend.NATIVE else EngineMode.PYTHON
    if chosen is not EngineMode.PYTHON and not backend.NATIVE:
        raise ConfigError(
            f'engine.mode = "{chosen.name.lower()}", and the kernels are not built: install a C '
            'compiler and run `make clean setup`, or set engine.mode = "auto"'
        )
    return chosen


def make_plan(mode: EngineMode, baskets: Sequence[Basket], hurdles_e8: Sequence[int]) -> Any:
    """A plan for a core that is not made yet; may be called in another thread."""
    if mode is EngineMode.PYTHON:
        return Plan(Pricer(baskets), hurdles_e8)
    return backend.compiled("engine.kernel").Plan(baskets, hurdles_e8)


def make_core(
    fabric: Fabric, settings: EngineSettings, epoch: int, mode: EngineMode | None = None
) -> Core:
    """The core of a mode; None: the compiled one where there is one and the settings want it."""
    if mode is None:
        wanted = settings.mode
        mode = resolved(None if wanted == "auto" else EngineMode[wanted.upper()])
    if mode is EngineMode.PYTHON:
        return PythonCore(fabric, settings, epoch)
    core: Core = backend.compiled("engine.kernel").Kernel(settings, epoch, _parts(fabric))
    return core


def _parts(fabric: Fabric) -> dict[str, Any]:
    """The ends of the segments that the engine holds, without their Python faces."""
    return {
        "books": fabric.read_table("books", BOOK).latch,
        "baskets": fabric.write_table("baskets", BASKET_ROW).latch,
        "updates": fabric.consume("updates", UPDATE).ring,
        "reports": fabric.consume("reports", REPORT).ring,
        "signals": fabric.produce("signals", SIGNAL).ring,
        "dirty": fabric.dirty_taker(),
        "roles": RoleTable(fabric.segment("control", writable=False)).words,
        "ingest_row": int(Role.INGEST),
        "switches": fabric.counters("control.switches", SWITCHES, write=False).words,
        "counters": fabric.counters("stats-engine.counters", ENGINE_STATS, write=True).words,
        **{
            name: fabric.histogram(Role.ENGINE, index, name)
            for index, name in enumerate(HISTOGRAMS)
        },
    }
