"""Windows over whole columns of one interval's bars, evaluated at the rows asked for.

Whole numbers (prices on a tick grid, whole volumes) have one cumulative sum a column, shared by every window: the sum of a
window is the difference of two of its entries, exact even where the total wraps around. Everything else is added afresh
for each row, oldest first, so that how the work was cut does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from math import isqrt
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from bt.exact import quotient, scaled
from bt.features.declared import Feature, Within
from bt.features.ordered import Ordered, Rows
from bt.features.sums import DOUBLE, running_prices, window_quotients
from bt.jit import read_only
from bt.model import Column
from bt.schema import PRICES

IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_FITS = 1 << 62
"""Whole numbers below it are surely the same after wrapping around int64."""


class Kernels:
    """The windowed statistics of one interval's bars.

    `value` gives a feature at some rows of feature order; rows that are asked for again and again should be the same array.
    """

    def __init__(self, bars: Ordered) -> None:
        self.bars = bars
        self._columns: dict[str, npt.NDArray[Any]] = {}
        self._whole: dict[str, IntArray] = {}
        self._sums: dict[str, IntArray] = {}
        self._squares: dict[str, tuple[IntArray, int]] = {}
        self._starts: dict[Within, IntArray] = {}
        self._depths: dict[tuple[Within, int], tuple[IntArray, IntArray]] = {}
        self._window: tuple[str, int, IntArray, IntArray] | None = None  # the last sums that were asked for
        scale = np.maximum(bars.scale, 1)
        same = len(scale) > 0 and bool((scale == scale[0]).all())
        self._same_scale = int(scale[0]) if same else None
        self._scale = scale
        self.most_scale = int(scale.max(initial=1))
        self._rough = bool((bars.scale[bars.runs.code] == 0).any())

    def value(self, feature: Feature, asked: Rows) -> Column:
        """A windowed feature at the rows that are `asked` for; not known where the symbol, or session, has too few bars."""
        if feature.aggregate in ("sma", "sum") and self.is_whole(feature.column):
            return self._whole_sum(feature, asked)
        rows = asked.at
        back = feature.n if feature.aggregate in ("lag", "ret") else feature.n - 1
        null = self.depth(feature.within, rows) < back
        values, unknown = self._MADE[feature.aggregate](self, feature.column, feature.n, rows, null)
        if unknown is not None:
            null = null | unknown
        return masked(values, null)

    # ----------------------------------------------------------------------------------------------------- foundations

    def column(self, name: str) -> npt.NDArray[Any]:
        """A bar column."""
        if name not in self._columns:
            self._columns[name] = self.bars.column(name)
        return self._columns[name]

    def is_whole(self, name: str) -> bool:
        """Whether the column is whole numbers, at least of the symbols on a tick grid."""
        return name in PRICES or self.column(name).dtype.kind in "iu"

    def whole(self, name: str) -> IntArray:
        """The column as whole numbers: a price times its symbol's scale."""
        if name not in self._whole:
            values = self.column(name)
            self._whole[name] = scaled(values, self.scale_of(None)) if name in PRICES else values.astype(np.int64)
        return self._whole[name]

    def totals(self, name: str) -> IntArray:
        """Sums of the whole numbers before each row, and of all: length rows + 1."""
        if name not in self._sums and name in PRICES and name not in self._whole:
            before, own = (read_only(prices) for prices in self.bars.sources(lambda bars: bars[name].to_numpy()))
            runs, origin = self.bars.place.runs, self.bars.place.origin
            self._sums[name] = running_prices(before, own, runs.start, origin, self._scale[runs.code])
        if name not in self._sums:
            self._sums[name] = running(self.whole(name))
        return self._sums[name]

    def scale_of(self, rows: IntArray | None) -> IntArray | int:
        """What the whole prices of rows (None: every row) were multiplied by; 1 without a tick grid."""
        if self._same_scale is not None:
            return self._same_scale
        code = self.bars.code if rows is None else self.bars.code[rows]
        return self._scale[code]

    def divisor(self, name: str, rows: IntArray) -> IntArray | int:
        """What makes the column's whole numbers its values."""
        same = self._same_divisor(name)
        return self.scale_of(rows) if same is None else same

    def _same_divisor(self, name: str) -> int | None:
        """Likewise where that is the same for every row; None where it is not."""
        return self._same_scale if name in PRICES else 1

    def starts(self, within: Within) -> IntArray:
        """For each row the first row of its symbol, or session."""
        if within not in self._starts:
            self._starts[within] = self.bars.starts(within)
        return self._starts[within]

    def depth(self, within: Within, rows: IntArray) -> IntArray:
        """How many earlier rows the symbol, or session, has."""
        known = self._depths.get((within, id(rows)))
        if known is None or known[0] is not rows:
            known = rows, rows - self.starts(within)[rows]
            self._depths[within, id(rows)] = known
        return known[1]

    def inexact(self, name: str, rows: IntArray, null: Mask) -> IntArray:
        """Which of `rows` (as positions in it) must be computed in floats: those known of a symbol without a tick grid, or all
        where the column is no whole numbers."""
        if not self.is_whole(name):
            return np.flatnonzero(~null)
        if name in PRICES and self._rough:
            return np.flatnonzero((self.bars.scale[self.bars.code[rows]] == 0) & ~null)
        return np.zeros(0, dtype=np.int64)

    # -------------------------------------------------------------------------------------------------------- windows

    def _window_sum(self, name: str, n: int, rows: IntArray) -> IntArray:
        if self._window is not None and self._window[:2] == (name, n) and self._window[2] is rows:
            return self._window[3]
        self._window = None  # free before the next one is made: a window's worth of memory
        made = _between(self.totals(name), n, rows)
        self._window = name, n, rows, made
        return made

    def _whole_sum(self, feature: Feature, rows: Rows) -> Column:
        """A sum or mean of whole numbers, and of floats for symbols without a tick grid."""
        name, n = feature.column, feature.n
        count = n if feature.aggregate == "sma" else 1
        same = self._same_divisor(name)
        below = np.atleast_1d(np.asarray(count * (self.scale_of(rows.at) if same is None else same), dtype=np.int64))
        first = self.bars.firsts(feature.within)
        made, null, unknown, exact = window_quotients(self.totals(name), n, *rows.spans, first, below)
        if not exact:
            made = quotient(self._window_sum(name, n, rows.at), below)
            made[null] = np.nan
        if name in PRICES and self._rough:
            at = self.inexact(name, rows.at, null)
            made[at] = float_sum(self.column(name), n, rows.at[at]) / count
        return Column(made, null if unknown else None)

    def _sum(self, name: str, n: int, rows: IntArray, null: Mask, *, mean: bool) -> tuple[Floats, None]:
        """A sum or mean of floats, added afresh for each row."""
        made = np.zeros(len(rows))
        at = np.flatnonzero(~null)
        made[at] = float_sum(self.column(name), n, rows[at]) / (n if mean else 1)
        return made, None

    def _spread(self, name: str, n: int, rows: IntArray, null: Mask) -> Floats:
        """The sample variance of the values: n sum(x^2) - sum(x)^2 of whole numbers, over n (n - 1) and the square of what they were multiplied by."""
        squares, most = self._powers(name)
        unit = self.divisor(name, rows)
        first = self._window_sum(name, n, rows)
        spread = n * _between(squares, n, rows) - first * first  # exact where it fits, whatever wrapped around
        made = _over(np.where(null, 0, spread), n * (n - 1), unit)
        if n * n * most * most >= _FITS:
            at = np.flatnonzero(~null & (n * self._bound(name, n, rows) >= _FITS))
            values = self.whole(name)
            for i in at.tolist():  # few: Python's whole numbers have no end
                window = values[rows[i] - n + 1 : rows[i] + 1].tolist()
                total = n * sum(v * v for v in window) - sum(window) ** 2
                made[i] = _exactly_over(total, n * (n - 1), int(np.broadcast_to(unit, rows.shape)[i]))
        return made

    def _bound(self, name: str, n: int, rows: IntArray) -> Floats:
        """At least the sum of squares of each row's window, as distances from the symbol's first."""
        values = self.whole(name)
        offset = (values - values[self.starts(None)]).astype(np.float64)
        total = np.concatenate([[0.0], np.cumsum(offset**2)])
        after = rows + 1
        return np.asarray(total[after] - total[np.maximum(after - n, 0)] + total[-1] * len(total) * 1e-15)

    def _powers(self, name: str) -> tuple[IntArray, int]:
        """Sums of squares before each row, and the widest range of a symbol's whole numbers."""
        if name not in self._squares:
            values, first = self.whole(name), self.bars.by_symbol
            widest = np.maximum.reduceat(values, first) - np.minimum.reduceat(values, first) if len(first) else first
            self._squares[name] = running(values * values), int(widest.max(initial=0))
        return self._squares[name]

    def _std(self, name: str, n: int, rows: IntArray, null: Mask) -> tuple[Floats, None]:
        made = np.zeros(len(rows))
        if self.is_whole(name):
            made = np.sqrt(self._spread(name, n, rows, null))
        at = self.inexact(name, rows, null)
        if len(at):
            made[at] = _float_spread(self.column(name), n, rows[at])[1]
        return made, None

    def _zscore(self, name: str, n: int, rows: IntArray, null: Mask) -> tuple[Floats, Mask]:
        away, spread = np.zeros(len(rows)), np.zeros(len(rows))
        if self.is_whole(name):
            away = quotient(n * self.whole(name)[rows] - self._window_sum(name, n, rows), n * self.divisor(name, rows))
            spread = np.sqrt(self._spread(name, n, rows, null))
        at = self.inexact(name, rows, null)
        if len(at):
            values = self.column(name)
            mean, spread[at] = _float_spread(values, n, rows[at])
            away[at] = values[rows[at]] - mean
        flat = spread == 0
        return np.divide(away, spread, out=np.zeros(len(rows)), where=~flat), flat

    def _lag(self, name: str, n: int, rows: IntArray, _null: Mask) -> tuple[Floats, None]:
        return self.column(name)[np.maximum(rows - n, 0)].astype(np.float64), None

    def _ret(self, name: str, n: int, rows: IntArray, null: Mask) -> tuple[Floats, Mask]:
        before = np.maximum(rows - n, 0)
        values = self.column(name)
        zero = values[before] == 0
        made = np.zeros(len(rows))
        if self.is_whole(name):
            exact = self.whole(name)
            made = quotient(exact[rows] - exact[before], exact[before])
        at = self.inexact(name, rows, null | zero)
        if len(at):
            old = values[before[at]]
            made[at] = (values[rows[at]] - old) / old
        return made, zero

    def _extreme(self, name: str, n: int, rows: IntArray, _null: Mask, *, pick: Any) -> tuple[Floats, None]:
        values = self.column(name).astype(np.float64, copy=False)
        if n * len(rows) <= 4 * len(values):
            made = values[rows]
            for back in range(1, n):
                pick(made, values[np.maximum(rows - back, 0)], out=made)
            return made, None
        return rolling(values, n, pick)[rows], None

    # Not kept by an instance: bound to it, they would be a cycle, and its columns would stay in memory.
    _MADE: ClassVar[dict[str, Callable[[Kernels, str, int, IntArray, Mask], tuple[Floats, Mask | None]]]] = {
        "sma": partial(_sum, mean=True), "sum": partial(_sum, mean=False), "std": _std, "zscore": _zscore, "lag": _lag,
        "ret": _ret, "highest": partial(_extreme, pick=np.maximum), "lowest": partial(_extreme, pick=np.minimum),
    }  # fmt: skip


