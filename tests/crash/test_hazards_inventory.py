"""A leg that is sold from inventory, and a death at each step: no share is sold or promised twice.

On a real exchange. First YES of all markets is bought and confirmed, then a basket sells one of
them and buys the opposite of the others.
"""

import pytest

from executor.flights import positions_e6
from executor.stock import stock_of
from shm.codes import FlightState, LegState, Outcome, Side
from tests.crash.hand import MARKETS, SIZE_E6, hand, legs_of, scenario
from tests.crash.test_hazards_orders import FILLED, die_sending


async def stocked(one) -> None:
    """YES of every market is held, and the chain has confirmed it."""
    await one.send()
    await one.settled()
    assert [free(one, number) for number in range(MARKETS)] == [SIZE_E6] * MARKETS


def free(one, number: int) -> int:
    """YES of a market that a basket may sell, as it would be asked for a signal now."""
    state = one.chronicle.state
    return stock_of(state.open_flights, state.ledger).held(one.markets[number]).yes_e6


def form(one):
    """Sell YES of the first market, buy NO of the others."""
    sale = one.wish(0, Side.SELL, 4_000)
    return [sale, *(no_of(one, number) for number in range(1, MARKETS))]


def no_of(one, number: int):
    wish = one.wish(number)
    return type(wish)(wish.market, Outcome.NO, Side.BUY, 6_000, SIZE_E6, 10)


def held(one) -> dict[tuple[int, Outcome], int]:
    """(market, outcome) -> shares, as the exchange has them."""
    account = one.exchange.floor.ledger.accounts[one.wallet]
    tokens = one.chronicle.state.tokens
    return {
        (tokens[token][0].row, tokens[token][1]): size
        for token, size in account.positions.items()
        if size
    }


SOLD = {(0, Outcome.YES): 0} | {(n, o): SIZE_E6 for n in (1, 2) for o in (Outcome.YES, Outcome.NO)}


def require_sold(one) -> None:
    (_, flight) = one.chronicle.state.flights.values()
    assert flight.state is FlightState.COMPLETE
    assert positions_e6(flight, one.chronicle.state.ledger) == [SIZE_E6] * MARKETS
    assert held(one) == {key: size for key, size in SOLD.items() if size}
    assert free(one, 0) == 0


@scenario
async def test_a_held_token_is_sold_and_cash_and_positions_are_the_exchanges(tmp_path):
    async with hand(tmp_path) as one:
        await stocked(one)
        before = one.chronicle.state.ledger.cash_usd_e6
        flight = await one.send(*form(one))
        assert list(legs_of(flight)) == [FILLED] * MARKETS
        await one.require_agreement()
        require_sold(one)
        fees = sum(one.chronicle.state.ledger.of_order(leg.order_hash).fee_usd_e6
                   for leg in flight.legs)  # fmt: skip
        paid = before - one.chronicle.state.ledger.cash_usd_e6
        assert paid == fees + SIZE_E6 * (6_000 + 6_000 - 4_000) // 10_000


async def die_with_a_sale(one, monkeypatch, place: str) -> None:
    """Send the basket with the sale, die at a place, and start again."""

    async def send(*_wishes):
        return await type(one).send(one, *form(one))

    with monkeypatch.context() as context:
        context.setattr(one, "send", send)
        await die_sending(one, monkeypatch, place)


@pytest.mark.parametrize("place", ["orders-begun", "sent-written", "reply-unwritten"])
@scenario
async def test_killed_with_a_sale_on_its_way_it_finds_it_and_sells_nothing_twice(
    place, tmp_path, monkeypatch
):
    async with hand(tmp_path) as one:
        await stocked(one)
        posts = one.posts()
        await die_with_a_sale(one, monkeypatch, place)
        assert free(one, 0) == 0  # promised, or already known to be gone
        await one.require_agreement()
        assert one.posts() == posts + 1
        require_sold(one)


@scenario
async def test_shares_in_doubt_are_promised_to_nobody_else_until_it_is_known(tmp_path, monkeypatch):
    """Their bytes never left; that is proven when the settle window is over."""
    async with hand(tmp_path, doubt_settle_ms=1_000) as one:
        await stocked(one)
        await die_with_a_sale(one, monkeypatch, "orders-written")
        (_, flight) = one.chronicle.state.flights.values()
        assert {leg.state for leg in flight.legs} == {LegState.DOUBT}
        assert free(one, 0) == 0
        await one.settled()
        assert {leg.state for leg in flight.legs} == {LegState.NEVER_LANDED}
        assert free(one, 0) == SIZE_E6
        await one.require_agreement()


@scenario
async def test_a_sale_that_is_killed_gives_its_shares_back_and_the_basket_stands_naked(tmp_path):
    async with hand(tmp_path) as one:
        await stocked(one)
        dear = one.wish(0, Side.SELL, 9_000)  # nobody buys it there
        flight = await one.send(dear, *form(one)[1:])
        await one.settled()
        assert list(legs_of(flight)) == ["KILLED", FILLED, FILLED]
        assert flight.state is FlightState.NAKED
        assert positions_e6(flight, one.chronicle.state.ledger) == [0, SIZE_E6, SIZE_E6]
        assert free(one, 0) == SIZE_E6
        await one.require_agreement()


@scenario
async def test_the_exchange_refuses_to_sell_the_same_shares_twice(tmp_path):
    """What reserving them is there for: here it is left out by hand."""
    async with hand(tmp_path) as one:
        await stocked(one)
        await one.send(*form(one))
        await one.settled()
        flight = await one.send(one.wish(0, Side.SELL, 4_000))
        assert list(legs_of(flight)) == ["REFUSED"]
        await one.require_agreement()
