"""`sweep.plot`: a sweep's charts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from bt.errors import UsageError
from bt.model import UNIT
from bt.run import plots

if TYPE_CHECKING:
    from bt.sweeps.result import Sweep

MOST = 5
"""So many sets are drawn where none are asked for."""


class SweepPlot:
    """Charts of a sweep, in Altair. Each method gives a chart, which a notebook shows and ``.save("chart.html")`` writes.

    Raises
    ------
    UsageError
        altair is not installed.
    """

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._made = plots()

    def surface(self, metric: str | None = None) -> Any:
        """The best `metric` (by default what the sweep was ranked by) over its first two parameters.

        Raises
        ------
        UsageError
            Fewer than two parameters have several values.
        ConfigError
            There is no such metric.
        """
        told = self._sweep.told(metric)
        varying = [name for name in told.parameters if told.frame[name].n_unique() > 1]
        if len(varying) < 2:
            raise UsageError(f"surface: two parameters must have several values, was {len(varying)}; see .frame")
        best = told.frame.group_by(varying[:2]).agg(pl.col(told.choose).max()).sort(varying[:2])
        return self._made.cells(best, varying[1], varying[0], told.choose, form=".4~g", titles={})

    def equity(self, *numbers: int) -> Any:
        """Growth of sets, a fraction of what each began with, at each session's close; by default of the five that rank first.

        Raises
        ------
        UsageError
            There is no such set, or it failed.
        """
        sweep = self._sweep
        ranking = [number for number in sweep.frame["number"].to_list() if number not in sweep.failed]
        parts = []
        for number in numbers or ranking[:MOST]:
            curve, text = sweep.equity(number), ", ".join(f"{k}={v}" for k, v in sweep.sets[number].values.items())
            grown = pl.Series("growth", np.divide(curve["equity"].to_numpy(), sweep.results[number].start / UNIT) - 1)
            parts.append(curve.select("session", pl.lit(f"{number}: {text}").alias("run"), grown))
        if not parts:
            raise UsageError(f"equity: a set must have been played, but all {sweep.trials} failed; see .frame")
        return self._made.overlaid(pl.concat(parts))
