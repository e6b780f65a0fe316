"""What looks back over sessions is in the terms of the session shown (decision 0031): bt against the oracle, and however the work is cut."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import oracle as o
import polars as pl
import pytest
from action_worlds import actions_of, table_of
from hypothesis import assume, given
from hypothesis import strategies as st
from judge import same
from small import FRIDAY, THURSDAY, WEDNESDAY, Script, bars, play, store
from test_actions import table
from test_laws import law
from test_laws_features import universes, watching
from watchers import Watcher, assert_same_rows, judge_types, judged, replayed
from worlds import World, stored, worlds

import bt

COARSE = "15m"


@st.composite
def acted(draw: st.DrawFn, **how: Any) -> tuple[World, list[o.Action]]:
    """A market and what companies do in it; its prices are on a grid whose whole numbers stay small."""
    world = draw(worlds(faults=False, **how).filter(lambda w: w.decimals in (2, 4)))
    return world, draw(actions_of(world, most=6))


adjusts = st.sampled_from(("splits", "all"))


@law(25)
@given(acted(sessions=4), adjusts)
def test_the_vocabulary_is_the_oracles(case: tuple[World, list[o.Action]], adjust: str) -> None:
    world, actions = case
    kinds, made, sizes = watching(world)
    ours, theirs = Watcher(kinds, made), Watcher(kinds, made)
    with stored(world) as folder:
        replayed(world, folder, ours, actions=table_of(actions), adjust=adjust)
    judged(world, o.Strategy("watcher", theirs, judge_types(kinds, made)), actions=actions, adjust=adjust)
    assert_same_rows(ours.seen, theirs.seen, sizes)


@law(10)
@given(acted(), adjusts)
def test_cutting_the_work_changes_no_feature(case: tuple[World, list[o.Action]], adjust: str) -> None:
    world, actions = case
    kinds, made, _ = watching(world)
    seen = []
    for days in (1, 2, 30):
        watcher = Watcher(kinds, made)
        with stored(world) as folder:
            replayed(world, folder, watcher, prefetch_days=days, actions=table_of(actions), adjust=adjust)
        seen.append(watcher.seen)
    assert seen[0] == seen[1] == seen[2]


@law(10)
@given(st.data(), acted(), adjusts)
def test_a_later_start_shows_the_same_features(
    data: st.DataObject, case: tuple[World, list[o.Action]], adjust: str
) -> None:
    world, actions = case
    kinds, made, _ = watching(world)
    early, late = Watcher(kinds, made), Watcher(kinds, made)
    first = data.draw(st.integers(world.start, world.last))
    names = world.schedule.names
    assume(any(world.schedule.open[first] <= r.time_us < world.schedule.close[world.last] for r in world.rows))
    how = {"actions": table_of(actions), "adjust": adjust}
    with stored(world) as folder:
        replayed(world, folder, early, **how)
        replayed(world, folder, late, start=names[first], **how)
    assert late.seen == [row for row in early.seen if row[2]["session"] >= names[first]]


@law(10)
@given(st.data(), acted(sessions=4), adjusts)
def test_what_happens_later_changes_nothing_that_was_shown(
    data: st.DataObject, case: tuple[World, list[o.Action]], adjust: str
) -> None:
    world, actions = case
    kinds, made, _ = watching(world)
    day = world.schedule.names[data.draw(st.integers(world.start, world.last))]
    seen = []
    for some in (actions, [a for a in actions if a.session <= day]):
        watcher = Watcher(kinds, made)
        with stored(world) as folder:
            replayed(world, folder, watcher, actions=table_of(some), adjust=adjust)
        seen.append([row for row in watcher.seen if row[2]["session"] <= day])
    assert seen[0] == seen[1]


@law(10)
@given(acted(), universes, adjusts)
def test_a_universe_is_decided_in_the_terms_of_its_open(
    case: tuple[World, list[o.Action]], universe: dict[str, Any], adjust: str
) -> None:
    world, actions = case
    by = {
        "prior(volume)": lambda past: past("last", "volume", "1d"),
        "avg(close*volume, 3d)": lambda past: past("avg", lambda b: b.close * b.volume, "3d"),
        "max(high, 2d)": lambda past: past("max", "high", "2d"),
    }[universe["by"]]
    assume("close*volume" not in universe["by"])  # a float sum may order equal ones otherwise
    seen, members = [], []
    for days in (1, 30):
        watcher = Members()
        with stored(world) as folder:
            run = replayed(
                world, folder, watcher, prefetch_days=days, universe=universe, actions=table_of(actions), adjust=adjust
            )
        seen.append(watcher.seen)
        members.append(sorted(run.universe.select("session", "symbol", "rank").rows()))
    assert seen[0] == seen[1]
    assert members[0] == members[1]
    result = judged(
        world, o.Strategy("s", Members(), [o.RowType.of(Bare)]), actions=actions, adjust=adjust,
        universe=o.Universe(top=universe["top"], by=by),
    )  # fmt: skip
    assert members[0] == sorted((row["session"], row["symbol"], row["rank"]) for row in result.universe)


class Bare(bt.Row):
    symbol: str
    close_time: int
    close: float


class Members:
    """Writes down whom it is shown."""

    row = Bare

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_bar(self, row: Any, book: Any) -> None:
        self.seen.append((row.close_time, row.symbol, row.close))


class Remembers:
    """Asks for what was before, in every way there is; `history` is as bt's strategies declare it."""

    row = Bare
    history: ClassVar[dict[str, int | str]] = {"1m": 30, COARSE: 4, "1d": "3d"}

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def at_open(self, session: Any, past: Any) -> None:
        for interval, sessions, columns in (
            ("1d", 3, ("close", "volume")),
            ("1m", 2, ("high", "volume")),
            (COARSE, 1, ("open",)),
        ):
            if len(self.seen) % 3 != 1:  # not every time: what was kept is then older
                found = past(interval, sessions, columns)
                rows = found.rows() if isinstance(found, pl.DataFrame) else found
                self.seen.append((str(session), interval, [tuple(map(plain, row)) for row in rows]))

    def on_bar(self, row: Any, book: Any) -> None:
        for interval, n in (("1m", 30), (COARSE, 4), ("1d", 3)):
            self.seen.append((row.close_time, row.symbol, interval, told(book.bars(row.symbol, n, interval))))


def plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


def told(bars: Any) -> list[tuple[float, ...]]:
    """Prices and volumes of bars, ours or the oracle's."""
    columns = ("open", "high", "low", "close", "volume")
    if isinstance(bars, list):
        return [tuple(float(getattr(bar, c)) for c in columns) for bar in bars]
    return [
        tuple(map(float, row)) for row in zip(*(np.asarray(getattr(bars, c)).tolist() for c in columns), strict=True)
    ]


@law(20)
@given(acted(sessions=4), adjusts)
def test_books_and_at_open_remember_in_the_sessions_terms(case: tuple[World, list[o.Action]], adjust: str) -> None:
    world, actions = case
    seen: list[Sequence[Any]] = []
    for days in (1, 5):
        ours = Remembers()
        with stored(world) as folder:
            replayed(world, folder, ours, actions=table_of(actions), adjust=adjust, prefetch_days=days)
        seen.append(ours.seen)
    theirs = Remembers()
    judged(world, o.Strategy("s", theirs, [o.RowType.of(Bare)]), actions=actions, adjust=adjust)
    for mine, other in zip(seen[0], theirs.seen, strict=True):
        assert same(mine, other, 0.0 if world.whole_volume else 1e-12), (mine, other)
    assert seen[0] == seen[1]


def test_a_name_remembers_its_own_bars_where_the_old_name_begins_later(tmp_path: Path) -> None:
    """OLD becomes NEW before the data begins, and another company takes OLD on Thursday: what NEW has since is its past all the same."""
    where = store(
        tmp_path, bars("NEW", [12.0, 12.5]), bars("NEW", [13.0], day=WEDNESDAY), bars("NEW", [14.0], day=THURSDAY),
        bars("OLD", [3.0, 3.0], day=THURSDAY),
    )  # fmt: skip
    rows = table({"symbol": "OLD", "session": "2023-12-29", "kind": "rename", "to": "NEW"})

    class Asks(Script):
        history: ClassVar[dict[str, int]] = {"1m": 10}

        def features(self) -> dict[str, Any]:
            return {"mean": bt.sma("close", 3)}

        def on_bar(self, row: Any, book: Any) -> None:
            self.happened.append((row.symbol, row.mean, np.asarray(book.bars(row.symbol, 10).close).tolist()))

    Asks.row = type("Averaged", (bt.Row,), {"__annotations__": {"symbol": str, "mean": float | None}})
    script = Asks()
    play(where, script, THURSDAY, actions=rows)
    seen = [one for one in script.happened if one[0] in ("NEW", "OLD")]
    assert seen == [
        ("NEW", pytest.approx(39.5 / 3, rel=1e-15), [12.0, 12.5, 13.0, 14.0]), ("OLD", None, [3.0]), ("OLD", None, [3.0, 3.0]),
    ]  # fmt: skip


def test_bars_of_another_company_of_the_old_name_make_no_history_longer(tmp_path: Path) -> None:
    """OLD becomes NEW on Wednesday, another company has the name OLD from that day on, and NEW has bars on Thursday and Friday alone."""
    where = store(
        tmp_path, bars("ELSE", [1.0]), bars("OLD", [3.0], day=WEDNESDAY), bars("NEW", [12.0], day=THURSDAY),
        bars("NEW", [13.0], day=FRIDAY),
    )  # fmt: skip
    script = Script()
    script.history = {"1m": "2d"}  # type: ignore[attr-defined]
    rows = table({"symbol": "OLD", "session": WEDNESDAY, "kind": "rename", "to": "NEW"})
    assert play(where, script, FRIDAY, actions=rows).summary["history_short"] == {"1m": {"NEW": None}}
