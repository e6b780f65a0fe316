from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bt.book.levels import all_shares_worth, shares_worth

bases = st.sampled_from((10**8, 10**14, 3 * 10**13, 10**17)) | st.integers(0, 10**18)
numbers = st.sampled_from((0.0, 0.1, 0.29, -0.07, 1.0, 25_000.0)) | st.floats(-1e4, 1e4, allow_subnormal=False)
prices = st.sampled_from((10**8, 3 * 10**8, 10**6, 14_53000000)) | st.integers(1, 10**13)


@given(bases, st.lists(st.tuples(numbers, prices), max_size=20))
def test_shares_are_exact_and_cut_toward_zero(base: int, cases: list[tuple[float, int]]) -> None:
    truth = [math.trunc(base * Fraction(Decimal(repr(n))) / p) for n, p in cases]
    assert [shares_worth(base, n, p) for n, p in cases] == truth
    if all(abs(t) < 1 << 61 for t in truth):
        made = all_shares_worth(base, np.array([n for n, _ in cases]), np.array([p for _, p in cases], dtype=np.int64))
        assert made.tolist() == truth


@given(
    st.sampled_from((10**14, 3 * 10**13, 10**17, 123_456_789_012_345)),
    st.lists(
        st.tuples(st.sampled_from((0.1, -0.29, 0.07, 1 / 3, 2.5)), st.integers(1, 10**6), st.integers(-2, 2)),
        max_size=30,
    ),
)
def test_ties_are_settled_exactly(base: int, cases: list[tuple[float, int, int]]) -> None:
    """Prices that go into the amount a whole number of times, or nearly."""
    numbers = [n for n, _, _ in cases]
    prices = [max(int(base * abs(Fraction(Decimal(repr(n)))) // k) + more, 1) for n, k, more in cases]
    truth = [math.trunc(base * Fraction(Decimal(repr(n))) / p) for n, p in zip(numbers, prices, strict=True)]
    assert all_shares_worth(base, np.array(numbers), np.array(prices, dtype=np.int64)).tolist() == truth
