"""What a process keeps of the memory that it has freed."""

from __future__ import annotations

import contextlib
import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bt
from bt import memory
from bt.book import Account, Desk
from bt.engine import Engine
from bt.engine.market import Market
from bt.engine.stage import Stage
from bt.errors import MoneyError, StrategyRaised
from bt.prepare import Preparer
from bt.store import Store
from bt.strategy import Row


def resident() -> int:
    """Pages in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc keeps freed blocks on Linux alone")
def test_what_is_free_goes_back_only_beyond_a_limit():
    assert memory.keep_freed_memory()
    some = [np.ones(1 << 16) for _ in range(400)]  # 200 MB in blocks of half a megabyte
    last = np.ones(1 << 16)
    del some
    before = resident()
    assert not memory.give_back_memory(1 << 50)
    assert resident() > 0.9 * before
    assert memory.give_back_memory(0)
    assert resident() < before - 20_000
    assert last.all()


def test_without_the_systems_figure_nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(memory, "_STATM", tmp_path / "none")
    assert not memory.give_back_memory(0)


class Close(Row):
    symbol: str
    close: float


class Trades:
    """Orders of several types, some of which outlive the run."""

    row = Close

    def on_bar(self, row: Close, book: bt.Book) -> None:
        if not book.open_orders(row.symbol):
            book.order(row.symbol, 10, stop_loss=round(row.close * 0.9, 2))
            book.order(row.symbol, 10, limit=round(row.close * 0.8, 2), tif="gtc")

    def on_order(self, order: bt.Order, book: bt.Book) -> None: ...


def replayed(strategy: Any) -> bt.Run:
    return bt.replay(
        bars="data/sample", calendar="XNYS", strategy=strategy, symbols=["ASHB"], start="2024-12-03", end="2024-12-04", set={"account.leverage": 0.0},
        save=False,
    )  # fmt: skip


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Python's collector does not come by itself; what compiling leaves behind is gone."""
    replayed(Trades())
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Raises(Trades):
    def on_bar(self, row: Close, book: bt.Book) -> None:
        super().on_bar(row, book)
        if book.now.hour == 20:
            raise ValueError("it is late")


class Overflows(Trades):
    """Its money fits nobody's."""

    def on_bar(self, row: Close, book: bt.Book) -> None:
        book.order(row.symbol, 1 << 59)


@pytest.mark.parametrize(("strategy", "error"), [(Trades, None), (Raises, StrategyRaised), (Overflows, MoneyError)])
def test_what_played_a_run_goes_with_it(uncollected: None, strategy: type, error: type[Exception] | None):
    """In a cycle it would stay until the collector comes, which it hardly does while runs follow one another."""
    parts = {Preparer, Store, Engine, Stage, Market, Desk, Account}
    alive = lambda: [o for o in gc.get_objects() if type(o) in parts]  # noqa: E731 - asked twice
    kept = alive()  # of other tests, by an exception that somebody keeps
    with pytest.raises(error) if error else contextlib.nullcontext():
        replayed(strategy())
    left = [type(o).__name__ for o in alive() if not any(o is other for other in kept)]
    assert left == []


class Knots:
    """A strategy that refers to itself: it goes when the collector comes."""

    row = Close

    def __init__(self) -> None:
        self.me = self

    def on_bar(self, row: Close, book: bt.Book) -> None: ...

    def __getstate__(self) -> dict[str, Any]:
        return {}


def test_the_collector_comes_by_after_some_runs(monkeypatch: pytest.MonkeyPatch):
    """What was there before a run is left alone while it lasts, and would never be looked at again."""
    monkeypatch.setattr(memory, "_collections", memory._Collections())
    gc.collect()
    first = Knots()
    gone = weakref.ref(first)
    replayed(first)
    del first
    for _ in range(9):
        replayed(Knots())
    assert gone() is None


def test_a_collector_that_is_switched_off_is_not_sent(monkeypatch: pytest.MonkeyPatch, uncollected: None):
    monkeypatch.setattr(memory, "_RUNS", 1)
    monkeypatch.setattr(memory, "_collections", memory._Collections())
    knots = Knots()
    kept = weakref.ref(knots)
    replayed(knots)
    del knots
    assert kept() is not None
