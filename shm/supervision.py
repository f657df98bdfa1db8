"""What a supervisor of the stages does besides starting them: reloads, and the engine's fall-back.

`polytrio run` (desk/processes.py) and `supervisor.py watch` both turn it. A native engine that
keeps crashing is worse than a slow one: after some deaths within a minute it is started in Python,
which is written down in shared memory, where the engine, the live view and the doctor read it. Any
choice of an engine by the operator ends that.
"""

import logging
import time

from shm import backend
from shm.codes import Role
from shm.control import SwitchBoard, fallen_back
from shm.fabric import Fabric
from shm.layout import SUPERVISION
from shm.modes import EngineMode
from shm.reload import Reloader
from shm.settings import StageSettings

WITHIN_S = 60.0
"""Deaths are counted over this long."""
_log = logging.getLogger("supervision")


class Supervision:
    """See the module. `fabric` has the supervisor's role."""

    def __init__(self, fabric: Fabric) -> None:
        self.reloader = Reloader(fabric)
        self._board = SwitchBoard(fabric)
        self._cells = fabric.counters("control.supervision", SUPERVISION, write=True)

    @property
    def limits(self) -> StageSettings:
        """How often a stage may crash, as the settings say now."""
        return self.reloader.settings.stages

    def turn(self) -> None:
        """Do what is due; called several times a second."""
        self.reloader.turn(time.monotonic())

    def stage_died(self, role: Role, deaths: int) -> bool:
        """Take note of a stage's deaths within `WITHIN_S`; True if it falls back to Python now."""
        if role is Role.ENGINE:
            return self.engine_died(deaths)
        return role is Role.INGEST and self.ingest_died(deaths)

    def ingest_died(self, deaths: int) -> bool:
        """The same for the compiled keeper and listener of ingest."""
        if not self._too_many(deaths) or self._board.ingest_in_python or not backend.NATIVE:
            return False
        self._fall_back("ingest_fallback", deaths, self._board.read().socket_choices)
        _log.error(
            "the compiled ingest died %d times within a minute: it runs in PYTHON MODE from now "
            "on, slower; see its log, and `polytrio mode set socket=picows` to try again", deaths,
        )  # fmt: skip
        return True

    def engine_died(self, deaths: int) -> bool:
        """Take note of the engine's deaths within `WITHIN_S`; True if it now falls back to Python.

        Its deaths are counted anew then.
        """
        if not self._too_many(deaths) or not backend.NATIVE:
            return False
        if self._board.engine(self.reloader.settings) is EngineMode.PYTHON:
            return False
        self._fall_back("fallback", deaths, self._board.read().choices)
        _log.error(
            "the native engine died %d times within a minute: it runs in PYTHON MODE from now on, "
            "slower; see its log, and `polytrio mode set engine=native` to try again", deaths,
        )  # fmt: skip
        return True

    def _too_many(self, deaths: int) -> bool:
        limits = self.limits
        return deaths > min(limits.fallback_after, limits.restarts_per_minute)

    def _fall_back(self, name: str, deaths: int, choices: int) -> None:
        """Show a fall-back; `name` begins its four fields, and the decision is written last."""
        self._cells.set(f"{name}_deaths", deaths)
        self._cells.set(f"{name}_wall_ns", time.time_ns())
        self._cells.add(f"{name}s")
        self._cells.set(name, choices + 1)

    @property
    def fallen_back(self) -> bool:
        """Whether the engine runs in Python because of that."""
        return fallen_back(self._board.read(), self._board.supervision())
