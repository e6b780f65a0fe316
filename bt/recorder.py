"""What happened in a session, as the rows of the run's tables (columns: `bt.results.tables`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.book import Curve, Output
from bt.engine import Player, PlayerOutcome, SessionOutcome, figures_of, first_lines, together
from bt.exact import quotient
from bt.execution import IntArray, portions
from bt.execution import layout as at
from bt.metrics import Metrics, MetricsAccumulator, SessionFigures
from bt.model import Schedule, Session, instant, slot_times
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
    stale: dict[str, str] = field(default_factory=dict)
    """Symbols held at the end without a bar in the last session, and when their last bar ended."""
    guards: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    quality_sum: float = 0.0
    quality_count: int = 0
    completeness_sum: float = 0.0
    completeness_count: int = 0
    open_positions: int = 0
    open_orders: int = 0
    members: list[int] = field(default_factory=list)
    ever_members: set[int] = field(default_factory=set)


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
        starts = [p.account.start_cash for p in players]
        self.totals.equity_start = self.totals.equity_end = sum(starts)
        self._metrics = MetricsAccumulator(sum(starts), sessions_a_year)
        self._own = [MetricsAccumulator(s, sessions_a_year) for s in starts] if len(players) > 1 else []
        self._last = list(starts)
        self._sessions: list[date] = []
        self._opened = 0
        self._clock = _SessionClock(schedule)

    @property
    def last_session(self) -> date | None:
        """The last session that was written, None before the first."""
        return self._sessions[-1] if self._sessions else None

    def _named(self, code: Sequence[int] | Any) -> pl.Series:
        return self._symbols.gather(pl.Series(code, dtype=pl.UInt32))

    # ------------------------------------------------------------------------------------------------------ one session

    def session(
        self, outcome: SessionOutcome, quality: pl.DataFrame, guards: pl.DataFrame, failed: Mapping[int, str]
    ) -> None:
        """Write every table's rows of one session."""
        name = outcome.session.name
        self._sessions.append(name)
        self._opened = outcome.session.open
        withheld = pl.concat([guards, *warming_up(warming(outcome))])
        self._write_guards(name, withheld)
        self._write_quality(name, quality)
        frames: dict[str, list[pl.DataFrame]] = {k: [] for k in ("equity", "fills", "trades")}
        figures: list[SessionFigures] = []
        net, orders, fills = 0, 0, 0
        for number, (player, own) in enumerate(zip(self._players, outcome.players, strict=True)):
            made = self._player(player, own, outcome)
            for table, frame in made.items():
                frames[table].append(frame)
            figures.append(figures_of(own))
            if self._own:
                self._own[number].add(figures[-1])
            last = int(own.curve.equity[-1]) if len(own.curve.equity) else self._last[number]
            net += last - self._last[number]
            self._last[number] = last
            orders += player.account.orders_given
            fills += len(own.output.fills)
        tables = {table: pl.concat(parts) for table, parts in frames.items() if parts}
        for table, frame in tables.items():
            self._results.append(table, frame)
        self._metrics.add(together(figures))
        self._write_universe(name, outcome.ranking)
        totals = self.totals
        totals.sessions += 1
        totals.iterations += outcome.iterations
        totals.bars += outcome.bars
        totals.orders += orders
        totals.equity_end = sum(self._last)
        for code, why in failed.items():
            if outcome.visible is not None and not outcome.visible[code]:
                continue  # it was only read along
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

    def finish(self, benchmark: Mapping[date, float]) -> tuple[Metrics, dict[str, Metrics]]:
        """After the last session: the orders still open, then the metrics of the account and of each strategy.

        `benchmark` are the session returns of what they are compared with.
        """
        for player in self._players:
            records = player.account.abandon()
            self.totals.open_orders += len(records)
            self._write_orders(player.declaration.name, records, player.account.desk.tags)
            held = player.account.held()
            self.totals.open_positions += len(held)
            for code, *_ in held:
                ended = int(player.account.market.last_end[code])
                if ended <= self._opened:
                    self.totals.stale[self._symbols[code]] = instant(ended).isoformat()
        others = [benchmark.get(name) for name in self._sessions]
        own = {p.declaration.name: m.result(others) for p, m in zip(self._players, self._own, strict=False)}
        return self._metrics.result(others), own

    # --------------------------------------------------------------------------------------------------- rows of tables

    def _write_universe(self, name: date, ranking: npt.NDArray[np.int64] | None) -> None:
        """Who was a member, by rank; without a universe every candidate is, in symbol order."""
        symbols = self._symbols if ranking is None else self._named(ranking)
        days = pl.Series([name], dtype=pl.Date).new_from_index(0, len(symbols))
        ranks = np.arange(1, len(symbols) + 1)
        self._results.append(
            "universe", pl.DataFrame({"session": days, "symbol": symbols.rename("symbol"), "rank": ranks})
        )
        if ranking is not None:
            self.totals.members.append(len(ranking))
            self.totals.ever_members.update(ranking.tolist())

    def _write_guards(self, name: date, guards: pl.DataFrame) -> None:
        for reason, rows in guards.group_by("reason").agg(pl.col("rows").sum()).sort("reason").iter_rows():
            self.totals.guards[reason] = self.totals.guards.get(reason, 0) + rows
        if guards.height:
            frame = guards.sort("code", "reason").with_columns(
                pl.lit(name).alias("session"), self._named(guards.sort("code", "reason")["code"])
            )
            self._results.append("guards", frame)

    def _write_quality(self, name: date, quality: pl.DataFrame) -> None:
        minute = quality.select("interval", "quality", "completeness").filter(pl.col("interval") == 1)
        self.totals.quality_sum += float(np.add.reduce(minute["quality"].to_numpy()))
        self.totals.quality_count += minute.height
        known = minute["completeness"].drop_nulls().to_numpy()
        self.totals.completeness_sum += float(np.add.reduce(known))
        self.totals.completeness_count += len(known)
        intervals = quality["interval"].unique().to_list()
        labels = quality["interval"].replace_strict(
            {i: self._labels.get(i, f"{i}m") for i in intervals}, return_dtype=pl.String
        )
        frame = quality.with_columns(pl.lit(name).alias("session"), self._named(quality["code"]), labels)
        self._results.append("quality", frame)

    def _player(self, player: Player, own: PlayerOutcome, outcome: SessionOutcome) -> dict[str, pl.DataFrame]:
        name, now, session = player.declaration.name, player.account.market.now, outcome.session
        self._write_orders(name, own.output.orders, own.output.tags)
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
        if (frame := recorded(own.output)) is not None:
            frame = frame.sort("time", "code", maintain_order=True)
            self._results.append("records", frame.with_columns(pl.lit(name).alias("strategy")))
        if (frame := spoken(own.output)) is not None:
            self._results.append("log", first_lines(frame, now).with_columns(pl.lit(name).alias("strategy")))
        made = {
            "equity": _equity(name, session.name, times, own.curve),
            "fills": self._fills(name, session, own),
            "trades": self._trades(name, own),
        }
        self.totals.fills += made["fills"].height
        self.totals.trades += made["trades"].height
        self.totals.commission += int(made["fills"]["commission"].sum())
        self.totals.slippage += int(made["fills"]["slippage"].sum())
        self.totals.stale_exits += int((made["fills"]["stale_minutes"] > 0).sum())
        return made

    def _fills(self, name: str, day: Session, own: PlayerOutcome) -> pl.DataFrame:
        fills = own.output.fills
        n = len(fills)
        shares, price, reference = (fills[:, k] for k in (at.F_SHARES, at.F_PRICE, at.F_REFERENCE))
        return pl.DataFrame(
            {
                "order_id": fills[:, at.F_ORDER],
                "strategy": _repeated(name, n),
                "symbol": self._named(fills[:, at.F_CODE]),
                "session": pl.Series([day.name], dtype=pl.Date).new_from_index(0, n),
                "time": fills[:, at.F_TIME],
                "side": _words(("buy", "sell"), shares < 0),
                "shares": shares,
                "price": price,
                "reference_price": reference,
                "slippage": np.abs(price - reference) * np.abs(shares),
                "commission": fills[:, at.F_COMMISSION],
                "position_after": fills[:, at.F_AFTER],
                "bar_share": _share(shares, own.traded),
                "stale_minutes": fills[:, at.F_STALE],
                "tag": _words(own.output.tags, fills[:, at.F_TAG]),
            }
        )

    def _trades(self, name: str, own: PlayerOutcome) -> pl.DataFrame:
        trades = own.output.trades
        signed, gross, costs = (trades[:, k] for k in (at.T_SHARES, at.T_GROSS, at.T_COMMISSION))
        entered, left = trades[:, at.T_ENTRY_VALUE], trades[:, at.T_EXIT_VALUE]
        entry, exit_ = trades[:, at.T_ENTERED], trades[:, at.T_EXITED]
        return pl.DataFrame(
            {
                "strategy": _repeated(name, len(trades)),
                "symbol": self._named(trades[:, at.T_CODE]),
                "side": _words(("long", "short"), signed < 0),
                "entry_time": entry,
                "exit_time": exit_,
                "entry_price": portions(entered, np.abs(signed)),
                "exit_price": portions(left, np.abs(signed)),
                "shares": np.abs(signed),
                "gross_pnl": gross,
                "costs": costs,
                "net_pnl": gross - costs,
                "return": quotient(gross - costs, entered),
                "mae": trades[:, at.T_WORST],
                "mfe": trades[:, at.T_BEST],
                "minutes_held": self._clock.between(entry, exit_),
                "entry_tag": _words(own.output.tags, trades[:, at.T_TAG]),
                "exit_reason": _words(at.TYPES, trades[:, at.T_REASON]),
            }
        )

    def _write_orders(self, name: str, orders: IntArray, tags: Sequence[str]) -> None:
        if not len(orders):
            return
        status, shares, level, code = (orders[:, k] for k in (at.R_STATUS, at.R_SHARES, at.R_LEVEL, at.R_CODE))
        self.totals.expired += int((status == at.EXPIRED).sum())
        self.totals.rejected += int((status == at.REJECTED).sum())
        self.totals.cancelled += int((status == at.CANCELLED).sum())
        sides = np.where(shares == at.NULL, 0, np.where(shares < 0, 2, np.sign(shares)))
        names = pl.Series(self._schedule.names, dtype=pl.Date)
        frame = pl.DataFrame(
            {
                "id": orders[:, at.R_ID],
                "strategy": _repeated(name, len(orders)),
                "symbol": self._named(code) if code.min() >= 0 else self._named_or_every(code),
                "session": names.gather(orders[:, at.R_SESSION]),
                "decided_at": orders[:, at.R_DECIDED],
                "type": _words(at.TYPES, orders[:, at.R_TYPE]),
                "side": _words((None, "buy", "sell"), sides),
                "shares": _nullable(shares),
                "level": _nullable(level),
                "tif": _words(at.TIFS, orders[:, at.R_TIF]),
                "status": _words(at.STATUSES, status),
                "reason": _words(at.REASONS, orders[:, at.R_REASON]),
                "tag": _words(tags, orders[:, at.R_TAG]),
            }
        )
        self._results.append("orders", frame)

    def _named_or_every(self, code: IntArray) -> pl.Series:
        """Symbols by code, "" of an order about every one."""
        every = pl.concat([self._symbols, pl.Series("symbol", [""])])
        return every.gather(np.where(code == at.EVERY, len(self._symbols), code))


