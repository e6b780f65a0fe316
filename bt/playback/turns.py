"""Whose turn it is when: a session's bars put in the order in which they are played, and its minutes in tables."""

from __future__ import annotations

import numpy as np

from bt.jit import BoolTable, FloatCube, FloatTable, IntArray, ReadInts, compiled


@compiled
def in_turn(
    code: ReadInts, begin: ReadInts, end: ReadInts, minutes: int
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Canonical bars by (end, code), counted and not compared: the row, code and begin of each, and by e the first that ends when e minutes are over, with how many
    there are as the last.
    """
    start = np.zeros(minutes + 2, dtype=np.int64)
    for row in range(len(end)):
        start[end[row] + 1] += 1
    for at in range(1, len(start)):
        start[at] += start[at - 1]
    free = start.copy()
    order, codes = np.empty(len(end), dtype=np.int64), np.empty(len(end), dtype=np.int64)
    begins = np.empty(len(end), dtype=np.int64)
    for row in range(len(end)):
        place = free[end[row]]
        free[end[row]] = place + 1
        order[place], codes[place], begins[place] = row, code[row], begin[row]
    return order, codes, begins, start


@compiled
def lay_out(values: FloatTable, start: ReadInts, place: ReadInts, symbols: int) -> tuple[FloatCube, BoolTable]:
    """Fields of some minutes' bars, (fields, bars), as a table (minutes, fields, symbols), NaN where a symbol has none, and which have one, (minutes, symbols). Minute m has the
    bars from ``start[m]`` to ``start[m + 1]``, each of the symbol at its `place`.
    """
    minutes = len(start) - 1
    table = np.full((minutes, len(values), symbols), np.nan)
    has = np.zeros((minutes, symbols), dtype=np.bool_)
    for minute in range(minutes):
        for bar in range(start[minute], start[minute + 1]):
            has[minute, place[bar]] = True
        for field in range(len(values)):
            for bar in range(start[minute], start[minute + 1]):
                table[minute, field, place[bar]] = values[field, bar]
    return table, has
