from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small import TUESDAY, bars, store

import bt
from bt.exact import scaled
from bt.features.kernels import running
from bt.features.sums import DOUBLE, running_prices, window_quotients
from bt.jit import read_only

WHOLE = st.one_of(st.integers(-1000, 1000), st.integers(-(2**58), 2**58))
DIVISORS = st.one_of(st.integers(1, 10**6), st.integers(2**53 - 2, 2**53 + 2))


@settings(deadline=None)  # the first call compiles
@given(st.data())
def test_quotients_of_windows_are_rounded_once_or_told_not_to_be(data):
    lengths = data.draw(st.lists(st.integers(1, 6), max_size=4))
    values = np.array([data.draw(WHOLE) for _ in range(sum(lengths))], dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(lengths)])[:-1].astype(np.int64)
    start = np.repeat(first, lengths)
    n = data.draw(st.integers(1, 7))
    rows = np.array(
        data.draw(st.lists(st.sampled_from(range(len(values))), max_size=8)) if len(values) else [], dtype=np.int64
    )
    some = data.draw(st.booleans()) and len(rows) != 1
    below = np.array([data.draw(DIVISORS) for _ in range(len(rows) if some else 1)], dtype=np.int64)
    made, null, unknown, exact = window_quotients(running(values), n, rows, first, below)
    assert unknown == null.sum()
    for k, row in enumerate(rows.tolist()):
        assert null[k] == (row - start[row] + 1 < n)
        if null[k]:
            assert np.isnan(made[k])
            continue
        total, divisor = sum(values[row + 1 - n : row + 1].tolist()), int(below[k if some else 0])
        if exact:
            assert made[k] == float(Fraction(total, divisor))
        if abs(total) > DOUBLE or divisor > DOUBLE:
            assert not exact


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([1, 100, 10**8]), st.lists(st.floats(0.0001, 1e6), min_size=1, max_size=5)),
        max_size=4,
    )
)
def test_running_prices_are_of_whole_numbers_by_their_scale(runs):
    first = np.concatenate([[0], np.cumsum([len(prices) for _, prices in runs])])[: len(runs)].astype(np.int64)
    prices = np.array([price for _, some in runs for price in some])
    scale = np.array([scale for scale, _ in runs], dtype=np.int64)
    whole = scaled(prices, np.repeat(scale, [len(some) for _, some in runs]))
    assert running_prices(read_only(prices), first, scale).tolist() == running(whole).tolist()


def test_a_mean_beyond_what_a_double_tells_is_exact(tmp_path):
    """Volumes of 6e15: two of them are no double."""
    volumes = [6_000_000_000_000_001, 6_000_000_000_000_003, 6_000_000_000_000_002]
    where = store(tmp_path, *(bars("A", [1.0], first=i, volume=v) for i, v in enumerate(volumes)))
    found = bt.load_bars(
        where, "XNYS", TUESDAY, TUESDAY, features={"f": bt.sum("volume", 2), "g": bt.sma("volume", 2)}
    )["1m"]
    assert found["f"].to_list() == [None, float(sum(volumes[:2])), float(sum(volumes[1:]))]
    assert found["g"].to_list() == [None, 6_000_000_000_000_002.0, (volumes[1] + volumes[2]) / 2]
