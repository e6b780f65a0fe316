"""Bars ready to be replayed: columns, a session of them, and what a book may look back to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bt.model.actions import Action
from bt.model.times import Int64Array, Session


class Column(NamedTuple):
    """Values with a mask of the rows where they are not known (None: all are)."""

    values: npt.NDArray[Any]
    null: npt.NDArray[np.bool_] | None = None

    def pick(self, rows: npt.NDArray[Any]) -> Column:
        """Some of the rows."""
        return Column(self.values[rows], None if self.null is None else self.null[rows])

    def nan_as_null(self) -> Column:
        """The same, not known where a number is NaN either."""
        if self.values.dtype.kind != "f" or not (nan := np.isnan(self.values)).any():
            return self
        return Column(self.values, nan if self.null is None else self.null | nan)


class Traded(NamedTuple):
    """Minute bars sorted by code and time: open_time in UTC microseconds, open and close in currency."""

    code: Int64Array
    open_time: Int64Array
    open: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]


@dataclass(frozen=True)
class PreparedBars:
    """The bars of one interval in one session, sorted by (code, end).

    `end` is the slot count at which a bar is known (a minute bar of slot s ends at s + 1), `begin` the slot at which it starts.
    """

    code: npt.NDArray[np.integer[Any]]
    begin: npt.NDArray[np.integer[Any]]
    end: npt.NDArray[np.integer[Any]]
    columns: Mapping[str, Column]

    def only(self, seen: npt.NDArray[np.bool_]) -> PreparedBars:
        """The bars of symbols whose code is marked."""
        rows = seen[self.code]
        if rows.all():
            return self
        columns = {name: column.pick(rows) for name, column in self.columns.items()}
        return PreparedBars(self.code[rows], self.begin[rows], self.end[rows], columns)


@dataclass(frozen=True)
class BarHistory:
    """Bars of one interval of some sessions, sorted by code, session and end: rows start[code] to start[code + 1] are a symbol's.

    `key` is session x STRIDE + end, with the session's number in the schedule and the slot count at which the bar is known. `columns` are
    open_time, close_time (UTC microseconds), open, high, low, close, volume.
    """

    STRIDE: ClassVar[int] = 1 << 16

    start: Int64Array
    key: Int64Array
    columns: Mapping[str, npt.NDArray[Any]]

    def begins(self, code: int) -> int:
        """A symbol's first row."""
        return int(self.start[code])

    def since(self, code: int, session: int) -> int:
        """A symbol's first row of session number `session` or later."""
        return self._row(code, session * self.STRIDE, "left")

    def until(self, code: int, session: int, elapsed: int) -> int:
        """The row after a symbol's last that is known when `elapsed` minutes of session number `session` are over."""
        return self._row(code, session * self.STRIDE + elapsed, "right")

    def _row(self, code: int, key: int, side: Literal["left", "right"]) -> int:
        a, b = int(self.start[code]), int(self.start[code + 1])
        return a + int(np.searchsorted(self.key[a:b], key, side=side))


def high_low(
    bars: PreparedBars, read: Callable[[], PreparedBars] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """The highs and lows of a session's minute bars; where they have none, from the bars that `read` gives, every one of the session; None without it."""
    every, at = bars, None
    if "high" not in bars.columns:
        if read is None:
            return None
        every = read()
        own, all_ = (some.code * (int(every.end.max(initial=0)) + 1) + some.begin for some in (bars, every))
        at = np.searchsorted(all_, own)
    high, low = (every.columns[name].values for name in ("high", "low"))
    return (high, low) if at is None else (high[at], low[at])


@dataclass(frozen=True)
class PreparedSession:
    """One session, ready to be replayed.

    Attributes
    ----------
    minutes : PreparedBars
        Every good minute bar that was read, with open, close and volume: what fills and marks need.
    shown : mapping of int to PreparedBars
        By interval in minutes, the bars that strategies are shown, with their columns.
    unseen : mapping of int to PreparedBars
        Of intervals that are shown at timers only, every bar, without columns: time steps through their ends all the same.
    closing : mapping of int to float
        A symbol's code to the price stamped at the close, where `close_price = "closing_print"` asks for it.
    histories : mapping of int to BarHistory
        By interval in minutes, what `book.bars` may reach: earlier bars and those of the window.
    members : array or None
        Codes of the session's universe, sorted; None when every symbol is a member.
    ranking : array or None
        The same codes by rank.
    usual : int32 array (minutes, symbols) or None
        Twice the minutes that each symbol usually has by the end of each minute, 0 where not known (`bt.completeness`); None
        where nothing asks for completeness.
    decided : mapping of int to mapping of str to Column
        By the number of a strategy with signals, each signal's values in the rows of `minutes`, in their order: int64 or float64 numbers, null
        where nothing is decided, and booleans, False there (`bt.prepare.decided`).
    actions : sequence of Action
        What is applied at the open, in that order.
    extremes : callable or None
        Reads the session's minute bars with high and low, where `minutes` lacks them and orders may still need them.
    """

    session: Session
    minutes: PreparedBars
    shown: Mapping[int, PreparedBars]
    closing: Mapping[int, float] = field(default_factory=dict)
    members: Int64Array | None = None
    ranking: Int64Array | None = None
    usual: npt.NDArray[np.int32] | None = None
    histories: Mapping[int, BarHistory] = field(default_factory=dict)
    unseen: Mapping[int, PreparedBars] = field(default_factory=dict)
    decided: Mapping[int, Mapping[str, Column]] = field(default_factory=dict)
    actions: Sequence[Action] = ()
    extremes: Callable[[], PreparedBars] | None = None

    def only(self, seen: npt.NDArray[np.bool_]) -> PreparedSession:
        """The session with the bars of symbols whose code is marked."""
        shown, unseen = ({k: bars.only(seen) for k, bars in some.items()} for some in (self.shown, self.unseen))
        minutes, decided = self.minutes.only(seen), self.decided
        if minutes is not self.minutes:
            rows = seen[self.minutes.code]
            decided = {k: {name: c.pick(rows) for name, c in some.items()} for k, some in decided.items()}
        return replace(self, minutes=minutes, shown=shown, unseen=unseen, decided=decided)
