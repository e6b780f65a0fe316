"""What several workers gain: wall seconds of a whole replay of an independent rows strategy, or of a sweep, from the store to results on disk.

    python -m benchmarks.bench_workers                      500 symbols x 60 sessions, 1 and 2 workers
    python -m benchmarks.bench_workers --workers 1 2 4
    python -m benchmarks.bench_workers --sets 200 --size M  a sweep of so many sets of SMA as signals, 20 symbols x 252 sessions

Every figure is of a whole process and its workers, start of Python and imports included, on all cores (--pin: one worker on one core): the median of --runs, which take turns.
`replay` is the run or sweep alone, without the start. A machine that does something else measures that: CPU seconds suffer less. `main thread` are those of the
process that was started, without what it does beside; one worker cannot be faster than that, nor several than all CPU seconds over the cores. The
table is Markdown.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

import bt
from benchmarks.figures import arguments, asked_for_child, row
from benchmarks.pinned import FOLDER, ROOT, data, machine, say
from benchmarks.workloads import Sma


class Apart(Sma):
    """SMA 10/30, symbol by symbol."""

    independent = True


class Columns:
    """SMA as signals, of any two lengths."""

    def __init__(self, fast: int = 10, slow: int = 30) -> None:
        self.fast, self.slow = fast, slow

    def features(self) -> dict[str, bt.Feature]:
        return {"fast": bt.sma("close", self.fast), "slow": bt.sma("close", self.slow)}

    def signals(self) -> dict[str, pl.Expr]:
        fast, slow = pl.col("fast"), pl.col("slow")
        return {"target": pl.when(fast > slow).then(100).when(fast < slow).then(0)}


def child(bars: str, start: str, end: str, workers: str, sets: str) -> None:
    """One replay, or a sweep of so many `sets`; its figures as JSON."""
    asked: dict[str, Any] = {
        "bars": bars, "calendar": "XNYS", "start": start, "end": end, "cash": 1e9, "execution": {"commission_per_share": 0.005},
        "engine": {"workers": int(workers), "threads": 1 if int(sets) else 0},
    }  # fmt: skip
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        if int(sets):
            grid = {"fast": list(range(2, 12)), "slow": list(range(20, 20 + -(-int(sets) // 10)))}
            sweep = bt.sweep(strategy=Columns, grid=grid, out=Path(folder, "sweep"), **asked)
            told = {"fills": int(sweep.frame["fills"].sum()), "net_pnl": round(sweep.frame["net_pnl"].sum(), 2)}
        else:
            summary = bt.replay(strategy=Apart, out=Path(folder, "run"), **asked).summary
            told = {name: summary[name] for name in ("fills", "net_pnl", "seconds")} | {"peak": summary["peak_rss_mb"]}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told |= {
        "main": time.thread_time(),
        "workers": used.ru_utime + used.ru_stime,
        "replay": time.perf_counter() - began,
    }
    print(json.dumps(told))


def measured(bars: str, start: str, end: str, workers: int, sets: int, *, pin: bool) -> dict[str, float]:
    """Wall and CPU seconds of a process and its workers, and what it tells."""
    began, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "benchmarks.bench_workers", "--child", bars, start, end, str(workers), str(sets)]
    if pin and workers == 1:
        command = ["taskset", "-c", str(max(os.sched_getaffinity(0))), *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"wall": time.perf_counter() - began, "cpu": cpu, **json.loads(done.stdout.splitlines()[-1])}


def main() -> None:
    """Measure and print."""
    if asked := asked_for_child():
        child(*asked)
        return
    parser = arguments(__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--sets", type=int, default=0, help="of a sweep; 0: an independent strategy")
    parser.add_argument("--pin", action="store_true", help="one worker has one core, with taskset")
    asked_for = parser.parse_args()
    given = data(asked_for.size)
    bars = str(given.ingested)
    say("files are checked and daily values remembered by a run that does not count")
    ask = partial(measured, bars, given.first, given.last, sets=asked_for.sets, pin=asked_for.pin)
    ask(1)
    found: dict[int, list[dict[str, float]]] = {n: [] for n in asked_for.workers}
    for number in range(asked_for.runs):
        for workers, used in found.items():
            used.append(ask(workers))
            say(f"{number + 1}/{asked_for.runs} {workers} workers: {json.dumps(used[-1])}")
    assert len({(u["fills"], u["net_pnl"]) for used in found.values() for u in used}) == 1, "results must be the same"
    print(f"{given.rows:,} bars, {os.cpu_count()} cores, {machine()}; median of {asked_for.runs}\n")
    print(
        row(
            "workers",
            "wall s",
            "times one",
            "replay s",
            "times one",
            "CPU s",
            "main thread",
            "workers",
            "MB, all processes",
        )
    )
    print(row(*["--:"] * 9))
    middle = {
        n: {
            k: statistics.median(u.get(k, 0) for u in used)
            for k in ("wall", "replay", "cpu", "main", "workers", "peak")
        }
        for n, used in found.items()
    }
    one = middle[asked_for.workers[0]]
    for workers, used in middle.items():
        ratios = [f"{one[k] / used[k]:.2f}" for k in ("wall", "replay")]
        print(
            row(
                workers,
                f"{used['wall']:.2f}",
                ratios[0],
                f"{used['replay']:.2f}",
                ratios[1],
                *(f"{used[k]:.2f}" for k in ("cpu", "main", "workers")),
                f"{used['peak']:.0f}" if used["peak"] else "",  # sweeps do not tell
            )
        )


if __name__ == "__main__":
    main()
