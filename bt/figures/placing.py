"""Fills and gaps beside the bars of one symbol and session."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.model import Session, slot_times
from bt.schema import MINUTE

Int64Array = npt.NDArray[np.int64]


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
