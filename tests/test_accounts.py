"""Whose money it is: strategies that share one cash, and symbols that have their own."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from small import THURSDAY, TUESDAY, WEDNESDAY, Bar, Script, at, bars, play, store

import bt
from bt.book.waiting import Waiting
from bt.errors import ConfigError, StrategyError, StrategyRaised


def together(where: Path, *scripts: Script, **tables: Any) -> bt.Run:
    entries = [{"name": name, "use": one} for name, one in zip("zyx", scripts, strict=False)]
    return bt.replay(bars=where, calendar="XNYS", start=TUESDAY, end=TUESDAY, save=False, strategies=entries, **tables)


def test_strategies_with_one_cash_compete_for_it(tmp_path: Path):
    """The first asks first; a later sale by the other makes room; the rows add up to the account."""
    where = store(tmp_path, bars("A", [10.0] * 5))
    knows: list[tuple[float, ...]] = []

    def look(book: bt.Book) -> None:
        knows.append((book.cash, book.equity, book.gross, book.net, book.buying_power, book.position("A")))

    one = Script({("A", 0): lambda b: b.order("A", 6), ("A", 2): lambda b: b.order("A", -4)})
    two = Script({("A", 0): lambda b: b.order("A", 5), ("A", 1): lambda b: (look(b), b.order("A", -4)), ("A", 3): look})
    run = together(where, one, two, account={"cash": 100.00000001, "shared": True})
    assert run.orders.sort("strategy", "id").select("strategy", "id", "status", "reason").rows() == [
        ("y", 1, "rejected", "buying_power"), ("y", 2, "filled", ""), ("z", 1, "filled", ""), ("z", 2, "filled", ""),
    ]  # fmt: skip
    assert knows[0] == (40.00000001, 100.00000001, 60.0, 60.0, 40.00000001, 0)
    assert knows[1] == (120.00000001, 100.00000001, 60.0, -20.0, 40.00000001, -4)
    last = run.equity.filter(time=at(390)).sort("strategy").select("strategy", "cash", "net").rows()
    assert last == [("y", 90.0, -40.0), ("z", 30.00000001, 20.0)]


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (lambda b: [b.order("A", -10), b.order("A", -10)], [(-10, "filled", ""), (-10, "rejected", "buying_power")]),
        (lambda b: [b.order("A", -6), b.order("A", -10)], [(-6, "filled", ""), (-4, "filled", "buying_power")]),
        (lambda b: [b.target("A", 3), b.order("A", -5)], [(-7, "filled", ""), (-3, "filled", "buying_power")]),
        (lambda b: [b.target("A", -1), b.order("A", -1)], [(-10, "filled", "buying_power"), (-1, "rejected", "buying_power")]),
        (lambda b: [b.order("A", -10), b.order("A", 1)], [(-10, "filled", ""), (1, "rejected", "buying_power")]),
        (lambda b: [b.order("A", -10), b.cancel(symbol="A"), b.order("A", -10)], [(-10, "cancelled", "cancelled"), (-10, "filled", "")]),
    ],
)  # fmt: skip
def test_orders_decided_together_reduce_no_more_than_is_held(tmp_path: Path, given: Any, made: list[Any]):
    """The cash is all spent: only what reduces is free, and of two orders that reduce the second finds what the first leaves."""
    where = store(tmp_path, bars("A", [10.0] * 4))
    run = play(where, Script({("A", 0): lambda b: b.order("A", 10), ("A", 1): given}), cash=100.0)
    assert run.orders.sort("id").select("shares", "status", "reason").rows()[1:] == made


def test_what_two_orders_open_together_is_reserved(tmp_path: Path):
    where = store(tmp_path, bars("A", [10.0] * 4))
    powers: list[float] = []

    def turn(book: bt.Book) -> None:
        for _ in range(3):
            book.order("A", -10)
            powers.append(book.buying_power)

    run = play(where, Script({("A", 0): lambda b: b.order("A", 10), ("A", 1): turn}), cash=220.0)
    assert powers == [120.0, 20.0, 20.0]
    assert run.orders.sort("id")["status"].to_list() == ["filled"] * 3 + ["rejected"]
    assert run.positions["shares"].to_list() == [-10]


def test_an_exit_at_the_close_takes_what_other_exits_leave(tmp_path: Path):
    """It acts five minutes before the close, where nothing has traded for two; what was sold meanwhile and it meet one bar."""
    where = store(tmp_path, bars("A", [10.0] * 2), bars("A", [11.0] * 3, first=387))
    steps = {
        ("A", 0): lambda b: (b.order("A", 10), b.exit_at_close("A", minutes_before=5)),
        ("A", 1): lambda b: b.order("A", -4),
    }
    run = play(where, Script(steps))
    assert run.fills.sort("position_after", descending=True).select("order_id", "shares", "position_after").rows() == [
        (1, 10, 10), (3, -4, 6), (2, -6, 0),
    ]  # fmt: skip


def test_exits_of_all_fill_before_entries_of_any(tmp_path: Path):
    where = store(tmp_path, bars("A", [10.0] * 5))
    told: list[str] = []

    class Tells(Script):
        def on_fill(self, fill: bt.Fill, book: bt.Book) -> None:
            told.append(f"{fill.shares} {book.cash:g}")

    one = Tells({("A", 2): lambda b: b.order("A", 3)})
    two = Tells({("A", 0): lambda b: b.order("A", 5), ("A", 2): lambda b: b.order("A", -5)})
    together(where, one, two, account={"cash": 100.0, "shared": True})
    assert told == ["5 50", "3 70", "-5 70"]  # all are booked before the first is told


class Own(Script):
    independent = True


class FiveMinutes(bt.Row):
    symbol: str
    interval = "5m"
    close: float


class Coarser:
    row = FiveMinutes

    def on_bar(self, row: FiveMinutes, book: bt.Book) -> None:
        pass


def test_the_moments_of_an_independent_strategy_are_not_those_of_anothers_interval(tmp_path: Path):
    """What on_order causes is told when the symbol's next bar ends, whoever else is shown bars of five minutes meanwhile."""

    class Again(Own):
        def on_order(self, order: bt.Order, book: bt.Book) -> None:
            self.happened.append((order.id, book.now))
            if order.id == 1:
                book.order("A", 0)

    told = []
    where = store(tmp_path, bars("A", [10.0, *[None] * 6, 10.0]), bars("B", [10.0] * 9))
    for others in ((), (Coarser(),)):
        script = Again({("A", 0): lambda book: book.order("A", 0)})
        strategies = [{"name": f"s{n}", "use": use} for n, use in enumerate((script, *others))]
        play(where, None, strategies=strategies)
        told.append([one for one in script.happened if one[0] in (1, 2)])
    assert told[0] == told[1] == [(1, at(1)), (2, at(8))]


