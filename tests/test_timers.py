"""Timers and the cross-section: by hand, and against the oracle on random markets."""

from __future__ import annotations

import gc
import math
import pickle
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import oracle as o
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from judge import assert_same_seen
from polars.testing import assert_frame_equal
from small import HALF_DAY, TUESDAY, WEDNESDAY, at, bars, play, store
from test_laws import TABLES, accounts, everything, executions, gates, law
from test_universe_laws import judged_by, universes
from timekeepers import Clockwork, clocks, dice, judge_of, keeper
from watchers import EQUITY, FILLS, ORDERS, POSITIONS, TRADES, Habits, assert_same_table, habits, judged, replayed
from worlds import World, oracle_days, stored, times, worlds

import bt
from bt.engine.market import Market
from bt.errors import StrategyError
from bt.strategy.timers import check_timers, timers_of


class Known(bt.Row):
    """All that a moment has, and what is known late; `mean` withholds rows while it warms up."""

    symbol: str
    session: date
    minute: int
    minutes_left: int
    open_time: int
    close_time: datetime
    local_time: time
    interval: str
    close: float
    volume: float
    quality: float
    mean: float
    usual: float | None


class Minute(bt.Row):
    symbol: str
    close_time: int
    close: float


class Five(bt.Row):
    interval = "5m"
    symbol: str
    open_time: int
    close_time: int
    close: float
    n_obs: int
    mean: float


shows = st.sampled_from(((), (Minute,), (Known,), (Known, Five), (Five,)))
mixes = st.sampled_from(((), (), ("on_minute",), ("on_bar",), ("on_bar", "on_minute"), ("idle",)))


# ------------------------------------------------------------------------------------------------------------- by hand

WHEN: list[tuple[str, str, Clockwork, list[str]]] = [
    # a regular day and a half day of New York, which closes at 13:00
    ("XNYS", "2024-07-02", Clockwork("t", at="close-5m"), ["2 15:55"]),
    ("XNYS", "2024-07-03", Clockwork("t", at="close-5m"), ["3 12:55"]),
    ("XNYS", "2024-07-03", Clockwork("t", at="14:00"), []),
    ("XNYS", "2024-07-03", Clockwork("t", every="1h", start="open+30m"), ["3 10:00", "3 11:00", "3 12:00"]),
    ("XNYS", "2024-07-03", Clockwork("t", every="1h", start="10:00", end="close-1h"), ["3 10:00", "3 11:00"]),
    ("XNYS", "2024-07-02", Clockwork("t", every="97m"), ["2 11:07", "2 12:44", "2 14:21", "2 15:58"]),
    ("XNYS", "2024-07-02", Clockwork("t", every="3h", start="open"), ["2 09:30", "2 12:30", "2 15:30"]),
    ("XNYS", "2024-07-02", Clockwork("t", every="2h", end="15:30"), ["2 11:30", "2 13:30"]),
    ("XNYS", "2024-07-03", Clockwork("t", every="2h", end="15:30"), ["3 11:30"]),  # no such time: until the close
    ("XNYS", "2024-07-03", Clockwork("t", every="1h", start="15:00"), []),
    ("XNYS", "2024-07-02", Clockwork("t", at="open+7h"), []),
    ("XNYS", "2024-07-02", Clockwork("t", at="open"), ["2 09:30"]),
    ("XNYS", "2024-07-02", Clockwork("t", at="close"), ["2 16:00"]),
    # the exchange's ten o'clock on both sides of a change to summer time
    ("XNYS", "2024-03-08", Clockwork("t", at="10:00"), ["8 10:00"]),
    ("XNYS", "2024-03-11", Clockwork("t", at="10:00"), ["11 10:00"]),
    # a lunch break from 12:00 to 13:00: the clock runs on, and nothing goes off inside
    ("XHKG", "2024-09-04", Clockwork("t", at="12:00"), ["4 12:00"]),
    ("XHKG", "2024-09-04", Clockwork("t", at="12:30"), []),
    ("XHKG", "2024-09-04", Clockwork("t", at="13:00"), ["4 13:00"]),
    ("XHKG", "2024-09-04", Clockwork("t", every="45m", start="11:00", end="14:00"), ["4 11:00", "4 11:45", "4 13:15"]),
    # a session from the evening before: 17:00 on Thursday to 16:00 on Friday in Chicago
    ("CME_EQUITY", "2024-03-08", Clockwork("t", at="open"), ["7 17:00"]),
    ("CME_EQUITY", "2024-03-08", Clockwork("t", at="23:00"), ["7 23:00"]),
    ("CME_EQUITY", "2024-03-08", Clockwork("t", at="08:30"), ["8 08:30"]),
    ("CME_EQUITY", "2024-03-08", Clockwork("t", at="16:30"), []),
    ("CME_EQUITY", "2024-03-08", Clockwork("t", every="6h", start="22:00"), ["7 22:00", "8 04:00", "8 10:00"]),
    ("24/7", "2024-03-08", Clockwork("t", at="00:00"), ["8 00:00"]),
]  # fmt: skip


