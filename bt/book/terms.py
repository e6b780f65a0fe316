"""What accounts that share their money may do, and how the rules have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np

from bt.book.cash import Carry
from bt.execution import Costs
from bt.execution import layout as at
from bt.model import ExecutionSpec, QualitySpec


@dataclass(frozen=True, slots=True)
class Terms:
    """What an account may do: the rules of its orders, its cash in units (with `by_symbol`, that of each symbol), what nights cost, and under
    which rules of margin it is, whose calls orders are to meet if it `liquidates`."""

    execution: ExecutionSpec
    quality: QualitySpec
    leverage: float
    cash: int
    carry: Carry | None = None
    margin: Literal["none", "reg_t"] = "none"
    liquidates: bool = False

    @property
    def costs(self) -> Costs:
        """What fills cost, as exact numbers."""
        return Costs.of(self.execution)


def settings(terms: Terms) -> Iterator[tuple[int, int]]:
    """The places of `bt.execution.layout` that say what is configured, and what they hold."""
    costs, execution, quality = terms.costs, terms.execution, terms.quality
    leverage = Fraction(Decimal(repr(float(terms.leverage))))
    cap = Fraction(Decimal(repr(float(execution.participation))))
    yield from (
        (at.SLIP_UP, costs.slip_up), (at.SLIP_DOWN, costs.slip_down), (at.QUOTED_UP, costs.quoted_up),
        (at.QUOTED_DOWN, costs.quoted_down), (at.QUOTES, execution.spread == "quotes"), (at.IMPACT, execution.impact > 0),
        (at.FEE_UP, costs.fee_up), (at.FEE_DOWN, costs.fee_down), (at.SCHEDULED, costs.is_scheduled),
        (at.LEAST_FEE, costs.least), (at.ORDER_FEE, costs.each), (at.RATE_UP, costs.rate_up), (at.RATE_DOWN, costs.rate_down),
        (at.TIERS, len(costs.tiers)), (at.LEVERAGE_UP, leverage.numerator), (at.LEVERAGE_DOWN, leverage.denominator),
        (at.TIF, at.TIFS.index(execution.time_in_force)),
        (at.GATE, at.REASONS.index(quality.gate) if quality.minimum > 0 else at.NONE), (at.AFTER, quality.after_minutes),
        (at.LIMIT, int(np.float64(quality.minimum).view(np.int64))), (at.TOUCH, execution.limit_fill == "touch"),
        (at.OPTIMIST, execution.intrabar == "optimistic"), (at.CAP_UP, cap.numerator), (at.CAP_DOWN, cap.denominator),
        (at.SKIPS, execution.zero_volume == "skip"),
    )  # fmt: skip
