"""bt.of a symbol that is not in data.symbols: it is read for the feature, and is nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from small import THURSDAY, TUESDAY, WEDNESDAY, at, bars, play, store
from test_laws import TABLES, law
from watchers import refusals, replayed
from worlds import World, stored, worlds

import bt
from bt.errors import StrategyError, StrategyRaised


class Row(bt.Row):
    symbol: str
    close: float
    last: float | None
    usual: float | None
    mean: float | None
    rank: float | None


class Watches:
    """Notes what it was shown; trades by the closes alone."""

    row = Row

    def __init__(self, other: str = "", interval: str = "1m") -> None:
        self.other, self.interval = other, interval
        self.seen: list[Any] = []

    def features(self) -> dict[str, bt.Feature]:
        own = {
            "last": bt.lag("close", 0),
            "usual": bt.trailing("avg", "close", "2d"),
            "mean": bt.sma("close", 7, interval=self.interval),
        }
        of = {name: bt.of(self.other, feature) for name, feature in own.items()} if self.other else own
        return {**of, "rank": bt.cross_rank(bt.lag("close", 0))}

    def on_bar(self, row: Row, book: bt.Book) -> None:
        self.seen.append((book.now, row.symbol, row.close, row.last, row.usual, row.mean, row.rank))
        book.target(row.symbol, int(row.close * 100) % 3)


KINDS = st.sampled_from(("1m", "5m", "1h"))


@law(25)
@given(worlds(), st.data())
def test_it_is_what_it_would_be_among_the_symbols(world: World, data: st.DataObject) -> None:
    """Each row as in a run with the other symbol among the rest, but for the rank; and all else as in a run without the feature."""
    assume(len(world.symbols) > 1)
    other = data.draw(st.sampled_from(world.symbols), label="other")
    interval, days = data.draw(KINDS, label="interval"), data.draw(st.sampled_from((1, 2, 5)), label="days")
    few = [s for s in world.symbols if s != other]
    first, last = (
        min(r.time_us for r in world.rows if r.symbol in few),
        max(r.time_us for r in world.rows if r.symbol in few),
    )
    assume(any(d.open <= last and d.close > first for d in world.played))
    with_it, among, without = Watches(other, interval), Watches(other, interval), Watches("", interval)
    with stored(world) as folder:
        run = replayed(world, folder, with_it, symbols=few, prefetch_days=days)
        replayed(world, folder, among, prefetch_days=3)
        plain = replayed(world, folder, without, symbols=few, prefetch_days=days)
        with refusals():
            rows = bt.load_rows(
                strategy=Watches(other, interval), bars=folder, calendar=world.calendar, symbols=few, **world.span
            )
    mine = [s[:-1] for s in among.seen if s[1] in few]
    assert [s[:-1] for s in with_it.seen] == mine
    ranks = [(*s[:3], s[-1]) for s in with_it.seen]
    assert ranks == [(*s[:3], s[-1]) for s in without.seen]
    assert sorted(zip(rows["symbol"], rows["last"], strict=True), key=repr) == sorted(
        ((s[1], s[3]) for s in with_it.seen), key=repr
    )
    for name in TABLES:
        assert_frame_equal(getattr(run, name), getattr(plain, name))
    assert run.summary["symbols"] == len(few)
    assert run.summary["bars"] == plain.summary["bars"]


def test_values_by_hand(tmp_path: Path) -> None:
    """SPY is older, and no candidate: its last close, and the mean of its last two sessions' closes."""
    rows = [
        bars("SPY", [10.0, 11.0], day=TUESDAY),
        bars("SPY", [20.0, 21.0, 22.0], day=WEDNESDAY),
        bars("SPY", [30.0], day=THURSDAY),
    ]
    where = store(tmp_path, *rows, bars("AAA", [1.0, 2.0, 3.0], day=THURSDAY))
    strategy = Watches("SPY")
    run = play(where, strategy, THURSDAY, symbols=["AAA"])
    assert [s[:5] for s in strategy.seen] == [(at(m + 1, THURSDAY), "AAA", m + 1.0, 30.0, 16.5) for m in range(3)]
    assert [s[5] for s in strategy.seen] == [None] * 3
    assert run.quality["symbol"].unique().to_list() == ["AAA"]
    assert run.summary["features_short"] == {"mean": {"SPY": THURSDAY}}
    assert run.summary["symbols"] == 1