@pytest.mark.parametrize(("calendar", "session", "work", "expected"), WHEN)
def test_when_a_timer_goes_off(calendar: str, session: str, work: Clockwork, expected: list[str]) -> None:
    schedule = times(calendar).schedule(date.fromisoformat(session), date.fromisoformat(session))
    zone = ZoneInfo(schedule.zone)
    (timer,) = timers_of(keeper([work]))
    (day,) = oracle_days(schedule, 0, 0)
    for found in (timer.instants(schedule.session(0), zone), work.judge.instants(day, zone)):
        assert [f"{(w := o.instant(us).astimezone(zone)).day} {w:%H:%M}" for us in found] == expected


def test_a_timer_goes_off_when_no_symbol_has_a_bar(tmp_path: Path) -> None:
    """A has bars in minutes 0 and 1, B none at all today: at minute 5 both are stale, their fields are unknown."""
    seen = []

    class Slow:
        row = Minute

        @bt.every("5m", end="open+11m")
        def look(self, rows: bt.Rows, book: bt.Book) -> None:
            values = (rows.fresh.tolist(), rows.age.tolist(), rows.close.tolist(), rows.position.tolist())
            seen.append((book.now, values, book.price("A")))
            book.target("A", 3)

    where = store(tmp_path, bars("A", [1.0, 2.0, None, None, None, None, 5.0]), bars("B", [9.0], day=WEDNESDAY))
    run = play(where, Slow())
    nan = [pytest.approx(float("nan"), nan_ok=True)] * 2
    assert seen == [
        (at(5), ([False, False], [3.0, nan[0]], nan, [0, 0]), 2.0),
        (at(10), ([False, False], [3.0, nan[0]], nan, [3, 0]), 5.0),
    ]
    assert run.fills.select("time", "price", "shares").rows() == [(at(6), 5.0, 3)]


def test_orders_of_a_timer_at_the_open_match_the_first_open_and_at_the_close_none(tmp_path: Path) -> None:
    class Ends:
        row = Minute

        @bt.at("open")
        def begin(self, rows: bt.Rows, book: bt.Book) -> None:
            assert (book.now, rows.close_time, rows.fresh.any()) == (at(0), o.micros(at(0)), False)
            book.order("A", 1, tag="open")

        @bt.at("close")
        def end(self, rows: bt.Rows, book: bt.Book) -> None:
            assert (book.now, rows.close_time) == (at(390), o.micros(at(390)))
            book.order("A", -1, tag="close")

    run = play(store(tmp_path, bars("A", [(1.0, 2.0), 3.0])), Ends())
    assert run.fills.select("time", "price", "tag").rows() == [(at(0), 1.0, "open")]
    assert run.orders.select("tag", "status", "reason").rows() == [
        ("open", "filled", ""),
        ("close", "expired", "no_bar"),
    ]


