"""Reading a window: what comes back, in which order, and how little is read for it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from store_bars import DAY, bars, spec, three_days, us, write

from bt.errors import DataError, UsageError
from bt.store import Store, codes

ALWAYS = (0, 2**60)
FIVE = ["open", "high", "low", "close", "volume"]
DAYS = [us(DAY + timedelta(days=i)) for i in range(4)]


def opened(where: Path, threads: int = 1, **changes: object) -> Store:
    return Store.open(spec(where, **changes), threads=threads)


def as_written(frame: pl.DataFrame, symbols: tuple[str, ...], columns: list[str]) -> pl.DataFrame:
    """What `read` should give for all rows of `frame`."""
    return frame.select(
        pl.col("symbol").replace_strict(list(symbols), range(len(symbols)), return_dtype=pl.UInt16).alias("code"),
        pl.col("ts").dt.epoch("us").alias("time"),
        *columns,
    )


def test_the_columns_asked_for_in_that_order(tmp_path: Path) -> None:
    store = opened(three_days(tmp_path))
    whole = pl.concat([bars(day=i) for i in range(3)])
    for columns in (["close", "open"], FIVE, [], ["volume"]):
        assert store.read(*ALWAYS, columns).equals(as_written(whole, store.symbols, columns))


def test_the_range_is_half_open_and_may_be_anything(tmp_path: Path) -> None:
    store = opened(three_days(tmp_path))
    minute = 60_000_000
    assert store.read(DAYS[1], DAYS[1] + minute, [])["time"].to_list() == [DAYS[1]] * 2
    assert store.read(DAYS[1] + 1, DAYS[1] + minute, []).height == 0
    assert store.read(DAYS[0] + 4 * minute, DAYS[1] + 1, []).height == 4
    empty = store.read(DAYS[3], DAYS[3] + minute, FIVE)
    assert empty.schema == store.read(*ALWAYS, FIVE).schema
    assert empty.height == store.read(-(2**62), DAYS[0], FIVE).height == store.read(5, 1, FIVE).height == 0
    assert store.read(-(2**62), 2**62, ["open"]).height == 30


def test_an_unknown_column_names_the_nearest(tmp_path: Path) -> None:
    store = opened(three_days(tmp_path))
    with pytest.raises(UsageError, match="was 'colse'; did you mean 'close'"):
        store.read(*ALWAYS, ["colse"])


def test_a_quoted_name_is_a_name(tmp_path: Path) -> None:
    odd = 'o"pe;n'
    store = opened(write(tmp_path, {"a.parquet": bars().rename({"open": odd})}), columns={"open": odd})
    assert store.read(*ALWAYS, ["open"])["open"][0] == 10.25


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("order", [["symbol", "ts"], ["ts", "symbol"], ["close", "volume"]])
def test_rows_keep_the_order_of_the_files(tmp_path: Path, threads: int, order: list[str]) -> None:
    """Also when a file is much smaller than the table of codes, and when it has many row groups."""
    many = tuple(f"S{i:04}" for i in range(700))
    frames = {
        "a.parquet": bars(many, n=60).sort(order),
        "b.parquet": bars(many[5:7], day=1, n=3).sort(order),
        "c.parquet": bars(many[::-1], day=2, n=30).sort(order, descending=True),
    }
    store = opened(write(tmp_path, frames, row_group_size=1000), threads)
    whole = as_written(pl.concat(frames.values()), store.symbols, FIVE)
    assert store.read(*ALWAYS, FIVE).equals(whole)
    day = whole.filter(pl.col("time").is_between(DAYS[1], DAYS[2], closed="left"))
    assert store.read(DAYS[1], DAYS[2], FIVE).equals(day)
    # few are looked for by DuckDB, many are sifted
    for wanted in ([3, 500], list(range(5, 17)), list(range(0, 700, 3))):
        some = whole.filter(pl.col("code").is_in(wanted))
        assert store.read(*ALWAYS, FIVE, symbols=[many[i] for i in wanted]).equals(some)
    part = opened(tmp_path, threads, symbols=many[100:300:2])
    kept = whole.filter(pl.col("code").is_in(list(range(100, 300, 2)))).with_columns((pl.col("code") - 100) // 2)
    assert part.read(*ALWAYS, FIVE).equals(kept)


def test_codes_without_a_perfect_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = {f"{i}.parquet": bars(("S'0", "B B", "Ünï", "A" * 40), day=i) for i in range(2)}
    quick = opened(write(tmp_path, frames))
    monkeypatch.setattr(codes, "_MOST_BITS", 0)
    slow = opened(tmp_path)
    assert quick._symbol_codes is not None
    assert slow._symbol_codes is not None
    assert (quick._symbol_codes._bits is None, slow._symbol_codes._bits is None) == (False, True)
    expected = as_written(pl.concat(frames.values()), quick.symbols, FIVE)
    some = expected.filter(pl.col("code").is_in([0, 3]))
    for store in (quick, slow):
        assert store.read(*ALWAYS, FIVE).equals(expected)
        assert store.read(*ALWAYS, FIVE, symbols=[store.symbols[0], store.symbols[3]]).equals(some)


@pytest.mark.parametrize("n", [1, 2, 3, 1000, 9000])
def test_every_symbol_has_its_own_slot(n: int) -> None:
    hashes = np.random.default_rng(n).integers(0, 2**64, n, np.uint64)
    bits = codes._perfect_bits(hashes)
    assert bits is not None
    assert len(np.unique(codes._slots(hashes, *bits))) == n


def test_two_threads_read_at_once(tmp_path: Path) -> None:
    many = tuple(f"S{i:03}" for i in range(200))
    store = opened(write(tmp_path, {f"{i}.parquet": bars(many, day=i, n=300) for i in range(3)}), threads=2)
    expected = [store.read(DAYS[i], DAYS[i + 1], FIVE) for i in range(3)]
    gate = threading.Barrier(3)

    def read(i: int) -> bool:
        gate.wait()
        return all(store.read(DAYS[i], DAYS[i + 1], FIVE).equals(expected[i]) for _ in range(10))

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(read, range(3)))


def test_only_the_files_row_groups_and_columns_needed_are_read(tmp_path: Path) -> None:
    many = tuple(f"S{i:02}" for i in range(20))
    frames = {f"{i}.parquet": bars(many, day=i, n=100) for i in range(3)}
    store = opened(write(tmp_path, frames, row_group_size=500))

    def scanned(*window: int, **options: list[str]) -> tuple[int, str]:
        plan = store.explain(*window, ["close"], **options)
        found = re.search(
            r"Function: READ_PARQUET.*?Total Files Read: (\d+).*?Row Groups Scanned: (\d+ / \d+)", plan, re.DOTALL
        )
        assert found, plan
        assert "volume" not in plan
        assert "high" not in plan
        return int(found[1]), found[2]

    assert scanned(*ALWAYS) == (3, "12 / 12")
    assert scanned(DAYS[1], DAYS[2]) == (1, "4 / 4")
    assert scanned(DAYS[1], DAYS[3], symbols=["S07"]) == (2, "2 / 8")
    by_time = write(tmp_path / "x", {"a.parquet": bars(many, n=100).sort("ts", "symbol")}, row_group_size=500)
    store = opened(by_time)
    assert scanned(DAYS[0] + 30 * 60_000_000, DAYS[0] + 40 * 60_000_000) == (1, "1 / 4")


def test_files_without_the_symbol_are_not_opened(tmp_path: Path) -> None:
    store = opened(write(tmp_path, {f"{name}.parquet": bars((name,)) for name in "ABC"}))
    (tmp_path / "A.parquet").unlink()
    assert store.read(*ALWAYS, [], symbols=["B", "C"])["code"].to_list() == [1] * 5 + [2] * 5


INTERRUPTED = """
import os, signal, sys, threading
from bt.model import DataSpec
from bt.store import Store, codes

