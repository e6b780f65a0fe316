"""The ready-made features over bars, over the session so far and over a past session, each from its definition.

Everything is a fraction of the decimals as written until it is rounded to the nearest float, once (standard deviations
twice: the variance, and its root).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

from oracle.features import BarFeature, Value, daily, exact, of_bar, past_days
from oracle.market import MINUTE, Day, History

Fractions = list[Fraction]


# ---------------------------------------------------------------------------------------------------------- windows


def window(statistic: str, column: str, n: int, *, interval: str = "1m", within: str | None = None) -> BarFeature:
    """sma sum std zscore lag ret highest lowest of a column."""
    reach = n + 1 if statistic in ("lag", "ret") else n

    def values(bars: list[Any]) -> list[Value]:
        numbers = [exact(getattr(b, column)) for b in bars]
        return [
            of_window(statistic, numbers[i + 1 - reach : i + 1]) if i + 1 >= reach else None for i in range(len(bars))
        ]

    return BarFeature(interval, within, values)


def of_window(statistic: str, w: Fractions) -> Value:
    """One statistic of the window's values, oldest first."""
    if statistic == "std":
        return math.sqrt(variance(w))
    if statistic == "zscore":
        return None if variance(w) == 0 else float(w[-1] - mean(w)) / math.sqrt(variance(w))
    if statistic == "ret" and w[0] == 0:
        return None
    pick: dict[str, Callable[[Fractions], Fraction]] = {
        "sma": mean,
        "sum": total,
        "lag": lambda w: w[0],
        "ret": lambda w: w[-1] / w[0] - 1,
        "highest": max,
        "lowest": min,
    }
    return float(pick[statistic](w))


def total(w: Sequence[Fraction]) -> Fraction:
    return sum(w, Fraction(0))


def mean(w: Sequence[Fraction]) -> Fraction:
    return total(w) / len(w)


def variance(w: Sequence[Fraction]) -> Fraction:
    """Of a sample."""
    middle = mean(w)
    return total([(x - middle) ** 2 for x in w]) / (len(w) - 1)


# ------------------------------------------------------------------------------------------------- the session so far


@dataclass
class Today:
    """A value of the session's bars up to each, forgotten at its end; `of(day, bars)` gets them oldest first."""

    interval: str
    of: Callable[[Day, list[Any]], Value]
    history: History | None = None
    cache: dict[tuple[str, Any, int], Value] = field(default_factory=dict)

    def prepare(self, history: History) -> None:
        self.history = history

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Value:
        assert self.history is not None, "prepare first"
        bars = [b for b in self.history.session(day, symbol, self.interval) if b.end_us <= close_us]
        key = (symbol, day.name, len(bars))
        if bars and key not in self.cache:
            self.cache[key] = self.of(day, bars)
        return self.cache[key] if bars else None


def vwap(*, interval: str = "1m") -> Today:
    def of(_day: Day, bars: list[Any]) -> Value:
        volumes = [exact(b.volume) for b in bars]
        if total(volumes) == 0:
            return None
        typical = [(exact(b.high) + exact(b.low) + exact(b.close)) / 3 for b in bars]
        return float(total([p * v for p, v in zip(typical, volumes, strict=True)]) / total(volumes))

    return Today(interval, of)


def so_far(aggregate: str, of: Any, *, interval: str = "1m") -> Today:
    """avg max min sum first last of a column, or of a function of a bar."""
    pick: dict[str, Callable[[Fractions], Fraction]] = {
        "avg": mean, "sum": total, "max": max, "min": min, "first": lambda w: w[0], "last": lambda w: w[-1],
    }  # fmt: skip
    return Today(interval, lambda _day, bars: float(pick[aggregate]([of_bar(b, of) for b in bars])))


def opening_range(column: str, minutes: int = 30, *, interval: str = "1m") -> Today:
    """The daily value of the bars that began in the first minutes, once a bar ends when those are over, or later."""

    def of(day: Day, bars: list[Any]) -> Value:
        begins = [day.minute_of[b.time_us] for b in bars]
        ended = day.minute_of[bars[-1].end_us - MINUTE] + 1
        early = [b for b, begin in zip(bars, begins, strict=True) if begin < minutes]
        return float(daily(early, column)) if early and ended >= minutes else None

    return Today(interval, of)


# ------------------------------------------------------------------------------------------------------- past sessions


@dataclass
class Prior:
    """The daily value of the session `sessions` before: a column's, the sum of a function of a bar, or with `wrapped` that
    function of all bars."""

    of: Any
    sessions: int = 1
    wrapped: bool = False
    history: History | None = None

    def prepare(self, history: History) -> None:
        self.history = history

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Value:
        assert self.history is not None, "prepare first"
        past = past_days(self.history.days, day, f"{self.sessions}d")
        if len(past) < self.sessions:
            return None
        bars = self.history.bars[past[0].name].get(symbol, ())
        if not bars:
            return None
        if isinstance(self.of, str):
            return float(daily(bars, self.of))
        return float(exact(self.of(bars)) if self.wrapped else total([of_bar(b, self.of) for b in bars]))


def prior(of: Any, sessions: int = 1, *, wrapped: bool = False) -> Prior:
    return Prior(of, sessions, wrapped)


# ----------------------------------------------------------------------------------------------------------- recursive


def smoothed(values: Sequence[float], n: int, weight: float) -> list[Value]:
    """The mean of the first n values at the n-th, then e += weight (x - e)."""
    found: list[Value] = []
    for i, x in enumerate(values):
        last = found[-1] if found else None
        if last is not None:
            found.append(last + weight * (x - last))
        else:
            found.append(math.fsum(values[:n]) / n if i == n - 1 else None)
    return found


def faded(value: Value, nothing: float) -> Value:
    """0 for what is less than nothing."""
    return value if value is None or value >= nothing else 0.0


def ema(column: str, n: int, *, interval: str = "1m", within: str | None = None) -> BarFeature:
    def values(bars: list[Any]) -> list[Value]:
        smooth = smoothed([float(getattr(b, column)) for b in bars], n, 2 / (n + 1))
        return [faded(v, 1e-8) for v in smooth] if column == "volume" else smooth

    return BarFeature(interval, within, values)


def atr(n: int = 14, *, interval: str = "1m", within: str | None = None) -> BarFeature:
    def values(bars: list[Any]) -> list[Value]:
        reach = [
            max(b.high - b.low, abs(b.high - last), abs(b.low - last))
            for b, last in zip(bars, [b.close for b in bars[:1]] + [b.close for b in bars], strict=False)
        ]
        if bars:
            reach[0] = bars[0].high - bars[0].low
        return [faded(v, 1e-8 * b.close) for v, b in zip(smoothed(reach, n, 1 / n), bars, strict=True)]

    return BarFeature(interval, within, values)


def rsi(column: str = "close", n: int = 14, *, interval: str = "1m", within: str | None = None) -> BarFeature:
    def values(bars: list[Any]) -> list[Value]:
        prices = [getattr(b, column) for b in bars]
        changes = [b - a for a, b in pairwise(prices)]
        ups, downs = (
            smoothed([max(c, 0.0) for c in changes], n, 1 / n),
            smoothed([max(-c, 0.0) for c in changes], n, 1 / n),
        )
        found: list[Value] = [None] * min(len(bars), 1)
        for up, down, price in zip(ups, downs, prices[1:], strict=True):
            u, d = faded(up, 1e-8 * price), faded(down, 1e-8 * price)
            found.append(None if u is None or d is None or u + d == 0 else 100 * u / (u + d))
        return found

    return BarFeature(interval, within, values)
