"""Money in whole units of 1e-8, exact to the unit: products that do not fit 64 bits are divided in 128, sums that do not fit are errors.

What is `compiled` here is called by the compiled rules; from Python it works too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bt.errors import MoneyError
from bt.jit import compiled
from bt.model import UNIT

INT64_MAX = 2**63 - 1
SURELY = 9.2e18
"""Products below this as doubles fit int64."""
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
ONE = np.uint64(1)
TOP = np.uint64(63)


def divide_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator as the nearest whole number, ties to even; denominator > 0. Of any size."""
    quotient, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and quotient & 1):
        return quotient + 1
    return quotient


def fits(amount: int) -> int:
    """`amount`, or MoneyError if it is no int64."""
    if -INT64_MAX <= amount <= INT64_MAX:
        return amount
    raise MoneyError(f"money: an amount must be within +-{INT64_MAX / UNIT:.4g}, was {amount / UNIT:.6g}")


def to_units(price: float) -> int:
    """A price or amount of currency in units of 1e-8, rounded half to even."""
    return fits(round(price * UNIT))


def units(prices: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Prices in units of 1e-8, rounded half to even.

    Raises
    ------
    MoneyError
        A price does not fit.
    """
    if len(prices) and float(np.max(prices)) * UNIT > INT64_MAX:
        fits(int(float(np.max(prices))) * UNIT)
    return np.asarray(np.rint(prices * UNIT).astype(np.int64))


@compiled
def unit(price: float) -> int:
    """One price in units, as `units`."""
    if price * 1e8 > SURELY:
        raise MoneyError("money: a price must be within +-9.2e+10, was more; leave the symbol out")
    return int(np.rint(price * 1e8))


@compiled
def times(a: int, b: int) -> int:
    """a x b."""
    if abs(float(a) * float(b)) > SURELY:
        raise MoneyError("money: an amount must be within +-9.2e+10, was more; use smaller orders")
    return a * b


@compiled
def plus(a: int, b: int) -> int:
    """a + b."""
    if abs(float(a) + float(b)) > SURELY:
        raise MoneyError("money: an amount must be within +-9.2e+10, was more; use less cash or smaller orders")
    return a + b


@compiled
def wide_product(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The high and the low 64 bits of a x b."""
    a1, a0, b1, b0 = a >> HALF, a & LOW, b >> HALF, b & LOW
    low, middle, other = a0 * b0, a1 * b0, a0 * b1
    carry = (low >> HALF) + (middle & LOW) + (other & LOW)
    high = a1 * b1 + (middle >> HALF) + (other >> HALF) + (carry >> HALF)
    return high, (carry << HALF) | (low & LOW)


@compiled
def wide_quotient(high: np.uint64, low: np.uint64, divisor: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Quotient and rest of a 128-bit number over one below 2^63; a quotient that does not fit 63 bits is an error."""
    if high >= divisor:
        raise MoneyError("money: an amount must be within +-9.2e+10, was more; use smaller orders")
    rest, quotient = high, np.uint64(0)
    for k in range(64):
        rest = (rest << ONE) | ((low >> (TOP - np.uint64(k))) & ONE)
        quotient <<= ONE
        if rest >= divisor:
            rest -= divisor
            quotient |= ONE
    if quotient >> TOP:
        raise MoneyError("money: an amount must be within +-9.2e+10, was more; use smaller orders")
    return quotient, rest


@compiled
def portion(amount: int, part: int, whole: int) -> int:
    """amount x part / whole as the nearest whole number, ties to even; whole > 0."""
    if abs(float(amount) * float(part)) < SURELY:
        product = amount * part
        quotient = product // whole
        rest = product - quotient * whole
        return quotient + (rest > whole - rest or (rest == whole - rest and quotient % 2 == 1))
    high, low = wide_product(np.uint64(abs(amount)), np.uint64(abs(part)))
    size, left = wide_quotient(high, low, np.uint64(whole))
    above = np.uint64(whole) - left
    if left > above or (left == above and size & ONE):
        size += ONE
    return np.int64(size) if (amount < 0) == (part < 0) else -np.int64(size)  # type: ignore[return-value]


@compiled
def floor_portion(amount: int, part: int, whole: int) -> int:
    """amount x part / whole cut to the whole number below, at most what int64 holds; part >= 0, whole > 0."""
    if abs(float(amount) * float(part)) < SURELY:
        return (amount * part) // whole
    if abs(float(amount)) * float(part) / float(whole) > SURELY:
        return INT64_MAX if amount > 0 else -INT64_MAX
    high, low = wide_product(np.uint64(abs(amount)), np.uint64(part))
    size, left = wide_quotient(high, low, np.uint64(whole))
    if amount > 0:
        return np.int64(size)  # type: ignore[return-value]
    return -np.int64(size) - (left > 0)  # type: ignore[return-value]


def portions(amounts: npt.NDArray[np.int64], wholes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """amounts / wholes as the nearest whole numbers, ties to even; wholes > 0."""
    quotient, rest = np.divmod(amounts, wholes)
    above = wholes - rest
    return np.asarray(quotient + ((rest > above) | ((rest == above) & (quotient & 1 == 1))))
