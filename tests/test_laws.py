"""The laws of DESIGN.md sections 3 to 5, on random markets: against the oracle, and against themselves.

``just props`` tries many more markets than the default run does (`PROFILE`).
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import oracle as o
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from watchers import Watcher, assert_same_rows, judge_types, judged, replayed, watched
from worlds import World, stored, worlds

import bt

THOROUGH = os.environ.get("BT_PROPS") == "thorough"


def law(examples: int) -> settings:
    """`examples` in the default run, 40 times as many in the thorough one."""
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(deadline=None, max_examples=examples * int(os.environ.get("X", "1")), suppress_health_check=slow)


@law(40)
@given(st.data(), worlds())
def test_rows_are_those_of_the_oracle(data: st.DataObject, world: World) -> None:
    kinds, made = data.draw(watched(world))
    ours, theirs = Watcher(kinds, made, ours=True), Watcher(kinds, made, ours=False)
    with stored(world) as folder:
        run = replayed(world, folder, ours)
    result = judged(world, o.Strategy("watcher", theirs, judge_types(kinds, made)))
    sizes = {name: m.size for name, m in made.items()} | {"volume": 0.0 if world.whole_volume else 1.0}
    assert_same_rows(ours.seen, theirs.seen, sizes)
    reached = set(run.by_session["session"])
    counted = Counter({tuple(r[:3]): r[3] for r in run.guards.select("session", "symbol", "reason", "rows").iter_rows()})
    assert counted == Counter({k: n for k, n in result.guards.items() if k[0] in reached})
    assert run.summary["bars"] == result.bars
    assert run.summary["iterations"] == result.iterations
    assert_same_quality(world, run, [k.interval for k in kinds])


def assert_same_quality(world: World, run: bt.Run, labels: list[str]) -> None:
    """The quality table of every session that was played."""
    accepted = world.classified().accepted
    table = {(r["session"], r["symbol"], r["interval"]): r for r in run.quality.iter_rows(named=True)}
    played = [d for d in world.played if d.name in set(run.by_session["session"])]
    expected = {(d.name, s, i) for d in played for s in world.symbols for i in labels}
    assert expected <= set(table)
    for day in played:
        for symbol in world.symbols:
            for label in labels:
                row = table[day.name, symbol, label]
                judge = o.quality(day, accepted[day.name].get(symbol, []), label)
                gaps = [(o.micros(g["start"]), o.micros(g["end"]), g["minutes"]) for g in row["gaps"]]
                found = (row["present"], row["expected"], row["quality"], gaps)
                assert found == (judge.present, judge.expected, judge.percent, judge.gaps), (day.name, symbol, label)
                longest = max((g[2] for g in gaps), default=0)
                assert row["longest_gap_minutes"] == longest
