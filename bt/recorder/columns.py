"""Rows of whole numbers as columns in their table's order: compiled loops, in which no row is laid by on its way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bt.jit import IntArray, IntTable, ReadInts, allocating, compiled, read_only
from bt.schema import MINUTE

_WIDEST = float(1 << 62)
_BITS = 63
_DIGIT = 11
_DIGITS = 1 << _DIGIT
_BLOCK = 16
"""Rows that are turned at a time: few enough to stay near."""


def columns_of(parts: Sequence[IntTable], *keys: int) -> tuple[IntTable, list[IntArray]]:
    """The columns of some rows, one part's behind the other's, each part in the stable order of some of its columns, the first key first; and those orders."""
    columns = np.empty((parts[0].shape[1], sum(map(len, parts))), dtype=np.int64)
    orders, begin = [], 0
    for part in parts:
        order, fits = turn(read_only(np.ascontiguousarray(part).reshape(-1)), np.array(keys), columns, begin)
        if not fits:
            order = np.lexsort([part[:, key] for key in reversed(keys)])
            columns[:, begin : begin + len(part)] = part[order].T
        orders.append(order)
        begin += len(part)
    return columns, orders


@allocating
def merged(rows: ReadInts, width: int, keys: IntArray) -> tuple[IntArray, bool]:
    """One number a row in the order of some columns of rows of `width`, from 0 on, and whether there is: not where it would not fit. Times that lie on minutes, far
    apart, count as their minutes.
    """
    count = len(rows) // width
    made, values = np.zeros(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    room = 1.0
    if count == 0:
        return made, True
    for key in keys:
        low = high = rows[key]
        for row in range(count):
            values[row] = rows[row * width + key]
            low, high = min(low, values[row]), max(high, values[row])
        if float(high) - float(low) > _WIDEST:
            return made, False
        minutes = high - low > MINUTE
        for row in range(count if minutes else 0):
            if values[row] % MINUTE:
                minutes = False
                break
        span = (high - low) // MINUTE + 1 if minutes else high - low + 1
        room *= span
        if room > _WIDEST:
            return made, False
        for row in range(count):
            made[row] = made[row] * span + ((values[row] - low) // MINUTE if minutes else values[row] - low)
    return made, True


@allocating
def order_by(numbers: IntArray) -> IntArray:
    """The stable order of numbers from 0 on. Those that do not lie in order are put there digit by digit, and none is compared with another."""
    count = len(numbers)
    order = np.empty(count, dtype=np.int64)
    most, ordered = 0, True
    for row in range(count):
        order[row] = row
        ordered = ordered and numbers[row] >= most
        most = max(most, numbers[row])
    if ordered:
        return order
    sorted_, moved = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    shift = 0
    while shift < _BITS and most >> shift:
        start = np.zeros(_DIGITS + 1, dtype=np.int64)
        for row in range(count):
            start[(numbers[row] >> shift & _DIGITS - 1) + 1] += 1
        for digit in range(_DIGITS):
            start[digit + 1] += start[digit]
        for row in range(count):
            digit = numbers[row] >> shift & _DIGITS - 1
            place = start[digit]
            start[digit] = place + 1
            sorted_[place], moved[place] = numbers[row], order[row]
        numbers, sorted_ = sorted_, numbers
        order, moved = moved, order
        shift += _DIGIT
    return order


@compiled
def turn(rows: ReadInts, keys: IntArray, columns: IntTable, begin: int) -> tuple[IntArray, bool]:
    """Put rows, ordered by some of their columns, from row `begin` of `columns` on; their order, and whether there is one, as of `merged`: else nothing is done."""
    width = len(columns)
    numbers, fits = merged(rows, width, keys)
    if not fits:
        return numbers, False
    order = order_by(numbers)
    for first in range(0, len(order), _BLOCK):
        last = min(first + _BLOCK, len(order))
        for column in range(width):
            for row in range(first, last):
                columns[column, begin + row] = rows[order[row] * width + column]
    return order, True
