"""Where each row of a window belongs: one compiled pass over its times and symbols."""

from __future__ import annotations

import numpy as np

from bt.jit import IntArray, ReadCodes, ReadInts, SmallInts, compiled
from bt.schema import MINUTE

NEVER = -(2**63)
"""No row's time."""


@compiled
def place(  # noqa: PLR0917 - a compiled function takes no objects
    time: ReadInts, codes: ReadCodes, start: int, session_of: SmallInts, slot_of: SmallInts, lead: int, symbols: int
) -> tuple[IntArray, IntArray, IntArray, IntArray, bool, bool]:  # fmt: skip
    """The slot (or outside reason) of each row; the first row of each run of rows of one group, and its group; the other rows whose slot is not the one after that
    of the row before; whether all rows are inside; and whether they lie in canonical order, each minute of a group once.

    `session_of`, `slot_of`, `start` and `lead` are a `bt.sessions.MinuteTable`'s; a group is ``session x symbols + code``.
    """
    slot = np.empty(len(time), dtype=np.int64)
    first, number, jump = np.empty_like(slot), np.empty_like(slot), np.empty_like(slot)
    inside, ordered, runs, jumps, group, last = True, True, 0, 0, -1, 0
    due, code, at = NEVER, -1, 0
    for row in range(len(time)):
        if time[row] == due and codes[row] == code and at + 1 < len(slot_of) and slot_of[at + 1] == last + 1:
            at, last, due = at + 1, last + 1, due + MINUTE  # as nearly always: the symbol's next minute
            slot[row] = last
            continue
        minute = (time[row] - start) // MINUTE
        at = max(minute, 0)
        if at >= len(slot_of):
            raise IndexError("a row must be stamped before the last session's later midpoint")
        now = slot_of[at] if minute >= 0 else lead  # off the grid, after the first midpoint but in its minute
        slot[row] = now
        inside = inside and now >= 0
        here = session_of[at] * symbols + codes[row]
        if here != group:
            ordered = ordered and here > group
            first[runs], number[runs] = row, here
            runs += 1
        elif now != last + 1:
            ordered = ordered and now > last
            jump[jumps] = row
            jumps += 1
        group, last, code = here, now, codes[row]
        due = time[row] + MINUTE if now >= 0 else NEVER
    return slot, first[:runs].copy(), number[:runs].copy(), jump[:jumps].copy(), inside, ordered
