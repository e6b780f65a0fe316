"""What lies before a session: trailing windows of past sessions, and warm-up bars.

`Trailing` holds the values of past sessions for every indicator and moves on one session at a time. Daily values are read
once and cached beside the store; minute-of-session values of the last sessions are kept. `warm_up` reads back session by
session until every symbol has the bars its features need, or its data begins.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features import Feature, Runs, is_wrapped
from bt.indicators import CumulativeWindow, MinuteWindow, SessionWindow, Trailed, first_session
from bt.model import Schedule
from bt.prepare.columns import Grouped, Need, grouped_minutes, resampled
from bt.prepare.plan import Plan
from bt.prepare.window import Loader, Minutes
from bt.resample import AGGREGATION
from bt.schema import PRICES
from bt.store import DailyCache, Store

IntArray = npt.NDArray[np.int64]


def _name(feature: Feature) -> str:
    """The quantity a trailing feature aggregates, spelled so that equal names are equal quantities."""
    if feature.expr is None:
        return feature.column
    try:
        source = feature.expr.meta.serialize()
    except pl.exceptions.PolarsError:  # it calls Python: another object is another quantity, and nothing is cached
        return f"{PYTHON}{id(feature.expr)}"
    return "expr-" + hashlib.blake2b(source, digest_size=12).hexdigest() + f"-{pl.__version__}"


PYTHON = "python-"
"""How the name of a quantity begins whose values cannot be cached."""


def _daily(feature: Feature) -> pl.Expr:
    """A session's value of the quantity from its minutes."""
    if feature.expr is None:
        return AGGREGATION[feature.column]
    values = feature.expr.cast(pl.Float64)
    return values if is_wrapped(feature.expr) else values.sum()


