"""What a window's columns become: quality frames, and sessions ready to be replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.arrays import arrow
from bt.completeness import completeness
from bt.features import column
from bt.model import Column, PreparedBars, PreparedSession, Session, slot_times
from bt.prepare.columns import Grouped, bar_columns, grouped_minutes
from bt.prepare.computing import Computed
from bt.prepare.plan import EXTREMES, Plan
from bt.prepare.presence import Usual
from bt.prepare.tables import Tables
from bt.prepare.window import Minutes
from bt.quality import Grid, quality
from bt.schema import MINUTE

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class PreparedWindow:
    """Some sessions ready to be replayed, and what is known about their rows.

    `quality[i]` and `guards[i]` are frames of session i by symbol code (see `bt.quality.session_quality`,
    `bt.guards.report`; quality has also interval, in minutes). `failed` names the symbols dropped from a session: (session, code) -> why.
    `faults` tells of the first faulty row of each session that has one. `seconds` is the time of each part of the work.
    """

    sessions: list[PreparedSession]
    quality: list[pl.DataFrame]
    guards: list[pl.DataFrame]
    failed: Mapping[tuple[int, int], str]
    faults: Mapping[int, str]
    seconds: Mapping[str, float]

    def left_out(self, symbols: Sequence[str]) -> str:
        """Who was dropped and why, for who tells nobody otherwise; nothing where nobody was."""
        if not self.failed:
            return ""
        names = [one.session.name for one in self.sessions]
        number, code = min(self.failed)
        more = f", and {len(self.failed) - 1:,} more from {names[0]} to {names[-1]}" if len(self.failed) > 1 else ""
        return f"{symbols[code]} is left out of the session {names[number]}{more}: {self.failed[number, code]}"

    def take(self, number: int) -> PreparedSession:
        """Session `number`, to be played; the window lets go of its columns, which go when whoever plays it does so too."""
        taken = self.sessions[number]
        self.sessions[number] = replace(taken, shown={}, unseen={}, decided={})
        return taken


def _columns_of(over: Grouped, rows: slice, names: Iterable[str]) -> PreparedBars:
    """Some bars with some of their columns."""
    columns = {name: _values(over.frame[name][rows]) for name in names}
    return PreparedBars(over.code[rows], over.begin[rows], over.end[rows], columns)


def _values(bars: pl.Series) -> Column:
    """A column of bars: without a value a number is NaN, a whole number not known."""
    return column(bars) if bars.dtype.is_integer() else Column(bars.to_numpy())


def extremes_of(minutes: Minutes) -> list[PreparedBars]:
    """The highs and lows of minute bars, by session."""
    over = grouped_minutes(minutes)
    return [_columns_of(over, over.grouping.at(i), EXTREMES) for i in range(len(minutes.sessions))]


class Extremes:
    """Highs and lows of a window's sessions, read from the first one on of which somebody asks for them: for all that are left at once.

    Parameters
    ----------
    read : callable
        Those of sessions from one number to another, both included.
    first, last : int
        The window's sessions.
    """

    def __init__(self, read: Callable[[int, int], list[PreparedBars]], first: int, last: int) -> None:
        self._read, self._first, self._last = read, first, last
        self._found: dict[int, PreparedBars] = {}

    def of(self, number: int) -> PreparedBars:
        """Those of the window's session `number`."""
        if number not in self._found:
            begin = self._first + number
            self._found = dict(enumerate(self._read(begin, self._last), number))
        return self._found.pop(number)


def _grid(sessions: Sequence[Session], over: Grouped) -> Grid:
    """The minutes or bins of a window's sessions."""
    if over.bins is not None:
        return Grid(over.bins.open_time, over.bins.close_time, over.bins.expected, over.bins.offset)
    times = np.concatenate([slot_times(s) for s in sessions])
    offset = np.concatenate([[0], np.cumsum([s.minutes for s in sessions])]).astype(np.int64)
    return Grid(times, times + MINUTE, np.ones(len(times), dtype=np.int64), offset)


