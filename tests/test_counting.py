"""What a session came to, against sums in Python's own numbers, which are exact."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_laws import law

from bt.execution import counting
from bt.execution import layout as at
from bt.metrics import CAPACITY_SHARE, Counts, MetricsAccumulator, SessionFigures


def rows(count: int, columns: int) -> np.ndarray:
    return np.zeros((count, columns), dtype=np.int64)


@law(60)
@given(st.integers(0, 2**32), st.integers(0, 300), st.sampled_from([40, 61]))
def test_rows_add_up_exactly_whatever_their_size(seed: int, size: int, bits: int) -> None:
    rng = np.random.default_rng(seed)
    fills, trades, orders = rows(size, at.FILL_COLUMNS), rows(size, at.TRADE_COLUMNS), rows(size, at.RECORD_COLUMNS)
    fills[:, at.F_SHARES] = rng.integers(-(2**9), 2**9, size)
    fills[:, at.F_PRICE] = rng.integers(1, 2 ** (bits - 10), size)
    fills[:, at.F_REFERENCE] = rng.integers(1, 2 ** (bits - 10), size)
    fills[:, at.F_COMMISSION] = rng.integers(-(2**bits), 2**bits, size)
    fills[:, at.F_STALE] = rng.integers(0, 3, size)
    trades[:, at.T_GROSS] = rng.integers(-(2**bits), 2**bits, size)
    trades[:, at.T_COMMISSION] = rng.choice([0, 1, 2**10], size) + np.where(
        rng.random(size) < 0.3, trades[:, at.T_GROSS], 0
    )
    trades[:, at.T_DOUBTED] = rng.integers(0, 2, size)
    orders[:, at.R_STATUS] = rng.integers(0, len(at.STATUSES), size)
    traded = rng.choice([0.0, 40.0, 20_000.0, 1e9], size)
    made = np.zeros(counting.COUNT_COLUMNS, dtype=np.int64)
    counting.count(fills, trades, orders, traded, CAPACITY_SHARE, made)
    deals = [(int(f[at.F_SHARES]), int(f[at.F_PRICE]), int(f[at.F_REFERENCE])) for f in fills]
    nets = [int(t[at.T_GROSS]) - int(t[at.T_COMMISSION]) for t in trades]
    ended = [at.STATUSES[status] for status in orders[:, at.R_STATUS].tolist()]
    slow = Counts(
        fills=size, large=sum(volume > 0 and abs(shares) / volume > 0.025 for (shares, _, _), volume in zip(deals, traded, strict=True)),
        stale_exits=int((fills[:, at.F_STALE] > 0).sum()), trades=size, wins=sum(net > 0 for net in nets),
        ambiguous_trades=int(trades[:, at.T_DOUBTED].sum()), expired=ended.count("expired"), rejected=ended.count("rejected"),
        cancelled=ended.count("cancelled"), value=sum(abs(shares) * price for shares, price, _ in deals),
        commission=sum(fills[:, at.F_COMMISSION].tolist()), slippage=sum((price - other) * shares for shares, price, other in deals),
        gain=sum(net for net in nets if net > 0), loss=-sum(net for net in nets if net < 0),
    )  # fmt: skip
    assert Counts.of(made) == slow
    counting.count(fills, trades, orders, traded, CAPACITY_SHARE, made)
    assert Counts.of(made) == Counts.total((slow, slow))


def drawdown(line: list[int]) -> tuple[float, int]:
    """The deepest fall of a line below its running peak, rounded once, the first of equal ones; and its minutes."""
    depth, length = 0.0, 0
    peaks = list(itertools.accumulate(line, max))
    for low, (worth, peak) in enumerate(zip(line, peaks, strict=True)):
        if (worth - peak) / peak < depth:
            depth = (worth - peak) / peak
            top = max(i for i in range(low) if line[i] == peak)
            length = next((i for i in range(low, len(line)) if line[i] >= peak), len(line) - 1) - top
    return depth, length


@law(200)
@given(
    st.sampled_from([(1, 10), (10**8, 100), (1, 10**17), (3, 10**17), (1, 4 * 10**18)]),
    st.lists(st.integers(-4, 4), min_size=1, max_size=40),
    st.sets(st.integers(1, 39)),
)
def test_the_deepest_fall_is_the_first_of_a_slow_count(unit: tuple[int, int], steps: list[int], cuts: set[int]) -> None:
    """Of large amounts most falls are one double: which is deepest only exact arithmetic tells."""
    step, start = unit
    worth = [max(start + step * moved, 1) for moved in itertools.accumulate(steps)]
    account = MetricsAccumulator(start, 252)
    for part in np.split(np.array(worth, dtype=np.int64), sorted(cut for cut in cuts if cut < len(worth))):
        account.add(SessionFigures(part, np.zeros_like(part), np.zeros_like(part), Counts()))
    found = account.result()
    assert (found.max_drawdown, found.max_drawdown_minutes) == drawdown([start, *worth])


def test_falls_that_are_nearly_alike_are_told_apart() -> None:
    """In three of a hundred such lines doubles would tell another fall the deepest."""
    rng = random.Random(3)
    for _ in range(1000):
        start, fall = rng.randint(10**18, 9 * 10**18), rng.randint(10**16, 9 * 10**16)
        peaks = list(itertools.accumulate((rng.randint(0, 3000) for _ in range(rng.randint(2, 12))), initial=start))[1:]
        worth = [value for peak in peaks for value in (peak, peak - fall - rng.randint(0, 30))]
        account, part = MetricsAccumulator(start, 252), np.array(worth, dtype=np.int64)
        account.add(SessionFigures(part, np.zeros_like(part), np.zeros_like(part), Counts()))
        found = account.result()
        assert (found.max_drawdown, found.max_drawdown_minutes) == drawdown([start, *worth])


@pytest.mark.parametrize("scale", [1, 10**9, 10**17])
@pytest.mark.parametrize("seed", range(5))
def test_exposure_is_the_sum_of_its_minutes_to_the_last_bit(scale: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    equity = rng.integers(1, 50, 390) * scale + rng.integers(0, 7, 390)
    gross, net = rng.integers(0, 90, 390) * scale, rng.integers(-90, 90, 390) * scale
    sums = np.zeros(4)
    assert counting.exposed(equity, gross, net, sums)
    assert sums[0] + sums[1] == math.fsum(gross / equity)
    assert sums[2] + sums[3] == math.fsum(net / equity)
    equity[200] = 0
    assert not counting.exposed(equity, gross, net, sums)
