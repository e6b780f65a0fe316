"""A part of a run, played by a worker: what happened in each session is told as a slice, and nothing is kept.

A slice holds everything that the run's tables and summary need of its session, so that a run may end after any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.coordinator import FinishReason, Timings
from bt.engine import Engine, Pace, PlayerOutcome, SessionOutcome, hearing
from bt.memory import calm_collector, keep_freed_memory, peak_rss_mb
from bt.model import RunSpec
from bt.recorder import Recorder, Totals, recorded, spoken, warming
from bt.results import SCHEMAS, Deferred, Rows, joined
from bt.run.driving import coordinated
from bt.run.making import Made, Share, made
from bt.run.pool import Tell
from bt.strategy import unpack

COUNTS = (
    "orders", "fills", "expired", "rejected", "cancelled", "trades", "commission", "slippage", "stale_exits", "ambiguous_bars",
    "ambiguous_trades", "otherwise", "at_quotes", "margin_calls", "unmoved",
)  # fmt: skip
"""Totals that are sums over strategies and symbols."""

Short = tuple[dict[str, dict[str, str | None]], dict[str, dict[str, str | None]]]
"""Whose history, and whose features' history, was short at the start, and since when all of it is there."""


@dataclass(frozen=True)
class Part:
    """What a worker is to play: of the run `spec`, whose strategies travel as `strategies`, a `share`. Of the tables `without`
    somebody else tells."""

    spec: RunSpec
    strategies: Sequence[bytes]
    share: Share
    without: frozenset[str]


@dataclass(frozen=True)
class Slice:
    """What happened in one session.

    Attributes
    ----------
    tables : mapping of str to Rows
        As `bt.results` has them from the engine; `equity` has the rows of each strategy, `guards` what was withheld from everybody.
    said : mapping of int to (DataFrame or None, DataFrame or None)
        By strategy what it recorded and what it said.
    warming : sequence of (int, DataFrame)
        Guard reports of rows that a strategy was not shown, with its number.
    counts : mapping of str to int
        The session's own part of `COUNTS`.
    moved : mapping of str to int
        Cash that moved without a trade, by kind, units.
    moments, bars_of
        As in `SessionOutcome`.
    open_orders, open_positions, stale
        What the run leaves if it ends here.
    failed : mapping of str to str
        Symbols dropped, and why.
    strategies_failed : mapping of int to str
        Strategies that have raised, here or before.
    short : Short or None
        None if it is what the slice before told.
    """

    session: date
    opened: int
    closed: int
    early_close: bool
    tables: Mapping[str, Rows]
    said: Mapping[int, tuple[pl.DataFrame | None, pl.DataFrame | None]]
    warming: Sequence[tuple[int, pl.DataFrame]]
    counts: Mapping[str, int]
    moved: Mapping[str, int]
    moments: npt.NDArray[np.int64]
    bars_of: npt.NDArray[np.int64]
    open_orders: Rows | None
    open_positions: int
    stale: Mapping[str, str]
    failed: Mapping[str, str]
    strategies_failed: Mapping[int, str]
    short: Short | None
    seconds: float


@dataclass(frozen=True)
class Stopped:
    """The run ends within a session, or for a faulty row: only who plays all of it knows what the others do until then."""

    reason: str


@dataclass(frozen=True)
class Over:
    """How a part came to its end. Wall seconds by phase and part."""

    reason: FinishReason
    phases: Mapping[str, float]
    parts: Mapping[str, float]
    peak_rss_mb: float | None


def play_part(part: Part, tell: Tell) -> Over:
    """Play a part of a run and tell every session's `Slice`; a `Stopped` where it does not come to its end by itself."""
    keep_freed_memory()
    spec = replace(part.spec, strategies=tuple(unpack(data) for data in part.strategies))
    with made(spec, share=part.share) as parts:
        engine = Engine(
            parts.market, parts.players, ZoneInfo(parts.time.zone), pace=Pace(spec.session.speed),
            isolate=spec.run.on_strategy_error == "isolate",
            leave=parts.spec.universe is not None and parts.spec.universe.leavers == "exit",
            several=len(parts.declarations) > 1,
        )  # fmt: skip
        recorder = SliceRecorder(parts, part, tell)
        coordinator = coordinated(parts, engine, recorder, None)
        recorder.timings = coordinator.timings
        with calm_collector(), hearing(engine):
            reason = coordinator.run()
        if reason == "stopped":
            tell(Stopped(str(coordinator.stop_reason)))
        timings = coordinator.timings
        return Over(reason, timings.phases, timings.parts, peak_rss_mb())


