"""What orders and fills cost: every symbol bought and sold in turns each half hour, by every way to ask for it.

    python -m benchmarks.bench_fills                500 symbols x 60 sessions, ingested

CPU seconds of replaying and of the tables of results, and microseconds of them a fill. The first figure is the same callbacks
without an order: what the others cost more is the orders'.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl

import bt
from benchmarks.figures import Figure, asked_for_child, report
from benchmarks.stages import staged

EVERY = "30m"


class Price(bt.Row):
    symbol: str
    close_time: datetime
    close: float


class Idle:
    """Goes through the symbols each half hour, and leaves it at that."""

    row = Price

    def __init__(self) -> None:
        self.calls = 0

    @bt.every(EVERY)
    def look(self, rows: bt.Rows, book: bt.Book) -> None:
        self.calls += 1
        self.trade(rows, 100 * (self.calls % 2), book)

    def trade(self, rows: bt.Rows, shares: int, book: bt.Book) -> None:
        for symbol in rows.symbol:
            str(symbol)


class Orders(Idle):
    """Market orders; what is held decides which way."""

    def trade(self, rows: bt.Rows, shares: int, book: bt.Book) -> None:
        for symbol in rows.symbol:
            wanted = shares - book.position(symbol)
            if wanted:
                book.order(symbol, wanted)


class Targets(Idle):
    """A target in shares, symbol by symbol."""

    def trade(self, rows: bt.Rows, shares: int, book: bt.Book) -> None:
        for symbol in rows.symbol:
            book.target(symbol, shares)


class Percents(Idle):
    """A target as a fraction of equity, symbol by symbol."""

    def trade(self, rows: bt.Rows, shares: int, book: bt.Book) -> None:
        for symbol in rows.symbol:
            book.target_percent(symbol, shares / 1e6)


class Together(Idle):
    """One target of the whole cross-section."""

    def trade(self, rows: bt.Rows, shares: int, book: bt.Book) -> None:
        book.targets(rows, shares=np.full(len(rows), shares))


class Signals:
    """Targets that an expression decides; null in between."""

    def signals(self) -> dict[str, pl.Expr]:
        past = pl.col("minute") + 1
        return {"target": pl.when(past % 30 == 0).then(100 * (past // 30 % 2))}


CASES: dict[str, tuple[type, str]] = {
    "idle": (Idle, "no order"),
    "orders": (Orders, "market orders"),
    "targets": (Targets, "targets in shares"),
    "percents": (Percents, "targets as a fraction of equity"),
    "together": (Together, "targets of a whole cross-section"),
    "signals": (Signals, "targets by signals"),
}
FIGURES = tuple(
    Figure(f"fills: {name}", "benchmarks.bench_fills", case, ("replay", "results"), "fills" if case != "idle" else "")
    for case, (_, name) in CASES.items()
)


def child(case: str, bars: str, start: str, end: str) -> None:
    """One replay in this process; its stages and fills as JSON."""
    asked: dict[str, Any] = {
        "calendar": "XNYS",
        "strategy": CASES[case][0],
        "cash": 1e9,
        "execution": {"commission_per_share": 0.005, "slippage_bps": 1.0},
        "engine": {"threads": 1},
    }
    print(json.dumps(staged(bars, start, end, asked)))


if __name__ == "__main__":
    if arguments := asked_for_child():
        child(*arguments)
    else:
        report(__doc__, FIGURES)
