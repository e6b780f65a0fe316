"""What several workers tell of a session, put together as if one process had played it.

Strategies that are whole in one part are taken as they are. Of one whose symbols are divided the equity is the sum of its parts', whose
start each counts the cash of all symbols; its rows are those of all parts, and what it says outside any symbol counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from bt.arrays import table
from bt.engine import first_lines
from bt.execution.layout import EVERY
from bt.metrics import Metrics, MetricsAccumulator
from bt.recorder import Totals, warming_up
from bt.results import Results, Rows, conform, frame_of, joined, rows_of
from bt.run.making import Made, Share
from bt.run.slices import COUNTS, Short, Slice
from bt.schema import interval_minutes

AMOUNTS = ("equity", "cash", "gross", "net")
PLAIN = ("fills", "trades", "orders", "positions", "cash")
"""Tables whose rows are each told by one worker alone."""
MOST = 9.0e18
"""Sums of money beyond it do not fit int64 units."""


class Undivided(Exception):  # noqa: N818 - no error: who catches it plays the run again
    """The run has to be played in one process; why."""


class Gathered:
    """Writes merged sessions, and keeps the run's totals and metrics, as `bt.recorder.Recorder` does of a run in one process.

    Parameters
    ----------
    shares : sequence of Share
        What each worker plays, in the order in which they are told.
    """

    def __init__(self, results: Results, parts: Made, shares: Sequence[Share]) -> None:
        self._results, self._parts, self._shares = results, parts, shares
        self._names = [player.declaration.name for player in parts.players]
        self._codes = pl.Series("symbol", parts.store.symbols, dtype=pl.String)
        self._starts = [player.account.start_cash for player in parts.players]
        self._last = list(self._starts)
        self._of = [[w for w, share in enumerate(shares) if n in share.strategies] for n in range(len(self._names))]
        a_year = parts.time.sessions_a_year()
        self._metrics = MetricsAccumulator(sum(self._starts), a_year)
        self._own = [MetricsAccumulator(s, a_year) for s in self._starts] if len(self._starts) > 1 else []
        self._sessions: list[date] = []
        self._open: list[Rows] = []
        self.totals = Totals()
        self.totals.equity_start = self.totals.equity_end = sum(self._starts)
        self._short: list[Short] = [({}, {}) for _ in shares]

    @property
    def last_session(self) -> date | None:
        """The last session that was written, None before the first."""
        return self._sessions[-1] if self._sessions else None

    def session(self, slices: Sequence[Slice]) -> None:
        """Write one session, of which every worker tells a slice.

        Raises
        ------
        Undivided
            A strategy whose symbols are divided raised, or money does not fit.
        """
        day = slices[0]
        self._check(slices)
        self._sessions.append(day.session)
        equity = self._equity(slices)
        told = {t: rows for t in PLAIN if (rows := _together(slices, t)) is not None}
        for name, rows in (("equity", rows_of("equity", pl.concat(equity))), *told.items()):
            self._results.append(name, rows)
        self._said(slices)
        self._universe(slices)
        self._quality(slices)
        withheld = self._guards(slices)
        fills, trades = (frame_of(told[t].select(n.columns)) if t in told else n for t, n in _NONE.items())
        self._metrics.add_session(pl.concat(equity), fills, trades)
        for name, own, account in zip(self._names, equity, self._own, strict=False):
            mine = pl.col("strategy") == name
            account.add_session(own, fills.filter(mine), trades.filter(mine))
        self._count(slices)
        self._results.append("sessions", self._row(slices, equity, withheld))
        self._results.end_session(day.session)

    def finish(self, benchmark: Mapping[date, float]) -> tuple[Metrics, dict[str, Metrics]]:
        """As `Recorder.finish`."""
        for rows in self._open:
            self._results.append("orders", rows)
        others = [benchmark.get(name) for name in self._sessions]
        own = {n: m.result(others) for n, m in zip(self._names, self._own, strict=False)}
        return self._metrics.result(others), own

    @property
    def short(self) -> Short:
        """Whose history was short according to any worker: by interval, and by field."""
        return (
            _union([history for history, _ in self._short], interval_minutes),
            _union([features for _, features in self._short], str),
        )

    # ------------------------------------------------------------------------------------------------ parts of a session

    def _check(self, slices: Sequence[Slice]) -> None:
        """Refuse what the parts of a strategy cannot tell alone; remember who has failed as a whole."""
        if len({s.session for s in slices}) > 1:
            raise AssertionError(f"workers must tell the same session, were at {sorted({s.session for s in slices})}")
        for number, why in ((n, w) for s in slices for n, w in s.strategies_failed.items()):
            if len(self._of[number]) > 1:
                raise Undivided(why)
            self._parts.players[number].failed = why

    def _equity(self, slices: Sequence[Slice]) -> list[pl.DataFrame]:
        """The equity of each strategy."""
        told = [frame_of(s.tables["equity"]) for s in slices]
        return [
            _sum([told[w].filter(pl.col("strategy") == name) for w in who], start)
            for name, who, start in zip(self._names, self._of, self._starts, strict=True)
        ]

    def _said(self, slices: Sequence[Slice]) -> None:
        """Rows of `records` and `log`, strategy by strategy."""
        for number, (name, who) in enumerate(zip(self._names, self._of, strict=True)):
            records, log = (_once([slices[w].said[number][kind] for w in who]) for kind in (0, 1))
            if records is not None:
                rows = records.sort("time", "code", maintain_order=True)
                self._results.append("records", rows_of("records", rows.with_columns(pl.lit(name).alias("strategy"))))
            if log is not None:
                rows = first_lines(log, slices[0].closed)
                self._results.append("log", rows_of("log", rows.with_columns(pl.lit(name).alias("strategy"))))

    def _universe(self, slices: Sequence[Slice]) -> None:
        rows = _together(slices, "universe")
        if rows is not None:
            self._results.append("universe", rows)
        if self._parts.spec.universe is not None:
            symbols = [] if rows is None else rows["symbol"].to_pylist()
            self.totals.members.append(len(symbols))
            self.totals.ever_members.update(self._parts.market.index[s] for s in symbols)

    def _quality(self, slices: Sequence[Slice]) -> None:
        rows = _together(slices, "quality")
        if rows is None:
            return
        self._results.append("quality", rows)
        told = frame_of(rows.select(["symbol", "interval", "quality", "completeness"]))
        minute = told.filter(pl.col("interval") == "1m").sort("symbol")  # a sum of floats: in the order of one process
        self.totals.quality_sum += float(np.add.reduce(minute["quality"].to_numpy()))
        self.totals.quality_count += minute.height
        known = minute["completeness"].drop_nulls().to_numpy()
        self.totals.completeness_sum += float(np.add.reduce(known))
        self.totals.completeness_count += len(known)

    def _guards(self, slices: Sequence[Slice]) -> int:
        """Rows withheld: from everybody, and from strategies that warm up, in their order."""
        base = _together(slices, "guards")
        warming = sorted(((n, w, f) for w, s in enumerate(slices) for n, f in s.warming), key=lambda one: one[:2])
        session = pl.lit(slices[0].session).alias("session")
        frames = [] if base is None else [frame_of(base)]
        for frame in warming_up([f for *_, f in warming]):
            symbols = self._codes.gather(frame["code"].cast(pl.UInt32))
            frames.append(conform("guards", frame.with_columns(session, symbols)))
        if not frames:
            return 0
        guards = pl.concat(frames)
        self._results.append("guards", rows_of("guards", guards))
        for reason, rows in guards.group_by("reason").agg(pl.col("rows").sum()).sort("reason").iter_rows():
            self.totals.guards[reason] = self.totals.guards.get(reason, 0) + rows
        return int(guards["rows"].sum())

    def _count(self, slices: Sequence[Slice]) -> None:
        """Totals, and what is left if the run ends here."""
        totals = self.totals
        for name in COUNTS:
            setattr(totals, name, getattr(totals, name) + sum(s.counts[name] for s in slices))
        for kind, amount in (pair for s in slices for pair in s.moved.items()):
            totals.moved[kind] = totals.moved.get(kind, 0) + amount
        for symbol, why in (pair for s in slices for pair in s.failed.items()):
            totals.failed.setdefault(symbol, why)
        self._open = [s.open_orders for s in slices if s.open_orders is not None]
        totals.open_orders = sum(len(rows) for rows in self._open)
        totals.open_positions = sum(s.open_positions for s in slices)
        totals.stale = {symbol: ended for s in slices for symbol, ended in s.stale.items()}
        for worker, short in enumerate(s.short for s in slices):
            if short is not None:
                self._short[worker] = short

    def _row(self, slices: Sequence[Slice], equity: Sequence[pl.DataFrame], withheld: int) -> Rows:
        """The session's row of the table `sessions`."""
        day, totals = slices[0], self.totals
        last = [
            int(own["equity"][-1]) if own.height else before for own, before in zip(equity, self._last, strict=True)
        ]
        net = sum(last) - sum(self._last)
        self._last = last
        moments = len(np.unique(np.concatenate([s.moments for s in slices])))
        bars = int(np.maximum.reduce([s.bars_of for s in slices]).sum())
        totals.sessions += 1
        totals.iterations += moments
        totals.bars += bars
        totals.equity_end = sum(last)
        orders, fills = (sum(s.counts[name] for s in slices) for name in ("orders", "fills"))
        return table(
            {
                "session": np.array([day.session], dtype="datetime64[D]"), "open": [day.opened], "close": [day.closed], "early_close": [day.early_close],
                "bars": [bars], "iterations": [moments], "withheld": [withheld],
                "orders": [orders], "fills": [fills], "net_pnl": [net],
            }
        )  # fmt: skip


