"""What is traded: what a share of a symbol is worth, and in which steps, at which costs and until when it is traded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bt.errors import MoneyError
from bt.model.orders import UNIT

INSTRUMENT_KINDS = ("stock", "etf", "future", "crypto", "fx", "index")
IN_UNITS_OF_BASE = ("crypto", "fx")
"""Kinds whose volume counts what is traded, not shares: of the coin, of the first currency."""

MOST = 2**51
"""So many units at most is a share worth: doubles tell as many apart, divided by 1e8 and multiplied again."""

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instruments:
    """The terms of a run's symbols, by code. A share is worth price x `multiplier`; money is in units of 1e-8.

    Attributes
    ----------
    symbols, kinds : sequence of str
    multiplier : sequence of Fraction
    lot : array
        Orders are of multiples of so many shares.
    tick : array
        The step of prices, in money of a share; 0 for any price.
    commission : sequence of int or None
        Of a share, where it is not as [execution] says.
    margin : array
        What a share ties up, 0 for its value.
    borrow_bps : sequence of Fraction or None
        Basis points a year, where they are not as [account] says.
    begins, ends : array
        Numbers of the first session in which it is traded, and of the last, at whose close it ends.
    source : str
        The table's file, or data.instruments.
    """

    symbols: Sequence[str]
    kinds: Sequence[str]
    multiplier: Sequence[Fraction]
    lot: IntArray
    tick: IntArray
    commission: Sequence[int | None]
    margin: IntArray
    borrow_bps: Sequence[Fraction | None]
    begins: IntArray
    ends: IntArray
    source: str = ""

    @cached_property
    def scaled(self) -> tuple[int, ...]:
        """The codes whose multiplier is not 1."""
        return tuple(code for code, number in enumerate(self.multiplier) if number != 1)

    @cached_property
    def multipliers(self) -> Mapping[str, Fraction]:
        """Of the symbols whose multiplier is not 1."""
        return {self.symbols[code]: self.multiplier[code] for code in self.scaled}

    @cached_property
    def futures(self) -> npt.NDArray[np.bool_]:
        """Marks those of which nothing is paid but gains and losses."""
        return np.array([kind == "future" for kind in self.kinds], dtype=bool)

    @cached_property
    def of_base(self) -> Mapping[int, Fraction]:
        """The multipliers by which volumes have to be divided, by code."""
        return {code: self.multiplier[code] for code in self.scaled if self.kinds[code] in IN_UNITS_OF_BASE}

    # ---------------------------------------------------------------------------------------------------------- money

    def worth(self, price: int, code: int) -> int:
        """A price in units as money of a share in units, rounded half to even."""
        return round(price * self.multiplier[code])

    def price(self, worth: int, code: int) -> float:
        """Money of a share in units as a price."""
        number = self.multiplier[code]
        return worth * number.denominator / (number.numerator * UNIT)

    def worths(self, codes: npt.NDArray[np.integer], *prices: FloatArray) -> list[FloatArray]:
        """Columns of prices of rows by code, in order of codes, as money of a share in currency; copies where a multiplier is not 1."""
        rows = [(code, slice(*np.searchsorted(codes, [code, code + 1]).tolist())) for code in self.scaled]
        rows = [(code, part) for code, part in rows if part.stop > part.start]
        if not rows:
            return list(prices)
        made = [np.array(column, dtype=np.float64) for column in prices]
        for column in made:
            for code, part in rows:
                column[part] = in_money(column[part], self.multiplier[code], self.symbols[code])
        return made

    def volumes(self, codes: npt.NDArray[np.integer], volume: npt.NDArray[np.number]) -> npt.NDArray[np.number]:
        """Volumes of rows by code, in any order, in shares."""
        if not self.of_base:
            return volume
        up, down = np.ones((2, len(self.symbols)))
        for code, number in self.of_base.items():
            up[code], down[code] = number.numerator, number.denominator
        return np.asarray(volume * down[codes] / up[codes])

    # ------------------------------------------------------------------------------------------------------- sessions

    def closed(self, session: int) -> npt.NDArray[np.bool_]:
        """Marks those that are not traded yet, or no more, in a session."""
        return np.asarray((session < self.begins) | (session > self.ends))


def in_money(prices: FloatArray, multiplier: Fraction, symbol: str = "") -> FloatArray:
    """Prices as money of a share in currency, rounded half to even to the unit; what is no number (a quote that is not there) stays so.

    Raises
    ------
    MoneyError
        A share of `symbol` is worth more than doubles tell units of apart.
    """
    known = np.isfinite(prices)
    units = np.rint(np.where(known, prices, 0.0) * UNIT).astype(np.int64)
    up, down = multiplier.numerator, multiplier.denominator
    if len(units) and float(np.abs(units).max()) * up / down > MOST:
        raise MoneyError(
            f"money: a share of {symbol} must be worth less than {MOST / UNIT:,.0f}, was more at a price of {prices[known].max():,}; give it a smaller multiplier"
        )
    whole, rest = np.divmod(units, down)
    more, rest = np.divmod(rest * up, down)
    made = whole * up + more
    made += (2 * rest > down) | ((2 * rest == down) & (made & 1 == 1))
    return np.where(known, made / UNIT, prices)
