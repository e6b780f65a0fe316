"""The prices that orders waited at: stops and limits, and the levels of trailing stops, which follow the bars."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from bt.model import Session

Frame = pl.DataFrame | pl.LazyFrame

SHAPE = pl.Schema(
    {"kind": pl.String, "price": pl.Float64, "start": pl.Int64, "end": pl.Int64, "order": pl.Int64, "strategy": pl.String}
)  # fmt: skip
"""Levels of one symbol: kind (stop, limit or trail), price (currency), start and end (UTC microseconds), order, strategy."""


class Levels(NamedTuple):
    """Where orders waited.

    Attributes
    ----------
    fixed : DataFrame
        `SHAPE`, and symbol: stops and limits; `end` is null of an order that is open.
    trailing : DataFrame
        Orders with a distance instead of a price: symbol, side, trail (currency), start, end, order, strategy, and of a leg the price that its parent filled at,
        and that before slippage (filled, reference).
    """

    fixed: pl.DataFrame
    trailing: pl.DataFrame

    def at(self, symbol: str, session: Session, bars: pl.DataFrame) -> pl.DataFrame:
        """Those of one symbol that were there during a session, cut to it, by start: `SHAPE`.

        `bars` are the symbol's from `since` on to the session's end (open_time, sorted, and prices), those that orders met. Where a trailing stop
        moves with them, every stretch is a level of its own: that at which it stood as each bar opened.
        """
        rows = [one for order in self._there(symbol, session).iter_rows(named=True) for one in _followed(order, bars)]
        moved = pl.DataFrame(rows, schema=SHAPE, orient="row")
        told = pl.concat([self.fixed.filter(pl.col("symbol") == symbol).select(SHAPE.names()), moved])
        start, end = pl.col("start"), pl.col("end").fill_null(session.close)
        return (
            told.filter(start < session.close, end > session.open)
            .with_columns(start.clip(session.open, session.close), end.clip(session.open, session.close))
            .sort("start", "strategy", "order", "kind")
        )

    def since(self, symbol: str, session: Session) -> int:
        """From when on the bars of `at` are needed (UTC microseconds): the session's open, or when the oldest trailing stop that is there was given."""
        starts: list[int] = self._there(symbol, session)["start"].to_list()
        return min([session.open, *starts])

    def _there(self, symbol: str, session: Session) -> pl.DataFrame:
        """The trailing stops that were there during a session."""
        ended = pl.col("end").is_not_null() & (pl.col("end") <= session.open)
        return self.trailing.filter(pl.col("symbol") == symbol, pl.col("start") < session.close, ~ended)


def levels(orders: Frame, fills: Frame) -> Levels:
    """The stops and limits of all orders, each from when it was given (a leg: from its parent's first fill) until it ended.

    Legs of an order that filled nothing waited for nothing, and what was rejected did not wait.
    """
    priced = (
        orders.lazy()
        .filter(pl.any_horizontal(pl.col("stop", "limit", "trail").is_not_null()), pl.col("status") != "rejected")
        .select("id", "strategy", "symbol", "side", "decided_at", "ended_at", "stop", "limit", "trail", "parent")
    )
    key = ("strategy", "symbol")
    first = (
        fills.lazy()
        .sort("time", maintain_order=True)
        .group_by(*key, "order_id", maintain_order=True)
        .agg(pl.col("time", "price", "reference_price").first())
    )
    told = (
        priced.join(first, left_on=(*key, "parent"), right_on=(*key, "order_id"), how="left")
        .filter(pl.col("parent").is_null() | pl.col("time").is_not_null())
        .with_columns(pl.coalesce("time", "decided_at").dt.epoch("us").alias("start"), pl.col("ended_at").dt.epoch("us").alias("end"), pl.col("id").alias("order"))
        .collect(engine="in-memory")
    )  # fmt: skip
    kinds = [
        told.filter(pl.col(kind).is_not_null()).select(
            pl.lit(kind).alias("kind"), pl.col(kind).alias("price"), "start", "end", "order", "strategy", "symbol"
        )
        for kind in ("stop", "limit")
    ]
    trailing = told.filter(pl.col("trail").is_not_null()).select(
        "symbol",
        "side",
        "trail",
        "start",
        "end",
        "order",
        "strategy",
        pl.col("price").alias("filled"),
        pl.col("reference_price").alias("reference"),
    )
    return Levels(pl.concat(kinds), trailing)


def _followed(order: dict[str, Any], bars: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
    """A trailing stop's level as each bar opened, from the first bar it followed on: rows of `SHAPE`, one for each stretch without a change.

    It trails the highest price since it was there (of a buy the lowest): the open, what bars before this one reached, and of a leg its parent's price. Of the bar
    that filled the parent elsewhere than at the open only the close surely came after that.
    """
    opened = bars["open_time"].to_numpy()
    lasts = np.searchsorted(opened, order["end"]) if order["end"] is not None else len(opened)
    begins = int(np.searchsorted(opened, order["start"]))
    if begins >= lasts:
        return
    part = bars[begins : int(lasts)]
    sign = 1 if order["side"] == "sell" else -1
    opens, closes = (sign * part[name].to_numpy() for name in ("open", "close"))
    best = (sign * part["high" if sign > 0 else "low"].to_numpy()).copy()
    opened = opened[begins : int(lasts)]
    before = -np.inf
    if order["filled"] is not None:
        before = sign * order["filled"]
        if opened[0] == order["start"] and sign * order["reference"] != opens[0]:
            opens[0], best[0] = before, closes[0]
    reached = np.maximum.accumulate(np.concatenate([[before], best[:-1]]))
    level = sign * (np.maximum(reached, opens) - order["trail"])
    changes = np.flatnonzero(np.diff(level, prepend=np.nan) != 0)
    ends = [*opened[changes[1:]].tolist(), order["end"]]
    for place, end in zip(changes.tolist(), ends, strict=True):
        yield "trail", round(float(level[place]), 10), int(opened[place]), end, order["order"], order["strategy"]


def met(bars: pl.DataFrame, zero_volume: str) -> pl.DataFrame:
    """The bars that orders meet: with ``execution.zero_volume = "skip"`` those that have volume."""
    return bars.filter(pl.col("volume") > 0) if zero_volume == "skip" else bars
