"""Features: what a value is, and which value a row may see (docs/concepts/columns.md).

A feature is prepared once over the whole history and then asked by the row: ``value(symbol, day, minute, close_us)``. A
feature over bars keeps (known from, value) pairs and answers with the last one known at `close_us`, so nothing later than
the row's close_time can reach it; a trailing one answers from sessions before the row's.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

from oracle.bins import total
from oracle.market import Bar, Day, History

Number = float | Fraction
Value = float | None
Window = Callable[[list[Any]], Value]


class Feature(Protocol):
    """What a row type may name: prepared over the history, then asked for one row's value (None is null)."""

    def prepare(self, history: History) -> None: ...

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Value: ...


# ------------------------------------------------------------------------------------------------- features over bars


@dataclass
class BarFeature:
    """A feature over one symbol's bars of one interval; `values` turns its bars, in order, into one value each.

    ``within="session"``: windows start anew each session, and a row sees only values of its own session.
    """

    interval: str
    within: str | None
    values: Callable[[list[Any]], list[Value]]
    known: dict[str, list[int]] = field(default_factory=dict)
    value_of: dict[str, list[Value]] = field(default_factory=dict)

    def prepare(self, history: History) -> None:
        symbols = {s for bars in history.bars.values() for s in bars}
        for symbol in symbols:
            series = history.series(symbol, self.interval)
            self.known[symbol] = [bar.end_us for _, bar in series]
            if self.within is None:
                self.value_of[symbol] = self.values([bar for _, bar in series])
                continue
            self.value_of[symbol] = []
            for name in sorted({name for name, _ in series}):
                self.value_of[symbol] += self.values([bar for day, bar in series if day == name])

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Value:
        known = self.known.get(symbol, [])
        i = bisect.bisect_right(known, close_us) - 1
        if i < 0 or (self.within == "session" and known[i] <= day.open):
            return None
        return self.value_of[symbol][i]


def sma(column: str, n: int, *, interval: str = "1m", within: str | None = None) -> BarFeature:
    """Mean of `column` over the last `n` bars: the exact sum of the decimals as written, divided and rounded once."""

    def values(bars: list[Any]) -> list[Value]:
        whole, scale = scaled([getattr(b, column) for b in bars])
        means: list[Value] = []
        running = 0
        for i, x in enumerate(whole):
            running += x - (whole[i - n] if i >= n else 0)
            # int / int is correctly rounded in Python, as float(Fraction(running, n * scale)) is
            means.append(running / (n * scale) if i + 1 >= n else None)
        return means

    return BarFeature(interval, within, values)


def window_feature(fn: Window, lookback: int, *, interval: str = "1m", within: str | None = None) -> BarFeature:
    """`fn` of the list of the last `lookback` bars (Bar, or Bin), oldest first; None until there are that many."""

    def values(bars: list[Any]) -> list[Value]:
        last: deque[Any] = deque(maxlen=lookback)
        found: list[Value] = []
        for bar in bars:
            last.append(bar)
            found.append(fn(list(last)) if len(last) == lookback else None)
        return found

    return BarFeature(interval, within, values)


def scaled(values: Sequence[float]) -> tuple[list[int], int]:
    """The values as whole numbers and the power of ten they were multiplied by: their decimals, exactly."""
    if any(isinstance(v, Fraction) for v in values):
        parts = [exact(v) for v in values]
        scale = math.lcm(*(p.denominator for p in parts))
        return [int(p * scale) for p in parts], scale
    decimals = [as_decimal(v) for v in values]
    places = max((-int(d.as_tuple().exponent) for d in decimals), default=0)
    places = max(places, 0)
    return [int(d.scaleb(places)) for d in decimals], 10**places


def as_decimal(value: float) -> Decimal:
    """The number as written: the shortest decimal that reads back as it."""
    return Decimal(int(value)) if isinstance(value, int) else Decimal(repr(float(value)))


# ------------------------------------------------------------------------------------------------------------ trailing


