"""Bars as a table in memory: checked like a file, replayed like a file, known by their content."""

from __future__ import annotations

import pickle
from datetime import date
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from polars.testing import assert_frame_equal
from small import bars

import bt
from bt.errors import ConfigError, DataError, UsageError
from bt.model import DataSpec
from bt.results import SCHEMAS, open_documents
from bt.store import Store, in_memory

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"
DAYS = {"start": "2024-11-27", "end": "2024-12-02"}


class Minute(bt.Row):
    symbol: str
    close: float
    mean: float | None
    adv_1: float | None


class Means:
    row = Minute

    def features(self) -> dict[str, bt.Feature]:
        return {"mean": bt.sma("close", 7), "adv_1": bt.trailing("avg", "close*volume", "2d")}

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        if row.mean is not None and row.mean != row.close:
            book.target(row.symbol, 10 if row.close > row.mean else -10)


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    files = sorted(SAMPLE.glob("2024-11-2*.parquet")) + sorted(SAMPLE.glob("2024-12-0[2-3].parquet"))
    return pl.concat([pl.read_parquet(file) for file in files])


def as_file(rows: pl.DataFrame, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    rows.write_parquet(folder / "bars.parquet")
    return folder


def play(where: object, **more: object) -> bt.Run:
    return bt.replay(bars=where, strategy=Means, save=False, quality={"minimum": 50.0}, **DAYS, **more)


def assert_equal_runs(one: bt.Run, other: bt.Run) -> None:
    assert one.fills.height > 100
    for table in SCHEMAS:
        assert_frame_equal(one.tables[table], other.tables[table])
    assert one.metrics == other.metrics


@pytest.mark.parametrize("form", ["frame", "lazy", "arrow", "categories", "nanoseconds", "local", "chunks", "floats"])
def test_a_table_gives_what_the_same_rows_in_a_file_give(rows: pl.DataFrame, tmp_path: Path, form: str):
    time = next(name for name, kind in rows.schema.items() if isinstance(kind, pl.Datetime))
    in_file, more = rows, {}
    if form == "floats":
        rows = in_file = rows.with_columns(pl.col("volume").cast(pl.Float64))
    made = {
        "frame": lambda: rows,
        "lazy": rows.lazy,
        "arrow": rows.to_arrow,
        "categories": lambda: rows.with_columns(pl.col("symbol").cast(pl.Categorical)),
        "nanoseconds": lambda: rows.with_columns(pl.col(time).dt.cast_time_unit("ns")),
        "local": lambda: rows.with_columns(
            pl.col(time).dt.convert_time_zone("America/New_York").dt.replace_time_zone(None)
        ),
        "chunks": lambda: pl.concat([rows[:1000], rows[1000:]], rechunk=False),
        "floats": lambda: rows,
    }[form]()
    if form == "local":
        more = {"timezone": "America/New_York"}
    assert_equal_runs(play(made, **more), play(as_file(in_file, tmp_path / "store")))


def test_symbols_and_columns_and_stamps_work(rows: pl.DataFrame, tmp_path: Path):
    time = next(name for name, kind in rows.schema.items() if isinstance(kind, pl.Datetime))
    renamed = rows.rename({time: "when", "open": "o"}).with_columns(pl.col("when") + pl.duration(minutes=1))
    more = {"symbols": ["BRIK", "ASHB"], "columns": {"open_time": "when", "open": "o"}, "stamp": "end"}
    assert_equal_runs(play(renamed, **more), play(as_file(renamed, tmp_path / "store"), **more))


def test_load_bars_takes_a_table(rows: pl.DataFrame, tmp_path: Path):
    given = {"intervals": ["1m", "15m"], "features": {"mean": bt.sma("close", 5)}}
    one = bt.load_bars(rows, "XNYS", "-2 sessions", "last", **given)
    other = bt.load_bars(as_file(rows, tmp_path / "store"), "XNYS", "-2 sessions", "last", **given)
    for interval in ("1m", "15m"):
        assert_frame_equal(one[interval], other[interval])
    assert one["1m"]["session"].unique().sort().to_list() == [date(2024, 12, 2), date(2024, 12, 3)]


def test_faulty_rows_are_withheld_as_from_a_file(tmp_path: Path):
    made = bars("A", [10.0, 11.0, 12.0, 13.0])
    made[1]["close"] = float("nan")
    made.append(dict(made[2], close=99.0, high=99.0))
    made.append(bars("A", [5.0], first=-5)[0])
    frame = pl.DataFrame(made).with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))
    given = {"strategy": Means, "start": "2024-01-02", "end": "2024-01-02", "save": False}
    one, other = bt.replay(bars=frame, **given), bt.replay(bars=as_file(frame, tmp_path / "s"), **given)
    assert one.summary["guards"] == other.summary["guards"] != {}
    assert_frame_equal(one.guards, other.guards)


# ----------------------------------------------------------------------------------------------------- known by content


def test_bars_in_memory_are_known_by_their_content(rows: pl.DataFrame):
    whole = in_memory(rows)
    again = in_memory(pl.concat([rows[:10], rows[10:]], rechunk=False).lazy())
    assert whole == again
    assert pickle.loads(pickle.dumps(whole)) == whole  # noqa: S301 - our own
    assert in_memory(rows.to_arrow()) == whole
    assert in_memory(rows.reverse()) != whole
    assert in_memory(rows.with_columns(pl.col("close") + 0.01)) != whole
    assert in_memory(rows.with_columns(symbol=pl.lit("X"))) != whole
    assert in_memory(rows.with_columns(close=pl.when(pl.col("close") > 0).then("close"))) == whole
    assert in_memory(rows.with_columns(close=pl.when(pl.int_range(pl.len()) > 0).then("close"))) != whole
    assert str(whole) == "bars in memory"


