"""Universes by hand: who is a member and why, what is refused, what is read, what becomes of leavers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from small import Script, bars, play, store

import bt
from bt.errors import BtError, ConfigError, DataError, StrategyError
from bt.prepare.window import Loader

DAYS = ("2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10")
"""Tuesday to Friday, Monday to Wednesday."""

Daily = dict[str, Sequence[tuple[float, int] | None]]


def market(folder: Path, daily: Daily) -> Path:
    """Three minutes a session: each symbol's (price, volume) of each day, None for no bar."""
    rows = [
        bars(symbol, [value[0]] * 3, day=day, volume=value[1])
        for symbol, values in daily.items()
        for day, value in zip(DAYS, values, strict=False)
        if value is not None
    ]
    return store(folder, *rows)


def members(run: bt.Run) -> dict[str, list[str]]:
    """Members by session, the first ranked first."""
    found: dict[str, list[str]] = {}
    for row in run.universe.sort("session", "rank").iter_rows(named=True):
        found.setdefault(row["session"].isoformat(), []).append(row["symbol"])
    return found


def universe_of(folder: Path, start: int = 1, end: int = 3, **universe: Any) -> dict[str, list[str]]:
    return members(play(folder, Script(), DAYS[start], DAYS[end], universe=universe))


CHANGING: Daily = {
    "A": [(10.0, 300), (10.0, 100), (10.0, 100), (10.0, 900)],
    "B": [(20.0, 200), (20.0, 100), (20.0, 400), (20.0, 900)],
    "C": [(1.0, 200), None, (1.0, 300), (1.0, 900)],
    "D": [None, None, (5.0, 1000), (5.0, 900)],
}


def test_top_ranks_by_the_sessions_before_and_ties_go_by_symbol(tmp_path: Path) -> None:
    assert universe_of(market(tmp_path, CHANGING), top=2, by="prior(volume)") == {
        DAYS[1]: ["A", "B"],  # 900; B and C tie at 600
        DAYS[2]: ["A", "B"],  # 300 each; C had no bar and is unknown
        DAYS[3]: ["D", "B"],
    }


def test_where_alone_keeps_all_that_meet_it_in_symbol_order(tmp_path: Path) -> None:
    where = market(tmp_path, CHANGING)
    assert universe_of(where, where="max(close, 2d) >= 5 and sum(volume, 2d) < 1500 or prior(close) == 1") == {
        DAYS[1]: ["A", "B", "C"],
        DAYS[2]: ["A", "B"],  # prior(close) of C is unknown, and so is D's all
        DAYS[3]: ["A", "C"],  # B 1500, D 3000
    }


def test_what_is_not_known_is_no_member(tmp_path: Path) -> None:
    where = market(tmp_path, CHANGING)
    assert universe_of(where, top=9, by="prior(volume) / (prior(close) - 10)") == {
        DAYS[1]: ["B", "C"],  # 60 and -66.7; A divides by zero
        DAYS[2]: ["B"],
        DAYS[3]: ["B", "C", "D"],
    }


def test_an_expression_is_summed_over_the_session_unless_wrapped(tmp_path: Path) -> None:
    rows = [*bars("A", [1.0, 2.0, 3.0], day=DAYS[0]), *bars("B", [2.5, 2.5, 2.6], day=DAYS[0])]
    rows += [*bars("A", [1.0], day=DAYS[1]), *bars("B", [1.0], day=DAYS[1])]
    where = store(tmp_path, rows)
    for by, first in {
        "avg(close*1, 1d)": "B", "avg(max(close) - min(close), 1d)": "A", "prior(last(close))": "A", "prior(min(close*2))": "B",
    }.items():  # fmt: skip
        assert universe_of(where, 1, 1, top=1, by=by) == {DAYS[1]: [first]}, by


