"""Windows of prepared sessions, one after another, the next one made while the last one replays."""

from __future__ import annotations

import time as wall
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import BtError, DataError, FeatureError
from bt.guards import report
from bt.indicators import Trailed
from bt.model import Column, PreparedBars, PreparedSession, RunSpec, Schedule, Session, slot_times
from bt.prepare.columns import Bars, Grouped, Resampling, collect, evaluate, grouped_minutes, without
from bt.prepare.history import Trailing, warm_up
from bt.prepare.plan import TRADED, Plan, Wanted
from bt.prepare.window import Loaded, Loader, Minutes
from bt.quality import Grid, session_quality
from bt.schema import MINUTE
from bt.sessions import TimeManager
from bt.store import DailyCache, Store

IntArray = npt.NDArray[np.int64]
Grids = dict[int, Grid]


@dataclass(frozen=True)
class PreparedWindow:
    """Some sessions ready to be replayed, and what is known about their rows.

    `quality[i]` and `guards[i]` are frames of session i by symbol code (see `bt.quality.session_quality`,
    `bt.guards.report`; quality has also interval, in minutes). `failed` names the symbols dropped from a session: (session, code) -> why.
    `seconds` is the time of each part of the work.
    """

    sessions: list[PreparedSession]
    quality: list[pl.DataFrame]
    guards: list[pl.DataFrame]
    failed: Mapping[tuple[int, int], str]
    seconds: Mapping[str, float]


@dataclass
class _Timer:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = wall.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + wall.perf_counter() - began


