"""The session so far: statistics from the session's first bar up to each row, evaluated at the rows asked for.

Whole numbers are exact. Floats are added from the session's first bar on, so that no other session matters.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.exact import quotient, scaled
from bt.features.declared import Feature
from bt.features.kernels import Kernels, masked, running
from bt.model import Column

IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_FITS = 1 << 62
"""Whole numbers below it fit int64."""

_SUMS_ROUND = 1 << 48
"""Three prices added as floats are nearer than 1/4 to their whole number below it."""

DAILY = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
"""How a session's bars become one value of each column."""


class Today:
    """The session-to-date statistics of one interval's bars; shares whole numbers and sums with its windows."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self._bars = kernels.bars
        self._products: tuple[IntArray, Mask] | None = None
        self._best: dict[tuple[str, str], Floats] = {}

    def value(self, feature: Feature, rows: IntArray) -> Column:
        """A session-to-date feature at `rows` of feature order."""
        if feature.aggregate == "vwap":
            return self._vwap(rows)
        if feature.aggregate == "opening":
            return self._opening(feature.column, feature.n, rows)
        return Column(self._so_far(feature.aggregate, feature.column, rows))

    # --------------------------------------------------------------------------------------------------------- so far

    def _so_far(self, aggregate: str, name: str, rows: IntArray) -> Floats:
        kernels = self._kernels
        values = kernels.column(name)
        if aggregate == "last":
            return values[rows].astype(np.float64)
        if aggregate == "first":
            return values[kernels.starts("session")[rows]].astype(np.float64)
        if aggregate in ("max", "min"):
            return self._extreme(aggregate, name)[rows]
        count = kernels.depth("session", rows) + 1 if aggregate == "avg" else 1
        made = np.zeros(len(rows))
        if kernels.is_whole(name):
            made = quotient(self._sum(kernels.totals(name), rows), kernels.divisor(name, rows) * count)
        at = kernels.inexact(name, rows, np.zeros(len(rows), dtype=bool))
        if len(at):
            made[at] = (self._float_sum(values)[rows] / count)[at]
        return made

    def _sum(self, total: IntArray, rows: IntArray) -> IntArray:
        return np.asarray(total[rows + 1] - total[rows - self._kernels.depth("session", rows)])

    def _group(self) -> pl.Series:
        """A sorted number for each row's session of its symbol."""
        return pl.Series("group", self._kernels.starts("session")).set_sorted()

    def _float_sum(self, values: npt.NDArray[Any]) -> Floats:
        summed = pl.DataFrame([pl.Series("x", values), self._group()]).select(pl.col("x").cum_sum().over("group"))
        return np.asarray(summed.to_series().to_numpy(), dtype=np.float64)

    def _extreme(self, aggregate: str, name: str) -> Floats:
        key = aggregate, name
        if key not in self._best:
            frame = pl.DataFrame([pl.Series("x", self._kernels.column(name)), self._group()])
            x = pl.col("x").cum_max() if aggregate == "max" else pl.col("x").cum_min()
            self._best[key] = frame.select(x.over("group")).to_series().to_numpy().astype(np.float64)
        return self._best[key]

    # ----------------------------------------------------------------------------------------------------------- vwap

    def _vwap(self, rows: IntArray) -> Column:
        kernels = self._kernels
        made, null = np.zeros(len(rows)), np.zeros(len(rows), dtype=bool)
        rough = np.arange(len(rows))
        if kernels.is_whole("volume"):
            product, large = self._product()
            volume = self._sum(kernels.totals("volume"), rows)
            null = volume == 0
            made = quotient(self._sum(product, rows), np.where(null, 1, volume * 3) * kernels.scale_of(rows))
            for i in np.flatnonzero(large[rows] & ~null).tolist():
                made[i] = self._vwap_in_python(int(rows[i]))
            rough = kernels.inexact("close", rows, null)
        if len(rough):
            money, volumes = self._float_sum(self._money()), self._float_sum(kernels.column("volume"))
            at = rows[rough]
            null[rough] = volumes[at] == 0
            with np.errstate(invalid="ignore", divide="ignore"):
                made[rough] = money[at] / volumes[at]
        return masked(made, null)

    def _money(self) -> Floats:
        return np.asarray(self._typical() / 3 * self._kernels.column("volume"))

    def _typical(self) -> Floats:
        """high + low + close."""
        return self._bars.joined(
            lambda bars: bars["high"].to_numpy() + bars["low"].to_numpy() + bars["close"].to_numpy()
        )

    def _product(self) -> tuple[IntArray, Mask]:
        """Sums of (high + low + close) x volume in whole numbers, and the rows whose session's sum does not fit."""
        if self._products is None:
            kernels = self._kernels
            added = self._typical()
            if np.abs(added).max(initial=0.0) * kernels.most_scale < _SUMS_ROUND:
                prices = scaled(added, kernels.scale_of(None))
            else:
                prices = np.asarray(kernels.whole("high") + kernels.whole("low") + kernels.whole("close"))
            volume = kernels.whole("volume")
            large = np.zeros(len(prices), dtype=bool)
            first = self._bars.by_session
            length = np.diff(np.append(first, len(prices)))
            if int(prices.max(initial=0)) * int(volume.max(initial=0)) * int(length.max(initial=0)) >= _FITS:
                session = np.add.reduceat(prices.astype(np.float64) * volume, first) * 1.000001
                large = np.repeat(session >= _FITS, length)
            self._products = running(prices * volume), large
        return self._products

    def _vwap_in_python(self, row: int) -> float:
        """The exact mean where whole numbers do not fit int64."""
        kernels = self._kernels
        rows = slice(int(kernels.starts("session")[row]), row + 1)
        high, low, close, volume = (kernels.whole(c)[rows].tolist() for c in ("high", "low", "close", "volume"))
        money = sum((h + lo + c) * v for h, lo, c, v in zip(high, low, close, volume, strict=True))
        scale = kernels.scale_of(np.array([row]))
        return float(money / (3 * int(np.asarray(scale).reshape(-1)[0]) * sum(volume)))

    # -------------------------------------------------------------------------------------------------- opening range

    def _opening(self, name: str, minutes: int, rows: IntArray) -> Column:
        """The value of the bars that began in the session's first `minutes`, once those are over by the clock."""
        bars, kernels = self._bars, self._kernels
        first = bars.by_session
        before = running((bars.begin < minutes).astype(np.int64))
        length = np.diff(np.append(first, len(bars)))
        stop = first + before[first + length] - before[first]
        group = np.searchsorted(first, kernels.starts("session")[rows])
        found = self._daily(name, first, stop)[group]
        return masked(found, (bars.end[rows] < minutes) | (stop == first)[group])

    def _daily(self, name: str, first: IntArray, stop: IntArray) -> Floats:
        """One value for the rows [first, stop) of each session; garbage where there are none."""
        kernels = self._kernels
        values = kernels.column(name).astype(np.float64, copy=False)
        match DAILY[name]:
            case "first":
                return values[first]
            case "last":
                return values[np.maximum(stop - 1, first)]
            case "sum":
                if kernels.is_whole(name):
                    total = kernels.totals(name)
                    return (total[stop] - total[first]).astype(np.float64)
                return self._float_sum(values)[np.maximum(stop - 1, first)]
        pick = np.maximum if DAILY[name] == "max" else np.minimum
        edges = np.stack([first, stop], axis=1).ravel()
        return np.asarray(pick.reduceat(np.append(values, values[-1:]), edges)[::2])
