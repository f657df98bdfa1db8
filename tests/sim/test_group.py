import pytest

from sim.mispricing import Stage
from sim.order import Outcome, Side
from tests.sim.generated import T0, generated


@pytest.fixture
def group():
    generator, _ = generated(seed=3, mispricings_per_minute=0)
    return generator.groups[0]


def showing(group, now_ms=T0 + 1):
    """Announce and show an offer; returns it."""
    events = group.begin_offer(now_ms)
    assert events[0].condition_ids == tuple(
        group.markets[leg.index].facts.condition_id for leg in group.offer.legs
    )
    for leg in group.offer.legs:
        group.show_leg(leg, now_ms)
    return group.offer


def test_a_move_withdraws_before_it_quotes_and_only_when_it_matters(group):
    spot = group.ladder.strikes_e4[5] / 10_000
    _, stale = group.move(spot, T0 + 10)
    assert stale
    assert group.move(spot, T0 + 10) != ([], [])
    for quoter in stale:
        quoter.requote(T0 + 10)
    assert group.move(spot, T0 + 11) == ([], [])


def test_an_offer_shows_the_planned_prices_and_sizes(group):
    offer = showing(group)
    for leg in offer.legs:
        book = group.markets[leg.index].book
        assert book.best_of(leg.outcome, Side.SELL) == leg.price_e4
        side = Side.SELL if leg.outcome is Outcome.YES else Side.BUY
        yes_e4 = leg.price_e4 if leg.outcome is Outcome.YES else 10_000 - leg.price_e4
        assert book.size_e6(side, yes_e4) == leg.size_e6
        assert group.quoters[leg.index].busy
    assert group.finish_showing()
    assert (group.counts.offered, group.counts.open()) == (1, 1)


def test_a_group_stands_still_and_takes_no_second_offer_while_one_is_open(group):
    showing(group)
    assert group.move(group.ladder.strikes_e4[2] / 10_000, T0 + 5) == ([], [])
    assert not group.is_free(T0 + 10**6)
    assert group.begin_offer(T0 + 5) == []


def test_the_markets_beside_a_ladder_give_way_and_come_back(group):
    while group.offer is None or group.offer.basket.kind != "ladder":
        if group.offer is not None:
            group.finish_showing()
            group.repair(T0, rest_ms=0)
        showing(group)
    screens = group.offer.basket.screens
    assert len(screens) >= 1
    for index, side in screens:
        quoter = group.quoters[index]
        assert quoter.busy
        best = quoter.market.book.best_e4(side)
        assert best is None or abs(best - quoter.target_e4(side)) > 1_000
    group.finish_showing()
    group.repair(T0, rest_ms=0)
    for index, side in screens:
        quoter = group.quoters[index]
        assert not quoter.busy
        assert quoter.market.book.best_e4(side) == quoter.target_e4(side)


def test_repair_restores_quotes_around_the_fair_values(group):
    offer = showing(group)
    group.finish_showing()
    assert group.expire_offer()
    group.repair(T0 + 50, rest_ms=100)
    assert group.offer is None
    for leg in offer.legs:
        quoter = group.quoters[leg.index]
        assert not quoter.busy
        for side in Side:
            assert quoter.market.book.best_e4(side) == quoter.target_e4(side)
    assert (group.counts.expired, group.counts.open()) == (1, 0)
    assert not group.is_free(T0 + 149)
    assert group.is_free(T0 + 150)


def test_a_set_that_lost_a_leg_before_it_was_whole_counts_as_nothing(group):
    offer = showing(group)
    leg = offer.legs[0]
    limits = (leg.price_e4, leg.size_e6)
    market = group.markets[leg.index]
    group.house.take(market, leg.outcome, Side.BUY, limits, T0 + 2)
    while market.book.best_of(leg.outcome, Side.SELL) is not None:
        best = market.book.best_of(leg.outcome, Side.SELL)
        group.house.take(market, leg.outcome, Side.BUY, (best, 10**12), T0 + 2)
    assert not group.finish_showing()
    assert offer.stage is Stage.FAILED
    assert group.counts.offered == 0


def test_buying_every_leg_takes_the_offer_once(group):
    offer = showing(group)
    group.finish_showing()
    tokens = sorted(offer.tokens)
    assert not any(group.count_purchase("w", token) for token in tokens[:-1])
    assert group.count_purchase("w", tokens[-1])
    assert not group.count_purchase("w", tokens[-1])
    assert not group.expire_offer()
    assert (group.counts.taken, group.counts.expired) == (1, 0)


def test_abandoning_ends_the_announcement(group):
    assert group.abandon_offer() == []
    showing(group)
    group.finish_showing()
    (notice,) = group.abandon_offer()
    assert notice.condition_ids == ()
    assert group.counts.expired == 1


def test_without_an_offer_there_is_nothing_to_repair(group):
    with pytest.raises(ValueError, match="no offer"):
        group.repair(T0, 0)
    assert not group.count_purchase("w", "token")
