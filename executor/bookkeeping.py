"""What we hold, owe and wait for: ledger, open flights and reservations, shown in shared memory.

The only writer of flights, positions, account and reports. Knows no network: trades and outcomes
are handed in, finished flights are reported and counted here.
"""

import time
from collections import deque
from collections.abc import Iterable, Sequence

from executor.flights import Flight, awaited, settle, tally, to_row
from executor.ledger import Fill, Ledger, fills_of
from executor.wire import Trade
from shm.codes import (
    FlightState,
    LegState,
    Outcome,
    PartialReason,
    Refusal,
    ReportKind,
)
from shm.fabric import Counters
from shm.layout import (
    ACCOUNT,
    FLIGHT,
    MAX_LEGS,
    POSITION,
    REPORT,
    ExecutorStats,
    Market,
    Position,
    Report,
    Signal,
)
from shm.segments import FLIGHTS_MAX
from shm.stage import Stage

_NO_LEGS = (0,) * MAX_LEGS
_REPORT_OF = {
    FlightState.COMPLETE: ReportKind.COMPLETE,
    FlightState.PARTIAL: ReportKind.PARTIAL,
    FlightState.MISSED: ReportKind.MISSED,
}
_COUNTER_OF = {
    FlightState.COMPLETE: "baskets_complete",
    FlightState.PARTIAL: "baskets_partial",
    FlightState.MISSED: "baskets_missed",
}


