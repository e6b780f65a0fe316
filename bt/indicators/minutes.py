"""The last sessions' values of one quantity, minute by minute of the session."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from bt.exact import scaled
from bt.indicators.folding import Array, Floats, IntArray, Trailed, divided, masked


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
            made = masked(values.reshape(shape), used.reshape(shape), self._aggregate, min_sessions)
            return made._replace(slots=slots)
        self._grow(minutes * self._symbols)
        total, count = (x.reshape(-1, self._symbols)[asked] for x in (self._sum, self._count))
        values = divided(total, count if self._aggregate == "avg" else 1, self._scale)
        if not self._exact.all():
            values = np.where(self._exact, values, self._fold(minutes, asked)[0].reshape(shape))
        return masked(values, count, self._aggregate, min_sessions)._replace(slots=slots)

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
            return masked(divided(total, count, np.ones(1, np.int64)), count, "avg", min_sessions)._replace(slots=slots)
        rough, used = np.zeros((minutes, self._symbols)), np.zeros((minutes, self._symbols), dtype=np.int64)
        for _, at, values, length in self._days:
            day = np.zeros((length, self._symbols))
            day.reshape(-1)[at] = values
            present = np.zeros(self._symbols, dtype=bool)
            present[at % self._symbols] = True
            rough[:length] += np.cumsum(day, axis=0)[:minutes]
            used[:length] += present
        with np.errstate(invalid="ignore", divide="ignore"):
            made = masked(rough[asked] / used[asked], used[asked], "avg", min_sessions)
        return made._replace(slots=slots)


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
