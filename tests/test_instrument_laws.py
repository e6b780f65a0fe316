"""Random instruments on random markets: bt against the oracle, in every style, alone, with one cash, symbol by symbol (decision 0035)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import oracle as o
import polars as pl
from action_worlds import actions_of
from action_worlds import table_of as actions_table
from hypothesis import assume, given
from hypothesis import strategies as st
from order_worlds import KINDS, Orderer, OrderHabits, OrderRun, accounts, executions, order_habits, order_worlds
from test_laws import law
from test_order_laws import (
    COLUMNS,
    Entries,
    HeardLegsByColumns,
    LegsByColumns,
    LegsByRows,
    Lone,
    Seen,
    assert_same_result,
    assert_same_told,
    calls,
    entries,
)
from watchers import assert_same_table, judged, replayed
from worlds import World, stored

habits = order_habits.flatmap(lambda how: st.sampled_from((how, replace(how, kinds=(*KINDS, "percent", "percent")))))


@st.composite
def tables(draw: st.DrawFn, world: World, *, tradable: bool = False) -> dict[str, o.Instrument]:
    """What some symbols of a world are; a first or last day may be one without a session. With `tradable` all are traded all the time, at any price."""
    days = sorted({d.name for d in world.days})
    made = {}
    for symbol in world.symbols:
        if draw(st.integers(0, 9)) == 0:
            continue
        pick = lambda *values: draw(st.sampled_from(values))  # noqa: E731
        multiplier = Fraction(Decimal(pick("1", "50", "0.01", "2.5", "0.0001", "1000")))
        first, last = pick(None, None, None, *days), pick(None, None, *days)
        if tradable or (first is not None and last is not None and last < first):
            first = last = None
        kinds = ("stock", "future", "crypto", "fx", "etf", *([] if tradable else ["index"]))
        tick = pick(None, None, "0.01", "0.03")
        made[symbol] = o.Instrument(
            pick(*kinds), multiplier, pick(1, 1, 3, 10),
            None if tick is None else Fraction(Decimal(tick)),
            *(None if number is None else Fraction(Decimal(number)) for number in (
                pick(None, None, "0", "2.25", "0.00000007"), pick(None, None, "0.5", "731.25"), pick(None, None, "0", "250.5"))),
            first, last,
        )  # fmt: skip
    return made


def table_of(instruments: Mapping[str, o.Instrument]) -> pl.DataFrame:
    """The same as bt is given it: numbers as text, of some as numbers."""
    text = lambda value: None if value is None else str(Decimal(value.numerator) / Decimal(value.denominator))  # noqa: E731
    rows = [
        {
            "symbol": symbol, "kind": one.kind, "multiplier": text(one.multiplier), "tick": text(one.tick), "lot": one.lot, "commission": text(one.commission),
            "margin": text(one.margin), "borrow_bps": text(one.borrow_bps), "first_trade": one.first_trade, "last_trade": one.last_trade,
        }
        for symbol, one in instruments.items()
    ]  # fmt: skip
    names = ("symbol", "kind", "multiplier", "tick", "commission", "margin", "borrow_bps")
    schema = dict.fromkeys(names, pl.String) | {"lot": pl.Int64, "first_trade": pl.Date, "last_trade": pl.Date}
    return pl.DataFrame(rows, schema=schema)


@st.composite
def listed_runs(draw: st.DrawFn) -> tuple[OrderRun, dict[str, o.Instrument]]:
    """A run, and what its symbols are."""
    case = OrderRun(draw(order_worlds()), draw(habits), draw(executions), draw(accounts))
    return case, draw(tables(case.world))


@law(60)
@given(listed_runs())
def test_orders_of_instruments_fill_as_in_the_oracle(given_: tuple[OrderRun, dict[str, o.Instrument]]) -> None:
    case, instruments = given_
    ours, theirs = case.orderer(), case.orderer()
    with stored(case.world) as folder:
        run = replayed(
            case.world, folder, ours, execution=dict(case.execution), account=dict(case.account), instruments=table_of(instruments)
        )  # fmt: skip
    result = judged(
        case.world, o.Strategy("strategy", theirs, [o.RowType.of(r) for r in theirs.row]),
        execution=o.Execution(**case.execution), account=o.Account(**case.account), instruments=instruments,
    )  # fmt: skip
    assert_same_told(ours, theirs)
    assert_same_result(run, result)


@law(20)
@given(order_worlds(), st.lists(habits, min_size=2, max_size=3), executions, accounts, st.booleans(), st.data())
def test_several_strategies_trade_instruments_as_in_the_oracle(
    world: World, hows: Sequence[OrderHabits], execution: dict[str, Any], account: dict[str, Any], shared: bool, data: st.DataObject
) -> None:  # fmt: skip
    instruments = data.draw(tables(world))
    hows = [replace(how, symbols=tuple(world.symbols)) for how in hows]
    ours, theirs = ([Orderer(how) for how in hows] for _ in range(2))
    strategies = [{"name": name, "use": one} for name, one in zip("bca", ours, strict=False)]
    account = {**account, "shared": shared}
    with stored(world) as folder:
        run = replayed(
            world, folder, None, strategies=strategies, execution=execution, account=account, instruments=table_of(instruments)
        )  # fmt: skip
    result = judged(
        world, *[o.Strategy(name, one, [o.RowType.of(r) for r in one.row]) for name, one in zip("bca", theirs, strict=False)],
        execution=o.Execution(**execution), account=o.Account(**account), instruments=instruments,
    )  # fmt: skip
    for own, other in zip(ours, theirs, strict=True):
        assert_same_told(own, other)
    assert_same_result(run, result, "strategy", ordered=True)


@law(20)
@given(order_worlds(), habits, executions, accounts, st.sampled_from((0.0, 700.0, 1e5)), st.data())
def test_symbols_alone_are_backtests_of_their_own(
    world: World, how: OrderHabits, execution: dict[str, Any], account: dict[str, Any], each: float, data: st.DataObject
) -> None:  # fmt: skip
    instruments = data.draw(tables(world))
    ours, theirs = Lone(how), {s: Lone(how) for s in world.symbols}
    with stored(world) as folder:
        run = replayed(
            world, folder, ours, execution=execution, account={**account, "cash_per_symbol": each}, instruments=table_of(instruments)
        )  # fmt: skip
    result = o.play_apart(
        world.symbols, lambda s: o.Strategy("strategy", theirs[s], [o.RowType.of(r) for r in theirs[s].row]), o.Account(**account), each,
        days=world.days, bars=(), classified=world.classified(), zone=world.schedule.zone, start=world.span["start"],
        execution=o.Execution(**execution), quotes=world.quotes, instruments=instruments,
    )  # fmt: skip
    for symbol in world.symbols:
        assert [k for k in ours.knows if k[1] == symbol] == theirs[symbol].knows
        told = [t for t in ours.told if t[3] == symbol]
        assert Counter(map(repr, told)) == Counter(map(repr, theirs[symbol].told))
    for name, columns in COLUMNS.items():
        assert_same_table(run, name, getattr(result, name), columns)
    assert calls(run.log.rows()) == calls(tuple(row.values()) for row in result.log)


@law(30)
@given(order_worlds(sessions=4), habits, executions, accounts, st.data())
def test_companies_and_instruments_are_those_of_the_oracle(
    world: World, how: OrderHabits, execution: dict[str, Any], account: dict[str, Any], data: st.DataObject
) -> None:  # fmt: skip
    """Splits leave odd lots and margins as they are; dividends and delistings are of the price. Renamed symbols have one multiplier: there are none here."""
    instruments = data.draw(tables(world))
    actions = data.draw(actions_of(world, kinds=("split", "dividend", "delisting")))
    how = replace(how, symbols=tuple(world.symbols))
    ours, theirs = Orderer(how), Orderer(how)
    with stored(world) as folder:
        run = replayed(
            world, folder, ours, execution=execution, account=account, instruments=table_of(instruments), actions=actions_table(actions)
        )  # fmt: skip
    result = judged(
        world, o.Strategy("strategy", theirs, [o.RowType.of(r) for r in theirs.row]),
        execution=o.Execution(**execution), account=o.Account(**account), instruments=instruments, actions=actions,
    )  # fmt: skip
    assert_same_told(ours, theirs)
    assert_same_result(run, result)


# ---------------------------------------------------------------------------------------------------------- the styles


class ByColumns:
    """Fractions of equity as signals."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def signals(self) -> dict[str, Any]:
        number = (pl.col("minute") * self.factor + (pl.col("close") * 100).round().cast(pl.Int64)) % 11
        return {"target_percent": pl.when(number % 3 != 0).then((number - 5).cast(pl.Float64) * 0.13)}


