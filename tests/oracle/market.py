"""Days, bars, and the guards: which row is shown, and why another is withheld (docs/concepts/guards.md, decision 0003)."""

from __future__ import annotations

import bisect
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

from oracle.bins import Bin, resample

MINUTE = 60_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Segments = Sequence[tuple[int, int]]


def instant(us: int) -> datetime:
    """The aware UTC datetime of `us` microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=us)


def micros(when: datetime | int) -> int:
    """UTC microseconds of an aware datetime (whole numbers pass)."""
    return when if isinstance(when, int) else (when - EPOCH) // timedelta(microseconds=1)


@dataclass(frozen=True)
class Day:
    """One session: its name, its half-open segments in UTC microseconds, and whether it is a half day."""

    name: date
    segments: Segments
    early_close: bool = False

    @property
    def open(self) -> int:
        return self.segments[0][0]

    @property
    def close(self) -> int:
        return self.segments[-1][1]

    @cached_property
    def minutes(self) -> list[int]:
        """The start of every session minute, breaks left out; its index is the minute of session."""
        return [t for start, end in self.segments for t in range(start, end, MINUTE)]

    @cached_property
    def minute_of(self) -> dict[int, int]:
        """Minute of session by its start."""
        return {t: m for m, t in enumerate(self.minutes)}


class Bar(NamedTuple):
    """One minute of one symbol; `time_us` is its label, the start of the minute."""

    symbol: str
    time_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float

    @property
    def end_us(self) -> int:
        return self.time_us + MINUTE


class Classified(NamedTuple):
    """What `classify` found. `rows` lists every withheld row as (day, symbol, reason, time_us), in input order but for
    duplicates and conflicts, which come last; `closing` is the usable price of the row stamped at the close; `beyond` are the symbols that
    have a row after the last day."""

    accepted: dict[date, dict[str, list[Bar]]]
    withheld: Counter[tuple[date, str, str]]
    rows: list[tuple[date, str, str, int]]
    closing: dict[date, dict[str, float]]
    beyond: frozenset[str] = frozenset()


# ------------------------------------------------------------------------------------------------------------ reading


def days_from_rows(rows: Iterable[Mapping[str, Any]]) -> list[Day]:
    """Days from one mapping a segment: session, open, close (datetime or microseconds), early_close."""
    segments: dict[date, list[tuple[int, int]]] = defaultdict(list)
    early: dict[date, bool] = {}
    for row in rows:
        segments[row["session"]].append((micros(row["open"]), micros(row["close"])))
        early[row["session"]] = bool(row["early_close"])
    return [Day(name, sorted(segments[name]), early[name]) for name in sorted(segments)]


def regular_day(name: date, zone: str, *hours: str, early_close: bool = False) -> Day:
    """A day from local times: ``regular_day(d, "Asia/Tokyo", "09:00-11:30", "12:30-15:00")``."""
    ends = [[datetime.combine(name, time.fromisoformat(t), ZoneInfo(zone)) for t in span.split("-")] for span in hours]
    return Day(name, [(micros(a), micros(b)) for a, b in ends], early_close)


def bars_from_rows(rows: Iterable[Mapping[str, Any]], label: str = "open_time") -> list[Bar]:
    """Bars from mappings with symbol, `label`, open, high, low, close, volume."""
    return [Bar(r["symbol"], micros(r[label]), r["open"], r["high"], r["low"], r["close"], r["volume"]) for r in rows]


def load_parquet(paths: Iterable[Path | str], label: str = "ts", symbols: Iterable[str] | None = None) -> list[Bar]:
    """Every row of Parquet files whose `label` column is a UTC timestamp in microseconds, in file order."""
    wanted = None if symbols is None else set(symbols)
    bars: list[Bar] = []
    for path in paths:
        table = pq.read_table(path, columns=["symbol", label, "open", "high", "low", "close", "volume"])
        columns = [table["symbol"].to_pylist(), table[label].cast("int64").to_pylist()]
        columns += [table[c].to_pylist() for c in ("open", "high", "low", "close", "volume")]
        bars += [Bar(*row) for row in zip(*columns, strict=True) if wanted is None or row[0] in wanted]
    return bars


# ------------------------------------------------------------------------------------------------------------- guards


def fault_of(bar: Bar) -> str:
    """The first row fault a bar has by itself, or ""."""
    prices = [bar.open, bar.high, bar.low, bar.close]
    if bar.time_us % MINUTE != 0:
        return "off_grid"
    if not all(finite(v) for v in [*prices, bar.volume]):
        return "non_finite"
    if min(prices) <= 0:
        return "non_positive"
    if not sound(bar) or bar.volume < 0:
        return "inconsistent"
    return ""


def finite(value: float | None) -> bool:
    """True for a number that is there and finite."""
    return value is not None and math.isfinite(value)


def sound(bar: Bar) -> bool:
    """True when the four prices are finite, positive, in order and no more than money can count (volume is not looked at)."""
    prices = [bar.open, bar.high, bar.low, bar.close]
    if any(not finite(p) or p <= 0 for p in prices):
        return False
    return bar.high == max(prices) and bar.low == min(prices) and bar.high <= 92_000_000_000


def owner(t: int, days: Sequence[Day], opens: Sequence[int]) -> int:
    """Index of the day that `t` lies in, or whose open-to-close is nearest: a midpoint belongs to the earlier."""
    i = bisect.bisect_right(opens, t) - 1
    if i < 0:
        return 0
    if t < days[i].close or i + 1 == len(days):
        return i
    return i if 2 * t <= days[i].close + days[i + 1].open else i + 1


def outside_reason(t: int, day: Day, names: set[date], zone: ZoneInfo) -> str:
    """Why a row outside every segment is withheld; rows at or after the close are all called `after_close` here."""
    if instant(t).astimezone(zone).date() not in names:
        return "no_session"
    if t < day.open:
        return "before_open"
    return "in_break" if t < day.close else "after_close"


def classify(
    bars: Iterable[Bar], days: Sequence[Day], zone: str, *, before: Day | None = None, after: Day | None = None
) -> Classified:
    """Sort rows into days and symbols, and withhold those that a guard or a fault stops.

    `before` and `after` are the calendar's sessions next to `days`: rows nearer to them are not read at all. Without
    them every row before the first day, or after the last, belongs to that day.
    """
    every = ([before] if before else []) + list(days) + ([after] if after else [])
    opens = [d.open for d in every]
    names = {d.name for d in every}
    read = {d.name for d in days}
    where = ZoneInfo(zone)

    good: dict[tuple[date, str, int], list[Bar]] = defaultdict(list)
    at_close: dict[tuple[date, str], list[Bar]] = defaultdict(list)
    late: Counter[tuple[date, str]] = Counter()
    found: list[tuple[Day, str, str, int]] = []
    beyond: set[str] = set()
    for bar in bars:
        t = bar.time_us
        day = every[owner(t, every, opens)]
        if day.name not in read:
            if day is after:
                beyond.add(bar.symbol)
            continue
        if any(start <= t < end for start, end in day.segments):
            reason = fault_of(bar)
            if not reason:
                good[day.name, bar.symbol, t].append(bar)
                continue
        else:
            reason = outside_reason(t, day, names, where)
            if t >= day.close:
                late[day.name, bar.symbol] += 1
            if t == day.close:
                at_close[day.name, bar.symbol].append(bar)
        found.append((day, bar.symbol, reason, t))

    rows = []
    for day, symbol, reason, t in found:
        only = reason == "after_close" and t == day.close and late[day.name, symbol] == 1
        rows.append((day.name, symbol, "closing_print" if only else reason, t))
    accepted: dict[date, dict[str, list[Bar]]] = {d.name: {} for d in days}
    for name, symbol, t in sorted(good):
        copies = good[name, symbol, t]
        if len(set(copies)) > 1:
            rows += [(name, symbol, "conflict", t)] * len(copies)
            continue
        rows += [(name, symbol, "duplicate", t)] * (len(copies) - 1)
        accepted[name].setdefault(symbol, []).append(copies[0])
    return Classified(accepted, Counter(r[:3] for r in rows), rows, closing_prices(at_close), frozenset(beyond))


def closing_prices(at_close: Mapping[tuple[date, str], list[Bar]]) -> dict[date, dict[str, float]]:
    """The close of the sound row stamped at the close, by day and symbol; copies that disagree give none."""
    prices: dict[date, dict[str, float]] = defaultdict(dict)
    for (name, symbol), copies in at_close.items():
        usable = {bar.close for bar in copies if sound(bar)}
        if len(usable) == 1:
            prices[name][symbol] = usable.pop()
    return prices


# ------------------------------------------------------------------------------------------------------------ history


@dataclass
class History:
    """All real bars by day and symbol, minute bars and coarser ones, for features to read; and the members of the days to be played,
    by rank, where there is a universe."""

    days: list[Day]
    bars: Mapping[date, Mapping[str, Sequence[Bar]]]
    members: dict[date, list[str]] = field(default_factory=dict)
    _series: dict[tuple[str, str], list[tuple[date, Bar | Bin]]] = field(default_factory=dict)
    _minutes: dict[tuple[date, str], dict[int, Bar]] = field(default_factory=dict)

    def session(self, day: Day, symbol: str, interval: str = "1m") -> list[Any]:
        """One symbol's bars (Bar, or Bin for a coarser interval) of one day, by time."""
        bars = self.bars[day.name].get(symbol, ())
        return list(bars) if interval == "1m" else resample(day, bars, interval)

    def series(self, symbol: str, interval: str = "1m") -> list[tuple[date, Bar | Bin]]:
        """One symbol's bars of every day with their day's name, by time."""
        key = (symbol, interval)
        if key not in self._series:
            self._series[key] = [(d.name, bar) for d in self.days for bar in self.session(d, symbol, interval)]
        return self._series[key]

    def by_minute(self, day: Day, symbol: str) -> dict[int, Bar]:
        """One symbol's minute bars of one day by their minute of session."""
        key = (day.name, symbol)
        if key not in self._minutes:
            self._minutes[key] = {day.minute_of[b.time_us]: b for b in self.bars[day.name].get(symbol, ())}
        return self._minutes[key]
