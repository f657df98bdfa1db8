"""Journals as they might be: random lives of baskets, told record by record, valid at each step."""

import random
from hashlib import sha256

from executor.flights import LEG_OPEN, positions_e6
from executor.fold import apply
from executor.legging import is_even
from executor.modes import CAUSES_OF_BACK, NEXT
from executor.snapshot import draft, hash_bytes, market_row, word
from executor.state import State, Turn
from shm import records
from shm.codes import (
    BasketKind,
    Cause,
    FillStatus,
    FlightState,
    LegReason,
    LegState,
    MarketKind,
    Mode,
    Outcome,
    Purpose,
    Side,
)
from shm.inventory import opposite
from shm.journal_record import Draft, Entry, entry_at, first_link, seal_group
from shm.records import Kind
from tests.engine.factory import ladder

MARKETS = [m for m in ladder([10, 20, 30]) if m.kind in {MarketKind.ABOVE, MarketKind.RANGE}]
TRIOS = [(0, 3, 1), (1, 4, 2)]
OUTCOMES = (Outcome.YES, Outcome.NO, Outcome.NO)
OTHER = {Side.BUY: Side.SELL, Side.SELL: Side.BUY}
NO_MARKET = bytes(32)


class Story:
    """Tells records, seals and reads them back, and keeps the state that they add up to."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.state = State()
        self.link = first_link(77)
        self.entries: list[Entry] = []
        self.groups: list[bytes] = []
        self.now_ms = 1_795_000_000_000
        self.signal = 0
        self.ladders = [MARKETS[0].group]
        self.open_process()
        self.tell([draft(Kind.MARKET, market_row(market)) for market in MARKETS])

    def tell(self, drafts: list[Draft]) -> list[Turn]:
        """Write, read back, fold."""
        group, self.link = seal_group(self.link, drafts, 1, self.now_ms * 1_000_000)
        self.groups.append(group)
        turns = []
        for place in range(len(drafts)):
            entry = entry_at(memoryview(group), 256 * place)
            self.entries.append(entry)
            turns += apply(self.state, entry)
        return turns

    def pass_time(self) -> None:
        steps = (0, 1, 30, 900, 5_000, 61_000, 700_000, 3_700_000)
        self.now_ms += self.random.choices(steps, (9, 9, 9, 9, 5, 2, 1, 1))[0]

    # --- acts -------------------------------------------------------------------------------------

    def open_process(self) -> None:
        system = self.random.randint(1, 2)
        opened = records.Opened(
            system, 10**9, self.state.run + 1, 0, 0, bytes(16), b"\1" * 32, b"build"
        )
        self.tell([draft(Kind.OPENED, opened)])
        self.move(Mode.RECONCILING, Cause.START)

    def move(self, mode: Mode, cause: Cause) -> None:
        nonce = self.random.randint(0, 9) if cause is Cause.OPERATOR else 0
        self.tell([draft(Kind.MODE, records.ModeChange(nonce, mode, cause, b"test", b""))])

    def launch(self) -> None:
        self.signal += self.random.randint(1, 3)
        rows, size_e6 = self.random.choice(TRIOS), self.random.randint(5, 60) * 10**6
        legs = [(rows[i], *self.form(OUTCOMES[i], Side.BUY), size_e6) for i in range(3)]
        self.batch(0, legs, size_e6)

    def form(self, outcome: Outcome, side: Side) -> tuple[Outcome, Side]:
        """Now and then the other form of the same trade."""
        return (opposite(outcome), OTHER[side]) if self.random.random() < 0.2 else (outcome, side)

    def batch(self, parent, legs, size_e6) -> int:
        flight = self.link.seq
        purpose = Purpose.REPAIR if parent else Purpose.BASKET
        order_type = records.OrderKind.FAK if parent else records.OrderKind.FOK
        kind = BasketKind.TRIANGLE_BUY
        basket = records.Basket(
            0 if parent else self.signal, 5, parent, 20_000, size_e6, 2 * size_e6, 10**6,
            self.now_ms, self.ladders[self.signal % len(self.ladders)],
            kind, purpose, len(legs),
        )  # fmt: skip
        drafts = [draft(Kind.BASKET, basket, flight)]
        for place, (row, outcome, side, leg_e6) in enumerate(legs):
            name = sha256(f"{flight}/{place}".encode()).digest()
            market = MARKETS[row]
            token = market.yes_token if outcome is Outcome.YES else market.no_token
            drafts.append(draft(Kind.INTENT, records.Intent(
                1, 2, 3, 4, leg_e6, row, self.random.randint(1, 9_999), outcome, side, 1,
                order_type, 0, name, token, bytes(65),
            ), flight, place))  # fmt: skip
        self.tell(drafts)
        return flight

    def send(self, flight) -> None:
        self.tell([draft(Kind.SENT, records.Sent(self.now_ms, 1, 999, bytes(16)), flight.id)])

    def answer(self, flight, place: int) -> None:
        leg = flight.legs[place]
        ways = {
            LegState.SENT: (LegState.FILLED, LegState.KILLED, LegState.REFUSED, LegState.LANDED,
                            LegState.DOUBT),
            LegState.LANDED: (LegState.KILLED,),
            LegState.DOUBT: (LegState.NEVER_LANDED, LegState.KILLED, LegState.LANDED),
        }  # fmt: skip
        then = self.random.choice(ways[leg.state])
        reason = self.random.choice([LegReason.NONE, LegReason.KILLED, LegReason.BALANCE])
        if leg.state is LegState.SENT:
            reply = records.Reply(
                self.now_ms, 200, then, reason, hash_bytes(leg.order_hash), bytes(16), b"so"
            )
            self.tell([draft(Kind.REPLY, reply, flight.id, place)])
        else:
            verdict = records.Verdict(self.now_ms, 0, then, reason)
            self.tell([draft(Kind.VERDICT, verdict, flight.id, place)])

    def fill(self, flight, place: int) -> None:
        """A fill of an order, whole or in part, or a later status of one."""
        leg = flight.legs[place]
        seen = self.state.ledger.of_order(leg.order_hash)
        known = [f for f in self.state.ledger.fills.values() if f.order == leg.order_hash]
        left = leg.size_e6 - seen.size_e6 - seen.voided_e6
        status = self.random.choice(list(FillStatus)[1:])
        if known and (left <= 0 or self.random.random() < 0.6):
            old = self.random.choice(known)
            self.tell_fill(leg, old.trade, old.size_e6, status)
        elif left > 0:
            size_e6 = left if self.random.random() < 0.7 else self.random.randint(1, left)
            self.tell_fill(leg, f"t{self.random.randrange(10**9)}", size_e6, status)

    def tell_fill(self, leg, trade: str, size_e6: int, status: FillStatus) -> None:
        row = records.Fill(
            self.now_ms, size_e6, size_e6 // 1_000, leg.price_e4, leg.side, status, 0,
            trade.encode(), hash_bytes(leg.order_hash), word(leg.token),
        )  # fmt: skip
        self.tell([draft(Kind.FILL, row)])

    def stranger(self) -> None:
        token = MARKETS[0].yes_token
        row = records.Fill(
            self.now_ms, 10**6, 0, 5_000, Side.BUY, FillStatus.MATCHED, 0,
            f"s{self.random.randrange(40)}".encode(), sha256(b"stranger").digest(), token,
        )  # fmt: skip
        self.tell([draft(Kind.FILL, row)])

    def repair(self, flight) -> None:
        held = positions_e6(flight, self.state.ledger)
        top = max(held)
        unwinds = self.random.random() < 0.6
        target = 0 if unwinds else top
        legs = [
            (
                leg.row,
                *self.form(leg.outcome, OTHER[leg.side] if unwinds else leg.side),
                abs(target - held[i]),
            )
            for i, leg in enumerate(flight.legs)
            if abs(target - held[i]) >= 10**6
        ]
        if not legs or is_even(held):
            return
        self.batch(flight.id, legs, top)

    def unwind(self, flight) -> None:
        """All that it has is taken back at once."""
        held = positions_e6(flight, self.state.ledger)
        legs = [
            (leg.row, *self.form(leg.outcome, OTHER[leg.side]), size)
            for leg, size in zip(flight.legs, held, strict=True)
            if size > 0
        ]
        if not legs:
            return
        number = self.batch(flight.id, legs, 0)
        repair = self.state.flights[number]
        self.send(repair)
        for place, leg in enumerate(repair.legs):
            reply = records.Reply(self.now_ms, 200, LegState.FILLED, LegReason.NONE,
                                  hash_bytes(leg.order_hash), bytes(16), b"")  # fmt: skip
            self.tell([draft(Kind.REPLY, reply, number, place)])
            self.tell_fill(leg, f"u{number}-{place}", leg.size_e6, FillStatus.CONFIRMED)

    def keep(self, flight) -> None:
        row = records.Ended(self.now_ms, 0, 0, 0, 0, FlightState.PARTIAL, flight.reason)
        self.tell([draft(Kind.ENDED, row, flight.id)])

    def mark(self) -> None:
        row = records.Mark(self.now_ms, self.random.randint(0, 10**10))
        self.tell([draft(Kind.MARK, row)])

    def compare(self) -> None:
        adopted = self.random.choice([0, 0, 5, -7_000])
        self.tell([draft(Kind.COMPARED, records.Compared(1, 2, adopted, 3, 0))])

    def adopt(self) -> None:
        """Cash, or some shares of a token, more or less than there are."""
        usd_e6 = self.random.choice([0, 3, -(10**7)])
        token = self.random.choice([NO_MARKET, MARKETS[0].yes_token, MARKETS[1].no_token])
        size_e6 = 0 if token == NO_MARKET else self.random.choice([1, 10**6, -2 * 10**6])
        row = records.Adopted(0 if size_e6 else usd_e6, size_e6, token, b"operator", b"by hand")
        self.tell([draft(Kind.ADOPTED, row)])

    def redeem(self) -> None:
        for token, holding in self.state.ledger.holdings.items():
            if holding.size_e6 > 0:
                row = records.Redeemed(holding.size_e6, holding.size_e6, word(token))
                self.tell([draft(Kind.REDEEMED, row)])
                return

    def change_mode(self) -> None:
        ways = [
            (then, cause)
            for then in NEXT[self.state.mode]
            for cause in CAUSES_OF_BACK.get(then, {Cause.DAY_LOSS, Cause.REFUSALS})
        ]
        self.move(*self.random.choice(sorted(ways)))

    # --- the plot ---------------------------------------------------------------------------------

    def act(self) -> None:
        """One step of somebody's life."""
        self.pass_time()
        roll = self.random.random()
        flights = list(self.state.flights.values())
        if roll < 0.14 or not flights:
            self.launch()
        elif roll < 0.88:
            self.live(self.random.choice(flights[-6:]))
        else:
            rare = (
                self.mark, self.compare, self.adopt, self.redeem, self.change_mode, self.stranger,
            )  # fmt: skip
            self.random.choice(rare)()
            if self.random.random() < 0.05:
                self.open_process()

    def live(self, flight) -> None:
        place = self.random.randrange(len(flight.legs))
        leg = flight.legs[place]
        if flight.state is FlightState.INTENT:
            self.send(flight)
        elif leg.state in LEG_OPEN and self.random.random() < 0.6:
            self.answer(flight, place)
        elif flight.state is FlightState.NAKED and flight.purpose is Purpose.BASKET:
            self.random.choice((self.repair, self.unwind, self.keep))(flight)
        else:
            self.fill(flight, place)

    def act_many(self, count: int) -> "Story":
        for _ in range(count):
            self.act()
        return self
