"""The end of a run: its summary, documents and tables, once everything was played."""

from __future__ import annotations

import time as wall
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl

from bt.config import Identity
from bt.coordinator import FinishReason, Marking, Timings
from bt.memory import give_back_memory, peak_rss_mb
from bt.metrics import Metrics
from bt.model import UNIT
from bt.recorder import Totals
from bt.results import MemoryResults, RunFolder, manifest, open_tables
from bt.run.making import Made
from bt.run.result import Run, outages_in
from bt.run.warming import told


class Books(Protocol):
    """What a run's tables and summary were made from: a `Recorder`, or what was gathered from workers."""

    @property
    def totals(self) -> Totals:
        """Of the whole run."""

    @property
    def last_session(self) -> date | None:
        """The last one written."""

    def finish(self, benchmark: Mapping[date, float]) -> tuple[Metrics, dict[str, Metrics]]:
        """Metrics of the account and of each strategy."""


class Driven(Protocol):
    """How it was driven: by a `SessionCoordinator`, or by those of workers."""

    timings: Timings
    markings: dict[str, Marking]
    stop_reason: str | None


Short = Mapping[str, Mapping[str, str | None]]


@dataclass(frozen=True)
class Elsewhere:
    """What other processes know of a run that they played: whose history was short, by interval and by field, and the most memory of
    all of them, MB."""

    history_short: Short
    features_short: Short
    peak_rss_mb: float


@dataclass(frozen=True)
class Played:
    """A run that has been played, before its results are closed. `began` is the wall clock at its start."""

    parts: Made
    identity: Identity
    results: RunFolder | MemoryResults
    recorder: Books
    coordinator: Driven
    benchmark: Mapping[date, float]
    began: float
    elsewhere: Elsewhere | None = None

    @property
    def short(self) -> tuple[Short, Short]:
        """Whose history was short at the start, by interval and by field."""
        if self.elsewhere is not None:
            return self.elsewhere.history_short, self.elsewhere.features_short
        source, last = self.parts.source, self.recorder.last_session
        return source.short_history(last), source.short_features(last)


def finished(played: Played, reason: FinishReason) -> Run:
    """Close the results: metrics, documents, tables.

    Raises
    ------
    ResultsError
        They could not be written.
    """
    results, coordinator = played.results, played.coordinator
    metrics, own = played.recorder.finish(played.benchmark)
    complete = results.complete()
    # what sessions took has no use any more, and what follows takes its own where they are many
    give_back_memory(0)
    outages = outages_in(complete["quality"])
    seconds = wall.perf_counter() - played.began
    summary = {
        "run": None,
        "name": played.parts.spec.run.name,
        "finish_reason": reason,
        "stop_reason": coordinator.stop_reason,
        **_extent(played),
        **_figures(played.recorder.totals),
        **_priced(played),
        **_returns(played, metrics),
        **_faults(played, outages.height),
    }
    clock = _clock(played, seconds)
    told_manifest = _manifest(played, reason)
    path = results.finish(
        manifest=told_manifest,
        metrics=_metrics(summary, metrics, own, outages),
        timings={**clock, "finished": datetime.now(UTC).isoformat(), "sessions": coordinator.timings.sessions},
    )
    summary["run"] = None if path is None else str(path)
    tables: Mapping[str, pl.DataFrame | pl.LazyFrame]
    tables = results.tables if isinstance(results, MemoryResults) else open_tables(path)  # type: ignore[arg-type]
    data = played.parts.spec.data
    return Run(path, {**summary, **clock}, metrics, own, reason, coordinator.stop_reason, tables, told_manifest, data)


# ------------------------------------------------------------------------------------------------------- the summary


