"""A run in pandas, as pyfolio, empyrical and quantstats want it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from bt.sessions import TimeManager

if TYPE_CHECKING:
    from bt.run.result import Run


class PandasTables(NamedTuple):
    """A run for pandas' users; dates are sessions, without a time zone.

    Attributes
    ----------
    returns : pandas.Series
        Return of each session, a fraction; index date, name the run's.
    positions : pandas.DataFrame
        Value of each symbol at each close, currency, signed, 0 where none is held, and ``cash``; index date.
    transactions : pandas.DataFrame
        One row a fill: symbol, amount (signed shares), price, commission, txn_dollars (currency, received is above 0); index the session's date with the
        exchange's time of day.
    """

    returns: Any
    positions: Any
    transactions: Any


def to_pandas(run: Run, returns: pl.DataFrame, name: str) -> PandasTables:
    """The run's session `returns`, positions and fills, all strategies together."""
    import pandas as pd  # the calendars bring it; nothing else here needs it

    days = pd.DatetimeIndex(returns["session"].cast(pl.Datetime("ns")).to_numpy(), name="date")
    series = pd.Series(returns["return"].fill_null(0.0).to_numpy(), index=days, name=name)
    return PandasTables(series, _positions(run, days), _transactions(run))


def _positions(run: Run, days: Any) -> Any:
    import pandas as pd

    held = run.positions.group_by("session", "symbol").agg(pl.col("value").sum()).sort("session", "symbol")
    symbols = held["symbol"].unique().sort().to_list()
    closes = run.equity.group_by("session", "strategy", maintain_order=True).agg(pl.col("cash").last())
    cash = closes.group_by("session", maintain_order=True).agg(pl.col("cash").sum()).sort("session")
    wide = cash.select("session")
    if symbols:
        across = held.pivot(on="symbol", on_columns=symbols, index="session", values="value")  # noqa: PD010 - a Polars frame
        wide = wide.join(across, on="session", how="left", maintain_order="left")
    columns = {symbol: wide[symbol].fill_null(0.0).to_numpy() for symbol in symbols}
    return pd.DataFrame({**columns, "cash": cash["cash"].to_numpy()}, index=days)


def _transactions(run: Run) -> Any:
    import pandas as pd

    zone = TimeManager(run.manifest["spec"]["data"]["calendar"]).zone
    local = pl.col("time").dt.convert_time_zone(zone).dt.time()
    fills = run.fills.select(
        pl.col("session").dt.combine(local).alias("time"),
        "symbol",
        pl.col("shares").alias("amount"),
        "price",
        "commission",
    ).sort("time", maintain_order=True)
    index = pd.DatetimeIndex(fills["time"].cast(pl.Datetime("ns")).to_numpy(), name="date")
    columns = {name: fills[name].to_numpy() for name in ("amount", "price", "commission")}
    names = {"symbol": fills["symbol"].to_list()}
    each = np.array([float(run.multipliers.get(symbol, 1)) for symbol in fills["symbol"]])
    dollars = {"txn_dollars": -columns["amount"] * columns["price"] * each}
    return pd.DataFrame({**names, **columns, **dollars}, index=index)