store = Store.open(DataSpec(bars=sys.argv[1], calendar="XNYS"), threads=1)
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
endless = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b, (SELECT $files) c"
try:
    store._connection.frame(endless, store.files["path"].to_list())
except KeyboardInterrupt:
    print("interrupted", store.read(0, 2**60, ["open"]).height)
"""


def test_ctrl_c_in_a_query_is_a_keyboard_interrupt(tmp_path: Path) -> None:
    # in a process of its own: a signal that is not taken in time would stop the tests
    command = [sys.executable, "-c", INTERRUPTED, str(three_days(tmp_path))]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, cwd=Path(__file__).parents[1]
    )
    assert done.stdout == "interrupted 30\n", done.stderr


def test_a_read_prints_nothing_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = three_days(tmp_path / "data")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    store = opened(folder)
    store.read(*ALWAYS, FIVE)
    store.close()
    assert capfd.readouterr() == ("", "")
    assert not list((tmp_path / "here").iterdir())


def test_real_bars_equal_what_polars_reads(shared_data: Path) -> None:
    store = opened(shared_data / "us-etf-universe-2019-12", threads=2)
    paths = store.files["path"].to_list()
    whole = as_written(pl.concat([pl.read_parquet(path) for path in paths]), store.symbols, FIVE)
    assert store.read(*ALWAYS, FIVE).equals(whole)
    assert store.volume_is_integer
    assert len(store.symbols) == 956


def test_a_page_that_is_damaged_after_the_check_is_told_by_its_file(tmp_path: Path) -> None:
    store = opened(three_days(tmp_path))
    damaged = Path(store.files["path"][1])
    known, group = damaged.stat(), pq.ParquetFile(damaged).metadata.row_group(0)
    place = next(c.data_page_offset for c in map(group.column, range(group.num_columns)) if c.path_in_schema == "open")
    with damaged.open("r+b") as file:
        file.seek(place)
        file.write(b"\xff" * 40)
    os.utime(damaged, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert store.read(DAYS[0], DAYS[1], ["open"]).height == 10
    with pytest.raises(
        DataError, match=rf"{re.escape(damaged.name)}: file must be readable Parquet, was refused by DuckDB"
    ):
        store.read(*ALWAYS, ["open"])
