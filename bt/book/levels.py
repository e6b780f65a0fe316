"""Levels: shares that a fraction of equity or an amount of money is."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bt.execution import IntArray

WHOLE = 1 << 53
"""Up to here every whole number is a double."""
MOST = 1 << 62
"""More shares than this are refused."""
FAR = 1 << 49
"""Up to here the nearest whole number of such a product is the right one, or one too many."""
DOUBT = 1e-14
"""Products of doubles are surely closer than this to what they stand for, relatively."""


@lru_cache(maxsize=1 << 12)
def as_written(number: float) -> tuple[int, int]:
    """Numerator and denominator of a number's decimals as written: 0.1 is one tenth."""
    return Decimal(repr(float(number))).as_integer_ratio()


def shares_worth(base: int, number: float, price: int) -> int:
    """base x number / price, cut toward zero; `base` and `price` in units, `number` as written."""
    up, down = as_written(number)
    size = abs(base * up) // (down * price)
    return size if (base > 0) == (up > 0) else -size


def all_shares_worth(base: int, numbers: npt.NDArray[np.float64], prices: IntArray) -> IntArray:
    """`shares_worth` of each number at its price: where a double cannot tell which whole number it is, in exact arithmetic.

    Raises
    ------
    OverflowError
        A number of shares does not fit.
    """
    worth = np.asarray(numbers * float(base) / prices)
    if len(worth) and np.abs(worth).max() > MOST:
        raise OverflowError(float(np.abs(worth).max()))
    nearest = np.rint(worth)
    doubtful = (np.abs(worth - nearest) <= np.abs(worth) * DOUBT) & (numbers != 0)
    shares = np.trunc(worth).astype(np.int64)
    at = np.flatnonzero(doubtful)
    if len(at):
        shares[at] = _settled(base, numbers[at], nearest[at], prices[at])
    return shares


def _settled(
    base: int, numbers: npt.NDArray[np.float64], nearest: npt.NDArray[np.float64], prices: IntArray
) -> IntArray:
    """`nearest` or one less (nearer to zero), where a product is so close to it that its double does not tell.

    base x up and nearest x down x price differ by less than 2^63: their difference modulo 2^64 is the difference.
    """
    size = np.abs(nearest).astype(np.uint64)
    unique, which = np.unique(np.abs(numbers), return_inverse=True)
    written = [as_written(float(n)) for n in unique]
    if int(size.max()) > FAR or max(base * up for up, _ in written) * DOUBT >= MOST:
        exact = [shares_worth(base, n, p) for n, p in zip(numbers.tolist(), prices.tolist(), strict=True)]
        return np.array(exact, dtype=np.int64)
    whole = np.array([base * up % 2**64 for up, _ in written], dtype=np.uint64)[which]
    below = np.array([down % 2**64 for _, down in written], dtype=np.uint64)[which]
    short = (whole - size * below * prices.astype(np.uint64)).view(np.int64) < 0
    return np.asarray(np.sign(numbers).astype(np.int64) * (size.astype(np.int64) - short))
