"""The ready-made features over bars, over the session so far and over a past session, each from its definition.

Everything is a fraction of the decimals as written until it is rounded to the nearest float, once (standard deviations
twice: the variance, and its root).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
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
