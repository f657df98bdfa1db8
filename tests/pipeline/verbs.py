"""A running system as an operator has it: `polytrio run` in a folder of its own, and the verbs."""

import json
import subprocess
from pathlib import Path
from typing import Any

from shm.codes import STAGES
from shm.control import require_published
from shm.fabric import Fabric
from shm.layout import ENGINE_STATS, INGEST_STATS, EngineStats, IngestStats
from tests.pipeline.system import POLYTRIO, System, environment


class Running(System):
    """A system whose settings file can be changed while it runs."""

    def __init__(self, instance: str, folder: Path, text: str = "", **settings: str) -> None:
        self.folder = folder
        self.file = folder / "polytrio.toml"
        self.file.write_text(text)
        self.env = environment(instance, folder / "var", **settings)
        super().__init__(instance, [*POLYTRIO, "run", "--json"], self.env, folder)

    def ask(self, *words: str) -> tuple[int, dict[str, Any], str]:
        """Run a verb with `--json`: exit code, what it says, its complaint."""
        done = subprocess.run(
            [*POLYTRIO, *words, "--json"], env=self.env, cwd=self.folder,
            capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr

    def told(self, *words: str) -> dict[str, Any]:
        """What a verb says that must succeed."""
        code, said, complaint = self.ask(*words)
        assert code == 0, complaint
        return said

    @property
    def engine(self) -> EngineStats:
        """The engine's counters."""
        fabric = Fabric(self.instance)
        return fabric.counters("stats-engine.counters", ENGINE_STATS, write=False).read()

    @property
    def ingest(self) -> IngestStats:
        """ingest's counters."""
        fabric = Fabric(self.instance)
        return fabric.counters("stats-ingest.counters", INGEST_STATS, write=False).read()

    @property
    def version(self) -> int:
        """Of the settings that hold."""
        return require_published(Fabric(self.instance)).version

    def epochs(self) -> list[int]:
        """Of all stages: they grow with every restart."""
        return [row.epoch for role in STAGES if (row := self.row(role))]

    def log(self, name: str) -> str:
        """What a process has written."""
        return (self.folder / "var" / self.instance / "log" / f"{name}.log").read_text()
