"""Baskets to look at again although none of their books changes: which, and when. Pure.

An opportunity that stands still would be lost for ever if only changed books were looked at: when
its cooldown is over, its markets are free, the executor has refused a signal, ingest is heard again
or trading is allowed, nothing may have changed in its books. So a hit that was held back for a
reason that passes by itself is put into a queue with the time at which it is worth another look.
The first look is at once; whatever fails again waits a millisecond, then twice as long, a second
at most: so that it is hardly looked at later than after twice the time that it had to wait, and an
executor that refuses it is not flooded. A changed book starts that anew. Every basket is in the
queue once at most: its room is the plan's.

engine/waiting.h is the compiled twin.
"""

from collections.abc import Callable, Mapping

from shm.codes import Verdict

RETRY_FIRST_NS = 1_000_000
RETRY_DOUBLINGS = 10
RETRY_BATCH = 64
"""Baskets that are looked at again in one turn."""
PASSING = {Verdict.STALE, Verdict.BUSY, Verdict.DISABLED, Verdict.RING_FULL}
"""What may end without any book changing, nobody knows when."""


class Queue:
    """Numbers of baskets that wait, and when each is due; 0: only until it is next passed by."""

    def __init__(self, baskets: int) -> None:
        self.due_ns = [0] * baskets
        self.tries = [0] * baskets
        self.order: list[int] = []
        self._queued = [False] * baskets

    def wait_until(self, number: int, due_ns: int) -> None:
        """Look at a basket again, not before some time."""
        self.due_ns[number] = due_ns
        if not self._queued[number]:
            self._queued[number] = True
            self.order.append(number)

    def wait_for_all(self) -> None:
        """Look at every basket as soon as there is time."""
        for number in range(len(self.due_ns)):
            self.tries[number] = 0
            self.wait_until(number, 1)

    def judged(self, number: int, verdict: Verdict, now_ns: int, cool_ns: int) -> None:
        """After a verdict on a hit: when it is worth another look, if ever."""
        if verdict is Verdict.COOLING:
            self.wait_until(number, cool_ns)
        elif verdict in PASSING:
            self.wait_until(number, now_ns + self._pause_ns(number))
        else:
            self.due_ns[number] = 0

    def freed(self, number: int, now_ns: int, cool_ns: int) -> None:
        """After its signal is over: it may still be worth one."""
        self.wait_until(number, max(now_ns + self._pause_ns(number), cool_ns))

    def _pause_ns(self, number: int) -> int:
        tries = self.tries[number]
        return RETRY_FIRST_NS << min(tries - 1, RETRY_DOUBLINGS) if tries else 0

    def pass_by(self, now_ns: int, look: Callable[[int], None]) -> bool:
        """Call `look` for those that are due, which may make them wait again; whether any went."""
        place = looked = 0
        changed = False
        while place < len(self.order) and looked < RETRY_BATCH:
            number = self.order[place]
            due_ns = self.due_ns[number]
            if due_ns > now_ns:
                place += 1
                continue
            changed = True
            if due_ns:
                looked += 1
                self.due_ns[number] = 0
                look(number)
            if self.due_ns[number]:
                place += 1
                continue
            self._queued[number] = False
            last = self.order.pop()
            if place < len(self.order):
                self.order[place] = last
        return changed

    def next_due_ns(self) -> int | None:
        """When the next one is due; None if none waits."""
        return min((due for number in self.order if (due := self.due_ns[number])), default=None)

    def restore(self, order: list[tuple[int, int]], tries: Mapping[int, int]) -> None:
        """Take over numbers and times from another core, in its order."""
        for number, due_ns in order:
            self.wait_until(number, due_ns)
        for number, count in tries.items():
            self.tries[number] = count
