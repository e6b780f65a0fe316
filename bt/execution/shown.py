"""What is known of symbols now, looked up in the session's bars when a rule is about to ask: most minutes nobody asks of most symbols.

Here every bar is known to everybody once its minute is over; where it is not, what is known comes from outside (`bt.book.Desk`).
"""

from __future__ import annotations

import numpy as np

from bt.execution.layout import (
    ACCOUNTS,
    ENDED,
    LAST,
    SEEN,
    SEEN_BEFORE,
    SHARES_AT,
    SHOWN,
    SYMBOLS,
    VALUED,
    known_at,
)  # fmt: skip
from bt.execution.money import unit
from bt.execution.tape import FIRST_ROW_AT, close_of, last_row, slot_of, time_of
from bt.jit import FloatArray, IntArray, inner
from bt.schema import MINUTE

SAFELY = 1.001
"""Sums of doubles are surely more than what they stand for when each is this much greater."""
OUTSIDE = -2
"""The minute up to which the bars tell what is known, where they do not. -1 is the session's open."""


@inner
def show(b: IntArray, t: IntArray, p: FloatArray, code: int, slot: int) -> None:
    """What is known of a symbol once minute `slot` is over."""
    row = last_row(t, code, slot) if slot >= 0 else -1
    if row >= 0:
        show_bar(b, t, code, row, unit(close_of(t, p, row)), time_of(t, slot_of(t, row)))


@inner
def show_bar(b: IntArray, t: IntArray, code: int, row: int, close: int, time: int) -> None:
    """What is known of a symbol once the bar in `row` is over, which began at `time` and closed at `close` units."""
    b[known_at(b, 0, LAST) + code] = close
    b[known_at(b, 0, ENDED) + code] = time + MINUTE
    b[known_at(b, 0, SEEN) + code] = b[known_at(b, 0, SEEN_BEFORE) + code] + row - t[t[FIRST_ROW_AT] + code] + 1


@inner
def show_held(b: IntArray, t: IntArray, p: FloatArray, slot: int) -> None:
    """What is held has its price of a minute's end."""
    symbols = b[SYMBOLS]
    for at in range(b[ACCOUNTS] * symbols):
        if b[b[SHARES_AT] + at] != 0:
            show(b, t, p, at % symbols, slot)
    b[VALUED] = -1
    b[SHOWN] = slot


@inner
def afford(b: IntArray, t: IntArray, p: FloatArray, left: float, at: int, level: int, slot: int) -> float:
    """What is `left` of spare buying power once a position whose price is known goes to `level`. Where it may not be enough the prices of all that is held decide: they are
    looked up at minute `slot`'s end, and nothing is counted any more (infinity)."""
    if left == np.inf:
        return left
    close = b[known_at(b, 0, LAST) + at % b[SYMBOLS]]
    left -= float(abs(level) + abs(b[b[SHARES_AT] + at])) * float(close) * SAFELY
    if left >= 0.0:
        return left
    show_held(b, t, p, slot)
    return np.inf