def masked(values: Floats, null: Mask) -> Column:
    """A column whose unknown values are NaN."""
    if not null.any():
        return Column(values)
    values[null] = np.nan
    return Column(values, null)


def _over(total: IntArray, count: int, unit: IntArray | int) -> Floats:
    """total / (count x unit^2), elementwise; rounded once where a double tells the divisor, as it does for all but prices of many decimals."""
    widest = _widest(count)
    if isinstance(unit, int):
        return quotient(total, count * unit * unit) if unit <= widest else quotient(total, count) / float(unit) ** 2
    made = quotient(total, count * np.minimum(unit, widest) ** 2)
    wide = np.flatnonzero(unit > widest)
    made[wide] = quotient(total[wide], count) / unit[wide].astype(np.float64) ** 2
    return made


def _exactly_over(total: int, count: int, unit: int) -> float:
    """Likewise of one whole number of any size."""
    return total / (count * unit * unit) if unit <= _widest(count) else total / count / float(unit) ** 2


def _widest(count: int) -> int:
    """The greatest unit for which a double tells count x unit^2."""
    return isqrt(DOUBLE // count)


def running(values: IntArray) -> IntArray:
    """Sums before each entry, and of all."""
    total = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=total[1:])
    return total


def _between(total: IntArray, n: int, rows: IntArray) -> IntArray:
    """What the last `n` values of each row add to a running total."""
    if 2 * len(rows) < len(total):
        after = rows + 1
        return np.asarray(total[after] - total[np.maximum(after - n, 0)])
    every = np.empty(len(total) - 1, dtype=np.int64)  # of most rows: cheaper of all, one beside the other
    np.subtract(total[1:n], total[0], out=every[: n - 1])
    np.subtract(total[n:], total[:-n], out=every[n - 1 :])
    return np.take(every, rows)


