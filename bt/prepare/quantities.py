"""Quantities: one value a symbol and session, made of the session's minutes, of all candidates.

Values come from the cache beside the store. What it lacks is made from the minutes, and remembered there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features import Feature, is_wrapped
from bt.indicators import first_session
from bt.model import Schedule
from bt.prepare.terms import Terms
from bt.prepare.window import Loader, Minutes
from bt.resample import AGGREGATION
from bt.schema import PRICES
from bt.store import DailyCache, Store

IntArray = npt.NDArray[np.int64]

ROWS_AT_ONCE = 1_000_000
"""About as many minute bars are read together."""


@dataclass(frozen=True)
class Past:
    """Where past sessions come from. `scale` is what each symbol's prices are multiplied by to be whole, 0 where they cannot; `chunk` sessions of minutes
    are read together. `terms` are those of sessions that look back, None where past bars are told as they are."""

    store: Store
    loader: Loader
    schedule: Schedule
    scale: IntArray
    cache: DailyCache
    chunk: int
    terms: Terms | None = None

    def history(
        self, at: int, first: int, last: int, columns: Sequence[str], symbols: Sequence[str] | None = None
    ) -> Minutes:
        """The good bars of sessions `first` to `last` in the terms of session number `at`, which is later; of `symbols` alone, None all."""
        if self.terms is None:
            return self.loader.history(first, last, columns, symbols)
        return self.terms.history(at, first, last, columns, symbols)

    def begins(self, at: int) -> IntArray:
        """When the data of what each symbol is at session number `at` begins, UTC microseconds."""
        return self._begins if self.terms is None else self.terms.begins(at)

    @cached_property
    def _begins(self) -> IntArray:
        return np.array([self.store.first[s] for s in self.store.symbols], dtype=np.int64)

    @cached_property
    def at_once(self) -> int:
        """So many sessions hold about a million minute bars."""
        return self.holding(ROWS_AT_ONCE)

    def holding(self, rows: int) -> int:
        """How many sessions hold about so many minute bars, at least one."""
        return max(1, rows * len(self.schedule) // max(self.store.rows, 1))

    def first(self, feature: Feature, at: int) -> int:
        """The first session a trailing feature looks back to at session number `at`."""
        return max(first_session(self.schedule.names, at, feature.period), 0)

    def whole(self, feature: Feature) -> IntArray:
        """What makes a feature's values whole numbers: each symbol's scale, 0 where they are floats."""
        if feature.column in PRICES:
            return self.scale
        if feature.expr is not None or not self.store.volume_is_integer:
            return np.zeros(len(self.scale), dtype=np.int64)
        return np.ones(len(self.scale), dtype=np.int64)


@dataclass(frozen=True)
class Quantity:
    """Its name, the `value` of a session's minutes, and the bar columns that reads. Equal names are equal quantities; one that is
    not `cached` calls Python, and nobody knows what it is in another run."""

    name: str
    value: pl.Expr
    columns: tuple[str, ...]
    cached: bool = True

    @staticmethod
    def of(feature: Feature) -> Quantity:
        """What a trailing feature at session granularity aggregates."""
        if feature.expr is None:
            return Quantity.bar(feature.column)
        values = feature.expr.cast(pl.Float64)
        value = values if is_wrapped(feature.expr) else values.sum()
        try:
            source = feature.expr.meta.serialize()
        except pl.exceptions.PolarsError:
            return Quantity(f"python-{id(feature.expr)}", value, feature.inputs(), cached=False)
        digest = hashlib.blake2b(source, digest_size=12).hexdigest()
        return Quantity(f"expr-{digest}-{pl.__version__}", value, feature.inputs())

    @staticmethod
    def bar(column: str) -> Quantity:
        """A column of daily bars."""
        return Quantity(column, AGGREGATION[column], (column,))


def aggregated(minutes: Minutes, quantities: Sequence[Quantity]) -> pl.DataFrame:
    """One row per symbol and session with a bar, by session and code: session (Date), code, and a column per name."""
    made = (
        minutes.frame.lazy()
        .with_columns(pl.Series("__group", minutes.group).set_sorted())
        .group_by_dynamic("__group", every="1i")
        .agg([q.value.alias(q.name) for q in quantities])
        .collect(engine="in-memory")
    )
    group = made["__group"].to_numpy()
    session = group // minutes.symbols
    days = pl.Series("session", [s.name for s in minutes.sessions], dtype=pl.Date).gather(session)
    return made.drop("__group").with_columns(days, pl.Series("code", group - session * minutes.symbols))


def known(past: Past, quantity: Quantity, numbers: Iterable[int]) -> tuple[pl.DataFrame | None, list[int]]:
    """The cached values of some sessions (session, code, value; rows of a session follow each other), and the sessions not cached."""
    wanted = list(numbers)
    if not quantity.cached:
        return None, wanted
    frame, missing = past.cache.known(quantity.name, _bounds(past, wanted))
    return frame, [past.schedule.index[day] for day in missing]


def read(past: Past, lacking: Mapping[int, Sequence[Quantity]]) -> dict[str, pl.DataFrame]:
    """By name, the values that sessions lack, made from the minutes and remembered: session, code, value, by session and code."""
    made: dict[str, list[pl.DataFrame]] = {}
    wanted = {q.name: q for some in lacking.values() for q in some}
    days = {name: [n for n in sorted(lacking) if name in {q.name for q in lacking[n]}] for name in wanted}
    for a, b in consecutive(sorted(lacking), past.chunk):
        here = [q for q in wanted.values() if any(a <= n <= b for n in days[q.name])]
        columns = tuple(dict.fromkeys(c for q in here for c in q.columns))
        table = aggregated(past.loader.history(a, b, columns), here)
        for q in here:
            names = [past.schedule.names[n] for n in days[q.name] if a <= n <= b]
            one = table.select("session", "code", pl.col(q.name).alias("value")).filter(pl.col("session").is_in(names))
            made.setdefault(q.name, []).append(one)
    found = {name: pl.concat(frames) for name, frames in made.items()}
    for name, frame in found.items():
        if wanted[name].cached:
            past.cache.add(name, _bounds(past, days[name]), frame.with_columns(pl.col("code").cast(pl.UInt16)))
    return found


def _bounds(past: Past, numbers: Iterable[int]) -> dict[date, tuple[int, int]]:
    """Open and close of some sessions."""
    schedule = past.schedule
    return {schedule.names[n]: (int(schedule.open[n]), int(schedule.close[n])) for n in numbers}


def consecutive(numbers: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Consecutive runs (first, last) of sorted numbers, none longer than `most`."""
    runs: list[tuple[int, int]] = []
    for i in numbers:
        if runs and i == runs[-1][1] + 1 and i - runs[-1][0] < most:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return runs
