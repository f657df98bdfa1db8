import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.ledger import Ledger, Movement, UnbalancedMovement

TOKENS = ("1", "2")


def mint(size, wallets=("a", "b"), price=40):
    """Two buyers, one set each share: a gets YES, b gets NO."""
    paid = size * price // 100
    cash = ((wallets[0], -paid), (wallets[1], paid - size))
    tokens = ((wallets[0], "1", size), (wallets[1], "2", size))
    return Movement("m", cash, tokens, collateral_usd_e6=size)


def opened():
    ledger = Ledger()
    for wallet in ("a", "b"):
        ledger.open_account(wallet, 1000)
    return ledger


def snapshot(ledger):
    accounts = {
        wallet: (one.cash_usd_e6, one.fees_usd_e6, dict(one.positions))
        for wallet, one in ledger.accounts.items()
    }
    return accounts, ledger.fees_usd_e6, {k: v for k, v in ledger.collateral_usd_e6.items() if v}


@given(st.integers(1, 1000), st.integers(1, 99))
def test_reversing_a_movement_restores_everything(size, price):
    ledger = opened()
    before = snapshot(ledger)
    movement = mint(size, price=price)
    ledger.apply(movement)
    assert snapshot(ledger) != before
    ledger.apply(movement.reversed())
    assert snapshot(ledger) == before


def test_a_fee_is_taken_counted_and_given_back():
    ledger = opened()
    movement = Movement("m", (("a", -7),), (), fee_usd_e6=7, fee_payer="a")
    ledger.apply(movement)
    assert (ledger.cash_usd_e6("a"), ledger.fees_usd_e6) == (993, 7)
    assert ledger.accounts["a"].fees_usd_e6 == 7
    ledger.apply(movement.reversed())
    assert (ledger.cash_usd_e6("a"), ledger.fees_usd_e6) == (1000, 0)
    assert ledger.accounts["a"].fees_usd_e6 == 0


@pytest.mark.parametrize(
    "movement",
    [
        Movement("m", (("a", -1),), ()),
        Movement("m", (), (), collateral_usd_e6=1),
        Movement("m", (), (("a", "1", 5),)),
        Movement("m", (("a", -5),), (("a", "1", 5),), collateral_usd_e6=5),
        Movement("m", (("a", -5),), (("a", "1", 5), ("b", "2", 4)), collateral_usd_e6=5),
        Movement("m", (("a", -5), ("b", 5)), (("a", "1", 5), ("b", "2", 5))),
    ],
)
def test_what_does_not_balance_is_refused_and_changes_nothing(movement):
    ledger = opened()
    before = snapshot(ledger)
    with pytest.raises(UnbalancedMovement):
        ledger.apply(movement)
    assert snapshot(ledger) == before


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 99)), max_size=8), st.booleans())
def test_redemption_pays_one_dollar_to_winners_and_empties_the_market(sizes, yes_wins):
    ledger = opened()
    for size, price in sizes:
        ledger.apply(mint(size, price=price))
    total = sum(size for size, _ in sizes)
    winner = 0 if yes_wins else 1
    before = ledger.cash_usd_e6(("a", "b")[winner])
    ledger.redeem("m", TOKENS, winner)
    assert ledger.cash_usd_e6(("a", "b")[winner]) == before + total
    assert ledger.token_totals_e6() == {}
    assert ledger.total_usd_e6() == ledger.paid_in_usd_e6() == 2000


def test_minting_for_oneself_costs_a_dollar_a_set():
    ledger = opened()
    ledger.mint("a", "m", TOKENS, 30)
    assert ledger.cash_usd_e6("a") == 970
    assert [ledger.position_e6("a", token) for token in TOKENS] == [30, 30]
    assert ledger.token_totals_e6() == {"1": 30, "2": 30}


def test_unknown_wallets_have_nothing():
    ledger = Ledger()
    assert ledger.cash_usd_e6("x") == 0
    assert ledger.position_e6("x", "1") == 0


def test_an_account_is_opened_once():
    ledger = opened()
    with pytest.raises(ValueError, match="has an account"):
        ledger.open_account("a", 5)
