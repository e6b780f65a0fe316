"""Daily values of past sessions: one a symbol and session for every quantity that a trailing indicator aggregates.

They are read once from the minutes of all candidates and cached beside the store (`bt.prepare.quantities`). A run without a universe
adds each window's own sessions as it goes; with one, a window has only its members, so values come through the cache for the sessions
of the run too.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import polars as pl

from bt.features import Feature
from bt.indicators import SessionWindow, Trailed
from bt.prepare.quantities import Past, Quantity, aggregated, known, read
from bt.prepare.window import Minutes

BLOCK_ROWS = 8_000_000
"""About so many daily values are read ahead at once."""


class Daily:
    """The daily quantities behind some trailing features at session granularity (by id), moving on session by session."""

    def __init__(self, features: Mapping[str, Feature], past: Past) -> None:
        self._features = {id_: (feature, Quantity.of(feature)) for id_, feature in features.items()}
        self._past = past
        self._windows: dict[str, tuple[Quantity, SessionWindow]] = {}
        for feature, quantity in self._features.values():
            if quantity.name not in self._windows:
                self._windows[quantity.name] = quantity, SessionWindow(len(past.scale), past.whole(feature))
        self._until = 0
        self._told_at = -1

    def _reach(self, name: str, at: int) -> int:
        """First session that any indicator of the quantity `name` looks back to at session number `at`."""
        return min(self._past.first(f, at) for f, quantity in self._features.values() if quantity.name == name)

    def start(self, at: int, last: int | None = None) -> None:
        """Bring the windows up to session number `at`, reading what the cache does not have; with `last` on in a block, as `ahead`."""
        stop = at if last is None else min(max(at, at + self._block), last)
        self._bring({name: self._reach(name, at) for name in self._windows}, stop)
        self._told_at = min((self._reach(name, at) for name in self._windows), default=at)

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
        self._until = stop
        lacking: dict[int, list[Quantity]] = {}
        for name, (quantity, window) in self._windows.items():
            frame, missing = known(self._past, quantity, range(first[name], stop))
            if frame is not None:
                self._fill(window, frame)
            for number in missing:
                lacking.setdefault(number, []).append(quantity)
        for name, frame in read(self._past, lacking).items():
            self._fill(self._windows[name][1], frame)

    def _fill(self, window: SessionWindow, frame: pl.DataFrame) -> None:
        """Rows of one session follow each other."""
        day, code, values = frame["session"].to_physical().to_numpy(), frame["code"].to_numpy(), frame["value"]
        edges = [0, *(np.flatnonzero(day[1:] != day[:-1]) + 1).tolist(), len(day)] if len(day) else []
        for a, b in pairwise(edges):
            session = self._past.schedule.index[frame["session"][a]]
            window.add(session, code[a:b].astype(np.int64), values[a:b].to_numpy())

    def _tell_at(self, at: int) -> None:
        """What is past at session number `at` is told in its terms: values of symbols for which these have changed are made anew from the minutes."""
        past, since, self._told_at = self._past, self._told_at, max(at, self._told_at)
        if past.terms is None or at <= since or not self._windows:
            return
        codes = past.terms.affected(since, at)
        if not len(codes):
            return
        quantities = [quantity for quantity, _ in self._windows.values()]
        columns = tuple(dict.fromkeys(c for q in quantities for c in q.columns))
        for a in range(min(self._reach(name, at) for name in self._windows), at, past.chunk):
            minutes = past.history(at, a, min(a + past.chunk, at) - 1, columns, past.loader.names(codes))
            table = aggregated(minutes, quantities)
            for session in minutes.sessions:
                rows = table.filter(pl.col("session") == session.name)
                number, code = past.schedule.index[session.name], rows["code"].to_numpy()
                for name, (_, window) in self._windows.items():
                    window.replace(number, codes, code, rows[name].to_numpy())

    def of(self, minutes: Minutes) -> pl.DataFrame | None:
        """The values of a window's sessions, for `enter`; None if there are none."""
        if not self._windows or not minutes.frame.height:
            return None
        return aggregated(minutes, [quantity for quantity, _ in self._windows.values()])

    def enter(self, at: int, table: pl.DataFrame) -> None:
        """Session number `at` becomes a past one."""
        rows = table.filter(pl.col("session") == self._past.schedule.names[at])
        for name, (_, window) in self._windows.items():
            window.add(at, rows["code"].to_numpy(), rows[name].to_numpy())

    def at(self, at: int) -> dict[str, Trailed]:
        """Every feature at session number `at`; what no later session looks back to is forgotten."""
        self._tell_at(at)
        found = {}
        for id_, (feature, quantity) in self._features.items():
            window = self._windows[quantity.name][1]
            first = self._past.first(feature, at)
            found[id_] = window.at(first, at - feature.skip, feature.aggregate, feature.min_sessions)
        for name, (_, window) in self._windows.items():
            window.forget(self._reach(name, at))
        return found
