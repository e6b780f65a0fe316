"""CPU seconds and bytes of candidate store layouts, read back as a replay reads them.

Usage: ``python benchmarks/bench_layout.py [DAYS] [--work DIR] [--only NAME ...] [--rounds N]``

DAYS is a folder of Parquet files, one a day, with symbol, ts (or open_time), open, high, low, close and volume; without it
500 symbols x 20 sessions are generated. Every candidate is written from the same rows sorted by symbol and time, then read in
windows of five days by DuckDB on one thread into Arrow, in a process of its own: user + system seconds are reported, the least of
all rounds, taken in turns. Pin it to one core (``taskset -c 1``) and read the figures as ratios. The choice made from them is
docs/decisions/0004-store-layout.md.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SCALE = 10_000
WINDOW = 5
PRICES = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class Layout:
    """One candidate. `dictionary` names the columns with a dictionary, `ints` stores prices as int32 x SCALE."""

    name: str
    codec: str = "lz4"
    level: int | None = None
    dictionary: tuple[str, ...] = ("symbol",)
    group: int = 1_000_000
    days: int = 1
    ints: bool = False
    code: bool = False
    delta_time: bool = False
    split: bool = False


BASE = Layout("lz4, dict symbol")
TIME = ("symbol", "open_time")
ALL = (*TIME, *PRICES, "volume")
LAYOUTS = (
    Layout("zstd-1, dict all", codec="zstd", level=1, dictionary=ALL),
    Layout("zstd-3, dict all", codec="zstd", level=3, dictionary=ALL),
    Layout("zstd-3, dict symbol+time", codec="zstd", level=3, dictionary=TIME),
    Layout("lz4, dict all", dictionary=ALL),
    Layout("snappy, dict all", codec="snappy", dictionary=ALL),
    Layout("none, dict all", codec="none", dictionary=ALL),
    BASE,
    Layout("lz4, dict symbol+time", dictionary=TIME),
    Layout("lz4, dict symbol+time+prices", dictionary=(*TIME, *PRICES)),
    Layout("snappy, dict symbol+time", codec="snappy", dictionary=TIME),
    Layout("none, dict symbol+time", codec="none", dictionary=TIME),
    Layout("zstd-1, dict symbol, time delta", codec="zstd", level=1, delta_time=True),
    Layout("lz4, dict symbol, time delta", delta_time=True),
    Layout("zstd-1, dict symbol+time, prices split", codec="zstd", level=1, dictionary=TIME, split=True),
    Layout("int prices lz4, dict symbol+time", dictionary=TIME, ints=True),
    Layout("int prices zstd-1, dict symbol+time", codec="zstd", level=1, dictionary=TIME, ints=True),
    Layout("int prices lz4, dict all", dictionary=ALL, ints=True),
    Layout("code for symbol, lz4, dict symbol+time", dictionary=(*TIME, "code"), code=True),
    replace(BASE, name="lz4, dict symbol+time, groups 20k", dictionary=TIME, group=20_000),
    replace(BASE, name="lz4, dict symbol+time, groups 50k", dictionary=TIME, group=50_000),
    replace(BASE, name="lz4, dict symbol+time, groups 100k", dictionary=TIME, group=100_000),
    replace(BASE, name="lz4, dict symbol+time, 5 days a file", dictionary=TIME, days=5),
    replace(BASE, name="lz4, dict symbol+time, 20 days a file", dictionary=TIME, days=20),
    replace(BASE, name="lz4, dict all, groups 20k", dictionary=ALL, group=20_000),
    replace(BASE, name="lz4, dict all, groups 100k", dictionary=ALL, group=100_000),
)


def generated() -> Iterator[pa.Table]:
    """500 symbols x 20 sessions x 390 minutes of random walks on a cent grid."""
    rng = np.random.default_rng(1)
    symbols, minutes = 500, 390
    last = rng.integers(1_000, 50_000, symbols)
    for day in range(20):
        start = 1_704_205_800_000_000 + day * 86_400_000_000
        steps = rng.integers(-5, 6, (symbols, minutes)).cumsum(axis=1)
        close = np.maximum(last[:, None] + steps, 100)
        opens = np.concatenate([last[:, None], close[:, :-1]], axis=1)
        last = close[:, -1]
        wick = rng.integers(0, 4, (2, symbols, minutes))
        bars = {
            "open": opens,
            "high": np.maximum(opens, close) + wick[0],
            "low": np.minimum(opens, close) - wick[1],
            "close": close,
        }
        yield pa.table(
            {
                "symbol": np.repeat([f"S{i:04d}" for i in range(symbols)], minutes),
                "open_time": pa.array(
                    np.tile(start + np.arange(minutes) * 60_000_000, symbols), pa.timestamp("us", "UTC")
                ),
                **{name: values.ravel() / 100 for name, values in bars.items()},
                "volume": (rng.pareto(1.5, symbols * minutes) * 100).astype(np.int64),
            }
        )


def stored(folder: Path) -> Iterator[pa.Table]:
    """The day files of `folder`, sorted by symbol and time, as symbol, open_time and the bar columns."""
    for path in sorted(folder.glob("*.parquet")):
        table = pq.read_table(path)
        table = table.rename_columns(["open_time" if c == "ts" else c for c in table.column_names])
        yield table.sort_by([("symbol", "ascending"), ("open_time", "ascending")]).select(ALL)


def write(layout: Layout, tables: list[pa.Table], folder: Path) -> int:
    """Write `tables` (one a day) under `folder`; the bytes written."""
    total = 0
    for start in range(0, len(tables), layout.days):
        table = pa.concat_tables(tables[start : start + layout.days])
        if layout.ints:
            for name in PRICES:
                scaled = pa.array(np.rint(table[name].to_numpy() * SCALE).astype(np.int32))
                table = table.set_column(table.column_names.index(name), name, scaled)
        if layout.code:
            table = table.append_column(
                "code", pc.cast(table["symbol"].combine_chunks().dictionary_encode().indices, pa.int16())
            )
        encoding = {"open_time": "DELTA_BINARY_PACKED"} if layout.delta_time else {}
        if layout.split:
            encoding |= dict.fromkeys(PRICES, "BYTE_STREAM_SPLIT")
        path = folder / f"{start:04d}.parquet"
        pq.write_table(
            table,
            path,
            compression=layout.codec,
            compression_level=layout.level,
            use_dictionary=list(layout.dictionary),
            column_encoding=encoding or None,
            row_group_size=layout.group,
        )
        total += path.stat().st_size
    return total


def measure(folder: Path, layout: Layout) -> dict[str, float]:
    """CPU seconds of the wide and the narrow projection over all windows, the lesser of two readings."""
    con = duckdb.connect(config={"threads": 1})
    con.execute("SET GLOBAL TimeZone='UTC'")
    files = sorted(str(p) for p in folder.glob("*.parquet"))
    per_file = layout.days
    divide = {c: f"{c} / {float(SCALE)} AS {c}" if layout.ints else c for c in PRICES}
    key = "code" if layout.code else "symbol"
    wide = ", ".join([key, "open_time", *(divide[c] for c in PRICES), "volume"])
    narrow = ", ".join([key, "open_time", divide["open"], divide["close"]])
    bounds = [
        con.sql(f"select min(open_time) a, max(open_time) b from '{f}'").to_arrow_table().to_pylist()[0] for f in files
    ]
    windows: list[tuple[list[str], str]] = []
    if per_file <= WINDOW:
        step = WINDOW // per_file
        windows = [(files[i : i + step], "") for i in range(0, len(files), step)]
    else:
        for path, bound in zip(files, bounds, strict=True):
            days = (
                con.sql(f"select distinct open_time::date d from '{path}' order by d").to_arrow_table()["d"].to_pylist()
            )
            for i in range(0, len(days), WINDOW):
                part = days[i : i + WINDOW]
                windows.append(([path], f" where open_time >= '{part[0]}' and open_time <= '{part[-1]} 23:59:59'"))
            del bound
    seconds: dict[str, float] = {}
    for name, columns in (("wide", wide), ("narrow", narrow)):
        rounds = []
        for _ in range(2):
            before = resource.getrusage(resource.RUSAGE_SELF)
            for chosen, where in windows:
                con.sql(f"select {columns} from read_parquet($files){where}", params={"files": chosen}).to_arrow_table()
            after = resource.getrusage(resource.RUSAGE_SELF)
            rounds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        seconds[name] = min(rounds)
    return seconds


def check(folder: Path, tables: list[pa.Table]) -> bool:
    """Whether the integers of the files, divided in DuckDB, are exactly the doubles that went in."""
    paths = sorted(folder.glob("*.parquet"))[:2]
    for path, table in zip(paths, tables, strict=False):
        query = ", ".join(f"{c} / {float(SCALE)} AS {c}" for c in PRICES)
        back = duckdb.sql(f"select {query} from '{path}'").to_arrow_table()
        if any(not np.array_equal(back[c].to_numpy(), table[c].to_numpy()) for c in PRICES):
            return False
    return True


def main() -> None:
    """Write every layout, measure each in a fresh process, print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("days", nargs="?", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        layout = next(x for x in LAYOUTS if x.name == args.measure[1])
        print(json.dumps(measure(Path(args.measure[0]), layout)))
        return
    tables = list(stored(args.days) if args.days else generated())
    rows = sum(t.num_rows for t in tables)
    print(f"{rows:,} rows, {len(tables)} days, DuckDB {duckdb.__version__}, pyarrow {pa.__version__}")
    print(f"{'layout':<46} {'MB':>7} {'wide s':>7} {'Mrows/s':>8} {'narrow s':>8} {'Mrows/s':>8}")
    chosen = [x for x in LAYOUTS if not args.only or any(word in x.name for word in args.only)]
    with tempfile.TemporaryDirectory(dir=args.work) as scratch:
        folders = {layout.name: Path(scratch) / str(i) for i, layout in enumerate(chosen)}
        sizes, notes = {}, {}
        for layout in chosen:
            folders[layout.name].mkdir()
            sizes[layout.name] = write(layout, tables, folders[layout.name])
            exact = not layout.ints or check(folders[layout.name], tables)
            notes[layout.name] = "" if exact else "  NOT EXACT"
        best = {layout.name: {"wide": float("inf"), "narrow": float("inf")} for layout in chosen}
        for _ in range(args.rounds):  # in turns: a busy neighbour slows every candidate alike
            for layout in chosen:
                command = [sys.executable, __file__, "--measure", str(folders[layout.name]), layout.name]
                out = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                best[layout.name] = {k: min(v, out[k]) for k, v in best[layout.name].items()}
        for name, seconds in best.items():
            wide, narrow = seconds["wide"], seconds["narrow"]
            speeds = f"{wide:7.2f} {rows / wide / 1e6:8.1f} {narrow:8.2f} {rows / narrow / 1e6:8.1f}"
            print(f"{name:<46} {sizes[name] / 1e6:7.1f} {speeds}{notes[name]}")


if __name__ == "__main__":
    main()
