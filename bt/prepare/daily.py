"""Daily values of past sessions: one a symbol and session for every quantity that a trailing indicator aggregates.

They are read once from the minutes of all candidates and cached beside the store. A run without a universe adds each window's own
sessions as it goes; with one, a window has only its members, so values come through the cache for the sessions of the run too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features import Feature, is_wrapped
from bt.indicators import SessionWindow, Trailed, first_session
from bt.model import Schedule
from bt.prepare.window import Loader, Minutes
from bt.resample import AGGREGATION
from bt.schema import PRICES
from bt.store import DailyCache, Store

IntArray = npt.NDArray[np.int64]

PYTHON = "python-"
"""How the name of a quantity begins whose values cannot be cached."""

BLOCK_ROWS = 8_000_000
"""About so many daily values are read ahead at once."""


@dataclass(frozen=True)
class Past:
    """Where past sessions come from. `scale` is each symbol's 10^k, 0 where it has none; `chunk` sessions of minutes are read together."""

    store: Store
    loader: Loader
    schedule: Schedule
    scale: IntArray
    cache: DailyCache
    chunk: int

    @cached_property
    def begins(self) -> IntArray:
        """When each symbol's data begins, UTC microseconds."""
        return np.array([self.store.first[s] for s in self.store.symbols], dtype=np.int64)

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


def _name(feature: Feature) -> str:
    """The quantity a trailing feature aggregates, spelled so that equal names are equal quantities."""
    if feature.expr is None:
        return feature.column
    try:
        source = feature.expr.meta.serialize()
    except pl.exceptions.PolarsError:  # it calls Python: another object is another quantity, and nothing is cached
        return f"{PYTHON}{id(feature.expr)}"
    return "expr-" + hashlib.blake2b(source, digest_size=12).hexdigest() + f"-{pl.__version__}"


def _daily(feature: Feature) -> pl.Expr:
    """A session's value of the quantity from its minutes."""
    if feature.expr is None:
        return AGGREGATION[feature.column]
    values = feature.expr.cast(pl.Float64)
    return values if is_wrapped(feature.expr) else values.sum()


def read_columns(features: Sequence[Feature]) -> tuple[str, ...]:
    """The bar columns some features read."""
    return tuple(dict.fromkeys(c for f in features for c in f.inputs()))


