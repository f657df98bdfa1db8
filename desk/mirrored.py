"""What a mirroring exchange says of the live venue, watched and put into words for people.

The exchange connects again by itself, so nothing here acts; trading stops without live data because
there are no books to trade on.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from desk import exchange

LOOK_S = 1.0


class Feed:
    """The live feed behind the exchange at `clob_url`; `say` hears of each change once."""

    def __init__(self, clob_url: str, say: Callable[[str], None]) -> None:
        self._url = clob_url
        self._say = say
        self.waiting = False
        """Whether the live venue lists none of the ladders that are wanted."""
        self.trouble = ""
        """Why there is no live data, or ""."""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            state = await exchange.ask_state(self._url)
            if state is not None:
                self.take(state["mirror"])
            await asyncio.sleep(LOOK_S)

    def take(self, mirror: dict[str, Any]) -> None:
        """Digest what the exchange says of its mirror."""
        before, was_waiting = self.trouble, self.waiting
        self.waiting = mirror["markets"] == 0
        # Known from the start: the first connection takes a moment, which is no trouble.
        self.trouble = mirror["trouble"] if mirror["losses"] or self.waiting else ""
        if self.trouble and self.trouble != before:
            self._say(f"no live data: {self.trouble}; waiting, trying again")
        elif not self.trouble and (before or was_waiting):
            self._say("live data again")

    @property
    def title(self) -> str:
        """For the top of the screen."""
        return "NO LIVE DATA, nothing is traded  " if self.trouble else ""
