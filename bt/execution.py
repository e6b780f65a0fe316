"""The fill rule: what an order that meets a price pays. Exact integers, rounded once, half to even."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from bt.errors import MoneyError
from bt.model import UNIT, ExecutionSpec

INT64_MAX = 2**63 - 1


def divide_half_even(numerator: int, denominator: int) -> int:
    """numerator / denominator as the nearest whole number, ties to even; denominator > 0."""
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


@dataclass(frozen=True, slots=True)
class Costs:
    """Slippage and commission as exact numbers.

    ``price = ref x (1 +- slip_up / slip_down)`` and commission a share is ``fee_up / fee_down`` units of 1e-8.
    """

    slip_up: int
    slip_down: int
    fee_up: int
    fee_down: int

    @staticmethod
    def of(spec: ExecutionSpec) -> Costs:
        """The configured numbers as they are written, not as their binary neighbours."""
        slip = Fraction(Decimal(repr(float(spec.slippage_bps)))) / 10_000
        fee = Fraction(Decimal(repr(float(spec.commission_per_share)))) * UNIT
        return Costs(slip.numerator, slip.denominator, fee.numerator, fee.denominator)

    def price(self, reference: int, shares: int) -> int:
        """The fill price in units: a buy pays more than `reference`, a sell gets less."""
        if self.slip_up == 0:
            return reference
        sign = 1 if shares > 0 else -1
        return divide_half_even(reference * (self.slip_down + sign * self.slip_up), self.slip_down)

    def commission(self, shares: int) -> int:
        """Commission in units for |shares|."""
        return divide_half_even(abs(shares) * self.fee_up, self.fee_down)
