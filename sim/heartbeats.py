"""Cancel-on-disconnect: the id chain of each API key and who has fallen silent (protocol.md C.5).

The first accepted beat arms a key for good; from then on every sweep reports it while no accepted
beat is younger than the limit.
"""

import uuid
from dataclasses import dataclass
from random import Random

from sim.limits import HEARTBEAT_SILENCE_MS, HEARTBEAT_SWEEP_MS


@dataclass(slots=True)
class _Chain:
    expected: str
    beat_ms: int


class Heartbeats:
    """All armed keys. Times are milliseconds and never run backwards."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._chains: dict[str, _Chain] = {}
        self._sweep_ms: int | None = None

    def beat(self, owner: str, heartbeat_id: str, now_ms: int) -> tuple[bool, str]:
        """(accepted, id to send next); a wrong id changes nothing and names the right one."""
        chain = self._chains.get(owner)
        expected = "" if chain is None else chain.expected
        if heartbeat_id != expected:
            return False, expected
        following = str(uuid.UUID(int=self._rng.getrandbits(128), version=4))
        self._chains[owner] = _Chain(following, now_ms)
        return True, following

    def silent(self, now_ms: int) -> list[str]:
        """Keys whose orders have to go, once for each sweep; empty between sweeps."""
        if self._sweep_ms is None:
            self._sweep_ms = now_ms
        if now_ms < self._sweep_ms + HEARTBEAT_SWEEP_MS:
            return []
        self._sweep_ms = now_ms
        return [
            owner
            for owner, chain in self._chains.items()
            if now_ms - chain.beat_ms > HEARTBEAT_SILENCE_MS
        ]
