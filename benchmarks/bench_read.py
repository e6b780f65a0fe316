"""What reading costs: checking files that nobody has seen, the columns of a window, bars as frames.

    python -m benchmarks.bench_read                500 symbols x 60 sessions, ingested

CPU seconds of one thread, imports apart. Reading is in windows of five sessions, as a replay reads; DuckDB alone reads the same
columns of the same files into Arrow, with symbols as text and nothing checked.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import duckdb

import bt
from benchmarks.figures import Figure, asked_for_child, report
from benchmarks.pinned import FOLDER
from bt.model import DataSpec, Schedule
from bt.schema import BAR_COLUMNS
from bt.sessions import TimeManager
from bt.store import Store

CASES = {
    "check": "checking files, once",
    "two": "open and close of every bar",
    "all": "all columns of every bar",
    "duckdb": "(DuckDB alone, all columns)",
    "frames": "`bt.load_bars`",
}
FIGURES = tuple(Figure(f"read: {CASES[case]}", "benchmarks.bench_read", case, ("cpu",)) for case in CASES)
WINDOW = 5
"""Sessions read by one query: `session.prefetch_days`."""


def schedule(start: str, end: str) -> Schedule:
    """The sessions from `start` to `end`."""
    return TimeManager("XNYS").schedule(date.fromisoformat(start), date.fromisoformat(end))


def opened(bars: str) -> Store:
    """The store, on one thread."""
    return Store.open(DataSpec(bars, "XNYS"), threads=1)


def check(bars: str, *_: str) -> float:
    """A copy of the store without its verdicts, opened."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        copy = Path(shutil.copytree(bars, Path(folder, "store"), ignore=shutil.ignore_patterns(".bt")))
        began = time.process_time()
        opened(str(copy))
        return time.process_time() - began


def columns(bars: str, start: str, end: str, *asked: str) -> float:
    """Every window read."""
    store, sessions = opened(bars), schedule(start, end)
    began = time.process_time()
    for first in range(0, len(sessions), WINDOW):
        last = min(first + WINDOW, len(sessions)) - 1
        store.read(sessions.session(first).open, sessions.session(last).close, asked)
    return time.process_time() - began


def bare(bars: str, *_: str) -> float:
    """DuckDB alone."""
    files = sorted(str(p) for p in Path(bars).glob("*/*.parquet"))
    connection = duckdb.connect(config={"threads": 1})
    sql = "SELECT symbol, open_time, open, high, low, close, volume FROM read_parquet($files)"
    began = time.process_time()
    for i in range(0, len(files), WINDOW):
        connection.sql(sql, params={"files": files[i : i + WINDOW]}).to_arrow_table()
    return time.process_time() - began


def frames(bars: str, start: str, end: str) -> float:
    """What a notebook asks for, guards included."""
    began = time.process_time()
    bt.load_bars(bars, "XNYS", start, end)
    return time.process_time() - began


JOBS: dict[str, Callable[[str, str, str], float]] = {
    "check": check,
    "two": lambda bars, start, end: columns(bars, start, end, "open", "close"),
    "all": lambda bars, start, end: columns(bars, start, end, *BAR_COLUMNS),
    "duckdb": bare,
    "frames": frames,
}

if __name__ == "__main__":
    if asked := asked_for_child():
        print(json.dumps({"cpu": JOBS[asked[0]](*asked[1:])}))
    else:
        report(__doc__, FIGURES)
