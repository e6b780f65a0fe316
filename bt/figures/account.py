"""The whole account by the minute."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.figures.summing import summed

Floats = npt.NDArray[np.float64]


def account(equity: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """One row a minute: session, time, and equity, gross and net (currency) summed over strategies; sorted by session and time."""
    money = ("equity", "gross", "net")
    chosen = equity.lazy().select("session", "time", "strategy", *money).collect(engine="in-memory")
    if chosen["strategy"].n_unique() <= 1:
        return chosen.drop("strategy")
    return summed(chosen, ("session", "time"), money)


def drawdown(equity: Floats, start: float) -> Floats:
    """How far equity is under its running peak, a fraction, negative or 0; the peak begins at `start`.

    Where the peak is not above 0 there is none, 0.
    """
    peak = np.maximum.accumulate(np.maximum(equity, start))
    return np.divide(equity - peak, peak, out=np.zeros(len(equity)), where=peak > 0)
