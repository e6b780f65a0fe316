"""Completeness: against the oracle on random markets of many sessions, in rows, table and gate, however the work is cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import oracle as o
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import Script, bars, play, store
from test_laws import law
from watchers import ORDERS, Dice, Habits, Watcher, assert_same_table, judge_types, judged, replayed
from worlds import World, around, bars_of, oracle_days, stored

import bt
from bt.completeness import ABSENT, usual
from bt.errors import ConfigError
from bt.research import load_quality

ANCHORS = {"XNYS": "2024-11-27", "XHKG": "2024-12-24", "CME_EQUITY": "2024-11-27", "24/7": "2024-12-30"}
"""Near half days, breaks, and a calendar without either."""


@st.composite
def long_worlds(draw: st.DrawFn) -> World:
    """Up to 27 sessions in which symbols have few minutes, anywhere in the session or only early in it."""
    calendar = draw(st.sampled_from(sorted(ANCHORS)))
    schedule = around(calendar, ANCHORS[calendar])
    near = next(i for i, name in enumerate(schedule.names) if name.isoformat() >= ANCHORS[calendar])
    before, after = draw(st.integers(0, 23)), draw(st.integers(0, 3))
    first, last = near - before, near + after
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows: list[o.Bar] = []
    for symbol in ("AAA", "BBB", "CCC")[: draw(st.integers(1, 3))]:
        absent, most = draw(st.sampled_from((0.0, 0.2, 0.7))), draw(st.integers(1, 20))
        early = draw(st.booleans())
        for number in range(first, last + 1):
            day = oracle_days(schedule, number, number)[0]
            if rng.random() >= absent:
                slots = np.unique(rng.integers(0, 30 if early else len(day.minutes), rng.integers(1, most + 1)))
                rows += bars_of(day, symbol, slots, decimals=2, whole=True, rng=rng)
    start = draw(st.integers(max(first, last - 4), last))
    if not any(schedule.open[start] <= r.time_us < schedule.close[last] for r in rows):
        rows += bars_of(oracle_days(schedule, start, start)[0], "AAA", np.array([0]), decimals=2, whole=True, rng=rng)
    return World(calendar, schedule, first, start, last, 2, True, "day", tuple(rows))


class Complete(bt.Row):
    symbol: str
    close_time: int
    minute: int
    quality: float
    completeness: float | None


class CompleteFive(bt.Row):
    interval = "5m"
    symbol: str
    close_time: int
    completeness: float  # withheld until it is known


KINDS = (Complete, CompleteFive)


def table_of(world: World) -> list[tuple[date, str, float | None]]:
    """Each session's completeness at its end."""
    accepted = world.classified().accepted
    return [
        (d.name, s, o.completeness(world.days, accepted, s, d.name, len(d.minutes) - 1))
        for d in world.played
        for s in world.symbols
    ]


def found_in(run: bt.Run) -> list[tuple[date, str, float | None]]:
    frame = run.quality.filter(pl.col("interval") == "1m").select("session", "symbol", "completeness")
    return list(frame.iter_rows())


@law(30)
@given(long_worlds(), st.sampled_from((1, 2, 30)))
def test_rows_and_table_are_those_of_the_oracle(world: World, prefetch: int) -> None:
    ours, theirs = Watcher(KINDS, {}), Watcher(KINDS, {})
    with stored(world) as folder:
        run = replayed(world, folder, ours, prefetch_days=prefetch)
        unasked = replayed(world, folder, Watcher((bt_row("symbol"),), {}), prefetch_days=prefetch)
        again = replayed(world, folder, Watcher((bt_row("symbol"),), {}), prefetch_days=3)
    result = judged(world, o.Strategy("watcher", theirs, judge_types(KINDS, {})))
    assert ours.seen == theirs.seen
    hidden = run.guards.filter(pl.col("reason") == "warming_up: completeness")["rows"].sum()
    assert hidden == sum(n for (_, _, why), n in result.guards.items() if why == "warming_up: completeness")
    reached = set(run.by_session["session"])
    told = [row for row in table_of(world) if row[0] in reached]
    assert found_in(run) == told
    assert found_in(unasked) == told  # one count a session, read
    assert found_in(again) == told  # and from the cache


def bt_row(*names: str) -> type[bt.Row]:
    """A row type that does not ask for completeness."""
    return type("Plain", (bt.Row,), {"__annotations__": dict.fromkeys(names, str)})


@law(25)
@given(
    long_worlds(), st.integers(0, 2**32 - 1), st.sampled_from((20.0, 66.7, 100.0)), st.sampled_from((0, 1, 30)),
    st.sampled_from((1, 4)),
)  # fmt: skip
def test_the_gate_is_that_of_the_oracle(world: World, seed: int, minimum: float, after: int, prefetch: int) -> None:
    how = Habits(seed, 0.5, tuple(world.symbols))
    ours, theirs = Dice(how, (Complete,)), Dice(how, (Complete,))
    gate: dict[str, Any] = {"minimum": minimum, "gate": "completeness", "after_minutes": after}
    with stored(world) as folder:
        run = replayed(world, folder, ours, quality=gate, account={"leverage": 0.0}, prefetch_days=prefetch)
    result = judged(
        world, o.Strategy("strategy", theirs, [o.RowType.of(Complete)]),
        account=o.Account(leverage=0.0), gate=o.Gate(**gate),
    )  # fmt: skip
    assert_same_table(run, "orders", result.orders, ORDERS)


