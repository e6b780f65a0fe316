"""`Sweep`: what many parameter sets came to."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime, time
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bt.errors import ConfigError, UsageError
from bt.metrics import Metrics
from bt.model import UNIT, RunSpec
from bt.ratios import expected_maximum_sharpe, probabilistic_sharpe, session_sharpe
from bt.report import SweepTold, sweep_page
from bt.run import REPORT, Run, run_spec, write_page
from bt.strategy import nearest, told
from bt.sweeps.plotting import SweepPlot
from bt.sweeps.recording import TOTALS, SetResult
from bt.sweeps.sets import ParameterSet

METRICS = tuple(f.name for f in fields(Metrics))
FIGURES = (*METRICS, *TOTALS)
"""What sets may be ranked by."""

_WHOLE = ("sessions", "max_drawdown_minutes", "orders", "fills", "trades", "expired", "rejected", "cancelled",
          "open_positions", "open_orders", "stale_exits", "failed_symbols")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Deflated:
    """The best of many Sharpe ratios, and what is left of it once it is known how many were tried.

    Attributes
    ----------
    number : int
        The set with the highest Sharpe ratio.
    trials : int
        How many sets were tried.
    sharpe : float
        Its Sharpe ratio of session returns, risk-free 0, annualized.
    expected : float
        The highest that so many sets without skill would show by chance, annualized.
    probability : float
        The deflated Sharpe ratio: the probability that its true Sharpe ratio is above 0 after all those trials.
    fold : int or None
        Of a walk-forward, the fold in whose training it was.

    Notes
    -----
    Source: D. H. Bailey and M. Lopez de Prado, "The Deflated Sharpe Ratio: Correcting for Selection Bias, Backtest Overfitting, and
    Non-Normality", Journal of Portfolio Management 40 (2014). The formula works on Sharpe ratios that are not annualized, with the variance (n - 1) of
    those of the sets that have one; every set counts as a trial.
    """

    number: int
    trials: int
    sharpe: float
    expected: float
    probability: float
    fold: int | None = None


@dataclass(frozen=True)
class Sweep:
    """A finished sweep.

    Attributes
    ----------
    spec : RunSpec
        What the sets have in common, its dates resolved.
    sets : sequence of ParameterSet
    results : sequence of SetResult
        In order of the sets' numbers.
    choose : str
        What the frame is ranked by.
    path : Path or None
        Its folder; None if it was kept in memory.
    """

    spec: RunSpec
    sets: Sequence[ParameterSet]
    results: Sequence[SetResult]
    choose: str
    path: Path | None = None
    sessions_a_year: float = field(default=252.0, repr=False)

    @property
    def trials(self) -> int:
        """How many sets were tried."""
        return len(self.sets)

    @property
    def failed(self) -> dict[int, str]:
        """By number, why a set failed."""
        return {result.number: result.error for result in self.results if result.error}

    @cached_property
    def frame(self) -> pl.DataFrame:
        """One row a set, the best first: number, the parameters, error, the fields of `bt.Metrics`, then totals; money in currency.

        Ranked by `choose`, the highest first, then by number; sets without that figure come last.
        """
        return ranked(frame_of(self.sets, self.results), self.choose)

    def best(self, metric: str | None = None) -> dict[str, Any]:
        """The parameters of the set with the highest `metric` (by default what the sweep was ranked by), by the grid's keys.

        Raises
        ------
        UsageError
            There is no such metric, or no set has it.
        """
        return dict(self.sets[self.chosen(metric)].values)

    def chosen(self, metric: str | None = None) -> int:
        """The number of that set."""
        name = self.choose if metric is None else checked_metric(metric, "best")
        number, value = self.frame.pipe(ranked, name).select("number", name).row(0)
        if value is None:
            raise UsageError(f"best: a set must have {name}, but none of {self.trials} has; see .frame")
        return int(number)

    def run(self, number: int, *, save: bool = False, out: Path | None = None) -> Run:
        """The run of one set, replayed alone: with every table. `save` writes it as `bt.replay` does, `out` into that folder.

        Raises
        ------
        UsageError
            There is no such set.
        BtError
            As `bt.replay`.
        """
        return run_spec(self._one(number).applied(self.spec), save=save or out is not None, out=out)

    def equity(self, number: int) -> pl.DataFrame:
        """Equity of one set at each session's close: session, equity (currency), return (fraction). `run` has it by the minute.

        Raises
        ------
        UsageError
            There is no such set, or it failed.
        """
        self._one(number)
        result = self.results[number]
        if result.metrics is None:
            raise UsageError(f"equity: set {number} must have been played, but failed: {result.error}")
        return curve(result)

    def told(self, choose: str | None = None) -> SweepTold:
        """The sweep as reports tell it: ``run.report(sweep=sweep.told())``; `choose` ranks its sets, by default what it was ranked by.

        Raises
        ------
        ConfigError
            There is no such metric.
        """
        by = self.choose if choose is None else checked_metric(choose, "choose")
        lines = lines_of(self.trials, by, len(self.failed))
        if (best := self.deflated) is not None:
            text = f"set {best.number}: {best.sharpe:.2f}; of {best.trials} sets without skill the best would show {best.expected:.2f}"
            lines.append(("Best Sharpe", f"{text}; probability of a true one above 0: {best.probability:.1%}"))
        return SweepTold(ranked(self.frame, by), parameters_in(self.frame), by, lines)

    def report(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the sweep as one file of HTML, by default ``report.html`` in its folder, and say where it is.

        Raises
        ------
        UsageError
            The sweep is in memory and no path was given.
        ResultsError
            It could not be written.
        """
        if path is None and self.path is None:
            raise UsageError("report: path must be given of a sweep in memory, was not; sweep.report('report.html')")
        target = Path(path) if path is not None else Path(self.path or "") / REPORT
        write_page(target, sweep_page(self.told()))
        return target

    @property
    def plot(self) -> SweepPlot:
        """Charts in Altair: ``surface(metric)`` over two parameters, ``equity(*numbers)`` of sets.

        Raises
        ------
        UsageError
            altair is not installed: ``pip install "minute-bt[report]"``.
        """
        return SweepPlot(self)

    @cached_property
    def deflated(self) -> Deflated | None:
        """The best Sharpe ratio beside its deflated value; None where no set has one."""
        return deflated(self.results, self.trials, self.sessions_a_year)

    def _one(self, number: int) -> ParameterSet:
        given: object = number
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < len(self.sets):
            raise UsageError(f"sweep: set must be a number from 0 to {len(self.sets) - 1}, was {number!r}; see .frame")
        return self.sets[number]

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"Sweep of {self.trials} sets{failed}, by {self.choose}\n{self.frame.head(10)}"


