"""Daily bars of the past: through the cache that trailing indicators share, and what the minutes give, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from small import THURSDAY, TUESDAY, WEDNESDAY, bars, play, store
from test_at_open import Opens, market
from test_laws import law
from test_universe_past import changing, markets, temporary
from watchers import refusals, replayed
from worlds import World, stored, worlds

import bt
from bt.prepare import days as rooms


class Usual(bt.Row):
    symbol: str
    close_time: int
    before: float | None
    usual: float | None


class Days:
    """Asks at each open for daily bars and for the minutes of the same sessions; holds what it bought, and declares trailing
    indicators of the same quantities."""

    row = Usual

    def __init__(self, asked: Sequence[tuple[int, tuple[str, ...]]]) -> None:
        self.asked = asked
        self.told: list[tuple[pl.DataFrame, pl.DataFrame]] = []

    def features(self) -> dict[str, bt.Feature]:
        return {"before": bt.prior("close"), "usual": bt.trailing("avg", "volume", "3d")}

    def at_open(self, session: bt.Session, past: bt.Past) -> None:
        self.told += [(past("1d", n, columns), past("1m", n, columns)) for n, columns in self.asked]

    def on_bar(self, row: Usual, book: bt.Book) -> None:
        if row.close_time // 60_000_000 % 7 == 0:
            book.target(row.symbol, 1)


columns = st.lists(
    st.sampled_from(("open", "high", "low", "close", "volume")), min_size=1, max_size=5, unique=True
).map(tuple)
asks = st.lists(st.tuples(st.integers(1, 6), columns), min_size=1, max_size=3)


@law(30)
@given(st.data(), worlds() | markets(), asks, st.sampled_from((1, 2, 5)), st.booleans())
def test_daily_bars_are_those_of_the_minutes(
    data: st.DataObject, world: World, asked: Any, days: int, changes: bool
) -> None:
    """Of the same symbols and sessions as the minutes, with the values of bars that were made of them; also when all is cached."""
    first, last = world.schedule.names[world.first], world.schedule.names[world.last]
    with stored(world) as folder, temporary() as beside:
        more = {"universe": data.draw(changing(world, beside)).ours} if changes else {}
        with refusals():
            made = bt.load_bars(folder, world.calendar, first, last, intervals=["1d"])["1d"]
        found = []
        for n in (days, 3):
            player = Days(asked)
            replayed(world, folder, player, prefetch_days=n, **more)
            found.append(player.told)
    for daily, minutes in found[0]:
        keys = minutes.select("symbol", "session").unique(maintain_order=True)
        expected = keys.join(made, on=["symbol", "session"], how="left", maintain_order="left").select(daily.columns)
        assert_frame_equal(daily, expected, check_exact=True)
    for one, other in zip(*found, strict=True):
        assert_frame_equal(one[0], other[0], check_exact=True)


@pytest.fixture
def lacking(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The sessions that daily bars are made for, from minutes."""
    found: list[list[int]] = []
    real = rooms.read

    def spy(past: Any, lacking: Any) -> Any:
        found.extend([sorted(lacking)] if lacking else [])
        return real(past, lacking)

    monkeypatch.setattr(rooms, "read", spy)
    return found


def test_minutes_are_read_once_for_all_runs(tmp_path: Path, lacking: list[list[int]]) -> None:
    """Ahead, for the sessions of the run; never again."""
    where = market(tmp_path)
    play(where, Opens(2), WEDNESDAY, THURSDAY)
    assert lacking == [[0, 1]]
    again = Opens(2)
    play(where, again, WEDNESDAY, THURSDAY)
    assert lacking == [[0, 1]]
    assert again.told[1][1]["close"].to_list() == [12.0, 13.0, 21.0]
    play(where, Opens(2, "1d", ("open", "close")), WEDNESDAY, THURSDAY)
    assert lacking == [[0, 1]] * 2  # opens were not there yet


def test_other_bars_are_read_again(tmp_path: Path, lacking: list[list[int]]) -> None:
    days = (TUESDAY, WEDNESDAY, THURSDAY)
    for prices in (10.0, 20.0):
        where = store(tmp_path, *(bars("AAA", [prices, prices + 1], day=day) for day in days))
        strategy = Opens(1)
        play(where, strategy, WEDNESDAY)
        assert [frame["close"].to_list() for _, frame in strategy.told] == [[prices + 1]]
    assert lacking == [[0]] * 2


def test_volumes_that_are_whole_no_longer_and_again(tmp_path: Path) -> None:
    """What was remembered when all volumes were whole, or not all, has the type that the store has now."""
    folder = tmp_path / "bars"
    folder.mkdir()

    def write(volume: float, *days: str) -> None:
        frame = pl.DataFrame([bar for day in days for bar in bars("AAA", [10.0, 11.0], day=day, volume=volume)])
        frame.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC"))).write_parquet(folder / f"{days[0]}.parquet")

    def told(day: str) -> pl.Series:
        asked = Days([(2, ("volume",))])
        play(folder, asked, day)
        daily, minutes = asked.told[0]
        assert daily.schema == minutes.schema
        return daily["volume"]

    write(100.0, TUESDAY, WEDNESDAY)
    assert told(WEDNESDAY).equals(pl.Series([200]))
    write(0.5, THURSDAY)
    assert told(THURSDAY).equals(pl.Series([200.0, 200.0]))
    assert told(THURSDAY).equals(pl.Series([200.0, 200.0]))
    (folder / f"{THURSDAY}.parquet").unlink()
    assert told(WEDNESDAY).equals(pl.Series([200]))


class Seen(bt.Row):
    symbol: str
    other: float | None


class Along(Opens):
    """Sees another symbol by a feature alone: it comes first by name, and after the others in the store."""

    row = Seen

    def features(self) -> dict[str, bt.Feature]:
        return {"other": bt.of("AAA", bt.sma("close", 2))}

    def at_open(self, session: bt.Session, past: bt.Past) -> None:
        self.told.append(past(*self.asked))

    def on_bar(self, row: Any, book: bt.Book) -> None: ...


def test_symbols_that_are_read_along_are_not_told(tmp_path: Path) -> None:
    """One column is remembered by name, the other comes from the minutes: they are of the same symbols."""
    days = (TUESDAY, WEDNESDAY, THURSDAY)
    named = (("AAA", 10.0), ("BBB", 20.0), ("CCC", 30.0))
    where = store(tmp_path, *(bars(s, [(p + d, p + d + 5)], day=day) for s, p in named for d, day in enumerate(days)))
    given_ = {"symbols": ["BBB", "CCC"]}
    play(where, Along(2), THURSDAY, **given_)
    both = Along(2, "1d", ("open", "close"))
    play(where, both, THURSDAY, **given_)
    rows = [("BBB", 20.0, 25.0), ("BBB", 21.0, 26.0), ("CCC", 30.0, 35.0), ("CCC", 31.0, 36.0)]
    assert both.told[0].select("symbol", "open", "close").rows() == rows
