"""Events on their way to sockets: who gets which, what the rules make of it, what the log says.

The log has one line for each user event, and one for all market frames of a publication.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sim.delivery import Socket, text_frame
from sim.effects import Close, Reset
from sim.events import Audience, Broadcast, Event, Frame, HangUp, UserFrame
from sim.faults import Strike
from sim.rules import MARKET, USER, word_of
from sim.subscriptions import MarketSubscriptions, UserSubscriptions
from sim.tampering import Surroundings, Tampered, subject_of_frame, tamper
from sim.venue import Venue


@dataclass(slots=True)
class _Tally:
    """Market frames of one publication by market."""

    sent: Counter[str] = field(default_factory=Counter)
    withheld: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True, eq=False)
class Dispatch:
    """Delivers events; `sockets` are those of both channels, in the order of their opening."""

    venue: Venue
    markets: MarketSubscriptions[Socket] = field(default_factory=MarketSubscriptions)
    users: UserSubscriptions[Socket] = field(default_factory=UserSubscriptions)
    sockets: dict[Socket, None] = field(default_factory=dict)

    def publish(self, events: Iterable[Event], now_ms: int) -> None:
        """Deliver events, and those that acts of rules cause meanwhile."""
        work = deque(events)
        if not work:
            return
        tally = _Tally()
        truth = self.venue.exchange.truth
        truth.ms = now_ms
        while work:
            event = work.popleft()
            if isinstance(event, Frame):
                work.extend(self._market_frame(event, tally, now_ms))
            elif isinstance(event, UserFrame):
                work.extend(self._user_frame(event, now_ms))
            elif isinstance(event, Broadcast):
                self._broadcast(event)
            elif isinstance(event, HangUp):
                self._hang_up(event)
        if tally.sent or tally.withheld:
            truth.record("frames", sent=tally.sent, withheld=tally.withheld)

    def flush(self, now_ms: int) -> None:
        """Write what rules have made wait, as far as it is due."""
        left: Counter[str] = Counter()
        for socket in self.sockets:
            if socket.is_busy():
                socket.flush(now_ms)
                left.update(socket.left)
                socket.left = []
        if left:
            self.venue.exchange.truth.ms = now_ms
            self.venue.exchange.truth.record("frames", sent=left, withheld={})

    def count(self, socket: Socket, frame: bytes, note: str = "") -> bool:
        """Send one frame and count it; whether it leaves at once."""
        sent = socket.send(frame, note)
        self.venue.frames_sent += sent
        return sent and not socket.trickles()

    def _market_frame(self, event: Frame, tally: _Tally, now_ms: int) -> list[Event]:
        receivers = self.markets.recipients(event)
        if not receivers:
            return []
        market = self._condition_of(event)
        caused: list[Event] = []
        if not self.venue.exchange.faults.watches(MARKET):
            frame = text_frame(event.text)
            for socket in receivers:
                at_once = self.count(socket, frame, market)
                (tally.sent if at_once else tally.withheld)[market] += 1
            return caused
        for socket in list(receivers):
            sent, events = self._tampered(socket, event.text, MARKET, market, now_ms)
            caused += events
            (tally.sent if sent else tally.withheld)[market] += 1
        return caused

    def _user_frame(self, event: UserFrame, now_ms: int) -> list[Event]:
        receivers = self.users.recipients(event)
        caused: list[Event] = []
        sent_to: list[int] = []
        withheld: list[int] = []
        watched = self.venue.exchange.faults.watches(USER)
        for socket in receivers:
            if watched:
                sent, events = self._tampered(socket, event.text, USER, event.condition_id, now_ms)
                caused += events
            else:
                sent = self.count(socket, text_frame(event.text))
            (sent_to if sent else withheld).append(socket.number)
        subject = subject_of_frame(event.text, 0)
        self.venue.exchange.truth.record(
            "event",
            event=subject.event,
            id=subject.order_id,
            status=subject.status,
            owner=self._signer_of(event.owner),
            sockets=sent_to,
            withheld=withheld,
        )
        return caused

    def _tampered(
        self, socket: Socket, text: str, place: str, condition_id: str, now_ms: int
    ) -> tuple[bool, list[Event]]:
        """Whether the frame itself leaves intact and at once, and what acts have caused."""
        exchange = self.venue.exchange
        subject = subject_of_frame(text, socket.number)
        strikes, events, later = exchange.faults.visit(place, [subject], now_ms)
        events += exchange.faults.finish(later, now_ms)
        note = condition_id if place == MARKET else ""
        if not strikes:
            return self.count(socket, text_frame(text), note), events
        markets = exchange.floor.markets
        around = Surroundings(markets.get(condition_id), tuple(markets.values()))
        done = tamper(text, strikes, around)
        whole = _is_whole(strikes, done)
        at_once = self._write(socket, done, now_ms, note if whole else "")
        return whole and at_once, events

    def _write(self, socket: Socket, done: Tampered, now_ms: int, note: str) -> bool:
        """Write it all, now or later; whether all of it leaves at once."""
        at_once = True
        if done.slow is not None:
            socket.slow_down(done.slow.bytes_per_s, now_ms)
        for wait_ms, frame in done.frames:
            if done.behind is not None:
                due_ms = now_ms + done.behind.ms
                socket.send_behind(frame, done.behind.behind, due_ms, note)
                at_once = False
            elif wait_ms:
                socket.send_at(frame, now_ms + wait_ms, note)
                at_once = False
            else:
                at_once &= self.count(socket, frame, note)
        if done.end is not None:
            socket.end(done.end)
        return at_once

    def _broadcast(self, event: Broadcast) -> None:
        for socket in self._of(event.channel):
            self.count(socket, text_frame(event.text))

    def _hang_up(self, event: HangUp) -> None:
        how = Reset() if event.reset else Close(code=event.code)
        for socket in self._of(event.channel):
            socket.end(how)

    def _of(self, channel: str) -> list[Socket]:
        return [socket for socket in self.sockets if socket.channel == channel]

    def _condition_of(self, event: Frame) -> str:
        if event.audience in {Audience.TOKEN, Audience.TOKEN_CUSTOM}:
            return self.markets.market_of.get(event.key, "")
        return event.key

    def _signer_of(self, owner: str) -> str:
        """The EOA of an API key: keys are secrets, and the log has none."""
        key = self.venue.exchange.keys.get(owner)
        return key.address if key is not None else ""


_WHOLE = frozenset({"repeat", "late", "swap", "slow", "strangers"})


def _is_whole(strikes: Sequence[Strike], done: Tampered) -> bool:
    """Whether the frame, when it comes, says what the exchange meant."""
    words = {word_of(strike.effect) for strike in strikes}
    return not done.lost and words <= _WHOLE