def test_the_close_of_a_session_without_its_bars_is_no_moment_of_a_symbol(tmp_path: Path):
    """What on_order asks for at the close of a session in which the symbol has no bar is told as if there were no other symbol."""

    class Insists(Own):
        def on_order(self, order: bt.Order, book: bt.Book) -> None:
            if order.symbol == "A":
                self.happened.append((order.id, book.now))
                if order.id < 9:
                    book.order("A", 1)

    told = []
    a = [*bars("A", [10.0, 10.0]), *bars("A", [10.0, 10.0], day=THURSDAY)]
    b = [one for day in (TUESDAY, WEDNESDAY, THURSDAY) for one in bars("B", [10.0, 10.0], day=day)]
    for n in (0, 1):
        (tmp_path / str(n)).mkdir()
    for n, others in enumerate(([], b)):
        script = Insists({("A", 1): lambda book: book.order("A", 1)})
        play(store(tmp_path / str(n), a, others), script, end=THURSDAY)
        told.append([one for one in script.happened if isinstance(one[0], int)])
    assert told[0] == told[1]
    assert len(told[0]) > 5


def test_every_symbol_has_its_own_cash_and_ids(tmp_path: Path):
    where = store(tmp_path, bars("A", [10.0] * 4), bars("B", [10.0] * 4), bars("C", [10.0] * 4))
    knows: list[tuple[Any, ...]] = []

    def look(book: bt.Book) -> None:
        knows.append((book.cash, book.equity, book.buying_power, list(book.holdings), len(book.open_orders())))

    steps = {
        ("A", 0): lambda b: b.order("A", 3),
        ("B", 0): lambda b: (b.order("B", 4), b.target_percent("B", 0.5)),
        ("A", 2): look,
        ("B", 2): look,
    }
    run = play(where, Own(steps), cash=100.00000001)
    assert run.summary["equity_start"] == 99.99999999
    assert run.orders.sort("symbol", "id").select("symbol", "id", "status", "reason").rows() == [
        ("A", 1, "filled", ""), ("B", 1, "rejected", "buying_power"), ("B", 2, "filled", ""),
    ]  # fmt: skip
    assert knows == [(3.33333333, 33.33333333, 3.33333333, ["A"], 0), (23.33333333, 33.33333333, 23.33333333, ["B"], 0)]
    run = play(where, Own({("A", 0): look}), account={"cash_per_symbol": 70.0})
    assert knows[-1][:2] == (70.0, 70.0)
    assert run.equity["equity"][0] == 210.0


