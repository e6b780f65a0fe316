"""The minute: match, move time, show, collect; and what happens at the close."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small import HALF_DAY, THURSDAY, TUESDAY, WEDNESDAY, Bar, Script, at, bars, play, store

import bt
from bt.errors import StrategyError, StrategyRaised


def orders(run: bt.Run, *columns: str) -> list[tuple[Any, ...]]:
    return run.orders.sort("id").select(columns or ("id", "status", "reason")).rows()


def told(script: Script, *kinds: str) -> list[tuple[Any, ...]]:
    return [h for h in script.happened if h[0] in kinds]


def test_the_order_of_a_minute(tmp_path: Path):
    """Fills of both symbols are told before any row of the minute, and refusals after the rows."""
    where = store(tmp_path, bars("A", [1.0, (2.0, 3.0)]), bars("B", [5.0, 6.0]))

    def both(book: bt.Book) -> None:
        book.order("B", -1)
        book.order("A", 2)
        book.order("A", 0)

    class Section(Script):
        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            self.happened.append(("minute", rows.minute, rows.position.tolist()))

        row = Bar

    script = Section({("A", 0): both})
    play(where, script)
    assert script.happened == [
        ("start", date(2024, 1, 2)),
        ("bar", "A", 0),
        ("bar", "B", 0),
        ("minute", 0, [0, 0]),
        ("order", 3, "rejected", "zero_shares"),
        ("fill", "B", -1, 6.0),
        ("fill", "A", 2, 2.0),
        ("bar", "A", 1),
        ("bar", "B", 1),
        ("minute", 1, [2, -1]),
        ("end", date(2024, 1, 2)),
    ]


def test_an_order_fills_at_the_open_of_the_symbols_next_bar(tmp_path: Path):
    where = store(tmp_path, bars("A", [(1.0, 2.0), None, (4.0, 8.0)]), bars("B", [1.0, 1.0, 1.0]))
    run = play(
        where, Script({("A", 0): lambda book: book.order("A", 3, tag="x")}), execution={"commission_per_share": 0.01}
    )
    (fill,) = run.fills.iter_rows(named=True)
    assert (fill["time"], fill["price"], fill["shares"], fill["tag"]) == (at(2), 4.0, 3, "x")
    assert fill["commission"] == 0.03
    assert fill["bar_share"] == 0.03
    assert run.equity["cash"].to_list()[:3] == [1e6, 1e6, 1e6 - 12.03]


@pytest.mark.parametrize(
    ("rule", "fills"),
    [
        ("next_open", [("A", at(2), 4.0, 0, 0.03), ("B", at(3), 7.0, 0, 0.01)]),
        ("next_close", [("A", at(3), 8.0, 0, 0.03), ("B", at(4), 9.0, 0, 0.01)]),
        ("same_close", [("A", at(1), 2.0, 0, 0.03), ("B", at(3), 1.0, 2, 0.01)]),
    ],
)
def test_where_an_order_fills(tmp_path: Path, rule: str, fills: list[Any]):
    """A's order is given on its first bar, B's on A's third minute, when B's own last bar is two minutes old."""
    where = store(tmp_path, bars("A", [(1.0, 2.0), None, (4.0, 8.0)]), bars("B", [1.0, None, None, (7.0, 9.0)]))
    steps = {("A", 0): lambda book: book.order("A", 3), ("A", 2): lambda book: book.order("B", 1)}
    run = play(where, Script(steps), execution={"fill": rule})
    assert run.fills.select("symbol", "time", "price", "stale_minutes", "bar_share").rows() == fills


def test_the_same_close_waits_for_a_first_bar_and_for_the_next_moment(tmp_path: Path):
    """What is ordered before the session's first bar fills at that bar's close; what on_fill orders, one moment later."""
    where = store(tmp_path, bars("A", [1.0]), bars("A", [(5.0, 6.0), 7.0], day=WEDNESDAY))

    class Starts(Script):
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            if session == date(2024, 1, 3):
                book.order("A", 1)

        def on_fill(self, fill: bt.Fill, book: bt.Book) -> None:
            assert book.price("A") == fill.price
            if fill.shares == 1:
                book.order("A", 2)

    run = play(where, Starts(), end=WEDNESDAY, execution={"fill": "same_close"})
    assert run.fills.select("time", "price", "shares").rows() == [
        (at(1, WEDNESDAY), 6.0, 1),
        (at(2, WEDNESDAY), 7.0, 2),
    ]


def test_exits_fill_before_entries(tmp_path: Path):
    """The sale of A, given last, makes room in cash terms first."""
    where = store(tmp_path, bars("A", [10.0] * 4), bars("B", [10.0] * 4))

    def swap(book: bt.Book) -> None:
        book.order("B", 5)
        book.order("A", -5)

    script = Script({("A", 0): lambda book: book.order("A", 5), ("A", 2): swap})
    play(where, script)
    assert [h[1:3] for h in told(script, "fill")] == [("A", 5), ("A", -5), ("B", 5)]


def test_orders_of_the_session_start_match_the_first_open(tmp_path: Path):
    class Starts(Script):
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            assert (book.now, session.open, session.close) == (at(0), at(0), at(390))
            assert (session.minutes, session.early_close, book.session) == (390, False, session)
            book.order("A", 1)

    run = play(store(tmp_path, bars("A", [None, (3.0, 4.0)])), Starts())
    assert run.fills.select("time", "price").rows() == [(at(1), 3.0)]


def test_half_days_close_early(tmp_path: Path):
    seen = []

    class Ends(Script):
        def on_session_end(self, session: bt.Session, book: bt.Book) -> None:
            seen.append((book.now, session.early_close, session.minutes))

    play(store(tmp_path, bars("A", [1.0] * 390, day=HALF_DAY)), Ends(), HALF_DAY)
    assert seen == [(at(210, HALF_DAY), True, 210)]


@pytest.mark.parametrize(("tif", "lives"), [("day", [(1, "expired", "no_bar")]), ("gtc", [(1, "filled", "")])])
def test_time_in_force(tmp_path: Path, tif: str, lives: list[Any]):
    where = store(tmp_path, bars("A", [1.0]), bars("A", [2.0], day=WEDNESDAY))
    script = Script(
        {("A", 0): lambda book: book.position("A") or (book.session == date(2024, 1, 2) and book.order("A", 1))}
    )
    run = play(where, script, end=WEDNESDAY, execution={"time_in_force": tif})
    assert orders(run) == lives
    assert run.fills["price"].to_list() == ([2.0] if tif == "gtc" else [])


def test_what_is_ordered_after_the_close_expires_at_once(tmp_path: Path):
    """In on_session_end and on being told of an expiry; a strategy that sends it again is told in the next session."""

    class Resends(Script):
        def on_session_end(self, session: bt.Session, book: bt.Book) -> None:
            book.order("A", 1, tag="end")

        def on_order(self, order: bt.Order, book: bt.Book) -> None:
            super().on_order(order, book)
            if order.tag == "end":
                book.order("A", 1, tag="again")

    where = store(tmp_path, bars("A", [1.0]), bars("A", [2.0, 2.0], day=WEDNESDAY))
    run = play(where, Resends(), end=WEDNESDAY)
    assert {row[1] for row in orders(run, "tag", "status")} == {"expired"}
    assert run.fills.is_empty()


def test_exit_at_the_close(tmp_path: Path):
    """At the last close, however old, telling how old; a symbol without a bar expires it."""
    where = store(
        tmp_path, bars("A", [1.0, 1.0, (2.0, 3.0)]), bars("A", [5.0], day=THURSDAY), bars("B", [1.0], day=WEDNESDAY)
    )

    class Leaves(Script):
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            if session == date(2024, 1, 3):
                book.exit_at_close("A")
            if session == date(2024, 1, 4):
                book.exit_at_close()

    script = Leaves({("A", 0): lambda book: book.session == date(2024, 1, 2) and book.order("A", 2)})
    run = play(where, script, end=THURSDAY)
    assert orders(run) == [(1, "filled", ""), (2, "expired", "no_bar"), (3, "cancelled", "split"), (4, "filled", "")]
    assert run.orders["symbol"].to_list() == ["A", "A", "", "A"]
    assert run.fills.select("time", "price", "stale_minutes").rows()[1] == (at(390, THURSDAY), 5.0, 389)
    assert run.summary["stale_exits"] == 1


def test_exit_at_close_of_everything_is_an_order_that_can_be_seen_and_cancelled(tmp_path: Path):
    """It is listed, also of each symbol; cancelled by its id, or for one symbol alone; given again it is about all."""
    told: list[object] = []

    class Leaves(Script):
        def on_order(self, order: bt.Order, book: bt.Book) -> None:
            told.append((order.id, order.symbol, order.status, order.reason))

    def begin(book: bt.Book) -> None:
        book.order("A", 1)
        book.order("B", 1)
        book.exit_at_close()
        book.exit_at_close()  # it stands already

    def look(book: bt.Book) -> None:
        (standing,) = book.open_orders()
        told.append((standing.id, standing.symbol, standing.type, standing.shares))
        told.append([len(book.open_orders(s)) for s in "AB"])
        told.append((book.cancel(symbol="A"), book.cancel(symbol="A")))
        told.append([len(book.open_orders(s)) for s in "AB"])

    def again(book: bt.Book) -> None:
        told.append(book.cancel(book.open_orders()[0].id))
        told.append(book.open_orders())

    steps = {
        ("A", 0): lambda book: begin(book) if book.session == date(2024, 1, 2) else book.exit_at_close(),
        ("A", 1): lambda book: look(book) if book.session == date(2024, 1, 2) else again(book),
    }
    days = [bars(s, [1.0, 1.0, 1.0], day=d) for s in "AB" for d in (TUESDAY, WEDNESDAY)]
    run = play(store(tmp_path, *days), Leaves(steps), end=WEDNESDAY)
    assert told == [
        (3, "", "exit_at_close", None), [1, 1], (True, False), [0, 1],
        (3, "", "cancelled", "split"),
        True, [], (5, "", "cancelled", "cancelled"),
    ]  # fmt: skip
    assert run.fills.select("order_id", "symbol", "shares").rows() == [(1, "A", 1), (2, "B", 1), (4, "B", -1)]
    assert run.positions.filter(pl.col("session") == date(2024, 1, 3))["symbol"].to_list() == ["A"]


@pytest.mark.parametrize("timers", [False, True])
def test_a_position_whose_symbol_has_no_bar_any_more_is_told(tmp_path: Path, timers: bool):
    """It stays at its last close; one that had a bar in the last session, or is not held, is no news."""
    days = [bars(s, p, day=d) for d in (TUESDAY, WEDNESDAY) for s, p in (("A", [1.0, 3.0]), ("B", [1.0]))]
    where = store(tmp_path, *days, bars("B", [1.0], day=THURSDAY), bars("C", [1.0, 1.0]))

    class Buys:
        row = Bar

        def buy(self, book: bt.Book) -> None:
            if book.session == date(2024, 1, 2):
                book.order("A", 5)
            if book.session == date(2024, 1, 3):
                book.order("B", 5, tif="gtc")

    class ByBar(Buys):
        def on_bar(self, row: Bar, book: bt.Book) -> None:
            if row.symbol == "A":
                self.buy(book)

    class ByClock(Buys):
        @bt.at("open+1m")
        def go(self, rows: bt.Rows, book: bt.Book) -> None:
            self.buy(book)

    run = play(where, ByClock() if timers else ByBar(), end=THURSDAY)
    assert run.positions.filter(session=date(2024, 1, 4)).select("symbol", "price").rows() == [("A", 3.0), ("B", 1.0)]
    assert run.summary["stale"] == {"A": "2024-01-03T14:32:00+00:00"}
    assert "held at the close of their last bar: A (2024-01-03)" in repr(run)
    assert play(where, ByBar(), end=WEDNESDAY).summary["stale"] == {}


@pytest.mark.parametrize(
    "order",
    [
        lambda book: book.order("A", 1, tag=5),
        lambda book: book.target("A", 1, tag=5),
        lambda book: book.target_value("A", 1.0, tag=5),
    ],
)
def test_a_tag_is_text(tmp_path: Path, order: Any):
    with pytest.raises(StrategyRaised, match=r"strategy Script: tag must be text, was 5; write str\(\.\.\.\)"):
        play(store(tmp_path, bars("A", [1.0, 1.0])), Script({("A", 0): order}))


def test_exit_some_minutes_before_the_close(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 1.0, *[None] * 384, 7.0, 8.0]))

    def enter(book: bt.Book) -> None:
        book.order("A", 2)
        book.exit_at_close("A", minutes_before=3)

    run = play(where, Script({("A", 0): enter}))
    assert run.fills.select("time", "price").rows()[-1] == (at(387), 8.0)


def test_a_target_cannot_double(tmp_path: Path):
    """Set every minute, also while the symbol has no bar; the quantity is taken at the match."""
    where = store(tmp_path, bars("A", [1.0, None, None, 1.0, 1.0]), bars("B", [1.0] * 5))

    class Wants(Script):
        def on_bar(self, row: Bar, book: bt.Book) -> None:
            book.target("A", 10)

    run = play(where, Wants())
    assert run.fills["shares"].to_list() == [10]
    assert orders(run) == [(1, "filled", "")]


def test_another_level_replaces_what_is_unfilled(tmp_path: Path):
    """And is measured from the position held when it fills."""
    where = store(tmp_path, bars("A", [1.0, None, 1.0, 1.0, 1.0]), bars("B", [1.0] * 5))

    def one(level: int) -> Any:
        return lambda book: book.target("A", level)

    run = play(where, Script({("B", 0): one(10), ("B", 1): one(-4), ("B", 2): one(-4), ("B", 3): one(6)}))
    assert orders(run, "level", "status", "reason") == [
        (10, "cancelled", "retargeted"), (-4, "filled", ""), (6, "filled", ""),
    ]  # fmt: skip
    assert run.fills.select("shares", "position_after").rows() == [(-4, -4), (10, 6)]


def test_a_fraction_or_an_amount_becomes_shares_at_the_decision(tmp_path: Path):
    """Cut toward zero on the numbers as written, at the last close shown; the fill's price changes nothing."""
    where = store(tmp_path, bars("A", [(1.0, 3.0), 7.0, 3.0, 3.0, 3.0]), bars("B", [None, None, 0.1, 0.1]))
    steps = {
        ("A", 0): lambda book: (book.target_percent("A", 0.29), book.target_value("B", 5)),
        ("A", 1): lambda book: book.target_value("A", -100.0),
        ("B", 2): lambda book: book.target_value("B", 0.3, tag="c"),
    }
    run = play(where, Script(steps), cash=3000.0)
    assert orders(run, "symbol", "level", "shares", "status", "reason") == [
        ("A", 290, 290, "filled", ""), ("B", None, None, "rejected", "no_price"),
        ("A", -14, -304, "filled", ""), ("B", 3, 3, "filled", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(("others", "held"), [("keep", {"A": 4, "B": 2, "C": 9}), ("flat", {"A": 4, "C": 9})])
def test_targets_of_a_cross_section(tmp_path: Path, others: str, held: dict[str, int]):
    where = store(tmp_path, *(bars(s, [10.0] * 6) for s in "ABC"))
    levels = {0: [1, 2, None], 1: [1, 2, np.nan], 3: [4, np.nan, 9]}

    class Section(Script):
        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            if rows.minute in levels:
                book.targets(rows, shares=levels[rows.minute], others=others if rows.minute == 3 else "keep")

    run = play(where, Section())
    assert {p["symbol"]: p["shares"] for p in run.positions.iter_rows(named=True)} == held
    assert run.orders.height == (4 if others == "keep" else 5)


def test_one_number_is_the_target_of_every_row(tmp_path: Path):
    class Section(Script):
        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            book.targets(rows, shares=7)

    run = play(store(tmp_path, bars("A", [1.0] * 3), bars("B", [1.0] * 3)), Section())
    assert run.positions.select("symbol", "shares").rows() == [("A", 7), ("B", 7)]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"shares": [1.5, 0]}, "must be whole numbers; round them first, was 1.5 for A"),
        ({"percent": [0.1, np.inf]}, "must be finite, was inf for B"),
        ({"value": [1, 2, 3]}, "must have one entry a row, 2, was of shape (3,)"),
        ({"value": "x"}, "must be an array of numbers"),
        ({"value": [1e300, 0]}, "must fit 2^62 shares"),
        ({}, "targets takes one of shares=, percent= and value=, and others="),
        ({"shares": [0, 0], "others": "sell"}, "targets takes one of shares=, percent= and value=, and others="),
    ],
)
def test_targets_that_are_none(tmp_path: Path, wanted: dict[str, Any], words: str):
    class Section(Script):
        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            book.targets(rows, **wanted)

    with pytest.raises(StrategyRaised, match=re.escape(words)):
        play(store(tmp_path, bars("A", [1.0]), bars("B", [1.0])), Section())