def test_a_timer_when_a_break_is_over_meets_the_next_open(tmp_path: Path) -> None:
    """Hong Kong rests from 04:00 to 05:00 UTC."""
    seen = []

    class Lunch:
        row = Known

        @bt.at("12:00")
        @bt.at("13:00")
        def lunch(self, rows: bt.Rows, book: bt.Book) -> None:
            seen.append((book.now, rows.local_time, rows.minute, rows.fresh.tolist(), rows.age.tolist()))
            book.order("A", 1)

        def features(self) -> dict[str, bt.Feature]:
            return {"mean": bt.sma("close", 1), "usual": bt.trailing("max", "volume", "1d")}

    opened = datetime(2024, 9, 4, 1, 30, tzinfo=UTC)
    rows = [
        {"symbol": "A", "ts": opened + timedelta(minutes=m), **dict.fromkeys(("open", "high", "low", "close"), 1.0 + m)}
        | {"volume": 5.0}
        for m in (0, 149, 210, 211)
    ]
    run = play(store(tmp_path, rows), Lunch(), "2024-09-04", calendar="XHKG")
    noon, one = (opened.replace(hour=h, minute=0) for h in (4, 5))
    assert seen == [(noon, time(12), 149, [True], [0.0]), (one, time(13), 149, [False], [60.0])]
    assert run.fills["time"].to_list() == [one, one]


def test_several_timers_of_one_moment_are_called_in_the_order_written_and_a_method_once(tmp_path: Path) -> None:
    calls: list[str] = []

    class Several:
        row = Minute

        @bt.at("open+2m")
        @bt.every("1m", end="open+3m")
        def first(self, rows: bt.Rows, book: bt.Book) -> None:
            calls.append(f"first {book.now:%M}")

        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            calls.append(f"minute {book.now:%M}")

        @bt.at("09:32")
        def second(self, rows: bt.Rows, book: bt.Book) -> None:
            calls.append(f"second {book.now:%M}")

    play(store(tmp_path, bars("A", [1.0, 1.0])), Several())
    assert calls == ["minute 31", "first 31", "minute 32", "first 32", "second 32"]


def test_a_half_day_has_its_own_close(tmp_path: Path) -> None:
    made = keeper([Clockwork("t", at="close-10m")], Minute)()
    play(store(tmp_path, bars("A", [1.0] * 210, day=HALF_DAY)), made, HALF_DAY)
    assert [told[0] for *_, told in made.seen] == [at(200, HALF_DAY)]


def test_take_and_matrix(tmp_path: Path) -> None:
    class Across(bt.Row):
        symbol: str
        open: float
        close: float

    class Parts:
        row = Across

        @bt.at("open+2m")
        def look(self, rows: bt.Rows, book: bt.Book) -> None:
            some = rows.take(rows.fresh)
            assert (len(some), some.symbol, some.code.tolist()) == (2, ("A", "C"), [0, 2])
            assert some.matrix("close", "open").tolist() == [[2.0, 1.0], [6.0, 6.0]]
            back = rows.take([2, 0])
            assert (back.symbol, back.close.tolist(), back.position.tolist()) == (("C", "A"), [6.0, 2.0], [0, 0])
            named = rows.take(["C", "A"])
            assert (named.symbol, named.code.tolist(), named.close.tolist()) == (("C", "A"), [2, 0], [6.0, 2.0])
            assert rows.take(np.zeros(3, dtype=bool)).symbol == rows.take([]).symbol == ()
            made = rows.matrix("close")
            made[0, 0] = 77.0  # a copy, ours to change
            assert rows.close[0] == 2.0
            with pytest.raises(ValueError, match="one entry a symbol, 3"):
                rows.take([True, False])
            with pytest.raises(ValueError, match=r"symbol must be one of the 3 rows, was 'AA'; the nearest is 'A'"):
                rows.take(["A", "AA"])
            with pytest.raises(AttributeError, match="must be one of open, close, was 'volume'"):
                rows.matrix("volume")
            with pytest.raises(ValueError, match="read-only"):
                some.close[0] = 1.0

    play(store(tmp_path, bars("A", [None, (1.0, 2.0)]), bars("B", [3.0]), bars("C", [None, 6.0])), Parts())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bt.every("1d"), 'period must be like "15m" or "1h", was \'1d\''),
        (lambda: bt.every("soon"), "period must be like"),
        (lambda: bt.at("close+5m"), "must be a moment inside the session"),
        (lambda: bt.at("open-5m"), "must be a moment inside the session"),
        (lambda: bt.at("25:00"), "must be a moment inside the session"),
        (lambda: bt.at("9:45"), "in four digits \"09:45\", was '9:45'"),
        (lambda: bt.every("5m", end="noon"), "every: end must be a moment"),
        (
            lambda: bt.every("5m", start="open+1h", end="open+30m"),
            r"every: end must come after the start open\+60m, was open\+30m: it would never be called",
        ),
        (lambda: bt.every("15m", end="open+15m"), r"after the start open\+15m, was open\+15m"),
        (lambda: bt.every("5m", start="close-5m", end="close-1h"), "after the start close-5m, was close-60m"),
        (lambda: bt.every("5m", start="close"), "after the start close, was close"),
    ],
)
def test_a_moment_that_is_none_is_refused(make: Any, message: str) -> None:
    with pytest.raises(StrategyError, match=message):
        make()