def checked_metric(name: str, source: str) -> str:
    """`name`, if sets may be ranked by it.

    Raises
    ------
    ConfigError
        They may not.
    """
    if name not in FIGURES:
        hint = nearest(str(name), FIGURES) or f"figures are {', '.join(FIGURES)}"
        raise ConfigError(f"{source}: it must be a metric, was {name!r}; {hint}")
    return name


def frame_of(sets: Sequence[ParameterSet], results: Sequence[SetResult]) -> pl.DataFrame:
    """The sets in order of their numbers: number, parameters, error, stop_reason, metrics, totals."""
    columns: dict[str, pl.Series] = {"number": pl.Series([s.number for s in sets], dtype=pl.Int64)}
    reserved = {"number", "error", "stop_reason", *FIGURES}
    for name in sets[0].values:
        head = next(iter(s for s in sets[0].settings if s.endswith(f".{name}"))) if name in reserved else name
        columns[head] = values_of([s.values[name] for s in sets])
    columns["error"] = pl.Series([r.error or None for r in results], dtype=pl.String)
    columns["stop_reason"] = pl.Series([r.stop_reason for r in results], dtype=pl.String)
    for name in METRICS:
        columns[name] = figure(name, [None if r.metrics is None else getattr(r.metrics, name) for r in results])
    for name in TOTALS:
        columns[name] = figure(name, [r.totals.get(name) for r in results])
    return pl.DataFrame(columns)


def figure(name: str, values: Sequence[float | None]) -> pl.Series:
    """A metric or total of several sets as a column: whole numbers where it counts, else floats."""
    return pl.Series(values, dtype=pl.Int64 if name in _WHOLE else pl.Float64)


def values_of(values: Sequence[Any]) -> pl.Series:
    """A parameter's values as a column: as they are where they are of one kind, else as text."""
    kinds = {type(value) for value in values}
    if kinds <= {int, float} and kinds != {int}:
        return pl.Series([float(v) for v in values], dtype=pl.Float64)
    if len(kinds) == 1 and kinds <= {int, bool, str, date, datetime, time}:
        try:
            return pl.Series(values)
        except (OverflowError, TypeError):
            return pl.Series([str(v) for v in values], dtype=pl.String)
    return pl.Series(
        [v if isinstance(v, str) else json.dumps(told(v), sort_keys=True) for v in values], dtype=pl.String
    )


def ranked(frame: pl.DataFrame, by: str) -> pl.DataFrame:
    """The highest first, then by number; what has none last."""
    return frame.sort(by, "number", descending=[True, False], nulls_last=True)


def curve(result: SetResult) -> pl.DataFrame:
    """A set's equity by session, in currency."""
    before = (result.start, *result.equity)[: len(result.equity)]
    returns = [(now - last) / last if last > 0 else None for now, last in zip(result.equity, before, strict=True)]
    return pl.DataFrame(
        {
            "session": pl.Series(result.sessions, dtype=pl.Date),
            "equity": np.array(result.equity, dtype=np.int64) / UNIT,
            "return": pl.Series(returns, dtype=pl.Float64),
        }
    )


def deflated(
    results: Sequence[SetResult], trials: int, sessions_a_year: float, folds: Sequence[int] | None = None
) -> Deflated | None:
    """The best Sharpe ratio of some sets beside its deflated value (`Deflated`); None where no set has one. `folds` are theirs."""
    ratios: dict[int, float] = {}
    for place, result in enumerate(results):
        if result.metrics is not None and result.metrics.sharpe is not None:
            ratio = session_sharpe(result.returns)
            if ratio is not None:
                ratios[place] = ratio
    if not ratios:
        return None
    best = max(ratios, key=lambda place: (ratios[place], -place))
    variance = float(np.var(list(ratios.values()), ddof=1)) if len(ratios) > 1 else 0.0
    expected = expected_maximum_sharpe(trials, variance)
    probability = probabilistic_sharpe(results[best].returns, expected)
    if probability is None:
        return None
    year = sessions_a_year**0.5
    fold = None if folds is None else folds[best]
    return Deflated(results[best].number, trials, ratios[best] * year, expected * year, probability, fold)


def parameters_in(frame: pl.DataFrame) -> tuple[str, ...]:
    """The columns of a sweep's frame that are its parameters."""
    return tuple(name for name in frame.columns if name not in {"number", "error", "stop_reason", *FIGURES})


def lines_of(trials: int, by: str, failed: int) -> list[tuple[str, str]]:
    """What a page says of any sweep, as (name, text)."""
    return [("Sets", f"{trials:,} tried, {failed:,} failed, ranked by {by}; the best of many looks better than it is")]
