from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from small import TUESDAY, bars, store

import bt
from bt.exact import scaled
from bt.features import Place, Rows, Runs
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
    made, null, unknown, exact = window_quotients(running(values), n, *Rows.of(rows).spans, first, below)
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


@given(st.lists(st.integers(0, 30)))
def test_rows_are_told_as_spans_and_one_by_one(rows):
    at = np.array(rows, dtype=np.int64)
    start, stop = Rows.of(at).spans
    assert Rows.spanning(start, stop).at.tolist() == rows
    assert len(Rows.spanning(start, stop)) == len(rows)
    assert all(a != b for a, b in zip(start[1:].tolist(), stop.tolist(), strict=False))  # none longer


RUNS = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 2]),  # the session: 0 is warm-up
        st.sampled_from([0, 1, 2]),  # the symbol
        st.lists(st.floats(0.0001, 1e6), min_size=1, max_size=5),
    ),
    unique_by=lambda run: run[:2], max_size=9,
)  # fmt: skip


@settings(deadline=None)
@given(RUNS)
def test_running_prices_are_of_whole_numbers_by_their_scale_in_feature_order(runs):
    """Warm-up bars lie by symbol and a window's by session and symbol; sums are of a symbol's bars one after another."""
    scales = np.array([1, 100, 10**8])
    runs = sorted(runs)
    prices = [np.array([p for session, _, some in runs if (session > 0) == own for p in some]) for own in (False, True)]
    of = []
    for own in (False, True):
        mine = [run for run in runs if (run[0] > 0) == own]
        start = np.concatenate([[0], np.cumsum([len(some) for *_, some in mine])])[: len(mine)].astype(np.int64)
        of.append(Runs(start, *(np.array([run[k] for run in mine], dtype=np.int64) for k in (1, 0))))
    place = Place.of(*of, len(prices[0]), len(prices[1]))
    ordered = sorted(runs, key=lambda run: (run[1], run[0]))
    whole = [p for _, symbol, some in ordered for p in scaled(np.array(some), int(scales[symbol])).tolist()]
    made = running_prices(
        *(read_only(some) for some in prices), place.runs.start, place.origin, scales[place.runs.code]
    )
    assert made.tolist() == running(np.array(whole, dtype=np.int64)).tolist()
    expected = [p for *_, some in ordered for p in some]
    assert place.joined(*prices).tolist() == expected
    if prices[1].size and not prices[0].size and len({session for session, *_ in runs}) == 1:
        assert place.in_order


def test_a_mean_beyond_what_a_double_tells_is_exact(tmp_path):
    """Volumes of 6e15: two of them are no double."""
    volumes = [6_000_000_000_000_001, 6_000_000_000_000_003, 6_000_000_000_000_002]
    where = store(tmp_path, *(bars("A", [1.0], first=i, volume=v) for i, v in enumerate(volumes)))
    found = bt.load_bars(
        where, "XNYS", TUESDAY, TUESDAY, features={"f": bt.sum("volume", 2), "g": bt.sma("volume", 2)}
    )["1m"]
    assert found["f"].to_list() == [None, float(sum(volumes[:2])), float(sum(volumes[1:]))]
    assert found["g"].to_list() == [None, 6_000_000_000_000_002.0, (volumes[1] + volumes[2]) / 2]
