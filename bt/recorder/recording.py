"""Writes a run's tables session by session, and keeps its totals and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.engine import Left, PlayerOutcome, SessionOutcome, figures_of, first_lines, together
from bt.execution import IntArray
from bt.execution import layout as at
from bt.metrics import Counts, Metrics, MetricsAccumulator, SessionFigures
from bt.model import Schedule, instant, slot_times
from bt.recorder.rows import Counted, Equity, Fills, Members, Positions, Quality, RowMaker, StrategyRows
from bt.recorder.said import Said, said, warming, warming_up
from bt.results import GAP, Deferred, Results, rows_of
from bt.schema import DAY, MINUTE


@dataclass
class Totals:
    """Figures of the whole run, for its summary. Money in units."""

    sessions: int = 0
    iterations: int = 0
    bars: int = 0
    orders: int = 0
    counts: Counts = Counts()  # noqa: RUF009 - a tuple
    equity_start: int = 0
    equity_end: int = 0
    ambiguous_bars: int = 0
    margin_calls: int = 0
    at_quotes: int = 0
    """Fills at a quote."""
    unmoved: int = 0
    """Fills of symbols of which nothing said how volume moves the price."""
    otherwise: int = 0
    """What the other paths of ambiguous bars would have been worth more."""
    moved: dict[str, int] = field(default_factory=dict)
    """Cash that moved without a trade, by kind."""
    stale: dict[str, str] = field(default_factory=dict)
    """Symbols held at the end without a bar in the last session, and when their last bar ended."""
    guards: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    failed_sessions: dict[str, int] = field(default_factory=dict)
    quality_sum: float = 0.0
    quality_count: int = 0
    completeness_sum: float = 0.0
    completeness_count: int = 0
    open_positions: int = 0
    open_orders: int = 0
    members: list[int] = field(default_factory=list)
    ever_members: set[int] = field(default_factory=set)


class Playing(Protocol):
    """A strategy of which is told: a `bt.engine.Player`, or one that others play."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def start_cash(self) -> int:
        """Cash at the start, units."""

    def left(self, opened: int) -> Left:
        """What it leaves if the run ends after the session that `opened` then."""