def test_an_order_of_more_money_than_there_can_be_is_refused_and_not_an_error(tmp_path: Path):
    steps = {("A", 0): lambda book: book.order("A", 2**59)}
    run = play(store(tmp_path, bars("A", [10.0, 10.0])), Script(steps), cash=100.0)
    assert orders(run, "shares", "status", "reason") == [(2**59, "rejected", "buying_power")]


def test_buying_power_refuses_what_opens_and_cuts_reversals(tmp_path: Path):
    where = store(tmp_path, bars("A", [10.0] * 6))
    steps = {
        ("A", 0): lambda book: book.order("A", 5),
        ("A", 2): lambda book: book.order("A", 6),
        ("A", 3): lambda book: book.order("A", -16),
    }
    run = play(where, Script(steps), cash=100.0)
    assert orders(run, "shares", "status", "reason") == [
        (5, "filled", ""), (6, "rejected", "buying_power"), (-5, "filled", "buying_power"),
    ]  # fmt: skip


@pytest.mark.parametrize(("at_end", "held"), [("mark", 1), ("close", 0)])
def test_positions_at_the_end_of_the_run(tmp_path: Path, at_end: str, held: int):
    where = store(tmp_path, bars("A", [1.0, 2.0]), bars("B", [1.0], day=WEDNESDAY))
    run = play(where, Script({("A", 0): lambda book: book.order("A", 1)}), end=WEDNESDAY, execution={"at_end": at_end})
    assert run.summary["open_positions"] == held
    if at_end == "close":  # its last close was shown 388 minutes before Tuesday's close
        assert run.fills.select("price", "stale_minutes", "tag").rows()[-1] == (2.0, 24 * 60 + 388, "at_end")
        assert run.trades["exit_reason"].to_list() == ["exit_at_close"]