@pytest.mark.parametrize(
    "ask",
    [
        lambda b: b.position("B"),
        lambda b: b.target("B", 0),
        lambda b: b.price("B"),
        lambda b: b.order("B", 1),
        lambda b: b.exit_at_close("B"),
        lambda b: b.cancel(symbol="B"),
    ],
)
def test_an_independent_book_knows_one_symbol(tmp_path: Path, ask: Any):
    where = store(tmp_path, bars("A", [10.0] * 2), bars("B", [10.0] * 2))
    with pytest.raises(StrategyRaised, match="knows the symbol of its row, fill or order alone, was asked for 'B'"):
        play(where, Own({("A", 0): ask}))


@pytest.mark.parametrize("callback", ["on_fill", "on_order"])
def test_an_independent_book_knows_the_symbol_that_is_told(tmp_path: Path, callback: str):
    """A target that changes nothing is refused too, of the symbol whose row was shown last."""

    def asks(self: Script, told: Any, book: bt.Book) -> None:
        assert book.position(told.symbol) in (0, 1)
        book.target("B", 0)

    where = store(tmp_path, bars("A", [10.0] * 3), bars("B", [10.0] * 3))
    made = type("Asks", (Own,), {callback: asks})
    with pytest.raises(StrategyRaised, match="was asked for 'B'; leave `independent` out to see several .*symbol A"):
        play(where, made({("A", 0): lambda b: (b.order("A", 1), b.order("A", 10**9))}))  # one is filled, one refused


def test_a_row_that_is_made_is_the_one_the_book_knows(tmp_path: Path):
    """A row type may have code of its own: what it asks is judged by its own symbol, not by the row before."""
    books: list[bt.Book] = []

    class Asks(bt.Row):
        symbol: str

        def __post_init__(self) -> None:
            for book in books:
                book.target(self.symbol if self.symbol == "A" else "A", 0)

    class Keeps:
        independent = True
        row = Asks

        def on_bar(self, row: Asks, book: bt.Book) -> None:
            books[:] = [book]

    where = store(tmp_path, bars("A", [10.0] * 3), bars("B", [10.0] * 3))
    with pytest.raises(StrategyRaised, match="was asked for 'A'; .* minute 0, .*symbol B"):
        play(where, Keeps())


def test_an_independent_book_knows_no_symbol_between_them(tmp_path: Path):
    class Starts(Own):
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            assert (book.trading, book.session) == (True, session)
            book.exit_at_close()

    where = store(tmp_path, bars("A", [10.0] * 2))
    with pytest.raises(StrategyRaised, match="knows a symbol in on_bar, on_fill and on_order only"):
        play(where, Starts())
    with pytest.raises(StrategyRaised, match="stop must not be called by an independent strategy"):
        play(where, Own({("A", 0): lambda b: b.stop("no")}))


def test_exit_at_the_close_of_an_independent_strategy_is_its_symbols(tmp_path: Path):
    where = store(tmp_path, bars("A", [10.0] * 3), bars("B", [10.0] * 3))
    steps = {
        ("A", 0): lambda b: (b.order("A", 1), b.exit_at_close()),
        ("B", 0): lambda b: b.order("B", 1),
    }
    run = play(where, Own(steps))
    assert run.positions["symbol"].to_list() == ["B"]


class Section(Own):
    row = Bar

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        pass


class Timed(Own):
    @bt.at("close-5m")
    def flat(self, rows: bt.Rows, book: bt.Book) -> None:
        pass


