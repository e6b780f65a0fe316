"""What happened in a session, as the rows of the run's tables (columns: `bt.results.tables`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from bt.book import FillRecord, OrderRecord
from bt.engine import Player, PlayerOutcome, SessionOutcome
from bt.execution import divide_half_even
from bt.ledger import Curve, Trade
from bt.metrics import Metrics, MetricsAccumulator
from bt.model import Schedule, slot_times
from bt.results import Results
from bt.schema import DAY, MINUTE


@dataclass
class Totals:
    """Figures of the whole run, for its summary. Money in units."""

    sessions: int = 0
    iterations: int = 0
    bars: int = 0
    orders: int = 0
    fills: int = 0
    expired: int = 0
    rejected: int = 0
    cancelled: int = 0
    trades: int = 0
    commission: int = 0
    slippage: int = 0
    equity_start: int = 0
    equity_end: int = 0
    stale_exits: int = 0
    guards: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    quality_sum: float = 0.0
    quality_count: int = 0
    open_positions: int = 0
    open_orders: int = 0


class Recorder:
    """Turns outcomes into tables, session by session, and keeps the run's totals and metrics.

    Parameters
    ----------
    results : Results
        Where the tables go.
    players : sequence of Player
    schedule : Schedule
        Numbers sessions for orders that outlive theirs, and counts minutes held.
    labels : mapping
        Interval in minutes to its name.
    """

    def __init__(
        self,
        results: Results,
        players: Sequence[Player],
        symbols: Sequence[str],
        *,
        schedule: Schedule,
        sessions_a_year: float,
        labels: Mapping[int, str],
    ) -> None:
        self._results = results
        self._players = players
        self._symbols = pl.Series("symbol", symbols, dtype=pl.String)
        self._schedule = schedule
        self._labels = {1: "1m", DAY: "1d", **labels}
        self.totals = Totals()
        starts = [p.book.start_cash for p in players]
        self.totals.equity_start = self.totals.equity_end = sum(starts)
        self._metrics = MetricsAccumulator(sum(starts), sessions_a_year)
        self._own = [MetricsAccumulator(s, sessions_a_year) for s in starts] if len(players) > 1 else []
        self._last = list(starts)
        self._clock = _SessionClock(schedule)

    def _named(self, code: Sequence[int] | Any) -> pl.Series:
        return self._symbols.gather(pl.Series(code, dtype=pl.UInt32))

    # ------------------------------------------------------------------------------------------------------ one session

    def session(
        self, outcome: SessionOutcome, quality: pl.DataFrame, guards: pl.DataFrame, failed: Mapping[int, str]
    ) -> None:
        """Write every table's rows of one session."""
        name = outcome.session.name
        withheld = pl.concat([guards, *self._warming(outcome)]) if outcome.players else guards
        self._write_guards(name, withheld)
        self._write_quality(name, quality)
        volume = outcome.volume
        frames: dict[str, list[pl.DataFrame]] = {k: [] for k in ("equity", "fills", "trades")}
        net, orders, fills = 0, 0, 0
        for number, (player, own) in enumerate(zip(self._players, outcome.players, strict=True)):
            made = self._player(player.declaration.name, own, outcome, volume)
            for table, frame in made.items():
                frames[table].append(frame)
            if self._own:
                self._own[number].add_session(*(made[t] for t in ("equity", "fills", "trades")))
            last = int(own.curve.equity[-1]) if len(own.curve.equity) else self._last[number]
            net += last - self._last[number]
            self._last[number] = last
            orders += player.book.orders_given
            fills += len(own.output.fills)
        tables = {table: pl.concat(parts) for table, parts in frames.items() if parts}
        for table, frame in tables.items():
            self._results.append(table, frame)
        self._metrics.add_session(*(tables[t] for t in ("equity", "fills", "trades")))
        totals = self.totals
        totals.sessions += 1
        totals.iterations += outcome.iterations
        totals.bars += outcome.bars
        totals.orders += orders
        totals.equity_end = sum(self._last)
        for code, why in failed.items():
            totals.failed.setdefault(self._symbols[code], f"{name}: {why}")
        self._results.append(
            "sessions",
            pl.DataFrame(
                {
                    "session": [name], "open": [outcome.session.open], "close": [outcome.session.close],
                    "early_close": [outcome.session.early_close], "bars": [outcome.bars],
                    "iterations": [outcome.iterations], "withheld": [int(withheld["rows"].sum())],
                    "orders": [orders], "fills": [fills], "net_pnl": [net],
                }
            ),
        )  # fmt: skip
        self._results.end_session(name)

    def finish(self) -> tuple[Metrics, dict[str, Metrics]]:
        """After the last session: the orders still open, then the metrics of the account and of each strategy."""
        for player in self._players:
            records = player.book.abandon()
            self.totals.open_orders += len(records)
            self._write_orders(player.declaration.name, records)
            self.totals.open_positions += len(player.book.held())
        own = {p.declaration.name: m.result() for p, m in zip(self._players, self._own, strict=False)}
        return self._metrics.result(), own

    # --------------------------------------------------------------------------------------------------- rows of tables

    def _warming(self, outcome: SessionOutcome) -> list[pl.DataFrame]:
        """Rows that strategies were not shown, as a guard report."""
        times = slot_times(outcome.session)
        frames = []
        for own in outcome.players:
            for field_name, code, begin in own.withheld:
                rows = pl.DataFrame({"code": code, "time": times[begin]})
                frames.append(
                    rows.sort("code", "time")
                    .group_by("code", maintain_order=True)
                    .agg(
                        pl.lit(f"warming_up: {field_name}").first().alias("reason"),
                        pl.len().cast(pl.Int64).alias("rows"),
                        pl.col("time").first().alias("first_time"),
                        pl.col("time").last().alias("last_time"),
                        pl.col("time").head(3).alias("sample"),
                    )
                )
        if len(frames) < 2:
            return frames
        together = (
            pl.concat(frames)
            .group_by("code", "reason", maintain_order=True)
            .agg(pl.col("rows").sum(), pl.col("first_time").min(), pl.col("last_time").max(), pl.col("sample").first())
        )
        return [together]

    def _write_guards(self, name: date, guards: pl.DataFrame) -> None:
        for reason, rows in guards.group_by("reason").agg(pl.col("rows").sum()).sort("reason").iter_rows():
            self.totals.guards[reason] = self.totals.guards.get(reason, 0) + rows
        if guards.height:
            frame = guards.sort("code", "reason").with_columns(
                pl.lit(name).alias("session"), self._named(guards.sort("code", "reason")["code"])
            )
            self._results.append("guards", frame)

    def _write_quality(self, name: date, quality: pl.DataFrame) -> None:
        minute = quality.filter(pl.col("interval") == 1)
        self.totals.quality_sum += float(np.add.reduce(minute["quality"].to_numpy()))
        self.totals.quality_count += minute.height
        labels = pl.Series("interval", [self._labels.get(i, f"{i}m") for i in quality["interval"].to_list()])
        frame = quality.with_columns(pl.lit(name).alias("session"), self._named(quality["code"]), labels)
        self._results.append("quality", frame)

    def _player(
        self, name: str, own: PlayerOutcome, outcome: SessionOutcome, volume: Mapping[tuple[int, int], float]
    ) -> dict[str, pl.DataFrame]:
        session = outcome.session
        self._write_orders(name, own.output.orders)
        times = slot_times(session)[: outcome.minutes] + MINUTE
        if own.positions:
            code, shares, price, value = (list(c) for c in zip(*own.positions, strict=True))
            self._results.append(
                "positions",
                pl.DataFrame(
                    {
                        "session": [session.name] * len(code),
                        "strategy": [name] * len(code),
                        "symbol": self._named(code),
                        "shares": shares,
                        "price": price,
                        "value": value,
                    }
                ),
            )
        for table, rows, columns in (
            ("records", own.output.records, ("time", "name", "value")),
            ("log", own.output.log, ("time", "message", "fields")),
        ):
            if rows:
                frame = pl.DataFrame(rows, schema=list(columns), orient="row")
                self._results.append(table, frame.with_columns(pl.lit(name).alias("strategy")))
        made = {
            "equity": _equity(name, session.name, times, own.curve),
            "fills": self._fills(name, session.name, own.output.fills, volume),
            "trades": self._trades(name, own.trades),
        }
        self.totals.fills += made["fills"].height
        self.totals.trades += made["trades"].height
        self.totals.commission += int(made["fills"]["commission"].sum())
        self.totals.slippage += int(made["fills"]["slippage"].sum())
        self.totals.stale_exits += int((made["fills"]["stale_minutes"] > 0).sum())
        return made

    def _fills(
        self, name: str, session: date, fills: Sequence[FillRecord], volume: Mapping[tuple[int, int], float]
    ) -> pl.DataFrame:
        rows = [
            (f.order_id, f.time, "buy" if f.shares > 0 else "sell", f.shares, f.price, f.reference,
             abs(f.price - f.reference) * abs(f.shares), f.commission, f.position_after,
             _share(f, volume), f.stale_minutes, f.tag)
            for f in fills
        ]  # fmt: skip
        schema = {
            "order_id": pl.Int64, "time": pl.Int64, "side": pl.String, "shares": pl.Int64, "price": pl.Int64,
            "reference_price": pl.Int64, "slippage": pl.Int64, "commission": pl.Int64, "position_after": pl.Int64,
            "bar_share": pl.Float64, "stale_minutes": pl.Int64, "tag": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
            pl.lit(name).alias("strategy"), pl.lit(session).alias("session"), self._named([f.code for f in fills])
        )

    def _trades(self, name: str, trades: Sequence[Trade]) -> pl.DataFrame:
        rows = []
        for t in trades:
            size = abs(t.shares)
            net = t.gross - t.commission
            rows.append(
                ("long" if t.shares > 0 else "short", t.entry_time, t.exit_time, divide_half_even(t.entry_value, size),
                 divide_half_even(t.exit_value, size), size, t.gross, t.commission, net, net / t.entry_value, t.mae, t.mfe,
                 self._clock.between(t.entry_time, t.exit_time), t.entry_tag, t.exit_reason)
            )  # fmt: skip
        schema = {
            "side": pl.String, "entry_time": pl.Int64, "exit_time": pl.Int64, "entry_price": pl.Int64,
            "exit_price": pl.Int64, "shares": pl.Int64, "gross_pnl": pl.Int64, "costs": pl.Int64, "net_pnl": pl.Int64,
            "return": pl.Float64, "mae": pl.Int64, "mfe": pl.Int64, "minutes_held": pl.Int64, "entry_tag": pl.String,
            "exit_reason": pl.String,
        }  # fmt: skip
        return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
            pl.lit(name).alias("strategy"), self._named([t.code for t in trades])
        )

    def _write_orders(self, name: str, orders: Sequence[OrderRecord]) -> None:
        if not orders:
            return
        self.totals.expired += sum(o.status == "expired" for o in orders)
        self.totals.rejected += sum(o.status == "rejected" for o in orders)
        self.totals.cancelled += sum(o.status == "cancelled" for o in orders)
        names = self._schedule.names
        rows = [
            (o.id, names[o.session], o.decided, o.type, None if not o.shares else "buy" if o.shares > 0 else "sell",
             o.shares, o.level, o.tif, o.status, o.reason, o.tag)
            for o in orders
        ]  # fmt: skip
        schema = {
            "id": pl.Int64, "session": pl.Date, "decided_at": pl.Int64, "type": pl.String, "side": pl.String,
            "shares": pl.Int64, "level": pl.Int64, "tif": pl.String, "status": pl.String, "reason": pl.String,
            "tag": pl.String,
        }  # fmt: skip
        frame = pl.DataFrame(rows, schema=schema, orient="row").with_columns(
            pl.lit(name).alias("strategy"), self._named([o.code for o in orders])
        )
        self._results.append("orders", frame)


