"""Running totals of whole numbers, and what windows of them come to: one pass each, compiled."""

from __future__ import annotations

import numpy as np

from bt.jit import BoolArray, FloatArray, IntArray, ReadFloats, compiled, inner

DOUBLE = 2**53
"""Up to here every whole number is a double."""


@compiled
def running_prices(prices: ReadFloats, first: IntArray, scale: IntArray) -> IntArray:
    """Sums before each price, and of all, length prices + 1: of whole numbers, a price times its run's `scale` rounded.

    `first` is the first row of each run. A total may wrap around: the difference of two of them is right nevertheless.
    """
    total = np.empty(len(prices) + 1, dtype=np.int64)
    total[0] = so_far = 0
    for run in range(len(first)):
        stop = first[run + 1] if run + 1 < len(first) else len(prices)
        for row in range(first[run], stop):
            so_far += int(np.rint(prices[row] * scale[run]))
            total[row + 1] = so_far
    return total


@inner
def group_of(first: IntArray, row: int, near: int) -> int:
    """The group that a row is in, of groups whose rows begin at `first`; looked for beside `near`, then among all."""
    if first[near] <= row:
        if near + 1 == len(first) or row < first[near + 1]:
            return near
        if near + 2 == len(first) or row < first[near + 2]:
            return near + 1
    low, high = 0, len(first)
    while high - low > 1:
        middle = (low + high) // 2
        if first[middle] <= row:
            low = middle
        else:
            high = middle
    return low


@compiled
def window_quotients(
    total: IntArray, n: int, rows: IntArray, first: IntArray, below: IntArray
) -> tuple[FloatArray, BoolArray, int, bool]:
    """What the last `n` values of each of `rows` add to a running `total`, divided by `below`: one number, or one a row.

    `first` is the first row of each group. Returns the quotients, NaN where the group has fewer than `n` values by then, and marks those; how many they are; and whether
    each quotient was rounded once, as where both numbers are doubles.
    """
    made = np.empty(len(rows), dtype=np.float64)
    null = np.empty(len(rows), dtype=np.bool_)
    count, exact, group, divisor = 0, True, 0, below[0] if len(below) else 1
    begin = over = 0  # the group's rows
    for k in range(len(rows)):
        row = rows[k]
        if row < begin or row >= over:
            group = group_of(first, row, group)
            begin, over = first[group], first[group + 1] if group + 1 < len(first) else len(total)
        null[k] = row - begin < n - 1
        if null[k]:
            made[k] = np.nan
            count += 1
            continue
        if len(below) > 1:
            divisor = below[k]
        value = total[row + 1] - total[row + 1 - n]
        exact = exact and abs(value) <= DOUBLE and divisor <= DOUBLE
        made[k] = value / divisor
    return made, null, count, exact
