"""What lies before a session: trailing windows of past sessions, and warm-up bars.

`Trailing` holds the values of past sessions for every indicator and moves on one session at a time: daily ones (`bt.prepare.daily`),
and minute-of-session values of the last sessions. `warm_up` reads back session by session until every symbol has the bars its
features need, or its data begins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.features import Feature, Runs, lazily
from bt.indicators import CumulativeWindow, MinuteWindow, Trailed
from bt.prepare.columns import Grouped, Need, grouped_minutes, resampled
from bt.prepare.daily import Daily
from bt.prepare.plan import Plan
from bt.prepare.quantities import Past
from bt.prepare.rowwise import by_symbol
from bt.prepare.window import Minutes
from bt.strategy import CODE

IntArray = npt.NDArray[np.int64]


class Trailing:
    """Every trailing indicator of a run: daily quantities (`Daily`), and values by minute of session.

    Parameters
    ----------
    features : mapping of str to Feature
        By column id.
    last : int, optional
        The run's last session, where windows hold members alone: daily values of all candidates come through the cache then.
    """

    def __init__(self, features: Mapping[str, Feature], past: Past, *, last: int | None = None) -> None:
        self._past = past
        self._last = last
        self._daily = Daily({k: f for k, f in features.items() if f.at == "session"}, past)
        self._features = {k: f for k, f in features.items() if f.at != "session"}
        self._minute = {k: self._window(f) for k, f in self._features.items()}

    def _window(self, feature: Feature) -> MinuteWindow | CumulativeWindow:
        symbols = len(self._past.scale)
        if feature.at == "cumulative":
            return CumulativeWindow(symbols, exact=self._past.store.volume_is_integer)
        return MinuteWindow(symbols, self._past.whole(feature), feature.aggregate)

    def start(self, at: int, codes: IntArray | None = None) -> None:
        """Bring the windows up to session number `at`, reading what the caches do not have; minutes of `codes` alone (None: all)."""
        self._daily.start(at)
        for minutes, session in self._read(at, codes):
            self._add_minutes(minutes, session)

    def join(self, at: int, codes: IntArray) -> None:
        """Symbols that the window before lacked: their minutes of past sessions are read."""
        for window in self._minute.values():
            window.drop(codes)
        for minutes, session in self._read(at, codes):
            self._add_minutes(minutes, session)

    def _read(self, at: int, codes: IntArray | None) -> Iterator[tuple[Minutes, int]]:
        """The past sessions that minute windows look back to."""
        if self._minute:
            features, past = list(self._features.values()), self._past
            for a in range(min(past.first(f, at) for f in features), at, past.chunk):
                last = min(a + past.chunk, at) - 1
                minutes = past.history(at, a, last, _columns(features), past.loader.names(codes))
                yield from ((minutes, session) for session in range(len(minutes.sessions)))

    def add(self, minutes: Minutes, slots: Sequence[IntArray | None]) -> list[dict[str, Trailed]]:
        """Move through a window: each session's indicators at its open, then the session itself enters the windows.

        `slots` are the minutes of each session at which those by minute are asked for; None means all.
        """
        table = self._daily.of(minutes) if self._last is None else None
        result = []
        for number, session in enumerate(minutes.sessions):
            at = minutes.first + number
            if self._last is not None:
                self._daily.ahead(at, self._last)
            result.append(self._at(at, session.minutes, slots[number]))
            if table is not None:
                self._daily.enter(at, table)
            if self._minute:
                self._add_minutes(minutes, number)
        return result

    def _at(self, at: int, minutes: int, slots: IntArray | None) -> dict[str, Trailed]:
        """Every indicator at session number `at`."""
        found = self._daily.at(at)
        for id_, feature in self._features.items():
            self._minute[id_].forget(self._past.first(feature, at))
            found[id_] = self._minute[id_].at(minutes, feature.min_sessions, slots)
        return found

    def _add_minutes(self, minutes: Minutes, number: int) -> None:
        rows = minutes.at(number)
        for id_, window in self._minute.items():
            feature = self._features[id_]
            part, code, slot = minutes.frame[rows], minutes.code[rows], minutes.slot[rows]
            if feature.expr is None:
                values = part[feature.column].to_numpy()
            else:
                expr = by_symbol(feature.expr).cast(pl.Float64)
                made = lazily(part.with_columns(pl.Series(CODE, code)), CODE, [expr])
                values = made.collect(engine="in-memory").to_series().to_numpy()[: len(code)]
            if isinstance(window, CumulativeWindow):
                window.add(minutes.first + number, slot, code, values, minutes.sessions[number].minutes)
                continue
            if (unknown := np.isnan(values)).any():  # a minute whose value is not known has none
                slot, code, values = slot[~unknown], code[~unknown], values[~unknown]
            window.add(minutes.first + number, slot, code, values)


def _columns(features: Sequence[Feature]) -> tuple[str, ...]:
    """The bar columns some features read."""
    return tuple(dict.fromkeys(c for f in features for c in f.inputs()))


WARM_UP_ROWS = 1_000_000
"""About as many rows are read back at once."""


def warm_up(plan: Plan, past: Past, at: int, asked: IntArray | None = None) -> dict[int, pl.DataFrame]:
    """The warm-up bars before session number `at` of the symbols `asked` (codes, None: all), for every interval with features: twice what
    they need, for the check.

    Each frame has code, session (number in the schedule) and the columns the features read, sorted by (code, time).
    """
    store, schedule = past.store, past.schedule
    intervals = sorted({w.feature.minutes for w in plan.features})
    codes = {s: k for k, s in enumerate(store.symbols)}
    needs = {i: plan.need(i, codes).twice() for i in intervals}
    pieces: dict[int, list[pl.DataFrame]] = {i: [] for i in intervals}
    columns = tuple(dict.fromkeys(c for i in intervals for c in plan.inputs(i))) or ("close",)
    begins = past.begins(at)
    left = np.ones(len(store.symbols), dtype=bool)
    if asked is not None:
        left = np.isin(np.arange(len(left)), asked)
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
        minutes = past.history(at, low, high, columns, names)
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