def _share(fill: FillRecord, volume: Mapping[tuple[int, int], float]) -> float | None:
    """The fill's share of its bar's volume; None for a fill at the close or a bar without volume."""
    traded = volume.get((fill.slot, fill.code), 0.0)
    return abs(fill.shares) / traded if traded > 0 else None


def _equity(name: str, session: date, times: np.ndarray[Any, Any], curve: Curve) -> pl.DataFrame:
    return pl.DataFrame(
        {"time": times, "equity": curve.equity, "cash": curve.cash, "gross": curve.gross, "net": curve.net}
    ).with_columns(pl.lit(session).alias("session"), pl.lit(name).alias("strategy"))


class _SessionClock:
    """Counts minutes of session between instants, breaks and nights left out."""

    def __init__(self, schedule: Schedule) -> None:
        self._open, self._close = schedule.segment_open, schedule.segment_close
        self._before = np.concatenate([[0], np.cumsum((self._close - self._open) // MINUTE)])

    def _at(self, us: int) -> int:
        i = int(np.searchsorted(self._open, us, side="right")) - 1
        return int(self._before[i]) + (min(us, int(self._close[i])) - int(self._open[i])) // MINUTE

    def between(self, start: int, end: int) -> int:
        """Minutes of session from `start` to `end`, UTC microseconds."""
        return self._at(end) - self._at(start)
