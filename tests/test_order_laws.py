"""Orders of every type on random markets: bt against the oracle, with every fill rule, alone, beside others and symbol by symbol (decision 0028)."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
from hypothesis import assume, given
from hypothesis import strategies as st
from order_worlds import (
    Close,
    Orderer,
    OrderHabits,
    OrderRun,
    accounts,
    executions,
    order_habits,
    order_runs,
    order_worlds,
)
from test_laws import law
from watchers import EQUITY, FILLS, ORDERS, POSITIONS, TRADES, assert_same_table, coming, fitting, judged, replayed
from worlds import World, stored

import bt
from bt.figures import by_symbol_and_session
from bt.results import ORDER
from bt.run.attribution import SUMS

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"

COLUMNS = {
    "fills": (*FILLS, "ambiguous"),
    "orders": (*ORDERS, "side", "limit", "stop", "trail", "filled", "parent"),
    "trades": (*TRADES, "ambiguous"),
    "positions": POSITIONS,
    "equity": EQUITY,
    "cash": ("time", "session", "symbol", "kind", "amount"),
}


def assert_same_result(run: bt.Run, result: o.Result, *more: str, ordered: bool = False) -> None:
    """Every table, and the summary's ambiguity band."""
    assert_attributed(run)
    for name, columns in COLUMNS.items():
        rows = getattr(result, name)
        if ordered:
            rows = sorted(rows, key=lambda r, t=name: tuple(r[k] or "" for k in ORDER[t]))
        assert_same_table(run, name, rows, (*more, *columns))
    assert run.finish_reason == result.finish_reason
    assert calls(run.log.rows()) == calls(tuple(row.values()) for row in result.log)
    summary = run.summary
    if "margin_calls" in summary:
        assert summary["margin_calls"] == len(calls(run.log.rows()))
    assert summary["ambiguous_bars"] == len(result.ambiguous)
    marked = sum(t["ambiguous"] for t in result.trades)
    assert summary["ambiguous_trades"] == (marked / len(result.trades) if result.trades else 0.0)
    other = sum(row["other_units"] for row in result.ambiguous)
    begun = sum(result.cash_units.values())
    ends = {row["strategy"]: row["equity_units"] for row in result.equity}
    assert summary["net_pnl_other"] == (sum(ends.values()) - begun + other) / o.UNIT


