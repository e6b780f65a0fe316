"""The last sessions' values of one quantity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bt.exact import scaled
from bt.indicators.folding import Array, IntArray, Trailed, combine, counted, masked


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
            return masked(np.full(self._symbols, np.nan), nothing, aggregate, min_sessions)
        present = self._present[rows]
        used = counted(present)
        values = np.zeros(self._symbols)
        if not self._rough.all():
            values = combine(self._whole[rows], present, used, aggregate, self._scale)
        if self._rough.any():
            rough = combine(self._floats[rows], present, used, aggregate, np.ones(self._symbols))
            values = np.where(self._rough, rough, values)
        return masked(values, used, aggregate, min_sessions)