class Daily:
    """The daily quantities behind some trailing features at session granularity (by id), moving on session by session."""

    def __init__(self, features: Mapping[str, Feature], past: Past) -> None:
        self._features = features
        self._past = past
        self._windows: dict[str, tuple[Feature, SessionWindow]] = {}
        for feature in features.values():
            if _name(feature) not in self._windows:
                window = SessionWindow(len(past.scale), past.whole(feature))
                self._windows[_name(feature)] = (feature, window)
        self._until = 0

    def _reach(self, name: str, at: int) -> int:
        """First session that any indicator of the quantity `name` looks back to at session number `at`."""
        return min(self._past.first(f, at) for f in self._features.values() if _name(f) == name)

    def start(self, at: int, last: int | None = None) -> None:
        """Bring the windows up to session number `at`, reading what the cache does not have; with `last` on in a block, as `ahead`."""
        stop = at if last is None else min(max(at, at + self._block), last)
        self._bring({name: self._reach(name, at) for name in self._windows}, stop)

    def ahead(self, at: int, last: int) -> None:
        """The same for a later session, reading on in blocks up to session `last`."""
        if at > self._until:
            stop = min(max(at, self._until + self._block), last)
            self._bring(dict.fromkeys(self._windows, self._until), stop)

    @property
    def _block(self) -> int:
        """Sessions that are read ahead at once."""
        return max(BLOCK_ROWS // len(self._past.scale), 1)

    def _bring(self, first: Mapping[str, int], stop: int) -> None:
        """Sessions from `first` (by quantity) up to `stop`, which is not included."""
        past, schedule = self._past, self._past.schedule
        self._until = stop
        stale: dict[int, list[str]] = {}
        for name, (_, window) in self._windows.items():
            bounds = {schedule.names[i]: self._bounds(i) for i in range(first[name], stop)}
            frame, missing = (None, list(bounds)) if name.startswith(PYTHON) else past.cache.known(name, bounds)
            if frame is not None:
                self._fill(window, frame)
            for day in missing:
                stale.setdefault(schedule.index[day], []).append(name)
        fresh: dict[str, list[pl.DataFrame]] = {}
        numbers = sorted(stale)
        for a, b in consecutive(numbers, past.chunk):
            names = sorted({name for i in range(a, b + 1) for name in stale[i]})
            minutes = past.loader.history(a, b, read_columns([self._windows[n][0] for n in names]))
            table = self._aggregate(minutes, names)
            for name in names:
                days = [schedule.names[i] for i in range(a, b + 1) if name in stale[i]]
                one = table.select("session", "code", pl.col(name).alias("value")).filter(pl.col("session").is_in(days))
                fresh.setdefault(name, []).append(one)
                self._fill(self._windows[name][1], one)
        for name, frames in fresh.items():
            if name.startswith(PYTHON):
                continue
            bounds = {schedule.names[i]: self._bounds(i) for i in numbers if name in stale[i]}
            past.cache.add(name, bounds, pl.concat(frames).with_columns(pl.col("code").cast(pl.UInt16)))

    def _bounds(self, i: int) -> tuple[int, int]:
        return int(self._past.schedule.open[i]), int(self._past.schedule.close[i])

    def _fill(self, window: SessionWindow, frame: pl.DataFrame) -> None:
        """Rows of one session follow each other."""
        day, code, values = frame["session"].to_physical().to_numpy(), frame["code"].to_numpy(), frame["value"]
        edges = [0, *(np.flatnonzero(day[1:] != day[:-1]) + 1).tolist(), len(day)] if len(day) else []
        for a, b in pairwise(edges):
            session = self._past.schedule.index[frame["session"][a]]
            window.add(session, code[a:b].astype(np.int64), values[a:b].to_numpy())

    def _aggregate(self, minutes: Minutes, names: Sequence[str]) -> pl.DataFrame:
        """One row per symbol and session with a bar: session (Date), code, and a column per name."""
        made = (
            minutes.frame.lazy()
            .with_columns(pl.Series("__group", minutes.group).set_sorted())
            .group_by_dynamic("__group", every="1i")
            .agg([_daily(self._windows[name][0]).alias(name) for name in names])
            .collect(engine="in-memory")
        )
        group = made["__group"].to_numpy()
        session = group // minutes.symbols
        days = pl.Series("session", [s.name for s in minutes.sessions], dtype=pl.Date).gather(session)
        return made.drop("__group").with_columns(days, pl.Series("code", group - session * minutes.symbols))

    def of(self, minutes: Minutes) -> pl.DataFrame | None:
        """The values of a window's sessions, for `enter`; None if there are none."""
        return self._aggregate(minutes, list(self._windows)) if self._windows and minutes.frame.height else None

    def enter(self, at: int, table: pl.DataFrame) -> None:
        """Session number `at` becomes a past one."""
        rows = table.filter(pl.col("session") == self._past.schedule.names[at])
        for name, (_, window) in self._windows.items():
            window.add(at, rows["code"].to_numpy(), rows[name].to_numpy())

    def at(self, at: int) -> dict[str, Trailed]:
        """Every feature at session number `at`; what no later session looks back to is forgotten."""
        found = {}
        for id_, feature in self._features.items():
            window = self._windows[_name(feature)][1]
            first = self._past.first(feature, at)
            found[id_] = window.at(first, at - feature.skip, feature.aggregate, feature.min_sessions)
        for name, (_, window) in self._windows.items():
            window.forget(self._reach(name, at))
        return found


def consecutive(numbers: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Consecutive runs (first, last) of sorted numbers, none longer than `most`."""
    runs: list[tuple[int, int]] = []
    for i in numbers:
        if runs and i == runs[-1][1] + 1 and i - runs[-1][0] < most:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return runs
