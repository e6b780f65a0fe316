"""Coarser bars, quality, completeness and outages (docs/concepts/time.md, docs/data.md, decision 0003)."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from oracle.market import Bar, Day

MINUTE = 60_000_000


class Bin(NamedTuple):
    """A bar of a coarser interval; known from `end_us` by the clock, whichever of its minutes exist."""

    symbol: str
    time_us: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    end_us: int
    n_obs: int
    n_expected: int
    closed_by: str


class Quality(NamedTuple):
    """Present and expected minutes (complete and expected bins), their ratio in percent, and the gaps as (start, end,
    minutes) with start and end in microseconds; a gap never spans a break."""

    present: int
    expected: int
    percent: float
    gaps: list[tuple[int, int, int]]


def interval_minutes(interval: str) -> int:
    """Minutes of "5m" or "1h"; "1d" counts as a whole day so that it sorts last."""
    return int(interval[:-1]) * {"m": 1, "h": 60, "d": 1440}[interval[-1]]


def spans(day: Day, interval: str) -> list[tuple[int, int, str]]:
    """Start, end and closed_by of every bin the day's clock makes."""
    at_close = "early_close" if day.early_close else "close"
    if interval == "1d":
        return [(day.open, day.close, at_close)]
    length = interval_minutes(interval) * MINUTE
    bins = []
    for i, (opens, closes) in enumerate(day.segments):
        clipped = "break" if i + 1 < len(day.segments) else at_close
        for start in range(opens, closes, length):
            end = min(start + length, closes)
            bins.append((start, end, "period" if end - start == length else clipped))
    return bins


def resample(day: Day, bars: Sequence[Bar], interval: str) -> list[Bin]:
    """One symbol's real bars of one day as bins that have at least one minute, by time."""
    ends = spans(day, interval)
    starts = [start for start, _, _ in ends]
    inside: list[list[Bar]] = [[] for _ in ends]
    for b in bars:
        inside[bisect.bisect_right(starts, b.time_us) - 1].append(b)
    return [
        Bin(
            symbol=has[0].symbol,
            time_us=start,
            open=has[0].open,
            high=max(b.high for b in has),
            low=min(b.low for b in has),
            close=has[-1].close,
            volume=total([b.volume for b in has]),
            end_us=end,
            n_obs=len(has),
            n_expected=len(day.minutes) if interval == "1d" else (end - start) // MINUTE,
            closed_by=closed_by,
        )
        for (start, end, closed_by), has in zip(ends, inside, strict=True)
        if has
    ]


def total(volumes: Sequence[float]) -> float:
    """Sum of volumes: exact for whole numbers, correctly rounded for floats."""
    return sum(volumes) if all(isinstance(v, int) for v in volumes) else math.fsum(volumes)


def quality(day: Day, bars: Sequence[Bar], interval: str = "1m") -> Quality:
    """Quality of one symbol over the whole of one day."""
    if interval == "1m":
        have = {b.time_us for b in bars}
        wanted = [(t, t + MINUTE) for t in day.minutes]
    else:
        have = {b.time_us for b in resample(day, bars, interval) if b.n_obs == b.n_expected}
        wanted = [(start, end) for start, end, _ in spans(day, interval)]
    present = sum(1 for start, _ in wanted if start in have)
    gaps: list[tuple[int, int, int]] = []
    for start, end in wanted:
        if start in have:
            continue
        minutes = len(day.minutes) if interval == "1d" else (end - start) // MINUTE
        if gaps and gaps[-1][1] == start:
            gaps[-1] = (gaps[-1][0], end, gaps[-1][2] + minutes)
        else:
            gaps.append((start, end, minutes))
    return Quality(present, len(wanted), 100 * present / len(wanted), gaps)


def quality_at(day: Day, bars: Sequence[Bar], minute: int) -> float:
    """Quality in percent when minute of session `minute` (0-based) has just closed."""
    return 100 * present_until(day, bars, minute) / (minute + 1)


def present_until(day: Day, bars: Sequence[Bar], minute: int) -> int:
    """Rows in minutes 0..`minute` of the day (all of them on a day that is shorter)."""
    return sum(1 for b in bars if day.minute_of[b.time_us] <= minute)


def completeness(
    days: Sequence[Day], bars: Mapping[date, Mapping[str, Sequence[Bar]]], symbol: str, name: date, minute: int
) -> float | None:
    """Percent of the median of the 20 sessions before, up to the same minute, at most 100; None before 5 of them."""
    at = [d.name for d in days].index(name)
    before = [d for d in days[max(0, at - 20) : at] if bars[d.name].get(symbol)]
    if len(before) < 5:
        return None
    median = statistics.median(present_until(d, bars[d.name][symbol], minute) for d in before)
    if median == 0:
        return None
    return min(100.0, 100 * present_until(days[at], bars[name].get(symbol, ()), minute) / median)


def outages(
    days: Sequence[Day], bars: Mapping[date, Mapping[str, Sequence[Bar]]], symbols: Sequence[str]
) -> list[tuple[date, int, int, int]]:
    """Outages as (session, start, end, minutes), in hindsight: runs of 5 or more minutes that 70 % of the active symbols
    with rows in the session lack, and whole sessions that no active symbol has, between two that one has."""
    active = []
    for symbol in symbols:
        percents = [quality(d, bars[d.name][symbol]).percent for d in days if bars[d.name].get(symbol)]
        if percents and statistics.median(percents) >= 90:
            active.append(symbol)
    alive = [any(bars[d.name].get(s) for s in active) for d in days]
    found = []
    for i, day in enumerate(days):
        if not alive[i]:
            if any(alive[:i]) and any(alive[i + 1 :]):
                found.append((day.name, day.open, day.close, len(day.minutes)))
            continue
        have = [{b.time_us for b in bars[day.name][s]} for s in active if bars[day.name].get(s)]
        run: list[int] = []
        dark = [t for t in day.minutes if 10 * sum(t not in h for h in have) >= 7 * len(have)]
        for t in dark:
            run.append(t)
            if t + MINUTE not in dark:
                found += [(day.name, run[0], t + MINUTE, len(run))] if len(run) >= 5 else []
                run = []
    return found