@pytest.mark.parametrize(
    ("prints", "price", "stale"),
    [
        ([9.0], 9.0, 0),
        ([], 2.0, 388),
        ([9.0, 9.5], 2.0, 388),  # copies that disagree say nothing
        ([None], 2.0, 388),  # high below low: not sound
    ],
)
def test_a_closing_print_is_a_price_and_never_a_row(tmp_path: Path, prints: list[Any], price: float, stale: int):
    rows = [row for p in prints for row in bars("A", [p if p is not None else 9.0], first=390)]
    if prints == [None]:
        rows[0]["high"], rows[0]["low"] = 8.0, 10.0
    where = store(tmp_path, bars("A", [1.0, 2.0]), rows)

    def enter(book: bt.Book) -> None:
        book.order("A", 1)
        book.exit_at_close("A")

    script = Script({("A", 0): enter})
    run = play(where, script, execution={"close_price": "closing_print"})
    assert run.fills.select("price", "stale_minutes").rows()[-1] == (price, stale)
    assert told(script, "bar") == [("bar", "A", 0), ("bar", "A", 1)]


def test_stop_ends_the_run_after_the_minute(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 5), bars("B", [1.0] * 5), bars("A", [1.0], day=WEDNESDAY))

    def stop(book: bt.Book) -> None:
        book.order("A", 1)
        book.stop("enough")

    script = Script({("A", 2): stop})
    run = play(where, script, end=WEDNESDAY, execution={"at_end": "close"})
    assert (run.finish_reason, run.stop_reason) == ("stopped", "enough")
    assert told(script, "bar", "end")[-1] == ("bar", "B", 2)
    assert orders(run) == [(1, "open", "")]
    assert run.equity["time"].to_list() == [at(1), at(2), at(3)]
    assert run.summary["sessions"] == 1


