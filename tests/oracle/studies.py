"""Forward returns, paths around events, and questions about features, one row at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from datetime import date
from fractions import Fraction
from statistics import StatisticsError, correlation, fmean, stdev
from types import MappingProxyType
from typing import Any

from oracle.market import MINUTE, Bar, Day

Values = dict[Hashable, dict[str, float]]
"""By moment and symbol."""


# ------------------------------------------------------------------------------------------------------------ the clock


def ends(days: Sequence[Day]) -> list[int]:
    """When each trading minute of some sessions is over."""
    return [start + MINUTE for day in days for start in day.minutes]


def day_of(days: Sequence[Day], bar: Bar) -> Day:
    return next(d for d in days if d.open <= bar.time_us < d.close)


def forward(
    days: Sequence[Day], bars: Sequence[Bar], bar: Bar, horizon: str, *, price: str, within: str | None, stale: int | None = None,
    splits: Mapping[date, Fraction] = MappingProxyType({}),
) -> float | None:  # fmt: skip
    """The return of `bars`, all of one symbol, from `bar` on; `days` are those from the first to the last that has bars. A share is so many as its `splits`
    (by session) after the entry, the exit's among them, make of it."""
    today = day_of(days, bar)
    clock = ends([today] if within else days)
    seen = [b for b in bars if not within or day_of(days, b) is today]
    now = clock.index(bar.end_us)
    if horizon == "close":
        then = clock.index(today.close)
    elif horizon.endswith("d"):
        number = list(days).index(today) + int(horizon[:-1])
        if number >= len(days):
            return None
        then = clock.index(days[number].close)
    else:
        then = now + int(horizon[:-1]) * {"m": 1, "h": 60}[horizon[-1]]
    if then >= len(clock) or then <= now:
        return None
    exits = [b for b in seen if bar.time_us <= b.time_us and b.end_us <= clock[then]]
    if price == "next_open":
        exits = [b for b in exits if b.time_us >= bar.end_us]
        if not exits:
            return None
        entry, paid = exits[0], exits[0].open
    else:
        entry, paid = bar, bar.close
    if stale is not None and then - clock.index(exits[-1].end_us) > stale:
        return None
    shares = Fraction(1)
    for session, ratio in splits.items():
        if day_of(days, entry).name < session <= day_of(days, exits[-1]).name:
            shares *= ratio
    return exits[-1].close * float(shares) / paid - 1.0


def path(
    days: Sequence[Day], bars: Sequence[Bar], start: Bar, window: Sequence[int], *, price: str, within: str | None, own: Bar | None
) -> dict[int, float]:  # fmt: skip
    """The returns of `bars`, all of one symbol, at the minutes of `window` around the bar `start`; `own` is the symbol's first bar from then on."""
    today = day_of(days, start)
    clock = ends([today] if within else days)
    seen = [b for b in bars if not within or day_of(days, b) is today]
    if own is None or (within and day_of(days, own) is not today):
        own = None
    before = [b for b in seen if b.end_us <= start.time_us]
    if price == "close":
        if not before:
            return {}
        base = before[-1].close
    else:
        if own is None:
            return {}
        base = own.open
    zero = clock.index(start.time_us + MINUTE)
    found = {}
    for k in window:
        if not 0 <= zero + k < len(clock):
            continue
        known = [b for b in seen if b.end_us <= clock[zero + k]]
        if not known or (k >= 0 and price == "next_open" and known[-1].time_us < own.time_us):
            continue
        found[k] = known[-1].close / base - 1.0
    return found


# ---------------------------------------------------------------------------------------------------- across the symbols


def ranks(values: Sequence[float]) -> list[Fraction]:
    """From 0; ties have the middle of theirs."""
    low = [sum(o < v for o in values) for v in values]
    same = [sum(o == v for o in values) for v in values]
    return [n + Fraction(m - 1, 2) for n, m in zip(low, same, strict=True)]


def spearman(x: Sequence[float], y: Sequence[float]) -> float | None:
    return pearson(ranks(x), ranks(y))


def pearson(x: Sequence[Any], y: Sequence[Any]) -> float | None:
    try:
        return correlation([float(v) for v in x], [float(v) for v in y])
    except StatisticsError:
        return None


def quantiles(section: dict[str, float], n: int) -> dict[str, int]:
    """The quantile of each symbol: the first whose upper boundary its rank does not pass."""
    if len(section) < n:
        return {}
    top = len(section) - 1
    placed = zip(section, ranks(list(section.values())), strict=True)
    return {s: next(k for k in range(1, n + 1) if rank <= Fraction(k * top, n)) for s, rank in placed}


def quantile_means(feature: Values, after: Values, n: int, *, demean: bool = False) -> dict[int, list[float]]:
    """By quantile, the mean return of each cross-section."""
    found: dict[int, list[float]] = defaultdict(list)
    for moment, section in feature.items():
        placed = quantiles(section, n)
        known = {s: after[moment][s] for s in placed if s in after.get(moment, {})}
        mean = fmean(known.values()) if known and demean else 0.0
        for k in range(1, n + 1):
            if mine := [v - mean for s, v in known.items() if placed[s] == k]:
                found[k].append(fmean(mine))
    return found


def turnover(
    feature: Values, n: int, earlier: Callable[[Hashable], Hashable | None]
) -> dict[tuple[Hashable, int], float | None]:
    found: dict[tuple[Hashable, int], float | None] = {}
    for moment, section in feature.items():
        placed, before = quantiles(section, n), quantiles(feature.get(earlier(moment), {}), n)
        for k in sorted(set(placed.values())):
            mine = {s for s in placed if placed[s] == k}
            was = {s for s in before if before[s] == k}
            found[moment, k] = len(mine - was) / len(mine) if before else None
    return found


def autocorrelation(feature: Values, earlier: Callable[[Hashable], Hashable | None]) -> dict[Hashable, float | None]:
    found = {}
    for moment, section in feature.items():
        before = feature.get(earlier(moment), {})
        now = dict(zip(section, ranks(list(section.values())), strict=True))
        then = dict(zip(before, ranks(list(before.values())), strict=True))
        both = [s for s in now if s in then]
        found[moment] = pearson([now[s] for s in both], [then[s] for s in both])
    return found


def summary(values: Sequence[float]) -> tuple[int, float | None, float | None]:
    """How many, mean, and t statistic."""
    if not values:
        return 0, None, None
    spread = stdev(values) if len(values) > 1 else 0.0
    return len(values), fmean(values), fmean(values) / (spread / math.sqrt(len(values))) if spread > 0 else None