def _extent(played: Played) -> dict[str, Any]:
    """What was played: dates, counts, members, warm-up, and whose history was short."""
    parts, totals = played.parts, played.recorder.totals
    first, last = parts.spec.session.dates
    history_short, features_short = played.short
    return {
        "start": first.isoformat(),
        "end": last.isoformat(),
        "sessions": totals.sessions,
        "iterations": totals.iterations,
        "bars": totals.bars,
        "symbols": len(parts.store.symbols),
        "universe": _universe(totals),
        "warm_up": told(parts.players),
        **_before(parts),
        "history_short": history_short,
        "features_short": features_short,
        "actions": _actions(played),
        **_instruments(played),
    }


def _instruments(played: Played) -> dict[str, Any]:
    """The table of instruments, how many of the run's symbols it has, and the multipliers that are not 1 as text; nothing without a table."""
    parts = played.parts
    if parts.instruments is None or parts.terms is None:
        return {}
    listed = set(parts.instruments.rows["symbol"])
    return {
        "instruments": {
            "table": Path(parts.instruments.source).name,
            "symbols": sum(symbol in listed for symbol in parts.store.symbols),
            "multipliers": {symbol: _decimal(number) for symbol, number in parts.terms.multipliers.items()},
        }
    }


def _actions(played: Played) -> dict[str, Any] | None:
    """The table of corporate actions, and how many of each kind the run's symbols had; None without a table."""
    parts, last = played.parts, played.recorder.last_session
    if parts.actions is None:
        return None
    until = parts.span.first - 1 if last is None else parts.span.schedule.index[last]
    names, symbols = parts.span.schedule.names, parts.store.symbols
    within = parts.span.first, until, parts.store.candidates
    renamed = {
        names[number].isoformat(): {symbols[old]: symbols[new] for old, new in codes.items()}
        for number, codes in parts.acts.renamed(*within).items()
    }
    return {
        "table": Path(parts.actions.source).name,
        "adjust": parts.spec.data.adjust,
        **parts.acts.counted(*within),
        **({"renamed": renamed} if renamed else {}),
    }


def _decimal(number: Fraction) -> str:
    """A number of finitely many decimals as it is written."""
    return f"{Decimal(number.numerator) / Decimal(number.denominator):f}"


def _before(parts: Made) -> dict[str, Any]:
    """How many sessions of the run are over before the first bar of any of its symbols, and the session that has it; nothing where none is."""
    span, begins = parts.span, min(parts.store.first.values())
    count = int(np.searchsorted(span.schedule.close[span.first : span.last + 1], begins, side="right"))
    if not count:
        return {}
    return {"before_data": {"sessions": count, "first": span.schedule.names[span.first + count].isoformat()}}


def _universe(totals: Totals) -> dict[str, int] | None:
    """How many members the sessions had, and how many symbols ever were; None without a universe."""
    if not totals.members:
        return None
    return {"fewest": min(totals.members), "most": max(totals.members), "ever": len(totals.ever_members)}


def _figures(totals: Totals) -> dict[str, Any]:
    """Orders, fills and trades counted, and what is left open or stale."""
    return {
        "orders": totals.orders,
        "fills": totals.counts.fills,
        "expired": totals.counts.expired,
        "rejected": totals.counts.rejected,
        "cancelled": totals.counts.cancelled,
        "trades": totals.counts.trades,
        "open_positions": totals.open_positions,
        "open_orders": totals.open_orders,
        "stale_exits": totals.counts.stale_exits,
        "ambiguous_bars": totals.ambiguous_bars,
        "ambiguous_trades": totals.counts.ambiguous_trades / totals.counts.trades if totals.counts.trades else 0.0,
        "stale": dict(sorted(totals.stale.items())),
    }


def _priced(played: Played) -> dict[str, Any]:
    """Where spreads are quoted, or volume moves prices: how many fills were at a quote, and how many moved nothing because nothing was known. Under rules
    of margin: how many calls there were."""
    execution, totals = played.parts.spec.execution, played.recorder.totals
    made = {"fills_at_quotes": totals.at_quotes} if execution.spread == "quotes" else {}
    if played.parts.spec.account.margin != "none":
        made["margin_calls"] = totals.margin_calls
    return made | ({"fills_without_impact": totals.unmoved} if execution.impact else {})


