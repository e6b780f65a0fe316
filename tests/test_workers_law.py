"""However a run is divided among workers, its files are the same; the workers of these laws live in the test's own process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
from hands import Here, assert_same_files
from hypothesis import given
from hypothesis import strategies as st
from test_laws import accounts, executions, gates, law
from test_universe_apart import EACH, purses, watched_apart
from test_universe_past import changing, markets
from watchers import Alone, Dice, Habits, Made, Watcher, habits, refusals, watched
from worlds import World, stored, worlds

import bt
from bt.run import pool, replaying


class Busy(Watcher):
    """Trades as its dice do, and says, prints and records what it does."""

    def __init__(self, rows: Sequence[type], made: Mapping[str, Made], dice: Any) -> None:
        super().__init__(rows, made)
        self.dice = dice

    def on_session_start(self, session: Any, book: bt.Book) -> None:
        book.log("begins", at=str(book.now))
        print("begins", end="")
        book.record(begun=1.0)

    def on_bar(self, row: Any, book: bt.Book) -> None:
        self.seen.clear()  # its state is pickled
        self.dice.on_bar(row, book)
        if row.close_time % 3 == 0:
            book.record(close_time=row.close_time)
            print(row.symbol, end="" if row.close_time % 7 else "\n")

    def on_fill(self, fill: bt.Fill, book: bt.Book) -> None:
        book.log("filled", shares=fill.shares)
        self.dice.on_fill(fill, book)

    def on_order(self, order: bt.Order, book: bt.Book) -> None:
        book.record(**{f"order {order.id}": order.id})
        self.dice.on_order(order, book)


class Apart(Busy):
    independent = True


class Whole(Busy):
    pass


class Signs:
    """Long above the mean of five closes, else short: in columns."""

    independent = True

    def __init__(self, shares: int) -> None:
        self.shares = shares

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", 5)}

    def signals(self) -> dict[str, pl.Expr]:
        return {"target": pl.when(pl.col("close") > pl.col("mean")).then(self.shares).otherwise(-self.shares)}


def assert_divided_alike(
    world: World, folder: Path, strategies: Callable[[], Any], workers: int, **tables: Any
) -> None:
    """The run by one process and by several."""
    with tempfile.TemporaryDirectory() as beside:
        out = [Path(beside) / str(n) for n in (1, workers)]
        given = {"bars": folder, "calendar": world.calendar, **world.span, **tables.pop("data", {}), **tables}
        with refusals():
            bt.replay(**given, strategies=strategies(), out=out[0])
        whole = mock.Mock(side_effect=replaying._replay)
        with mock.patch.object(pool, "Worker", Here), mock.patch.object(replaying, "_replay", whole):
            bt.replay(**given, strategies=strategies(), out=out[1], engine={"workers": workers})
        assert not whole.called, "nothing made it one process's run"
        assert_same_files(*out)


@law(20)
@given(st.data(), markets(), habits, executions, purses, gates, EACH, st.integers(2, 3), st.booleans())
def test_symbols_of_an_independent_strategy(
    data: st.DataObject, world: World, how: Habits, execution: dict[str, Any], account: dict[str, Any], gate: dict[str, Any],
    each: float, workers: int, members: bool,
) -> None:  # fmt: skip
    kinds, made = data.draw(watched_apart(world))
    tables = {"execution": execution, "quality": gate, "account": account | {"cash_per_symbol": each}}
    workers = min(workers, len(world.symbols))
    with stored(world) as folder, tempfile.TemporaryDirectory() as beside:
        if members:
            tables["universe"] = data.draw(changing(world, Path(beside))).ours
        if workers > 1:
            one = lambda: [{"name": "strategy", "use": Apart(kinds, made, Alone(how, ()))}]  # noqa: E731
            assert_divided_alike(world, folder, one, workers, **tables)


@law(15)
@given(st.data(), worlds(), habits, executions, accounts, gates, st.integers(2, 4))
def test_strategies_and_symbols(
    data: st.DataObject, world: World, how: Habits, execution: dict[str, Any], account: dict[str, Any], gate: dict[str, Any],
    workers: int,
) -> None:  # fmt: skip
    """Two strategies that are played whole, with different features, and two whose symbols may be divided, one in columns."""
    one, two, apart = data.draw(watched(world)), data.draw(watched(world)), data.draw(watched_apart(world))
    strategies = lambda: [  # noqa: E731 - fresh ones for each run: what they hold is in the manifest
        {"name": "first", "use": Signs(5)},
        {"name": "whole", "use": Whole(*one, Dice(how, tuple(world.symbols)))},
        {"name": "apart", "use": Apart(*apart, Alone(how, ()))},
        {"name": "signs", "use": Signs(3)},
        {"name": "other", "use": Whole(*two, Dice(how, tuple(world.symbols)))},
    ]
    workers = min(workers, 2 + len(world.symbols))
    with stored(world) as folder:
        tables = {"execution": execution, "quality": gate, "account": account}
        assert_divided_alike(world, folder, strategies, workers, **tables)
