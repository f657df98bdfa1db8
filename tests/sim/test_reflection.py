"""One reflected book against a plain model: what is shown, what is taken, what comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.order import Outcome, Side
from sim.reflection import Reflection
from tests.sim.mirrors import levels
from tests.sim.traders import NOW_MS, Trader
from tests.sim.worlds import world

PRICES = (2000, 3000, 4000, 5000, 6000, 7000)
SHARE = 1_000_000
keys = st.tuples(st.sampled_from(list(Side)), st.sampled_from(PRICES))
sizes = st.sampled_from([0, 10, 20, 30]).map(lambda shares: shares * SHARE)
steps = st.one_of(
    st.tuples(st.just("change"), st.lists(st.tuples(keys, sizes), min_size=1, max_size=3)),
    st.tuples(st.just("replace"), st.dictionaries(keys, sizes, max_size=8)),
    st.tuples(st.just("repeat"), st.none()),
    st.tuples(st.just("lose"), st.none()),
    st.tuples(st.just("take"), st.sampled_from(list(Side))),
)


class Model:
    """The specification, written as plainly as possible: live sizes, and what is gone of each."""

    def __init__(self):
        self.live, self.gone, self.fresh = {}, {}, False

    def set(self, changes):
        for key, size in changes:
            if self.live.get(key, 0) != size:
                self.gone.pop(key, None)
            self.live[key] = size

    def replace(self, book):
        self.fresh = True
        self.set([(key, book.get(key, 0)) for key in {*self.live, *book}])

    def shown(self):
        if not self.fresh:
            return {}
        bids = [p for (side, p), size in self.live.items() if size and side is Side.BUY]
        asks = [p for (side, p), size in self.live.items() if size and side is Side.SELL]
        best_bid, best_ask = max(bids, default=0), min(asks, default=10_000)
        crossed = best_bid >= best_ask
        return {
            (side, price): size - self.gone.get((side, price), 0)
            for (side, price), size in self.live.items()
            if size - self.gone.get((side, price), 0) > 0
            and not (crossed and side is Side.BUY and price >= best_ask)
            and not (crossed and side is Side.SELL and price <= best_bid)
        }

    def take(self, side, size):
        """An order that lifts the best level of a side as shown; its key."""
        at = [price for own, price in self.shown() if own is side]
        if not at:
            return None
        key = side, (max(at) if side is Side.BUY else min(at))
        self.gone[key] = self.gone.get(key, 0) + min(size, self.shown()[key])
        return key


def play(reflection, house_market, trader, script):
    """Run a script against a reflection and the model; the first difference, or None."""
    model = Model()
    for at, (what, value) in enumerate(script):
        now_ms = NOW_MS + at
        if what == "change":
            if model.fresh:
                reflection.change(value, now_ms)
                model.set(value)
        elif what == "replace":
            model.replace(value)
            reflection.replace(value, now_ms)
        elif what == "repeat":
            model.replace(dict(model.live))
            reflection.replace(dict(model.live), now_ms)
        elif what == "lose":
            model.fresh = False
            reflection.lose(now_ms)
        else:
            # Seven shares of the best level: BUY lifts asks, SELL hits bids.
            key = model.take(value, 7 * SHARE)
            if key is not None:
                own = "BUY" if value is Side.SELL else "SELL"
                verdict, _ = trader.place(
                    house_market, Outcome.YES, own, key[1], 7, kind="FAK", now_ms=now_ms
                )
                assert not verdict.error, verdict
        if levels(house_market) != model.shown():
            return at, what, levels(house_market), model.shown()
    return None


def scene():
    exchange, market, house = world()
    trader = Trader(exchange)
    trader.give(market, 5_000)
    return Reflection(market, house), market, trader


@given(st.lists(steps, max_size=25))
def test_a_reflected_book_is_what_the_model_says_whatever_happens(script):
    # A script in which a change names one level twice says nothing about which of them counts.
    clean = [
        (what, list(dict(value).items()) if what == "change" else value) for what, value in script
    ]
    assert play(*scene(), clean) is None


@pytest.mark.parametrize("defect", ["forgets what was taken", "shows what crosses", "never hides"])
def test_the_model_catches_a_planted_defect(monkeypatch, defect):
    reflection, market, trader = scene()
    ask, bid = (Side.SELL, 5000), (Side.BUY, 5000)
    script = [("replace", {ask: 20 * SHARE, (Side.BUY, 2000): 20 * SHARE})]
    if defect == "forgets what was taken":
        script += [("take", Side.SELL), ("lose", None), ("repeat", None)]
        before = reflection.lose
        monkeypatch.setattr(
            Reflection, "lose", lambda self, now_ms: (before(now_ms), self._left.clear())[0]
        )
    elif defect == "shows what crosses":
        script += [("change", [(bid, 10 * SHARE)])]
        monkeypatch.setattr(Reflection, "_visible", lambda _self: {bid: 10 * SHARE})
    else:
        script += [("lose", None)]
        monkeypatch.setattr(Reflection, "_visible", lambda self: self.live)
    assert play(reflection, market, trader, script) is not None
