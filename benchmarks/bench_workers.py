"""What several workers gain: wall seconds of a whole replay of an independent rows strategy, from the store to results on disk.

    python -m benchmarks.bench_workers                      500 symbols x 60 sessions, 1 and 2 workers
    python -m benchmarks.bench_workers --workers 1 2 4

Every figure is of a whole process and its workers, start of Python and imports included, on all cores: the median of --runs, which take turns.
`replay` is the run alone, without the start. A machine that does something else measures that: CPU seconds suffer less. `main thread` are those of the
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
from pathlib import Path

import bt
from benchmarks.figures import arguments, asked_for_child, row
from benchmarks.pinned import FOLDER, ROOT, data, machine, say
from benchmarks.workloads import Sma


class Apart(Sma):
    """SMA 10/30, symbol by symbol."""

    independent = True


def child(bars: str, start: str, end: str, workers: str) -> None:
    """One replay; its figures as JSON."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        run = bt.replay(
            bars=bars, calendar="XNYS", start=start, end=end, strategy=Apart, cash=1e9,
            execution={"commission_per_share": 0.005}, engine={"workers": int(workers)}, out=Path(folder, "run"),
        )  # fmt: skip
    seconds = run.summary["seconds"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    told = {
        "main": time.thread_time(),
        "workers": used.ru_utime + used.ru_stime,
        "replay": seconds["total"],
        "peak": run.summary["peak_rss_mb"],
        "fills": run.summary["fills"],
        "seconds": seconds,
    }
    print(json.dumps({**told, "net_pnl": run.summary["net_pnl"]}))


def measured(bars: str, start: str, end: str, workers: int) -> dict[str, float]:
    """Wall and CPU seconds of a process and its workers, and what it tells."""
    began, before = time.perf_counter(), os.times()
    command = [sys.executable, "-m", "benchmarks.bench_workers", "--child", bars, start, end, str(workers)]
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
    asked_for = parser.parse_args()
    given = data(asked_for.size)
    bars = str(given.ingested)
    say("files are checked and daily values remembered by a run that does not count")
    measured(bars, given.first, given.last, 1)
    found: dict[int, list[dict[str, float]]] = {n: [] for n in asked_for.workers}
    for number in range(asked_for.runs):
        for workers, used in found.items():
            used.append(measured(bars, given.first, given.last, workers))
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
        n: {k: statistics.median(u[k] for u in used) for k in ("wall", "replay", "cpu", "main", "workers", "peak")}
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
                f"{used['peak']:.0f}",
            )
        )


if __name__ == "__main__":
    main()