def calls(log: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The margin calls among the rows of a log: when, and what is said of them."""
    rows = [(row[0], json.loads(row[3]) if isinstance(row[3], str) else row[3]) for row in log if row[2] == "margin call"]  # fmt: skip
    return sorted(rows, key=lambda row: (row[0], row[1].get("symbol", ""), row[1]["equity"]))


def assert_attributed(run: bt.Run) -> None:
    """What symbols and tags earned and cost is what their strategies did, to the unit; and strategies what the run did."""
    unit = lambda value: round(Fraction(value) * o.UNIT)  # noqa: E731 - a product of doubles is rounded once more
    units = lambda values: [unit(value) for value in values]  # noqa: E731
    whole, most = run.by_strategy, 2.0**26
    totals = [run.summary[name] for name in ("net_pnl", "commission", "slippage")]
    if any(abs(value) > most for name in SUMS for value in run.by_symbol[name]) or max(map(abs, totals)) > most:
        return  # beyond it a double does not tell units apart
    assert sum(units(whole["net_pnl"])) == unit(run.summary["net_pnl"])
    for name, of in (("commission", "commission"), ("slippage", "slippage")):
        assert sum(units(whole[name])) == unit(run.summary[of]), name
    assert sum(whole["trades"]) == run.trades.height
    for parts in (run.by_symbol, run.by_tag):
        for strategy in whole.iter_rows(named=True):
            own = parts.filter(strategy=strategy["strategy"])
            for name in SUMS:
                assert sum(units(own[name])) == unit(strategy[name]), name
            assert own["trades"].sum() == strategy["trades"]
            for name in ("value_traded", "exposure_net"):
                assert math.isclose(own[name].sum(), strategy[name], rel_tol=1e-9, abs_tol=1e-9), name
    assert_by_session(run)
    tags = (
        run.trades.group_by("strategy", "entry_tag")
        .agg(pl.len())
        .join(run.by_tag, on=["strategy", "entry_tag"], how="left")
    )
    assert (tags["len"] == tags["trades"]).all()


def assert_by_session(run: bt.Run) -> None:
    """What the report says of symbols session by session adds up to what they earned; under the names of their day, so with renames to the whole alone."""
    each = {symbol: float(number) for symbol, number in run.multipliers.items()}
    earned = by_symbol_and_session(run.positions, run.fills, run.cash, run.by_session, each)
    by_day = dict(earned.group_by("symbol").agg(pl.col("pnl").sum()).iter_rows())
    own = run.by_symbol.drop_nulls("symbol")
    whole = dict(own.group_by("symbol").agg(pl.col("net_pnl").sum()).iter_rows())
    assert math.isclose(sum(by_day.values()), sum(whole.values()), abs_tol=1e-6)
    if not (run.summary.get("actions") or {}).get("rename"):
        for symbol in by_day.keys() | whole.keys():
            assert math.isclose(by_day.get(symbol, 0.0), whole.get(symbol, 0.0), abs_tol=1e-6), symbol


def assert_same_told(ours: Orderer, theirs: Orderer) -> None:
    """What a strategy knew and was told."""
    assert ours.knows == theirs.knows
    assert Counter(map(repr, ours.told)) == Counter(map(repr, theirs.told))


@law(60)
@given(order_runs)
def test_orders_of_every_type_fill_as_in_the_oracle(case: OrderRun) -> None:
    ours = case.orderer()
    with stored(case.world) as folder:
        run, (_, result, theirs) = fitting(
            lambda: replayed(case.world, folder, ours, execution=dict(case.execution), account=dict(case.account)),
            case.judged,
        )
    assert_same_told(ours, theirs)
    assert_same_result(run, result)


@law(25)
@given(order_worlds(off_grid=True), st.lists(order_habits, min_size=2, max_size=3), executions, accounts, st.booleans())
def test_several_strategies_fill_as_in_the_oracle(
    world: World, hows: Sequence[OrderHabits], execution: dict[str, Any], account: dict[str, Any], shared: bool
) -> None:
    """In configured order, which is not that of their names; with one cash or each with its own."""
    hows = [replace(how, symbols=tuple(world.symbols)) for how in hows]
    ours, theirs = ([Orderer(how) for how in hows] for _ in range(2))
    entries = [{"name": name, "use": one} for name, one in zip("bca", ours, strict=False)]
    account = {**account, "shared": shared}
    judges = [
        o.Strategy(name, one, [o.RowType.of(r) for r in one.row]) for name, one in zip("bca", theirs, strict=False)
    ]
    with stored(world) as folder:
        run, result = fitting(
            lambda: replayed(world, folder, None, strategies=entries, execution=execution, account=account),
            lambda: judged(world, *judges, execution=o.Execution(**execution), account=o.Account(**account)),
        )
    for own, other in zip(ours, theirs, strict=True):
        assert_same_told(own, other)
    assert_same_result(run, result, "strategy", ordered=True)


class Lone(Orderer):
    """An independent strategy: it acts in the callbacks that know a symbol, and asks of nothing else."""

    independent = True

    def on_session_start(self, session: Any, book: Any) -> None: ...

    def on_session_end(self, session: Any, book: Any) -> None: ...


@law(25)
@given(order_worlds(off_grid=True), order_habits, executions, accounts, st.sampled_from((0.0, 700.0, 1e5)))
def test_symbols_of_an_independent_strategy_are_backtests_of_their_own(
    world: World, how: OrderHabits, execution: dict[str, Any], account: dict[str, Any], each: float
) -> None:
    ours, theirs = Lone(how), {s: Lone(how) for s in world.symbols}
    with stored(world) as folder:
        run, result = fitting(
            lambda: replayed(world, folder, ours, execution=execution, account={**account, "cash_per_symbol": each}),
            lambda: o.play_apart(
                world.symbols, lambda s: o.Strategy("strategy", theirs[s], [o.RowType.of(r) for r in theirs[s].row]), o.Account(**account), each,
                days=world.days, bars=(), classified=world.classified(), zone=world.schedule.zone, start=world.span["start"],
                execution=o.Execution(**execution), quotes=world.quotes,
            ),
        )  # fmt: skip
    for symbol in world.symbols:
        assert [k for k in ours.knows if k[1] == symbol] == theirs[symbol].knows
        told = [t for t in ours.told if t[3] == symbol]
        assert Counter(map(repr, told)) == Counter(map(repr, theirs[symbol].told))
    for name, columns in COLUMNS.items():
        assert_same_table(run, name, getattr(result, name), columns)
    assert calls(run.log.rows()) == calls(tuple(row.values()) for row in result.log)


@law(15)
@given(order_runs, st.integers(1, 3))
def test_how_the_work_is_cut_changes_nothing(case: OrderRun, days: int) -> None:
    with stored(case.world) as folder:
        one, other = fitting(
            *[
                partial(
                    replayed, case.world, folder, case.orderer(), execution=dict(case.execution), account=dict(case.account),
                    set={"session.prefetch_days": prefetch},
                )
                for prefetch in (days, 5)
            ]
        )  # fmt: skip
    for name in COLUMNS:
        assert getattr(one, name).equals(getattr(other, name)), name
    kept = [k for k in one.summary if k.startswith(("ambiguous", "net_pnl"))]
    assert {k: one.summary[k] for k in kept} == {k: other.summary[k] for k in kept}


class Brackets:
    """Buys what fell by a limit with a bracket, symbol by symbol."""

    row = Close
    independent = True

    def on_bar(self, row: Close, book: bt.Book) -> None:
        if book.position(row.symbol) == 0 and not book.open_orders(row.symbol):
            price = round(row.close * 0.999, 2)
            book.order(
                row.symbol, 10, limit=price, tif="gtc", stop_loss=price - 0.05, take_profit=price + 0.05, trailing_loss=0.1
            )  # fmt: skip


def test_workers_give_the_same() -> None:
    one, two = (
        bt.replay(
            bars=str(SAMPLE), calendar="XNYS", strategy=Brackets(), start="2024-12-02", end="2024-12-04", save=False,
            execution={"participation": 0.3}, set={"engine.workers": workers},
        )
        for workers in (1, 2)
    )  # fmt: skip
    assert one.summary["ambiguous_bars"] > 0
    assert one.trades.height > 100
    for name in COLUMNS:
        assert getattr(one, name).equals(getattr(two, name)), name
    for key in ("ambiguous_bars", "ambiguous_trades", "net_pnl", "net_pnl_other"):
        assert one.summary[key] == two.summary[key], key


# ------------------------------------------------------------------------------------------------- signals with legs


class Seen(bt.Row):
    symbol: str
    minute: int
    close: float


@dataclass(frozen=True)
class Entries:
    """When to enter and exit, and with which legs, by a bar's minute and close."""

    factor: int
    kinds: int
    keys: tuple[str, ...]
    legs: tuple[str, ...]

    def number(self, minute: Any, tick: Any) -> Any:
        """0 to kinds - 1."""
        return (minute * self.factor + tick) % self.kinds

    def booleans(self, number: Any) -> dict[str, Any]:
        said = {"entry": number % 2 == 0, "exit": number % 7 == 1, "short": number % 3 == 1, "cover": number % 5 == 2}
        return {key: said[key] for key in self.keys}


entries = st.builds(
    Entries,
    factor=st.integers(1, 50),
    kinds=st.integers(2, 40),
    keys=st.sampled_from((("entry", "exit"), ("short", "cover"), ("entry", "exit", "short", "cover"), ("entry",))),
    legs=st.sets(st.sampled_from(("stop_loss", "take_profit", "trail")), min_size=1).map(sorted).map(tuple),
)


class LegsByColumns:
    """The rules as signals."""

    def __init__(self, how: Entries) -> None:
        self.how = how

    def signals(self) -> dict[str, Any]:
        close = pl.col("close")
        number = self.how.number(pl.col("minute"), (close * 100).round().cast(pl.Int64))
        said = self.how.booleans(number)
        nothing = pl.lit(value=False)
        side = pl.when(said.get("entry", nothing) & ~said.get("short", nothing)).then(1.0).otherwise(-1.0)
        legs = {
            "stop_loss": pl.when(number % 4 != 0).then(close - side * 0.02 * (number % 3)),
            "take_profit": pl.when(number % 5 != 0).then(close + side * 0.03 * (number % 4 + 1)),
            "trail": pl.when(number % 6 != 0).then(0.01 * (number % 5 + 1)),
        }
        return said | {"shares": number % 20 + 1} | {key: legs[key] for key in self.how.legs}


class LegsByRows:
    """The rules in on_bar; flat means that nothing is held or on its way."""

    row = Seen

    def __init__(self, how: Entries) -> None:
        self.how = how

    def on_bar(self, row: Seen, book: Any) -> None:
        number = self.how.number(row.minute, round(row.close * 100))
        said = self.how.booleans(number)
        held, enters, sells = coming(row.symbol, book), bool(said.get("entry")), bool(said.get("short"))
        if held == 0 and enters != sells:
            side = 1.0 if enters else -1.0
            legs = {
                "stop_loss": row.close - side * 0.02 * (number % 3) if number % 4 else None,
                "take_profit": row.close + side * 0.03 * (number % 4 + 1) if number % 5 else None,
                "trail": 0.01 * (number % 5 + 1) if number % 6 else None,
            }
            given = {key.replace("trail", "trailing_loss"): legs[key] for key in self.how.legs}
            book.target(row.symbol, int(side) * (number % 20 + 1), **given)
        elif (held > 0 and said.get("exit")) or (held < 0 and said.get("cover")):
            book.target(row.symbol, 0)


class LoneLegsByColumns(LegsByColumns):
    independent = True


class LoneLegsByRows(LegsByRows):
    independent = True


class HeardLegsByColumns(LegsByColumns):
    """Beside a callback a session is played minute by minute."""

    def on_fill(self, fill: Any, book: Any) -> None: ...


@law(15)
@given(order_worlds(most=400), entries, executions, accounts)
def test_entries_with_legs_are_the_rows_of_the_oracle(
    world: World, how: Entries, execution: dict[str, Any], account: dict[str, Any]
) -> None:
    """A price that is none stops the strategy whatever its style: such worlds are left out."""
    assume(min(row.close for row in world.rows) > 0.2)
    with stored(world) as folder:
        runs = [
            replayed(world, folder, strategy(how), execution=execution, account=account)
            for strategy in (LegsByColumns, HeardLegsByColumns)
        ]
        alone = [
            replayed(world, folder, None, strategies=[{"name": "s", "use": strategy(how)}], execution=execution, account=account)
            for strategy in (LoneLegsByColumns, LoneLegsByRows)
        ]  # fmt: skip
    result = judged(
        world, o.Strategy("strategy", LegsByRows(how), [o.RowType.of(Seen)]),
        execution=o.Execution(**execution), account=o.Account(**account),
    )  # fmt: skip
    for run in runs:
        assert_same_result(run, result)
    for name in COLUMNS:
        assert getattr(alone[0], name).equals(getattr(alone[1], name)), name
