"""How much a load test sends and when: the profiles, with the recorded figures that they stand on.

Pure. A schedule is a number of frames for each millisecond; it is made before the test and kept
whatever happens (open loop), so that a system that falls behind cannot slow its own load down.

The figures are those of one busy hourly market's changes of the best quote, recorded for 48 minutes
with arrival times: 19,688 messages, 6.77 a second, 74 in the busiest second, 32 in the busiest
tenth of a second. A ladder's markets move together, because they ask about one price: so the tests
let all markets have their bursts at once, which is the worst case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

RECORDED_PER_S = 19_688 / 2_906.1
RECORDED_PEAK_PER_S = 74
TENTHS = {
    0: 21_628, 1: 3_507, 2: 1_656, 3: 701, 4: 450, 5: 304, 6: 195, 7: 166, 8: 122, 9: 77, 10: 54,
    11: 44, 12: 38, 13: 24, 14: 26, 15: 11, 16: 11, 17: 12, 18: 6, 19: 6, 20: 5, 21: 5, 22: 2,
    23: 4, 24: 2, 25: 3, 26: 1, 32: 1,
}  # fmt: skip
"""Messages in a tenth of a second -> how many of the recording's tenths had so many."""
VENUE_MARKETS = 20_000
VENUE_PER_S = 6_600
VENUE_BURST = 10
VENUE_BURST_SHARE = 0.05
"""Part of the time in which the whole venue sends ten times its mean."""
SLOT_NS = 1_000_000
TENTH_SLOTS = 100


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind of load. `coins` and `days` say which ladders the simulated venue lists."""

    name: str
    words: str
    coins: tuple[str, ...]
    days: int
    wanted_markets: int

    def nominal_per_s(self, markets: int) -> float:
        """The rate that the profile is about, with so many markets."""
        match self.name:
            case "today":
                return RECORDED_PER_S * markets
            case "twice":
                return 2.0 * RECORDED_PEAK_PER_S * markets
            case _:
                return float(VENUE_PER_S)

    def weights(self, tenths: int, seed: int = 1) -> list[float]:
        """Load of each tenth of a second, 1 being the mean."""
        random = Random(seed)
        match self.name:
            case "today":
                drawn = random.choices(list(TENTHS), list(TENTHS.values()), k=tenths)
            case "twice":
                drawn = [1] * tenths
            case _:
                bursts = max(1, round(tenths * VENUE_BURST_SHARE))
                base = (1 - VENUE_BURST * VENUE_BURST_SHARE) / (1 - VENUE_BURST_SHARE)
                places = set(random.sample(range(tenths), bursts))
                return _level([VENUE_BURST if n in places else base for n in range(tenths)])
        return _level([float(value) for value in drawn])


PROFILES = {
    one.name: one
    for one in (
        Profile(
            "today",
            "today's ladders at the recorded mean rate and with the recorded bursts",
            ("BTC", "ETH", "SOL"),
            7,
            462,
        ),
        Profile(
            "twice",
            "today's ladders at twice the recorded busiest second, all the time",
            ("BTC", "ETH", "SOL"),
            7,
            462,
        ),
        Profile(
            "venue",
            "the whole venue: 6,600 a second, and ten times that in bursts",
            ("BTC", "ETH", "SOL", "XRP", "DOGE"),
            7,
            VENUE_MARKETS,
        ),
    )
}


def _level(weights: Sequence[float]) -> list[float]:
    mean = sum(weights) / len(weights)
    return [weight / mean for weight in weights] if mean else [1.0] * len(weights)


def schedule(profile: Profile, per_s: float, seconds: float) -> list[int]:
    """Frames for each slot of a millisecond; they add up to the rate, to the frame."""
    tenths = max(1, round(seconds * 10))
    slot_frames = per_s * SLOT_NS / 1e9
    exact = [slot_frames * weight for weight in profile.weights(tenths) for _ in range(TENTH_SLOTS)]
    whole = [int(value + 1e-6) for value in accumulate(exact)]
    return [after - before for before, after in zip([0, *whole[:-1]], whole, strict=True)]
