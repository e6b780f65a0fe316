"""What is known of symbols now, looked up in the session's bars when a rule is about to ask: most minutes nobody asks of most symbols.

Here every bar is known to everybody once its minute is over; where it is not, what is known comes from outside (`bt.book.Desk`).
"""

from __future__ import annotations

from bt.execution.compiling import inner
from bt.execution.layout import (
    ACCOUNTS,
    BY_SYMBOL,
    ENDED,
    LAST,
    LEVERAGE_UP,
    SEEN,
    SEEN_BEFORE,
    SHARES_AT,
    SYMBOLS,
    VALUED,
    IntArray,
    known_at,
)  # fmt: skip
from bt.execution.money import unit
from bt.execution.tape import FIRST_ROW_AT, FloatArray, close_of, last_row, slot_of, time_of
from bt.schema import MINUTE

OUTSIDE = -2
"""The minute up to which the bars tell what is known, where they do not. -1 is the session's open."""


@inner
def show(b: IntArray, t: IntArray, p: FloatArray, code: int, slot: int) -> None:
    """What is known of a symbol once minute `slot` is over."""
    row = last_row(t, code, slot) if slot >= 0 else -1
    if row >= 0:
        b[known_at(b, 0, LAST) + code] = unit(close_of(t, p, row))
        b[known_at(b, 0, ENDED) + code] = time_of(t, slot_of(t, row)) + MINUTE
        b[known_at(b, 0, SEEN) + code] = b[known_at(b, 0, SEEN_BEFORE) + code] + row - t[t[FIRST_ROW_AT] + code] + 1


@inner
def show_held(b: IntArray, t: IntArray, p: FloatArray, slot: int) -> None:
    """What is held has its price of a minute's end."""
    symbols = b[SYMBOLS]
    for at in range(b[ACCOUNTS] * symbols):
        if b[b[SHARES_AT] + at] != 0:
            show(b, t, p, at % symbols, slot)
    b[VALUED] = -1


@inner
def show_worth(b: IntArray, t: IntArray, p: FloatArray, slot: int) -> None:
    """Likewise, where buying power depends on more than the symbol that is asked about."""
    if b[LEVERAGE_UP] and not b[BY_SYMBOL]:
        show_held(b, t, p, slot)
    b[VALUED] = -1
