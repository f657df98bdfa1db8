"""What a campaign came to, in numbers and in a few lines."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from executor.failpoints import UNATTENDED

FINDINGS_SHOWN = 40


@dataclass
class Report:
    """Everything adds up, over chapters and lanes."""

    cycles: int = 0
    """Lives of the executor that ended by SIGKILL."""
    settled: int = 0
    seconds: float = 0.0
    deaths: Counter[str] = field(default_factory=Counter)
    """By failpoint; "instant" for the others, "pressed" just after the kill switch."""
    faults: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    """Ways in which the kill switch was pressed."""
    killer_deaths: int = 0
    arms: int = 0
    findings: list[str] = field(default_factory=list)
    orders: int = 0
    trades: int = 0
    lines: int = 0
    doubts: int = 0
    repairs: int = 0
    failed: int = 0
    segments: int = 0
    capped: int = 0
    """Signals that a limit of exposure has refused."""
    stopped: int = 0
    """Sweeps of the killer that the exchange has acknowledged."""
    hidden: int = 0
    """Places that were searched for secrets."""

    def __add__(self, other: "Report") -> "Report":
        """Both; of the seconds the longer ones, since lanes run side by side."""
        names = [one.name for one in fields(self) if one.name != "seconds"]
        summed = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Report(**summed, seconds=max(self.seconds, other.seconds))

    def text(self) -> str:
        """In a few lines."""
        missed = [name for name in UNATTENDED if not self.deaths[name]]
        times = f"{60 * self.cycles / max(1.0, self.seconds):.0f} a minute"
        reached = sum(self.deaths[name] for name in UNATTENDED)
        ways = ", ".join(f"{count} by {way}" for way, count in sorted(self.ways.items()))
        lines = [
            (
                f"{self.cycles} deaths in {self.seconds:.0f} s ({times}), "
                f"and {self.killer_deaths} of the killer"
            ),
            f"{self.settled} times all was settled and compared",
            (
                f"presses of the kill switch: {ways or 'none'}; {self.stopped} sweeps done, "
                f"{self.arms} armings after halts"
            ),
            f"{self.orders} orders at the exchange, {self.trades} trades ({self.failed} failed)",
            (
                f"{self.doubts} orders in doubt, {self.repairs} repairs, {self.segments} segments, "
                f"{self.capped} signals beyond a limit of exposure"
            ),
            f"{reached} deaths at failpoints; not reached: {', '.join(missed) or 'none'}",
            (
                f"{len(self.findings)} findings in {self.lines} lines of truth and "
                f"{self.hidden} places where a secret could be"
            ),
        ]
        return "\n".join([*lines, *self.findings[:FINDINGS_SHOWN]])


def total(reports: Iterable[Report]) -> Report:
    """All of them together."""
    return sum(reports, Report())