class Preparer:
    """Prepares the sessions `first` to `last` (numbers in `schedule`, both included) of a run."""

    def __init__(
        self,
        spec: RunSpec,
        plan: Plan,
        *,
        store: Store,
        time: TimeManager,
        schedule: Schedule,
        first: int,
        last: int,
    ) -> None:
        self._spec = spec
        self._plan = plan
        self._store = store
        self._schedule = schedule
        self._first, self._last = first, last
        decimals = [store.decimals[s] for s in store.symbols]
        self._scale = np.array([0 if k is None else 10**k for k in decimals], dtype=np.int64)
        read = plan.read
        self._loader = Loader(store, time, schedule, read)
        self._trailing = Trailing(
            {w.id: w.feature for w in plan.trailing},
            store=store,
            loader=self._loader,
            schedule=schedule,
            scale=self._scale,
            cache=DailyCache(store, f"{schedule.calendar}-1"),
            chunk=spec.session.prefetch_days,
        )
        self._tails: dict[int, pl.DataFrame] = {}
        self._started = False
        self.history_seconds: dict[str, float] = {}

    def start(self) -> None:
        """Bring history up to the first session's open: trailing windows, then warm-up bars."""
        timer = _Timer()
        with timer("indicators"):
            self._trailing.start(self._first)
        with timer("history_load"):
            if self._plan.features:
                self._tails = warm_up(self._plan, self._loader, self._store, self._schedule, self._first)
        self.history_seconds = timer.seconds

    def windows(self) -> Iterator[PreparedWindow]:
        """Every window in order. One more is prepared ahead, on a thread of its own."""
        days = self._spec.session.prefetch_days
        edges = [(a, min(a + days - 1, self._last)) for a in range(self._first, self._last + 1, days)]
        with ThreadPoolExecutor(1, "bt-prefetch") as pool:
            waiting: list[Future[PreparedWindow]] = [pool.submit(self._window, *edges[0])] if edges else []
            try:
                for following in [*edges[1:], None]:
                    done = _patiently(waiting.pop())
                    if following is not None:
                        waiting.append(pool.submit(self._window, *following))
                    yield done
                    del done  # a window's memory is free before the next one is waited for
            finally:
                for future in waiting:
                    future.cancel()

    # ------------------------------------------------------------------------------------------------------ one window

    def _window(self, first: int, last: int) -> PreparedWindow:
        timer = _Timer()
        with timer("load"):
            loaded = self._loader.window(first, last)
        if not self._started:
            check_stamps(loaded, self._spec.data.bars)
        minutes = loaded.minutes
        with timer("features"):
            bars, columns, failed = self._computed(minutes, first)
        if failed:
            drop = np.zeros(minutes.groups, dtype=bool)
            drop[list(failed)] = True
            keep = {i: ~drop[b.group] for i, b in bars.items()}
            columns = {i: {k: _kept(c, keep[i]) for k, c in made.items()} for i, made in columns.items()}
            bars = {i: without(b, drop) for i, b in bars.items()}
        with timer("indicators"):
            trailed = self._trailing.add(minutes)
        with timer("quality"):
            quality = [self._quality(bars, minutes, i) for i in range(len(minutes.sessions))]
            as_of = self._quality_columns(bars, minutes)
        with timer("features"):
            sessions = [
                self._session(bars, columns, trailed[i], as_of, loaded, i) for i in range(len(minutes.sessions))
            ]
        guards = report(loaded.withheld)
        self._started = True
        return PreparedWindow(
            sessions,
            quality,
            [guards.filter(pl.col("session") == i).drop("session") for i in range(len(minutes.sessions))],
            {(g // minutes.symbols, g % minutes.symbols): why for g, why in failed.items()},
            timer.seconds,
        )

    def _over(self, bars: Grouped, first: int) -> Bars:
        """One interval's bars in feature order, behind their warm-up."""
        interval = bars.interval
        tail = self._tails.get(interval, pl.DataFrame(schema={"code": pl.Int64, "session": pl.Int64}))
        return Bars(
            bars, tail, first, scale=self._scale, need=self._plan.need(interval), columns=self._plan.inputs(interval)
        )

    def _computed(
        self, minutes: Minutes, first: int
    ) -> tuple[dict[int, Grouped], dict[int, dict[str, Column]], dict[int, str]]:
        """Bars of every interval, every feature as a column of each interval that shows it, and the groups dropped."""
        bars = {1: grouped_minutes(minutes)}
        over = {1: self._over(bars[1], first)} if self._plan.on(1) else {}
        resampling = Resampling.of(minutes, self._plan.intervals)
        values, failed = self._values(over, resampling, bars, minutes, first)
        coarse = {i: self._over(bars[i], first) for i in self._plan.intervals if self._plan.on(i)}
        if coarse:
            more, culprits = self._values(coarse, None, bars, minutes, first)
            values, failed, over = values | more, failed | culprits, over | coarse
        most = max(s.minutes for s in minutes.sessions)
        made: dict[int, dict[str, Column]] = {i: {} for i in bars}
        for wanted in self._plan.features:
            interval, mine = wanted.feature.minutes, over[wanted.feature.minutes]
            for rows in wanted.on:
                if rows == interval:
                    shown = mine.own(values[wanted.id])
                else:
                    within = wanted.feature.within == "session"
                    shown = mine.asof(values[wanted.id], bars[rows], minutes.groups, most, within=within)
                made[rows][wanted.id] = shown
        self._tails = {i: o.tail() for i, o in over.items()}
        return bars, made, failed

    def _values(
        self,
        over: Mapping[int, Bars],
        resampling: Resampling | None,
        bars: dict[int, Grouped],
        minutes: Minutes,
        first: int,
    ) -> tuple[dict[str, Column], dict[int, str]]:
        """One collection: coarser bars (put into `bars`) and the features over `over`, by column id, in feature order."""
        wanted = {i: self._plan.on(i) for i in over}
        ids = {id(w.feature): w.id for some in wanted.values() for w in some}
        if not self._started:
            for i, some in wanted.items():
                for w in some:
                    check_feature(over[i], w, first)
        expressions = [(o, *some) for i, o in over.items() for some in o.plan([w.feature for w in wanted[i]])]
        coarse = [] if resampling is None else list(resampling.plans)
        values: dict[str, Column] = {}
        failed: dict[int, str] = {}
        try:
            frames = collect([*coarse, *(plan_.lazy for _, _, plan_ in expressions)])
        except Exception:
            if self._spec.run.on_data_error == "raise":
                raise
            frames = collect(coarse)
            for mine, features, _ in expressions:  # symbol by symbol, so that only the culprits are dropped
                for feature in features:
                    values[ids[id(feature)]], culprits = mine.piecewise(feature)
                    for code, session, why in culprits:
                        if session >= first:
                            failed.setdefault((session - first) * minutes.symbols + code, why)
        else:
            for (_, features, plan_), frame in zip(expressions, frames[len(coarse) :], strict=True):
                for k, feature in enumerate(features):
                    values[ids[id(feature)]] = plan_.place(frame[str(k)])
        if resampling is not None:
            bars.update(resampling.finish(frames[: len(coarse)]))
        for i, some in wanted.items():
            for w in some:
                if w.feature.kind == "sma":
                    values[w.id] = over[i].exact(w.feature)
        return values, failed

    # ------------------------------------------------------------------------------------------------------ one session

    def _grids(self, session: Session, bars: Mapping[int, Grouped], number: int) -> Grids:
        times = slot_times(session)
        grids: Grids = {1: Grid(times, times + MINUTE, np.ones(len(times), dtype=np.int64))}
        for interval, coarse in bars.items():
            if coarse.bins is not None:
                a, b = int(coarse.bins.offset[number]), int(coarse.bins.offset[number + 1])
                bins = coarse.bins
                grids[interval] = Grid(bins.open_time[a:b], bins.close_time[a:b], bins.expected[a:b])
        return grids

    def _quality(self, bars: Mapping[int, Grouped], minutes: Minutes, number: int) -> pl.DataFrame:
        grids = self._grids(minutes.sessions[number], bars, number)
        frames = []
        for interval, over in bars.items():
            edge = np.searchsorted(over.session, [number, number + 1])
            rows = slice(int(edge[0]), int(edge[1]))
            code, unit = over.code[rows], over.begin[rows]
            if over.bins is not None and over.bin is not None:
                unit = over.bin[rows] - over.bins.offset[number]
                whole = over.frame["n_obs"].to_numpy()[rows] == over.bins.expected[over.bin[rows]]
                code, unit = code[whole], unit[whole]
            made = session_quality(code, unit, minutes.symbols, grids[interval])
            frames.append(made.with_columns(pl.lit(interval, dtype=pl.Int64).alias("interval")))
        return pl.concat(frames)

    def _quality_columns(self, bars: Mapping[int, Grouped], minutes: Minutes) -> dict[int, Column]:
        """Quality as of each row's end, for the intervals that show it."""
        made = {}
        for interval in self._plan.quality_on:
            over = bars[interval]
            if interval == 1:
                first = minutes.bounds()[over.group]
                present = np.arange(len(over.group)) - first + 1
            else:
                key = minutes.group * (2 * DAY_SLOTS) + minutes.slot
                first = minutes.bounds()[over.group]
                present = np.searchsorted(key, over.group * (2 * DAY_SLOTS) + over.end) - first
            made[interval] = Column(np.divide(100.0 * present, over.end))
        return made

    def _session(
        self, bars: Mapping[int, Grouped], columns: Mapping[int, Mapping[str, Column]],
        trailed: Mapping[str, Trailed], as_of: Mapping[int, Column], loaded: Loaded, number: int,
    ) -> PreparedSession:  # fmt: skip
        made = {}
        for interval in {1, *self._plan.shown}:
            over = bars[interval]
            edge = np.searchsorted(over.session, [number, number + 1])
            rows = slice(int(edge[0]), int(edge[1]))
            shown = self._plan.shown.get(interval, ())
            named = dict.fromkeys((*shown, *(TRADED if interval == 1 else ("n_obs", "n_expected", "closed_by"))))
            found = {name: Column(over.frame[name].to_numpy()[rows]) for name in named}
            for id_, values in columns[interval].items():
                found[id_] = Column(values.values[rows], None if values.null is None else values.null[rows])
            if interval in as_of:
                found["quality"] = Column(as_of[interval].values[rows])
            for wanted in self._plan.trailing:
                if interval in wanted.on:
                    found |= _trailing_columns(wanted, trailed[wanted.id], over.code[rows], over.end[rows])
            made[interval] = PreparedBars(over.code[rows], over.begin[rows], over.end[rows], found)
        closing = {}
        if self._spec.execution.close_price == "closing_print":
            closing = {code: price for (session, code), price in loaded.closing.items() if session == number}
        return PreparedSession(loaded.minutes.sessions[number], made, closing)


DAY_SLOTS = 1 << 20
"""More slots than any session has."""


def _trailing_columns(wanted: Wanted, trailed: Trailed, code: IntArray, end: IntArray) -> dict[str, Column]:
    """An indicator and its sessions used, on rows of `code` that end at slot count `end`."""
    at = (end - 1, code) if wanted.feature.at == "minute" else (code,)
    null = trailed.null[at]
    return {
        wanted.id: Column(trailed.values[at], null if null.any() else None),
        f"{wanted.id}_sessions": Column(trailed.used[at]),
    }


def _kept(column_: Column, keep: npt.NDArray[np.bool_]) -> Column:
    return Column(column_.values[keep], None if column_.null is None else column_.null[keep])


def _patiently(future: Future[PreparedWindow]) -> PreparedWindow:
    """The future's result; waits in short steps so that an interrupt is noticed."""
    while True:
        try:
            return future.result(timeout=0.5)
        except TimeoutError:
            if future.done():
                raise


# -------------------------------------------------------------------------------------------------------- start-up checks


def check_stamps(loaded: Loaded, source: str) -> None:
    """Refuse end-stamped data declared as start-stamped, where the calendar proves it.

    Bars labelled by their end have none at any open and one at the close of nearly every symbol's session.
    """
    minutes = loaded.minutes
    if not minutes.frame.height:
        return
    groups = np.unique(minutes.group)
    opens = int((minutes.slot == 0).sum())
    close = np.array([s.close for s in minutes.sessions], dtype=np.int64)
    outside = loaded.withheld.filter(pl.col("reason").is_in(["closing_print", "after_close", "in_break"]))
    at_close = int((outside["time"].to_numpy() == close[outside["session"].to_numpy()]).sum())
    second = int((minutes.slot == 1).sum())
    if opens == 0 and second > 0 and at_close >= 0.9 * len(groups):
        raise DataError(
            f"{source}: timestamps must be the start of the minute as declared, but {at_close} of {len(groups)} symbol-sessions "
            'have a bar at the close and none has one at the open; set data.stamp = "end"'
        )


def check_feature(over: Bars, wanted: Wanted, first: int) -> None:
    """Evaluate an expression feature twice more on the first session: cut short, and with twice its warm-up.

    Raises
    ------
    FeatureError
        A value changes when later bars are cut off (it peeks), or when more warm-up is there.
    """
    feature = wanted.feature
    bars = over.ordered
    today = bars.session == first
    if feature.kind != "expression" or not today.any():
        return
    source = f"feature {feature.expr}"
    try:
        whole = evaluate(bars, feature)
        double = evaluate(bars, feature, factor=2)
    except BtError:
        raise
    except Exception:  # noqa: BLE001 - it fails for some symbol; told where symbols are dropped
        return
    at = _first_difference(_picked(whole, today), _picked(double, today), 1e-9)
    if at is not None:
        raise FeatureError(
            f"{source}: lookback must cover what it reads, was {feature.bars or f'{feature.sessions}d'}: with twice the warm-up a value of the first session changed "
            f"from {at[0]} to {at[1]}; declare a longer lookback"
        )
    stop = np.searchsorted(bars.code, bars.code, side="right")
    number = np.arange(len(bars.code))
    count = np.bincount(bars.code[today], minlength=int(bars.code.max()) + 1)[bars.code]
    later = bars.session > first
    position = number - (stop - np.bincount(bars.code[later], minlength=int(bars.code.max()) + 1)[bars.code] - count)
    keep = ~later & (~today | (position < -(-count // 2)))
    cut = bars.only(keep)
    short = evaluate(cut, feature)
    at = _first_difference(_picked(whole, keep & today), _picked(short, cut.session == first), 1e-9)
    if at is not None:
        raise FeatureError(
            f"{source}: a value must not depend on later bars; with the last bars of the first session cut off it changed from {at[0]} to {at[1]}; "
            "shift it back or drop what looks ahead"
        )


def _picked(values: Column, rows: npt.NDArray[np.bool_]) -> Column:
    return Column(values.values[rows], None if values.null is None else values.null[rows])


def _first_difference(one: Column, other: Column, tolerance: float) -> tuple[object, object] | None:
    """The first pair of values that differ by more than `tolerance`, relatively; None if there is none."""
    left, right = one.values, other.values
    null = np.zeros(len(left), dtype=bool)
    left_null, right_null = (null if c.null is None else c.null for c in (one, other))
    if left.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            near = np.abs(left - right) <= tolerance * np.maximum(np.abs(left), np.abs(right))
        same = near | (left == right) | (np.isnan(left) & np.isnan(right))
    else:
        same = left == right
    same = (same & ~left_null & ~right_null) | (left_null & right_null)
    if same.all():
        return None
    i = int(np.flatnonzero(~same)[0])
    return (None if left_null[i] else left[i].item()), (None if right_null[i] else right[i].item())