class Breaks(Script):
    def on_bar(self, row: Bar, book: bt.Book) -> None:
        super().on_bar(row, book)
        if (row.symbol, row.minute) == ("B", 1):
            raise ZeroDivisionError("oh")
        book.order(row.symbol, 1)


@pytest.mark.parametrize(
    ("slip", "told"),
    [
        (lambda row, book: book.targt(row.symbol, 1), r"no attribute 'targt'; did you mean 'target'\? \(session"),
        (lambda row, book: row.minuet, r"no attribute 'minuet'; did you mean 'minute'\?"),
        (lambda row, book, minute=1: minuet, r"'minuet' is not defined; did you mean 'minute'\?"),  # noqa: F821 - that is the slip
        (lambda row, book: row.zzz, r"no attribute 'zzz' \(session"),
        (lambda row, book: {}["minute"], r"KeyError: 'minute' \(session"),
    ],
)
def test_a_misspelt_word_is_told_with_the_nearest(tmp_path: Path, slip: Any, told: str):
    class Slips(Script):
        def on_bar(self, row: Bar, book: bt.Book) -> None:
            slip(row, book)

    with pytest.raises(StrategyRaised, match=told):
        play(store(tmp_path, bars("A", [1.0])), Slips())


def awaits() -> Any:
    async def method(self: Any, first: Any, book: Any) -> None: ...

    return method


