"""A walk-forward: fold by fold, the sets of a grid over the training, and the best of them over the test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from bt.errors import ConfigError, StrategyRaised, UsageError
from bt.metrics import Metrics
from bt.model import UNIT, ForwardSpec, Progress, RunSpec
from bt.run import Run, run_spec
from bt.run.pool import Crew
from bt.strategy import load_class, told
from bt.sweeps.dividing import crew_for
from bt.sweeps.folder import opened, write_frame
from bt.sweeps.folds import Fold, folds
from bt.sweeps.identity import Ground, code_of, document, grounded
from bt.sweeps.playing import Known, play
from bt.sweeps.recording import Chain, SetResult
from bt.sweeps.result import METRICS, Deflated, Sweep, checked_metric, deflated, figure, values_of
from bt.sweeps.sets import ParameterSet, checked_grid, expand
from bt.sweeps.sweeping import Asked, SweepInterrupted, place, sweep_spec


@dataclass(frozen=True)
class Tested:
    """A fold that is over: the sweep of its training, the set that was chosen, and what that came to in the test."""

    fold: Fold
    sweep: Sweep
    chosen: ParameterSet
    test: SetResult


@dataclass(frozen=True)
class WalkForward:
    """A finished walk-forward. Nothing in it was chosen by what it is judged by.

    Attributes
    ----------
    spec : RunSpec
        What the sets have in common, its dates resolved.
    tested : sequence of Tested
        The folds in order.
    metrics : Metrics
        Of the test folds chained: what was earned in one is invested in the next, which begins flat.
    choose : str
        What sets were chosen by.
    path : Path or None
        Its folder; None if it was kept in memory.
    """

    spec: RunSpec
    tested: Sequence[Tested]
    metrics: Metrics
    choose: str
    path: Path | None = None
    sessions_a_year: float = field(default=252.0, repr=False)

    @property
    def trials(self) -> int:
        """How many sets were tried, in all folds."""
        return sum(one.sweep.trials for one in self.tested)

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """The parameters that were chosen, fold by fold."""
        return [dict(one.chosen.values) for one in self.tested]

    @cached_property
    def folds(self) -> pl.DataFrame:
        """One row a fold: fold, train_start, train_end, test_start, test_end (Date), number (of the set chosen), its parameters, then the fields of `bt.Metrics`
        in the training (``train_``) and in the test (``test_``)."""
        days = ("train_start", "train_end", "test_start", "test_end")
        columns: dict[str, pl.Series] = {"fold": pl.Series([t.fold.number for t in self.tested], dtype=pl.Int64)}
        columns |= {day: pl.Series([getattr(t.fold, day) for t in self.tested], dtype=pl.Date) for day in days}
        columns["number"] = pl.Series([t.chosen.number for t in self.tested], dtype=pl.Int64)
        reserved = {*columns, *(f"{part}_{name}" for part in ("train", "test") for name in METRICS)}
        for name in self.tested[0].chosen.values:
            head = f"strategy.params.{name}" if name in reserved else name
            columns[head] = values_of([t.chosen.values[name] for t in self.tested])
        for part in ("train", "test"):
            for name in METRICS:
                columns[f"{part}_{name}"] = figure(name, [getattr(self._metrics(t, part), name) for t in self.tested])
        return pl.DataFrame(columns)

    @staticmethod
    def _metrics(one: Tested, part: str) -> Metrics | None:
        return one.test.metrics if part == "test" else one.sweep.results[one.chosen.number].metrics

    @cached_property
    def equity(self) -> pl.DataFrame:
        """The test folds chained, one row a session: fold, session, return (fraction; null once equity was 0 or less at a close), equity (currency, from the first
        fold's cash; it stays where a fold has lost everything)."""
        rows: list[tuple[int, date, float | None, float]] = []
        now = self.tested[0].test.start / UNIT
        for one in self.tested:
            begun, ruined = now, now <= 0  # who has lost everything has nothing to invest again
            for day, worth in zip(one.test.sessions, one.test.equity, strict=True):
                before, now = now, now if ruined else begun * (worth / one.test.start)
                rows.append((one.fold.number, day, (now - before) / before if before > 0 else None, now))
        schema = {"fold": pl.Int64, "session": pl.Date, "return": pl.Float64, "equity": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    @cached_property
    def deflated(self) -> Deflated | None:
        """The best Sharpe ratio of all trainings beside its deflated value; None where no set has one."""
        results = [result for one in self.tested for result in one.sweep.results]
        numbers = [one.fold.number for one in self.tested for _ in one.sweep.results]
        return deflated(results, self.trials, self.sessions_a_year, numbers)

    def run(self, fold: int, *, save: bool = False, out: Path | None = None) -> Run:
        """The test of one fold, replayed with every table.

        Raises
        ------
        UsageError
            There is no such fold.
        """
        given: object = fold
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given < len(self.tested):
            raise UsageError(
                f"walk_forward: fold must be a number from 0 to {len(self.tested) - 1}, was {fold!r}; see .folds"
            )
        one = self.tested[fold]
        return run_spec(test_run(self.spec, one.fold, one.chosen), save=save or out is not None, out=out)

    def __repr__(self) -> str:
        return f"WalkForward of {len(self.tested)} folds, {self.trials} trials, by {self.choose}\n{self.folds}"


def test_run(spec: RunSpec, fold: Fold, chosen: ParameterSet) -> RunSpec:
    """The run that judges a choice: the test's sessions alone, flat at its end."""
    run = chosen.applied(spec)
    days = replace(run.session, start=fold.test_start, end=fold.test_end)
    return replace(run, session=days, execution=replace(run.execution, at_end="close"), workers=1)


def walk_forward_spec(
    asked: Asked,
    forward: ForwardSpec,
    *,
    checking: Progress | None = None,
    progress: Progress | None = None,
    save: bool = True,
    out: Path | None = None,
    now: datetime | None = None,
) -> WalkForward:
    """Choose by each fold's training, and play the choice over its test.

    Parameters
    ----------
    checking, progress, save, out
        As `bt.sweeps.sweep_spec`; in the folder each training is a sweep of its own, so that a walk-forward that was stopped goes on.

    Raises
    ------
    ConfigError
        As `bt.sweeps.sweep_spec`; or the folds do not fit.
    StrategyRaised
        The choice of a fold raised in its test, or every set in its training.
    """
    choose = checked_metric(asked.choose, "sweep.choose")
    now = now or datetime.now(UTC)
    asked = replace(asked, grid=checked_grid(asked.grid))
    sets = expand(asked.spec, asked.grid, asked.where)
    if dates := sorted({key for one in sets for key in one.settings} & {"session.start", "session.end"}):
        raise ConfigError(
            f"sweep.grid: {dates[0]} must be left out of a walk-forward, was in the grid; the dates of trainings and tests are the folds'"
        )
    ground = grounded(asked.spec, checking=checking, now=now)
    known = Known(code_of(asked.spec, sets), ground.spec.data, ground.fingerprint)
    parts = folds(ground.sessions, forward, "sweep.walk_forward")
    with crew_for(asked.spec, sets) as crew:
        walk = _Walk(asked, ground, known, parts, progress, now, crew)
        if not save:
            tested, metrics = walk.walked(None)
            return WalkForward(ground.spec, tested, metrics, choose, None, ground.time.sessions_a_year())
        known_by = {"walk_forward": told(forward), "choose": choose}
        where = asked.where if isinstance(asked.where, str) else told(asked.where)
        told_ = document(ground, sets, known_by, grid={k: list(v) for k, v in asked.grid.items()}, where=where)
        path = place(ground.spec, told_, out, "walk-forward")
        with opened(path, told_, named=out is not None):
            tested, metrics = walk.walked(path)
            made = WalkForward(ground.spec, tested, metrics, choose, path, ground.time.sessions_a_year())
            write_frame(path / "chained.parquet", made.equity)
            write_frame(path / "folds.parquet", made.folds)
    return made


@dataclass
class _Walk:
    """A walk-forward under way."""

    asked: Asked
    ground: Ground
    known: Known
    folds: Sequence[Fold]
    progress: Progress | None
    now: datetime
    crew: Crew | None

    def walked(self, path: Path | None) -> tuple[list[Tested], Metrics]:
        """Every fold, and the metrics of their tests chained; trainings are kept in `path`."""
        chain, tested, done, sets = Chain(), list[Tested](), 0, 0
        try:
            for fold in self.folds:
                trained = self._trained(fold, None if path is None else path / f"train-{fold.number:03}")
                done, sets = done + trained.trials, trained.trials
                chosen = _choice(trained, fold)
                test = self._test(fold, chosen, chain)
                tested.append(Tested(fold, trained, chosen, test))
        except SweepInterrupted:
            raise
        except KeyboardInterrupt:  # between trainings, or in a test
            raise SweepInterrupted(path, done, sets * len(self.folds)) from None
        return tested, chain.metrics

    def _trained(self, fold: Fold, out: Path | None) -> Sweep:
        days = replace(self.ground.spec.session, start=fold.train_start, end=fold.train_end)
        asked = replace(self.asked, spec=replace(self.ground.spec, session=days))
        done = fold.number

        def tell(sessions: int, total: int, bars: int) -> None:
            if self.progress is not None:
                self.progress(done * total + sessions, total * len(self.folds), bars)

        try:
            return sweep_spec(
                asked, progress=tell, save=out is not None, out=out, now=self.now, crew=self.crew, code=self.known.code
            )
        except SweepInterrupted as error:
            path = None if out is None else out.parent
            before = done * error.trials
            raise SweepInterrupted(path, before + error.done, error.trials * len(self.folds)) from None

    def _test(self, fold: Fold, chosen: ParameterSet, chain: Chain) -> SetResult:
        run = test_run(self.ground.spec, fold, chosen)
        for use in (s.use for s in run.strategies if isinstance(s.use, str)):
            self.known.check_code(use, load_class(use))
        (result,) = play({chosen.number: run}, now=self.now, chain=chain, known=self.known)
        if result.metrics is None:
            raise StrategyRaised(f"fold {fold.number}, test from {fold.test_start} to {fold.test_end}: {result.error}")
        return result


def _choice(sweep: Sweep, fold: Fold) -> ParameterSet:
    """The best set of a training: of those that were played, where none has the figure the first."""
    played: list[int] = [n for n in sweep.frame["number"].to_list() if sweep.results[n].metrics is not None]
    if not played:
        first = next(iter(sweep.failed.values()))
        raise StrategyRaised(
            f"fold {fold.number}, training from {fold.train_start} to {fold.train_end}: every set failed, the first by {first}"
        )
    return sweep.sets[played[0]]
