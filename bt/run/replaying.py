"""From a specification to a run: everything is made here, once, and handed to the coordinator."""

from __future__ import annotations

import time as wall
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from bt.config import UNIVERSE_TABLE, Identity
from bt.coordinator import Agenda, FinishReason, SessionCoordinator, SessionRecorder
from bt.engine import Engine, Pace, hearing
from bt.errors import UsageError
from bt.memory import calm_collector, keep_freed_memory
from bt.model import Progress, RunSpec
from bt.prepare import members_content
from bt.recorder import Recorder
from bt.results import MemoryResults, RunFolder
from bt.run.benchmark import benchmark_returns
from bt.run.finishing import Played, finished
from bt.run.interrupt import interruptible
from bt.run.making import Made, made
from bt.run.result import Run
from bt.run.sharding import shards
from bt.strategy import Declaration


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

    def check(declarations: Sequence[Declaration]) -> None:
        shards(spec, declarations, spec.workers)
        if spec.workers > 1:
            raise UsageError(
                f"{spec.source}: engine.workers must be 1, was {spec.workers}; this version replays in one process"
            )

    with made(spec, check=check, checking=checking, now=now) as parts:
        return _replay(parts.spec, parts, began=began, progress=progress, save=save, out=out)


def _replay(
    spec: RunSpec, parts: Made, *, began: float, progress: Progress | None, save: bool, out: Path | None
) -> Run:
    benchmark = benchmark_returns(spec, parts.time, parts.span)
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
    results = RunFolder.create(Path(spec.output_dir), spec_hash=identity.hash, out=out) if save else MemoryResults()
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
            run = finished(Played(parts, identity, results, recorder, coordinator, benchmark, began), reason)
    except BaseException:
        results.discard()
        raise
    for error in (engine.raised, coordinator.fault):
        if error is not None:
            error.run = run
            raise error
    return run


def identity_of(spec: RunSpec, parts: Made) -> Identity:
    """What the run's result depends on: its specification, code and outside tables."""
    contents = {name: table.hash for name, table in parts.tables.items()}
    if spec.universe is not None and spec.universe.table:
        contents[UNIVERSE_TABLE] = members_content(spec.universe.table)
    return Identity.of(spec, [declared.source for declared in parts.declarations], contents)


def coordinated(
    parts: Made, engine: Engine, recorder: SessionRecorder, progress: Progress | None
) -> SessionCoordinator:
    """What drives the sessions of a run."""
    spec, span, labels = parts.spec, parts.span, parts.plan.labels
    agenda = Agenda(
        span.first, span.last - span.first + 1, span.complete,
        spec.execution.at_end, spec.run.on_data_error == "raise", parts.warm,
    )  # fmt: skip
    return SessionCoordinator(
        "backtest", [labels.get(i, f"{i}m") for i in parts.plan.intervals], source=parts.source, engine=engine,
        recorder=recorder, progress=progress, agenda=agenda,
    )  # fmt: skip
