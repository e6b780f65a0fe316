"""The tables of a run: their columns, dtypes and order, and how a session's frame of the engine becomes one.

The engine hands frames in its own terms: money as Int64 units of 1e-8, times as Int64 UTC microseconds or Datetime,
symbols as Enum or String. A table holds money as Float64 currency, times as Datetime us UTC, symbols as String.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.model import UNIT

TIME = pl.Datetime("us", "UTC")
GAPS = pl.List(pl.Struct({"start": TIME, "end": TIME, "minutes": pl.Int64}))

_TEXT, _WHOLE, _NUMBER, _FLAG = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()

SCHEMAS: dict[str, pl.Schema] = {
    name: pl.Schema(columns)
    for name, columns in {
        "fills": {
            "order_id": _WHOLE, "strategy": _TEXT, "symbol": _TEXT, "session": pl.Date(), "time": TIME, "side": _TEXT,
            "shares": _WHOLE, "price": _NUMBER, "reference_price": _NUMBER, "slippage": _NUMBER, "commission": _NUMBER,
            "position_after": _WHOLE, "bar_share": _NUMBER, "stale_minutes": _WHOLE, "tag": _TEXT, "ambiguous": _FLAG,
        },
        "orders": {
            "id": _WHOLE, "strategy": _TEXT, "symbol": _TEXT, "session": pl.Date(), "decided_at": TIME, "ended_at": TIME, "type": _TEXT,
            "side": _TEXT, "shares": _WHOLE, "level": _WHOLE, "limit": _NUMBER, "stop": _NUMBER, "trail": _NUMBER, "tif": _TEXT,
            "status": _TEXT, "reason": _TEXT, "tag": _TEXT, "filled": _WHOLE, "parent": _WHOLE,
        },
        "trades": {
            "strategy": _TEXT, "symbol": _TEXT, "side": _TEXT, "entry_time": TIME, "exit_time": TIME,
            "entry_price": _NUMBER, "exit_price": _NUMBER, "shares": _WHOLE, "gross_pnl": _NUMBER, "costs": _NUMBER,
            "net_pnl": _NUMBER, "return": _NUMBER, "mae": _NUMBER, "mfe": _NUMBER, "minutes_held": _WHOLE,
            "entry_tag": _TEXT, "exit_reason": _TEXT, "ambiguous": _FLAG,
        },
        "equity": {
            "time": TIME, "session": pl.Date(), "strategy": _TEXT, "equity": _NUMBER, "cash": _NUMBER,
            "gross": _NUMBER, "net": _NUMBER,
        },
        "cash": {
            "time": TIME, "session": pl.Date(), "strategy": _TEXT, "symbol": _TEXT, "kind": _TEXT, "amount": _NUMBER,
        },
        "positions": {
            "session": pl.Date(), "strategy": _TEXT, "symbol": _TEXT, "shares": _WHOLE, "price": _NUMBER,
            "value": _NUMBER,
        },
        "quality": {
            "session": pl.Date(), "symbol": _TEXT, "interval": _TEXT, "present": _WHOLE, "expected": _WHOLE,
            "quality": _NUMBER, "completeness": _NUMBER, "longest_gap_start": TIME, "longest_gap_minutes": _WHOLE, "gaps": GAPS,
        },
        "guards": {
            "session": pl.Date(), "symbol": _TEXT, "reason": _TEXT, "rows": _WHOLE, "first_time": TIME,
            "last_time": TIME, "sample": pl.List(TIME),
        },
        "sessions": {
            "session": pl.Date(), "open": TIME, "close": TIME, "early_close": _FLAG, "bars": _WHOLE,
            "iterations": _WHOLE, "withheld": _WHOLE, "orders": _WHOLE, "fills": _WHOLE, "net_pnl": _NUMBER,
        },
        "records": {"time": TIME, "strategy": _TEXT, "name": _TEXT, "value": _NUMBER},
        "log": {"time": TIME, "strategy": _TEXT, "message": _TEXT, "fields": _TEXT},
        "universe": {"session": pl.Date(), "symbol": _TEXT, "rank": _WHOLE},
    }.items()
}  # fmt: skip
"""Columns of every table, in order. `log.fields` is a JSON object; `orders.level` is a target's."""

ABSENT_AS_NULL = {"orders": ("ended_at", "level", "limit", "stop", "trail", "parent")}
"""Columns that a frame may lack: null then."""

