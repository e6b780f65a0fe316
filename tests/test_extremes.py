"""Highs and lows are read when an order needs them, and not before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small import at, play

import bt
from bt.model import Column, PreparedBars, high_low
from bt.store import Store

DAYS = [f"2024-01-{day:02}" for day in (2, 3, 4, 5, 8, 9, 10, 11, 12, 16, 17, 18)]


class Close(bt.Row):
    symbol: str
    close: float


class Wide(Close):
    high: float
    low: float


class Late:
    """Holds a share of A from the start, and of B by a limit from a session on."""

    def __init__(self, row: type[Close], since: str) -> None:
        self.row, self.since = row, since

    def on_bar(self, row: Any, book: bt.Book) -> None:
        if row.symbol == "A":
            book.target("A", 1)
        elif str(book.now.date()) >= self.since and not book.open_orders("B"):
            book.order("B", 1, limit=row.close - 0.5)


def market(folder: Path) -> Path:
    """Two symbols, one file a session; B comes within reach of a limit half a point below its close now and then."""
    for number, day in enumerate(DAYS):
        rows = [
            {
                "symbol": symbol, "ts": at(0, day) + timedelta(minutes=k), "open": 10.0, "close": 10.0 + k % 2, "volume": 100,
                "high": 11.5, "low": 9.0 if (k + number) % 4 == 0 else 9.9,
            }
            for symbol in "AB"
            for k in range(8)
        ]  # fmt: skip
        frame = pl.DataFrame(rows).with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))
        frame.write_parquet(folder / f"{day}.parquet")
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, tuple[str, ...]]]:
    """Where every read begins, and its columns."""
    found: list[tuple[int, tuple[str, ...]]] = []
    read = Store.read

    def watched(store: Store, start: int, end: int, columns: Sequence[str], **how: Any) -> pl.DataFrame:
        found.append((start, tuple(columns)))
        return read(store, start, end, columns, **how)

    monkeypatch.setattr(Store, "read", watched)
    return found


def test_market_orders_need_no_extremes(tmp_path: Path, asked: list[tuple[int, tuple[str, ...]]]) -> None:
    play(market(tmp_path), Late(Close, "2025"), DAYS[0], DAYS[-1])
    assert asked
    assert not any({"high", "low"} & set(columns) for _, columns in asked)


@pytest.mark.parametrize("execution", [{"participation": 0.5}, {"zero_volume": "skip"}])
def test_nor_do_caps_on_what_fills(
    tmp_path: Path, asked: list[tuple[int, tuple[str, ...]]], execution: dict[str, Any]
) -> None:
    run = play(market(tmp_path), Late(Close, "2025"), DAYS[0], DAYS[-1], execution=execution)
    assert run.fills.height == 1
    assert not any({"high", "low"} & set(columns) for _, columns in asked)


def test_they_are_read_from_the_first_order_that_waits_on(
    tmp_path: Path, asked: list[tuple[int, tuple[str, ...]]]
) -> None:
    play(market(tmp_path), Late(Close, DAYS[3]), DAYS[0], DAYS[-1], prefetch_days=2)
    late = {start for start, columns in asked if columns == ("high", "low")}  # the audit reads them as well
    assert len(late) == 3  # the fourth session, and both of the window that was prepared already
    later = [columns for start, columns in asked if start > max(late)]
    assert later
    assert all("high" in columns for columns in later)


def test_those_of_a_window_are_read_once(tmp_path: Path, asked: list[tuple[int, tuple[str, ...]]]) -> None:
    where = market(tmp_path)
    play(where, Late(Close, DAYS[2]), DAYS[0], DAYS[-1])
    late = Counter(start for start, columns in asked if columns == ("high", "low"))
    assert sorted(late.values()) == [1] * 9 + [2]  # the audit reads each session's
    assert late[min(late)] == 2


@pytest.mark.parametrize("since", [DAYS[0], DAYS[1], DAYS[5], DAYS[-1]])
@pytest.mark.parametrize("days", [1, 3, 30])
def test_what_is_read_late_is_what_was_there_all_the_time(tmp_path: Path, since: str, days: int) -> None:
    where = market(tmp_path)
    late, there = (play(where, Late(row, since), DAYS[0], DAYS[-1], prefetch_days=days) for row in (Close, Wide))
    assert late.fills.filter(pl.col("symbol") == "B").height > 0
    for table in ("orders", "fills", "trades", "equity"):
        assert getattr(late, table).equals(getattr(there, table)), table


class OfOne(Late):
    """Only one of the two is a member; the other is bought no more."""

    universe = bt.top(1, by="prior(min(low))")


def test_of_a_universe_those_that_are_read_are_enough(tmp_path: Path) -> None:
    where = market(tmp_path)
    late, there = (play(where, OfOne(row, DAYS[2]), DAYS[1], DAYS[-1]) for row in (Close, Wide))
    assert late.orders.height > 0
    assert late.orders.equals(there.orders)
    assert late.fills.equals(there.fills)


def test_they_are_found_among_those_of_symbols_that_nobody_sees() -> None:
    def bars(code: list[int], begin: list[int]) -> PreparedBars:
        columns = {"high": Column(np.array(code) * 10.0 + begin), "low": Column(np.array(code) * -10.0 - begin)}
        return PreparedBars(np.array(code), np.array(begin), np.array(begin) + 1, columns)

    every = bars([0, 0, 1, 2, 2, 2], [3, 4, 0, 1, 2, 389])
    own = PreparedBars(np.array([0, 2, 2]), np.array([4, 1, 389]), np.array([5, 2, 390]), {})
    found = high_low(own, lambda: every)
    assert found is not None
    assert [values.tolist() for values in found] == [[4.0, 21.0, 409.0], [-4.0, -21.0, -409.0]]
    assert high_low(own, None) is None
    there = high_low(every, None)
    assert there is not None
    assert there[0] is every.columns["high"].values