class Trailing:
    """Every trailing indicator of a run.

    Parameters
    ----------
    features : mapping of str to Feature
        By column id.
    chunk : int
        Sessions of minutes to read together.
    """

    def __init__(
        self,
        features: Mapping[str, Feature],
        *,
        store: Store,
        loader: Loader,
        schedule: Schedule,
        scale: IntArray,
        cache: DailyCache,
        chunk: int,
    ) -> None:
        n = len(store.symbols)
        self._features = features
        self._loader = loader
        self._schedule = schedule
        self._cache = cache
        self._chunk = chunk
        self._daily: dict[str, tuple[Feature, SessionWindow]] = {}
        self._minute: dict[str, MinuteWindow | CumulativeWindow] = {}
        for id_, feature in features.items():
            whole = np.ones(n, dtype=np.int64)
            if feature.column in PRICES:
                whole = scale
            elif feature.expr is not None or not store.volume_is_integer:
                whole = np.zeros(n, dtype=np.int64)
            if feature.at == "cumulative":
                self._minute[id_] = CumulativeWindow(n, exact=store.volume_is_integer)
            elif feature.at == "minute":
                self._minute[id_] = MinuteWindow(n, whole, feature.aggregate)
            elif _name(feature) not in self._daily:
                self._daily[_name(feature)] = (feature, SessionWindow(n, whole))

    def _first(self, feature: Feature, at: int) -> int:
        return max(first_session(self._schedule.names, at, feature.period), 0)

    def _reach(self, name: str, at: int) -> int:
        """First session that any indicator of the daily quantity `name` looks back to at session number `at`."""
        users = [f for f in self._features.values() if f.at == "session" and _name(f) == name]
        return min(self._first(f, at) for f in users)

    def _columns(self, features: Sequence[Feature]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c for f in features for c in f.inputs()))

    def start(self, at: int) -> None:
        """Bring the windows up to session number `at`, reading what the caches do not have."""
        self._start_daily(at)
        minute = {k: self._features[k] for k in self._minute}
        if minute:
            first = min(self._first(f, at) for f in minute.values())
            for a in range(first, at, self._chunk):
                minutes = self._loader.history(a, min(a + self._chunk, at) - 1, self._columns(list(minute.values())))
                for session in range(len(minutes.sessions)):
                    self._add_minutes(minutes, session)

    def _start_daily(self, at: int) -> None:
        schedule = self._schedule
        stale: dict[int, list[str]] = {}
        for name, (_, window) in self._daily.items():
            first = self._reach(name, at)
            bounds = {schedule.names[i]: self._bounds(i) for i in range(first, at)}
            frame, missing = (None, list(bounds)) if name.startswith(PYTHON) else self._cache.known(name, bounds)
            if frame is not None:
                self._fill(window, frame)
            for day in missing:
                stale.setdefault(schedule.index[day], []).append(name)
        fresh: dict[str, list[pl.DataFrame]] = {}
        numbers = sorted(stale)
        for a, b in _runs(numbers, self._chunk):
            names = sorted({name for i in range(a, b + 1) for name in stale[i]})
            minutes = self._loader.history(a, b, self._columns([self._daily[n][0] for n in names]))
            table = self._aggregate(minutes, names)
            for name in names:
                days = [schedule.names[i] for i in range(a, b + 1) if name in stale[i]]
                one = table.select("session", "code", pl.col(name).alias("value")).filter(pl.col("session").is_in(days))
                fresh.setdefault(name, []).append(one)
                self._fill(self._daily[name][1], one)
        for name, frames in fresh.items():
            if name.startswith(PYTHON):
                continue
            bounds = {schedule.names[i]: self._bounds(i) for i in numbers if name in stale[i]}
            self._cache.add(name, bounds, pl.concat(frames).with_columns(pl.col("code").cast(pl.UInt16)))

    def _bounds(self, i: int) -> tuple[int, int]:
        return int(self._schedule.open[i]), int(self._schedule.close[i])

    def _fill(self, window: SessionWindow, frame: pl.DataFrame) -> None:
        for (day,), rows in frame.group_by("session", maintain_order=True):
            window.add(self._schedule.index[day], rows["code"].to_numpy().astype(np.int64), rows["value"].to_numpy())

    def _aggregate(self, minutes: Minutes, names: Sequence[str]) -> pl.DataFrame:
        """One row per symbol and session with a bar: session (Date), code, and a column per name."""
        made = (
            minutes.frame.lazy()
            .with_columns(pl.Series("__group", minutes.group).set_sorted())
            .group_by_dynamic("__group", every="1i")
            .agg([_daily(self._daily[name][0]).alias(name) for name in names])
            .collect(engine="in-memory")
        )
        group = made["__group"].to_numpy()
        session = group // minutes.symbols
        days = pl.Series("session", [s.name for s in minutes.sessions], dtype=pl.Date).gather(session)
        return made.drop("__group").with_columns(days, pl.Series("code", group - session * minutes.symbols))

    def add(self, minutes: Minutes) -> list[dict[str, Trailed]]:
        """Move through a window: each session's indicators at its open, then the session itself enters the windows."""
        table = self._aggregate(minutes, list(self._daily)) if self._daily and minutes.frame.height else None
        result = []
        for number, session in enumerate(minutes.sessions):
            at = minutes.first + number
            result.append(self._at(at, session.minutes))
            if table is not None:
                rows = table.filter(pl.col("session") == session.name)
                for name, (_, window) in self._daily.items():
                    window.add(at, rows["code"].to_numpy(), rows[name].to_numpy())
            if self._minute:
                self._add_minutes(minutes, number)
        return result

    def _at(self, at: int, minutes: int) -> dict[str, Trailed]:
        """Every indicator at session number `at`."""
        found: dict[str, Trailed] = {}
        for id_, feature in self._features.items():
            first = self._first(feature, at)
            if feature.at != "session":
                self._minute[id_].forget(first)
                found[id_] = self._minute[id_].at(minutes, feature.min_sessions)
            else:
                window = self._daily[_name(feature)][1]
                found[id_] = window.at(first, at - feature.skip, feature.aggregate, feature.min_sessions)
        for name, (_, window) in self._daily.items():
            window.forget(self._reach(name, at))
        return found

    def _add_minutes(self, minutes: Minutes, number: int) -> None:
        rows = minutes.at(number)
        for id_, window in self._minute.items():
            feature = self._features[id_]
            part = minutes.frame[rows]
            values = (
                part[feature.column] if feature.expr is None else part.select(feature.expr.cast(pl.Float64)).to_series()
            )
            at = minutes.slot[rows], minutes.code[rows]
            if isinstance(window, CumulativeWindow):
                window.add(minutes.first + number, *at, values.to_numpy(), minutes.sessions[number].minutes)
            else:
                window.add(minutes.first + number, *at, values.to_numpy())


