"""Markets of a few bars, written by hand, and runs over them. New York's sessions of January 2024 open at 14:30 UTC."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

import bt

TUESDAY, WEDNESDAY, THURSDAY, FRIDAY = "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"
HALF_DAY = "2024-07-03"
"""It closes at 13:00 New York, 17:00 UTC: 210 minutes."""


def at(minute: int, day: str = TUESDAY) -> datetime:
    """The start of a minute of a New York session."""
    hour = 13 if "2024-03-10" <= day < "2024-11-03" else 14
    return datetime.fromisoformat(day).replace(hour=hour, minute=30, tzinfo=UTC) + timedelta(minutes=minute)


Price = float | tuple[float, float] | None


def bars(
    symbol: str, prices: Sequence[Price], *, day: str = TUESDAY, first: int = 0, volume: float = 100
) -> list[dict[str, Any]]:
    """One bar a minute from minute `first` on: a price, (open, close), or None for no bar."""
    made = []
    for i, price in enumerate(prices):
        if price is None:
            continue
        opened, closed = price if isinstance(price, tuple) else (price, price)
        made.append(
            {
                "symbol": symbol, "ts": at(first + i, day), "open": opened, "high": max(opened, closed),
                "low": min(opened, closed), "close": closed, "volume": volume,
            }
        )  # fmt: skip
    return made


def store(folder: Path, *rows: Sequence[dict[str, Any]]) -> Path:
    """The rows as one file in `folder`/bars."""
    frame = pl.DataFrame([row for some in rows for row in some])
    frame = frame.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))
    where = folder / "bars"
    where.mkdir(exist_ok=True)
    frame.write_parquet(where / "bars.parquet")
    return where


def play(where: Path, strategy: Any, start: str = TUESDAY, end: str | None = None, **settings: Any) -> bt.Run:
    """A replay in memory, of one session by default."""
    given = {"calendar": "XNYS", "save": False, **settings}
    return bt.replay(bars=where, strategy=strategy, start=start, end=end or start, **given)


class Bar(bt.Row):
    """The commonest row."""

    symbol: str
    minute: int
    close: float


class Script:
    """Does at (symbol, minute) what it was told, and writes down what happens."""

    row: Any = Bar

    def __init__(self, steps: dict[tuple[str, int], Any] | None = None) -> None:
        self.steps = steps or {}
        self.happened: list[tuple[Any, ...]] = []

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        self.happened.append(("start", session))

    def on_bar(self, row: Bar, book: bt.Book) -> None:
        self.happened.append(("bar", row.symbol, row.minute))
        if (row.symbol, row.minute) in self.steps:
            self.steps[row.symbol, row.minute](book)

    def on_fill(self, fill: bt.Fill, book: bt.Book) -> None:
        self.happened.append(("fill", fill.symbol, fill.shares, fill.price))

    def on_order(self, order: bt.Order, book: bt.Book) -> None:
        self.happened.append(("order", order.id, order.status, order.reason))

    def on_session_end(self, session: bt.Session, book: bt.Book) -> None:
        self.happened.append(("end", session))
