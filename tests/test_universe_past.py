"""What is known of earlier sessions by a strategy with a universe: `past` in at_open, `book.bars`, and rows for training.

Members come and go, leavers are held, and what was read for a window must not show.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import oracle as o
import polars as pl
from hypothesis import assume, given
from hypothesis import strategies as st
from judge import assert_same_seen
from polars.testing import assert_frame_equal
from test_at_open import ROWS, Opener, questions
from test_history import Looker, depths
from test_laws import TABLES, everything, executions, law
from test_load_rows import exactly, notes
from test_universe_laws import Made, judged_by, universes
from watchers import (
    EQUITY,
    FILLS,
    ORDERS,
    POSITIONS,
    TRADES,
    Dice,
    Habits,
    Watcher,
    assert_same_rows,
    assert_same_table,
    habits,
    judge_types,
    refusals,
    replayed,
    watched,
)
from worlds import World, stored, worlds

import bt
from bt.run.opening import CLOCK


@contextmanager
def temporary() -> Iterator[Path]:
    """A folder for a membership table."""
    with tempfile.TemporaryDirectory(prefix="beside-") as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Reading:
    """What a `Reader` asks for: of the past at the open, of bars while it plays, and how many sessions it warms up."""

    asked: list[tuple[str, int, tuple[str, ...]]]
    history: Mapping[str, int | str]
    seed: int
    warm_up: int = 0


readings = st.builds(Reading, questions, depths, st.integers(0, 1000), st.sampled_from((0, 0, 0, 2)))


class Reader(Looker):
    """Asks for the past at the open, looks back at any symbol while it plays, trades as its dice do, and writes it all down."""

    row = ROWS

    def __init__(self, reading: Reading, symbols: list[str], how: Habits) -> None:
        super().__init__(reading.seed, dict(reading.history), symbols)
        self.opens = Opener(reading.asked)
        self.buys = 0.1 if how != QUIET else 0.0
        self.dice = Dice(replace(how, symbols=tuple(symbols)), ())
        self.on_order, self.on_session_end = self.dice.on_order, self.dice.on_session_end
        if reading.warm_up:
            self.warm_up = f"{reading.warm_up}d"

    def at_open(self, session: Any, past: Any) -> pl.DataFrame:
        return self.opens.at_open(session, past)

    def on_session_start(self, session: Any, book: Any) -> None:
        super().on_session_start(session, book)
        self.dice.on_session_start(session, book)

    def on_bar(self, row: Any, book: Any) -> None:
        self.opens.on_bar(row, book)
        if self._look(row.symbol, book).random() < self.buys:
            book.order(row.symbol, 1)
        self.dice.on_bar(row, book)

    def on_fill(self, fill: Any, book: Any) -> None:
        super().on_fill(fill, book)
        self.dice.on_fill(fill, book)

    @property
    def wrote(self) -> list[Any]:
        """All that it was told before opens, saw in rows, and found when it looked back."""
        return [*self.opens.told, *self.opens.seen, *self.seen]


@st.composite
def changing(draw: st.DrawFn, world: World, folder: Path) -> Made:
    """A universe of which symbols come and go nearly every session; sometimes any other."""
    if draw(st.integers(0, 3)) == 0:
        return draw(universes(world, folder))
    days = list(world.schedule.names[max(world.start - 3, world.first) : world.last + 2])
    every = [(a, b, symbol) for a, b in pairwise(days) for symbol in world.symbols]
    kept = draw(st.lists(st.integers(0, 2), min_size=len(every), max_size=len(every)))
    table = [row for row, dice in zip(every, kept, strict=True) if dice] or every[-1:]
    path = folder / "members.parquet"
    schema = {"from": pl.Date, "to": pl.Date, "symbol": pl.String}
    pl.DataFrame(table, schema=schema, orient="row").write_parquet(path)
    how = {"rebalance": draw(st.sampled_from(("1d", "1d", "1d", "1w"))), "leavers": draw(leavers)}
    return Made({"table": str(path), **how}, o.Universe(table=table, **how))


leavers = st.sampled_from(("hold", "hold", "exit"))


@st.composite
def markets(draw: st.DrawFn, sessions: int = 6) -> World:
    """A world of several symbols, many sessions of which are played."""
    world = draw(worlds(sessions=sessions, least=4).filter(lambda w: len(w.symbols) > 1))
    return replace(world, start=min(world.start, draw(st.integers(world.last - 3, world.last - 2))))


trading = habits | st.just(Habits(1, 0.0, ()))
"""The second buys, as every `Reader` does, and never sells: of what it holds some leave."""

QUIET = Habits(0, 0.0, ())
"""It gives no orders, so that it sees the members and nobody else."""


# ------------------------------------------------------------------------------------------------ past and book.bars


@law(40)
@given(st.data(), markets(), readings, trading, executions, st.sampled_from((1, 2, 5)))
def test_what_is_asked_of_the_past_is_the_oracles(
    data: st.DataObject, world: World, reading: Reading, how: Habits, execution: dict[str, Any], days: int
) -> None:
    ours, theirs = (Reader(reading, world.symbols, how) for _ in range(2))
    with stored(world) as folder, temporary() as beside:
        universe = data.draw(changing(world, beside))
        run = replayed(world, folder, ours, universe=universe.ours, prefetch_days=days, execution=execution)
    types = [o.RowType.of(r, opened=("level", "count")) for r in ROWS]
    strategy = o.Strategy("strategy", theirs, types, warm_up=reading.warm_up)
    result = judged_by(world, [strategy], universe.judge, execution=o.Execution(**execution))
    slack = 0.0 if world.whole_volume else 1e-12
    assert_same_seen(ours.opens.told, theirs.opens.told, slack)
    assert_same_seen(ours.opens.seen, theirs.opens.seen, slack)
    assert_same_seen(ours.seen, theirs.seen, slack)
    assert Counter(map(repr, ours.dice.told)) == Counter(map(repr, theirs.dice.told))
    for table, columns in (
        ("fills", FILLS), ("orders", ORDERS), ("trades", TRADES), ("positions", POSITIONS), ("equity", EQUITY),
    ):  # fmt: skip
        assert_same_table(run, table, getattr(result, table), columns)
    reached = set(run.by_session["session"])
    counted = {tuple(r[:3]): r[3] for r in run.guards.select("session", "symbol", "reason", "rows").iter_rows()}
    assert counted == {k: n for k, n in result.guards.items() if k[0] in reached}


@law(15)
@given(st.data(), markets(), readings, trading)
def test_cutting_the_work_changes_nothing_of_the_past(
    data: st.DataObject, world: World, reading: Reading, how: Habits
) -> None:
    runs, wrote, summaries = [], [], []
    with temporary() as beside:
        universe = data.draw(changing(world, beside)).ours
        for days, threads, layout in ((1, 1, "day"), (2, 2, "symbol"), (3, 1, "overlapping"), (30, 2, "unsorted")):
            player = Reader(reading, world.symbols, how)
            cut = {"prefetch_days": days, "engine": {"threads": threads}}
            with stored(replace(world, layout=layout)) as folder:
                run = replayed(world, folder, player, universe=universe, **cut)
            runs.append({**everything(run), "universe": run.universe})
            wrote.append(player.wrote)
            summaries.append({key: told for key, told in run.summary.items() if key not in CLOCK})
    for other, told, summary in zip(runs[1:], wrote[1:], summaries[1:], strict=True):
        assert told == wrote[0]
        assert summary == summaries[0]
        for name, frame in runs[0].items():
            assert_frame_equal(other[name], frame, check_exact=True)


@law(15)
@given(st.data(), markets(), readings, st.sampled_from((1, 2, 5)))
def test_the_past_is_the_same_from_any_start(data: st.DataObject, world: World, reading: Reading, days: int) -> None:
    reading = replace(reading, warm_up=0)
    early, late = (Reader(reading, world.symbols, QUIET) for _ in range(2))
    first = data.draw(st.integers(world.start, world.last))
    name = world.schedule.names[first]
    assume(any(world.schedule.open[first] <= r.time_us < world.schedule.close[world.last] for r in world.rows))
    with stored(world) as folder, temporary() as beside:
        universe = data.draw(changing(world, beside)).ours
        replayed(world, folder, early, universe=universe, prefetch_days=3)
        replayed(world, folder, late, universe=universe, prefetch_days=days, start=name)
    assert late.opens.told == [told for told in early.opens.told if told[0] >= name]
    assert late.seen == [seen for seen in early.seen if seen[1] >= name]
    opened = int(world.schedule.open[first])
    assert late.opens.seen == [seen for seen in early.opens.seen if seen[2] > opened]


@law(15)
@given(st.data(), markets(), st.lists(st.tuples(readings, trading), min_size=2, max_size=2))
def test_each_of_two_is_told_what_it_would_be_alone(
    data: st.DataObject, world: World, several: list[tuple[Reading, Habits]]
) -> None:
    """What the other holds of the leavers is nothing that it sees."""
    players = [Reader(reading, world.symbols, how) for reading, how in several]
    given_ = [{"name": f"s{i}", "use": p} for i, p in enumerate(players)]
    with stored(world) as folder, temporary() as beside:
        universe = data.draw(changing(world, beside)).ours
        together = everything(replayed(world, folder, None, strategies=given_, universe=universe))
        for i, ((reading, how), player) in enumerate(zip(several, players, strict=True)):
            alone = Reader(reading, world.symbols, how)
            use = [{"name": f"s{i}", "use": alone}]
            run = everything(replayed(world, folder, None, strategies=use, universe=universe))
            assert player.wrote == alone.wrote
            assert player.dice.told == alone.dice.told
            for name in sorted(set(TABLES) - {"quality", "guards", "by_session"}):
                assert_frame_equal(together[name].filter(strategy=f"s{i}"), run[name], check_exact=True)


# --------------------------------------------------------------------------------------------------- rows for training


def loaded(world: World, folder: Path, strategy: Any, universe: Made, **more: Any) -> dict[str, pl.DataFrame]:
    given_ = {**world.span, **more}
    with refusals():
        found = bt.load_rows(
            bars=folder, strategy=strategy, calendar=world.calendar, universe=universe.ours, **given_
        )  # fmt: skip
    return found if isinstance(found, dict) else {"only": found}


@law(25)
@given(st.data(), markets(), st.sampled_from((1, 3)))
def test_rows_for_training_are_the_members(data: st.DataObject, world: World, days: int) -> None:
    """Those that are shown to a strategy that holds nothing, here and in the oracle."""
    kinds, made = data.draw(watched(world))
    watcher, theirs = Watcher(kinds, made), Watcher(kinds, made)
    with stored(world) as folder, temporary() as beside:
        universe = data.draw(changing(world, beside))
        replayed(world, folder, watcher, universe=universe.ours)
        found = loaded(world, folder, Watcher(kinds, made), universe, prefetch_days=days)
    judged_by(world, [o.Strategy("watcher", theirs, judge_types(kinds, made))], universe.judge)
    sizes = {name: m.size for name, m in made.items()} | {"volume": 0.0 if world.whole_volume else 1.0}
    assert_same_rows(watcher.seen, theirs.seen, sizes)
    for kind in kinds:
        seen = [exactly(now, row.values()) for now, name, row in watcher.seen if name == kind.__name__]
        frame = found.get("only", found.get(getattr(kind, "interval", "1m")))
        assert frame is not None
        assert notes(frame, list(kind.__struct_fields__)) == seen


@law(15)
@given(st.data(), markets(), questions, st.sampled_from((1, 3)))
def test_rows_for_training_with_columns_of_at_open(data: st.DataObject, world: World, asked: Any, days: int) -> None:
    player, trained = Opener(asked), Opener(asked)
    with stored(world) as folder, temporary() as beside:
        universe = data.draw(changing(world, beside))
        replayed(world, folder, player, universe=universe.ours)
        found = loaded(world, folder, trained, universe, prefetch_days=days)
    assert trained.told == player.told
    for kind, label in zip(Opener.row, ("1m", "5m"), strict=True):
        seen = [row[1:] for row in player.seen if row[0] == kind.__name__]
        assert found[label].select(kind.__struct_fields__).rows() == seen


@law(15)
@given(st.data(), markets(), st.sampled_from(("session", None)))
def test_rows_for_training_do_not_depend_on_how_they_are_read(data: st.DataObject, world: World, within: Any) -> None:
    """However the work is cut, and from a later start: the same rows and labels."""
    kinds, made = data.draw(watched(world))
    label = {"y": bt.forward_return("7m", within=within)}
    first = data.draw(st.integers(world.start, world.last))
    assume(any(world.schedule.open[first] <= r.time_us < world.schedule.close[world.last] for r in world.rows))
    found = []
    with temporary() as beside:
        universe = data.draw(changing(world, beside))
        for days, layout in ((1, "day"), (2, "symbol"), (30, "unsorted")):
            watcher = Watcher(kinds, made)
            with stored(replace(world, layout=layout)) as folder:
                found.append(loaded(world, folder, watcher, universe, prefetch_days=days, label=label))
        with stored(world) as folder:
            watcher = Watcher(kinds, made)
            late = loaded(world, folder, watcher, universe, start=world.schedule.names[first], label=label)
    for key, frame in found[0].items():
        for other in found[1:]:
            assert_frame_equal(other[key], frame, check_exact=True)
        begins = o.instant(int(world.schedule.open[first]))
        assert_frame_equal(late[key], frame.filter(pl.col("known_at") > begins), check_exact=True)


@law(15)
@given(
    st.data(),
    markets(),
    st.sampled_from(("1m", "7m", "2h", "20h", "70h")),
    st.sampled_from(("session", None)),
    st.sampled_from(("next_open", "close")),
)
def test_labels_of_members_look_at_what_came_after_them_too(
    data: st.DataObject, world: World, period: str, within: Any, price: Any
) -> None:
    """A label is what it is without a universe, also where the symbol is no member any more."""
    row = msgspec.defstruct("R", [("symbol", str)], bases=(bt.Row,))
    label = {"y": bt.forward_return(period, within=within, price=price)}
    with stored(world) as folder, temporary() as beside:
        universe = data.draw(changing(world, beside))
        (among,) = loaded(world, folder, Watcher([row], {}), universe, label=label).values()
        with refusals():
            alone = bt.load_rows(
                bars=folder, strategy=Watcher([row], {}), calendar=world.calendar, label=label, **world.span
            )  # fmt: skip
    known = {(r[0], r[1]): r[2] for r in alone.select("symbol", "known_at", "y").iter_rows()}
    for symbol, known_at, y in among.select("symbol", "known_at", "y").iter_rows():
        assert known[symbol, known_at] == y