def _runs(numbers: Sequence[int], most: int) -> list[tuple[int, int]]:
    """Consecutive runs (first, last) of sorted numbers, none longer than `most`."""
    runs: list[tuple[int, int]] = []
    for i in numbers:
        if runs and i == runs[-1][1] + 1 and i - runs[-1][0] < most:
            runs[-1] = (runs[-1][0], i)
        else:
            runs.append((i, i))
    return runs


WARM_UP_ROWS = 1_000_000
"""About as many rows are read back at once."""


def warm_up(plan: Plan, loader: Loader, store: Store, schedule: Schedule, at: int) -> dict[int, pl.DataFrame]:
    """The warm-up bars before session number `at`, for every interval with features: twice what they need, for the check.

    Each frame has code, session (number in the schedule) and the columns the features read, sorted by (code, time).
    """
    intervals = sorted({w.feature.minutes for w in plan.features})
    codes = {s: k for k, s in enumerate(store.symbols)}
    needs = {i: plan.need(i, codes).twice() for i in intervals}
    pieces: dict[int, list[pl.DataFrame]] = {i: [] for i in intervals}
    columns = tuple(dict.fromkeys(c for i in intervals for c in plan.inputs(i))) or ("close",)
    begins = np.array([store.first[s] for s in store.symbols], dtype=np.int64)
    left = np.ones(len(store.symbols), dtype=bool)
    low, chunk = at, 1
    most = max(1, WARM_UP_ROWS * len(schedule) // max(store.rows, 1))
    while low > 0:
        left &= begins < int(schedule.open[low])
        left &= ~_satisfied(pieces, needs, low, at, len(left))
        if not left.any():
            break
        high, low = low - 1, max(low - chunk, 0)
        chunk = min(2 * chunk, most)
        if int(schedule.close[high]) <= int(begins[left].min()):
            break
        names = None if left.all() else [s for s, wanted in zip(store.symbols, left, strict=True) if wanted]
        minutes = loader.history(low, high, columns, names)
        bars = {1: grouped_minutes(minutes), **resampled(minutes, {i: plan.inputs(i) for i in intervals if i != 1})}
        for i in intervals:
            pieces[i].insert(0, _numbered(bars[i], low, plan.inputs(i)))
    return {i: _trimmed(pieces[i], needs[i], at, plan.inputs(i)) for i in intervals}


def _numbered(bars: Grouped, first: int, columns: Sequence[str]) -> pl.DataFrame:
    return bars.frame.select(columns).with_columns(
        pl.Series("code", bars.code, dtype=pl.Int64), pl.Series("session", bars.session + first, dtype=pl.Int64)
    )


def _satisfied(
    pieces: Mapping[int, Sequence[pl.DataFrame]], needs: Mapping[int, Need], low: int, at: int, symbols: int
) -> npt.NDArray[np.bool_]:
    """Which symbols have enough, having read back to session number `low`."""
    enough = np.ones(symbols, dtype=bool)
    for interval, need in needs.items():
        total, last_count = np.zeros(symbols, dtype=np.int64), np.zeros(symbols, dtype=np.int64)
        last = np.full(symbols, -1, dtype=np.int64)
        for piece in pieces[interval]:  # oldest first
            code, session = piece["code"].to_numpy(), piece["session"].to_numpy()
            total += np.bincount(code, minlength=symbols)
            latest = np.full(symbols, -1, dtype=np.int64)
            np.maximum.at(latest, code, session)
            own = np.bincount(code[session == latest[code]], minlength=symbols)
            last_count = np.where(latest >= 0, own, last_count)
            last = np.maximum(last, latest)
        deep = need.is_deep(np.arange(symbols))
        behind = (last >= 0) & (total - last_count >= need.bars) & (low <= last - need.sessions)
        enough &= np.where(deep, behind, (total >= need.bars) & (low <= at - need.sessions))
    return enough


def _trimmed(pieces: Sequence[pl.DataFrame], need: Need, at: int, columns: Sequence[str]) -> pl.DataFrame:
    """All pieces as one frame in feature order, cut to what is needed."""
    if not pieces:
        schema = {**dict.fromkeys(columns, pl.Float64), "code": pl.Int64, "session": pl.Int64}
        return pl.DataFrame(schema=schema)
    frame = pl.concat(pieces)
    order = np.argsort(frame["code"].to_numpy().astype(np.uint16), kind="stable")
    frame = frame[order]
    runs = Runs.of(frame["code"].to_numpy(), frame["session"].to_numpy())
    return frame[need.keep(runs, frame.height, at)]
