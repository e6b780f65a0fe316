"""Verdicts: what is found in a file's rows, and that it is found once."""

from __future__ import annotations

import math
import os
import random
import shutil
from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from store_bars import DAY, bars, spec, three_days, us, write

from bt.errors import DataError
from bt.model import DataSpec
from bt.store import Store, checks, in_memory

ALWAYS = (0, 2**60)


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of the files that were read for a verdict."""
    seen: list[str] = []
    real = checks.examine

    def watched(connection, layout, path, *, symbol):
        seen.append(Path(path).name)
        return real(connection, layout, path, symbol=symbol)

    monkeypatch.setattr(checks, "examine", watched)
    return seen


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many batches a file. DuckDB's own vectors have 2048 rows: files must be longer than that to be cut."""
    monkeypatch.setattr(checks, "_BATCH", 2048)


def opened(where: Path, **changes: object) -> Store:
    return Store.open(spec(where, **changes), threads=1)


# ------------------------------------------------------------------------------------------------------- row faults


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ts": pl.col("ts") + timedelta(seconds=5)}, "off_grid"),
        ({"close": pl.lit(math.nan)}, "non_finite"),
        ({"open": pl.lit(None, pl.Float64)}, "non_finite"),
        ({"low": pl.lit(0.0)}, "non_positive"),
        ({"low": pl.lit(-1.0)}, "non_positive"),
        ({"high": pl.lit(9.0)}, "inconsistent"),
        ({"volume": pl.lit(-1, pl.Int64)}, "inconsistent"),
        ({"volume": pl.lit(None, pl.Int64)}, "non_finite"),
    ],
)
def test_each_row_fault_is_counted_and_its_file_is_not_clean(
    tmp_path: Path, change: dict[str, pl.Expr], reason: str
) -> None:
    folder = three_days(tmp_path)
    sick = (pl.col("symbol") == "BBB") & (pl.int_range(pl.len()) >= 8)
    frame = bars(day=1).with_columns(
        pl.when(sick).then(new).otherwise(pl.col(name)).alias(name) for name, new in change.items()
    )
    frame.write_parquet(folder / "b.parquet")
    store = opened(folder)
    assert store.files["clean"].to_list() == [True, False, True]
    counts = store.spans.filter(pl.col("file") == 1).select("code", *checks.ROW_FAULTS, "duplicate")
    assert counts.row(0) == (0, 0, 0, 0, 0, 0)
    assert dict(zip(counts.columns, counts.row(1), strict=True)) == {
        "code": 1, **dict.fromkeys((*checks.ROW_FAULTS, "duplicate"), 0), reason: 2,
    }  # fmt: skip
    day = us(DAY + timedelta(days=1))
    assert not store.clean(day, day + 1)
    assert not store.clean(*ALWAYS)
    assert store.clean(0, day)
    assert store.clean(day + 86_400_000_000, 2**60)
    assert opened(folder, symbols=("AAA",)).clean(*ALWAYS)


@pytest.mark.parametrize("naive", [False, True])
@pytest.mark.parametrize("form", ["file", "table"])
@pytest.mark.parametrize("off", [1, -1, 999, -999, 1000, 59_999_999_999])
def test_a_nanosecond_off_the_grid_is_off_the_grid(tmp_path: Path, off: int, form: str, naive: bool) -> None:
    fine = bars(("AAA",)).with_columns(pl.col("ts").dt.cast_time_unit("ns") + pl.duration(nanoseconds=off))
    sound = bars(("BBB",)).with_columns(pl.col("ts").dt.cast_time_unit("ns"))
    frame = pl.concat([fine, sound])
    if naive:
        frame = frame.with_columns(pl.col("ts").dt.replace_time_zone(None))
    given = in_memory(frame) if form == "table" else str(write(tmp_path, {"a.parquet": frame}))
    store = Store.open(DataSpec(given, "XNYS", timezone="UTC" if naive else ""), threads=1)
    assert store.spans["off_grid"].to_list() == [5, 0]
    for stamps in (store.read(*ALWAYS, [])["time"], store.read(us(DAY) - 60_000_000, 2**60, [])["time"]):
        assert (stamps % 60_000_000 != 0).to_list() == [True] * 5 + [False] * 5
        assert stamps[:5].to_list() == pytest.approx([t + off / 1000 for t in stamps[5:]], abs=1)