def _returns(played: Played, metrics: Metrics) -> dict[str, Any]:
    """Money in currency, and what became of it."""
    execution, totals = played.parts.spec.execution, played.recorder.totals
    return {
        "net_pnl": (totals.equity_end - totals.equity_start) / UNIT,
        "net_pnl_other": (totals.equity_end - totals.equity_start + totals.otherwise) / UNIT,
        "commission": totals.counts.commission / UNIT,
        "slippage": totals.counts.slippage / UNIT,
        "cash_moved": {kind: amount / UNIT for kind, amount in sorted(totals.moved.items())},
        "costs_assumed": execution.has_costs,
        "equity_start": totals.equity_start / UNIT,
        "equity_end": totals.equity_end / UNIT,
        "total_return": metrics.total_return,
        "max_drawdown": metrics.max_drawdown,
        "sharpe": metrics.sharpe,
    }


def _faults(played: Played, outages: int) -> dict[str, Any]:
    """Quality, guards, and what failed."""
    parts, totals = played.parts, played.recorder.totals
    return {
        "quality": totals.quality_sum / totals.quality_count if totals.quality_count else None,
        "completeness": totals.completeness_sum / totals.completeness_count if totals.completeness_count else None,
        "outages": outages,
        "guards": dict(sorted(totals.guards.items())),
        "failed": {symbol: _lost(why, totals.failed_sessions[symbol]) for symbol, why in sorted(totals.failed.items())},
        "strategies_failed": _failed(parts),
        "float_path": [s for s, k in parts.store.decimals.items() if k is None],
    }


def _lost(why: str, sessions: int) -> str:
    """Why a symbol failed at first, and in how many sessions more."""
    more = sessions - 1
    return f"{why} (and in {more:,} more session{'s' if more > 1 else ''})" if more else why


def _failed(parts: Made) -> dict[str, Any]:
    return {p.declaration.name: p.failed for p in parts.players if p.failed}


# ----------------------------------------------------------------------------------------------------- the documents


def _metrics(
    summary: Mapping[str, Any], metrics: Metrics, own: Mapping[str, Metrics], outages: pl.DataFrame
) -> dict[str, Any]:
    """The summary without its folder, the metrics of the account and of each strategy, and outages."""
    texts = pl.col("session").dt.to_string("iso"), pl.col("start", "end").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "summary": {k: v for k, v in summary.items() if k != "run"},
        "account": metrics.to_dict(),
        "strategies": {name: m.to_dict() for name, m in own.items()},
        "outages": outages.with_columns(*texts).to_dicts(),
    }


def _clock(played: Played, seconds: float) -> dict[str, Any]:
    """Where the time went, and the most memory."""
    timings, bars = played.coordinator.timings, played.recorder.totals.bars
    peak = peak_rss_mb()
    if peak is not None and played.elsewhere is not None:
        peak += played.elsewhere.peak_rss_mb
    return {
        "seconds": {**timings.phases, **timings.parts, "total": seconds},
        "bars_per_second": bars / seconds if seconds else 0.0,
        "peak_rss_mb": peak,
    }


def _manifest(played: Played, reason: FinishReason) -> dict[str, Any]:
    """What the run's result depends on."""
    parts, identity, coordinator = played.parts, played.identity, played.coordinator
    sources = {p.declaration.name: p.declaration.source for p in parts.players}
    return manifest(
        identity.spec, spec_hash=identity.hash,
        strategy_hashes=identity.code,
        data_fingerprint=identity.fingerprint(parts.store.fingerprint), tables=dict(identity.tables),
        finish_reason=reason, stop_reason=coordinator.stop_reason,
        streams=coordinator.markings, symbols=len(parts.store.symbols), strategy_failed=_failed(parts),
        strategy_sources={name: source.text for name, source in sources.items()},
        strategy_modules={name: dict(source.modules) for name, source in sources.items()},
    )  # fmt: skip