class Backwards:
    row = Minute

    @bt.every("15m", start="10:00", end="09:45")
    def look(self, rows: bt.Rows, book: bt.Book) -> None: ...


class Night:
    row = Minute

    @bt.every("6h", start="22:00", end="09:45")
    def look(self, rows: bt.Rows, book: bt.Book) -> None: ...


def test_a_timer_that_ends_before_it_starts_is_refused_before_the_run(tmp_path: Path) -> None:
    where = store(tmp_path, bars("A", [1.0, 2.0]))
    told = "strategy Backwards: look: every: end must come after the start 10:00, was 09:45: it would never be called"
    with pytest.raises(StrategyError, match=told):
        play(where, Backwards())
    with pytest.raises(StrategyError, match=told):
        bt.load_rows(bars=where, calendar="XNYS", strategy=Backwards(), start=TUESDAY, end=TUESDAY)


def test_what_comes_first_is_the_calendar_s_to_say() -> None:
    """A night of Chicago has 22:00 before 09:45, a day of New York has no 22:00."""
    for calendar in ("CME_EQUITY", "XNYS"):
        schedule = times(calendar).schedule(date(2024, 3, 4), date(2024, 3, 8))
        check_timers(timers_of(Night), schedule, "strategy n")
        with pytest.raises(StrategyError, match=r"strategy b: look: every"):
            check_timers(timers_of(Backwards), schedule, "strategy b")


# --------------------------------------------------------------------------------------------------------------- laws


@law(30)
@given(worlds(sessions=3), clocks, shows, mixes, habits, executions, accounts, gates)
def test_timers_see_and_trade_as_in_the_oracle(
    world: World,
    clock: list[Clockwork],
    rows: tuple[type, ...],
    mix: tuple[str, ...],
    how: Habits,
    execution: dict[str, Any],
    account: dict[str, Any],
    gate: dict[str, Any],
) -> None:
    made = keeper(clock, rows, mix if rows else ())
    ours, theirs = (made(dice(how, world.symbols)) for _ in range(2))
    with stored(world) as folder:
        run = replayed(world, folder, ours, execution=execution, account=account, quality=gate)
    result = judged(
        world, judge_of(theirs), execution=o.Execution(**execution), account=o.Account(**account), gate=o.Gate(**gate)
    )
    assert_same_seen(ours.seen, theirs.seen, 0.0 if world.decimals is not None else 1e-9)
    assert sorted(map(repr, ours.dice.told)) == sorted(map(repr, theirs.dice.told))
    for table, columns in (("fills", FILLS), ("orders", ORDERS), ("trades", TRADES), ("positions", POSITIONS)):
        assert_same_table(run, table, getattr(result, table), columns)
    assert_same_table(run, "equity", result.equity, EQUITY)
    reached = set(run.by_session["session"])
    counted = {tuple(r[:3]): r[3] for r in run.guards.select("session", "symbol", "reason", "rows").iter_rows()}
    assert counted == {k: n for k, n in result.guards.items() if k[0] in reached}
    assert run.summary["iterations"] == result.iterations
    assert run.finish_reason == result.finish_reason