def test_equal_times_are_the_same_bars_in_any_unit() -> None:
    units = [bars().with_columns(pl.col("ts").dt.cast_time_unit(unit)) for unit in ("ms", "us", "ns")]
    assert len({in_memory(frame).digest for frame in units}) == 1
    assert (
        in_memory(units[2].with_columns(pl.col("ts") + pl.duration(nanoseconds=1))).digest != in_memory(units[2]).digest
    )


@pytest.mark.parametrize("order", [["symbol", "ts"], ["ts", "symbol"], ["close", "symbol"]])
@pytest.mark.usefixtures("small_batches")
def test_duplicates_are_found_in_any_order_and_across_batches(tmp_path: Path, order: list[str]) -> None:
    frame = bars(("AAA", "BBB", "CCC"), n=1400)
    twice = frame.filter((pl.col("symbol") == "BBB") & (pl.col("ts").dt.minute() == 7))
    thrice = frame.filter((pl.col("symbol") == "CCC") & (pl.col("ts") == DAY))
    plain = opened(write(tmp_path / "plain", {"a.parquet": frame.sort(order)}))
    store = opened(write(tmp_path / "twice", {"a.parquet": pl.concat([frame, twice, thrice, thrice]).sort(order)}))
    assert plain.spans["duplicate"].to_list() == [0, 0, 0]
    assert store.spans["duplicate"].to_list() == [0, twice.height, 2]
    assert store.files["sorted"].to_list() == plain.files["sorted"].to_list() == [order[0] == "symbol"]
    assert plain.clean(*ALWAYS)
    assert not store.clean(*ALWAYS)


@pytest.mark.usefixtures("small_batches")
def test_duplicates_of_an_unsorted_hive_file(tmp_path: Path) -> None:
    frame = bars(("A",), n=3000).drop("symbol")
    mixed = pl.concat([frame, frame.head(3)]).sample(fraction=1.0, shuffle=True, seed=1)
    assert opened(write(tmp_path, {"symbol=A/a.parquet": mixed})).spans["duplicate"].to_list() == [3]


def test_a_bar_that_two_files_may_share_makes_both_unclean(tmp_path: Path) -> None:
    late = bars(("BBB",), n=5).with_columns(pl.col("ts") + timedelta(minutes=4))
    touching = bars(("AAA",), n=5).with_columns(pl.col("ts") + timedelta(minutes=5))
    frames = {"a.parquet": bars(), "b.parquet": touching, "c.parquet": late, "d.parquet": bars(day=3)}
    assert opened(write(tmp_path, frames)).files["clean"].to_list() == [False, True, False, True]


def test_a_long_file_over_short_ones_overlaps_them_all(tmp_path: Path) -> None:
    frames = {"a.parquet": bars(("A",), n=60)} | {
        f"{i}.parquet": bars(("A",), n=2).with_columns(pl.col("ts") + timedelta(minutes=10 * i)) for i in (1, 2, 9)
    }
    store = opened(write(tmp_path, frames))
    clean = dict(zip([Path(p).name for p in store.files["path"]], store.files["clean"], strict=True))
    assert clean == {"1.parquet": False, "2.parquet": False, "9.parquet": True, "a.parquet": False}


# ---------------------------------------------------------------------------------------------------------- decimals


def least_decimals(prices: list[float]) -> int:
    """By exact arithmetic: the least k <= 8 for which every price is the double nearest to a multiple of 10^-k."""
    return next((k for k in range(9) if all(float(Fraction(round(p * 10**k), 10**k)) == p for p in prices)), -1)


