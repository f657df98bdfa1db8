"""Units: the venue's texts become exact integers, everything else is refused."""

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shm import units
from shm.units import UnitError


@given(st.integers(0, 10_000))
def test_every_price_survives_the_round_trip(price_e4):
    text = units.format_price(price_e4)
    assert units.parse_price_e4(text) == price_e4
    assert Decimal(text) == Decimal(price_e4) / 10_000


@given(st.integers(0, units.SIZE_E6_MAX))
def test_every_size_survives_the_round_trip_in_its_shortest_text(size_e6):
    text = units.format_size(size_e6)
    assert units.parse_size_e6(text) == size_e6
    assert text == "0" or not (text.startswith("0") and not text.startswith("0."))
    assert "." not in text or not text.endswith("0")


@given(st.decimals(0, 1, places=4))
def test_prices_agree_with_decimal_arithmetic(value):
    assert units.parse_price_e4(f"{value:f}") == int(value * 10_000)


@pytest.mark.parametrize(
    "text",
    ["", ".", "-1", "+1", "1e3", "0x1", "1_0", " .5", ".5 ", "NaN", "Infinity", "01", "00.5",
     "1.00001", "\u0661", "0.5\n", "1" * 10_000, "1e308", "--1", "-0"],
)  # fmt: skip
def test_what_is_not_a_plain_decimal_price_is_refused(text):
    with pytest.raises(UnitError):
        units.parse_price_e4(text)


@pytest.mark.parametrize("text", ["1.0001", "2", "9999"])
def test_prices_above_one_are_refused(text):
    with pytest.raises(UnitError, match="above 1"):
        units.parse_price_e4(text)


@given(st.text(max_size=20))
def test_no_text_makes_the_parser_raise_anything_but_its_own_error(text):
    with suppress(UnitError):
        assert 0 <= units.parse_size_e6(text) <= units.SIZE_E6_MAX


@given(st.integers(1, units.UINT256_MAX))
def test_token_ids_are_exact_256_bit_numbers(token):
    assert units.parse_token_id(str(token)) == token


@pytest.mark.parametrize("text", ["0", "01", "-5", "1" * 79, str(2**256), "abc", "", "1\u0662"])
def test_texts_that_are_no_token_ids_are_refused(text):
    with pytest.raises(UnitError):
        units.parse_token_id(text)
