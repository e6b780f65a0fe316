"""What an order that meets a price pays: slippage and commission as exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from bt.errors import ConfigError
from bt.execution.money import INT64_MAX
from bt.model import UNIT, ExecutionSpec


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
        """The configured numbers as they are written, not as their binary neighbours.

        Raises
        ------
        ConfigError
            One has more decimals than exact arithmetic has room for.
        """
        slip = Fraction(Decimal(repr(float(spec.slippage_bps)))) / 10_000
        fee = Fraction(Decimal(repr(float(spec.commission_per_share)))) * UNIT
        for name, number in (("slippage_bps", slip), ("commission_per_share", fee)):
            if max(number.numerator + number.denominator, number.denominator) > INT64_MAX:
                raise ConfigError(
                    f"execution: {name} must have at most 14 decimals, was {getattr(spec, name)!r}; round it"
                )
        return Costs(slip.numerator, slip.denominator, fee.numerator, fee.denominator)
