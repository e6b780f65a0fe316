"""load_bars(lazy=True): the same rows, read as they are collected, and no more than a query needs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import TUESDAY, WEDNESDAY, bars, store
from test_laws import law
from watchers import refusals
from worlds import World, stored, worlds

import bt
from bt.errors import DataError, StrategyError, UsageError
from bt.scans import Wanted, scan

ENGINES = st.sampled_from(("streaming", "in-memory"))
DAYS = [dt.date(2024, 1, d) for d in (2, 3, 4, 5)]
SCHEMA = pl.Schema({"symbol": pl.String, "session": pl.Date, "x": pl.Float64, "y": pl.Float64})


def recorded() -> tuple[pl.LazyFrame, list[Wanted]]:
    """A scan of four sessions of three symbols, and what is asked of it."""
    asked: list[Wanted] = []

    def read(wanted: Wanted) -> Iterator[pl.DataFrame]:
        asked.append(wanted)
        for a, b in wanted.sessions:
            for day in DAYS[a : b + 1]:
                data = {"symbol": list("ABC"), "session": [day] * 3, "x": [1.0, 2.0, 3.0], "y": [4.0, 5.0, 6.0]}
                yield pl.DataFrame(data, schema=SCHEMA)

    return scan(read, SCHEMA, DAYS, list("ABC")), asked


def only(asked: list[Wanted]) -> tuple[list[tuple[int, int]], list[str] | None, list[str]]:
    (one,) = asked
    return one.sessions, one.symbols, one.columns


ALL = list(SCHEMA)


@pytest.mark.parametrize("engine", ["streaming", "in-memory"])
@pytest.mark.parametrize(
    ("query", "sessions", "symbols", "columns", "height"),
    [
        (lambda f: f, [(0, 3)], None, ALL, 12),
        (lambda f: f.select("x"), [(0, 3)], None, ["x"], 12),
        (lambda f: f.filter(pl.col("session") >= DAYS[2]).select("x"), [(2, 3)], None, ["session", "x"], 6),
        (lambda f: f.filter(pl.col("session").is_in([DAYS[0], DAYS[2]])), [(0, 0), (2, 2)], None, ALL, 6),
        (lambda f: f.filter(pl.col("symbol") == "B", pl.col("x") > 0), [(0, 3)], ["B"], ALL, 4),
        (lambda f: f.filter(pl.col("symbol") != "B").filter(pl.col("session") < DAYS[1]), [(0, 0)], ["A", "C"], ALL, 2),
        (lambda f: f.filter((pl.col("symbol") == "B") | (pl.col("session") == DAYS[0])), [(0, 3)], None, ALL, 6),
        (lambda f: f.filter(~(pl.col("symbol") == "B")), [(0, 3)], ["A", "C"], ALL, 8),
        (lambda f: f.filter(pl.col("session") == pl.col("session").max()), [(0, 3)], None, ALL, 3),
        (lambda f: f.head(4), [(0, 3)], None, ALL, 4),
        (lambda f: f.head(4).filter(pl.col("symbol") == "B"), [(0, 3)], None, ALL, 1),
        (lambda f: f.filter(pl.col("symbol") == "B").head(3), [(0, 3)], ["B"], ALL, 3),
        (lambda f: f.filter(pl.col("symbol") == "Z"), [], [], ALL, 0),
    ],
)  # fmt: skip
def test_a_query_reads_what_it_needs(query: Any, sessions: Any, symbols: Any, columns: Any, height: int, engine: Any):
    frame, asked = recorded()
    found = query(frame).collect(engine=engine)
    assert only(asked) == (sessions, symbols, columns)
    assert found.equals(query(recorded()[0].collect()))
    assert found.height == height


def market(folder: Path) -> Path:
    days = (bars(s, [10.0 + i, 11.0, 12.0], day=d) for d in (TUESDAY, WEDNESDAY) for i, s in enumerate(("AAA", "BBB")))
    return store(folder, *days)


def test_lazy_frames_by_interval(tmp_path: Path) -> None:
    where = market(tmp_path)
    given_ = {"intervals": ["1m", "5m"], "features": {"mean": bt.sma("close", 2), "rank": bt.cross_rank("mean")}}
    eager = bt.load_bars(where, "XNYS", TUESDAY, WEDNESDAY, **given_)
    lazy = bt.load_bars(where, "XNYS", TUESDAY, WEDNESDAY, lazy=True, **given_)
    assert list(lazy) == ["1m", "5m"]
    for label, frame in lazy.items():
        assert isinstance(frame, pl.LazyFrame)
        assert frame.collect_schema() == eager[label].schema
        assert frame.collect().equals(eager[label])
        of_one = pl.col("symbol") == "BBB"
        assert frame.filter(of_one).collect().equals(eager[label].filter(of_one))  # its rank is still among both


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    where = market(tmp_path)
    with pytest.raises(UsageError, match="start: it must be a date"):
        bt.load_bars(where, "XNYS", "tomorrow", WEDNESDAY, lazy=True)
    frame = bt.load_bars(where, "XNYS", TUESDAY, WEDNESDAY, lazy=True)["1m"]
    (where / "bars.parquet").unlink()
    with pytest.raises((DataError, UsageError)):
        frame.collect()


@pytest.mark.parametrize("name", ["close", "open_time", "symbol", "__code"])
def test_a_feature_is_no_other_column(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        StrategyError, match=f"load_bars: feature '{name}' must have a name of its own; that one is taken"
    ):
        bt.load_bars(market(tmp_path), "XNYS", TUESDAY, WEDNESDAY, features={name: bt.sma("close", 3)})


def test_features_are_features(tmp_path: Path) -> None:
    where = market(tmp_path)
    for wrong, told in (({"x": "close"}, "feature 'x' must be made by bt.feature"), (["x"], "features must be a dict of features, was")):  # fmt: skip
        with pytest.raises(StrategyError, match=f"load_bars: {told}"):
            bt.load_bars(where, "XNYS", TUESDAY, WEDNESDAY, features=wrong)


def test_who_is_left_out_is_told(tmp_path: Path) -> None:
    of_b = pl.when(pl.col("close").first() > 10).then(pl.lit("no number")).otherwise(pl.lit("1"))
    feature = bt.feature(of_b.cast(pl.Int64), lookback=0)
    where = market(tmp_path)
    told = "BBB is left out of the session 2024-01-02, and 1 more from 2024-01-02 to 2024-01-03: .*conversion from"
    for lazy in (False, True):
        with pytest.warns(UserWarning, match=f"load_bars: {told if not lazy else 'BBB is left out'}"):
            made = bt.load_bars(where, "XNYS", TUESDAY, WEDNESDAY, features={"x": feature}, lazy=lazy)["1m"].lazy().collect()  # fmt: skip
        assert made["symbol"].unique().to_list() == ["AAA"]

    class Sees(bt.Row):
        symbol: str
        x: int

    class Watches:
        row = Sees

        def features(self) -> dict[str, bt.Feature]:
            return {"x": feature}

        def on_bar(self, row: Sees, book: bt.Book) -> None: ...

    with pytest.warns(UserWarning, match=f"load_rows: {told}"):
        rows = bt.load_rows(bars=where, calendar="XNYS", strategy=Watches(), start=TUESDAY, end=WEDNESDAY)
    assert rows["symbol"].unique().to_list() == ["AAA"]


def test_one_interval_may_stand_alone(tmp_path: Path) -> None:
    assert list(bt.load_bars(market(tmp_path), "XNYS", TUESDAY, WEDNESDAY, intervals="5m")) == ["5m"]


FEATURES = {
    "mean": bt.sma("close", 3), "adv": bt.trailing("avg", "volume", "2d"), "slow": bt.ema("close", 4), "rank": bt.cross_rank("mean"),
    "so_far": bt.so_far("sum", "volume"),
}  # fmt: skip


@law(20)
@given(st.data(), worlds(), ENGINES)
def test_lazy_is_eager(data: st.DataObject, world: World, engine: Any) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(FEATURES)), unique=True))
    if "rank" in names and "mean" not in names:
        names.append("mean")
    label = data.draw(st.sampled_from(("1m", "5m")))
    asked = {"intervals": [label], "features": {n: FEATURES[n] for n in names}}
    with stored(world) as folder, refusals():
        eager = bt.load_bars(folder, world.calendar, **world.span, **asked)[label]
        lazy = bt.load_bars(folder, world.calendar, **world.span, **asked, lazy=True)[label]
        columns = data.draw(st.lists(st.sampled_from(eager.columns), unique=True, min_size=1))
        days = data.draw(st.lists(st.sampled_from([d.name for d in world.played]), unique=True))
        symbols = data.draw(st.lists(st.sampled_from(world.symbols), unique=True))
        queries = [
            lambda f: f,
            lambda f: f.filter(pl.col("session").is_in(days)).select(columns),
            lambda f: f.filter(pl.col("symbol").is_in(symbols), pl.col("session").is_in(days), pl.col("close") > 0),
            lambda f: f.filter(pl.col("symbol").is_in(symbols)).select(columns).head(7),
        ]
        query = data.draw(st.sampled_from(queries))
        assert query(lazy).collect(engine=engine).equals(query(eager))
