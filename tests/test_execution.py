from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bt.book import Desk, Market, Terms
from bt.errors import ConfigError, MoneyError
from bt.execution import (
    INT64_MAX,
    Costs,
    IntArray,
    divide_half_even,
    filling,
    fits,
    money,
    portions,
    to_units,
    units,
)
from bt.execution import layout as at
from bt.model import ExecutionSpec, QualitySpec


def books(**execution: float) -> IntArray:
    """The first array of one account with these costs."""
    desk = Desk()
    desk.join(Market(("A",)), Terms(ExecutionSpec(**execution), QualitySpec(), 1.0, 10**12), lambda row: None)
    return desk.fixed


@pytest.mark.parametrize(
    ("numerator", "denominator", "quotient"),
    [(5, 2, 2), (7, 2, 4), (-5, 2, -2), (-7, 2, -4), (1, 3, 0), (2, 3, 1), (-2, 3, -1), (6, 3, 2), (0, 7, 0)],
)
def test_division_rounds_ties_to_even(numerator, denominator, quotient):
    assert divide_half_even(numerator, denominator) == quotient


def test_amounts_become_units_half_to_even():
    assert to_units(0.01) == 1_000_000
    assert to_units(2.5e-8) == 2
    assert to_units(3.5e-8) == 4
    assert units(np.array([10.25, 2.5e-8, 3.5e-8])).tolist() == [1_025_000_000, 2, 4]


@pytest.mark.parametrize(
    ("bps", "reference", "shares", "paid"),
    [
        (0.0, 123, 1, 123),
        (10.0, 100_000, 1, 100_100),
        (10.0, 100_000, -1, 99_900),
        (1.0, 5_000, 1, 5_000),  # 5000.5: half to even
        (1.0, 15_000, 1, 15_002),  # 15001.5
        (1.0, 5_000, -1, 5_000),  # 4999.5
        (0.1, 10**5, 1, 10**5 + 1),  # 0.1 as written: its binary neighbour lies above
    ],
)
def test_slippage_is_exact_and_rounded_once(bps, reference, shares, paid):
    assert filling.paid(books(slippage_bps=bps), 0, reference, at.NULL, shares) == paid


def test_slippage_equals_decimals():
    for bps in (0.1, 0.7, 2.5, 33.33, 1e-6):
        kept = books(slippage_bps=bps)
        for reference in (1, 12_345_678_901, 99_999_999_999):
            for sign in (1, -1):
                moved = Decimal(reference) * (1 + sign * Decimal(repr(bps)) / 10_000)
                assert filling.paid(kept, 0, reference, at.NULL, sign) == int(
                    moved.to_integral_value("ROUND_HALF_EVEN")
                )


@pytest.mark.parametrize(
    ("per_share", "shares", "commission"),
    [
        (0.005, 100, 50_000_000),
        (0.005, -100, 50_000_000),
        (0.0, 5, 0),
        (2.5e-9, 10, 2),
        (1.5e-9, 10, 2),
        (3.5e-9, 10, 4),
    ],
)
def test_commission_is_rounded_once_an_order(per_share, shares, commission):
    assert filling.charged(books(commission_per_share=per_share), 0, shares) == commission


def test_what_does_not_fit_is_an_error():
    assert fits(INT64_MAX) == INT64_MAX
    assert fits(-INT64_MAX) == -INT64_MAX
    with pytest.raises(MoneyError, match="must be within"):
        fits(INT64_MAX + 1)
    with pytest.raises(MoneyError):
        to_units(1e12)
    with pytest.raises(MoneyError):
        units(np.array([1.0, 1e12]))


def test_costs_with_more_decimals_than_exact_arithmetic_has_room_for_are_refused():
    assert Costs.of(ExecutionSpec(slippage_bps=0.12345678901234)).slip_up > 0
    with pytest.raises(
        ConfigError, match=r"slippage_bps must have at most 14 decimals, was 0.30000000000000004; round it"
    ):
        Costs.of(ExecutionSpec(slippage_bps=0.1 * 3))


whole = st.integers(-(2**62), 2**62) | st.integers(-1000, 1000)
positive = st.integers(1, 2**62) | st.integers(1, 1000)


@settings(deadline=None)  # the first call compiles
@given(whole, whole, positive)
def test_portions_are_exact_and_rounded_half_to_even(amount: int, part: int, of: int) -> None:
    truth = round(Fraction(amount * part, of))
    if abs(truth) < 2**62:
        assert money.portion(amount, part, of) == truth
        assert portions(np.array([amount]), np.array([of])).tolist() == [round(Fraction(amount, of))]


@settings(deadline=None)  # the first call compiles
@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6), st.sampled_from((2, 4, 10, 6)))
def test_ties_of_portions_go_to_the_even_number(amount: int, factor: int, of: int) -> None:
    """Halves are common: also where the product needs more than 64 bits."""
    big = (2 * factor + 1) * 10**3 + 1
    assert money.portion(amount, of // 2, of) == round(Fraction(amount, 2))
    assert money.portion((2 * amount + 1) * 10**9, big, 2 * 10**9) == round(Fraction((2 * amount + 1) * big, 2))


@settings(deadline=None)  # the first call compiles
@given(whole, st.integers(0, 2**62) | st.integers(0, 100), positive)
def test_floor_portions_are_exact_and_at_most_what_fits(amount: int, part: int, of: int) -> None:
    truth = amount * part // of
    made = money.floor_portion(amount, part, of)
    if abs(truth) < 9.19e18:
        assert made == truth
    else:
        assert abs(made) > 9.18e18
        assert (made > 0) == (truth > 0)


def test_sums_and_products_that_do_not_fit_are_errors():
    assert money.times(3_000_000_000, -3_000_000_000) == -9 * 10**18
    assert money.plus(INT64_MAX // 2, INT64_MAX // 2 - 10**17) == 2 * (INT64_MAX // 2) - 10**17
    for wrong in (lambda: money.times(2**32, 2**32), lambda: money.plus(2**62, 2**62), lambda: money.unit(1e12)):
        with pytest.raises(MoneyError):
            wrong()
    with pytest.raises(MoneyError):
        money.portion(2**62, 2**62, 1)