def windows(values: npt.NDArray[Any], n: int, rows: IntArray) -> Iterator[npt.NDArray[Any]]:
    """The last `n` values of each row, one step back at a time, oldest first."""
    for back in range(n - 1, -1, -1):
        yield values[rows - back]


def float_sum(values: npt.NDArray[Any], n: int, rows: IntArray) -> Floats:
    """Sum of the last `n` values of each row, added afresh for each, oldest first."""
    out = np.zeros(len(rows))
    for step in windows(values, n, rows):
        out += step
    return out


def _float_spread(values: npt.NDArray[Any], n: int, rows: IntArray) -> tuple[Floats, Floats]:
    """Mean and sample standard deviation of the last `n` floats of each row; equal ones have exactly 0."""
    mean = float_sum(values, n, rows) / n
    square, same = np.zeros(len(rows)), np.ones(len(rows), dtype=bool)
    for step in windows(values, n, rows):
        square += (step - mean) ** 2
        same &= step == values[rows]
    return mean, np.where(same, 0.0, np.sqrt(square / (n - 1)))


def rolling(values: Floats, n: int, pick: Any) -> Floats:
    """The extreme of the last `n` values of each row, whatever symbol they are of (of fewer in the first rows).

    Blocks of n: the best from each block's begin, and to each block's end; a window is the end of one and the begin of the next.

    Source: van Herk (1992), A fast algorithm for local minimum and maximum filters; Gil and Werman (1993).
    """
    blocks = -(-len(values) // n)
    padded = np.full(blocks * n, values[-1] if len(values) else 0.0)
    padded[: len(values)] = values
    table = padded.reshape(blocks, n)
    begin = pick.accumulate(table, axis=1).ravel()
    end = np.ascontiguousarray(pick.accumulate(table[:, ::-1], axis=1)[:, ::-1]).ravel()
    made = begin[: len(values)]
    if n < len(values) + 1:
        pick(made[n - 1 :], end[: len(values) - n + 1], out=made[n - 1 :])
    return np.asarray(made)
