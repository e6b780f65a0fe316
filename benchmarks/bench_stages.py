"""Where the CPU time of a replay goes: seconds by stage, for strategies that each ask for one thing more.

    python benchmarks/bench_stages.py                500 symbols x 60 sessions, ingested

Every case is a replay in a fresh process on one core. The next window is prepared in turn instead of on a thread beside the
replay, so that the CPU clock of the process belongs to one stage at a time; a stage inside another one is not counted in
it. The first row is what DuckDB alone takes to read the same columns of the same files into Arrow, five files a query.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Self

from bench_replay import row
from pinned import FOLDER, Data, data, machine, python, say

CASES = {
    "cross": "cross-section",
    "rows": "rows",
    "timer": "15-minute timer, five features",
    "sma": "rows, SMA 10/30",
    "expression": "cross, rolling_std(20)",
    "trailing": "cross, 10-day minute average",
    "intervals": "cross, 5 coarser intervals",
}
STAGES = {
    "duckdb": "(DuckDB alone)",
    "read": "read",
    "order": "guards and order",
    "features": "bars and features",
    "assembly": "assembly of sessions",
    "indicators": "trailing indicators",
    "quality": "quality",
    "replay": "replay",
    "results": "results",
    "rest": "start, imports, the rest",
}


class Stages:
    """CPU seconds by stage of this process, one thread working at a time."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running = ["rest"]
        self._since = 0.0

    def _switch(self) -> None:
        now = time.process_time()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now

    def time(self, stage: str, owner: Any, name: str) -> None:
        """Count what `owner.name` takes as `stage`."""
        timed = getattr(owner, name)

        @functools.wraps(timed)
        def wrapped(*given: Any, **named: Any) -> Any:
            self._switch()
            self._running.append(stage)
            try:
                return timed(*given, **named)
            finally:
                self._switch()
                self._running.pop()

        setattr(owner, name, wrapped)

    def finish(self) -> dict[str, float]:
        """All seconds, those before the first stage included."""
        self._switch()
        return dict(self.seconds)


class InTurn:
    """Stands in for ThreadPoolExecutor: what is submitted is done at once."""

    def __init__(self, *_: Any) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(function(*given))
        return done


def in_turn() -> Stages:
    """From now on the next window is prepared in turn, and every second of this process counted in its stage."""
    from bt.engine import Engine
    from bt.prepare import preparer
    from bt.recorder import Recorder
    from bt.results import RunFolder
    from bt.store import Store

    stages = Stages()
    preparer.ThreadPoolExecutor = InTurn
    stages.time("read", Store, "read")
    stages.time("order", preparer.Loader, "window")
    stages.time("order", preparer.Loader, "history")
    stages.time("features", preparer.Computer, "window")
    stages.time("features", preparer.Deriver, "window")
    stages.time("indicators", preparer.Trailing, "start")
    stages.time("indicators", preparer.Trailing, "add")
    stages.time("quality", preparer, "quality_frames")
    stages.time("quality", preparer, "present_so_far")
    stages.time("assembly", preparer, "prepared_session")
    stages.time("replay", Engine, "play")
    for owner, name in ((Recorder, "session"), (Recorder, "finish"), (RunFolder, "finish")):
        stages.time("results", owner, name)
    return stages


def child(case: str, bars: str, start: str, end: str) -> None:
    """One replay in this process; its stages as JSON."""
    from workloads import settings

    import bt

    stages = in_turn()
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        bt.replay(bars=bars, start=start, end=end, out=Path(folder, "run"), **settings(case))
    print(json.dumps(stages.finish()))


def bare(store: str) -> None:
    """DuckDB alone; its CPU seconds as JSON."""
    import duckdb

    files = sorted(str(p) for p in Path(store).glob("*/*.parquet"))
    connection = duckdb.connect(config={"threads": 1})
    sql = "SELECT symbol, open_time, open, high, low, close, volume FROM read_parquet($files)"
    began = time.process_time()
    for i in range(0, len(files), 5):
        connection.sql(sql, params={"files": files[i : i + 5]}).to_arrow_table()
    print(json.dumps({"duckdb": time.process_time() - began}))


def measured(case: str, given: Data, runs: int) -> dict[str, float]:
    """Median CPU seconds by stage."""
    taken: list[dict[str, float]] = []
    for number in range(runs):
        arguments = ("--child", case, str(given.ingested), given.first, given.last)
        taken.append(python(__file__, *arguments).answer)
        say(f"{number + 1}/{runs} {case} {sum(taken[-1].values()):.2f} CPU s")
    return {stage: statistics.median(t.get(stage, 0.0) for t in taken) for stage in STAGES}


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--child"]:
        if sys.argv[2] == "duckdb":
            bare(sys.argv[3])
        else:
            child(*sys.argv[2:6])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="L", help="S, M, L, XL, or SYMBOLSxSESSIONS as 500x10")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    source = data(given.size)
    duckdb = measured("duckdb", source, given.runs)["duckdb"]
    cases = {case: measured(case, source, given.runs) for case in CASES}
    print(f"CPU seconds, {source.rows:,} bars, {machine()}; medians of {given.runs}\n")
    print(row("", *CASES.values()))
    print(row("---", *["--:"] * len(CASES)))
    print(row(STAGES["duckdb"], f"{duckdb:.2f}", *[""] * (len(CASES) - 1)))
    for stage, name in list(STAGES.items())[1:]:
        print(row(name, *(f"{seconds[stage]:.2f}" for seconds in cases.values())))
    print(row("**sum**", *(f"**{sum(seconds.values()):.2f}**" for seconds in cases.values())))


if __name__ == "__main__":
    main()
