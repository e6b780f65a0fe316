"""Exact arithmetic on whole numbers: prices on their tick grid, and quotients rounded once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_DOUBLE = 1 << 53
"""Up to here every whole number is a double."""


def scaled(values: npt.NDArray[Any], scale: npt.NDArray[np.int64] | int) -> npt.NDArray[np.int64]:
    """Prices as whole numbers of their tick grid: round(price x scale)."""
    made = values * scale
    return np.rint(made, out=made).astype(np.int64)


def quotient(total: npt.NDArray[Any], divisor: npt.NDArray[Any] | int) -> npt.NDArray[np.float64]:
    """total / divisor, elementwise, correctly rounded; 0 / 0 is NaN.

    NumPy makes whole numbers doubles before it divides, which rounds those above 2^53 a first time: they are divided as
    Python's ints, whose quotient is rounded once.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        made = np.asarray(np.divide(total, divisor, dtype=np.float64))
    if total.dtype.kind not in "iu" or not total.size:
        return made
    wide = bool(np.max(divisor) > _DOUBLE)
    if not wide and total.max() <= _DOUBLE and total.min() >= -_DOUBLE:
        return made
    large = np.abs(total) > _DOUBLE
    if wide:
        large |= np.broadcast_to(np.abs(divisor) > _DOUBLE, total.shape)
    if large.any():
        below = np.broadcast_to(divisor, total.shape)[large].tolist()
        made = np.array(made)
        made[large] = [a / b if b else np.nan for a, b in zip(total[large].tolist(), below, strict=True)]
    return made
