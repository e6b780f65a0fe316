"""Running totals of whole numbers, and what windows of them come to: one pass each, compiled."""

from __future__ import annotations

import numpy as np

from bt.jit import BoolArray, FloatArray, IntArray, ReadFloats, compiled, inner

DOUBLE = 2**53
"""Up to here every whole number is a double."""


@compiled
def running_prices(
    before: ReadFloats, own: ReadFloats, first: IntArray, origin: IntArray, scale: IntArray
) -> IntArray:  # fmt: skip
    """Sums before each price, and of all, length prices + 1: of whole numbers, a price times its run's `scale` rounded.

    The prices are those of two sources in another order: `first` is the first row of each run, `origin` where that is among those `before` with the `own` behind them. A total
    may wrap around: the difference of two of them is right nevertheless.
    """
    rows = len(before) + len(own)
    total = np.empty(rows + 1, dtype=np.int64)
    total[0] = so_far = 0
    for run in range(len(first)):
        row = first[run]
        length = (first[run + 1] if run + 1 < len(first) else rows) - row
        source, at = (before, origin[run]) if origin[run] < len(before) else (own, origin[run] - len(before))
        prices, made, times = source[at : at + length], total[row + 1 : row + 1 + length], scale[run]
        for k in range(length):
            so_far += int(np.rint(prices[k] * times))
            made[k] = so_far
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
def window_quotients(  # noqa: PLR0917 - as in bt.prepare.placing: a compiled function takes no objects
    total: IntArray, n: int, start: IntArray, stop: IntArray, first: IntArray, below: IntArray
) -> tuple[FloatArray, BoolArray, int, bool]:
    """What the last `n` values of some rows add to a running `total`, divided by `below`: one number, or one a row. The rows are those from each `start` to its `stop`.

    `first` is the first row of each group. Returns the quotients, NaN where the group has fewer than `n` values by then, and marks those; how many they are; and whether
    each quotient was rounded once, as where both numbers are doubles.
    """
    rows = count = done = group = 0
    for span in range(len(start)):
        rows += stop[span] - start[span]
    made, null = np.empty(rows, dtype=np.float64), np.empty(rows, dtype=np.bool_)
    least = most = 0
    widest = below[0] if len(below) else 1
    divisor = float(widest)
    for span in range(len(start)):
        row = start[span]
        while row < stop[span]:
            group = group_of(first, row, group)
            over = min(first[group + 1] if group + 1 < len(first) else len(total) - 1, stop[span])
            known = min(max(first[group] + n - 1, row), over)
            for k in range(done, done + known - row):
                made[k], null[k] = np.nan, True
            for k in range(done + known - row, done + over - row):
                null[k] = False
            count += known - row
            done += known - row
            # views: the compiler sees that no index of them is negative, and takes several rows at once
            after, before, values = total[known + 1 : over + 1], total[known + 1 - n : over + 1 - n], made[done:]
            if len(below) > 1:
                divisors = below[done:]
                for k in range(len(after)):
                    value = after[k] - before[k]
                    least, most, widest = min(least, value), max(most, value), max(widest, divisors[k])
                    values[k] = value / divisors[k]
            else:
                for k in range(len(after)):
                    value = after[k] - before[k]
                    least, most = min(least, value), max(most, value)
                    values[k] = float(value) / divisor
            done += len(after)
            row = over
    return made, null, count, least >= -DOUBLE and max(most, widest) <= DOUBLE
