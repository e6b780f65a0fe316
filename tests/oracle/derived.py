"""Features of other features: another symbol's, among the universe at one minute, relative volume, a model's score.

Sums over a universe are added in symbol order, one by one; everything else follows its definition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from oracle.features import Feature, Value, exact, past_days
from oracle.market import Day, History


@dataclass
class Of:
    """Another symbol's feature as known at the row's end; with `within` only from its first bar of the session on."""

    symbol: str
    inner: Any
    within: str | None = None
    history: History | None = None

    def prepare(self, history: History) -> None:
        self.history = history
        self.inner.prepare(history)

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Value:
        assert self.history is not None, "prepare first"
        if self.within == "session":
            bars = self.history.session(day, self.symbol, getattr(self.inner, "interval", "1m"))
            if hasattr(self.inner, "interval") and not any(b.end_us <= close_us for b in bars):
                return None
        return self.inner.value(self.symbol, day, minute, close_us)


@dataclass
class Cross:
    """``rank``, ``zscore`` or ``demean`` among the symbols with a bar of `rows` that ends with the row and a known value."""

    statistic: str
    inner: Any
    rows: str = "1m"
    history: History | None = None
    cache: dict[int, dict[str, float]] = field(default_factory=dict)

    def on(self, rows: str) -> Cross:
        """The same for the rows of another interval."""
        return replace(self, rows=rows, cache={})

    def prepare(self, history: History) -> None:
        self.history = history
        self.inner.prepare(history)

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Value:
        if close_us not in self.cache:
            self.cache[close_us] = self.values(day, minute, close_us)
        values = self.cache[close_us]
        return among(self.statistic, values, symbol) if symbol in values else None

    def values(self, day: Day, minute: int, close_us: int) -> dict[str, float]:
        """The known values of this minute, in symbol order."""
        assert self.history is not None, "prepare first"
        found = {}
        for symbol in sorted(self.history.bars[day.name]):
            if symbol not in self.history.members.get(day.name, [symbol]):
                continue
            if any(b.end_us == close_us for b in self.history.session(day, symbol, self.rows)):
                value = self.inner.value(symbol, day, minute, close_us)
                if value is not None:
                    found[symbol] = float(value)
        return found


def among(statistic: str, values: dict[str, float], symbol: str) -> Value:
    """One symbol's place among the values."""
    mine, n = values[symbol], len(values)
    if statistic == "rank":
        less, equal = sum(v < mine for v in values.values()), sum(v == mine for v in values.values())
        return float((less + Fraction(equal - 1, 2)) / (n - 1)) if n > 1 else 0.5
    mean = one_by_one(values.values()) / n
    if statistic == "demean":
        return mine - mean
    spread = math.sqrt(one_by_one([(v - mean) * (v - mean) for v in values.values()]) / n)
    return (mine - mean) / spread if spread else None


def one_by_one(values: Any) -> float:
    added = 0.0
    for v in values:
        added += v
    return added


@dataclass
class RelativeVolume:
    """The session's volume until the row by the mean of the period's sessions until the same minute; or the minute's alone."""

    period: str
    cumulative: bool = True
    min_sessions: int = 1
    history: History | None = None

    def prepare(self, history: History) -> None:
        self.history = history

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Value:
        assert self.history is not None, "prepare first"
        now = self.until(symbol, day, minute)
        past = [
            d
            for d in past_days(self.history.days, day, self.period)
            if self.history.bars[d.name].get(symbol) and len(d.minutes) > minute
        ]
        usual = [v for d in past if (v := self.until(symbol, d, minute)) is not None]
        if self.cumulative:
            usual = [self.until(symbol, d, minute) or Fraction(0) for d in past]
        if now is None or len(usual) < self.min_sessions or sum(usual) == 0:
            return None
        return float(now) / float(sum(usual, Fraction(0)) / len(usual))

    def until(self, symbol: str, day: Day, minute: int) -> Fraction | None:
        """The volume of the minutes up to `minute` (or of that one); None without a bar."""
        assert self.history is not None, "prepare first"
        bars = self.history.by_minute(day, symbol)
        volumes = [exact(b.volume) for m, b in bars.items() if (m <= minute if self.cumulative else m == minute)]
        return sum(volumes, Fraction(0)) if volumes else None


@dataclass
class Score:
    """A function of the row's inputs; None where one is."""

    of: Callable[..., float]
    inputs: Sequence[Any]

    def prepare(self, history: History) -> None:
        for one in self.inputs:
            one.prepare(history)

    def on(self, rows: str) -> Score:
        return Score(self.of, [i.on(rows) if hasattr(i, "on") else i for i in self.inputs])

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Value:
        values = [i.value(symbol, day, minute, close_us) for i in self.inputs]
        return None if None in values else self.of(*values)


def of(symbol: str, inner: Feature, *, within: str | None = None) -> Of:
    return Of(symbol, inner, within)


def cross(statistic: str, inner: Feature, *, rows: str = "1m") -> Cross:
    return Cross(statistic, inner, rows)


def relative_volume(period: str, cumulative: bool = True, *, min_sessions: int = 1) -> RelativeVolume:
    return RelativeVolume(period, cumulative, min_sessions)


def score(of: Callable[..., float], inputs: Sequence[Feature]) -> Score:
    return Score(of, inputs)
