"""Before the open: what a strategy's `at_open` returns becomes columns of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.engine.players import Player
from bt.errors import StrategyError
from bt.model import Column, Session
from bt.strategy import RowField, hours, nearest

Opened = Mapping[str, Column]
"""By field, a value for every symbol's code."""

FITS: Mapping[str, tuple[str, ...]] = {
    "float": ("float", "int"),
    "int": ("int", "float"),
    "bool": ("bool",),
    "str": ("str",),
}
"""The columns that an annotation may be filled from."""


def opened(player: Player, session: Session, number: int, members: npt.NDArray[np.int64] | None) -> Opened:
    """Call `at_open` for session number `number`, and read the columns that its row types show; all null where it returns None.

    Raises
    ------
    StrategyError
        What it returns is no frame with the columns the row types show, one row a symbol.
    Exception
        Whatever `at_open` raises.
    """
    declared, symbols = player.declaration, player.account.market.symbols
    assert player.past is not None
    codes = None if members is None else player.visible(members)
    past = player.past.at(number, codes, f"strategy {declared.name}")
    try:
        frame = player.instance.at_open(hours(session), past)
    finally:
        past.close()
    wanted = {(row.cls.__name__, f.name): f for row in declared.rows for f in row.fields if f.source == "opened"}
    if frame is None:
        return nothing(player)
    where = f"strategy {declared.name}: at_open"
    frame = _frame(frame, where)
    rows = _rows(frame, player.account.market.index, where)
    return {
        field.name: _column(frame, field, rows, len(symbols), f"strategy {declared.name}: row type {cls}")
        for (cls, _), field in wanted.items()
    }


def nothing(player: Player) -> Opened:
    """No value for any symbol."""
    n = len(player.account.market.symbols)
    names = {f.name: f.type for row in player.declaration.rows for f in row.fields if f.source == "opened"}
    return {name: Column(_blank(type_, n), np.ones(n, dtype=bool)) for name, type_ in names.items()}


def _frame(given: Any, where: str) -> pl.DataFrame:
    """What at_open returned, as a frame."""
    if isinstance(given, Mapping):
        try:
            return pl.DataFrame(given)
        except (pl.exceptions.PolarsError, TypeError, ValueError) as error:
            raise StrategyError(f"{where} must return columns of one length, was refused by Polars: {error}") from None
    if not isinstance(given, pl.DataFrame):
        raise StrategyError(
            f"{where} must return a Polars DataFrame, a dict of columns or None, was {type(given).__name__}"
        )
    return given


def _rows(frame: pl.DataFrame, index: Mapping[str, int], where: str) -> npt.NDArray[np.int64]:
    """The code of each row of the frame."""
    kinds = (pl.String, pl.Categorical, pl.Enum)
    if "symbol" not in frame.columns or not isinstance(frame["symbol"].dtype, kinds):
        raise StrategyError(f"{where} must return a column symbol of text, was a frame of {', '.join(frame.columns)}")
    found = frame["symbol"].cast(pl.String).to_list()
    for symbol in found:
        if symbol not in index:
            hint = nearest(str(symbol), tuple(index)) or "leave it out"
            raise StrategyError(f"{where}: symbol must be one of the run's, was {symbol!r}; {hint}")
    if len(set(found)) < len(found):
        twice = next(s for s in found if found.count(s) > 1)
        raise StrategyError(f"{where} must return one row a symbol, was more than one of {twice!r}")
    return np.array([index[symbol] for symbol in found], dtype=np.int64)


def _column(frame: pl.DataFrame, field: RowField, rows: npt.NDArray[np.int64], symbols: int, where: str) -> Column:
    """A field's values by code."""
    where = f"{where}, field {field.name!r}"
    if field.name not in frame.columns:
        others = [c for c in frame.columns if c != "symbol"]
        hint = nearest(field.name, others) or "return it there, or take it out of the row type"
        raise StrategyError(
            f"{where} must be a column of what at_open returned, which has {', '.join(others) or 'none'}; {hint}"
        )
    series = frame[field.name]
    kind = _kind(series.dtype)
    if kind not in FITS[field.type]:
        raise StrategyError(
            f"{where} must be {' or '.join(FITS[field.type])} in what at_open returned, was {series.dtype}"
        )
    known = series.is_not_null().to_numpy()
    values, null = _blank(field.type, symbols), np.ones(symbols, dtype=bool)
    null[rows] = ~known
    given = series.drop_nulls()
    if field.type == "int" and kind == "float":
        numbers = given.to_numpy()
        if not np.equal(numbers, np.rint(numbers)).all():
            raise StrategyError(
                f"{where}: an int must be whole, was {numbers[np.not_equal(numbers, np.rint(numbers))][0]}"
            )
    values[rows[known]] = given.to_list() if field.type == "str" else given.to_numpy()
    return Column(values, null)


def _blank(type_: str, n: int) -> npt.NDArray[Any]:
    if type_ == "float":
        return np.full(n, np.nan)
    return np.zeros(n, dtype={"int": np.int64, "bool": np.bool_, "str": np.object_}[type_])


def _kind(dtype: pl.DataType) -> str:
    if dtype == pl.Boolean:
        return "bool"
    if dtype.is_integer():
        return "int"
    if dtype.is_float():
        return "float"
    return "str" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else "other"