class Opens(Own):
    def at_open(self, session: Any, past: Any) -> None:
        pass


class Sure(Script):
    independent = "yes"


class Ranked(bt.Row):
    symbol: str
    rank: float | None


class Compares(Own):
    row = Ranked

    def features(self) -> dict[str, bt.Feature]:
        return {"rank": bt.cross_rank(bt.sma("close", 2))}


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        (Section, "on_minute sees every symbol"),
        (Timed, "the timer flat sees every symbol"),
        (Opens, "at_open sees every symbol"),
        (Compares, "feature 'rank' reads other symbols"),
        (Sure, "independent must be True or False, was 'yes'"),
    ],
)
def test_what_sees_several_symbols_is_not_independent(tmp_path: Path, strategy: type, words: str):
    with pytest.raises(StrategyError, match=words):
        play(store(tmp_path, bars("A", [10.0])), strategy())


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"strategy": Own, "account": {"shared": True}}, "account.shared must be false with an independent strategy"),
        ({"strategy": Script, "account": {"cash_per_symbol": 5.0}}, "cash_per_symbol must be 0 without an independent"),
        ({"strategy": Own, "account": {"cash": 1e-8}}, "account.cash must be enough for 2 symbols"),
        (
            {"strategies": [{"name": "a", "use": Script, "cash": 5.0}], "account": {"shared": True}},
            r"strategies.0.cash must be absent with account.shared, was 5.0; set account.cash",
        ),
    ],
)
def test_accounts_that_contradict_each_other(tmp_path: Path, tables: dict[str, Any], words: str):
    where = store(tmp_path, bars("A", [10.0]), bars("B", [10.0]))
    with pytest.raises(ConfigError, match=words):
        bt.replay(bars=where, calendar="XNYS", start=TUESDAY, end=TUESDAY, save=False, **tables)


def test_a_symbol_that_sleeps_is_told_when_it_wakes(tmp_path: Path):
    """B's bars are no moments of A: what A is to be told waits for A's next bar, as if it were alone."""
    where = store(tmp_path, bars("A", [1.0, *[None] * 9, 1.0]), bars("B", [1.0] * 390))
    when: list[Any] = []

    class Insists(Own):
        def on_order(self, order: bt.Order, book: bt.Book) -> None:
            when.append(book.now)
            if len(when) == 1:
                book.order("A", 0)

    for symbols in (["A", "B"], ["A"]):
        when.clear()
        play(where, Insists({("A", 0): lambda b: b.order("A", 0)}), symbols=symbols)
        assert when == [at(1), at(11)]


def test_what_is_held_is_looked_up_in_every_session(tmp_path: Path) -> None:
    """A long that has doubled since the session before carries more, at the minute of the session at which it was asked about before."""
    days = ((TUESDAY, 10.0), (WEDNESDAY, 20.0))
    where = store(
        tmp_path,
        *(bars("AAA", [price] * 4, day=day) for day, price in days),
        *(bars("BBB", [8.0] * 4, day=day) for day, _ in days),
    )

    def first(book: bt.Book) -> None:
        if book.session == date.fromisoformat(TUESDAY):
            book.target("AAA", 5)

    def then(book: bt.Book) -> None:  # 2 x (60 + 50) - 50 < 28 x 8, but 2 x (60 + 100) - 100 >= 25 x 8
        book.target("BBB", 28 if book.session == date.fromisoformat(TUESDAY) else 25)

    script = Script({("AAA", 0): first, ("BBB", 1): then})
    run = play(where, script, TUESDAY, WEDNESDAY, cash=110.0, account={"leverage": 2.0})
    asked = run.orders.filter(symbol="BBB").select("level", "status").rows()
    assert asked == [(28, "rejected"), (25, "filled")]


def test_targets_wait_in_their_order_however_many_they_are() -> None:
    waiting = Waiting()
    for turn in range(2):
        given = [(code, -code if code % 2 else 2**60, code % 3) for code in range(100 * turn + 7)]
        for one in given:
            waiting.put(*one)
        assert waiting.count == len(given)
        codes, levels, tags = waiting.taken()
        assert list(zip(codes.tolist(), levels.tolist(), tags.tolist(), strict=True)) == given
        assert not codes.flags.writeable
        assert waiting.count == 0
