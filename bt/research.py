"""Research frames: the same columns a strategy is shown, without a strategy."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bt.features import Feature
from bt.model import DataSpec, PreparedBars, RunSpec, Session, SessionSpec, slot_times
from bt.prepare import Preparer, plan
from bt.resample import CLOSED_BY
from bt.run import session_range
from bt.schema import BAR_COLUMNS, MINUTE, interval_minutes
from bt.sessions import TimeManager
from bt.store import Store
from bt.strategy import Declaration, RowField, RowType


def load_bars(
    bars: str | os.PathLike[str],
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
    bars : path
        A store, a file or a glob.
    calendar : str
    start, end : date or ISO text
        First and last session, both included.
    symbols : sequence of str, optional
        All by default.
    intervals : sequence of str
        Such as ``["1m", "5m", "1d"]``.
    features : mapping of str to Feature, optional
        Further columns of every interval; one of a coarser interval is joined as-of.
    **data
        stamp, timezone, price_decimals, columns: as [data] in a configuration.

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
    begin = date.fromisoformat(start) if isinstance(start, str) else start
    finish = date.fromisoformat(end) if isinstance(end, str) else end
    path = str(Path.cwd() / bars)
    spec = RunSpec(
        DataSpec(path, calendar, None if symbols is None else tuple(symbols), **data), SessionSpec(begin, finish), ()
    )
    declared = _declaration(intervals, features or {})
    time = TimeManager(calendar)
    time.schedule(begin, finish)
    store = Store.open(spec.data)
    try:
        made_plan, ids = plan([declared], (), store.extra_columns)
        span = session_range(time, store, begin, finish)
        source = Preparer(
            spec, made_plan, store=store, time=time, schedule=span.schedule, first=span.first, last=span.last
        )
        source.start()
        found: dict[str, list[pl.DataFrame]] = {label: [] for label in intervals}
        for window in source.windows():
            for prepared in window.sessions:
                for row, fields in zip(declared.rows, ids[0], strict=True):
                    frame = _frame(prepared.session, prepared.bars[row.interval], fields, store.symbols)
                    found[row.label].append(frame)
    finally:
        store.close()
    return {label: pl.concat(frames) for label, frames in found.items()}


def _declaration(intervals: Sequence[str], features: Mapping[str, Feature]) -> Declaration:
    rows = []
    for label in dict.fromkeys(intervals):
        interval = interval_minutes(label)
        fields = [RowField(c, "bar", "float", optional=True) for c in BAR_COLUMNS]
        if interval > 1:
            fields += [RowField(c, "coarse", "int", optional=True) for c in ("n_obs", "n_expected", "closed_by")]
        for name, feature in features.items():
            fields.append(RowField(name, "feature", "float", optional=True))
            if feature.kind == "trailing":
                fields.append(RowField(f"{name}_sessions", "feature", "int", optional=True))
        rows.append(RowType(object, interval, label, tuple(fields)))
    rows.sort(key=lambda r: r.interval)
    return Declaration("load_bars", None, tuple(rows), features, frozenset(), "", "")


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
