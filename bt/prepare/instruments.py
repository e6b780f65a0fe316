"""The table of instruments: looked at whole before the run, and then the terms of its symbols.

`open_instruments` finds the table and refuses a bad row; `OpenedInstruments.of` are the terms of a run's symbols, by code.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl

from bt.errors import DataError
from bt.model import INSTRUMENT_KINDS, UNIT, Action, DataSpec, Instruments, Schedule
from bt.prepare.given import Refusal, days_of, found_table, number_of, text_of
from bt.store import INSTRUMENTS

NEVER = 1 << 60
"""The number of a session that does not come."""

DECIMALS = 8
"""Money has so many."""

LARGEST = 10**8
"""No multiplier is more."""

NUMBERS = ("multiplier", "tick", "lot", "commission", "margin", "borrow_bps")
DATES = ("first_trade", "last_trade")
COLUMNS = ("symbol", "kind", *NUMBERS, *DATES)


def _is_money(value: Fraction) -> bool:
    return (value * UNIT).denominator == 1


FITS: Mapping[str, tuple[Callable[[Fraction], bool], str]] = {
    "multiplier": (lambda v: 0 < v <= LARGEST and _is_money(v), f"more than 0, at most {LARGEST:,}, of at most {DECIMALS} decimals"),
    "tick": (lambda v: v > 0 and _is_money(v), f"more than 0, of at most {DECIMALS} decimals"),
    "lot": (lambda v: v >= 1 and v.denominator == 1, "a whole number of shares, 1 or more (a share that is a part of a coin is a multiplier below 1, as 0.0001)"),
    "commission": (lambda v: v >= 0 and _is_money(v), f"0 or more, of at most {DECIMALS} decimals"),
    "margin": (lambda v: v > 0 and _is_money(v), f"more than 0, of at most {DECIMALS} decimals (empty for the share's value)"),
    "borrow_bps": (lambda v: v >= 0, "0 or more"),
}  # fmt: skip
"""By column what a number must be."""

PLAIN: Mapping[str, Any] = {
    "kind": "stock",
    "multiplier": "1",
    "lot": "1",
    **dict.fromkeys(("tick", "commission", "margin", "borrow_bps", *DATES)),
}
"""The terms of a symbol of which the table says nothing."""


@dataclass(frozen=True)
class OpenedInstruments:
    """A table that has been looked at: where it is from, what it is known by, its rows (a row a symbol, numbers as text)."""

    source: str
    hash: str
    rows: pl.DataFrame

    def of(
        self, symbols: Sequence[str], schedule: Schedule, decimals: Mapping[str, int | None], actions: Sequence[Action] = ()
    ) -> Instruments:  # fmt: skip
        """The terms of some symbols, in their order, in the sessions of a schedule; `decimals` are those of their prices, `actions` what happens to them.

        Raises
        ------
        DataError
            A share's worth would be no whole number of 1e-8; or a symbol is renamed to one of another multiplier.
        """
        given = {row["symbol"]: row for row in self.rows.iter_rows(named=True)}
        rows = [given.get(symbol, PLAIN) for symbol in symbols]
        multiplier = [_number(row["multiplier"] or "1") for row in rows]
        for symbol, number in zip(symbols, multiplier, strict=True):
            self._check_decimals(symbol, number, decimals.get(symbol))
        for action in actions:
            if (
                action.kind == "rename"
                and max(action.code, action.to) < len(symbols)
                and action.to >= 0
                and multiplier[action.code] != multiplier[action.to]
            ):
                raise DataError(
                    f"{self.source}: column 'multiplier' must be the same of {symbols[action.code]} and {symbols[action.to]}, which it is renamed to, was "
                    f"{float(multiplier[action.code]):g} and {float(multiplier[action.to]):g}; mend one of the rows"
                )  # fmt: skip
        begins = [_begins(row["first_trade"], schedule) for row in rows]
        ends = [_ends(row["last_trade"], schedule) for row in rows]
        each = zip(rows, multiplier, strict=True)
        tick = [0 if row["tick"] is None else int(_units(row["tick"]) * number) for row, number in each]
        return Instruments(
            tuple(symbols), [row["kind"] or "stock" for row in rows], multiplier,
            lot=np.array([int(_number(row["lot"] or "1")) for row in rows], dtype=np.int64),
            tick=np.array(tick, dtype=np.int64),
            commission=[None if row["commission"] is None else _units(row["commission"]) for row in rows],
            margin=np.array([_units(row["margin"] or "0") for row in rows], dtype=np.int64),
            borrow_bps=[None if row["borrow_bps"] is None else _number(row["borrow_bps"]) for row in rows],
            begins=np.array(begins, dtype=np.int64), ends=np.array(ends, dtype=np.int64), source=self.source,
        )  # fmt: skip

    def _check_decimals(self, symbol: str, multiplier: Fraction, decimals: int | None) -> None:
        """Refuse prices that make a share worth parts of a unit."""
        own = next(k for k in range(DECIMALS + 1) if (multiplier * 10**k).denominator == 1)
        have = DECIMALS if decimals is None else max(decimals, 0)
        if own and own + have > DECIMALS:
            raise DataError(
                f"{self.source}: column 'multiplier' must have at most {max(DECIMALS - have, 0)} decimals for {symbol}, whose prices have {have}, was "
                f"{float(multiplier):.{own}f}: money has {DECIMALS}; give a coarser one, or set data.price_decimals"
            )


def open_instruments(data: DataSpec) -> OpenedInstruments | None:
    """The table that `data` names, or the store's own; None where there is none.

    Raises
    ------
    DataError
        It cannot be read, or a row of it cannot be.
    """
    found = found_table(data.instruments, data.bars, INSTRUMENTS, "data.instruments")
    return None if found is None else OpenedInstruments(found.source, found.hash, _checked(found.rows, found.source))


def _checked(frame: pl.DataFrame, source: str) -> pl.DataFrame:
    """The table with all its columns, numbers as text, every row of which can be used."""
    if "symbol" not in frame.columns:
        raise DataError(
            f"{source}: column 'symbol' must be there, was missing among {', '.join(frame.columns)}; a table of instruments has "
            f"{', '.join(COLUMNS)}"
        )
    for column in frame.columns:
        near = [] if column in COLUMNS else difflib.get_close_matches(column, COLUMNS, 1, 0.75)
        if near:
            raise DataError(
                f"{source}: column {column!r} must be one of a table of instruments, was none; did you mean {near[0]!r}?"
            )
    texts = ("symbol", "kind", *NUMBERS)
    made = frame.select(
        *(text_of(frame, c) if c in frame.columns else pl.lit(None, pl.String).alias(c) for c in texts),
        *(_dated(frame, c, source) for c in DATES),
    ).with_row_index("row", offset=1)
    bad = Refusal(source, made)
    bad.where(pl.col("symbol").is_null(), "symbol", "there")
    bad.where(~pl.col("symbol").is_first_distinct(), "symbol", "there once")
    bad.where(~pl.col("kind").is_in(INSTRUMENT_KINDS), "kind", f"one of {', '.join(INSTRUMENT_KINDS)}")
    for column, (fits, must) in FITS.items():
        for row, text in made.filter(pl.col(column).is_not_null()).select("row", column).iter_rows():
            number = number_of(text)
            if number is None or not fits(number):
                bad.refuse(row, column, must, text)
    for row, tick, multiplier in (
        made.filter(pl.col("tick").is_not_null()).select("row", "tick", "multiplier").iter_rows()
    ):
        if not _is_money(_number(tick) * _number(multiplier or "1")):
            bad.refuse(
                row, "tick", f"a step that moves a share of multiplier {multiplier} by at least 0.00000001", tick
            )
    bad.where(pl.col("last_trade") < pl.col("first_trade"), "last_trade", "first_trade or later")
    return made.drop("row")


def _dated(frame: pl.DataFrame, column: str, source: str) -> pl.Series | pl.Expr:
    """A column of dates that may be empty, or may not be there."""
    if column not in frame.columns or frame[column].dtype == pl.Null:
        return pl.lit(None, pl.Date).alias(column)
    values = frame[column]
    return days_of(values.replace("", None) if values.dtype == pl.String else values, source)


def _number(text: str) -> Fraction:
    """A number that has been looked at."""
    made = number_of(text)
    assert made is not None
    return made


def _units(text: str) -> int:
    """Money in units."""
    return int(_number(text) * UNIT)


def _begins(day: date | None, schedule: Schedule) -> int:
    """The number of the first session on a day or later."""
    return 0 if day is None else int(np.searchsorted(_names(schedule), np.datetime64(day)))


def _ends(day: date | None, schedule: Schedule) -> int:
    """The number of the last session on a day or before; of a day after the schedule's `NEVER`."""
    if day is None or day > schedule.names[-1]:
        return NEVER
    return int(np.searchsorted(_names(schedule), np.datetime64(day), side="right")) - 1


def _names(schedule: Schedule) -> Any:
    return np.array(schedule.names, dtype="datetime64[D]")
