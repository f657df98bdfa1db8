"""A venue as a script: what it answers next, and what it was asked. No sockets."""

import inspect
import time
from collections import defaultdict

from executor.venue import Unavailable
from executor.wire import OpenOrder, Trade

AWAY = Unavailable("it is away")


class Asked:
    """Answers from attributes; `script[name]` is answered first, one at a time, or called."""

    def __init__(self, cash_usd_e6: int = 1_000_000_000) -> None:
        self.cash = cash_usd_e6
        self.offset_ms: int | None = 0
        """How far our clock is ahead of its own; None: it has not told."""
        self.positions: dict[str, int] = {}
        self.listed: list[Trade] = []
        self.resting: list[OpenOrder] = []
        self.orders: dict[str, OpenOrder] = {}
        self.script = defaultdict(list)
        self.asked: list[tuple] = []

    async def _answer(self, what: str, answer, *about):
        self.asked.append((what, *about))
        if self.script[what]:
            said = self.script[what].pop(0)
            said = said() if callable(said) else said
            return await said if inspect.isawaitable(said) else said
        return answer

    def times(self, what: str) -> int:
        return sum(one[0] == what for one in self.asked)

    async def cash_usd_e6(self, *, anew=False):
        if anew:
            await self._answer("read anew", None, "cash")
        return await self._answer("cash", self.cash)

    async def position_e6(self, token, *, anew=False):
        if anew:
            await self._answer("read anew", None, token)
        return await self._answer("position", self.positions.get(token, 0), token)

    async def trades(self, after_s=0):
        return await self._answer("trades", list(self.listed), after_s)

    async def open_orders(self):
        return await self._answer("open", list(self.resting))

    async def order(self, order_hash):
        return await self._answer("order", self.orders.get(order_hash), order_hash)

    async def cancel_all(self):
        self.resting = []
        return await self._answer("cancel", None)

    def clock_agrees(self, within_ms):
        return self.offset_ms is not None and abs(self.offset_ms) <= within_ms

    async def clock(self):
        now_ms = time.time_ns() // 1_000_000
        return await self._answer("clock", (now_ms, now_ms // 1_000, now_ms))
