"""Universes: what members are, that only they are shown and read, what becomes of leavers. The oracle and laws judge."""

from __future__ import annotations

import operator
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import oracle as o
import polars as pl
from hypothesis import assume, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from test_laws import TABLES, Close, accounts, executions, gates, law
from watchers import (
    EQUITY,
    FILLS,
    ORDERS,
    POSITIONS,
    TRADES,
    Dice,
    Habits,
    Trader,
    Watcher,
    assert_same_rows,
    assert_same_table,
    habits,
    judge_types,
    product,
    replayed,
    watched,
)
from worlds import World, stored, worlds

import bt

# --------------------------------------------------------------------------------------------------- random universes


@dataclass(frozen=True)
class Pair:
    """An expression as text, and as a function of the oracle's `past`."""

    text: str
    judge: Callable[[Any], Any]


def term(aggregate: str, column: str, period: str) -> Pair:
    of: Any = product if column == "close*volume" else column
    return Pair(f"{aggregate}({column}, {period})", lambda past: past(aggregate, of, period))


def prior(column: str) -> Pair:
    return Pair(f"prior({column})", lambda past: past("last", column, "1d"))


def number(value: float) -> Pair:
    return Pair(repr(value), lambda _past: value)


OPERATIONS = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv,
    ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip


def combined(sign: str, left: Pair, right: Pair) -> Pair:
    def judge(past: Any) -> Any:
        a, b = left.judge(past), right.judge(past)
        return None if a is None or b is None or (sign == "/" and b == 0) else OPERATIONS[sign](a, b)

    return Pair(f"({left.text} {sign} {right.text})", judge)


def joined(word: str, left: Pair, right: Pair) -> Pair:
    def judge(past: Any) -> Any:
        both = (left.judge(past), right.judge(past))
        decides = word == "or"
        return decides if decides in both else None if None in both else not decides

    return Pair(f"({left.text} {word} {right.text})", judge)


columns = st.sampled_from(("open", "high", "low", "close", "volume"))
periods = st.builds(lambda n, unit: f"{n}{unit}", st.integers(1, 5), st.sampled_from("dddwm"))
terms = (
    st.builds(term, st.sampled_from(("avg", "max", "min", "sum", "first", "last")), columns, periods)
    | st.builds(term, st.just("sum"), st.just("close*volume"), periods)
    | st.builds(prior, columns)
)
numbers = terms | st.builds(combined, st.sampled_from("+-*/"), terms, terms | st.builds(number, st.floats(0.5, 20.0)))
conditions = st.builds(
    combined,
    st.sampled_from((">", ">=", "<", "<=")),
    numbers,
    terms | st.builds(number, st.sampled_from((0.0, 5.0, 10.0, 100.0, 1e4))),
)
wheres = conditions | st.builds(joined, st.sampled_from(("and", "or")), conditions, conditions)


@dataclass(frozen=True)
class Made:
    """A universe twice: the configuration's table and the oracle's."""

    ours: Mapping[str, Any]
    judge: o.Universe


@st.composite
def universes(draw: st.DrawFn, world: World, folder: Path | None = None) -> Made:
    """Any universe; with a `folder` perhaps one of a membership table there."""
    rebalance, leavers = draw(st.sampled_from(("1d", "1d", "1w", "1mo"))), draw(st.sampled_from(("hold", "exit")))
    kind = draw(st.sampled_from(("top", "top", "where", "table") if folder else ("top", "top", "where")))
    ours: dict[str, Any] = {"rebalance": rebalance, "leavers": leavers}
    judge: dict[str, Any] = {"rebalance": rebalance, "leavers": leavers}
    if kind == "top":
        by, top = draw(numbers), draw(st.integers(1, 3))
        ours |= {"top": top, "by": by.text}
        judge |= {"top": top, "by": by.judge}
    if kind == "where" or draw(st.booleans()):
        where = draw(wheres)
        ours["where"], judge["where"] = where.text, where.judge
    if kind == "table":
        assert folder is not None
        judge["table"] = draw(st.lists(memberships(world), min_size=1, max_size=6))
        frame = pl.DataFrame(judge["table"], schema={"from": pl.Date, "to": pl.Date, "symbol": pl.String}, orient="row")
        ours["table"] = str(folder / "members.parquet")
        frame.write_parquet(ours["table"])
    return Made(ours, o.Universe(**judge))


@st.composite
def memberships(draw: st.DrawFn, world: World) -> tuple[date, date | None, str]:
    start = world.span["start"] + timedelta(days=draw(st.integers(-40, 5)))
    length = draw(st.none() | st.integers(0, 40))
    return start, None if length is None else start + timedelta(days=length), draw(st.sampled_from(world.symbols))


def whole_days(world: World) -> World:
    """The world with the oracle's days from a month before its first row: a calendar month begins among them."""
    return replace(world, first=max(world.first - 25, 1))


def judged_by(world: World, strategies: list[o.Strategy], universe: o.Universe, **more: Any) -> o.Result:
    earlier = whole_days(world)
    backtest = o.Backtest(
        earlier.days, world.rows, strategies, zone=world.schedule.zone, start=world.span["start"], symbols=world.symbols,
        **earlier.neighbours, universe=universe, **more,
    )  # fmt: skip
    return backtest.run()


def ranked(run: bt.Run) -> list[dict[str, Any]]:
    return sorted(run.universe.iter_rows(named=True), key=lambda r: (r["session"], r["rank"]))