class Recorder:
    """Turns outcomes into tables, session by session, and keeps the run's totals and metrics.

    Parameters
    ----------
    results : Results
        Where the tables go.
    players : sequence of Playing
    schedule : Schedule
        Numbers sessions for orders that outlive theirs, and counts minutes held.
    labels : mapping
        Interval in minutes to its name.
    """

    def __init__(
        self,
        results: Results,
        players: Sequence[Playing],
        symbols: Sequence[str],
        *,
        schedule: Schedule,
        sessions_a_year: float,
        labels: Mapping[int, str],
    ) -> None:
        self._results = results
        self._players = players
        self._symbols = list(symbols)
        self._rows = RowMaker(symbols, schedule)
        self._every = np.arange(len(self._symbols))
        self._of: dict[str, StrategyRows] = {}
        self._labels = {1: "1m", DAY: "1d", **labels}
        self.totals = Totals()
        starts = [p.start_cash for p in players]
        self.totals.equity_start = self.totals.equity_end = sum(starts)
        self._metrics = MetricsAccumulator(sum(starts), sessions_a_year)
        self._own = [MetricsAccumulator(s, sessions_a_year) for s in starts] if len(players) > 1 else []
        self._last = list(starts)
        self._sessions: list[date] = []
        self._left: list[Left] = []

    @property
    def last_session(self) -> date | None:
        """The last session that was written, None before the first."""
        return self._sessions[-1] if self._sessions else None

    # ------------------------------------------------------------------------------------------------------ one session

    def session(
        self,
        outcome: SessionOutcome,
        quality: pl.DataFrame,
        guards: pl.DataFrame,
        failed: Mapping[int, str],
        spoken: Sequence[Said] | None = None,
    ) -> None:
        """Write every table's rows of one session; what strategies have said is in their output, or `spoken`."""
        name = outcome.session.name
        self._sessions.append(name)
        told = warming_up(warming(outcome))
        withheld = pl.concat([guards, *told]) if told else guards
        self._write_guards(name, withheld)
        self._write_quality(name, quality)
        figures: list[SessionFigures] = []
        net, orders = 0, 0
        heard = [said(own.output) for own in outcome.players] if spoken is None else spoken
        for number, (player, own) in enumerate(zip(self._players, outcome.players, strict=True)):
            self._player(player.name, own, outcome, heard[number])
            figures.append(figures_of(own))
            if self._own:
                self._own[number].add(figures[-1])
            last = int(own.curve.equity[-1]) if len(own.curve.equity) else self._last[number]
            net += last - self._last[number]
            self._last[number] = last
            orders += own.given
        both = together(figures)
        self._metrics.add(both)
        self._write_universe(name, outcome.ranking)
        totals = self.totals
        totals.sessions += 1
        totals.iterations += outcome.iterations
        totals.bars += outcome.bars
        totals.orders += orders
        totals.equity_end = sum(self._last)
        totals.counts = self._metrics.counts
        for code, why in failed.items():
            if outcome.visible is not None and not outcome.visible[code]:
                continue  # it was only read along
            symbol = self._symbols[code]
            totals.failed.setdefault(symbol, f"{name}: {why}")
            totals.failed_sessions[symbol] = totals.failed_sessions.get(symbol, 0) + 1
        held_back = 0 if withheld.is_empty() else int(withheld["rows"].sum())
        counts = outcome.bars, outcome.iterations, held_back, orders, both.counts.fills, net
        self._results.append(
            "sessions", Deferred(self._rows.sessions, Counted(outcome.session, counts), 1), ordered=True
        )
        self._results.end_session(name)
        # now, not at the end: a session that could not be played leaves nothing that may be told
        self._left = [player.left(outcome.session.open) for player in self._players]

    def finish(self, benchmark: Mapping[date, float]) -> tuple[Metrics, dict[str, Metrics]]:
        """After the last session: the orders still open, then the metrics of the account and of each strategy.

        `benchmark` are the session returns of what they are compared with.
        """
        for player, left in zip(self._players, self._left, strict=False):
            self.totals.open_orders += len(left.orders)
            if len(left.orders):
                self._write_orders(self._of[player.name], left.orders)
            self.totals.open_positions += left.positions
            for code, ended in left.stale.items():
                self.totals.stale[self._symbols[code]] = instant(ended).isoformat()
        others = [benchmark.get(name) for name in self._sessions]
        own = {p.name: m.result(others) for p, m in zip(self._players, self._own, strict=False)}
        return self._metrics.result(others), own

    # --------------------------------------------------------------------------------------------------- rows of tables

    def _write_universe(self, name: date, ranking: npt.NDArray[np.int64] | None) -> None:
        """Who was a member, by rank; without a universe every candidate is, in symbol order."""
        members = Members(name, self._every if ranking is None else ranking)
        self._results.append(
            "universe", Deferred(self._rows.universe, members, len(members.codes)), ordered=ranking is None
        )
        if ranking is not None:
            self.totals.members.append(len(ranking))
            self.totals.ever_members.update(ranking.tolist())

    def _write_guards(self, name: date, guards: pl.DataFrame) -> None:
        if guards.is_empty():
            return
        for reason, rows in guards.group_by("reason").agg(pl.col("rows").sum()).sort("reason").iter_rows():
            self.totals.guards[reason] = self.totals.guards.get(reason, 0) + rows
        ordered = guards.sort("code", "reason")
        symbols = pl.Series("symbol", [self._symbols[code] for code in ordered["code"]], dtype=pl.String)
        guarded = ordered.with_columns(pl.lit(name).alias("session"), symbols)
        self._results.append("guards", rows_of("guards", guarded))

    def _write_quality(self, name: date, quality: pl.DataFrame) -> None:
        if quality.is_empty():
            return
        intervals = quality["interval"].to_numpy()
        minute = intervals == 1
        mostly, known, complete = quality["quality"].to_numpy(), quality["completeness"], minute
        if known.null_count():
            complete = minute & known.is_not_null().to_numpy()
        mostly, known = mostly[minute], known.to_numpy()[complete]
        self.totals.quality_sum += float(np.add.reduce(mostly))
        self.totals.quality_count += len(mostly)
        self.totals.completeness_sum += float(np.add.reduce(known))
        self.totals.completeness_count += len(known)
        gaps = len(quality["gaps"].to_arrow(compat_level=pl.CompatLevel.oldest()).flatten()) * GAP
        self._results.append(
            "quality",
            Deferred(self._rows.quality, Quality(name, quality, self._labels), len(intervals), gaps),
            ordered=bool((intervals == intervals[0]).all()),
        )

    def _player(self, name: str, own: PlayerOutcome, outcome: SessionOutcome, heard: Said) -> None:
        """Rows of one strategy."""
        session = outcome.session
        rows = self._rows_of(name, own.output.tags)
        self._write_orders(rows, _kept(own.output.orders))
        if own.output.cash:
            self._results.append("cash", rows.cash(session.name, own.output.cash))
            for move in own.output.cash:
                self.totals.moved[move.kind] = self.totals.moved.get(move.kind, 0) + move.amount
        if len(own.positions):
            held = Positions(session.name, own.positions)
            self._results.append("positions", Deferred(rows.positions, held, len(own.positions)), ordered=True)
        if (frame := heard.records) is not None:
            frame = frame.sort("time", "code", maintain_order=True)
            self._results.append("records", rows_of("records", frame.with_columns(pl.lit(name).alias("strategy"))))
        if (frame := heard.log) is not None:
            lines = first_lines(frame, outcome.now).with_columns(pl.lit(name).alias("strategy"))
            self._results.append("log", rows_of("log", lines))
        times = slot_times(session)[: outcome.minutes] + MINUTE
        equity = Deferred(rows.equity, Equity(session.name, times, own.curve), len(times))
        self._results.append("equity", equity, ordered=True)
        fills, trades, totals = _kept(own.output.fills), _kept(own.output.trades), self.totals
        if len(fills):
            filled = Fills(session.name, fills, own.traded)
            self._results.append("fills", Deferred(rows.fills, filled, len(fills)), ordered=True)
        if len(trades):
            self._results.append("trades", Deferred(rows.trades, trades, len(trades)), ordered=True)
        totals.ambiguous_bars += own.output.ambiguous_bars
        totals.otherwise += own.output.otherwise
        totals.margin_calls += own.output.margin_calls
        totals.at_quotes += own.output.at_quotes
        totals.unmoved += own.output.unmoved

    def _rows_of(self, name: str, tags: Sequence[str]) -> StrategyRows:
        """Makes a strategy's rows; `tags` become more."""
        if name not in self._of:
            self._of[name] = self._rows.of(name, tags)
        return self._of[name]

    def _write_orders(self, rows: StrategyRows, orders: IntArray) -> None:
        """Orders that have ended in a session, or after the last one are still open."""
        if not len(orders):
            return
        sessions = self._rows.days(orders[:, at.R_SESSION])
        self._results.append("orders", Deferred(rows.orders, orders, len(orders)), ordered=True, sessions=sessions)


def _kept(rows: IntArray) -> IntArray:
    """Rows that stay as they are when the next session begins."""
    return rows if rows.flags.owndata else rows.copy()
