"""From a specification to a run: everything is made here, once, and handed to the coordinator."""

from __future__ import annotations

import time as wall
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from bt.config import UNIVERSE_TABLE, Identity
from bt.coordinator import Agenda, FinishReason, SessionCoordinator
from bt.engine import Engine, Pace, Player, hearing
from bt.errors import UsageError
from bt.memory import calm_collector, keep_freed_memory, peak_rss_mb
from bt.model import UNIT, Progress, RunSpec
from bt.prepare import members_content
from bt.recorder import Recorder, Totals
from bt.results import MemoryResults, RunFolder, manifest, open_tables
from bt.run.benchmark import benchmark_returns
from bt.run.interrupt import interruptible
from bt.run.making import Made, made
from bt.run.result import Run, outages_in
from bt.run.sharding import shards
from bt.run.warming import told
from bt.store import Store
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
    declarations, players, store, span, time = parts.declarations, parts.players, parts.store, parts.span, parts.time
    made_plan, source = parts.plan, parts.source
    benchmark = benchmark_returns(spec, time, span)
    pace = Pace(spec.session.speed)
    engine = Engine(
        parts.market,
        players,
        ZoneInfo(time.zone),
        pace=pace,
        isolate=spec.run.on_strategy_error == "isolate",
        leave=spec.universe is not None and spec.universe.leavers == "exit",
    )
    contents = {name: table.hash for name, table in parts.tables.items()}
    if spec.universe is not None and spec.universe.table:
        contents[UNIVERSE_TABLE] = members_content(spec.universe.table)
    identity = Identity.of(spec, [declared.source for declared in declarations], contents)
    results = RunFolder.create(Path(spec.output_dir), spec_hash=identity.hash, out=out) if save else MemoryResults()
    try:
        recorder = Recorder(
            results, players, store.symbols,
            schedule=span.schedule, sessions_a_year=time.sessions_a_year(), labels=made_plan.labels,
        )  # fmt: skip
        coordinator = SessionCoordinator(
            "backtest", [made_plan.labels.get(i, f"{i}m") for i in made_plan.intervals], source=source, engine=engine,
            recorder=recorder, progress=progress,
            agenda=Agenda(span.first, span.last - span.first + 1, span.complete, spec.execution.at_end, spec.run.on_data_error == "raise", parts.warm),
        )  # fmt: skip
        reason: FinishReason = "stopped"
        with calm_collector(), interruptible(pace, coordinator), hearing(engine):
            try:
                reason = coordinator.run()
            except KeyboardInterrupt:
                coordinator.stop_reason = "interrupted"
            run = _finish(
                _Played(
                    spec,
                    identity,
                    store,
                    results,
                    recorder,
                    coordinator,
                    players,
                    source.short_history(recorder.last_session),
                    benchmark,
                    began,
                ),
                reason,
            )
    except BaseException:
        results.discard()
        raise
    for error in (engine.raised, coordinator.fault):
        if error is not None:
            error.run = run
            raise error
    return run


@dataclass(frozen=True)
class _Played:
    """A run that has been played, before its results are closed. `began` is the wall clock at its start."""

    spec: RunSpec
    identity: Identity
    store: Store
    results: RunFolder | MemoryResults
    recorder: Recorder
    coordinator: SessionCoordinator
    players: Sequence[Player]
    short: Mapping[str, Mapping[str, str | None]]
    benchmark: Mapping[date, float]
    began: float


def _universe(totals: Totals) -> dict[str, int] | None:
    """How many members the sessions had, and how many symbols ever were; None without a universe."""
    if not totals.members:
        return None
    return {"fewest": min(totals.members), "most": max(totals.members), "ever": len(totals.ever_members)}


def _finish(played: _Played, reason: FinishReason) -> Run:
    spec, store, results, players = played.spec, played.store, played.results, played.players
    identity, recorder, coordinator = played.identity, played.recorder, played.coordinator
    metrics, own = recorder.finish(played.benchmark)
    outages = outages_in(results.complete()["quality"])
    totals, timings = recorder.totals, coordinator.timings
    seconds = wall.perf_counter() - played.began
    failed = dict(totals.failed)
    summary: dict[str, Any] = {
        "run": None,
        "name": spec.run.name,
        "finish_reason": reason,
        "stop_reason": coordinator.stop_reason,
        "start": spec.session.dates[0].isoformat(),
        "end": spec.session.dates[1].isoformat(),
        "sessions": totals.sessions,
        "iterations": totals.iterations,
        "bars": totals.bars,
        "symbols": len(store.symbols),
        "universe": _universe(totals),
        "warm_up": told(players),
        "history_short": played.short,
        "orders": totals.orders,
        "fills": totals.fills,
        "expired": totals.expired,
        "rejected": totals.rejected,
        "cancelled": totals.cancelled,
        "trades": totals.trades,
        "open_positions": totals.open_positions,
        "open_orders": totals.open_orders,
        "stale_exits": totals.stale_exits,
        "stale": dict(sorted(totals.stale.items())),
        "net_pnl": (totals.equity_end - totals.equity_start) / UNIT,
        "commission": totals.commission / UNIT,
        "slippage": totals.slippage / UNIT,
        "costs_assumed": spec.execution.slippage_bps > 0 or spec.execution.commission_per_share > 0,
        "equity_start": totals.equity_start / UNIT,
        "equity_end": totals.equity_end / UNIT,
        "total_return": metrics.total_return,
        "max_drawdown": metrics.max_drawdown,
        "sharpe": metrics.sharpe,
        "quality": totals.quality_sum / totals.quality_count if totals.quality_count else None,
        "completeness": totals.completeness_sum / totals.completeness_count if totals.completeness_count else None,
        "outages": outages.height,
        "guards": dict(sorted(totals.guards.items())),
        "failed": failed,
        "strategies_failed": {p.declaration.name: p.failed for p in players if p.failed},
        "float_path": [s for s, k in store.decimals.items() if k is None],
    }
    clock = {
        "seconds": {**timings.phases, **timings.parts, "total": seconds},
        "bars_per_second": totals.bars / seconds if seconds else 0.0,
        "peak_rss_mb": peak_rss_mb(),
    }
    documents = {
        "manifest": manifest(
            identity.spec, spec_hash=identity.hash,
            strategy_hashes=identity.code,
            data_fingerprint=identity.fingerprint(store.fingerprint), tables=dict(identity.tables),
            finish_reason=reason, stop_reason=coordinator.stop_reason,
            streams=coordinator.markings, symbols=len(store.symbols), strategy_failed=summary["strategies_failed"],
            strategy_sources={p.declaration.name: p.declaration.source.text for p in players},
            strategy_modules={p.declaration.name: dict(p.declaration.source.modules) for p in players},
        ),
        "metrics": {
            "summary": {k: v for k, v in summary.items() if k != "run"}, "account": metrics.to_dict(),
            "strategies": {name: m.to_dict() for name, m in own.items()},
            "outages": outages.with_columns(
                pl.col("session").dt.to_string("iso"), pl.col("start", "end").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
            ).to_dicts(),
        },
        "timings": {**clock, "finished": datetime.now(UTC).isoformat(), "sessions": timings.sessions},
    }  # fmt: skip
    path = results.finish(**documents)
    summary["run"] = None if path is None else str(path)
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame]
    tables = results.tables if isinstance(results, MemoryResults) else open_tables(path)  # type: ignore[arg-type]
    return Run(path, {**summary, **clock}, metrics, own, reason, coordinator.stop_reason, tables)