def trailing_value(
    history: History,
    symbol: str,
    day: Day,
    aggregate: str,
    of: str | Callable[[Bar], Number],
    period: str,
    *,
    minute: int | None = None,
    min_sessions: int = 1,
) -> tuple[Value, int]:
    """The aggregate over the period before `day`, and how many sessions it used.

    `of` is a bar column or a function of one minute bar (the expression). `minute` None is session granularity: a column
    works on daily values, a function is summed over each session. Otherwise the values of that minute of each session.
    """
    values = []
    for past in past_days(history.days, day, period):
        bars = history.bars[past.name].get(symbol, ())
        if minute is not None:
            bar = history.by_minute(past, symbol).get(minute)
            if bar is not None:
                values.append(of_bar(bar, of))
        elif not bars:
            continue
        elif isinstance(of, str):
            values.append(daily(bars, of))
        else:
            values.append(sum((exact(of(b)) for b in bars), Fraction(0)))
    if not values or len(values) < min_sessions:
        return None, len(values)
    return aggregated(aggregate, values), len(values)


def past_days(days: Sequence[Day], day: Day, period: str) -> list[Day]:
    """The sessions before `day` that the period covers, oldest first."""
    count, unit = int(period[:-1]), period[-1]
    before = [d for d in days if d.name < day.name]
    if unit == "d":
        return before[-count:]
    if unit == "w":
        first = day.name - timedelta(days=7 * count)
    else:
        first = months_before(day.name, count * {"m": 1, "y": 12}[unit])
    return [d for d in before if d.name >= first]


def months_before(day: date, months: int) -> date:
    """The same day of month `months` earlier, or that month's last day."""
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(day.day, (following - timedelta(days=1)).day))


def of_bar(bar: Bar, of: str | Callable[[Bar], Number]) -> Fraction:
    return exact(getattr(bar, of) if isinstance(of, str) else of(bar))


def daily(bars: Sequence[Bar], column: str) -> Fraction:
    """A session's value of a bar column."""
    if column == "volume":
        return exact(total([b.volume for b in bars]))
    values = [getattr(b, column) for b in bars]
    return exact({"open": values[0], "high": max(values), "low": min(values), "close": values[-1]}[column])


def exact(value: Number) -> Fraction:
    return value if isinstance(value, Fraction) else Fraction(as_decimal(value))


def aggregated(aggregate: str, values: list[Fraction]) -> Value:
    """The aggregate of exact values as the nearest float; the sample deviation of fewer than two is None."""
    if aggregate == "std":
        if len(values) < 2:
            return None
        mean = sum(values, Fraction(0)) / len(values)
        variance = sum(((v - mean) ** 2 for v in values), Fraction(0)) / (len(values) - 1)
        return math.sqrt(variance)
    chosen = {
        "avg": lambda: sum(values, Fraction(0)) / len(values),
        "sum": lambda: sum(values, Fraction(0)),
        "max": lambda: max(values),
        "min": lambda: min(values),
        "first": lambda: values[0],
        "last": lambda: values[-1],
    }[aggregate]()
    return float(chosen)


@dataclass
class Trailing:
    """A trailing indicator (decision 0003); with `used` the number of sessions instead of the value."""

    aggregate: str
    of: str | Callable[[Bar], Number]
    period: str
    at: str = "session"
    min_sessions: int = 1
    used: bool = False
    history: History | None = None
    cache: dict[tuple[str, date, int | None], tuple[Value, int]] = field(default_factory=dict)

    def prepare(self, history: History) -> None:
        self.history = history

    def value(self, symbol: str, day: Day, minute: int, close_us: int) -> Value:
        assert self.history is not None, "prepare first"
        at = minute if self.at == "minute" else None
        key = (symbol, day.name, at)
        if key not in self.cache:
            self.cache[key] = trailing_value(
                self.history,
                symbol,
                day,
                self.aggregate,
                self.of,
                self.period,
                minute=at,
                min_sessions=self.min_sessions,
            )
        value, used = self.cache[key]
        return used if self.used else value


def trailing(
    aggregate: str,
    of: str | Callable[[Bar], Number],
    period: str,
    *,
    at: str = "session",
    min_sessions: int = 1,
    used: bool = False,
) -> Trailing:
    """avg max min sum std first last of a bar column or a function of a minute bar over Nd, Nw, Nm or Ny."""
    return Trailing(aggregate, of, period, at, min_sessions, used)