@law(10)
@given(long_worlds())
def test_it_does_not_depend_on_the_start(world: World) -> None:
    later = replace(world, start=world.last)
    begin = later.span["start"]
    with stored(world) as folder:
        whole = [row for row in found_in(replayed(world, folder, Watcher(KINDS, {}))) if row[0] >= begin]
        if not any(later.schedule.open[later.start] <= r.time_us for r in world.rows):
            return  # nothing left to replay
        assert found_in(replayed(later, folder, Watcher(KINDS, {}))) == whole


# ------------------------------------------------------------------------------------------------------ by hand

DAYS = ("2024-06-25", "2024-06-26", "2024-06-27", "2024-06-28", "2024-07-01", "2024-07-02", "2024-07-03")
"""The last one is a half day of 210 minutes."""


def thin(*counts: int, late: int = 0) -> list[list[dict[str, Any]]]:
    """A's bars: so many from each open on, and `late` more from minute 300 on of a whole day."""
    made = []
    for day, count in zip(DAYS, counts, strict=False):
        made.append(bars("A", [1.0] * count, day=day))
        if day != DAYS[-1]:
            made.append(bars("A", [1.0] * late, day=day, first=300))
    return made


def of(where: Path, day: str, **more: Any) -> float | None:
    run = play(where, Script(), day, **more)
    return run.quality["completeness"][0]  # type: ignore[no-any-return]


def test_a_thin_symbol_is_not_a_broken_one(tmp_path: Path) -> None:
    where = store(tmp_path, *thin(12, 10, 8, 10, 14, 10, 4))
    assert of(where, DAYS[4]) is None  # four earlier sessions
    assert of(where, DAYS[5]) == 100.0
    assert of(where, DAYS[6]) == 40.0


def test_a_half_day_is_measured_against_the_same_minutes(tmp_path: Path) -> None:
    """Earlier sessions had 20 minutes more, after it would have closed."""
    where = store(tmp_path, *thin(10, 10, 10, 10, 10, 10, 5, late=20))
    assert of(where, DAYS[6]) == 50.0
    assert of(where, DAYS[5]) == 100.0


def test_a_whole_day_after_half_days_expects_what_they_had(tmp_path: Path) -> None:
    counts = [np.full(1, n, dtype=np.uint16) for n in (210, 390, 390, 390, 390)]
    assert usual(np.stack(counts)).tolist() == [780]
    assert usual(np.stack([*counts[:4], np.full(1, ABSENT, dtype=np.uint16)])).tolist() == [0]
    assert usual(np.stack([*counts, np.full(1, 211, dtype=np.uint16)])).tolist() == [780]
    assert usual(np.zeros((20, 1), dtype=np.uint16)).tolist() == [0]


class Seen(bt.Row):
    symbol: str
    minute: int
    completeness: float | None


def test_a_gate_judges_as_of_now_and_stops_no_exit(tmp_path: Path) -> None:
    """A usually has its first ten minutes; on the last day the second one is missing and then five more."""
    quiet = [1.0, None, 1.0, 1.0, *[None] * 5, 1.0, 1.0]
    where = store(tmp_path, *thin(10, 10, 10, 10, 10), bars("A", quiet, day=DAYS[5]))

    class Buys(Script):
        row = Seen

        def on_bar(self, row: Seen, book: bt.Book) -> None:
            seen.append((row.minute, row.completeness))
            book.order("A", -1 if row.minute == 3 else 1)

    seen: list[tuple[int, float | None]] = []
    gate = {"gate": "completeness", "minimum": 70.0, "after_minutes": 2}
    run = play(where, Buys(), DAYS[5], quality=gate)
    assert seen == [(0, 100.0), (2, 100 * 2 / 3), (3, 75.0), (9, 40.0), (10, 50.0)]
    orders = run.orders.sort("id").select("shares", "status", "reason").rows()
    assert orders == [
        (1, "filled", ""),  # one minute has passed: not judged
        (1, "rejected", "completeness"),
        (-1, "filled", ""),
        (1, "rejected", "completeness"),
        (1, "rejected", "completeness"),
    ]


def test_what_is_not_known_gates_nothing(tmp_path: Path) -> None:
    where = store(tmp_path, bars("A", [1.0, 1.0, 1.0]))
    script = Script({("A", 0): lambda book: book.order("A", 1)})
    run = play(where, script, quality={"gate": "completeness", "minimum": 100.0, "after_minutes": 0})
    assert run.orders["status"].to_list() == ["filled"]


def test_the_gate_is_one_of_two(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="quality.gate must be 'quality' or 'completeness', was 'coverage'"):
        play(store(tmp_path, bars("A", [1.0])), Script(), quality={"gate": "coverage"})


def test_thin_from_broken_on_the_etf_universe(shared_data: Path) -> None:
    """92 % of the symbol-sessions with any row lack more than a tenth of their minutes, yet few are incomplete."""
    found = load_quality(shared_data / "us-etf-universe-2019-12", "XNYS", columns={"open_time": "ts"})
    rows = found.table.filter(pl.col("present") > 0)
    below: Sequence[bool] = (rows["quality"] < 90).to_list()
    assert sum(below) / len(below) == pytest.approx(0.92, abs=0.001)
    assert rows["quality"].median() == pytest.approx(12, abs=0.1)
    sound = rows.filter(~pl.col("session").is_in([date(2019, 12, 16), date(2020, 1, 13)])).drop_nulls("completeness")
    assert sound["completeness"].median() > 90
