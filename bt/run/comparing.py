"""Runs side by side."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bt.errors import UsageError
from bt.figures import account, session_returns
from bt.report import ComparedTold, compared_html, compared_page
from bt.results import damage_named
from bt.run.opening import open_run
from bt.run.plotting import plots
from bt.run.reporting import write_page
from bt.run.result import Run

Given = Run | str | os.PathLike[str]

_TOTALS = ("net_pnl", "commission", "slippage", "orders", "fills", "trades", "quality")


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes
    ----------
    runs : dict of Run
        By name, in order.
    """

    runs: Mapping[str, Run]

    @cached_property
    def parameters(self) -> list[str]:
        """The parameters in which the runs differ: those of strategies (with the strategy's name where there are several), of execution and of the account."""
        told = [_parameters(run) for run in self.runs.values()]
        known = dict.fromkeys(key for one in told for key in one)
        return [key for key in known if len({json.dumps(one.get(key), sort_keys=True) for one in told}) > 1]

    @cached_property
    def frame(self) -> pl.DataFrame:
        """One row a run: run (its name), start, end, the parameters that differ, the metrics (`bt.Metrics`), then net_pnl, commission, slippage (currency),
        orders, fills, trades, quality (percent).
        """
        rows = []
        told = {name: _parameters(run) for name, run in self.runs.items()}
        for name, run in self.runs.items():
            own = {key: _plain(told[name].get(key)) for key in self.parameters}
            totals = {key: run.summary[key] for key in _TOTALS}
            days = {"start": run.summary["start"], "end": run.summary["end"]}
            rows.append({"run": name, **days, **own, **run.metrics.to_dict(), **totals})
        return pl.DataFrame(rows, infer_schema_length=None).with_columns(pl.col("start", "end").str.to_date())

    @cached_property
    def equity(self) -> pl.DataFrame:
        """Equity at session closes: session, run, equity (currency), growth (a fraction of the starting equity); by run and session."""
        parts = []
        for name, run in self.runs.items():
            start = run.summary["equity_start"]
            with damage_named(run.path):
                sessions = session_returns(account(run.tables["equity"]), start)
            worth = sessions["equity"].to_numpy()
            growth = pl.Series("growth", np.divide(worth, start) - 1)
            parts.append(sessions.select("session", pl.lit(name).alias("run"), "equity").with_columns(growth))
        return pl.concat(parts)

    def plot(self) -> Any:
        """Growth of all runs in one Altair chart.

        Raises
        ------
        UsageError
            altair is not installed.
        """
        return plots().overlaid(self.equity)

    def __repr__(self) -> str:
        return repr(self.frame)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write the runs side by side as one file of HTML that needs no network, and say where it is: growth and drawdown over one another, figures a run a column.

        Raises
        ------
        ResultsError
            It could not be written.
        """
        target = Path(path)
        write_page(target, compared_page(self._told))
        return target

    @property
    def _told(self) -> ComparedTold:
        return ComparedTold(self.frame, self.parameters, self.equity)

    def _repr_html_(self) -> str:
        return compared_html(self._told)


def compare(runs: Given | Sequence[Given] | Mapping[str, Given]) -> Comparison:
    """Runs side by side: their metrics, the parameters in which they differ, and their equity.

    Parameters
    ----------
    runs : sequence or mapping, or one of them
        Runs or their folders; the keys of a mapping name them. Others are called by the run's name, or its folder's, or its strategies'.

    Raises
    ------
    UsageError
        There is none, or a path is no run.
    """
    named = runs if isinstance(runs, Mapping) else None
    if isinstance(runs, Run | str | os.PathLike):
        runs = [runs]
    opened = [one if isinstance(one, Run) else open_run(one) for one in (named.values() if named is not None else runs)]
    if not opened:
        raise UsageError("compare: there must be a run at least, was none")
    names = list(named) if named is not None else _names(opened)
    return Comparison(dict(zip(names, opened, strict=True)))


def _names(runs: Sequence[Run]) -> list[str]:
    found: list[str] = []
    for run in runs:
        strategies = ", ".join(one["name"] for one in run.manifest["spec"]["strategies"])
        name = run.summary.get("name") or (run.path.name if run.path is not None else strategies)
        count, unique = 2, name
        while unique in found:
            unique, count = f"{name} ({count})", count + 1
        found.append(unique)
    return found


def _parameters(run: Run) -> dict[str, Any]:
    """Parameters of strategies (with the strategy's name where there are several), execution and account, by dotted key."""
    spec = run.manifest["spec"]
    several = len(spec["strategies"]) > 1
    told = {
        f"{one['name']}.{key}" if several else key: value
        for one in spec["strategies"]
        for key, value in one["params"].items()
    }
    for table in ("execution", "account"):
        told |= {f"{table}.{key}": value for key, value in spec[table].items()}
    return told


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value, sort_keys=True)
