from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from bt.errors import MoneyError
from bt.execution import INT64_MAX, Costs, divide_half_even, fits, to_units, units
from bt.model import ExecutionSpec


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
    assert Costs.of(ExecutionSpec(slippage_bps=bps)).price(reference, shares) == paid


def test_slippage_equals_decimals():
    for bps in (0.1, 0.7, 2.5, 33.33, 1e-6):
        costs = Costs.of(ExecutionSpec(slippage_bps=bps))
        for reference in (1, 12_345_678_901, 99_999_999_999):
            for sign in (1, -1):
                moved = Decimal(reference) * (1 + sign * Decimal(repr(bps)) / 10_000)
                assert costs.price(reference, sign) == int(moved.to_integral_value("ROUND_HALF_EVEN"))


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
    assert Costs.of(ExecutionSpec(commission_per_share=per_share)).commission(shares) == commission


def test_what_does_not_fit_is_an_error():
    assert fits(INT64_MAX) == INT64_MAX
    assert fits(-INT64_MAX) == -INT64_MAX
    with pytest.raises(MoneyError, match="must be within"):
        fits(INT64_MAX + 1)
    with pytest.raises(MoneyError):
        to_units(1e12)
    with pytest.raises(MoneyError):
        units(np.array([1.0, 1e12]))
