"""What callbacks are handed: Python rows, and a minute's cross-section."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from small import THURSDAY, TUESDAY, at, bars, play, store

import bt
from bt.errors import StrategyError, StrategyRaised

CLOSE = pl.col("close")


class Watch:
    """Keeps the rows it is shown."""

    def __init__(self, row: type, features: dict[str, bt.Feature] | None = None) -> None:
        self.row = row
        self._features = features or {}
        self.seen: list[tuple[object, ...]] = []

    def features(self) -> dict[str, bt.Feature]:
        return self._features

    def on_bar(self, row: object, book: bt.Book) -> None:
        self.seen.append(row)


class Everything(bt.Row):
    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: int
    session: date
    open_time: datetime
    close_time: int
    local_time: time
    minute: int
    minutes_left: int
    interval: str
    quality: float


def test_annotations_decide_the_conversion(tmp_path: Path):
    where = store(tmp_path, bars("A", [None, (10.0, 11.0)], volume=7))
    watch = Watch(Everything)
    play(where, watch)
    ends = at(2)
    assert watch.seen == [
        Everything(
            symbol="A", open=10.0, high=11.0, low=10.0, close=11.0, volume=7, session=date(2024, 1, 2), open_time=at(1),
            close_time=int(ends.timestamp() * 1e6), local_time=time(9, 32), minute=1, minutes_left=388, interval="1m",
            quality=50.0,
        )
    ]  # fmt: skip
    types = {name: type(getattr(watch.seen[0], name)) for name in Everything.__annotations__}
    assert types == {
        "symbol": str, "open": float, "high": float, "low": float, "close": float, "volume": int, "session": date,
        "open_time": datetime, "close_time": int, "local_time": time, "minute": int, "minutes_left": int,
        "interval": str, "quality": float,
    }  # fmt: skip


class Pair(NamedTuple):
    close: float
    symbol: str


def test_a_named_tuple_serves_too(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 2.0]))
    watch = Watch(Pair)
    play(where, watch)
    assert watch.seen == [Pair(1.0, "A"), Pair(2.0, "A")]


class Known(bt.Row):
    symbol: str
    needed: float
    wished: float | None


def test_unknown_values_are_none_where_that_is_allowed_and_withhold_the_row_where_not(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 2.0, 3.0, 4.0]))
    watch = Watch(Known, {"needed": bt.sma("close", 2), "wished": bt.sma("close", 3)})
    run = play(where, watch)
    assert [(r.needed, r.wished) for r in watch.seen] == [(1.5, None), (2.5, 2.0), (3.5, 3.0)]
    assert run.summary["guards"] == {"warming_up: needed": 1}


class Counted(bt.Row):
    minute: int
    n_trades: int | None


class AllCounted(bt.Row):
    minute: int
    n_trades: int


def test_a_whole_number_that_the_data_lacks_is_not_known(tmp_path: Path):
    rows = [{**row, "n_trades": n} for row, n in zip(bars("A", [1.0] * 3), (None, 3, None), strict=True)]
    where = store(tmp_path, rows)
    watch = Watch(Counted)
    play(where, watch)
    assert watch.seen == [Counted(0, None), Counted(1, 3), Counted(2, None)]
    watch = Watch(AllCounted)
    run = play(where, watch)
    assert watch.seen == [AllCounted(1, 3)]
    assert run.summary["guards"] == {"warming_up: n_trades": 2}


def test_a_row_withheld_while_it_warms_up_still_fills_and_marks(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 2.0, 3.0, 4.0]))

    class Buys(Watch):
        def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
            book.order("A", 1)

    run = play(where, Buys(Known, {"needed": bt.sma("close", 3), "wished": bt.sma("close", 1)}))
    assert run.fills["price"].to_list() == [1.0]
    assert run.equity["gross"].to_list()[:3] == [1.0, 2.0, 3.0]


class Whole(bt.Row):
    count: int


class Flag(bt.Row):
    flag: bool


def test_numbers_that_do_not_fit_their_annotation_are_named(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, 2.5]))
    watch = Watch(Whole, {"count": bt.feature(CLOSE * 2, 0)})
    play(where, watch)
    assert [r.count for r in watch.seen] == [2, 5]
    assert all(type(r.count) is int for r in watch.seen)
    with pytest.raises(StrategyError, match=r"field 'count': an int must be whole, was 2.5; annotate it float"):
        play(where, Watch(Whole, {"count": bt.feature(CLOSE, 0)}))
    with pytest.raises(StrategyError, match="field 'flag': a bool must come from a boolean feature"):
        play(where, Watch(Flag, {"flag": bt.feature(CLOSE, 0)}))
    watch = Watch(Flag, {"flag": bt.feature(CLOSE > 2, 0)})
    play(where, watch)
    assert [r.flag for r in watch.seen] == [False, True]


def test_rows_are_shown_by_symbol_then_coarser_ones_finest_first(tmp_path: Path):
    class Minute(bt.Row):
        symbol: str

    class Two(bt.Row):
        interval = "2m"
        symbol: str

    class Four(bt.Row):
        interval = "4m"
        symbol: str

    watch = Watch(Minute)
    watch.row = (Four, Minute, Two)
    where = store(tmp_path, bars("B", [1.0] * 4), bars("A", [1.0] * 4))
    play(where, watch)
    assert [(type(r).__name__, r.symbol) for r in watch.seen[-6:]] == [
        ("Minute", "A"), ("Minute", "B"), ("Two", "A"), ("Two", "B"), ("Four", "A"), ("Four", "B"),
    ]  # fmt: skip


class Section(bt.Row):
    symbol: str
    close: float
    volume: int
    minute: int
    close_time: datetime
    mean: float | None


class Cross(Watch):
    """Copies each cross-section into plain values."""

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        self.seen.append(
            (rows.minute, rows.close.tolist(), rows.fresh.tolist(), rows.mean.tolist(), rows.position.tolist())
        )
        self.rows = rows
        book.target("A", 5)

    on_bar = None


def test_a_cross_section_holds_every_symbol_in_order(tmp_path: Path):
    where = store(tmp_path, bars("A", [1.0, None, 3.0]), bars("B", [5.0, 6.0, 7.0]), bars("C", [9.0], day=THURSDAY))
    cross = Cross(Section, {"mean": bt.sma("close", 2)})
    play(where, cross)
    nan = math.nan
    expected = [
        (0, [1.0, 5.0, nan], [True, True, False], [nan, nan, nan], [0, 0, 0]),
        (1, [nan, 6.0, nan], [False, True, False], [nan, 5.5, nan], [0, 0, 0]),
        (2, [3.0, 7.0, nan], [True, True, False], [2.0, 6.5, nan], [5, 0, 0]),
    ]
    for found, wanted in zip(cross.seen, expected, strict=True):
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)
    rows = cross.rows
    assert rows.symbol == ("A", "B", "C")
    assert rows.code.tolist() == [0, 1, 2]
    assert len(rows) == 3
    assert rows.volume.dtype == np.float64
    assert rows.close_time == datetime(2024, 1, 2, 14, 33, tzinfo=UTC)
    with pytest.raises(
        AttributeError, match=r"a column must be one of symbol, code, .*close.* was 'open'; add it to the row type"
    ):
        rows.open  # noqa: B018


def test_a_cross_section_of_one_minute_never_changes_later(tmp_path: Path):
    kept: list[bt.Rows] = []

    class Keeps(Watch):
        def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
            kept.append(rows)
            book.order("A", 1)

        on_bar = None

    play(store(tmp_path, bars("A", [1.0, 2.0, 3.0])), Keeps(Section, {"mean": bt.sma("close", 2)}))
    assert [rows.close.tolist() for rows in kept] == [[1.0], [2.0], [3.0]]
    assert [rows.position.tolist() for rows in kept] == [[0], [1], [2]]


def test_optional_columns_need_the_data_to_have_them(tmp_path: Path):
    class Vwap(bt.Row):
        vwap: float

    where = store(tmp_path, bars("A", [1.0]))
    with pytest.raises(StrategyError, match="field 'vwap' must be a column of the data; its files have no vwap"):
        play(where, Watch(Vwap))
    where = store(tmp_path, [{**row, "vwap": 1.25} for row in bars("A", [1.0])])
    watch = Watch(Vwap)
    play(where, watch)
    assert [r.vwap for r in watch.seen] == [1.25]


def test_a_row_without_a_column_of_its_own_is_shown_once_a_bar(tmp_path: Path):
    class Constants(bt.Row):
        minute: int
        session: date

    where = store(tmp_path, bars("A", [1.0, 1.0]), bars("B", [1.0]))

    class Raises(Watch):
        def on_bar(self, row: Constants, book: bt.Book) -> None:
            super().on_bar(row, book)
            if len(self.seen) == 2:
                raise ValueError("at B")

    watch = Watch(Constants)
    play(where, watch)
    assert [r.minute for r in watch.seen] == [0, 0, 1]
    with pytest.raises(StrategyRaised, match=r"minute 0, .* symbol B"):
        play(where, Raises(Constants))
    assert watch.seen[0].session.isoformat() == TUESDAY
