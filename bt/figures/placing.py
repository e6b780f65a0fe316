"""Fills and the prices that orders waited at, beside the bars of one symbol and session."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.model import Session, slot_times
from bt.schema import MINUTE

Frame = pl.DataFrame | pl.LazyFrame
Int64Array = npt.NDArray[np.int64]

LEGS = ("stop_loss", "take_profit", "trailing_loss")
FLATTENED = ("oco", "flat", "retargeted", "exit_at_close")
"""Reasons of a cancelled order that end it with the position."""


def placed(bars: pl.DataFrame, fills: pl.DataFrame, rule: str) -> Int64Array:
    """The number of the bar that gave each fill its price; -1 where there is no bar at or before it.

    Parameters
    ----------
    bars : DataFrame
        One symbol and session: open_time (Int64 UTC microseconds, sorted), close.
    fills : DataFrame
        Its fills: time (Datetime us UTC), type (of the order), reference_price, decided_at.
    rule : str
        ``execution.fill``. What is stamped with a bar's end belongs to the bar before that time, and
        so does what is stamped with the close: no bar opens there.
    """
    opens = bars["open_time"].to_numpy()
    times = fills["time"].dt.epoch("us").to_numpy()
    within = np.searchsorted(opens, times, side="right") - 1
    before = np.searchsorted(opens, times, side="left") - 1
    ended = np.zeros(fills.height, dtype=bool)
    if rule == "next_close":
        ended = fills["type"].is_in(["market", "target"]).to_numpy()
    if rule == "same_close" and len(opens):
        # at the deciding bar's close, or in the next bar, which opens at that time: the price tells
        close = bars["close"].to_numpy()[np.maximum(before, 0)]
        at_once = (fills["decided_at"] == fills["time"]).fill_null(value=False).to_numpy()
        ended = at_once & (close == fills["reference_price"].to_numpy())
    return np.where(ended, before, within).astype(np.int64)


class Levels(NamedTuple):
    """Prices that orders of one symbol waited at in one session: kind (stop or limit), price (currency), start and end (Int64 UTC microseconds)."""

    frame: pl.DataFrame

    def at(self, symbol: str, session: Session) -> pl.DataFrame:
        """Those of one symbol that were there during a session, cut to it, by start: kind, price, start, end, order, strategy."""
        inside = self.frame.filter(
            (pl.col("symbol") == symbol)
            & (pl.col("start") < session.close)
            & (pl.col("end").is_null() | (pl.col("end") > session.open))
        )
        return inside.select(
            "kind",
            "price",
            pl.col("start").clip(session.open, session.close),
            pl.col("end").fill_null(session.close).clip(session.open, session.close),
            "order",
            "strategy",
        ).sort("start", "strategy", "order", "kind")


def levels(orders: Frame, fills: Frame, sessions: Frame) -> Levels:
    """The stops and limits of all orders, each from when it was given (a leg: from its parent's first fill) until it filled, its position was gone, or, of
    a day order, the session's close.

    The tables do not say when an order was cancelled otherwise: such a level is drawn until the session's close. Distances of trailing stops are no
    prices and are left out.
    """
    priced = (
        orders.lazy()
        .filter(pl.col("stop").is_not_null() | pl.col("limit").is_not_null(), pl.col("status") != "rejected")
        .select(
            "id",
            "strategy",
            "symbol",
            "session",
            "decided_at",
            "type",
            "stop",
            "limit",
            "tif",
            "status",
            "reason",
            "parent",
        )
        .collect(engine="in-memory")
    )
    done = fills.lazy().select("order_id", "strategy", "symbol", "time", "position_after").collect(engine="in-memory")
    key = ("strategy", "symbol")
    first = done.group_by(*key, "order_id").agg(pl.col("time").min().alias("first"), pl.col("time").max().alias("last"))
    # of fills at one time the last one says what is held: a position may come and go within a bar
    held = (
        done.sort("time", "order_id").group_by(*key, "time", maintain_order=True).agg(pl.col("position_after").last())
    )
    flat = held.filter(pl.col("position_after") == 0).select(*key, pl.col("time").alias("flat"))
    closes = sessions.lazy().select("session", pl.col("close").alias("closes")).collect(engine="in-memory")
    lived = (
        priced.join(first.drop("last"), left_on=(*key, "parent"), right_on=(*key, "order_id"), how="left")
        .join(first.drop("first"), left_on=(*key, "id"), right_on=(*key, "order_id"), how="left")
        .join(closes, on="session", how="left")
        .filter(pl.col("parent").is_null() | pl.col("first").is_not_null())
        .with_columns(pl.coalesce("first", "decided_at").alias("start"))
        .sort("start")
        .join_asof(flat, left_on="start", right_on="flat", by=key, strategy="forward", check_sortedness=False)
    )  # fmt: skip
    leg = pl.col("type").is_in(LEGS)
    ends = pl.min_horizontal(
        pl.when(pl.col("status") == "filled").then("last"),
        pl.when((leg & (pl.col("status") != "open")) | pl.col("reason").is_in(FLATTENED)).then("flat"),
        pl.when(~leg & (pl.col("tif") != "gtc")).then("closes"),
    )
    last = pl.when(~leg & (pl.col("status") == "cancelled")).then("closes")
    told = lived.with_columns(pl.coalesce(ends, last).dt.epoch("us").alias("end"), pl.col("start").dt.epoch("us"))
    shared = ("symbol", "start", "end", pl.col("id").alias("order"), "strategy")
    kinds = [
        told.filter(pl.col(kind).is_not_null()).select(pl.lit(kind).alias("kind"), pl.col(kind).alias("price"), *shared)
        for kind in ("stop", "limit")
    ]
    return Levels(pl.concat(kinds))


def missing(opens: Int64Array, session: Session) -> list[tuple[int, int]]:
    """The stretches of a session's minutes that have no bar: start, end (excluded), UTC microseconds, in time order.

    `opens` are the open_time of its bars. A stretch does not reach over a break.
    """
    slots = slot_times(session)
    lost = slots[~np.isin(slots, opens)]
    if not len(lost):
        return []
    cut = np.flatnonzero(np.diff(lost) != MINUTE)
    begins, ends = np.concatenate([[0], cut + 1]), np.concatenate([cut, [len(lost) - 1]])
    return [(int(lost[a]), int(lost[b]) + MINUTE) for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]