def recorded(output: Output) -> pl.DataFrame | None:
    """What a strategy recorded in a session, with the code of the symbol each value is about; None if nothing."""
    if not output.records:
        return None
    types = {"time": pl.Int64, "name": pl.String, "value": pl.Float64, "code": pl.Int64}
    return pl.DataFrame(output.records, schema=types, orient="row")


def spoken(output: Output) -> pl.DataFrame | None:
    """What it said (the columns of `Spoken`), None if nothing."""
    if not output.log:
        return None
    types = {"time": pl.Int64, "message": pl.String, "fields": pl.String, "code": pl.Int64, "heard": pl.Int64}
    return pl.DataFrame(output.log, schema=types, orient="row")


def warming(outcome: SessionOutcome) -> list[pl.DataFrame]:
    """Rows that strategies were not shown, as guard reports in the order of strategies and fields."""
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
    return frames


def warming_up(frames: list[pl.DataFrame]) -> list[pl.DataFrame]:
    """Guard reports of several strategies or fields as one at most: a reason of a symbol once, with the first's sample."""
    if len(frames) < 2:
        return frames
    together = (
        pl.concat(frames)
        .group_by("code", "reason", maintain_order=True)
        .agg(pl.col("rows").sum(), pl.col("first_time").min(), pl.col("last_time").max(), pl.col("sample").first())
    )
    return [together]