def yields() -> Any:
    def method(self: Any, first: Any, book: Any) -> Any:
        yield

    return method


def both() -> Any:
    async def method(self: Any, first: Any, book: Any) -> Any:
        yield

    return method


@pytest.mark.parametrize(
    ("made", "told"), [(awaits, "was async"), (yields, "was a generator"), (both, "was a generator")]
)
@pytest.mark.parametrize("name", ["on_bar", "on_minute", "on_session_end", "on_fill", "at_open", "method"])
def test_a_callback_whose_call_does_nothing_is_refused(tmp_path: Path, made: Any, told: str, name: str):
    given = bt.at("10:00")(made()) if name == "method" else made()
    strategy = type("Nothing", (Script,), {name: given})()
    with pytest.raises(StrategyError, match=rf"{name} must be a plain function, {told}; "):
        play(store(tmp_path, bars("A", [1.0])), strategy)


def test_a_strategy_that_raises_ends_the_run_saying_where(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 3), bars("B", [1.0] * 3))
    with pytest.raises(StrategyRaised, match="strategy Breaks: ZeroDivisionError: oh") as caught:
        play(where, Breaks())
    place = "session 2024-01-02, minute 1, 2024-01-02 14:32 UTC, symbol B"
    assert place in str(caught.value)
    assert caught.value.__cause__ is not None
    assert caught.value.__cause__.__notes__ == [place]
    run = caught.value.run
    assert run.finish_reason == "stopped"
    assert run.fills["symbol"].to_list() == ["A", "B"]


