"""The minute bars of a session as the rules take them: two flat arrays, because a tuple of arrays costs compiled code by the array at every call and look."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bt.execution.layout import NULL
from bt.execution.money import unit
from bt.jit import LINE, FloatArray, IntArray, IntTable, ReadInts, compiled, inner, prefetch, read_only

# where tables begin in the whole numbers; of prices the opens come first, then the closes, then where anybody asks for them highs, lows and volumes, and after these bids and asks
ROWS, SLOTS, LAST_ROW_AT, FIRST_ROW_AT, SLOT_AT, TIME_AT, PRIOR_AT, PRINT_AT, COUNT_AT, HEADER = range(10)


class Tape(NamedTuple):
    """Bars in canonical order (symbol, slot): `whole` numbers and `prices`."""

    whole: IntArray
    prices: FloatArray

    @staticmethod
    def of(
        code: npt.NDArray[np.integer], slot: npt.NDArray[np.integer], opens: FloatArray, closes: FloatArray, *, time: IntArray, prior: IntArray,
        prints: IntArray | None = None,
    ) -> Tape:  # fmt: skip
        """By row `code`, `slot`, `opens` and `closes`; `time` is when each minute begins. By symbol `prior`, the closes as the session opened,
        and `prints`, the prices at the close that are no rows, both in units, NULL without one.
        """
        rows, slots, symbols = len(code), len(time), len(prior)
        sizes = (symbols * slots, symbols, rows, slots, symbols, symbols, slots)
        places = HEADER + np.concatenate([[0], np.cumsum(sizes)])
        whole = np.empty(places[-1], dtype=np.int64)
        whole[:HEADER] = rows, slots, *places[:-1]
        last, first, slot_of, times, priors, printed, count = np.split(whole, places[:-1])[1:]
        slot_of[:], times[:], priors[:] = slot, time, prior
        printed[:] = NULL if prints is None else prints
        codes = read_only(np.ascontiguousarray(code, dtype=np.int64))
        _index(codes, slot_of, last.reshape(symbols, slots), first, count)
        return Tape(whole, np.concatenate([opens, closes]).astype(np.float64, copy=False))

    def widened(self, highs: FloatArray, lows: FloatArray, volumes: FloatArray, *quotes: FloatArray) -> Tape:
        """The same with what orders need that wait for a price, and caps on what fills; `quotes` are bids and asks, where there are some."""
        wide = np.concatenate([self.prices, highs, lows, volumes, *quotes])
        return Tape(self.whole, wide.astype(np.float64, copy=False))

    @property
    def last(self) -> IntArray:
        """(symbols, minutes) the row of each symbol's last bar when a minute ends, -1 before its first."""
        begin, end = self.whole[LAST_ROW_AT], self.whole[FIRST_ROW_AT]
        return self.whole[begin:end].reshape(-1, self.whole[SLOTS])

    @property
    def first(self) -> IntArray:
        """By symbol the row of its first bar; a symbol's rows follow one another."""
        return self.whole[self.whole[FIRST_ROW_AT] : self.whole[SLOT_AT]]

    @property
    def per_minute(self) -> IntArray:
        """How many bars each minute has."""
        return self.whole[self.whole[COUNT_AT] :]

    @property
    def close(self) -> FloatArray:
        """By row the close."""
        rows = int(self.whole[ROWS])
        return self.prices[rows : 2 * rows]


@compiled
def _index(code: ReadInts, slot: IntArray, last: IntTable, first: IntArray, count: IntArray) -> None:
    """Find by symbol its first row, in (symbols, minutes) the row of its last bar when a minute ends, -1 before its first, and by minute the `count` of its bars."""
    row = 0
    count[:] = 0
    for symbol in range(len(first)):
        first[symbol] = row
        mine, known, minute = last[symbol], -1, 0
        while row < len(code) and code[row] == symbol:
            while minute < slot[row]:
                mine[minute] = known
                minute += 1
            count[minute] += 1
            known = row
            row += 1
        while minute < len(mine):
            mine[minute] = known
            minute += 1


