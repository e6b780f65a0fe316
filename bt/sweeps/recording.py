"""What a set came to: its metrics and totals, counted session by session from arrays. Nothing is written and no table made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import polars as pl

from bt.engine import Player, SessionOutcome, figures_of, together
from bt.metrics import Metrics, MetricsAccumulator, SessionFigures
from bt.model import UNIT

TOTALS = (
    "net_pnl", "equity_end", "orders", "fills", "trades", "expired", "rejected", "cancelled", "commission", "slippage",
    "open_positions", "open_orders", "stale_exits", "failed_symbols",
)  # fmt: skip
"""Totals of a set, as in a run's summary; `failed_symbols` sat out a session or more."""

MONEY = frozenset(("net_pnl", "equity_end", "commission", "slippage"))
"""Those in currency."""


@dataclass(frozen=True)
class SetResult:
    """What one parameter set came to.

    Attributes
    ----------
    number : int
    error : str
        Why it failed: what its strategy raised, "" if nothing.
    stop_reason : str or None
        Of `book.stop`.
    metrics : Metrics or None
        None of a set that failed.
    totals : mapping
        `TOTALS`; money in currency. Empty of a set that failed.
    sessions : tuple of date
        Those that were played.
    equity : tuple of int
        At the close of each, units of 1e-8.
    start : int
        Equity before the first, units.
    """

    number: int
    error: str = ""
    stop_reason: str | None = None
    metrics: Metrics | None = None
    totals: Mapping[str, float | int] = field(default_factory=dict)
    sessions: tuple[date, ...] = ()
    equity: tuple[int, ...] = ()
    start: int = 0

    @property
    def returns(self) -> list[float]:
        """Return of each session, a fraction; none once equity has been 0 or less at a close."""
        before = (self.start, *self.equity)[: len(self.equity)]
        if any(value <= 0 for value in (self.start, *self.equity)):
            return []
        return [(now - last) / last for now, last in zip(self.equity, before, strict=True)]


@dataclass
class Chain:
    """Runs one after another, each with an account of its own, as one: their returns are chained. `benchmark` are the returns
    of what they are compared with."""

    benchmark: list[float | None] = field(default_factory=list)
    _metrics: MetricsAccumulator | None = None

    def begin(self, start_cash: int, sessions_a_year: float) -> None:
        """The next run begins."""
        if self._metrics is None:
            self._metrics = MetricsAccumulator(start_cash, sessions_a_year)
        else:
            self._metrics.restart(start_cash)

    def add(self, session: SessionFigures) -> None:
        """One session."""
        assert self._metrics is not None
        self._metrics.add(session)

    @property
    def metrics(self) -> Metrics:
        """Of all of them."""
        assert self._metrics is not None
        return self._metrics.result(self.benchmark)


@dataclass
class Passed:
    """How much of a pass is over."""

    sessions: int = 0
    bars: int = 0


class Apart(Exception):  # noqa: N818 - no error: who catches it plays the sets apart
    """A symbol failed in a session, by what one of several sets computes: the others would not have lost it alone."""


class SetRecorder:
    """Counts what happens to every set of a pass.

    Parameters
    ----------
    groups : sequence of sequences of Player
        The players of each set.
    chain : Chain, optional
        Where the sessions of a single set go too.
    """

    def __init__(self, groups: Sequence[Sequence[Player]], sessions_a_year: float, chain: Chain | None = None) -> None:
        self.totals = Passed()
        self._counts: list[_Count] = []
        self._failed: set[int] = set()
        begin = 0
        for group in groups:
            self._counts.append(_Count(group, begin, sessions_a_year, chain))
            begin += len(group)

    def session(
        self,
        outcome: SessionOutcome,
        quality: pl.DataFrame,  # noqa: ARG002 - as a run's recorder takes them
        guards: pl.DataFrame,  # noqa: ARG002
        failed: Mapping[int, str],
    ) -> None:
        """Count one session.

        Raises
        ------
        Apart
            Several sets are counted, and a symbol has failed.
        """
        lost = {code for code in failed if outcome.visible is None or outcome.visible[code]}
        if lost and len(self._counts) > 1:
            raise Apart
        self._failed |= lost
        self.totals.sessions += 1
        self.totals.bars += outcome.bars
        for count in self._counts:
            count.session(outcome)

    def results(self, numbers: Sequence[int], benchmark: Mapping[date, float]) -> list[SetResult]:
        """After the last session: what each set came to, in their order; `numbers` are theirs."""
        return [
            count.result(number, benchmark, len(self._failed))
            for count, number in zip(self._counts, numbers, strict=True)
        ]


class _Count:
    """What one set has come to so far."""

    def __init__(self, players: Sequence[Player], begin: int, sessions_a_year: float, chain: Chain | None) -> None:
        self._players, self._begin, self._chain = players, begin, chain
        self._start = sum(p.account.start_cash for p in players)
        self._last = [p.account.start_cash for p in players]
        self._metrics = MetricsAccumulator(self._start, sessions_a_year)
        self._orders = 0
        self._sessions: list[date] = []
        self._equity: list[int] = []
        if chain is not None:
            chain.begin(self._start, sessions_a_year)

    def session(self, outcome: SessionOutcome) -> None:
        """One session, unless the set's run was over before."""
        if any(p.over is not None for p in self._players) and all(p.asleep for p in self._players):
            return
        own = outcome.players[self._begin : self._begin + len(self._players)]
        for number, done in enumerate(own):
            if len(done.curve.equity):
                self._last[number] = int(done.curve.equity[-1])
            self._orders += done.given
        figures = together([figures_of(done) for done in own])
        self._metrics.add(figures)
        if self._chain is not None:
            self._chain.add(figures)
        self._sessions.append(outcome.session.name)
        self._equity.append(sum(self._last))

    def result(self, number: int, benchmark: Mapping[date, float], failed: int) -> SetResult:
        """All of it; so many symbols `failed`."""
        others = [benchmark.get(name) for name in self._sessions]
        if self._chain is not None:
            self._chain.benchmark += others
        left, end = [player.left(0) for player in self._players], sum(self._last)
        found = {
            **self._metrics.counts._asdict(), "orders": self._orders, "net_pnl": end - self._start, "equity_end": end,
            "open_orders": sum(len(one.orders) for one in left), "open_positions": sum(one.positions for one in left),
            "failed_symbols": failed,
        }  # fmt: skip
        totals = {name: found[name] / UNIT if name in MONEY else found[name] for name in TOTALS}
        return SetResult(
            number,
            "; ".join(p.failed for p in self._players if p.failed),
            next((p.book.stop_reason for p in self._players if p.book.stop_reason is not None), None),
            self._metrics.result(others),
            totals,
            tuple(self._sessions),
            tuple(self._equity),
            self._start,
        )