def test_an_isolated_strategy_is_stopped_and_the_others_go_on(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 3), bars("B", [1.0] * 3))
    good, bad = Script(), Breaks()
    run = bt.replay(
        bars=where, calendar="XNYS", start=TUESDAY, end=TUESDAY, save=False,
        strategies=[{"name": "bad", "use": bad}, {"name": "good", "use": good}], run={"on_strategy_error": "isolate"},
    )  # fmt: skip
    assert run.finish_reason == "end_date"
    assert len(told(good, "bar")) == 6
    assert len(told(bad, "bar")) == 4
    assert "ZeroDivisionError: oh" in run.log["message"][0]
    lost = run.orders.filter(pl.col("status") == "cancelled")
    assert lost.select("strategy", "reason").unique().rows() == [("bad", "strategy_raised")]
    assert set(run.summary["strategies_failed"]) == {"bad"}


def test_strategies_do_not_see_each_other(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0] * 4))
    buys, sells = Script({("A", 0): lambda b: b.order("A", 3)}), Script({("A", 1): lambda b: b.order("A", -2)})
    run = bt.replay(
        bars=where, calendar="XNYS", start=TUESDAY, end=TUESDAY, save=False,
        strategies=[{"name": "one", "use": buys, "cash": 50.0}, {"name": "two", "use": sells}],
    )  # fmt: skip
    assert run.fills.select("strategy", "order_id", "position_after").rows() == [("one", 1, 3), ("two", 1, -2)]
    assert run.equity.filter(pl.col("strategy") == "one")["equity"][0] == 50.0
    assert run.equity.filter(pl.col("strategy") == "two")["equity"][0] == 1e6