@inner
def last_row(t: IntArray, code: int, slot: int) -> int:
    """The row of a symbol's last bar when minute `slot` is over, -1 before its first."""
    return t[t[LAST_ROW_AT] + code * t[SLOTS] + slot]


@inner
def row_of(t: IntArray, code: int, slot: int) -> int:
    """The row of a symbol's bar in a minute, -1 without one."""
    row = t[t[LAST_ROW_AT] + code * t[SLOTS] + slot]
    return row if row >= 0 and t[t[SLOT_AT] + row] == slot else -1


@inner
def slot_of(t: IntArray, row: int) -> int:
    """The minute of a bar."""
    return t[t[SLOT_AT] + row]


@inner
def time_of(t: IntArray, slot: int) -> int:
    """When a minute begins."""
    return t[t[TIME_AT] + slot]


@inner
def open_of(p: FloatArray, row: int) -> float:
    """A bar's open."""
    return p[row]


@inner
def close_of(t: IntArray, p: FloatArray, row: int) -> float:
    """A bar's close."""
    return p[t[ROWS] + row]


@inner
def high_of(t: IntArray, p: FloatArray, row: int) -> float:
    """A bar's high."""
    return p[2 * t[ROWS] + row]


@inner
def low_of(t: IntArray, p: FloatArray, row: int) -> float:
    """A bar's low."""
    return p[3 * t[ROWS] + row]


@inner
def volume_of(t: IntArray, p: FloatArray, row: int) -> float:
    """A bar's volume."""
    return p[4 * t[ROWS] + row]


@inner
def quote_of(t: IntArray, p: FloatArray, row: int, shares: int) -> int:
    """What a buyer pays, or a seller gets, by the quotes at a bar's open, units; NULL without one."""
    price = p[(6 if shares > 0 else 5) * t[ROWS] + row]
    return unit(price) if price > 0.0 else NULL


@inner
def filling_row(t: IntArray, p: FloatArray, code: int, slot: int, skips: int) -> int:
    """The row of a symbol's bar in a minute, -1 without one; with `skips` one without volume is none."""
    row = row_of(t, code, slot)
    return -1 if row >= 0 and skips and volume_of(t, p, row) == 0.0 else row


@inner
def last_filling_row(t: IntArray, p: FloatArray, code: int, slot: int, skips: int) -> int:
    """The row of a symbol's last bar when minute `slot` is over (-1: at the open), -1 before its first; likewise."""
    row = last_row(t, code, slot) if slot >= 0 else -1
    if skips and row >= 0:
        first = t[t[FIRST_ROW_AT] + code]
        while row >= first and volume_of(t, p, row) == 0.0:
            row -= 1
        if row < first:
            return -1
    return row


@inner
def fetch_row(t: IntArray, code: int, slot: int) -> None:
    """Have the processor bring near where a symbol's last bar by a minute is."""
    prefetch(t, t[LAST_ROW_AT] + code * t[SLOTS] + slot)


@inner
def fetch_closes(t: IntArray, p: FloatArray, code: int, begin: int, slot: int) -> None:
    """Likewise the closes of a symbol from its last bar by minute `begin` to that by minute `slot`, and what tells when that began; where they are must be near."""
    row, since = last_row(t, code, slot), max(last_row(t, code, begin), t[t[FIRST_ROW_AT] + code])
    if row >= 0:
        for k in range(since, row, LINE):
            prefetch(p, t[ROWS] + k)
        prefetch(p, t[ROWS] + row)
        prefetch(t, t[SLOT_AT] + row)


@inner
def fetch_next(t: IntArray, p: FloatArray, code: int, row: int, slot: int) -> None:
    """Have the processor bring near what a symbol's orders will ask of its bar after the one in `row`, of minute `slot`."""
    prefetch(t, t[LAST_ROW_AT] + code * t[SLOTS] + slot + 1)
    prefetch(t, t[SLOT_AT] + row + 1)
    prefetch(p, row + 1)
