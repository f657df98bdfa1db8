"""An update, and every basket that it affects: compiled core against the Python reference.

The ladder pair has nineteen strikes, so eighteen trios with their complements and ladders; the
update is of a strike in the middle, and at these prices nothing is worth a signal.
"""

from collections.abc import Callable
from typing import Any

from engine.baskets import compile_baskets
from engine.core import make_core
from engine.reference import PythonCore
from shm import backend
from shm.codes import BookState, MarketKind, Role
from shm.fabric import Fabric
from shm.layout import BOOK, BOOK_LEVELS, UPDATE, Update
from shm.roles import RoleHolder
from shm.settings import EngineSettings
from tests.bench.workers.line import Thing
from tests.engine.factory import ladder

STRIKES = 19
LEVELS = 6
MIDDLE = STRIKES // 2
FAR_E8 = 10**8
GROUP = 64
"""Updates put into the ring before the core is asked: what is measured is one of them."""


def _column(values: list[int]) -> tuple[int, ...]:
    return (*values, *[0] * (BOOK_LEVELS - len(values)))


def _book(market: Any, middle_e4: int, epoch: int) -> Any:
    bids = [middle_e4 - 50 - 10 * level for level in range(LEVELS)]
    asks = [middle_e4 + 50 + 10 * level for level in range(LEVELS)]
    sizes = _column([(100 + 7 * market.row + 31 * level) * 10**6 for level in range(LEVELS)])
    return BOOK.blank()._replace(
        market_key=market.key, epoch=epoch, state=BookState.LIVE, received_ns=1, tick_e4=10,
        bid_count=LEVELS, ask_count=LEVELS, bid_price_e4=_column(bids),
        ask_price_e4=_column(asks), bid_size_e6=sizes, ask_size_e6=sizes,
    )  # fmt: skip


def world(instance: str, core_of: Callable[..., Any]) -> tuple[Any, Any]:
    """A core that has seen the whole ladder, and the pen that writes updates for it."""
    ingest = Fabric(instance, Role.INGEST)
    epoch = RoleHolder(ingest.segment("control", writable=True), Role.INGEST).epoch
    books = ingest.write_table("books", BOOK)
    fabric = Fabric(instance, Role.ENGINE)
    holder = RoleHolder(fabric.segment("control", writable=True), Role.ENGINE)
    fabric.fence = holder.fence
    core = core_of(fabric, EngineSettings(), holder.epoch)
    markets = ladder([1_000 * (number + 1) for number in range(STRIKES)])
    above = [market for market in markets if market.kind == MarketKind.ABOVE]
    for market in markets:
        rank = above.index(market) if market in above else None
        middle_e4 = 500 if rank is None else 9_500 - 450 * rank
        books.write(market.row, _book(market, middle_e4, epoch))
    baskets = compile_baskets(markets, wide=False).baskets
    core.adopt(core.prepare(baskets, [FAR_E8] * len(baskets)), 1)
    core.follow_ingest()
    return core, ingest.produce("updates", UPDATE)


def updating(instance: str, core_of: Callable[..., Any]) -> Thing:
    """`GROUP` updates in the ring, then one step: everything from the ring to the verdict."""
    core, updates = world(instance, core_of)
    update = Update(MIDDLE, 0, 0, 0, 1, 1, 1)

    def fill() -> None:
        for _ in range(GROUP):
            updates.try_push(update)

    fill()
    return Thing(lambda: core.step(0, 0, may_sleep=False), [()], between=fill, units=GROUP)


def things(fresh_instance: Callable[[], str]) -> dict[str, Any]:
    """What `ours` serves."""
    found: dict[str, Any] = {
        "updates, python": lambda: updating(fresh_instance(), PythonCore),
    }
    if backend.NATIVE:
        found["updates, native"] = lambda: updating(fresh_instance(), make_core)
    return found