def test_a_week_and_a_month_begin_with_their_first_session_wherever_the_run_starts(tmp_path: Path) -> None:
    leaders = {"A": [1, 1, 9, 1, 1, 1, 1], "B": [5, 5, 5, 5, 2, 9, 1], "C": [3, 3, 3, 9, 9, 2, 1]}
    where = market(tmp_path, {s: [(1.0, 100 * n) for n in values] for s, values in leaders.items()})
    weekly = {"top": 1, "by": "prior(volume)", "rebalance": "1w"}
    whole = universe_of(where, 1, 6, **weekly)
    assert whole == {
        DAYS[4]: ["C"], DAYS[5]: ["C"], DAYS[6]: ["C"],  # decided on Monday by Friday's volume; before the first Tuesday is nothing
    }  # fmt: skip
    assert universe_of(where, 6, 6, **weekly) == {DAYS[6]: ["C"]}
    assert universe_of(where, 4, 6, **{**weekly, "rebalance": "1mo"}) == {}
    daily = universe_of(where, 1, 6, **{**weekly, "rebalance": "1d"})
    assert list(daily.values()) == [["B"], ["B"], ["A"], ["C"], ["C"], ["B"]]


def table(folder: Path, *rows: tuple[str, str | None, str]) -> Path:
    made = [(date.fromisoformat(a), None if b is None else date.fromisoformat(b), s) for a, b, s in rows]
    path = folder / "members.parquet"
    pl.DataFrame(made, schema={"from": pl.Date, "to": pl.Date, "symbol": pl.String}, orient="row").write_parquet(path)
    return path


def test_a_table_includes_from_and_excludes_to(tmp_path: Path) -> None:
    where = market(tmp_path, CHANGING)
    path = table(
        tmp_path,
        (DAYS[1], DAYS[2], "A"),
        ("2000-01-01", None, "B"),
        (DAYS[2], "2030-01-01", "C"),
        ("2020-01-01", None, "ZZ"),
    )
    assert universe_of(where, table=path) == {DAYS[1]: ["A", "B"], DAYS[2]: ["B", "C"], DAYS[3]: ["B", "C"]}
    chosen = universe_of(where, table=path, where="prior(volume) > 0")
    assert chosen == {DAYS[1]: ["A", "B"], DAYS[2]: ["B"], DAYS[3]: ["B", "C"]}


def test_the_tables_content_is_part_of_what_a_run_is_known_by(tmp_path: Path) -> None:
    where = market(tmp_path, CHANGING)
    hashes = []
    for symbol in ("A", "A", "B"):
        (folder := tmp_path / f"{len(hashes)}").mkdir()
        path = table(folder, ("2020-01-01", None, symbol))
        run = play(where, Script(), DAYS[1], save=True, out=folder / "run", universe={"table": path})
        hashes.append((run.path / "manifest.json").read_text().partition('"spec_hash"')[2][:70])  # type: ignore[operator]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda t: t.drop("to"), ["column to must be there", "from, symbol"]),
        (lambda t: t.with_columns(pl.col("from").cast(pl.Datetime("us"))), ["column from must be dates", "Datetime"]),
        (lambda t: t.with_columns(symbol=pl.lit(3)), ["column symbol must be text", "Int32"]),
        (lambda t: t.with_columns(symbol=pl.lit(None, dtype=pl.String)), ["column symbol must have no null", "1 rows"]),
        (
            lambda t: t.rename({"from": "to", "to": "from"}),
            ["column to must be on or after from", "2024-01-03 with from"],
        ),
        (lambda t: t.with_columns(symbol=pl.lit("Q")), ["must name some of the 4 candidates", "['Q']"]),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(tmp_path: Path, change: Any, parts: list[str]) -> None:
    where, path = market(tmp_path, CHANGING), table(tmp_path, (DAYS[1], DAYS[2], "A"))
    change(pl.read_parquet(path)).write_parquet(path)
    with pytest.raises(DataError) as caught:
        universe_of(where, table=path)
    for part in (str(path), *parts):
        assert part in str(caught.value)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"nowhere\.parquet: the membership table must be a Parquet file, was not there"
    ):
        universe_of(market(tmp_path, CHANGING), table=tmp_path / "nowhere.parquet")


