"""Forward returns of rows, from the minute bars that came after them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bt.model import Column, Traded
from bt.schema import MINUTE
from bt.strategy import ForwardReturn

IntArray = npt.NDArray[np.int64]


def forward(label: ForwardReturn, code: IntArray, known_at: IntArray, traded: Traded, until: int) -> Column:
    """The label of rows of the symbols `code` that are known at `known_at` (UTC microseconds): exit / entry - 1.

    Null where the period ends after `until`, and where no bar opens between the row and the period's end.
    """
    n = len(traded.code)
    if not n or not len(code):
        return Column(np.full(len(code), np.nan), np.ones(len(code), dtype=bool))
    end = known_at + label.minutes * MINUTE
    opened = _key(traded.code, traded.open_time)
    last = np.searchsorted(opened, _key(code, end - MINUTE), side="right") - 1  # it closed by then
    if label.price == "next_open":
        first = np.searchsorted(opened, _key(code, known_at))
        price = traded.open
        there = (first < n) & (last >= first)
    else:
        first = np.searchsorted(opened, _key(code, known_at - MINUTE), side="right") - 1
        price = traded.close
        there = first >= 0
    at = np.where(there, first, 0), np.where(there, last, 0)
    there &= (traded.code[at[0]] == code) & (traded.code[at[1]] == code) & (end <= until)
    values = np.full(len(code), np.nan)
    values[there] = traded.close[at[1][there]] / price[at[0][there]] - 1.0
    return Column(values, None if there.all() else ~there)


def _key(code: IntArray, time: IntArray) -> IntArray:
    """Orders by symbol, then by minute."""
    return code * (1 << 32) + time // MINUTE