@dataclass
class _Kept:
    """Results that are taken session by session."""

    rows: dict[str, list[Rows | Deferred]] = field(default_factory=lambda: {table: [] for table in SCHEMAS})

    def append(self, table: str, rows: Rows | Deferred, *, ordered: bool = False) -> None:  # noqa: ARG002 - other parts come in between
        """As `Results.append`."""
        if len(rows):
            self.rows[table].append(rows)

    def end_session(self, session: date) -> None:
        """Nothing to do."""

    def complete(self) -> Mapping[str, pl.LazyFrame]:
        """Nothing is ever complete here."""
        return {}

    def finish(
        self, *, manifest: Mapping[str, Any], metrics: Mapping[str, Any], timings: Mapping[str, Any]
    ) -> Path | None:
        """Nothing to do."""

    def discard(self) -> None:
        """Nothing to do."""

    def taken(self) -> dict[str, Rows]:
        """The rows since the last time, by table."""
        found = {table: joined(parts) for table, parts in self.rows.items() if parts}
        self.rows = {table: [] for table in SCHEMAS}
        return found


class SliceRecorder:
    """A recorder that tells what a session left, and forgets it."""

    def __init__(self, parts: Made, part: Part, tell: Tell) -> None:
        self._parts, self._part, self._tell = parts, part, tell
        self._results = _Kept()
        self._recorder = Recorder(
            self._results, parts.players, parts.store.symbols,
            schedule=parts.span.schedule, sessions_a_year=parts.time.sessions_a_year(), labels=parts.plan.labels,
        )  # fmt: skip
        self._short: Short | None = None
        self._judged = date.min  # the session of which it was told last
        self.timings = Timings()

    @property
    def totals(self) -> Totals:
        """So far."""
        return self._recorder.totals

    def session(
        self, outcome: SessionOutcome, quality: pl.DataFrame, guards: pl.DataFrame, failed: Mapping[int, str]
    ) -> None:
        """Tell a session that was played to its end."""
        if outcome.stopped is not None:
            return
        before, known = self._counts(), set(self.totals.failed)
        self.totals.moved.clear()
        silent = replace(outcome, players=[_silent(own) for own in outcome.players])
        self._recorder.session(silent, quality, guards, failed)
        tables = {name: frame for name, frame in self._results.taken().items() if name not in self._part.without}
        after = self._counts()
        self.totals.open_orders = self.totals.open_positions = 0
        self.totals.stale.clear()
        self._recorder.finish({})
        left = self._results.taken().get("orders")
        numbers, day = self._part.share.strategies, outcome.session
        pairs = list(zip(numbers, self._parts.players, outcome.players, strict=True))
        self._tell(
            Slice(
                day.name, day.open, day.close, day.early_close, tables,
                said={n: (recorded(own.output), spoken(own.output)) for n, _, own in pairs},
                warming=[(n, w) for n, _, own in pairs for w in warming(replace(outcome, players=[own]))],
                counts={name: after[name] - before[name] for name in COUNTS},
                moved=dict(self.totals.moved),
                moments=outcome.moments,
                bars_of=outcome.bars_of,
                open_orders=left,
                open_positions=self.totals.open_positions,
                stale=dict(self.totals.stale),
                failed={s: why for s, why in self.totals.failed.items() if s not in known},
                strategies_failed={n: p.failed for n, p, _ in pairs if p.failed},
                short=self._news(day.name),
                seconds=self.timings.sessions[-1]["stream"],
            )
        )  # fmt: skip

    def _counts(self) -> dict[str, int]:
        return {name: getattr(self.totals, name) for name in COUNTS}

    def _news(self, session: date) -> Short | None:
        """Whose history was short, if that has changed."""
        source, judged, self._judged = self._parts.source, self._judged, session
        if source.short_settled <= judged:
            return None
        short = source.short_history(session), source.short_features(session)
        if short == self._short:
            return None
        self._short = short
        return short


def _silent(own: PlayerOutcome) -> PlayerOutcome:
    """Without what is told apart: what the strategy said, and was not shown."""
    return replace(own, output=replace(own.output, records=[], log=[]), withheld=())