NULLABLE = {
    "fills": ("bar_share",),
    "orders": ("ended_at", "side", "shares", "level", "limit", "stop", "trail", "parent"),
    "trades": (),
    "equity": (),
    "cash": ("symbol",),
    "positions": (),
    "sessions": (),
}
"""Columns of these tables that may be null; of others any may."""

MONEY: dict[str, tuple[str, ...]] = {
    "fills": ("price", "reference_price", "slippage", "commission"),
    "orders": ("limit", "stop", "trail"),
    "trades": ("entry_price", "exit_price", "gross_pnl", "costs", "net_pnl", "mae", "mfe"),
    "equity": ("equity", "cash", "gross", "net"),
    "cash": ("amount",),
    "positions": ("price", "value"),
    "sessions": ("net_pnl",),
}
"""Columns that are money: Int64 units from the engine, currency in the table."""

PRICES: dict[str, tuple[str, ...]] = {
    "fills": ("price", "reference_price"),
    "orders": ("limit", "stop", "trail"),
    "trades": ("entry_price", "exit_price"),
    "positions": ("price",),
}
"""Of these, columns that the engine has as money of a share: prices in the table, where a share is worth more or less than its price."""

ORDER: dict[str, tuple[str, ...]] = {
    "fills": ("session", "time", "strategy", "symbol", "order_id"),
    "orders": ("session", "decided_at", "strategy", "symbol", "id"),
    "trades": ("exit_time", "strategy", "symbol", "entry_time"),
    "equity": ("session", "time", "strategy"),
    "cash": ("session", "time", "strategy", "symbol", "kind"),
    "positions": ("session", "strategy", "symbol"),
    "quality": ("session", "symbol", "interval"),
    "guards": ("session", "symbol", "reason"),
    "sessions": ("session",),
    "records": ("time", "strategy"),
    "log": ("time", "strategy"),
    "universe": ("session", "symbol"),
}
"""Sort keys; rows that tie stay as they came. Strategies and symbols sort as text."""

_NUMERIC = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
_FROM: dict[type[pl.DataType], tuple[type[pl.DataType], ...]] = {
    pl.String: (pl.Enum, pl.Categorical),
    pl.Int64: _NUMERIC,
    pl.Float64: (pl.Float32, *_NUMERIC),
    pl.Datetime: (pl.Int64,),
    pl.List: (pl.List,),
}


_EXACT = 1 << 53
"""Up to here every whole number is a double."""


def currency(units: pl.Series) -> pl.Series:
    """Float64 currency of Int64 `units` of 1e-8, nulls kept: correctly rounded, as Python's ``units / 10**8`` is.

    Polars' own ``/`` by a scalar multiplies by a reciprocal. NumPy's would first round what exceeds 53 bits, so whole
    units and remainder of large amounts are divided apart: each is exact in a double, and only the last step rounds.
    """
    if not units.null_count():
        return pl.Series(units.name, currency_of(units.to_numpy()))
    result = pl.Series(units.name, currency_of(units.fill_null(0).to_numpy()))
    return pl.select(pl.when(units.is_not_null()).then(result).alias(units.name)).to_series()


def currency_of(units: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The same of an array."""
    if not len(units) or -_EXACT <= units.min() <= units.max() <= _EXACT:
        return np.asarray(units / UNIT)
    whole = units // UNIT
    return np.where(np.abs(units) <= _EXACT, units / UNIT, whole + (units - whole * UNIT) / UNIT)


def _column(table: str, values: pl.Series, dtype: pl.DataType) -> pl.Series:
    if values.dtype == dtype:
        return values
    if values.dtype == pl.Int64 and values.name in MONEY.get(table, ()):
        return currency(values)
    if values.dtype != pl.Null and not values.dtype.is_(dtype):
        allowed = _FROM.get(type(dtype), ())
        if type(values.dtype) not in allowed:
            raise TypeError(f"{table}: {values.name} must be {dtype}, was {values.dtype}")
    return values.cast(dtype)


def conform(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` with exactly the table's columns and dtypes, rows as they came.

    Raises
    ------
    TypeError
        A column is missing or has a dtype that cannot stand for the table's.
    """
    columns = []
    for name, dtype in SCHEMAS[table].items():
        if name in frame.columns:
            columns.append(_column(table, frame[name], dtype))
        elif name in ABSENT_AS_NULL.get(table, ()):
            columns.append(pl.Series(name, [None] * frame.height, dtype=dtype))
        else:
            raise TypeError(f"{table}: the frame must have {name}, was {frame.columns}")
    return pl.DataFrame(columns)


@cache
def empty(table: str) -> pl.DataFrame:
    """The table without rows."""
    return SCHEMAS[table].to_frame()