class ByRows:
    """The same in on_bar."""

    row = Seen

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def on_bar(self, row: Seen, book: Any) -> None:
        number = (row.minute * self.factor + round(row.close * 100)) % 11
        if number % 3 != 0:
            book.target_percent(row.symbol, float(number - 5) * 0.13)


class Heard(ByColumns):
    """Beside a callback a session is played minute by minute."""

    def on_fill(self, fill: Any, book: Any) -> None: ...


class Across:
    """The same from the cross-section."""

    row = Seen

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def on_minute(self, rows: Any, book: Any) -> None:
        number = (rows.minute * self.factor + np.round(rows.close * 100)) % 11  # NaN where nobody has a bar
        book.targets(rows, percent=np.where(number % 3 != 0, (number - 5) * 0.13, np.nan))


@law(30)
@given(order_worlds(), st.integers(1, 40), executions, accounts, st.data())
def test_fractions_in_every_style_are_the_oracles(
    world: World, factor: int, execution: dict[str, Any], account: dict[str, Any], data: st.DataObject
) -> None:  # fmt: skip
    instruments = data.draw(tables(world))
    # with more, what all the money buys of a small part of a share costs more than an amount may be
    execution["impact"] = min(execution["impact"], 0.9)
    how = {"execution": execution, "account": account, "instruments": table_of(instruments)}
    with stored(world) as folder:
        runs = [replayed(world, folder, style(factor), **how) for style in (ByColumns, Heard, ByRows, Across)]
    result = judged(
        world, o.Strategy("strategy", ByRows(factor), [o.RowType.of(Seen)]),
        execution=o.Execution(**execution), account=o.Account(**account), instruments=instruments,
    )  # fmt: skip
    for run in runs:
        assert_same_result(run, result)


