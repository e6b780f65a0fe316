"""The strategies that benchmarks replay, and the settings they need besides."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

import bt


class Seven(bt.Row):
    symbol: str
    close_time: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int


class Rows:
    row = Seven

    def on_bar(self, row: Seven, book: bt.Book) -> None:
        pass


class Cross:
    row = Seven

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        pass


class Means(bt.Row):
    symbol: str
    fast: float
    slow: float


class Sma:
    row = Means

    def features(self) -> dict[str, bt.Feature]:
        return {"fast": bt.sma("close", 10), "slow": bt.sma("close", 30)}

    def on_bar(self, row: Means, book: bt.Book) -> None:
        if row.fast != row.slow:
            book.target(row.symbol, 100 if row.fast > row.slow else 0)


class CrossSma:
    """Sma as a cross-section."""

    row = Means

    def features(self) -> dict[str, bt.Feature]:
        return {"fast": bt.sma("close", 10), "slow": bt.sma("close", 30)}

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        fast, slow = rows.fast, rows.slow
        book.targets(rows, shares=np.where(fast > slow, 100.0, np.where(fast < slow, 0.0, np.nan)))


class Columns:
    """Sma as signals."""

    def features(self) -> dict[str, bt.Feature]:
        return {"fast": bt.sma("close", 10), "slow": bt.sma("close", 30)}

    def signals(self) -> dict[str, pl.Expr]:
        fast, slow = pl.col("fast"), pl.col("slow")
        return {"target": pl.when(fast > slow).then(100).when(fast < slow).then(0)}


class Brackets(Columns):
    """The same means as entries and exits, with a stop and a target half a percent from the deciding close."""

    def signals(self) -> dict[str, pl.Expr]:
        fast, slow, close = pl.col("fast"), pl.col("slow"), pl.col("close")
        return {
            "entry": fast > slow, "exit": fast < slow, "shares": pl.lit(100),
            "stop_loss": (close * 0.995).round(2), "take_profit": (close * 1.005).round(2),
        }  # fmt: skip


class OneMore(bt.Row):
    close: float
    more: float | None


class Expression:
    row = OneMore

    def features(self) -> dict[str, bt.Feature]:
        return {"more": bt.feature(pl.col("close").rolling_std(20), lookback=20)}

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        pass


class Trailing(Expression):
    def features(self) -> dict[str, bt.Feature]:
        return {"more": bt.trailing("avg", "volume", "10d", at="minute")}


class Five(bt.Row):
    mean: float | None
    move: float | None
    away: float | None
    worth: float | None
    strength: float | None


class Timer:
    """Five features, seen every 15 minutes."""

    row: type = Five

    def features(self) -> dict[str, bt.Feature]:
        return {
            "mean": bt.sma("close", 30),
            "move": bt.ret("close", 15),
            "away": bt.zscore("close", 30),
            "worth": bt.vwap(),
            "strength": bt.cross_rank("move"),
        }

    @bt.every("15m")
    def look(self, rows: bt.Rows, book: bt.Book) -> None:
        pass


class FiveMeans(bt.Row):
    f1: float | None
    f2: float | None
    f3: float | None
    f4: float | None
    f5: float | None


class TimerMeans(Timer):
    """Five means of one column, which share its sums."""

    row = FiveMeans

    def features(self) -> dict[str, bt.Feature]:
        return {f"f{k}": bt.sma("close", 10 * k) for k in range(1, 6)}


WORKLOADS: dict[str, tuple[type, dict[str, Any]]] = {
    "rows": (Rows, {}),
    "timer": (Timer, {}),
    "means": (TimerMeans, {}),
    "cross": (Cross, {}),
    "sma": (Sma, {}),
    "cross_sma": (CrossSma, {}),
    "columns": (Columns, {}),
    "columns_more": (
        Columns,
        {
            "streams": {"intervals": ["5m", "15m", "30m", "1h"]},
            "indicators": {"adv10": {"aggregate": "avg", "of": "volume", "period": "10d"}},
        },
    ),
    "intervals": (Cross, {"streams": {"intervals": ["5m", "15m", "30m", "1h", "1d"]}}),
    "expression": (Expression, {}),
    "trailing": (Trailing, {}),
}


def settings(name: str) -> dict[str, Any]:
    """Keywords of `bt.replay` besides the data and where results go."""
    strategy, more = WORKLOADS[name]
    execution = {"commission_per_share": 0.005}
    return {
        "calendar": "XNYS",
        "strategy": strategy,
        "cash": 1e9,
        "execution": execution,
        "engine": {"threads": 1},
        **more,
    }