class Bookkeeper:
    """See the module."""

    def __init__(self, stage: Stage, counters: Counters[ExecutorStats]) -> None:
        fabric = stage.fabric
        self._stage = stage
        self._counters = counters
        self._flight_table = fabric.write_table("flights", FLIGHT)
        self._position_table = fabric.write_table("positions", POSITION)
        self._account_table = fabric.write_table("positions.account", ACCOUNT)
        self._earlier_account = fabric.read_table("positions.account", ACCOUNT)
        self._reports = fabric.produce("reports", REPORT)
        self._unreported: deque[Report] = deque()
        self._tokens: dict[str, tuple[Market, Outcome]] = {}
        self._early_trades: list[Trade] = []
        self._wallet = bytes(32)
        self._api_key = ""
        self._locked_usd_e6 = 0
        self._orphan_usd_e6 = 0
        self._next_place = 0
        self.ledger: Ledger | None = None
        self.open: dict[int, Flight] = {}
        """By signal."""

    # --- markets --------------------------------------------------------------------------------

    def learn(self, markets: Iterable[Market]) -> None:
        """Remember which token belongs to which market; never forgotten, fills may come late."""
        for market in markets:
            for token, outcome in (
                (market.yes_token, Outcome.YES),
                (market.no_token, Outcome.NO),
            ):
                self._tokens[str(int.from_bytes(token, "big"))] = (market, outcome)

    def _fee_rate_e6(self, token: str) -> int:
        known = self._tokens.get(token)
        return known[0].fee_rate_e6 if known else 0

    # --- the ledger -----------------------------------------------------------------------------

    def know_account(self, api_key: str, wallet: bytes) -> None:
        """Whose trades count."""
        self._api_key = api_key
        self._wallet = wallet.rjust(32, b"\0")

    def fills_of(self, trade: Trade) -> list[Fill]:
        """Our fills in a trade."""
        return list(fills_of(trade, self._api_key, self._fee_rate_e6))

    def start(self, ledger: Ledger, flights: Iterable[Flight], next_place: int) -> None:
        """Take over a rebuilt ledger and the flights of the process before this one."""
        self.ledger = ledger
        self._next_place = next_place
        for flight in flights:
            self.open[flight.signal] = flight
        earlier = self._earlier_account.read(0)
        if earlier is not None and earlier.wallet == self._wallet:
            self._locked_usd_e6 = earlier.locked_profit_usd_e6
            self._orphan_usd_e6 = earlier.orphan_cost_usd_e6
        for trade in self._early_trades:
            self.take_trade(trade)
        self._early_trades.clear()
        for token in ledger.holdings:
            self._show_position(token)
        self.settle_all()
        self._show_account()

    def take_trade(self, trade: Trade) -> None:
        """Fold one trade, from the user channel or from REST."""
        if self.ledger is None:
            self._early_trades.append(trade)
            return
        for fill in self.fills_of(trade):
            if not self.ledger.apply(fill):
                self._counters.add("fills_duplicate")
                continue
            self._counters.add("trades_failed" if fill.failed else "fills_seen")
            self._show_position(fill.token)
        self.settle_all()
        self._show_account()

    @property
    def free_cash_usd_e6(self) -> int:
        """Cash less reservations; 0 before recovery."""
        return 0 if self.ledger is None else self.ledger.cash_usd_e6 - self.reserved_usd_e6

    @property
    def reserved_usd_e6(self) -> int:
        """What open flights may still cost; fills that are in already count twice meanwhile."""
        return sum(flight.reserved_usd_e6 for flight in self.open.values())

    @property
    def busy_rows(self) -> frozenset[int]:
        """Markets that an open flight uses."""
        return frozenset(leg.row for flight in self.open.values() for leg in flight.legs)

    # --- flights --------------------------------------------------------------------------------

    def place(self) -> int:
        """A row of the flights table that no open flight uses."""
        taken = {flight.place for flight in self.open.values()}
        while self._next_place % FLIGHTS_MAX in taken:
            self._next_place += 1
        place = self._next_place % FLIGHTS_MAX
        self._next_place += 1
        return place

    def record(self, flight: Flight) -> None:
        """Write a flight's present state; called before its bytes leave."""
        self.open[flight.signal] = flight
        self.show(flight)

    def show(self, flight: Flight) -> None:
        """Write a flight's row."""
        self._flight_table.write(flight.place, to_row(flight, self.ledger or Ledger()))

    def settle_all(self) -> None:
        """Let every open flight see what the ledger shows."""
        for flight in list(self.open.values()):
            self.settle(flight)

    def settle(self, flight: Flight) -> None:
        """Bring one flight up to date; report it if this was its end."""
        if self.ledger is None or flight.state is FlightState.INTENT:
            return
        finished = settle(flight, self.ledger)
        if finished:
            self._finish(flight)
        self.show(flight)

    def _finish(self, flight: Flight) -> None:
        assert self.ledger is not None
        del self.open[flight.signal]
        sums = tally(flight, self.ledger)
        self._locked_usd_e6 += sums.locked_profit_usd_e6
        self._orphan_usd_e6 += sums.orphan_cost_usd_e6
        self._counters.add(_COUNTER_OF[flight.state])
        self._counters.add("orders_filled", sums.legs_filled)
        if flight.state is FlightState.PARTIAL:
            self._counters.add(f"partial_{flight.reason.name.lower()}")
            self._stage.log.warning("partial basket: %s", _in_words(flight))
        now_ns = time.monotonic_ns()
        self.report(
            Report(
                signal=flight.signal,
                basket=flight.basket,
                kind=_REPORT_OF[flight.state],
                reason=flight.reason,
                leg_count=len(flight.legs),
                legs_filled=sums.legs_filled,
                size_e6=flight.size_e6,
                cost_usd_e6=sums.cost_usd_e6,
                fee_usd_e6=sums.fee_usd_e6,
                profit_usd_e6=sums.locked_profit_usd_e6,
                reported_ns=now_ns,
                latency_ns=max(0, now_ns - flight.sent_ns),
                leg_market=_column([leg.row for leg in flight.legs]),
                leg_state=_column([leg.state for leg in flight.legs]),
                leg_reason=_column([leg.reason for leg in flight.legs]),
            )
        )
        self._show_account()

    def overdue(self, now_ns: int, wait_ns: int) -> list[Flight]:
        """Flights that were sent longer than `wait_ns` ago and still wait for proof."""
        assert self.ledger is not None
        return [
            flight
            for flight in self.open.values()
            if now_ns - flight.sent_ns > wait_ns
            and (flight.state is FlightState.RESOLVING or awaited(flight, self.ledger))
        ]

    def give_up_doubts(self, flights: Iterable[Flight]) -> None:
        """The venue's own list, read after the settle window, does not have these orders."""
        for flight in flights:
            for leg in flight.legs:
                if leg.state is LegState.DOUBT:
                    leg.move(LegState.NEVER_LANDED, leg.reason)
                elif leg.state is LegState.LANDED:
                    leg.move(LegState.KILLED, leg.reason)
            self.settle(flight)

    # --- reports --------------------------------------------------------------------------------

    def refuse(self, signal: Signal, refusal: Refusal) -> None:
        """Count a refused signal and tell the engine why."""
        self._counters.add(f"refused_{refusal.name.lower()}")
        self.report(_about(signal, ReportKind.REFUSED, refusal))

    def sent(self, signal: Signal) -> None:
        """Tell the engine that orders went out."""
        self.report(_about(signal, ReportKind.SENT, PartialReason.NONE))

    def report(self, report: Report) -> None:
        """Push a report; a full ring keeps it here, in order, and stops new baskets."""
        self._unreported.append(report)
        self.flush_reports()

    def flush_reports(self) -> None:
        """Push what waits, as far as the ring has room."""
        while self._unreported and self._reports.try_push(self._unreported[0]):
            self._unreported.popleft()
        if self._unreported:
            self._counters.add("reports_waited")

    @property
    def reports_waiting(self) -> bool:
        """Whether the engine does not keep up with its reports."""
        return bool(self._unreported)

    # --- for onlookers --------------------------------------------------------------------------

    def _show_position(self, token: str) -> None:
        known = self._tokens.get(token)
        if known is None or self.ledger is None:
            return
        market = known[0]
        yes_token, no_token = (
            str(int.from_bytes(word, "big")) for word in (market.yes_token, market.no_token)
        )
        holdings = self.ledger.holdings
        yes, no = holdings.get(yes_token), holdings.get(no_token)
        self._position_table.write(
            market.row,
            Position(
                market_key=market.key,
                yes_e6=yes.size_e6 if yes else 0,
                no_e6=no.size_e6 if no else 0,
                yes_cost_usd_e6=yes.cost_usd_e6 if yes else 0,
                no_cost_usd_e6=no.cost_usd_e6 if no else 0,
                fee_usd_e6=(yes.fee_usd_e6 if yes else 0) + (no.fee_usd_e6 if no else 0),
                fills=(yes.fills if yes else 0) + (no.fills if no else 0),
                updated_ns=time.monotonic_ns(),
            ),
        )

    def _show_account(self) -> None:
        ledger = self.ledger
        if ledger is None:
            return
        self._account_table.write(
            0,
            ACCOUNT.blank()._replace(
                cash_usd_e6=ledger.cash_usd_e6,
                opening_usd_e6=ledger.opening_usd_e6,
                reserved_usd_e6=self.reserved_usd_e6,
                fee_usd_e6=ledger.fee_usd_e6,
                locked_profit_usd_e6=self._locked_usd_e6,
                orphan_cost_usd_e6=self._orphan_usd_e6,
                fills=ledger.fills,
                updated_ns=time.monotonic_ns(),
                wallet=self._wallet,
            ),
        )


def _column(values: Sequence[int]) -> tuple[int, ...]:
    return (*values, *_NO_LEGS[len(values) :])


def _about(signal: Signal, kind: ReportKind, reason: int) -> Report:
    now_ns = time.monotonic_ns()
    return Report(
        signal=signal.signal,
        basket=signal.basket,
        kind=kind,
        reason=reason,
        leg_count=signal.leg_count,
        legs_filled=0,
        size_e6=signal.size_e6,
        cost_usd_e6=0,
        fee_usd_e6=0,
        profit_usd_e6=0,
        reported_ns=now_ns,
        latency_ns=max(0, now_ns - signal.created_ns),
        leg_market=signal.leg_market,
        leg_state=_NO_LEGS,
        leg_reason=_NO_LEGS,
    )


def _in_words(flight: Flight) -> str:
    legs = ", ".join(
        f"{leg.outcome.name} of market {leg.row} {leg.state.name.lower()}"
        + (f" ({leg.reason.name.lower()})" if leg.reason else "")
        for leg in flight.legs
    )
    return f"{flight.kind.name} x{flight.size_e6 / 1e6:g} {flight.reason.name.lower()}: {legs}"