@law(20)
@given(order_worlds(), entries, executions, accounts, st.data())
def test_entries_with_legs_are_the_rows_of_the_oracle(
    world: World, how: Entries, execution: dict[str, Any], account: dict[str, Any], data: st.DataObject
) -> None:  # fmt: skip
    assume(min(row.close for row in world.rows) > 0.2)
    instruments = data.draw(tables(world))
    more = {"execution": execution, "account": account, "instruments": table_of(instruments)}
    with stored(world) as folder:
        runs = [replayed(world, folder, strategy(how), **more) for strategy in (LegsByColumns, HeardLegsByColumns)]
    result = judged(
        world, o.Strategy("strategy", LegsByRows(how), [o.RowType.of(Seen)]),
        execution=o.Execution(**execution), account=o.Account(**account), instruments=instruments,
    )  # fmt: skip
    for run in runs:
        assert_same_result(run, result)


# -------------------------------------------------------------------------------------------------------- a plain table


@law(10)
@given(order_worlds(), order_habits, executions, accounts)
def test_a_table_of_plain_stocks_changes_nothing(
    world: World, how: OrderHabits, execution: dict[str, Any], account: dict[str, Any]
) -> None:
    case = OrderRun(world, how, execution, account)
    table = pl.DataFrame({"symbol": world.symbols, "kind": "stock", "multiplier": 1.0, "lot": 1})
    with stored(world) as folder:
        one, other = (
            replayed(world, folder, case.orderer(), execution=dict(execution), account=dict(account), **more)
            for more in ({}, {"instruments": table})
        )
    for name in COLUMNS:
        assert getattr(one, name).equals(getattr(other, name)), name


@law(10)
@given(listed_runs(), st.integers(1, 2))
def test_how_the_work_is_cut_changes_nothing(given_: tuple[OrderRun, dict[str, o.Instrument]], days: int) -> None:
    case, instruments = given_
    with stored(case.world) as folder:
        one, other = (
            replayed(
                case.world, folder, case.orderer(), execution=dict(case.execution), account=dict(case.account),
                instruments=table_of(instruments), set={"session.prefetch_days": prefetch},
            )
            for prefetch in (days, 5)
        )  # fmt: skip
    for name in COLUMNS:
        assert getattr(one, name).equals(getattr(other, name)), name
