"""Research frames: the same columns a strategy is shown, without a strategy."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa

from bt.config import FIRST, LAST, first_day, last_day
from bt.errors import DataError, UsageError
from bt.features import Feature, linked
from bt.model import DataSpec, MemoryBars, PreparedBars, Progress, RunSpec, Session, SessionSpec, instant, slot_times
from bt.outages import Watch
from bt.prepare import Actions, PreparedWindow, Preparer, Reading, former_names, open_actions, plan, reading_along
from bt.resample import CLOSED_BY
from bt.results import ORDER, conform, empty
from bt.run import Range, check_dates, resolved, session_range
from bt.schema import BAR_COLUMNS, MINUTE, interval_minutes
from bt.sessions import TimeManager
from bt.store import Store, in_memory
from bt.strategy import Declaration, RowField, RowType, Source

Bars: TypeAlias = str | os.PathLike[str] | pl.DataFrame | pl.LazyFrame | pa.Table | MemoryBars
"""Where bars are: a path, or the bars themselves."""


def load_bars(
    bars: Bars,
    calendar: str,
    start: date | str,
    end: date | str,
    *,
    symbols: Sequence[str] | None = None,
    intervals: Sequence[str] = ("1m",),
    features: Mapping[str, Feature] | None = None,
    **data: Any,
) -> dict[str, pl.DataFrame]:
    """Bars that passed the guards, by interval, with features.

    Parameters
    ----------
    bars : path or table
        A store, a file or a glob; or the bars themselves, a Polars DataFrame or LazyFrame or an Arrow table.
    calendar : str
    start, end : date or ISO text
        First and last session, both included; `start` may be "-60 sessions", `end` "last" or "previous".
    symbols : sequence of str, optional
        All by default.
    intervals : sequence of str
        Such as ``["1m", "5m", "1d"]``.
    features : mapping of str to Feature, optional
        Further columns of every interval; one of a coarser interval is joined as-of.
    **data
        stamp, timezone, price_decimals, columns, actions, adjust: as [data] in a configuration. The bars are as they were; features look back in
        the terms of their session.

    Returns
    -------
    dict of DataFrame
        By interval. Columns symbol, session (Date), open_time and close_time (Datetime us UTC), open, high, low, close,
        volume; on coarser bars n_obs, n_expected, closed_by; then the features, and for trailing ones ``<name>_sessions``.
        Sorted by session, symbol, time.

    Raises
    ------
    UsageError, DataError, FeatureError
        As `replay`.
    """
    asked = SessionSpec(_asked("start", start), _asked("end", end))
    spec = RunSpec(_data(bars, calendar, symbols, data), asked, ())
    declared = _declaration(intervals, linked(features or {}, "load_bars"))
    time = TimeManager(calendar)
    check_dates(asked, time)
    store = Store.open(spec.data)
    try:
        made = _bars(replace(spec, session=resolved(asked, time, store)), declared, time, store)
        return {label: made[label] for label in intervals}
    finally:
        store.close()


def _bars(spec: RunSpec, declared: Declaration, time: TimeManager, store: Store) -> dict[str, pl.DataFrame]:
    """What `declared` shows of a store, by interval."""
    made_plan, ids = plan([declared], (), store.extra_columns)
    found: dict[str, list[pl.DataFrame]] = {row.label: [] for row in declared.rows}
    opened = open_actions(spec.data)
    along = sorted({*made_plan.also_read, *former_names(opened, store, spec.data.adjust)})
    with reading_along(store, along) as wider:
        span = session_range(time, store, *spec.session.dates, wider=wider)
        actions = Actions() if opened is None else opened.of(wider.symbols, span.schedule)
        reading = Reading(wider, time, span.schedule, span.first, span.last, actions=actions)
        source = Preparer(spec, replace(made_plan, judged=False), reading)
        source.start()
        for prepared in (one for window in source.windows() for one in window.sessions):
            for row, fields in zip(declared.rows, ids[0], strict=True):
                found[row.label].append(_frame(prepared.session, prepared.shown[row.interval], fields, store.symbols))
    return {label: pl.concat(frames) for label, frames in found.items()}


class Quality(NamedTuple):
    """What `load_quality` gives.

    Attributes
    ----------
    table : DataFrame
        The table ``quality`` of a run (docs/results.md): one row per session, symbol and interval, sorted so.
    worst : DataFrame
        The longest gaps: session (Date), symbol, interval, start and end (Datetime us UTC), minutes; longest first, then
        by session and symbol. A session without any row of the symbol (or complete bin) is not among them.
    outages : DataFrame
        Stretches that nearly all liquid symbols lack, in hindsight (`bt.outages.outages`): session, start and end (Datetime us
        UTC), minutes, symbols, lacking, whole_session.
    guards : DataFrame
        Rows that the guards withhold: symbol, reason, rows, sorted by symbol and reason.
    sessions : list of Session
        The sessions judged.
    """

    table: pl.DataFrame
    worst: pl.DataFrame
    outages: pl.DataFrame
    guards: pl.DataFrame
    sessions: list[Session]


def load_quality(
    bars: Bars,
    calendar: str,
    start: date | str | None = None,
    end: date | str | None = None,
    *,
    symbols: Sequence[str] | None = None,
    intervals: Sequence[str] = ("1m",),
    worst: int = 20,
    gap_lists: bool = True,
    progress: Progress | None = None,
    **data: Any,
) -> Quality:
    """How complete bars are: the quality of every symbol in every session, and the worst gaps.

    Sessions are read a few at a time; memory grows with the rows of the result, not with the bars.

    Parameters
    ----------
    bars, calendar, symbols, **data
        As in `load_bars`.
    start, end : date or ISO text, optional
        First and last session, both included, or words as in `load_bars`; by default those of the store's first and
        last bar.
    intervals : sequence of str
        Such as ``["1m", "5m"]``.
    worst : int
        How many of the longest gaps to keep.
    gap_lists : bool
        False leaves the column ``gaps`` out: in thin symbols it is by far the largest.
    progress : callable, optional
        Called as ``progress(sessions_done, sessions_total, bars_done)``.

    Raises
    ------
    UsageError, DataError
        As `replay`.
    """
    labels = {_minutes(label): label for label in intervals}
    given = _data(bars, calendar, symbols, data)
    time = TimeManager(calendar)
    begin, finish = (None if d is None else _asked(name, d) for name, d in (("start", start), ("end", end)))
    if begin is not None and finish is not None:
        check_dates(SessionSpec(begin, finish), time)  # wrong dates are told before files are read
    store = Store.open(given)
    try:
        held = _sessions_held(time, store) if begin is None or finish is None else (begin, finish)
        _check_held(begin, finish, held)
        spec = RunSpec(given, resolved(SessionSpec(begin or held[0], finish or held[1]), time, store), ())
        time.schedule(*spec.session.dates)
        made_plan, _ = plan([], [label for minutes, label in labels.items() if minutes > 1], store.extra_columns)
        span = session_range(time, store, *spec.session.dates)
        source = Preparer(spec, made_plan, Reading(store, time, span.schedule, span.first, span.last))
        return _judged(source, span, store.symbols, labels, worst=worst, gap_lists=gap_lists, progress=progress)
    finally:
        store.close()


def _judged(
    source: Preparer, span: Range, symbols: Sequence[str], labels: Mapping[int, str], *,
    worst: int, gap_lists: bool, progress: Progress | None,
) -> Quality:  # fmt: skip
    """The quality of every window of `source`."""
    source.start()
    names = pl.Series(symbols, dtype=pl.String)
    tables, sessions = [_NO_QUALITY if gap_lists else _NO_QUALITY.drop("gaps")], []
    gaps, guards, done = _NO_GAPS, [_NO_GUARDS], 0
    watch = Watch(span.last - span.first + 1)
    for window in source.windows():
        for session, quality, guard in _by_session(window):
            named = quality.with_columns(
                pl.lit(session.name).alias("session"),
                names.gather(quality["code"]).alias("symbol"),
                pl.col("interval").replace_strict({1: "1m", **labels}, return_dtype=pl.String),
            )
            named = conform("quality", named)
            watch.add(named.filter(pl.col("interval") == "1m"))
            table = named.filter(pl.col("interval").is_in(list(labels.values())))
            gaps = _longest(pl.concat([gaps, _gaps(table)]), worst)
            tables.append(table if gap_lists else table.drop("gaps"))
            guards.append(guard.select(names.gather(guard["code"]).alias("symbol"), "reason", "rows"))
            sessions.append(session)
            guards = [pl.concat(guards).group_by("symbol", "reason").agg(pl.col("rows").sum())]
        done += sum(len(s.minutes.code) for s in window.sessions)
        if progress is not None:
            progress(len(sessions), span.last - span.first + 1, done)
    return Quality(
        pl.concat(tables).sort(ORDER["quality"], maintain_order=True),
        gaps,
        watch.outages(),
        guards[0].sort("symbol", "reason"),
        sessions,
    )


def _by_session(window: PreparedWindow) -> Iterator[tuple[Session, pl.DataFrame, pl.DataFrame]]:
    for prepared, quality, guard in zip(window.sessions, window.quality, window.guards, strict=True):
        yield prepared.session, quality, guard


_NO_QUALITY = empty("quality")
_GAP = ("session", "symbol", "interval", "start", "end", "minutes")


def _gaps(table: pl.DataFrame) -> pl.DataFrame:
    """Every gap of the symbols that have a row in the session."""
    exploded = table.filter(pl.col("present") > 0).select("session", "symbol", "interval", "gaps").explode("gaps")
    return exploded.drop_nulls("gaps").unnest("gaps").select(_GAP)


def _longest(gaps: pl.DataFrame, most: int) -> pl.DataFrame:
    return gaps.sort("minutes", "session", "symbol", "start", descending=[True, False, False, False]).head(most)


_NO_GAPS = _gaps(_NO_QUALITY)
_NO_GUARDS = pl.DataFrame(schema={"symbol": pl.String, "reason": pl.String, "rows": pl.Int64})


def _sessions_held(time: TimeManager, store: Store) -> tuple[date, date]:
    """The sessions of the store's first and last bar, or nearest inside them."""
    begins, ends = min(store.first.values()), max(store.last.values())
    around = timedelta(days=2)  # an overnight session opens the day before its name
    schedule = time.schedule(max(instant(begins).date() - around, time.earliest), instant(ends).date() + around)
    held = [
        name
        for i, name in enumerate(schedule.names)
        if int(schedule.close[i]) > begins and int(schedule.open[i]) <= ends
    ]
    if not held:
        raise DataError(
            f"{store.data.bars}: bars must lie in sessions of {time.calendar}, was {instant(begins):%Y-%m-%d %H:%M} to "
            f"{instant(ends):%Y-%m-%d %H:%M} UTC with none; name the calendar of these bars"
        )
    return held[0], held[-1]


