"""From a specification to a run: everything is made here, once, and handed to the coordinator."""

from __future__ import annotations

import contextlib
import time as wall
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bt.config import ACTIONS_TABLE, INSTRUMENTS_TABLE, UNIVERSE_TABLE, Identity
from bt.coordinator import FinishReason
from bt.engine import Engine, Pace, hearing
from bt.errors import BtError
from bt.memory import calm_collector, keep_freed_memory
from bt.model import Progress, RunSpec
from bt.prepare import members_content
from bt.recorder import Recorder
from bt.results import MemoryResults, RunFolder
from bt.run.benchmark import benchmark_returns
from bt.run.divided import play_divided
from bt.run.driving import coordinated
from bt.run.finishing import Played, finished
from bt.run.gathering import Undivided
from bt.run.interrupt import interruptible, unheard
from bt.run.making import Made, made
from bt.run.pool import Crew, crew_of
from bt.run.result import Run
from bt.run.sharding import shards
from bt.strategy import Declaration

__all__ = ["coordinated", "identity_of", "run_spec"]


def run_spec(
    spec: RunSpec,
    *,
    checking: Progress | None = None,
    progress: Progress | None = None,
    save: bool = True,
    out: Path | None = None,
    now: datetime | None = None,
) -> Run:
    """Replay a specification.

    Parameters
    ----------
    checking : callable, optional
        Called while files of unknown content are checked, before anything is replayed, as
        ``checking(files_done, files_total, rows_done)``.
    progress : callable, optional
        Called after each session as ``progress(sessions_done, sessions_total, bars_done)``.
    save : bool
        False keeps the tables in memory.
    out : Path, optional
        The run's folder itself, instead of a new one in ``output.dir``.
    now : datetime, optional
        Aware; what ``session.end = "previous"`` starts from, the present by default.

    Raises
    ------
    UsageError
        The strategy, calendar, symbols or dates cannot be used.
    DataError
        A file fault; nothing was replayed.
    FeatureError
        A feature peeks or needs more than its lookback.
    StrategyRaised
        The strategy's own code raised; what was replayed until then is kept, its folder is the exception's ``run.path``.
    ResultsError
        The results could not be written.
    """
    began = wall.perf_counter()
    keep_freed_memory()

    with contextlib.ExitStack() as stack:
        crew: Crew | None = None

        def check(declarations: Sequence[Declaration]) -> None:
            nonlocal crew
            shards(spec, declarations, spec.workers)
            crew = stack.enter_context(crew_of(spec.workers, spec.threads))

        parts = stack.enter_context(made(spec, check=check, checking=checking, now=now))
        where = _Where(save, out, began)
        try:
            run = _played(parts, where, progress, crew)
        except BtError as error:
            if isinstance(error.run, Run):
                _write_html(spec, error.run)
            raise
    _write_html(spec, run)
    return run


def _played(parts: Made, where: _Where, progress: Progress | None, crew: Crew | None) -> Run:
    if crew is not None:
        with contextlib.suppress(Undivided):
            return _divide(parts, where, progress, crew)
    return _replay(parts.spec, parts, where, progress)


def _write_html(spec: RunSpec, run: Run) -> None:
    """The report beside the run, which is whole already."""
    if spec.html and run.path is not None:
        run.report()


class _Where(NamedTuple):
    """Where results go: to a folder (`out`, or a new one) or into memory; `began` is the wall clock at the run's start."""

    save: bool
    out: Path | None
    began: float

    def results(self, parts: Made, identity: Identity) -> RunFolder | MemoryResults:
        """A new place for them."""
        multipliers = {} if parts.terms is None else parts.terms.multipliers
        if not self.save:
            return MemoryResults(multipliers)
        folder = Path(parts.spec.output_dir)
        return RunFolder.create(folder, spec_hash=identity.hash, out=self.out, multipliers=multipliers)


def _divide(parts: Made, where: _Where, progress: Progress | None, crew: Crew) -> Run:
    """Play a run with several workers.

    Raises
    ------
    Undivided
        It has to be played in one process; nothing is left of the attempt.
    """
    benchmark = benchmark_returns(parts.spec, parts.time, parts.span, parts.actions)
    identity = identity_of(parts.spec, parts)
    results = where.results(parts, identity)
    try:
        gathered, driven, elsewhere = play_divided(parts, results, progress, crew)
        played = Played(parts, identity, results, gathered, driven, benchmark, where.began, elsewhere)
        with unheard():
            return finished(played, driven.reason)
    except BaseException:
        results.discard()
        for player in parts.players:
            player.failed = ""
        raise


def _replay(spec: RunSpec, parts: Made, where: _Where, progress: Progress | None) -> Run:
    benchmark = benchmark_returns(spec, parts.time, parts.span, parts.actions)
    pace = Pace(spec.session.speed)
    engine = Engine(
        parts.market,
        parts.players,
        ZoneInfo(parts.time.zone),
        pace=pace,
        isolate=spec.run.on_strategy_error == "isolate",
        leave=spec.universe is not None and spec.universe.leavers == "exit",
    )
    identity = identity_of(spec, parts)
    results = where.results(parts, identity)
    try:
        recorder = Recorder(
            results, parts.players, parts.store.symbols,
            schedule=parts.span.schedule, sessions_a_year=parts.time.sessions_a_year(), labels=parts.plan.labels,
        )  # fmt: skip
        coordinator = coordinated(parts, engine, recorder, progress)
        reason: FinishReason = "stopped"
        with calm_collector(), interruptible(pace, coordinator), hearing(engine):
            try:
                reason = coordinator.run()
            except KeyboardInterrupt:
                coordinator.stop_reason = "interrupted"
            with unheard():
                run = finished(Played(parts, identity, results, recorder, coordinator, benchmark, where.began), reason)
    except BaseException:
        results.discard()
        raise
    error = engine.raised or coordinator.fault
    if error is None:
        return run
    error.run = run
    engine.raised = coordinator.fault = None
    try:
        raise error
    finally:
        del error  # with its traceback it would be in a cycle, and all that has played the run in it


def identity_of(spec: RunSpec, parts: Made) -> Identity:
    """What the run's result depends on: its specification, code and tables."""
    contents = {name: table.hash for name, table in parts.tables.items()}
    if spec.universe is not None and spec.universe.table:
        contents[UNIVERSE_TABLE] = members_content(spec.universe.table)
    if parts.actions is not None:
        contents[ACTIONS_TABLE] = parts.actions.hash
    if parts.instruments is not None:
        contents[INSTRUMENTS_TABLE] = parts.instruments.hash
    return Identity.of(spec, [declared.source for declared in parts.declarations], contents)