def test_a_session_without_a_bar_is_not_shown(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 2.0]), bars("A", [3.0], day=THURSDAY))
    script = Script({("A", 0): lambda book: book.order("A", 1, tif="gtc")})
    run = play(where, script, end=THURSDAY)
    assert [h[1] for h in told(script, "start", "end")] == [date(2024, 1, 2)] * 2 + [date(2024, 1, 4)] * 2
    empty = run.equity.filter(pl.col("session") == date(2024, 1, 3))
    assert empty.height == 390
    assert empty["equity"].unique().to_list() == [1e6]
    assert run.by_session["iterations"].to_list() == [2, 0, 1]


def test_records_and_logs_carry_the_time(tmp_path: Path):
    def note(book: bt.Book) -> None:
        book.record(x=1.5, y=2)
        book.log("here", n=3)

    run = play(store(tmp_path, bars("A", [1.0, 1.0])), Script({("A", 1): note}))
    assert run.records.select("time", "name", "value").rows() == [(at(2), "x", 1.5), (at(2), "y", 2.0)]
    assert run.log.select("time", "message", "fields").rows() == [(at(2), "here", '{"n": 3}')]


def test_a_record_is_a_number(tmp_path: Path):
    script = Script({("A", 1): lambda book: book.record(x="high")})
    with pytest.raises(StrategyRaised, match=r"record 'x' must be a number, was 'high'; book\.log keeps words"):
        play(store(tmp_path, bars("A", [1.0, 1.0])), script)


def test_random_numbers_follow_from_seed_session_symbol_and_minute(tmp_path: Path):
    class Draws(Script):
        def on_bar(self, row: Bar, book: bt.Book) -> None:
            drawn[row.symbol, row.minute] = book.rng.random()

    where = store(tmp_path, bars("A", [1.0, 1.0]), bars("B", [1.0, 1.0]))
    runs = []
    for seed in (0, 0, 1):
        drawn: dict[tuple[str, int], float] = {}
        play(where, Draws(), seed=seed)
        runs.append(drawn)
    assert runs[0] == runs[1]
    assert len({*runs[0].values(), *runs[2].values()}) == 8
