"""The executor's hands without its eyes: journal, orders, fills and proofs, on a real exchange.

Everything between a decision and a true ledger is the product's own (launching, dispatch, http,
venue, user channel, intake, proving, fold, journal); only signals, shared memory and the mode are
left out. The exchange is a server in the same event loop. `die` drops everything as SIGKILL does,
`rise` starts again from the journal.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import wraps
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from executor import comparing
from executor.breaker import Signs, note_refusal
from executor.chronicle import Chronicle
from executor.counting import Count
from executor.dispatch import Dispatcher
from executor.flights import Flight, awaited
from executor.intake import Intake
from executor.journal import Journal
from executor.launching import ORDER_TYPE, Launcher, Wish
from executor.proving import Prover
from executor.reconciling import Reconciler
from executor.signing import OrderSigner
from executor.snapshot import draft, market_row
from executor.starting import open_ledger
from executor.user import UserChannel
from executor.venue import Unavailable, Venue
from executor.wallet import ensure_paper_key, load
from executor.wire import ORDER_TYPES
from shm import records
from shm.codes import BasketKind, Exchange, MarketKind, Outcome, Purpose, Side
from shm.journal_files import SYSTEM_CLOCK, Place
from shm.layout import Market
from shm.limits import JournalSettings, RiskSettings
from shm.records import Kind
from shm.settings import DeskSettings, ExecutorSettings, Settings, VenueSettings
from sim.exchange import Exchange as SimExchange
from sim.house import House
from sim.market import Facts
from sim.market import Market as SimMarket
from sim.order import Side as SimSide
from sim.trades import Delays
from sim.venue import Venue as SimVenue
from tests.crash.accounts import entries_of
from tests.engine.factory import market as market_of
from tests.sim.live import Catalog, Client, Still, serving

ONE_E6 = 1_000_000
SIZE_E6 = 10 * ONE_E6
LEVELS = [("BUY", 4_000, 1_000), ("SELL", 5_000, 1_000), ("SELL", 5_100, 1_000)]
MARKETS = 3
PATIENCE_S = 20.0
JOURNAL = JournalSettings(segment_records=1024)
QUICK = ExecutorSettings(reply_timeout_ms=250, doubt_settle_ms=150, fill_wait_ms=30)


def scenario(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that is a coroutine."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


def sim_venue() -> SimVenue:
    """An exchange with three markets whose books stand still."""
    now_ms = time.time_ns() // 1_000_000
    exchange = SimExchange(1, 1_000_000 * ONE_E6, Delays(20, 60))
    house = House(exchange.floor, Random(1))
    for number in range(MARKETS):
        cid = "0x" + f"{number + 1:02x}" * 32
        listed = SimMarket(
            Facts(condition_id=cid, tokens=tokens(number), neg_risk=False), 10, now_ms
        )
        exchange.list_market(listed)
        house.set_levels(listed, [((SimSide(s), p), n * ONE_E6) for s, p, n in LEVELS], now_ms)
    return SimVenue(exchange, Catalog(), Still(), now_ms)


def by_hand() -> dict[str, Any]:
    """Somebody buys ten shares with the same wallet, and not through us."""
    order = {
        "do": "manual_order", "token": tokens(0)[0], "side": "BUY", "shares": "10",
        "price": "0.5", "rest": False,
    }  # fmt: skip
    return {"at": "clock", "then": order}


def tokens(number: int) -> tuple[str, str]:
    """YES and NO of a market."""
    return str(10**70 + 2 * number), str(10**70 + 2 * number + 1)


def our_market(number: int) -> Market:
    """The same as discovery tells it."""
    yes, no = tokens(number)
    return market_of(number, MarketKind.ABOVE, 10 * (number + 1))._replace(
        yes_token=int(yes).to_bytes(32, "big"),
        no_token=int(no).to_bytes(32, "big"),
        condition=bytes([number + 1]) * 32,
        exchange=Exchange.STANDARD,
        expiry_ms=4_000_000_000_000,
    )


class Counts:
    """What the executor counts, without shared memory."""

    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    def add(self, name: str, amount: int = 1) -> None:
        self.of[name] += amount


class _Stage:
    """As much of a stage as a start looks at."""

    stopping = False
    settings_version = 1

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.fabric = self

    def segment(self, _name: str, *, writable: bool) -> Any:
        """The segment whose birth says which system this is."""
        assert not writable
        header = type("Header", (), {"created_wall_ns": 7})
        return type("Segment", (), {"header": header})


class Hand:
    """See the module."""

    def __init__(self, client: Client, folder: Path, settings: Settings) -> None:
        self.client, self.folder, self.settings = client, folder, settings
        self.exchange = client.door.venue.exchange
        self.markets = [our_market(number) for number in range(MARKETS)]
        self.counts = Counts()
        self.said: list[str] = []
        self.tasks: list[asyncio.Future[Any]] = []
        self.journal: Journal | None = None

    async def rise(self) -> None:
        """Start, as executor/starting.py does it."""
        settings = self.settings
        ensure_paper_key(settings.key_path)
        signer = OrderSigner(load(settings.key_path, settings.wallet))
        self.wallet = signer.wallet.maker
        self.journal = Journal.open(
            self.folder / "journal", bytes.fromhex(self.wallet[2:]), settings.journal,
            clock=SYSTEM_CLOCK, root=self.folder, threaded=False,
        )  # fmt: skip
        self.signs = Signs()
        self.chronicle = Chronicle(self.journal, lambda _turn: None)
        self.venue = Venue(settings, signer.wallet)
        assert await self.venue.log_in() is None
        counts: Any = self.counts
        self.intake = Intake(self.chronicle, counts, self.venue.api_key)
        self.launcher = Launcher(
            self.venue.account(signer, ORDER_TYPES[ORDER_TYPE - 1]), self.journal.journal_id
        )
        self.count = Count(self.chronicle)
        self.dispatcher = Dispatcher(self.chronicle, counts, self.signs, self.said.append)
        self.prover = Prover(self.venue, self.chronicle, self.intake.take, self.said.append)
        self.reconciler = Reconciler(self.venue, self.chronicle)
        assert self.venue.credentials is not None
        self.channel = UserChannel(
            settings.venues.user_ws_url, self.venue.credentials, self.intake.take_one,
            self.counts.add,
        )  # fmt: skip
        self.tasks = [asyncio.ensure_future(self.channel.run())]
        await self.until(lambda: self.channel.up, "the user channel is up")
        await self.venue.cancel_all()
        stage: Any = _Stage(settings)
        assert await open_ledger(stage, self.venue, self.journal, self.chronicle, self.intake)
        self.chronicle.tell([draft(Kind.MARKET, market_row(one)) for one in self.markets])
        self.venue.on_refused = self._refused

    def _refused(self, refusal: Unavailable) -> None:
        note_refusal(self.signs, refusal.cause, refusal.reason)

    async def die(self) -> None:
        """Everything that is not in the journal is gone."""
        if self.journal is None:
            return
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for connection in [self.venue._reads, *self.venue.order_connections]:
            connection.close()
        self.journal.close()
        self.journal = None

    async def again(self) -> None:
        """Die and start."""
        await self.die()
        await self.rise()

    # --- orders -----------------------------------------------------------------------------------

    def wish(self, number: int = 0, side: Side = Side.BUY, price_e4: int = 5_000) -> Wish:
        """An order for YES of a market."""
        return Wish(self.markets[number], Outcome.YES, side, price_e4, SIZE_E6, 10)

    def basket(self, legs: int = 3) -> records.Basket:
        """What the legs are for."""
        return records.Basket(
            signal=self.chronicle.state.last_signal + 1, basket=5, parent=0, payout_e4=20_000,
            size_e6=SIZE_E6, reserved_usd_e6=30 * ONE_E6, limit_net_e8=1,
            created_ms=time.time_ns() // 1_000_000, group=1, kind=BasketKind.TRIANGLE_BUY,
            purpose=Purpose.BASKET, leg_count=legs,
        )  # fmt: skip

    def build(self, wishes: Sequence[Wish]) -> Any:
        """Signed and ready."""
        return self.launcher.build(self.chronicle.next_flight, self.basket(len(wishes)), wishes)

    async def send(self, *wishes: Wish, answered: bool = True) -> Flight:
        """Send a batch, and wait for its answer."""
        wanted = wishes or [self.wish(number) for number in range(MARKETS)]
        await self.venue.warm()
        connection = self.venue.idle_connection()
        assert connection is not None
        flight = self.dispatcher.send(self.build(wanted), connection)
        assert flight is not None
        timeout_s = self.settings.executor.reply_timeout_ms / 1e3
        answer = self.dispatcher.answer(flight, connection, timeout_s)
        if answered:
            await answer
        else:
            self.tasks.append(asyncio.ensure_future(answer))
            await asyncio.sleep(0.05)
        return self.chronicle.state.flights[flight.id]

    async def turn(self) -> None:
        """What the executor's loop looks at twenty times a second, as far as it is here."""
        self.chronicle.flush()
        self.signs.clock_offset_ms = self.venue.clock_offset_ms
        task = self.prover.look(self.settings.executor)
        if task is not None:
            await task

    async def until(self, condition: Callable[[], Any], what: str) -> Any:
        """Turn until something is true; patient, because nothing here measures time."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert time.monotonic() < deadline_s, f"never: {what}"
            if self.journal is not None and hasattr(self, "chronicle") and self.channel_made:
                await self.turn()
            await asyncio.sleep(0.01)
        return found

    @property
    def channel_made(self) -> bool:
        """Whether the ledger is open, so that turning makes sense."""
        return bool(self.chronicle.state.run) and hasattr(self, "channel")

    async def settled(self) -> None:
        """Until everything that was sent has its end."""
        state = self.chronicle.state

        def over() -> bool:
            flights = state.flights.values()
            legs_over = not any(leg.open for flight in flights for leg in flight.legs)
            waits = any(awaited(flight, state.ledger) for flight in flights)
            return legs_over and not waits and not state.ledger.unconfirmed

        await self.until(over, f"all is settled: {self.said}")

    def journal_entries(self) -> list[Any]:
        """Records of the living segment, as a reader finds them."""
        assert self.journal is not None
        place = Place(self.folder / "journal")
        return entries_of(place.segment(self.journal.segment), self.journal.segment)

    # --- the exchange's side ----------------------------------------------------------------------

    async def rules(self, *rules: dict[str, Any]) -> None:
        """Faults of the exchange, instead of those that were in force."""
        body = msgspec.json.encode({"clear": "all", "add": rules})
        status, reply = await self.client.call("POST", "/sim/faults", body)
        assert status == 200, reply

    def accepted(self) -> list[str]:
        """Hashes of the orders that the exchange has ever accepted."""
        lines = self.exchange.truth.since(0, 100_000)
        return [one["order_id"] for one in lines if one["kind"] == "order" and one["accepted"]]

    def posts(self) -> int:
        """Requests with orders that have arrived."""
        return self.requests("POST /orders")

    def requests(self, place: str) -> int:
        """Requests of an endpoint that have arrived."""
        lines = self.exchange.truth.since(0, 100_000)
        return sum(one["kind"] == "request" and one["place"] == place for one in lines)

    async def require_agreement(self) -> None:
        """Cash and positions are the exchange's, and a comparison finds nothing."""
        await self.settled()
        ledger = self.chronicle.state.ledger
        theirs = self.exchange.floor.ledger.accounts[self.wallet]
        assert ledger.cash_usd_e6 == theirs.cash_usd_e6
        held = {token: one.size_e6 for token, one in ledger.holdings.items() if one.size_e6}
        assert held == {token: size for token, size in theirs.positions.items() if size}
        found = await self.reconciler.compare(RiskSettings(), positions=True)
        assert found is None or found.clean, comparing.Comparison
        assert len(set(self.accepted())) == len(self.accepted())
        known = set(self.chronicle.state.flight_by_order)
        assert set(self.accepted()) <= known, "an order that the journal does not know"


@contextlib.asynccontextmanager
async def hand(
    folder: Path,
    *rules: dict[str, Any],
    journal: JournalSettings = JOURNAL,
    **executor: int,
) -> Any:
    """A hand on an exchange with rules in force."""
    async with serving(sim_venue(), running=True) as client:
        ws = client.url.replace("http://", "ws://")
        settings = Settings(
            instance="hand",
            desk=DeskSettings(var_dir=str(folder / "var")),
            venues=VenueSettings(clob_url=client.url, user_ws_url=f"{ws}/ws/user"),
            executor=msgspec.structs.replace(QUICK, **executor),
            journal=journal,
        )
        one = Hand(client, folder, settings)
        try:
            await one.rise()
            await one.rules(*rules)
            yield one
        finally:
            await one.die()


def legs_of(flight: Flight) -> Iterator[str]:
    """States of its orders by name."""
    return (leg.state.name for leg in flight.legs)