_NONE = {
    "fills": pl.DataFrame(
        schema={"strategy": pl.String, "shares": pl.Int64, "price": pl.Int64, "slippage": pl.Int64, "commission": pl.Int64, "bar_share": pl.Float64}
    ),
    "trades": pl.DataFrame(schema={"strategy": pl.String, "net_pnl": pl.Int64}),
}  # fmt: skip
"""A session without fills, without trades."""


def _together(slices: Sequence[Slice], table: str) -> Rows | None:
    """A table's rows of all workers, None without any."""
    parts = [s.tables[table] for s in slices if table in s.tables]
    return joined(parts) if parts else None


def _sum(parts: Sequence[pl.DataFrame], start: int) -> pl.DataFrame:
    """The equity of a strategy from those of its parts, each of which begins with `start` units of cash, the cash of all.

    Raises
    ------
    Undivided
        It may not fit int64.
    """
    if len(parts) == 1:
        return parts[0]
    sums = {}
    for name in AMOUNTS:
        columns = [part[name].to_numpy() for part in parts]
        if sum(float(np.abs(c).max(initial=0)) for c in columns) > MOST:
            raise Undivided("the account's money does not fit in parts")
        again = start * (len(parts) - 1) if name in ("equity", "cash") else 0
        sums[name] = np.add.reduce(columns) - again
    return parts[0].with_columns(**{name: pl.Series(values) for name, values in sums.items()})


def _once(frames: Iterable[pl.DataFrame | None]) -> pl.DataFrame | None:
    """What the parts of a strategy said; of what is about no symbol that of the first part which said such."""
    found: list[pl.DataFrame] = []
    general = False
    for frame in (f for f in frames if f is not None):
        found.append(frame.filter(pl.col("code") != EVERY) if general else frame)
        general = general or bool((frame["code"] == EVERY).any())
    return pl.concat(found) if found else None


def _union(
    short: Sequence[Mapping[str, Mapping[str, str | None]]], order: Callable[[str], Any]
) -> dict[str, dict[str, str | None]]:
    """By name and symbol, in their order, what the workers know: strategies of several may use one name, and all is there when it is for each."""
    known: dict[str, dict[str, str | None]] = {
        name: {} for name in sorted({n for one in short for n in one}, key=order)
    }
    for name, found in known.items():
        for of in (one[name] for one in short if name in one):
            for symbol, since in of.items():
                before = found.get(symbol, since)
                found[symbol] = None if since is None or before is None else max(since, before)
    return {name: dict(sorted(of.items())) for name, of in known.items()}