def _data(bars: Bars, calendar: str, symbols: Sequence[str] | None, more: Mapping[str, Any]) -> DataSpec:
    if isinstance(bars, str | os.PathLike):
        given: str | MemoryBars = str(Path.cwd() / bars)
    else:
        try:
            given = bars if isinstance(bars, MemoryBars) else in_memory(bars)
        except TypeError as error:
            raise UsageError(f"bars: they must be a path, a Polars or an Arrow table, were not: {error}") from None
    if "actions" in more:
        table = more["actions"]
        is_path = isinstance(table, str | os.PathLike) and table not in ("auto", "none", "")
        more = {
            **more,
            "actions": str(Path.cwd() / table)
            if is_path
            else table
            if isinstance(table, str | MemoryBars)
            else in_memory(table),
        }
    return DataSpec(given, calendar, None if symbols is None else tuple(symbols), **more)


def _check_held(begin: date | str | None, finish: date | str | None, held: tuple[date | str, date | str]) -> None:
    """Refuse an end alone that lies before all data, and a start alone that lies after."""
    for name, day, side, other in (
        ("end", finish, "after the first", held[0]),
        ("start", begin, "before the last", held[1]),
    ):
        alone = begin is None or finish is None
        if (
            alone
            and isinstance(day, date)
            and isinstance(other, date)
            and (day < other if name == "end" else day > other)
        ):
            raise UsageError(f"{name}: it must be on or {side} session of the data, {other}, was {day}")


