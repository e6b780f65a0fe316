"""Trailing indicators: aggregates over past sessions, the current one excluded, fixed at the open.

`SessionWindow` keeps one value a symbol and session (daily bars, or an expression summed over a session); `MinuteWindow` keeps
one a symbol, session and minute of session. Both move one session at a time and never depend on where the run started:
integer sums are exact, float sums are added afresh, oldest first.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bt.exact import quotient, scaled

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Trailed(NamedTuple):
    """An indicator at one session: values (NaN where unknown), which are unknown, and sessions used. One entry a
    symbol, or (minutes, symbols); of the minutes of session in `slots` alone where it is given."""

    values: Floats
    null: npt.NDArray[np.bool_]
    used: IntArray
    slots: IntArray | None = None

    def rows(self, slot: IntArray) -> IntArray:
        """Where the minutes of session `slot` are, which must be among `slots`."""
        return slot if self.slots is None else np.searchsorted(self.slots, slot)


def shifted(day: date, period: str) -> date:
    """`day` minus a calendar period "3w", "3m" or "1y"; the day of month is clipped to the month's last."""
    number = int(period[:-1])
    if period[-1] == "w":
        return day - timedelta(weeks=number)
    months = number * (12 if period[-1] == "y" else 1)
    year, month = divmod(day.year * 12 + day.month - 1 - months, 12)
    for last in (day.day, 30, 29, 28):
        try:
            return date(year, month + 1, last)
        except ValueError:
            continue
    raise AssertionError("every month has 28 days")


def first_session(names: Sequence[date], at: int, period: str) -> int:
    """Index of the first session of ``[session - period, session)`` for session number `at` of `names`.

    Below 0 when "Nd" reaches back past the schedule's first session.
    """
    if period[-1] == "d":
        return at - int(period[:-1])
    return bisect_left(names, shifted(names[at], period), 0, at)


def _divided(total: Array, count: Array | int, scale: Array) -> Floats:
    """total / (count x scale), rounded once; 0 / 0 is NaN."""
    return quotient(total, count * scale)


def _added(stack: Array) -> Array:
    """Sums down axis 0, row by row, oldest first. NumPy's own adds a single column in another order than several."""
    total: Array = np.zeros_like(stack[0])
    for row in stack:
        total += row
    return total


def _counted(present: npt.NDArray[np.bool_]) -> IntArray:
    """How many are present down axis 0."""
    total = np.zeros(present.shape[1], dtype=np.int64)
    for a in range(0, len(present), 255):  # bytes are added fastest, and hold so many
        total += np.add.reduce(present[a : a + 255].view(np.uint8), axis=0, dtype=np.uint8)
    return total