def test_a_run_says_which_bars_it_had(rows: pl.DataFrame, tmp_path: Path):
    def documents(frame: pl.DataFrame, out: str):
        given = {"strategy": Means, "output": {"dir": tmp_path}, "out": tmp_path / out}
        return open_documents(bt.replay(bars=frame, **DAYS, **given).path)["manifest"]

    one, other = documents(rows, "a"), documents(rows.clone(), "b")
    third = documents(rows.filter(pl.col("symbol") != "BRIK"), "c")
    assert one["spec"]["data"]["bars"].startswith("memory:")
    assert one["spec_hash"] == other["spec_hash"] != third["spec_hash"]
    assert one["data_fingerprint"] == other["data_fingerprint"] != third["data_fingerprint"]


def test_one_store_may_be_read_from_threads(rows: pl.DataFrame):
    opened = Store.open(DataSpec(in_memory(rows), "XNYS"))
    first, last = min(opened.first.values()), opened.reach
    whole = opened.read(first, last + 1, ["close"])
    assert whole.height == rows.height == opened.rows
    assert "ARROW" in opened.explain(first, last, ["close"]).upper()
    opened.close()


# ---------------------------------------------------------------------------------------------------- checked like a file


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop("close"), "bars in memory: column 'close' must be present, was missing among"),
        (lambda f: f.drop("symbol"), "bars in memory: column 'symbol or ticker' must be text"),
        (
            lambda f: f.with_columns(pl.col("ts").dt.replace_time_zone(None)),
            "must be a timestamp with a time zone, was timestamp[us]",
        ),
        (lambda f: f.with_columns(pl.col("ts").cast(pl.String)), "column 'ts' must be a timestamp, was large_string"),
        (
            lambda f: f.with_columns(pl.col("close").cast(pl.String)),
            "column 'close' must be a number, was large_string",
        ),
        (lambda f: f.with_columns(volume=pl.lit([1])), "column 'volume' must be an integer or float, was large_list"),
        (
            lambda f: f.with_columns(symbol=pl.lit(None, pl.String)),
            "column 'symbol' must have no null, was null in 3 rows",
        ),
        (lambda f: f.with_columns(ts=pl.lit(None, pl.Datetime("us", "UTC"))), "column 'ts' must have no null"),
        (lambda f: f.clear(), "data.bars: bars in memory must have at least one bar, was without any row"),
        *(
            (
                lambda f, kind=kind: f.with_columns(pl.col("volume").cast(kind)),
                f"column 'volume' must be of a type that Polars and Arrow share, was {kind}",
            )
            for kind in (pl.Int128, pl.UInt128)
        ),
        (lambda f: f.with_columns(more=pl.lit([1], pl.List(pl.Int128))), "column 'more' must be of a type that Polars"),
        (
            lambda f: (t := f.to_arrow()).set_column(5, "close", t["close"].cast(pa.decimal256(50, 4))),
            "data.bars: column 'close' must be of a type that Polars and Arrow share, was decimal256(50, 4); cast it to dec",
        ),
        (lambda f: f.lazy().select("nothing"), "data.bars: the table must be readable by Polars, was refused"),
    ],
)
def test_a_table_with_faults_is_refused(change, message: str):
    frame = pl.DataFrame(bars("A", [1.0, 2.0, 3.0])).with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))
    with pytest.raises(DataError) as refused:
        play(change(frame))
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (pd.DataFrame({"a": [1]}), "it is a pandas.DataFrame; convert it with polars.from_pandas"),
        (pa.array([1]), "it is a pyarrow.lib.Int64Array"),
        (7, "must be a local store folder, file or glob, or in Python a Polars or Arrow table, was 7"),
        ("", "must be a local store folder, file or glob"),
    ],
)
def test_what_is_no_table_is_refused(given: object, hint: str):
    with pytest.raises(ConfigError) as refused:
        play(given)
    assert "replay: data.bars must be a local store folder" in str(refused.value)
    assert hint in str(refused.value)


def test_load_bars_refuses_what_is_no_table():
    with pytest.raises(ConfigError, match="load_bars: data.bars must be a local store folder, .* was 7"):
        bt.load_bars(7, "XNYS", "2024-01-02", "2024-01-02")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"stamp": "End"}, "data.stamp must be 'start' or 'end', was 'End'"),
        ({"stampp": "end"}, "data.stampp must be a known key, was an unknown one; did you mean data.stamp"),
        ({"symbols": "JUNO"}, 'one symbol is written \\["SPY"\\]'),
        ({"symbols": []}, "data.symbols must be .* name at least one symbol"),
        ({"price_decimals": 99}, "data.price_decimals must be .* from 0 to 8, was 99"),
        ({"columns": {"opentime": "ts"}}, "'opentime' is none of symbol open_time .* nearest open_time"),
        ({"instruments": "nowhere.parquet"}, "data.instruments must be .*nowhere.parquet'; there is no such file"),
    ],
)
def test_research_frames_are_asked_for_as_data_of_a_configuration_is(
    rows: pl.DataFrame, asked: dict[str, object], told: str
):
    with pytest.raises(ConfigError, match=f"^load_bars: .*{told}"):
        bt.load_bars(rows, "XNYS", "2024-01-02", "2024-01-02", **asked)
    with pytest.raises(ConfigError, match=f"^load_quality: .*{told}"):
        bt.load_quality(rows, "XNYS", **asked)


def test_a_symbol_that_is_not_there_is_refused(rows: pl.DataFrame):
    with pytest.raises(
        UsageError, match="symbol must be one of the .* in bars in memory, was 'BRIC'; the nearest is 'BRIK'"
    ):
        play(rows, symbols=["BRIC"])