def _asked(name: str, value: date | str) -> date | str:
    try:
        return first_day(value) if name == "start" else last_day(value)
    except ValueError as hint:
        must = FIRST if name == "start" else LAST
        raise UsageError(f"{name}: it must be {must}, was {value!r}; {hint}") from None


def _minutes(interval: str) -> int:
    try:
        return interval_minutes(interval)
    except ValueError:
        raise UsageError(
            f"intervals: each must be like 1m, 5m, 4h or 1d, was {interval!r}; 1d is the longest"
        ) from None


def _declaration(intervals: Sequence[str], features: Mapping[str, Feature]) -> Declaration:
    rows = []
    for label in dict.fromkeys(intervals):
        interval = _minutes(label)
        fields = [RowField(c, "bar", "float", optional=True) for c in BAR_COLUMNS]
        if interval > 1:
            fields += [RowField(c, "coarse", "int", optional=True) for c in ("n_obs", "n_expected", "closed_by")]
        for name, feature in features.items():
            fields.append(RowField(name, "feature", "float", optional=True))
            if feature.kind == "trailing":
                fields.append(RowField(f"{name}_sessions", "feature", "int", optional=True))
        rows.append(RowType(object, interval, label, tuple(fields)))
    rows.sort(key=lambda r: r.interval)
    return Declaration("load_bars", None, tuple(rows), features, frozenset(), Source(""))


def _frame(session: Session, bars: PreparedBars, ids: Mapping[str, str], symbols: Sequence[str]) -> pl.DataFrame:
    opens = slot_times(session)
    columns: dict[str, Any] = {
        "symbol": pl.Series(symbols, dtype=pl.String).gather(pl.Series(bars.code, dtype=pl.UInt32)),
        "session": pl.Series([session.name], dtype=pl.Date).new_from_index(0, len(bars.code)),
        "open_time": opens[bars.begin],
        "close_time": opens[bars.end - 1] + MINUTE,
    }
    for name, id_ in ids.items():
        values, null = bars.columns[id_]
        series = pl.Series(np.array(CLOSED_BY)[values] if name == "closed_by" else values)
        columns[name] = series if null is None else pl.select(pl.when(pl.Series(~null)).then(series)).to_series()
    times = pl.col("open_time", "close_time").cast(pl.Datetime("us", "UTC"))
    return pl.DataFrame(columns).with_columns(times)
