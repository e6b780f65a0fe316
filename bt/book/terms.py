"""What accounts that share their money may do, and how the rules have it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

import numpy as np

from bt.book.cash import Carry
from bt.execution import Costs, IntArray, fits
from bt.execution import layout as at
from bt.model import ExecutionSpec, Instruments, QualitySpec


@dataclass(frozen=True, slots=True)
class Terms:
    """What an account may do: the rules of its orders, its cash in units (with `by_symbol`, that of each symbol), what nights cost, under
    which rules of margin it is, whose calls orders are to meet if it `liquidates`, and what is traded."""

    execution: ExecutionSpec
    quality: QualitySpec
    leverage: float
    cash: int
    carry: Carry | None = None
    margin: Literal["none", "reg_t"] = "none"
    liquidates: bool = False
    instruments: Instruments | None = None

    @property
    def costs(self) -> Costs:
        """What fills cost, as exact numbers."""
        return Costs.of(self.execution)


def settings(terms: Terms) -> Iterator[tuple[int, int]]:
    """The places of `bt.execution.layout` that say what is configured, and what they hold."""
    costs, execution, quality = terms.costs, terms.execution, terms.quality
    leverage = Fraction(Decimal(repr(float(terms.leverage))))
    listed = terms.instruments
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
        (at.SKIPS, execution.zero_volume == "skip"), (at.TABLED, listed is not None),
        (at.OWN_FEES, listed is not None and any(fee is not None for fee in listed.commission)),
        (at.MARGINED, listed is not None and bool(listed.margin.any())),
    )  # fmt: skip


def instrument_rows(terms: Terms) -> IntArray:
    """(symbols, columns) the rows of `bt.execution.layout` that say what is traded: none without a table. What ends or is closed is a session's."""
    listed = terms.instruments
    if listed is None:
        return np.zeros((0, at.INSTRUMENT_COLUMNS), dtype=np.int64)
    rows = np.zeros((len(listed.symbols), at.INSTRUMENT_COLUMNS), dtype=np.int64)
    leverage = Fraction(Decimal(repr(float(terms.leverage))))
    rows[:, at.I_LOT], rows[:, at.I_TICK] = listed.lot, listed.tick
    rows[:, at.I_FEE] = [at.NULL if fee is None else fee for fee in listed.commission]
    rows[:, at.I_MARGIN] = [fits(round(margin * leverage)) for margin in listed.margin.tolist()]
    return rows
