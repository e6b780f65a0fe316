"""What an order that meets a price pays: slippage and commission as exact numbers."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from bt.errors import ConfigError
from bt.execution.money import INT64_MAX, fits
from bt.model import UNIT, ExecutionSpec


@dataclass(frozen=True, slots=True)
class Costs:
    """Slippage and commission as exact numbers.

    ``price = ref x (1 +- slip_up / slip_down)``, half of the spread that is assumed included, or ``quote x (1 +- quoted_up / quoted_down)``; commission is ``fee_up / fee_down`` units of 1e-8 a share, or what `tiers` say (from how many shares of the
    month on, units a share), and ``rate_up / rate_down`` of the value; `each` units an order, and `least` units at least.
    """

    slip_up: int
    slip_down: int
    quoted_up: int
    quoted_down: int
    fee_up: int
    fee_down: int
    rate_up: int
    rate_down: int
    each: int
    least: int
    tiers: tuple[tuple[int, int], ...]

    @property
    def is_scheduled(self) -> bool:
        """Whether commission is more than an amount a share."""
        return bool(self.rate_up or self.each or self.least or self.tiers)

    @staticmethod
    def of(spec: ExecutionSpec) -> Costs:
        """The configured numbers as they are written, not as their binary neighbours.

        Raises
        ------
        ConfigError
            One has more decimals than exact arithmetic has room for.
        """
        quoted = _exact(spec.slippage_bps) / 10_000
        slip = quoted + _exact(spec.spread_bps) / 20_000
        fee, rate = _exact(spec.commission_per_share) * UNIT, _exact(spec.commission_bps) / 10_000
        for name, number in (
            ("slippage_bps", quoted),
            ("spread_bps", slip),
            ("commission_per_share", fee),
            ("commission_bps", rate),
        ):
            if max(number.numerator + number.denominator, number.denominator) > INT64_MAX:
                raise ConfigError(
                    f"execution: {name} must have at most 14 decimals, was {getattr(spec, name)!r}; round it"
                )
        return Costs(
            slip.numerator, slip.denominator, quoted.numerator, quoted.denominator, fee.numerator, fee.denominator, rate.numerator, rate.denominator,
            _units(spec.commission_per_trade), _units(spec.commission_minimum),
            tuple((start, _units(a_share)) for start, a_share in spec.commission_tiers),
        )  # fmt: skip


def _exact(number: float) -> Fraction:
    """As it is written."""
    return Fraction(Decimal(repr(float(number))))


def _units(amount: float) -> int:
    """An amount as it is written in units, rounded half to even."""
    return fits(round(_exact(amount) * UNIT))
