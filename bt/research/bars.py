"""Bars as a strategy is shown them, without a strategy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import date
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import polars as pl

from bt.features import Feature, linked
from bt.model import PreparedBars, RunSpec, Session, SessionSpec, slot_times
from bt.prepare import Actions, Preparer, Reading, former_names, open_actions, plan, reading_along
from bt.resample import CLOSED_BY
from bt.research.asking import Bars, data_asked, day_asked, intervals_asked, minutes_asked
from bt.run import check_dates, resolved, session_range
from bt.scans import Wanted, scan
from bt.schema import BAR_COLUMNS, MINUTE
from bt.sessions import TimeManager
from bt.store import Store
from bt.strategy import COARSE_ONLY, CODE, Declaration, RowField, RowType, Source, checked_features, looks_across

TAKEN = frozenset(("symbol", "session", "open_time", "close_time", *BAR_COLUMNS, *COARSE_ONLY, CODE))
"""Columns of the frames, or of what they are made of: no feature may be called so."""


@overload
def load_bars(
    bars: Bars, calendar: str, start: date | str, end: date | str, *, symbols: Sequence[str] | None = None,
    intervals: Sequence[str] = ("1m",), features: Mapping[str, Feature] | None = None, lazy: Literal[False] = False, **data: Any,
) -> dict[str, pl.DataFrame]: ...  # fmt: skip


@overload
def load_bars(
    bars: Bars, calendar: str, start: date | str, end: date | str, *, symbols: Sequence[str] | None = None,
    intervals: Sequence[str] = ("1m",), features: Mapping[str, Feature] | None = None, lazy: Literal[True], **data: Any,
) -> dict[str, pl.LazyFrame]: ...  # fmt: skip


def load_bars(
    bars: Bars,
    calendar: str,
    start: date | str,
    end: date | str,
    *,
    symbols: Sequence[str] | None = None,
    intervals: Sequence[str] = ("1m",),
    features: Mapping[str, Feature] | None = None,
    lazy: bool = False,
    **data: Any,
) -> dict[str, pl.DataFrame] | dict[str, pl.LazyFrame]:
    """Bars that passed the guards, by interval, with features.

    Parameters
    ----------
    bars : path or table
        A store, a file or a glob; or the bars themselves, a Polars DataFrame or LazyFrame or an Arrow table.
    calendar : str
        A name such as "XNYS", or a Parquet file of sessions.
    start, end : date or ISO text
        First and last session, both included; `start` may be "-60 sessions", `end` "last" or "previous".
    symbols : sequence of str, optional
        All by default; or a file with one symbol a line.
    intervals : sequence of str, or one
        Such as ``["1m", "5m", "1d"]``.
    features : mapping of str to Feature, optional
        Further columns of every interval; one of a coarser interval is joined as-of.
    lazy : bool
        True gives LazyFrames of the same rows. They are read a few sessions at a time as they are collected, each interval by itself and each
        time anew: only the columns that a query needs, and of filters on `session` alone or `symbol` alone only what passes. A feature
        that looks at other symbols has all symbols read. The first session is read at once, to know what the columns are.
    **data
        stamp, timezone, price_decimals, columns, actions, adjust, instruments: as [data] in a configuration. The bars are as they were; features look back in
        the terms of their session.

    Returns
    -------
    dict of DataFrame, or of LazyFrame
        By interval. Columns symbol, session (Date), open_time and close_time (Datetime us UTC), open, high, low, close,
        volume; on coarser bars n_obs, n_expected, closed_by; then the features, and for trailing ones ``<name>_sessions``.
        Sorted by session, symbol, time.

    Raises
    ------
    UsageError, DataError, FeatureError
        As `replay`; of lazy frames some only where they are collected.

    Warns
    -----
    UserWarning
        A feature raises for a symbol: it is left out of the session, as a replay drops it.
    """
    asked = SessionSpec(day_asked("start", start), day_asked("end", end))
    spec = RunSpec(data_asked(bars, calendar, symbols, data, "load_bars"), asked, ())
    named = checked_features(features or {}, "load_bars: features", "load_bars", taken=TAKEN)
    labels = intervals_asked(intervals)
    declared = _declaration(labels, linked(named, "load_bars"))
    time = TimeManager(spec.data.calendar)
    check_dates(asked, time)
    store = Store.open(spec.data)
    try:
        spec = replace(spec, session=resolved(asked, time, store))
        if lazy:
            return _lazy(spec, declared, time, store)
        made = _joined(_frames(spec, declared, time, store))
        return {label: made[label] for label in labels}
    finally:
        store.close()


Frames: TypeAlias = dict[str, pl.DataFrame]
"""By interval."""


def _joined(sessions: Iterator[Frames]) -> Frames:
    kept = list(sessions)
    return {label: pl.concat([frames[label] for frames in kept]) for label in kept[0]}


def _frames(
    spec: RunSpec, declared: Declaration, time: TimeManager, store: Store, *, part: Sequence[str] | None = None
) -> Iterator[Frames]:
    """What `declared` shows of a store, session by session; of the symbols `part` alone where they are given."""
    made_plan, ids = plan([declared], (), store.extra_columns)
    opened = open_actions(spec.data)
    along = sorted({*made_plan.also_read, *former_names(opened, store, spec.data.adjust)})
    codes = None if part is None else np.array(sorted(store.symbols.index(s) for s in part), dtype=np.int64)
    with reading_along(store, along) as wider:
        span = session_range(time, store, *spec.session.dates, wider=wider)
        actions = Actions() if opened is None else opened.of(wider.symbols, span.schedule)
        reading = Reading(wider, time, span.schedule, span.first, span.last, codes, actions)
        source = Preparer(spec, replace(made_plan, judged=False), reading)
        source.start()
        with closing(source.windows()) as windows:  # before the store is closed: the next one is being read
            for window in windows:
                if said := window.left_out(store.symbols):
                    warnings.warn(f"load_bars: {said}", stacklevel=2)
                for prepared in window.sessions:
                    yield {
                        row.label: _frame(prepared.session, prepared.shown[row.interval], fields, store.symbols)
                        for row, fields in zip(declared.rows, ids[0], strict=True)
                    }


def _lazy(spec: RunSpec, declared: Declaration, time: TimeManager, store: Store) -> dict[str, pl.LazyFrame]:
    """The frames of `declared`, each read when it is collected."""
    span = session_range(time, store, *spec.session.dates)
    names = span.schedule.names[span.first : span.last + 1]
    day = replace(spec, session=replace(spec.session, start=names[0], end=names[0]))
    first = _joined(_frames(day, declared, time, store))
    across = looks_across(None, (), (), declared.features) != ""

    def reader(label: str) -> Callable[[Wanted], Iterator[pl.DataFrame]]:
        row = next(r for r in declared.rows if r.label == label)

        def read(wanted: Wanted) -> Iterator[pl.DataFrame]:
            asked = _reduced(declared, row, wanted.columns)
            reopened = Store.open(spec.data)
            try:
                for a, b in wanted.sessions:
                    session = replace(spec.session, start=names[a], end=names[b])
                    part = None if across else wanted.symbols
                    for frames in _frames(replace(spec, session=session), asked, time, reopened, part=part):
                        yield frames[label]
            finally:
                reopened.close()

        return read

    return {label: scan(reader(label), first[label].schema, names, store.symbols) for label in first}


def _reduced(declared: Declaration, row: RowType, columns: Sequence[str]) -> Declaration:
    """One row type with the fields among `columns` alone."""
    fields = tuple(f for f in row.fields if f.name in columns) or row.fields[:1]
    names = {f.name.removesuffix("_sessions") for f in fields} | {f.name for f in fields}
    features = {name: feature for name, feature in declared.features.items() if name in names}
    return replace(declared, rows=(replace(row, fields=fields),), features=features)


def _declaration(intervals: Sequence[str], features: Mapping[str, Feature]) -> Declaration:
    rows = []
    for label in dict.fromkeys(intervals):
        interval = minutes_asked(label)
        fields = [RowField(c, "bar", "float", optional=True) for c in BAR_COLUMNS]
        if interval > 1:
            fields += [RowField(c, "coarse", "int", optional=True) for c in COARSE_ONLY]
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