@law(20)
@given(st.data(), worlds(sessions=5), clocks, shows, mixes, habits, accounts)
def test_the_cross_section_is_the_universe_and_what_is_held(
    data: st.DataObject,
    world: World,
    clock: list[Clockwork],
    rows: tuple[type, ...],
    mix: tuple[str, ...],
    how: Habits,
    account: dict[str, Any],
) -> None:
    universe = data.draw(universes(world))
    made = keeper(clock, rows, mix if rows else ())
    ours, theirs = (made(dice(how, world.symbols)) for _ in range(2))
    with stored(world) as folder:
        run = replayed(world, folder, ours, account=account, universe=universe.ours)
    result = judged_by(world, [judge_of(theirs, "Timed")], universe.judge, account=o.Account(**account))
    assert_same_seen(ours.seen, theirs.seen, 0.0 if world.decimals is not None else 1e-9)
    assert sorted(map(repr, ours.dice.told)) == sorted(map(repr, theirs.dice.told))
    for table, columns in (("fills", FILLS), ("orders", ORDERS), ("positions", POSITIONS)):
        assert_same_table(run, table, getattr(result, table), columns)
    assert run.summary["iterations"] == result.iterations


@law(15)
@given(worlds(sessions=3), clocks, shows, habits, executions)
def test_minutes_that_nobody_is_shown_are_as_if_they_were_shown(
    world: World, clock: list[Clockwork], rows: tuple[type, ...], how: Habits, execution: dict[str, Any]
) -> None:
    """The same timers with and without an on_minute that does nothing, alone and beside a strategy that sees every minute."""
    rows = rows or (Minute,)
    alone, beside, shown = (keeper(clock, rows, mix)(dice(how, world.symbols)) for mix in ((), (), ("idle",)))
    every = keeper((), Minute, ("on_bar",))()
    with stored(world) as folder:
        one = replayed(world, folder, alone, execution=execution)
        other = replayed(world, folder, shown, execution=execution)
        pair = [{"name": "strategy", "use": beside}, {"name": "w", "use": every}]
        given_ = {"execution": execution, "strategies": pair}
        both = replayed(world, folder, None, **given_)
    assert_same_seen(alone.seen, shown.seen)
    assert_same_seen(beside.seen, shown.seen)
    assert alone.dice.told == shown.dice.told
    skipped = (
        "guards",
        "by_session",
    )  # rows withheld are counted where they would have been shown; coarse ends are steps
    for name in TABLES:
        if name not in skipped:
            assert_frame_equal(everything(one)[name], everything(other)[name], check_exact=True)
    fills = both.fills.filter(pl.col("strategy") == "strategy").drop("strategy")
    assert_frame_equal(fills, other.fills.drop("strategy"), check_exact=True)
    assert_frame_equal(one.guards, both.guards, check_exact=True)


def test_rows_that_are_kept_are_of_their_moment_and_hold_no_session(tmp_path: Path):
    class Keeps:
        row = Minute

        def __init__(self) -> None:
            self.kept: list[Any] = []
            self.ages: list[Any] = []

        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            self.kept.append(rows)
            if len(self.kept) % 2:
                self.ages.append(rows.age.tolist())

    strategy = Keeps()
    play(store(tmp_path, bars("A", [1.0, None, 1.0]), bars("B", [None, 2.0])), strategy)
    assert [rows.age.tolist() for rows in strategy.kept] == [
        [0.0, pytest.approx(math.nan, nan_ok=True)],
        [1.0, 0.0],
        [0.0, 1.0],
    ]
    assert strategy.ages[1] == [0.0, 1.0]
    again = [pickle.loads(pickle.dumps(rows)) for rows in strategy.kept]  # noqa: S301 - our own
    assert [rows.take([1]).age.tolist() for rows in again[1:]] == [[0.0], [1.0]]
    reached, waiting = set(), list(strategy.kept)
    while waiting:
        one = waiting.pop()
        if id(one) not in reached and not isinstance(one, type):
            reached.add(id(one))
            assert not isinstance(one, Market)
            waiting += gc.get_referents(one)
