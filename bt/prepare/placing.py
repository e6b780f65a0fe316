"""Where each row of a window belongs: one compiled pass over its times and symbols."""

from __future__ import annotations

import numpy as np

from bt.jit import IntArray, ReadCodes, ReadInts, SmallInts, compiled
from bt.schema import MINUTE


@compiled
def place(  # noqa: PLR0917 - a compiled function takes no objects
    time: ReadInts, codes: ReadCodes, start: int, session_of: SmallInts, slot_of: SmallInts, lead: int, symbols: int, stride: int
) -> tuple[IntArray, IntArray, IntArray, IntArray, bool, bool]:  # fmt: skip
    """The code, session, slot (or outside reason) and group of each row; whether all are inside; and whether they lie in canonical order, each minute of a group once.

    `session_of`, `slot_of`, `start` and `lead` are a `bt.sessions.MinuteTable`'s; a group is ``session x symbols + code``, and has fewer slots than `stride`.
    """
    code, session = np.empty(len(time), dtype=np.int64), np.empty(len(time), dtype=np.int64)
    slot, group = np.empty(len(time), dtype=np.int64), np.empty(len(time), dtype=np.int64)
    inside, ordered, last = True, True, -1
    for row in range(len(time)):
        minute = (time[row] - start) // MINUTE
        at = max(minute, 0)
        if at >= len(slot_of):
            raise IndexError("a row must be stamped before the last session's later midpoint")
        code[row], session[row] = codes[row], session_of[at]
        slot[row] = slot_of[at] if minute >= 0 else lead  # off the grid, after the first midpoint but in its minute
        group[row] = session[row] * symbols + code[row]
        inside = inside and slot[row] >= 0
        key = group[row] * stride + slot[row]
        ordered = ordered and key > last
        last = key
    return code, session, slot, group, inside, ordered
