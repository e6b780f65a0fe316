"""Values of several sessions as one: what an indicator is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bt.exact import quotient

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Trailed(NamedTuple):
    """An indicator at one session: values (NaN where unknown), which are unknown, and sessions used. One entry a
    symbol, or (minutes, symbols); of the minutes of session in `slots` alone where it is given."""

    values: Floats
    null: npt.NDArray[np.bool_]
    used: IntArray
    slots: IntArray | None = None

    def rows(self, slot: IntArray) -> IntArray:
        """Where the minutes of session `slot` are, which must be among `slots`."""
        return slot if self.slots is None else np.searchsorted(self.slots, slot)


def divided(total: Array, count: Array | int, scale: Array) -> Floats:
    """total / (count x scale), rounded once; 0 / 0 is NaN."""
    return quotient(total, count * scale)


def added(stack: Array) -> Array:
    """Sums down axis 0, row by row, oldest first. NumPy's own adds a single column in another order than several."""
    total: Array = np.zeros_like(stack[0])
    for row in stack:
        total += row
    return total


def counted(present: npt.NDArray[np.bool_]) -> IntArray:
    """How many are present down axis 0."""
    total = np.zeros(present.shape[1], dtype=np.int64)
    for a in range(0, len(present), 255):  # bytes are added fastest, and hold so many
        total += np.add.reduce(present[a : a + 255].view(np.uint8), axis=0, dtype=np.uint8)
    return total


def combine(stack: Array, present: npt.NDArray[np.bool_], count: IntArray, aggregate: str, scale: Array) -> Floats:
    """`aggregate` down axis 0 of (sessions, symbols), which is 0 where nothing is present; garbage where nothing ever is."""
    if aggregate in ("avg", "sum"):
        return divided(added(stack), count if aggregate == "avg" else 1, scale)
    if aggregate in ("first", "last"):
        at = present.argmax(axis=0) if aggregate == "first" else len(present) - 1 - present[::-1].argmax(axis=0)
        return divided(np.take_along_axis(stack, at[None], axis=0)[0], 1, scale)
    if aggregate in ("max", "min"):
        extreme = np.max if aggregate == "max" else np.min
        made = extreme(stack, axis=0)
        some = np.flatnonzero((count < len(present)) & (made == 0))  # it may be the 0 where nothing is present
        if len(some):
            wide: Any = np.iinfo(np.int64) if stack.dtype.kind == "i" else np.finfo(np.float64)
            least = wide.min if aggregate == "max" else wide.max
            made[some] = extreme(np.where(present[:, some], stack[:, some], least), axis=0)
        return divided(made, 1, scale)
    values = divided(stack, 1, scale)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = added(values) / count
        spread = np.where(present, values - mean, 0.0)
        return np.asarray(np.sqrt(added(spread * spread) / (count - 1)))


def masked(values: Floats, used: IntArray, aggregate: str, min_sessions: int) -> Trailed:
    """Values without those of fewer than `min_sessions`, or than a deviation needs."""
    null = used < max(min_sessions, 2 if aggregate == "std" else 1)
    return Trailed(np.where(null, np.nan, values), null, used)
