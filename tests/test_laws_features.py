"""The laws of docs/concepts/columns.md with every feature of the vocabulary in the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import oracle as o
from hypothesis import assume, given
from hypothesis import strategies as st
from test_laws import law
from vocabulary import vocabulary
from watchers import Made, Watcher, assert_same_rows, judge_types, judged, replayed, row_type
from worlds import World, stored, worlds

import bt

COARSE = ("5m", "1h")
ROOT = Path(__file__).resolve().parents[1]


def all_of(made: dict[str, Made], *, minutes: bool) -> list[tuple[str, Any]]:
    """Every feature as a field, unless it is for minute rows alone; of trailing ones how many sessions were used, too."""
    fields: list[tuple[str, Any]] = []
    for name, one in made.items():
        if minutes or name != "now":
            fields.append((name, float | None))
            if isinstance(one.judge, o.Trailing):
                fields.append((f"{name}_sessions", int))
    return fields


def watching(world: World) -> tuple[list[type], dict[str, Made], dict[str, float]]:
    """Row types of minutes and two coarser intervals that show everything, and how far a float may be off."""
    made = vocabulary(world)
    kinds = [row_type(label, world, all_of(made, minutes=label == "1m")) for label in ("1m", *COARSE)]
    sizes = {name: m.size for name, m in made.items()} | {"volume": 0.0 if world.whole_volume else 1.0}
    return kinds, made, sizes


@law(8)
@given(worlds(sessions=3))
def test_the_vocabulary_is_the_oracles(world: World) -> None:
    kinds, made, sizes = watching(world)
    ours, theirs = Watcher(kinds, made), Watcher(kinds, made)
    with stored(world) as folder:
        replayed(world, folder, ours)
    judged(world, o.Strategy("watcher", theirs, judge_types(kinds, made)))
    assert_same_rows(ours.seen, theirs.seen, sizes)


@law(8)
@given(worlds())
def test_cutting_the_work_changes_no_feature(world: World) -> None:
    kinds, made, _ = watching(world)
    seen = []
    for days in (1, 2, 30):
        watcher = Watcher(kinds, made)
        with stored(world) as folder:
            replayed(world, folder, watcher, prefetch_days=days)
        seen.append(watcher.seen)
    assert seen[0] == seen[1] == seen[2]


@law(8)
@given(st.data(), worlds())
def test_a_later_start_shows_the_same_features(data: st.DataObject, world: World) -> None:
    kinds, made, _ = watching(world)
    early, late = Watcher(kinds, made), Watcher(kinds, made)
    first = data.draw(st.integers(world.start, world.last))
    names = world.schedule.names
    assume(any(world.schedule.open[first] <= r.time_us < world.schedule.close[world.last] for r in world.rows))
    with stored(world) as folder:
        replayed(world, folder, early)
        replayed(world, folder, late, start=names[first])
    assert late.seen == [row for row in early.seen if row[2]["session"] >= names[first]]


class AtTimers:
    """Writes down the whole cross-section at some moments."""

    def __init__(self, row: type, made: dict[str, Made]) -> None:
        self.row = row
        self._made = made
        self.seen: list[Any] = []

    def features(self) -> dict[str, bt.Feature]:
        return {name: m.ours for name, m in self._made.items()}

    @bt.every("7m")
    def tick(self, rows: bt.Rows, book: bt.Book) -> None:
        matrix = rows.matrix(*self._made)
        self.seen.append((book.now, rows.fresh.tolist(), np.where(np.isnan(matrix), -1e300, matrix).tolist()))


class AtMinutesToo(AtTimers):
    """The same of a strategy that is shown every minute."""

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        pass


@law(8)
@given(worlds(sessions=3))
def test_features_at_timers_are_those_of_every_minute(world: World) -> None:
    made = vocabulary(world)
    row = row_type("1m", world, all_of(made, minutes=True))
    alone, every = AtTimers(row, made), AtMinutesToo(row, made)
    with stored(world) as folder:
        replayed(world, folder, alone)
        replayed(world, folder, every)
    assert alone.seen == every.seen


universes = st.fixed_dictionaries(
    {"top": st.integers(1, 3), "by": st.sampled_from(("prior(volume)", "avg(close*volume, 3d)", "max(high, 2d)"))}
)


@law(5)
@given(worlds(), universes)
def test_cutting_the_work_changes_no_feature_of_a_universe(world: World, universe: dict[str, Any]) -> None:
    """Symbols come and go, and bring their history with them."""
    kinds, made, _ = watching(world)
    seen = []
    for days in (1, 2, 30):
        watcher = Watcher(kinds, made)
        with stored(world) as folder:
            replayed(world, folder, watcher, prefetch_days=days, universe=universe)
        seen.append(watcher.seen)
    assert seen[0] == seen[1] == seen[2]


@law(5)
@given(worlds(sessions=3), universes)
def test_members_see_what_they_see_without_a_universe(world: World, universe: dict[str, Any]) -> None:
    """Only what is across the universe knows of it."""
    kinds, made, _ = watching(world)
    among, alone = Watcher(kinds, made), Watcher(kinds, made)
    with stored(world) as folder:
        replayed(world, folder, among, universe=universe)
        replayed(world, folder, alone)
    across = {name for name, m in made.items() if m.ours.kind in ("cross", "score")}
    known = {(now, kind, row["symbol"]): row for now, kind, row in alone.seen}
    for now, kind, row in among.seen:
        other = known[now, kind, row["symbol"]]
        assert {k: v for k, v in row.items() if k not in across} == {k: v for k, v in other.items() if k not in across}
