"""What the rules want to be done to one request, sorted by what it is."""

from dataclasses import dataclass, field

from sim.effects import Answer, Batch, Close, Decline, Edit, Garble, Reset, Word
from sim.faults import Later, Strike
from sim.garbling import Wire, edit, garble, wire_of
from sim.mixing import mix
from sim.replies import Reply

Cut = Close | Reset


@dataclass(slots=True)
class Plan:
    """The strikes of all rules that mean a request, in the order of the rules."""

    strikes: list[Strike] = field(default_factory=list)
    later: list[Later] = field(default_factory=list)

    def of(self, *kinds: type) -> list[Strike]:
        """Strikes of these kinds."""
        return [strike for strike in self.strikes if isinstance(strike.effect, kinds)]

    def cut(self, moment: str) -> Cut | None:
        """How the connection is to end at a moment, if it is."""
        cuts: list[Cut] = [one.effect for one in self.of(Close, Reset)]
        return next((one for one in cuts if one.moment == moment), None)

    def answer(self, moment: str) -> Answer | None:
        """The answer in the exchange's place at a moment, if there is one."""
        answers: list[Answer] = [one.effect for one in self.of(Answer)]
        return next((one for one in answers if one.moment == moment), None)

    def wait_ms(self, kind: type) -> int:
        """Sum of the waits of a kind."""
        return sum(int(strike.effect.ms) for strike in self.of(kind))

    def declined(self, order_ids: list[str]) -> dict[str, str]:
        """Which of these orders must not be cancelled, with the reason to give.

        A request that names no orders is declined for all that it would cancel.
        """
        found: dict[str, str] = {}
        for strike in self.of(Decline):
            named = {subject.order_id for subject in strike.subjects if subject.order_id}
            for order_id in order_ids:
                if not named or order_id in named:
                    found[order_id] = strike.effect.reason
        return found

    def changed(self, reply: Reply) -> Wire:
        """The bytes of a reply after the rules have changed its words, its array and its body."""
        body = reply.body
        for strike in self.of(Word, Batch):
            if isinstance(strike.effect, Word):
                body = _worded(body, strike)
            elif isinstance(body, list):
                effect = strike.effect
                body = mix(body, effect.how, strike.legs, strike.rng, effect.text)
        wire = wire_of(Reply(body, reply.status, reply.text, headers=reply.headers))
        for strike in self.of(Edit, Garble):
            if isinstance(strike.effect, Garble):
                wire = garble(wire, strike.effect.how)
            else:
                wire = edit(wire, strike.effect.set, strike.effect.remove)
        return wire


def _worded(body: object, strike: Strike) -> object:
    rows = body if isinstance(body, list) else [body]
    changed = [
        {**row, "status": strike.effect.status}
        if isinstance(row, dict) and "status" in row and leg in strike.legs
        else row
        for leg, row in enumerate(rows, start=1)
    ]
    return changed if isinstance(body, list) else changed[0]
