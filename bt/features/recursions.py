"""Recursive features evaluated: every symbol's session at once, bar after bar.

As for expressions, a session begins its warm-up bars back, so that nothing else matters. Sessions lie side by side, longest
first, and one step of the recursion moves all that still go on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bt.features.declared import Feature
from bt.features.ordered import Ordered
from bt.features.pieces import edges
from bt.model import Column

IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NOTHING = 1e-8
"""Of the price, or of one share: what has faded below it is 0, so that nothing of what lies before the lookback is left."""

SIDE_BY_SIDE = 2048
"""So many sessions at a time stay in the processor's cache."""


def recursion(bars: Ordered, feature: Feature, *, factor: int = 1) -> Column:
    """An ema, atr or rsi in feature order, not known on warm-up bars. `factor` widens the warm-up, for the start-up check."""
    start, first, stop = edges(bars, feature, factor)
    out, null = np.full(len(bars), np.nan), np.ones(len(bars), dtype=bool)
    longest = np.argsort(start - stop, kind="stable")
    for low in range(0, len(longest), SIDE_BY_SIDE):
        some = longest[low : low + SIDE_BY_SIDE]
        length = (stop - start)[some]
        step = np.arange(int(length[0]))[:, None]
        rows = start[some] + step
        going = np.searchsorted(-length, -step[:, 0])  # at each step so many are not over
        values, known = _values(bars, feature, np.minimum(rows, stop[some] - 1), going)
        shown = (rows >= first[some]) & (rows < stop[some])
        at = rows[shown]
        out[at], null[at] = values[shown], ~known[shown]
    out[null] = np.nan
    return Column(out, null)


def _values(bars: Ordered, feature: Feature, rows: IntArray, going: IntArray) -> tuple[Floats, Mask]:
    """The feature at `rows`, (steps, sessions), and where it is known."""
    n, weight = feature.n, 2 / (feature.n + 1) if feature.aggregate == "ema" else 1 / feature.n
    begun = np.zeros(rows.shape, dtype=bool)
    begun[n if feature.aggregate == "rsi" else n - 1 :] = True

    def column(name: str) -> Floats:
        return bars.column(name).astype(np.float64, copy=False)[rows]

    if feature.aggregate == "ema":
        smooth = _smoothed(column(feature.column), going, n, weight)
        return (np.where(smooth < NOTHING, 0.0, smooth) if feature.column == "volume" else smooth), begun
    if feature.aggregate == "atr":
        high, low, close = column("high"), column("low"), column("close")
        reach = high - low
        for side in (high, low):
            np.maximum(reach[1:], np.abs(side[1:] - close[:-1]), out=reach[1:])
        return _faded(_smoothed(reach, going, n, weight), close), begun
    price = column(feature.column)
    change = price[1:] - price[:-1]
    up, down = (np.zeros(rows.shape) for _ in range(2))
    for made, moves in ((up, np.maximum(change, 0.0)), (down, np.maximum(-change, 0.0))):
        made[1:] = _faded(_smoothed(moves, going[1:], n, weight), price[1:])
    both = up + down
    begun &= both > 0
    return np.divide(100 * up, both, out=np.zeros(rows.shape), where=both > 0), begun


def _smoothed(values: Floats, going: IntArray, n: int, weight: float) -> Floats:
    """The mean of the first `n` values of each session at the n-th, then e += weight (x - e); in place."""
    if len(values) < n:
        return values
    average = values[0].copy()
    for step in range(1, n):
        average += values[step]
    average /= n
    values[n - 1] = average
    for step in range(n, len(values)):
        live, now = average[: going[step]], values[step, : going[step]]
        now -= live
        now *= weight
        live += now
        now[:] = live
    return values


def _faded(smooth: Floats, price: Floats) -> Floats:
    """0 below what is left of what lies before the lookback."""
    smooth[smooth < NOTHING * price] = 0.0
    return smooth
