"""Whose turn it is when: a session's bars put in the order in which they are played, and its minutes in tables."""

from __future__ import annotations

import numpy as np

from bt.jit import LINE, BoolTable, FloatCube, IntArray, ReadFloats, ReadInts, compiled, prefetch

AHEAD = 4
"""So many symbols before it is their turn their numbers are brought near."""


@compiled
def starts(begin: ReadInts, end: ReadInts, minutes: int) -> tuple[IntArray, IntArray]:
    """By e how many bars end before e minutes are over, with how many there are as the last; and the slot at which those begin that end then."""
    start, began = np.zeros(minutes + 2, dtype=np.int64), np.zeros(minutes + 1, dtype=np.int64)
    for row in range(len(end)):
        start[end[row] + 1] += 1
        began[end[row]] = begin[row]
    for at in range(1, len(start)):
        start[at] += start[at - 1]
    return start, began


@compiled
def in_turn(code: ReadInts, end: ReadInts, free: IntArray) -> tuple[IntArray, IntArray]:
    """Canonical bars by (end, code), counted and not compared: the row and code of each. `free` has by e the first place of those that end when e minutes are
    over, and is used up.
    """
    order, codes = np.empty(len(end), dtype=np.int64), np.empty(len(end), dtype=np.int64)
    for row in range(len(end)):
        place = free[end[row]]
        free[end[row]] = place + 1
        order[place], codes[place] = row, code[row]
    return order, codes


@compiled
def find_rows(  # noqa: PLR0917 - a compiled function takes no objects
    moment: ReadInts, over: ReadInts, first: int, begin: IntArray, stop: IntArray, has: BoolTable
) -> None:
    """Find the canonical rows of the moments from number `first` on, one for each of `has` (moments, symbols), which tells afterwards who has one when.

    `moment` is each row's. A symbol's are from its `begin` to its `stop`; before the call that says where to look from on. Its last is before `over`.
    """
    has[:] = False
    for symbol in range(len(over)):
        row = stop[symbol]
        while row < over[symbol] and moment[row] < first:
            row += 1
        begin[symbol] = row
        while row < over[symbol] and moment[row] < first + len(has):
            has[moment[row] - first, symbol] = True
            row += 1
        stop[symbol] = row


@compiled
def lay_out(  # noqa: PLR0917 - as above
    values: ReadFloats, moment: ReadInts, first: int, begin: ReadInts, stop: ReadInts, field: int, table: FloatCube
) -> None:
    """One field of the rows that `find_rows` has found as its part of a table (moments, fields, symbols), NaN where there is none."""
    table[:, field] = np.nan
    for symbol in range(len(begin)):
        ahead = min(symbol + AHEAD, len(begin) - 1)
        for row in range(begin[ahead], stop[ahead], LINE):
            prefetch(values, row)
        for row in range(begin[symbol], stop[symbol]):
            table[moment[row] - first, field, symbol] = values[row]