def _combine(stack: Array, present: npt.NDArray[np.bool_], count: IntArray, aggregate: str, scale: Array) -> Floats:
    """`aggregate` down axis 0 of (sessions, symbols), which is 0 where nothing is present; garbage where nothing ever is."""
    if aggregate in ("avg", "sum"):
        return _divided(_added(stack), count if aggregate == "avg" else 1, scale)
    if aggregate in ("first", "last"):
        at = present.argmax(axis=0) if aggregate == "first" else len(present) - 1 - present[::-1].argmax(axis=0)
        return _divided(np.take_along_axis(stack, at[None], axis=0)[0], 1, scale)
    if aggregate in ("max", "min"):
        extreme = np.max if aggregate == "max" else np.min
        made = extreme(stack, axis=0)
        some = np.flatnonzero((count < len(present)) & (made == 0))  # it may be the 0 where nothing is present
        if len(some):
            wide: Any = np.iinfo(np.int64) if stack.dtype.kind == "i" else np.finfo(np.float64)
            least = wide.min if aggregate == "max" else wide.max
            made[some] = extreme(np.where(present[:, some], stack[:, some], least), axis=0)
        return _divided(made, 1, scale)
    values = _divided(stack, 1, scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = _added(values) / count
        spread = np.where(present, values - mean, 0.0)
        return np.asarray(np.sqrt(_added(spread * spread) / (count - 1)))


def _masked(values: Floats, used: IntArray, aggregate: str, min_sessions: int) -> Trailed:
    null = used < max(min_sessions, 2 if aggregate == "std" else 1)
    return Trailed(np.where(null, np.nan, values), null, used)


class SessionWindow:
    """The last sessions' values of one quantity, one a symbol.

    Parameters
    ----------
    symbols : int
    scale : array of int
        What whole numbers must be divided by: each symbol's 10^k for prices, else 1. Where it is 0 (no tick grid), values
        are kept as floats and summed as floats.
    """

    def __init__(self, symbols: int, scale: IntArray) -> None:
        self._symbols = symbols
        self._scale = np.maximum(scale, 1)
        self._rough = scale == 0
        self._base, self._low, self._high = 0, 0, 0
        self._present = np.zeros((0, symbols), dtype=bool)
        # one row a session from number `_base` on, of which `_low` to `_high` - 1 are in use; 0 where nothing is present
        self._whole: Array = np.zeros((0, symbols), dtype=np.int64)
        self._floats = np.zeros((0, symbols))

    def add(self, session: int, code: IntArray, values: Array) -> None:
        """The values of session number `session`: one for each symbol in `code`."""
        self._reach(session)
        row = session - self._base
        for table in (self._present, self._whole, self._floats):
            if len(table):
                table[row] = 0
        self._fill(row, code, values)

    def replace(self, session: int, gone: IntArray, code: IntArray, values: Array) -> None:
        """Of session number `session` the values of the symbols `gone` are others: one for each in `code`, which are among them."""
        self._reach(session)
        row = session - self._base
        for table in (self._present, self._whole, self._floats):
            if len(table):
                table[row, gone] = 0
        self._fill(row, code, values)

    def _fill(self, row: int, code: IntArray, values: Array) -> None:
        self._present[row, code] = True
        if len(self._floats):
            self._floats[row, code] = values
        if len(self._whole) and len(code):
            if values.dtype.kind not in "iu":
                if (self._scale != 1).any():
                    values = scaled(values, self._scale[code])
                else:
                    self._whole = self._whole.astype(np.float64, copy=False)
            self._whole[row, code] = values

    def _reach(self, session: int) -> None:
        """Have a row for `session`, beside those in use."""
        if self._low == self._high:
            self._low, self._high = session, session
        low, high = min(self._low, session), max(self._high, session + 1)
        if low < self._base or high > self._base + len(self._present):
            room = (high - low) * 5 // 4 + 16
            self._present = self._moved(self._present, low, room)
            if not self._rough.all():
                self._whole = self._moved(self._whole, low, room)
            if self._rough.any():
                self._floats = self._moved(self._floats, low, room)
            self._base = low
        self._low, self._high = low, high

    def _moved(self, table: npt.NDArray[Any], low: int, room: int) -> npt.NDArray[Any]:
        """The rows in use in a table of `room` rows that begins with session `low`."""
        made = np.zeros((room, self._symbols), dtype=table.dtype)
        used = table[max(self._low - self._base, 0) : max(self._high - self._base, 0)]
        made[self._low - low : self._low - low + len(used)] = used
        return made

    def forget(self, before: int) -> None:
        """Drop sessions numbered below `before`."""
        self._low = max(self._low, min(before, self._high))

    def at(self, first: int, stop: int, aggregate: str, min_sessions: int) -> Trailed:
        """The aggregate over sessions first <= s < stop."""
        rows = slice(max(first, self._low) - self._base, min(stop, self._high) - self._base)
        if rows.stop <= rows.start:
            nothing = np.zeros(self._symbols, dtype=np.int64)
            return _masked(np.full(self._symbols, np.nan), nothing, aggregate, min_sessions)
        present = self._present[rows]
        used = _counted(present)
        values = np.zeros(self._symbols)
        if not self._rough.all():
            values = _combine(self._whole[rows], present, used, aggregate, self._scale)
        if self._rough.any():
            rough = _combine(self._floats[rows], present, used, aggregate, np.ones(self._symbols))
            values = np.where(self._rough, rough, values)
        return _masked(values, used, aggregate, min_sessions)


def _place(days: Sequence[tuple[Any, ...]], session: int) -> int:
    """How many of the sorted `days` (session first) are not after a session: nearly always all."""
    place = len(days)
    while place and days[place - 1][0] > session:
        place -= 1
    return place


def _merged(old: IntArray, known: Array, at: IntArray, values: Array) -> tuple[IntArray, Array]:
    """Cells and values of a session with those of further symbols."""
    if not len(old) or not len(at):
        return (at, values) if not len(old) else (old, known)
    return np.concatenate([old, at]), np.concatenate([known, values])


class MinuteWindow:
    """The last sessions' values of one quantity by minute of session: for one period and aggregate.

    Sessions enter with `add`, in order. Whole numbers (volumes, prices on a grid) keep a running exact sum for avg and sum;
    everything else, and every symbol whose `scale` is 0, is combined afresh each session.
    """

    def __init__(self, symbols: int, scale: IntArray, aggregate: str) -> None:
        self._symbols = symbols
        self._aggregate = aggregate
        self._running = aggregate in ("avg", "sum") and bool((scale > 0).any())
        self._scale = np.maximum(scale, 1)
        self._exact = (scale > 0) if self._running else np.zeros(symbols, dtype=bool)
        self._days: deque[tuple[int, IntArray, Array]] = deque()
        self._sum: IntArray = np.zeros(0, dtype=np.int64)
        self._count: IntArray = np.zeros(0, dtype=np.int64)

    def add(self, session: int, slot: IntArray, code: IntArray, values: Array) -> None:
        """The values of a session, one for each of its bars; of one that is there, those of further symbols."""
        at = slot * self._symbols + code
        place = _place(self._days, session)
        if place and self._days[place - 1][0] == session:
            _, old, known = self._days[place - 1]
            self._days[place - 1] = (session, *_merged(old, known, at, values))
        else:
            self._days.insert(place, (session, at, values))
        if self._running:
            self._grow(int(at.max(initial=-1)) + 1)
            self._sum[at] += self._whole(at, values)
            self._count[at] += 1

    def drop(self, codes: IntArray) -> None:
        """Forget all values of some symbols."""
        gone = np.zeros(self._symbols, dtype=bool)
        gone[codes] = True
        for number, (session, at, values) in enumerate(self._days):
            out = gone[at % self._symbols]
            if out.any():
                if self._running:
                    self._sum[at[out]] -= self._whole(at[out], values[out])
                    self._count[at[out]] -= 1
                self._days[number] = (session, at[~out], values[~out])

    def _whole(self, at: IntArray, values: Array) -> IntArray:
        if values.dtype.kind in "iu":
            return values.astype(np.int64)
        return scaled(values, self._scale[at % self._symbols])

    def _grow(self, size: int) -> None:
        size = -(-size // self._symbols) * self._symbols
        if size > len(self._sum):
            more = np.zeros(size - len(self._sum), dtype=np.int64)
            self._sum, self._count = np.concatenate([self._sum, more]), np.concatenate([self._count, more])

    def forget(self, before: int) -> None:
        """Drop sessions numbered below `before`."""
        while self._days and self._days[0][0] < before:
            _, at, values = self._days.popleft()
            if self._running:
                self._sum[at] -= self._whole(at, values)
                self._count[at] -= 1

    def at(self, minutes: int, min_sessions: int, slots: IntArray | None = None) -> Trailed:
        """The aggregate for each of the first `minutes` slots, or for `slots` (sorted): arrays of shape (minutes, symbols)."""
        asked = np.arange(minutes) if slots is None else slots
        shape = (len(asked), self._symbols)
        if not self._running:
            values, used = self._fold(minutes, asked)
            made = _masked(values.reshape(shape), used.reshape(shape), self._aggregate, min_sessions)
            return made._replace(slots=slots)
        self._grow(minutes * self._symbols)
        total, count = (x.reshape(-1, self._symbols)[asked] for x in (self._sum, self._count))
        values = _divided(total, count if self._aggregate == "avg" else 1, self._scale)
        if not self._exact.all():
            values = np.where(self._exact, values, self._fold(minutes, asked)[0].reshape(shape))
        return _masked(values, count, self._aggregate, min_sessions)._replace(slots=slots)

    def _fold(self, minutes: int, asked: IntArray) -> tuple[Floats, IntArray]:
        """Fold the kept sessions into one value for each symbol at the slots asked for, oldest first."""
        place = np.full(minutes, -1, dtype=np.int64)
        place[asked] = np.arange(len(asked))
        days = [self._cells(at, values, place) for _, at, values in self._days]
        size = len(asked) * self._symbols
        used = np.zeros(size, dtype=np.int64)
        total, square = np.zeros(size), np.zeros(size)
        for at, values in days:
            fresh = used[at] == 0
            used[at] += 1
            if self._aggregate in ("avg", "sum", "std"):
                total[at] += values
            elif self._aggregate == "last":
                total[at] = values
            elif self._aggregate == "first":
                total[at] = np.where(fresh, values, total[at])
            elif self._aggregate == "max":
                total[at] = np.where(fresh, values, np.maximum(total[at], values))
            else:
                total[at] = np.where(fresh, values, np.minimum(total[at], values))
        with np.errstate(invalid="ignore", divide="ignore"):
            if self._aggregate == "avg":
                return total / used, used
            if self._aggregate == "std":
                mean = total / used
                for at, values in days:
                    square[at] += (values - mean[at]) ** 2
                return np.sqrt(square / (used - 1)), used
        return total, used

    def _cells(self, at: IntArray, values: Array, place: IntArray) -> tuple[IntArray, Floats]:
        """A session's values at the slots that have a place, and the cell of each."""
        slot, code = np.divmod(at, self._symbols)
        row = place[np.minimum(slot, len(place) - 1)]
        kept = (row >= 0) & (slot < len(place))
        return row[kept] * self._symbols + code[kept], values[kept].astype(np.float64)


class CumulativeWindow:
    """The mean over the last sessions of what had been added up to each minute of session: of a session's running volume.

    A session counts for the symbols that have any bar in it, at the minutes it has. Whole numbers are kept as the change of
    sum and count from minute to minute, so that sessions enter and leave exactly; floats are added afresh, oldest first.
    """

    def __init__(self, symbols: int, *, exact: bool) -> None:
        self._symbols = symbols
        self._exact = exact
        self._days: deque[tuple[int, IntArray, Array, int]] = deque()
        self._sum: IntArray = np.zeros((0, symbols), dtype=np.int64)
        self._count: IntArray = np.zeros((0, symbols), dtype=np.int64)

    def add(self, session: int, slot: IntArray, code: IntArray, values: Array, minutes: int) -> None:
        """The values of a session of so many `minutes`, one for each of its bars; of one that is there, those of further symbols."""
        at = slot * self._symbols + code
        place = _place(self._days, session)
        if place and self._days[place - 1][0] == session:
            _, old, known, _ = self._days[place - 1]
            self._days[place - 1] = (session, *_merged(old, known, at, values), minutes)
        else:
            self._days.insert(place, (session, at, values, minutes))
        if self._exact:
            if minutes >= len(self._sum):
                more = np.zeros((minutes + 1 - len(self._sum), self._symbols), dtype=np.int64)
                self._sum, self._count = np.concatenate([self._sum, more]), np.concatenate([self._count, more])
            self._enter(at, values, minutes, 1)

    def drop(self, codes: IntArray) -> None:
        """Forget all values of some symbols."""
        gone = np.zeros(self._symbols, dtype=bool)
        gone[codes] = True
        for number, (session, at, values, minutes) in enumerate(self._days):
            out = gone[at % self._symbols]
            if out.any():
                if self._exact:
                    self._enter(at[out], values[out], minutes, -1)
                self._days[number] = (session, at[~out], values[~out], minutes)

    def _enter(self, at: IntArray, values: Array, minutes: int, sign: int) -> None:
        whole = values.astype(np.int64) * sign
        self._sum.reshape(-1)[at] += whole
        code = at % self._symbols
        total = np.zeros(self._symbols, dtype=np.int64)
        np.add.at(total, code, whole)
        self._sum[minutes] -= total
        present = np.bincount(code, minlength=self._symbols) > 0
        self._count[0] += sign * present
        self._count[minutes] -= sign * present

    def forget(self, before: int) -> None:
        """Drop sessions numbered below `before`."""
        while self._days and self._days[0][0] < before:
            _, at, values, minutes = self._days.popleft()
            if self._exact:
                self._enter(at, values, minutes, -1)

    def at(self, minutes: int, min_sessions: int, slots: IntArray | None = None) -> Trailed:
        """The mean at each of the first `minutes` slots, or at `slots` (sorted): arrays of shape (minutes, symbols)."""
        asked = np.arange(minutes) if slots is None else slots
        if not len(asked):
            nothing = np.zeros((0, self._symbols))
            return Trailed(nothing, nothing > 0, nothing.astype(np.int64), slots)
        if self._exact:
            size = int(asked[-1]) + 1
            pad = np.zeros((max(size - len(self._sum), 0), self._symbols), dtype=np.int64)
            # each row of the steps is added once: up to the first slot asked for, from there to the second, ...
            begins = np.append(0, asked[:-1] + 1)
            total, count = (
                np.cumsum(np.add.reduceat(np.concatenate([x[:size], pad]), begins, axis=0), axis=0)
                for x in (self._sum, self._count)
            )
            return _masked(_divided(total, count, np.ones(1, np.int64)), count, "avg", min_sessions)._replace(
                slots=slots
            )
        rough, used = np.zeros((minutes, self._symbols)), np.zeros((minutes, self._symbols), dtype=np.int64)
        for _, at, values, length in self._days:
            day = np.zeros((length, self._symbols))
            day.reshape(-1)[at] = values
            present = np.zeros(self._symbols, dtype=bool)
            present[at % self._symbols] = True
            rough[:length] += np.cumsum(day, axis=0)[:minutes]
            used[:length] += present
        with np.errstate(invalid="ignore", divide="ignore"):
            made = _masked(rough[asked] / used[asked], used[asked], "avg", min_sessions)
        return made._replace(slots=slots)