def test_it_is_not_traded_nor_seen(tmp_path: Path) -> None:
    class Buys(Watches):
        def on_bar(self, row: Row, book: bt.Book) -> None:
            book.order("SPY", 1)

    class Looks(Watches):
        def at_open(self, session: Any, past: Any) -> None:
            self.seen.append(past("1m", 1)["symbol"].unique().to_list())

        def on_bar(self, row: Row, book: bt.Book) -> None: ...

    rows = [bars(s, [10.0, 11.0], day=day) for s in ("SPY", "AAA", "ZZZ") for day in (TUESDAY, WEDNESDAY)]
    where = store(tmp_path, *rows)
    with pytest.raises(StrategyRaised, match="SPY"):
        play(where, Buys("SPY"), WEDNESDAY, symbols=["AAA"])
    looks = Looks("SPY")
    play(where, looks, WEDNESDAY, symbols=["AAA", "ZZZ"])
    assert sorted(looks.seen[0]) == ["AAA", "ZZZ"]
    with pytest.raises(StrategyError, match="of: symbol must be one of the 3 .* was 'SPX'; the nearest is 'SPY'"):
        play(where, Watches("SPX"), WEDNESDAY, symbols=["AAA"])


@pytest.mark.parametrize("days", [1, 3])
def test_a_universe_does_not_hold_it(tmp_path: Path, days: int) -> None:
    """SPY leads by volume, and is no member: it is no candidate."""
    rows = [
        bars(symbol, [10.0 + d, 11.0 + d], day=day, volume=volume)
        for d, day in enumerate((TUESDAY, WEDNESDAY, THURSDAY))
        for symbol, volume in (("SPY", 9000), ("AAA", 100 + 900 * d), ("BBB", 500))
    ]
    strategy = Watches("SPY")
    run = play(
        store(tmp_path, *rows), strategy, WEDNESDAY, THURSDAY,
        symbols=["AAA", "BBB"], universe={"top": 1, "by": "prior(volume)"}, prefetch_days=days,
    )  # fmt: skip
    assert run.universe["symbol"].to_list() == ["BBB", "AAA"]
    assert [(s[1], s[3]) for s in strategy.seen] == [
        ("BBB", 11.0),
        ("BBB", 12.0),
        ("AAA", 12.0),
        ("BBB", 12.0),
        ("AAA", 13.0),
        ("BBB", 13.0),
    ]
    assert set(run.quality["symbol"]) <= {"AAA", "BBB"}


@pytest.mark.parametrize("how", ["raise", "isolate"])
def test_its_faults_are_not_the_run_s(tmp_path: Path, how: str) -> None:
    """A faulty row of it is left out, and is in no table, as that of a symbol outside the universe."""
    bad = bars("SPY", [10.0, 11.0])
    bad[1]["high"] = 1.0
    strategy = Watches("SPY")
    run = play(store(tmp_path, bad, bars("AAA", [1.0, 2.0])), strategy, symbols=["AAA"], set={"run.on_data_error": how})
    assert [s[3] for s in strategy.seen] == [10.0, 10.0]
    assert run.guards.is_empty()


def test_load_bars_too(tmp_path: Path) -> None:
    where = store(tmp_path, bars("SPY", [10.0, 11.0]), bars("AAA", [1.0, 2.0]))
    found = bt.load_bars(
        where,
        calendar="XNYS",
        start=TUESDAY,
        end=TUESDAY,
        symbols=["AAA"],
        features={"spy": bt.of("SPY", bt.lag("close", 0))},
    )
    assert found["1m"].select("symbol", "spy").rows() == [("AAA", 10.0), ("AAA", 11.0)]


@pytest.mark.parametrize("gate", ["completeness", "quality"])
def test_what_gates_entries_is_of_those_that_may_be_traded(tmp_path: Path, gate: str) -> None:
    """What a symbol usually has by each minute is worked out for those that are read along as well."""
    where = store(tmp_path, bars("A", [1.0, 1.01, 1.02, 1.0]), bars("B", [2.0, 2.01, 2.02, 2.0]))
    settings: dict[str, Any] = {"symbols": ["A"], "quality": {"gate": gate, "minimum": 50}}
    along, alone = play(where, Watches("B"), **settings), play(where, Watches(), **settings)
    assert_frame_equal(along.orders, alone.orders)
    assert along.orders.height
