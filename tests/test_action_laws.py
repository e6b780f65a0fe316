"""Random corporate actions on random markets with orders of every type: bt against the oracle (decision 0031)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import oracle as o
from action_worlds import actions_of, table_of
from hypothesis import assume, given
from hypothesis import strategies as st
from order_worlds import Orderer, OrderHabits, accounts, executions, order_habits, order_worlds
from test_laws import law
from test_order_laws import COLUMNS, Lone, assert_same_result, assert_same_told
from test_workers_law import assert_divided_alike
from watchers import assert_same_table, fitting, judged, replayed
from worlds import World, stored

acted_worlds = order_worlds(sessions=4).flatmap(lambda w: st.tuples(st.just(w), actions_of(w)))
"""A market and what companies do in it."""


def judge(orderer: Orderer, name: str = "strategy") -> o.Strategy:
    return o.Strategy(name, orderer, [o.RowType.of(r) for r in orderer.row])


@law(80)
@given(acted_worlds, order_habits, executions, accounts)
def test_orders_positions_and_cash_are_those_of_the_oracle(
    acted: tuple[World, list[o.Action]], how: OrderHabits, execution: dict[str, Any], account: dict[str, Any]
) -> None:
    world, actions = acted
    how = replace(how, symbols=tuple(world.symbols))
    ours, theirs = Orderer(how), Orderer(how)
    with stored(world) as folder:
        run, result = fitting(
            lambda: replayed(world, folder, ours, execution=execution, account=account, actions=table_of(actions)),
            lambda: judged(
                world, judge(theirs), execution=o.Execution(**execution), account=o.Account(**account), actions=actions
            ),
        )
    assert_same_told(ours, theirs)
    assert_same_result(run, result)


@law(25)
@given(acted_worlds, st.lists(order_habits, min_size=2, max_size=3), executions, accounts, st.booleans())
def test_several_strategies_are_those_of_the_oracle(
    acted: tuple[World, list[o.Action]],
    hows: Sequence[OrderHabits],
    execution: dict[str, Any],
    account: dict[str, Any],
    shared: bool,
) -> None:
    world, actions = acted
    hows = [replace(how, symbols=tuple(world.symbols)) for how in hows]
    ours, theirs = ([Orderer(how) for how in hows] for _ in range(2))
    entries = [{"name": name, "use": one} for name, one in zip("bca", ours, strict=False)]
    account = {**account, "shared": shared}
    with stored(world) as folder:
        run, result = fitting(
            lambda: replayed(
                world, folder, None, strategies=entries, execution=execution, account=account, actions=table_of(actions)
            ),
            lambda: judged(
                world, *[judge(one, name) for name, one in zip("bca", theirs, strict=False)],
                execution=o.Execution(**execution), account=o.Account(**account), actions=actions,
            ),
        )  # fmt: skip
    for own, other in zip(ours, theirs, strict=True):
        assert_same_told(own, other)
    assert_same_result(run, result, "strategy", ordered=True)


@law(15)
@given(acted_worlds, order_habits, executions, accounts, st.integers(1, 3))
def test_how_the_work_is_cut_changes_nothing(
    acted: tuple[World, list[o.Action]], how: OrderHabits, execution: dict[str, Any], account: dict[str, Any], days: int
) -> None:
    world, actions = acted
    how = replace(how, symbols=tuple(world.symbols))
    with stored(world) as folder:
        one, other = fitting(
            *[
                partial(
                    replayed, world, folder, Orderer(how), execution=execution, account=account, actions=table_of(actions),
                    set={"session.prefetch_days": prefetch},
                )
                for prefetch in (days, 5)
            ]
        )  # fmt: skip
    for name in COLUMNS:
        assert getattr(one, name).equals(getattr(other, name)), name
    assert Counter(one.summary["guards"]) == Counter(other.summary["guards"])


@st.composite
def renamed(draw: st.DrawFn) -> tuple[World, list[o.Action], tuple[str, ...]]:
    """A market in which one symbol may become another that has no bars before; and what else companies do in it."""
    world = draw(order_worlds(sessions=4))
    actions = draw(actions_of(world, kinds=("split", "dividend", "delisting")))
    if len(world.symbols) < 2 or draw(st.booleans()):
        return world, actions, ()
    old, new = draw(st.permutations(world.symbols))[:2]
    number = draw(st.integers(world.start, world.last))
    day, opens = world.schedule.names[number], int(world.schedule.open[number])
    rows = [
        r
        for r in world.rows
        if not (r.symbol == old and r.time_us >= opens) and not (r.symbol == new and r.time_us < opens)
    ]
    assume({r.symbol for r in rows} == set(world.symbols))
    actions = [a for a in actions if not (a.kind == "delisting" and a.symbol in (old, new))]
    return world.with_rows(rows), [*actions, o.Action(old, day, "rename", to=new)], (old, new)


@law(40)
@given(renamed(), order_habits, executions, accounts, st.sampled_from((0.0, 700.0, 1e5)))
def test_symbols_of_an_independent_strategy_are_backtests_of_their_own(
    case: tuple[World, list[o.Action], tuple[str, ...]],
    how: OrderHabits,
    execution: dict[str, Any],
    account: dict[str, Any],
    each: float,
) -> None:
    """A security's symbols, one after another, are one; its money goes with it."""
    world, actions, follows = case
    account = {
        key: value for key, value in account.items() if key in ("cash", "leverage")
    }  # idle money would have interest
    ours, theirs = Lone(how), {s: Lone(how) for s in world.symbols}
    with stored(world) as folder:
        run, result = fitting(
            lambda: replayed(
                world, folder, ours, execution=execution, account={**account, "cash_per_symbol": each}, actions=table_of(actions)
            ),
            lambda: o.play_apart(
                world.symbols, lambda s: judge(theirs[s]), o.Account(**account), each, follows=follows,
                days=world.days, bars=(), classified=world.classified(), zone=world.schedule.zone, start=world.span["start"],
                execution=o.Execution(**execution), actions=actions, quotes=world.quotes,
            ),
        )  # fmt: skip
    for group in [(s,) for s in world.symbols if s not in follows] + [follows] * bool(follows):
        assert [k for k in ours.knows if k[1] in group] == theirs[group[0]].knows
        told = [t for t in ours.told if t[3] in group]
        assert Counter(map(repr, told)) == Counter(map(repr, theirs[group[0]].told))
    for name, columns in COLUMNS.items():
        assert_same_table(run, name, getattr(result, name), columns)


@law(10)
@given(renamed(), order_habits, st.integers(2, 3), st.booleans())
def test_workers_change_nothing(
    case: tuple[World, list[o.Action], tuple[str, ...]], how: OrderHabits, workers: int, beside: bool
) -> None:
    """Symbols that are renamed to one another are played by one worker."""
    world, actions, follows = case
    assume(len(world.symbols) - bool(follows) >= workers)
    several = lambda: [{"name": n, "use": Plain(how)} for n in ("a", "b")[: 1 + beside]]  # noqa: E731 - fresh ones for each run
    with stored(world) as folder:
        assert_divided_alike(world, folder, several, workers, data={"actions": table_of(actions)})


class Plain(Lone):
    """Writes nothing down: its state is no worker's."""

    def on_bar(self, row: Any, book: Any) -> None:
        super().on_bar(row, book)
        self.knows.clear()
        self.told.clear()