@pytest.mark.parametrize(
    ("universe", "parts"),
    [
        ({"top": 3}, ["bt.top: by must be there beside top"]),
        ({"top": 0, "by": "prior(close)"}, ["top must be a whole number >= 1, was 0"]),
        ({"top": 3, "by": "avg(close, 10)"}, ["'avg(close, 10)'", "character 12", "10d (sessions)"]),
        (
            {"top": 3, "by": "avg(close*volme, 10d)"},
            ["character 11", "'volme, 10d)'", "open, high, low, close, volume"],
        ),
        ({"top": 3, "by": "avg(close, 10d) > 3"}, ["character 1", "a condition is no number"]),
        ({"top": 3, "by": "median(close, 10d)"}, ["character 1", "avg|max|min|sum|std|first|last(expression, period)"]),
        ({"top": 3, "by": "avg(close, 10d) +"}, ["must be a number a symbol to rank by"]),
        ({"top": 3, "by": "1 +\n   avg(max(min(close)), 3d)"}, ["character 16", "wrapped or not"]),
        ({"top": 3, "by": "prior(close, 2d)"}, ["it is written prior(close)"]),
        ({"top": 3, "by": "avg(max(high) - low, 2d)"}, ["mixes them"]),
        ({"top": 3, "by": "prior(close)", "where": "prior(close)"}, ["bt.top: where", "compared with nothing"]),
        ({"top": 3, "by": "avg(close, 10d) +"}, ["character 18, at 'the end'"]),
        ({"top": 3, "by": "prior(close)", "where": "prior(close) > 5 and "}, ["character 21, at 'the end'"]),
        ({"top": 3, "by": "prior(close)", "where": "not prior(close) > 3"}, ["character 1", "comparisons, and, or"]),
        ({"top": 3, "by": "prior(close)", "rebalance": "2d"}, ["rebalance must be '1d' or '1w' or '1mo', was '2d'"]),
    ],
)
def test_what_cannot_be_read_is_refused_where_it_is_written(universe: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(StrategyError) as caught:
        bt.top(universe["top"], **{"by": "", **{k: v for k, v in universe.items() if k != "top"}})
    for part in parts:
        assert part in str(caught.value)


def test_members_need_a_table_or_a_condition() -> None:
    with pytest.raises(StrategyError, match="bt.members: top must be there, or where or table"):
        bt.members()


def test_a_configurations_universe_is_refused_with_its_key(tmp_path: Path) -> None:
    where = market(tmp_path, CHANGING)
    for universe, part in (
        (
            {"top": 2, "by": "avg(close)"},
            "universe.by must be an expression .* character 1, at 'avg\\(close\\)': it is written avg",
        ),
        ({"by": "prior(close)"}, "universe.top must be there beside by"),
        ({"leavers": "exit"}, "universe.top must be there, or where or table"),
        ({"top": 2, "by": "prior(close)", "table": "x"}, "universe.table must be absent beside top"),
    ):
        with pytest.raises(ConfigError, match=part):
            universe_of(where, **universe)


class Ranked(Script):
    universe: Any = bt.top(1, by="prior(volume)", leavers="exit")


class Spelt(Script):
    universe: Any = bt.top(1, by="prior( volume )", leavers="exit")


class Other(Script):
    universe: Any = bt.top(2, by="prior(volume)")


def test_a_strategy_declares_a_universe_and_several_must_agree(tmp_path: Path) -> None:
    where = market(tmp_path, CHANGING)
    expected = {DAYS[1]: ["A"], DAYS[2]: ["A"], DAYS[3]: ["D"]}
    assert members(play(where, Ranked(), DAYS[1], DAYS[3])) == expected

    def both(*strategies: Any, **more: Any) -> bt.Run:
        uses = [{"name": f"s{i}", "use": s} for i, s in enumerate(strategies)]
        given: dict[str, Any] = {"bars": where, "calendar": "XNYS", "save": False, "start": DAYS[1], "end": DAYS[3]}
        return bt.replay(strategies=uses, **given, **more)

    assert members(both(Ranked(), Spelt(), Script())) == expected
    assert members(both(Ranked(), universe={"top": 1, "by": "prior(volume)", "leavers": "exit"})) == expected
    with pytest.raises(
        StrategyError, match=r"strategy s1: universe must be that of strategy s0, was top=2, .* one universe"
    ):
        both(Ranked(), Other())
    with pytest.raises(StrategyError, match=r"strategy s0: universe must be that of \[universe\]"):
        both(Ranked(), universe={"top": 1, "by": "prior(close)"})


def test_a_universe_of_another_kind_is_refused(tmp_path: Path) -> None:
    strategy = Script()
    strategy.universe = ["A", "B"]  # type: ignore[attr-defined]
    with pytest.raises(StrategyError, match=r"universe must be made by bt.top or bt.members, was \['A', 'B'\]"):
        play(market(tmp_path, CHANGING), strategy, DAYS[1])


LEADING: Daily = {
    "A": [(10.0, 900), (10.0, 100), (11.0, 100), (12.0, 100), (13.0, 900), (14.0, 100), (15.0, 100)],
    "B": [(20.0, 500)] * 7,
    "C": [(30.0, 100), (30.0, 900), (30.0, 900), (30.0, 900), (30.0, 100), (30.0, 100), (30.0, 100)],
}
"""The most traded: A, then C, then A on the sixth day."""


class Sees(Script):
    """Notes the cross-section too."""

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        self.happened.append(("rows", rows.symbol, tuple(rows.code.tolist())))


def test_a_leaver_that_is_held_is_shown_and_can_only_be_reduced(tmp_path: Path) -> None:
    where = market(tmp_path, LEADING)
    number = 0

    def trade(book: bt.Book) -> None:
        nonlocal number
        number += 1
        if number == 1:
            book.order("A", 10)
            book.order("B", 1)
        elif number == 2:
            book.order("A", 5)
            book.order("A", -4)
            book.order("A", -20)

    strategy = Sees({("A", 0): trade})
    run = play(where, strategy, DAYS[1], DAYS[3], universe={"top": 1, "by": "prior(volume)"}, prefetch_days=1)
    assert members(run) == {DAYS[1]: ["A"], DAYS[2]: ["C"], DAYS[3]: ["C"]}
    orders = run.orders.sort("id").select("symbol", "shares", "status", "reason").rows()
    assert orders == [
        ("A", 10, "filled", ""),
        ("B", 1, "rejected", "not_in_universe"),
        ("A", 5, "rejected", "not_in_universe"),
        ("A", -4, "filled", ""),
        ("A", -6, "filled", "not_in_universe"),  # what the order before it leaves of the position
    ]
    seen = {h[1:] for h in strategy.happened if h[0] == "rows"}
    assert seen == {(("A",), (0,)), (("A", "C"), (0, 2)), (("C",), (2,))}
    assert run.positions.select("symbol", "shares").rows() == [("A", 10)]


def test_leavers_exit_at_the_next_open(tmp_path: Path) -> None:
    where = market(tmp_path, LEADING)
    strategy = Script({("A", 0): lambda book: book.target("A", 10)})
    universe = {"top": 1, "by": "prior(volume)", "leavers": "exit"}
    run = play(where, strategy, DAYS[1], DAYS[6], universe=universe, prefetch_days=2)
    assert list(members(run).values()) == [["A"], ["C"], ["C"], ["C"], ["A"], ["B"]]
    fills = run.fills.select("session", "symbol", "shares", "price", "tag").rows()
    assert fills == [
        (date(2024, 1, 3), "A", 10, 10.0, ""),
        (date(2024, 1, 4), "A", -10, 11.0, "left_universe"),
        (date(2024, 1, 9), "A", 10, 14.0, ""),
        (date(2024, 1, 10), "A", -10, 15.0, "left_universe"),
    ]
    refused = run.orders.filter(pl.col("reason") == "not_in_universe")  # it wants them back at once
    assert refused.select("session", "status").rows() == [
        (d, "rejected") for d in (date(2024, 1, 4), date(2024, 1, 10))
    ]
    assert run.positions.height == 2


def test_an_order_that_waits_ends_when_its_symbol_leaves(tmp_path: Path) -> None:
    where = market(tmp_path, LEADING)
    last = Script({("A", 2): lambda book: book.order("A", 7, tif="gtc")})
    run = play(where, last, DAYS[1], DAYS[3], universe={"top": 1, "by": "prior(volume)"})
    assert run.orders.select("status", "reason").rows() == [("cancelled", "not_in_universe")]
    assert ("order", 1, "cancelled", "not_in_universe") in last.happened
    assert run.fills.height == 0


def test_orders_that_wait_together_close_no_more_than_is_held_when_their_symbol_leaves(tmp_path: Path) -> None:
    where = market(tmp_path, LEADING)

    def sell(book: bt.Book) -> None:
        for shares in (-4, -10, -3):
            book.order("A", shares, tif="gtc")

    strategy = Script({("A", 0): lambda book: book.order("A", 10), ("A", 2): sell})
    run = play(where, strategy, DAYS[1], DAYS[3], universe={"top": 1, "by": "prior(volume)"})
    given = run.orders.filter(session=date.fromisoformat(DAYS[1])).sort("id")
    assert given.select("shares", "status", "reason").rows() == [
        (10, "filled", ""),
        (-4, "filled", ""),
        (-6, "filled", "not_in_universe"),
        (-3, "cancelled", "not_in_universe"),
    ]
    assert run.fills["position_after"].to_list() == [10, 6, 0]


def test_only_members_those_before_and_what_is_held_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, asked = market(tmp_path, LEADING), []
    window = Loader.window

    def spy(self: Loader, first: int, last: int, symbols: Any = None, more: Any = ()) -> Any:
        asked.append(symbols)
        return window(self, first, last, symbols, more)

    monkeypatch.setattr(Loader, "window", spy)
    strategy = Script({("A", 0): lambda book: book.target("A", 10)})
    play(where, strategy, DAYS[1], DAYS[6], universe={"top": 1, "by": "prior(volume)"}, prefetch_days=1)
    assert asked == [["A"], ["A", "C"], ["A", "C"], ["A", "C"], ["A", "C"], ["A", "B"]]


def test_a_run_tells_its_universe_on_disk_and_in_its_summary(tmp_path: Path) -> None:
    where = market(tmp_path, LEADING)
    universe = {"top": 1, "by": "prior(volume)"}
    run = play(where, Script(), DAYS[1], DAYS[6], universe=universe, save=True, out=tmp_path / "run")
    assert bt.open_run(tmp_path / "run").universe.equals(run.universe)
    assert run.universe.columns == ["session", "symbol", "rank"]
    assert run.summary["universe"] == {"fewest": 1, "most": 1, "ever": 3}
    assert (
        run.summary["bars"] == run.summary["iterations"] == 6 * 3
    )  # three minutes of one symbol, whatever was read with it
    assert "1 of 3 symbols a session, 3 in all" in repr(run)
    assert run.quality.select("session", "symbol").rows() == run.universe.select("session", "symbol").rows()
    assert play(where, Script(), DAYS[1]).summary["universe"] is None


def test_a_universe_may_be_empty(tmp_path: Path) -> None:
    where = market(tmp_path, LEADING)
    run = play(where, Script(), DAYS[1], DAYS[2], universe={"where": "prior(close) > 1000"})
    assert members(run) == {}
    assert (run.summary["bars"], run.quality.height, run.summary["universe"]["most"]) == (0, 0, 0)


def test_a_leaver_without_a_bar_is_sold_when_it_has_one(tmp_path: Path) -> None:
    daily = {**LEADING, "A": [(10.0, 900), (10.0, 100), None, (12.0, 100)]}
    strategy = Script({("A", 0): lambda book: book.target("A", 10)})
    run = play(
        market(tmp_path, daily), strategy, DAYS[1], DAYS[3],
        universe={"top": 1, "by": "prior(volume)", "leavers": "exit"}, prefetch_days=1,
    )  # fmt: skip
    left = run.orders.filter(pl.col("tag") == "left_universe")
    assert left.select("session", "status", "tag").rows() == [
        (date(2024, 1, 4), "expired", "left_universe"),
        (date(2024, 1, 5), "filled", "left_universe"),
    ]


def test_a_strategys_table_starts_from_its_file(tmp_path: Path) -> None:
    where = market(tmp_path, CHANGING)
    (folder := tmp_path / "mine").mkdir()
    table(folder, ("2020-01-01", None, "B"))
    (folder / "own.py").write_text(
        'import bt\n\n\nclass Own:\n    universe = bt.members(table="members.parquet")\n\n'
        "    def on_session_start(self, session, book):\n        pass\n"
    )
    run = bt.replay(
        bars=where, calendar="XNYS", start=DAYS[1], end=DAYS[2], save=False, strategy=f"{folder / 'own.py'}:Own"
    )
    assert members(run) == {DAYS[1]: ["B"], DAYS[2]: ["B"]}


def test_faults_of_others_than_members_do_not_end_a_run(tmp_path: Path) -> None:
    rows = bars("B", [1.0], day=DAYS[1])
    rows[0]["low"] = -1.0
    where = store(tmp_path, bars("A", [1.0] * 3, day=DAYS[0]), bars("A", [1.0] * 3, day=DAYS[1]), rows)
    strict: dict[str, Any] = {"run": {"on_data_error": "raise"}}
    assert play(where, Script(), DAYS[1], universe={"where": "prior(close) > 0"}, **strict).guards.height == 0
    with pytest.raises(BtError):
        play(where, Script(), DAYS[1], **strict)


class Everything(bt.Row):
    symbol: str
    session: date
    close_time: int
    quality: float
    completeness: float | None
    usual: float | None
    busy: float | None
    mean: float | None
    slow: float | None
    rise: float | None
    days: float | None


class Notes:
    row = Everything

    def __init__(self) -> None:
        self.rows: list[Everything] = []

    def features(self) -> dict[str, bt.Feature]:
        return {
            "usual": bt.trailing("avg", "volume", "3d", at="minute"),
            "busy": bt.relative_volume("4d"),
            "mean": bt.sma("close", 17),
            "slow": bt.ema("close", 4, interval="5m"),
            "rise": bt.feature(pl.col("close") - pl.col("close").shift(9), 9),
            "days": bt.trailing("sum", "close*volume", "4d"),
        }

    def on_bar(self, row: Everything, book: bt.Book) -> None:
        self.rows.append(row)


@pytest.fixture(scope="module")
def ragged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six symbols that have some of the first 20 minutes of twelve sessions, with volumes that lead now and then."""
    rng = np.random.default_rng(5)
    days = [
        d for i in range(17) if (d := date(2024, 1, 2) + timedelta(days=i)).weekday() < 5 and d != date(2024, 1, 15)
    ]
    rows = []
    for symbol in "ABCDEF":
        for day in days:
            busy = int(rng.integers(100, 1000))
            prices = [round(10 + float(rng.normal()), 2) if rng.random() < 0.7 else None for _ in range(20)]
            rows += bars(symbol, prices, day=day.isoformat(), volume=busy)
    return store(tmp_path_factory.mktemp("ragged"), rows)


@pytest.mark.parametrize("prefetch", [1, 2, 3, 12])
def test_rows_of_members_are_those_of_a_run_without_a_universe(ragged: Path, prefetch: int) -> None:
    """Symbols come, go and come back: what they need of the past is there each time."""
    every, some = Notes(), Notes()
    play(ragged, every, DAYS[0], "2024-01-18")
    universe = {"top": 2, "by": "prior(volume)"}
    run = play(ragged, some, DAYS[0], "2024-01-18", universe=universe, prefetch_days=prefetch)
    of = set(run.universe.select("session", "symbol").iter_rows())
    assert len({symbol for _, symbol in of}) == 6
    expected = [row for row in every.rows if (row.session, row.symbol) in of]
    assert some.rows == expected
    assert sum(row.completeness is not None for row in expected) > 100
    assert sum(row.slow is not None for row in expected) > 200


def test_what_others_hold_tells_a_strategy_nothing(tmp_path: Path) -> None:
    """A is held by one strategy after it left; the other knows of it what it would know alone."""

    class Knows(Script):
        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            self.happened.append((book.now, book.price("A"), book.age("A"), rows.symbol, rows.age.tolist()))

    def told(*others: Any) -> list[Any]:
        asks = Knows()
        given = [{"name": f"s{i}", "use": use} for i, use in enumerate((asks, *others))]
        bt.replay(
            bars=where, calendar="XNYS", start=DAYS[1], end=DAYS[5], save=False, strategies=given,
            universe={"top": 1, "by": "prior(volume)"},
        )  # fmt: skip
        return asks.happened

    where = market(tmp_path, LEADING)
    holds = Script({("A", 0): lambda book: book.target("A", 10)})
    alone = told()
    assert {h[1] for h in alone if isinstance(h[0], datetime)} == {
        10.0,
        14.0,
    }  # the last ones shown of its days as a member
    assert told(holds) == alone