def _repeated(word: str, count: int) -> pl.Series:
    return pl.Series([word], dtype=pl.String).new_from_index(0, count)


def _words(words: Sequence[str | None], codes: np.ndarray[Any, Any]) -> pl.Series:
    """Words by their codes."""
    return pl.Series(words, dtype=pl.String).gather(codes.astype(np.int64))


def _nullable(values: IntArray) -> pl.Series:
    """The values, null where there is none."""
    series = pl.Series(values)
    return series.set(pl.Series(values == at.NULL), None) if (values == at.NULL).any() else series


def _share(shares: IntArray, traded: np.ndarray[Any, np.dtype[np.float64]]) -> pl.Series:
    """Fills' shares of their bars' volume; null for an exit at the session's close or a bar without volume."""
    share = np.divide(np.abs(shares), traded, out=np.full(len(shares), np.nan), where=traded > 0)
    return pl.Series(share, nan_to_null=True)


def _equity(name: str, session: date, times: np.ndarray[Any, Any], curve: Curve) -> pl.DataFrame:
    return pl.DataFrame(
        {"time": times, "equity": curve.equity, "cash": curve.cash, "gross": curve.gross, "net": curve.net}
    ).with_columns(pl.lit(session).alias("session"), pl.lit(name).alias("strategy"))


class _SessionClock:
    """Counts minutes of session between instants, breaks and nights left out."""

    def __init__(self, schedule: Schedule) -> None:
        self._open, self._close = schedule.segment_open, schedule.segment_close
        self._before = np.concatenate([[0], np.cumsum((self._close - self._open) // MINUTE)])

    def _at(self, us: np.ndarray[Any, np.dtype[np.int64]]) -> np.ndarray[Any, np.dtype[np.int64]]:
        i = np.searchsorted(self._open, us, side="right") - 1
        return np.asarray(self._before[i] + (np.minimum(us, self._close[i]) - self._open[i]) // MINUTE)

    def between(
        self, start: np.ndarray[Any, np.dtype[np.int64]], end: np.ndarray[Any, np.dtype[np.int64]]
    ) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Minutes of session from each `start` to its `end`, UTC microseconds."""
        return np.asarray(self._at(end) - self._at(start))