@pytest.mark.parametrize("seed", range(12))
def test_decimals_are_the_least_that_represent_every_price(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    wanted = {f"S{k}": [round(rng.uniform(0.5, 900), k) for _ in range(50)] for k in range(9)}
    wanted["NONE"] = [*wanted["S2"][:40], *(p / 3 for p in wanted["S2"][40:])]
    frames = []
    for name, prices in wanted.items():
        frame = bars((name,), n=len(prices))
        price = pl.Series(prices, dtype=pl.Float64)
        frames.append(frame.with_columns(open=price, high=price, low=price, close=price))
    store = opened(write(tmp_path, {"a.parquet": pl.concat(frames)}))
    expected = {name: least_decimals(prices) for name, prices in wanted.items()}
    assert store.decimals == {name: None if k < 0 else k for name, k in sorted(expected.items())}
    assert store.decimals["NONE"] is None


def test_decimals_are_one_number_for_the_whole_store(tmp_path: Path) -> None:
    frames = {"a.parquet": bars(price=10.0, n=1), "b.parquet": bars(day=1)}
    frames["a.parquet"] = frames["a.parquet"].with_columns(pl.col("open", "high", "low", "close").round(0))
    store = opened(write(tmp_path, frames))
    assert store.spans["decimals"].to_list() == [0, 0, 2, 2]
    assert store.decimals == {"AAA": 2, "BBB": 2}


def test_faulty_rows_do_not_decide_decimals(tmp_path: Path) -> None:
    frame = bars().with_columns(high=pl.when(pl.col("ts") == DAY).then(1 / 3).otherwise("high"))
    assert opened(write(tmp_path, {"a.parquet": frame})).decimals == {"AAA": 2, "BBB": 2}


def test_declared_decimals(tmp_path: Path) -> None:
    odd = bars(("ODD",)).with_columns((pl.col("open", "high", "low", "close") + 0.001).round(3))
    folder = write(tmp_path, {"a.parquet": bars(), "b.parquet": odd})
    assert opened(folder).decimals == {"AAA": 2, "BBB": 2, "ODD": 3}
    assert opened(folder, price_decimals=4).decimals == {"AAA": 4, "BBB": 4, "ODD": 4}
    assert opened(folder, price_decimals=2).decimals == {"AAA": 2, "BBB": 2, "ODD": None}


def test_prices_too_large_for_exact_integers_have_no_decimals(tmp_path: Path) -> None:
    huge = bars(price=3e7).with_columns(high=pl.col("high") + 0.00000001)
    assert opened(write(tmp_path, {"a.parquet": huge}), price_decimals=8).decimals == {"AAA": None, "BBB": None}


# ------------------------------------------------------------------------------------------------------------ volume


@pytest.mark.parametrize(
    ("volume", "integer", "seen"),
    [
        (pl.Series([1.0, 2.0, 3.0]), True, [1, 2, 3]),
        (pl.Series([1.0, math.nan, 3.0]), True, [1, None, 3]),
        (pl.Series([1.0, 2.5, 3.0]), False, [1.0, 2.5, 3.0]),
        (pl.Series([1, 2, 3], dtype=pl.UInt32), True, [1, 2, 3]),
        (pl.Series([1, 2**64 - 1, 3], dtype=pl.UInt64), True, [1, None, 3]),
    ],
)
def test_volume_is_an_integer_if_it_is_whole_in_the_whole_store(
    tmp_path: Path, volume: pl.Series, *, integer: bool, seen: list[float | None]
) -> None:
    frame = bars(("A",), n=3).with_columns(volume=volume)
    store = opened(write(tmp_path, {"a.parquet": frame}))
    assert store.volume_is_integer is integer
    read = store.read(*ALWAYS, ["volume"])["volume"]
    assert read.dtype == (pl.Int64 if integer else pl.Float64)
    assert read.to_list() == seen
    assert store.clean(*ALWAYS) is (None not in seen)


def test_one_fraction_makes_all_volumes_floats(tmp_path: Path) -> None:
    frames = {f"{i}.parquet": bars(day=i).with_columns(pl.col("volume") + 0.5 * i) for i in range(2)}
    store = opened(write(tmp_path, frames))
    assert store.read(us(DAY), us(DAY) + 1, ["volume"])["volume"].to_list() == [100.0, 1100.0]
    assert store.read(us(DAY), us(DAY) + 1, ["volume"])["volume"].dtype == pl.Float64


@pytest.mark.parametrize("kind", [pl.Float32, pl.Decimal(12, 4), pl.Int32])
def test_prices_of_other_types_are_read_as_doubles(tmp_path: Path, kind: pl.DataType) -> None:
    frame = bars(("A",)).with_columns(pl.col("open", "high", "low", "close").cast(kind))
    store = opened(write(tmp_path, {"a.parquet": frame}))
    read = store.read(*ALWAYS, ["close"])["close"]
    assert read.dtype == pl.Float64
    np.testing.assert_array_equal(read.to_numpy(), frame["close"].cast(pl.Float64).to_numpy())
    assert store.decimals == {"A": {pl.Int32: 0, pl.Float32: None}.get(kind, 2)}


# ------------------------------------------------------------------------------------------------------------- cache


def test_a_second_open_reads_no_rows(tmp_path: Path, examined: list[str]) -> None:
    first = opened(three_days(tmp_path))
    assert examined == ["a.parquet", "b.parquet", "c.parquet"]
    second = opened(tmp_path)
    assert len(examined) == 3
    assert first.files.equals(second.files)
    assert first.spans.equals(second.spans)
    assert first.fingerprint == second.fingerprint


def test_progress_tells_files_and_rows(tmp_path: Path) -> None:
    told: list[tuple[int, int, int]] = []
    for _ in range(2):
        Store.open(spec(three_days(tmp_path)), threads=1, progress=lambda *numbers: told.append(numbers))
    assert told == [(1, 3, 10), (2, 3, 20), (3, 3, 30)]


def test_changed_content_is_checked_again(tmp_path: Path, examined: list[str]) -> None:
    before = opened(three_days(tmp_path))
    bars(day=1, n=3).write_parquet(tmp_path / "b.parquet")
    after = opened(tmp_path)
    assert examined[3:] == ["b.parquet"]
    assert (before.rows, after.rows) == (30, 26)
    assert before.fingerprint != after.fingerprint
    kept = pl.read_ipc(next((tmp_path / ".bt").glob("verdicts-*.arrow")))
    assert kept["content"].n_unique() == 3


def test_a_replaced_file_of_the_same_size_and_time_is_checked_again(tmp_path: Path, examined: list[str]) -> None:
    path = three_days(tmp_path) / "b.parquet"
    plain = {"compression": "uncompressed", "statistics": False, "use_pyarrow": False}
    write(tmp_path, {"b.parquet": bars(day=1)}, **plain)
    opened(tmp_path)
    before = path.stat()
    write(tmp_path, {"new": bars(day=1).with_columns(volume=pl.col("volume") + 1)}, **plain)
    os.utime(tmp_path / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "new").replace(path)
    after = path.stat()
    assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
    assert before.st_ino != after.st_ino
    opened(tmp_path)
    assert examined[3:] == ["b.parquet"]


def test_a_touched_or_moved_file_of_known_content_is_not_read_again(tmp_path: Path, examined: list[str]) -> None:
    folder = three_days(tmp_path / "x")
    opened(folder)
    os.utime(folder / "a.parquet")
    (folder / "b.parquet").rename(folder / "z.parquet")
    shutil.copytree(folder, tmp_path / "y")
    opened(folder)
    opened(tmp_path / "y")
    assert len(examined) == 3


@pytest.mark.parametrize(
    "changes", [{"stamp": "end"}, {"columns": {"close": "open", "open": "close"}}, {"timezone": "UTC"}]
)
def test_what_decides_the_bars_decides_the_verdict(
    tmp_path: Path, examined: list[str], changes: dict[str, object]
) -> None:
    first = opened(three_days(tmp_path))
    second = opened(tmp_path, **changes)
    # the zone of naive times means nothing where times carry theirs
    same = "timezone" in changes
    assert len(examined) == (3 if same else 6)
    assert (first.fingerprint == second.fingerprint) is same


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0 but not really", None])
def test_a_damaged_cache_is_rebuilt(tmp_path: Path, examined: list[str], content: bytes | None) -> None:
    first = opened(three_days(tmp_path))
    for path in (tmp_path / ".bt").iterdir():
        path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    assert opened(tmp_path).spans.equals(first.spans)
    assert len(examined) == 6
    opened(tmp_path)
    assert len(examined) == 6


def test_an_interrupted_check_goes_on_where_it_was(tmp_path: Path, examined: list[str]) -> None:
    folder = three_days(tmp_path)
    bars(day=2).with_columns(symbol=pl.lit(None, pl.String)).write_parquet(folder / "c.parquet")
    with pytest.raises(DataError, match="no null"):
        opened(folder)
    bars(day=2).write_parquet(folder / "c.parquet")
    opened(folder)
    assert examined == ["a.parquet", "b.parquet", "c.parquet", "c.parquet"]
