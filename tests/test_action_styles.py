"""Corporate actions in every style, in universes and in warm-up (decision 0031): bt against the oracle."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import oracle as o
import polars as pl
from action_worlds import actions_of, table_of
from hypothesis import assume, given
from hypothesis import strategies as st
from order_worlds import Close, Orderer, OrderHabits, accounts, executions, order_habits, order_worlds
from test_laws import law
from test_order_laws import (
    COLUMNS,
    Entries,
    HeardLegsByColumns,
    LegsByColumns,
    LegsByRows,
    Seen,
    assert_same_result,
    assert_same_told,
    entries,
)
from watchers import judged, replayed
from worlds import World, stored

import bt

acted_worlds = order_worlds(sessions=4).flatmap(lambda w: st.tuples(st.just(w), actions_of(w)))


@law(30)
@given(acted_worlds, entries, executions, accounts)
def test_signals_with_legs_are_the_rows_of_the_oracle(
    case: tuple[World, list[o.Action]], how: Entries, execution: dict[str, Any], account: dict[str, Any]
) -> None:
    """Played a session at a time, and beside a callback minute by minute."""
    world, actions = case
    assume(min(row.close for row in world.rows) > 0.2)
    with stored(world) as folder:
        runs = [
            replayed(world, folder, strategy(how), execution=execution, account=account, actions=table_of(actions))
            for strategy in (LegsByColumns, HeardLegsByColumns)
        ]
    result = judged(
        world, o.Strategy("strategy", LegsByRows(how), [o.RowType.of(Seen)]),
        execution=o.Execution(**execution), account=o.Account(**account), actions=actions,
    )  # fmt: skip
    for run in runs:
        assert_same_result(run, result)


class Levels:
    """A level a symbol, in columns; the mean runs across sessions."""

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", 9)}

    def signals(self) -> dict[str, pl.Expr]:
        close, mean = pl.col("close"), pl.col("mean")
        return {"target": pl.when(close > mean).then(7).when(close < mean).then(-5)}


class LevelsByMinute(Levels):
    """The same, told of its fills: minute by minute."""

    def on_fill(self, fill: Any, book: Any) -> None: ...


class Mean(bt.Row):
    symbol: str
    close: float
    mean: float | None


class LevelsByRows:
    """The same in on_bar."""

    row = Mean

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", 9)}

    def on_bar(self, row: Mean, book: Any) -> None:
        if row.mean is not None and row.close != row.mean:
            book.target(row.symbol, 7 if row.close > row.mean else -5)


class LevelsAcross:
    """The same in on_minute."""

    row = Mean

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", 9)}

    def on_minute(self, rows: Any, book: Any) -> None:
        for symbol, close, mean, fresh in zip(rows.symbol, rows.close, rows.mean, rows.fresh, strict=True):
            if fresh and mean == mean and close != mean:  # noqa: PLR0124 - NaN is not known
                book.target(symbol, 7 if close > mean else -5)


@law(25)
@given(acted_worlds, executions, accounts)
def test_every_style_does_the_same(
    case: tuple[World, list[o.Action]], execution: dict[str, Any], account: dict[str, Any]
) -> None:
    world, actions = case
    named = lambda strategy: [{"name": "s", "use": strategy}]  # noqa: E731
    with stored(world) as folder:
        runs = [
            replayed(
                world,
                folder,
                None,
                strategies=named(one),
                execution=execution,
                account=account,
                actions=table_of(actions),
            )
            for one in (Levels, LevelsByMinute, LevelsByRows, LevelsAcross)
        ]
    judge = o.Strategy("s", LevelsByRows(), [o.RowType.of(Mean, {"mean": o.sma("close", 9)})])
    result = judged(world, judge, execution=o.Execution(**execution), account=o.Account(**account), actions=actions)
    for run in runs:
        assert_same_result(run, result)


@law(25)
@given(
    acted_worlds, order_habits, executions, accounts, st.integers(1, 3), st.sampled_from(("hold", "exit")), st.sampled_from((1, 5)),
)  # fmt: skip
def test_members_and_what_is_held_of_leavers(
    case: tuple[World, list[o.Action]], how: OrderHabits, execution: dict[str, Any], account: dict[str, Any], top: int, leavers: str, days: int
) -> None:  # fmt: skip
    """Also what was renamed to a symbol that nobody is a member of."""
    world, actions = case
    how = replace(how, symbols=tuple(world.symbols))
    ours, theirs = Orderer(how), Orderer(how)
    with stored(world) as folder:
        run = replayed(
            world, folder, ours, execution=execution, account=account, actions=table_of(actions), prefetch_days=days,
            universe={"top": top, "by": "prior(close)", "leavers": leavers},
        )  # fmt: skip
    result = judged(
        world, o.Strategy("strategy", theirs, [o.RowType.of(Close)]), execution=o.Execution(**execution), account=o.Account(**account),
        actions=actions, universe=o.Universe(top=top, by=lambda past: past("last", "close", "1d"), leavers=leavers),
    )  # fmt: skip
    assert_same_told(ours, theirs)
    assert_same_result(run, result)


class Warm(Orderer):
    warm_up = "2d"


@law(15)
@given(acted_worlds, order_habits, executions, accounts)
def test_sessions_to_warm_up_have_their_actions_too(
    case: tuple[World, list[o.Action]], how: OrderHabits, execution: dict[str, Any], account: dict[str, Any]
) -> None:
    world, actions = case
    how = replace(how, symbols=tuple(world.symbols))
    start = world.schedule.names[world.last]
    assume(any(r.time_us >= int(world.schedule.open[world.last]) for r in world.rows))
    ours, theirs = Warm(how), Warm(how)
    with stored(world) as folder:
        run = replayed(
            world, folder, ours, execution=execution, account=account, actions=table_of(actions), start=start
        )
    backtest = o.Backtest(
        world.days, world.rows, [o.Strategy("strategy", theirs, [o.RowType.of(Close)], warm_up=2)], zone=world.schedule.zone, start=start,
        symbols=world.symbols, quotes=world.quotes, **world.neighbours, execution=o.Execution(**execution), account=o.Account(**account),
        actions=actions,
    )  # fmt: skip
    result = backtest.run()
    assert_same_told(ours, theirs)
    assert_same_result(run, result)
    assert set(COLUMNS) <= set(vars(result))
