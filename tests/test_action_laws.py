"""Random corporate actions on random markets with orders of every type: bt against the oracle (decision 0031)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import oracle as o
from action_worlds import actions_of, table_of
from hypothesis import given
from hypothesis import strategies as st
from order_worlds import Orderer, OrderHabits, accounts, executions, order_habits, order_worlds
from test_laws import law
from test_order_laws import COLUMNS, assert_same_result, assert_same_told
from watchers import judged, replayed
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
        run = replayed(world, folder, ours, execution=execution, account=account, actions=table_of(actions))
    result = judged(
        world, judge(theirs), execution=o.Execution(**execution), account=o.Account(**account), actions=actions
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
        run = replayed(
            world, folder, None, strategies=entries, execution=execution, account=account, actions=table_of(actions)
        )
    result = judged(
        world, *[judge(one, name) for name, one in zip("bca", theirs, strict=False)],
        execution=o.Execution(**execution), account=o.Account(**account), actions=actions,
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
        one, other = (
            replayed(
                world, folder, Orderer(how), execution=execution, account=account, actions=table_of(actions),
                set={"session.prefetch_days": prefetch},
            )
            for prefetch in (days, 5)
        )  # fmt: skip
    for name in COLUMNS:
        assert getattr(one, name).equals(getattr(other, name)), name
    assert Counter(one.summary["guards"]) == Counter(other.summary["guards"])
