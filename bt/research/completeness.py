"""How complete bars are, without a strategy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from bt.errors import DataError, UsageError
from bt.model import Progress, RunSpec, Session, SessionSpec, instant
from bt.outages import Watch
from bt.prepare import PreparedWindow, Preparer, Reading, plan
from bt.research.asking import Bars, data_asked, day_asked, intervals_asked, minutes_asked
from bt.results import ORDER, conform, empty
from bt.run import Range, check_dates, resolved, session_range
from bt.sessions import TimeManager
from bt.store import Store


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
        last bar. Rows outside the sessions that come before or after these are among `guards`.
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
    labels = {minutes_asked(label): label for label in intervals_asked(intervals)}
    given = data_asked(bars, calendar, symbols, data, "load_quality")
    time = TimeManager(given.calendar)
    begin, finish = (None if d is None else day_asked(name, d) for name, d in (("start", start), ("end", end)))
    if begin is not None and finish is not None:
        check_dates(SessionSpec(begin, finish), time)  # wrong dates are told before files are read
    store = Store.open(given)
    try:
        ends = _sessions_held(time, store) if begin is None or finish is None else (begin, finish)
        _check_held(begin, finish, ends)
        spec = RunSpec(given, resolved(SessionSpec(begin or ends[0], finish or ends[1]), time, store), ())
        time.schedule(*spec.session.dates)
        made_plan, _ = plan([], [label for minutes, label in labels.items() if minutes > 1], store.extra_columns)
        span = session_range(time, store, *spec.session.dates)
        source = Preparer(spec, made_plan, Reading(store, time, span.schedule, span.first, span.last))
        judged, held = _judged(source, span, store.symbols, labels, worst=worst, gap_lists=gap_lists, progress=progress)
        return _from_to(
            judged, held[0] if held and begin is None else None, held[-1] if held and finish is None else None
        )
    finally:
        store.close()


def _judged(
    source: Preparer, span: Range, symbols: Sequence[str], labels: Mapping[int, str], *,
    worst: int, gap_lists: bool, progress: Progress | None,
) -> tuple[Quality, list[date]]:  # fmt: skip
    """The quality of every window of `source`, and the sessions that have a bar of any symbol."""
    source.start()
    names = pl.Series(symbols, dtype=pl.String)
    tables, sessions = [_NO_QUALITY if gap_lists else _NO_QUALITY.drop("gaps")], []
    gaps, guards, held, done = _NO_GAPS, [_NO_GUARDS], [], 0
    watch = Watch(span.last - span.first + 1)
    with closing(source.windows()) as windows:  # before the store is closed: the next one is being read
        for window in windows:
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
            counts = {s.session.name: len(s.minutes.code) for s in window.sessions}
            held += [name for name, count in counts.items() if count]
            done += sum(counts.values())
            if progress is not None:
                progress(len(sessions), span.last - span.first + 1, done)
    table = pl.concat(tables).sort(ORDER["quality"], maintain_order=True)
    return Quality(table, gaps, watch.outages(), guards[0].sort("symbol", "reason"), sessions), held


def _from_to(found: Quality, first: date | None, last: date | None) -> Quality:
    """Without the sessions before `first` and after `last` (None: all), of which there are but rows outside."""
    first, last = first or found.sessions[0].name, last or found.sessions[-1].name
    return found._replace(
        table=found.table.filter(pl.col("session").is_between(first, last)),
        sessions=[session for session in found.sessions if first <= session.name <= last],
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
    """The sessions that the store's first and last row belong to."""
    begins, ends = min(store.first.values()), max(store.last.values())
    for when in (begins, ends):
        _check_known(time, store, when)
    around = timedelta(days=31)  # markets are closed for weeks at most
    first, last = instant(begins).date() - around, instant(ends).date() + around
    schedule = time.schedule(max(first, time.earliest), min(last, time.latest))
    if not ((schedule.close > begins) & (schedule.open <= ends)).any():
        raise DataError(
            f"{store.data.bars}: bars must lie in sessions of {time.calendar}, was {instant(begins):%Y-%m-%d %H:%M} to "
            f"{instant(ends):%Y-%m-%d %H:%M} UTC with none; name the calendar of these bars"
        )
    owner = np.searchsorted(time.borders(schedule), [begins, ends], side="left") - 1
    a, b = np.clip(owner, 0, len(schedule) - 1).tolist()
    return schedule.names[a], schedule.names[b]


def _check_known(time: TimeManager, store: Store, when: int) -> None:
    """Refuse a first or last row that lies outside all that the calendar knows."""
    day = instant(when).date()
    if not time.earliest.toordinal() - 1 <= day.toordinal() <= time.latest.toordinal() + 1:
        file, code = store.spans.filter((pl.col("first") == when) | (pl.col("last") == when)).row(0)[:2]
        raise DataError(
            f"{store.files['path'][file]}: a row must lie within {time.calendar}, {time.earliest} to {time.latest}, was "
            f"{instant(when):%Y-%m-%d %H:%M} UTC in {store.symbols[code]}; drop that row, or leave the symbol out"
        )


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