def quality_frames(bars: Mapping[int, Grouped], minutes: Minutes, usual: Sequence[Usual]) -> list[pl.DataFrame]:
    """Quality of every symbol and interval (in minutes), a frame per session of the window; see `bt.quality.quality`.

    Completeness is of the minutes, whatever the interval; `usual` is what it is measured against, by session.
    """
    frames = []
    whole = completeness(np.diff(minutes.bounds), np.concatenate([u.whole for u in usual]))
    values = pl.Series("completeness", arrow(whole.values, absent=whole.null))
    for interval, over in bars.items():
        grid = _grid(minutes.sessions, over)
        if over.bins is not None and over.bin is not None:
            complete = over.frame["n_obs"].to_numpy() == over.bins.expected[over.bin]
            bounds = np.searchsorted(over.group[complete], np.arange(minutes.groups + 1))
            units = over.bin[complete]
            made = quality(bounds, np.flatnonzero(np.diff(units) != 1) + 1, units.__getitem__, minutes.symbols, grid)
        else:
            made = quality(minutes.bounds, minutes.jumps, partial(_units, minutes, grid), minutes.symbols, grid)
        frames.append(made.hstack([pl.Series("interval", np.full(len(made), interval)), values]))
    per = minutes.symbols
    sessions = ([f.slice(i * per, per) for f in frames] for i in range(len(minutes.sessions)))
    return [one[0] if len(one) == 1 else pl.concat(one) for one in sessions]


def _units(minutes: Minutes, grid: Grid, rows: IntArray) -> IntArray:
    """The units of a grid of minutes that some rows are."""
    run = np.searchsorted(minutes.grouping.start, rows, side="right") - 1
    found: IntArray = minutes.slot[rows] + grid.offset[minutes.grouping.number[run] // minutes.symbols]
    return found


def present_so_far(plan: Plan, bars: Mapping[int, Grouped], minutes: Minutes) -> dict[int, IntArray]:
    """The symbol's minutes of the session up to each row's end, for the intervals that show quality or completeness."""
    made: dict[int, IntArray] = {}
    wanted = plan.quality_on | plan.completeness_on
    if not wanted:
        return made
    stride = max(s.minutes for s in minutes.sessions) + 1
    key = minutes.group * stride + minutes.slot
    for interval in wanted:
        over = bars[interval]
        first = np.searchsorted(key, over.group * stride)
        made[interval] = np.searchsorted(key, over.group * stride + over.end) - first
    return made


def prepared_session(
    plan: Plan,
    computed: Computed,
    session: Session,
    number: int,
    *,
    present: Mapping[int, IntArray],
    usual: Usual | None,
    tables: Tables,
    closing: Mapping[int, float],
    traded: Sequence[str],
) -> PreparedSession:
    """The window's session `number`: its minute bars, and the bars of every interval shown, with their columns.

    `present` is `present_so_far` of the whole window, `usual` the past minutes of this session's symbols, `tables` are joined
    as of each bar's end, `closing` is the price of each symbol's row stamped at the close, `traded` are the columns that fills need.
    """
    by_minute = None if usual is None else usual.by_minute
    shown = {}
    for interval, columns in plan.shown.items():
        over = computed.shown[interval]
        rows = over.grouping.at(number)
        found = {name: _values(over.frame[name][rows]) for name in bar_columns(interval, columns)}
        for id_, values in computed.columns[interval].items():
            found[id_] = Column(values.values[rows], None if values.null is None else values.null[rows])
        if interval in plan.quality_on:
            found["quality"] = Column(np.divide(100.0 * present[interval][rows], over.end[rows]))
        if interval in plan.completeness_on and by_minute is not None:
            twice = by_minute[over.end[rows] - 1, over.code[rows]]
            found["completeness"] = completeness(present[interval][rows], twice)
        found |= tables.columns(interval, session, over.code[rows], over.end[rows])
        shown[interval] = PreparedBars(over.code[rows], over.begin[rows], over.end[rows], found)
    minutes = computed.bars[1]
    rows = minutes.grouping.at(number)
    bars = _columns_of(minutes, rows, traded)
    unseen = {}
    for interval in plan.timers:
        if interval > 1:
            over = computed.bars[interval]
            rows = over.grouping.at(number)
            unseen[interval] = _columns_of(over, rows, ())
    return PreparedSession(session, bars, shown, closing, usual=by_minute, unseen=unseen)