# ------------------------------------------------------------------------------------------------------------ the laws


@law(60)
@given(st.data(), worlds(sessions=7), habits, executions, accounts, gates)
def test_members_rows_orders_and_fills_are_those_of_the_oracle(
    data: st.DataObject,
    world: World,
    how: Habits,
    execution: dict[str, Any],
    account: dict[str, Any],
    gate: dict[str, Any],
) -> None:
    kinds, made = data.draw(watched(world))
    how = replace(how, symbols=tuple(world.symbols))
    dices = [Dice(how, ()) for _ in range(2)]
    ours, theirs = (Trader(kinds, made, dice) for dice in dices)
    with stored(world) as folder, tempfile.TemporaryDirectory() as beside:
        universe = data.draw(universes(world, Path(beside)))
        run = replayed(world, folder, ours, execution=execution, account=account, quality=gate, universe=universe.ours)
    result = judged_by(
        world, [o.Strategy("Trader", theirs, judge_types(kinds, made))], universe.judge,
        execution=o.Execution(**execution), account=o.Account(**account), gate=o.Gate(**gate),
    )  # fmt: skip
    reached = set(run.by_session["session"])
    assert ranked(run) == [r for r in result.universe if r["session"] in reached]
    sizes = {name: m.size for name, m in made.items()} | {"volume": 0.0 if world.whole_volume else 1.0}
    assert_same_rows(ours.seen, theirs.seen, sizes)
    assert dices[0].knows == dices[1].knows
    assert Counter(map(repr, dices[0].told)) == Counter(map(repr, dices[1].told))
    for table, columns_ in (
        ("fills", FILLS), ("orders", ORDERS), ("trades", TRADES), ("positions", POSITIONS), ("equity", EQUITY),
    ):  # fmt: skip
        assert_same_table(run, table, getattr(result, table), columns_)
    counted = {tuple(r[:3]): r[3] for r in run.guards.select("session", "symbol", "reason", "rows").iter_rows()}
    assert counted == {k: n for k, n in result.guards.items() if k[0] in reached}
    judged = {(r["session"], r["symbol"]) for r in result.universe if r["session"] in reached}
    assert set(run.quality.select("session", "symbol").iter_rows()) == judged
    assert (run.summary["bars"], run.summary["iterations"]) == (result.bars, result.iterations)
    assert run.finish_reason == result.finish_reason


@law(40)
@given(st.data(), worlds(sessions=7), habits, executions, accounts)
def test_who_is_no_member_is_only_reduced(
    data: st.DataObject, world: World, how: Habits, execution: dict[str, Any], account: dict[str, Any]
) -> None:
    """Whatever is ordered, and however many orders at once: what is decided in a symbol that is no member neither adds to its
    position nor turns it."""
    how = replace(how, symbols=tuple(world.symbols))
    with stored(world) as folder:
        run = replayed(
            world, folder, Dice(how, (Close,)), execution=execution, account=account, universe=data.draw(universes(world)).ours
        )  # fmt: skip
    members = set(run.universe.select("session", "symbol").iter_rows())
    given_in = dict(zip(run.orders["id"], run.orders["session"], strict=True))
    for fill in run.fills.iter_rows(named=True):
        if (given_in[fill["order_id"]], fill["symbol"]) not in members:
            after = fill["position_after"]
            before = after - fill["shares"]
            assert abs(after) < abs(before), fill
            assert after * before >= 0, fill


@law(30)
@given(st.data(), worlds(sessions=7))
def test_cutting_the_work_changes_nothing(data: st.DataObject, world: World) -> None:
    kinds, made = data.draw(watched(world))
    universe = data.draw(universes(world)).ours
    how = replace(data.draw(habits), symbols=tuple(world.symbols))
    runs, seen = [], []
    for days, layout in ((1, "day"), (2, "symbol"), (3, "overlapping"), (30, "unsorted")):
        player = Trader(kinds, made, Dice(how, ()))
        with stored(replace(world, layout=layout)) as folder:
            run = replayed(world, folder, player, prefetch_days=days, universe=universe)
        runs.append({name: getattr(run, name) for name in (*TABLES, "universe")})
        seen.append(player.seen)
    for other, rows in zip(runs[1:], seen[1:], strict=True):
        assert rows == seen[0]
        for name, frame in runs[0].items():
            assert_frame_equal(other[name], frame, check_exact=True)


@law(30)
@given(st.data(), worlds(sessions=7))
def test_a_later_start_has_the_same_members_and_rows(data: st.DataObject, world: World) -> None:
    kinds, made = data.draw(watched(world))
    universe = data.draw(universes(world)).ours
    early, late = Watcher(kinds, made), Watcher(kinds, made)
    first = data.draw(st.integers(world.start, world.last))
    names = world.schedule.names
    assume(any(world.schedule.open[first] <= r.time_us < world.schedule.close[world.last] for r in world.rows))
    with stored(world) as folder:
        runs = [replayed(world, folder, early, universe=universe)]
        runs.append(replayed(world, folder, late, start=names[first], universe=universe))
    assert late.seen == [row for row in early.seen if row[2]["session"] >= names[first]]
    for table in ("universe", "quality", "guards"):
        whole = getattr(runs[0], table).filter(pl.col("session") >= names[first])
        assert_frame_equal(getattr(runs[1], table), whole, check_exact=True)
