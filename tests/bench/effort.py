"""How much to measure: a few rounds to see that it works, or enough to believe the numbers."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Effort:
    """Rounds of everything, and a share of the full number of samples in each."""

    rounds: int = 7
    share: float = 1.0
    trials: int = 1_000
    """Of what is tried one by one, as the kill switch is."""

    def scaled(self, count: int) -> int:
        """That share of a number of samples, at least a hundred."""
        return max(100, int(count * self.share))


FULL = Effort()
QUICK = Effort(rounds=2, share=0.05, trials=5)
