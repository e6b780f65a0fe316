"""What a whole replay takes: CPU seconds, wall seconds and memory of fresh processes, from the store to results on disk.

    python -m benchmarks.bench_whole                 500 symbols x 60 sessions, as found and ingested
    python -m benchmarks.bench_whole --only columns  those whose name has a word
    python -m benchmarks.bench_whole --memory        500 symbols x 10, 60 and 250 sessions: does memory grow?

Every figure is of a whole process, start of Python and imports included, pinned to one core: the median of --runs. What is left after imports
is told too. Data goes to BT_BENCH or a temporary folder and is kept there. The tables are Markdown.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import WHOLE, Figure, arguments, asked_for_child, row
from benchmarks.pinned import FOLDER, Data, Used, data, machine, python, say

CASES = {
    "rows": "rows, empty callback",
    "cross": "cross-section, empty callback",
    "timer": "15-minute timer, five features",
    "means": "15-minute timer, five means",
    "sma": "rows, SMA 10/30",
    "cross_sma": "cross-section, SMA 10/30",
    "columns": "columns, SMA 10/30",
    "columns_more": "columns, SMA 10/30; four intervals, a 10-day average",
    "load": "`bt.load_bars`",
}
FIGURES = tuple(
    Figure(f"whole run: {CASES[case]}", "benchmarks.bench_whole", case, (WHOLE,))
    for case in ("rows", "cross", "timer", "load")
)
"""For `benchmarks.bench_check`, ingested."""

PARTS = ("load", "features", "indicators", "quality", "queues", "stream", "end_of_session")


def child(case: str, bars: str, start: str, end: str, time_column: str = "") -> None:
    """One replay in this process; its figures as JSON."""
    import bt
    from benchmarks.workloads import settings

    _ = bt.replay, bt.load_bars  # imported when they are asked for
    imports = time.process_time()
    columns = {"open_time": time_column} if time_column else {}
    if case == "load":
        found = bt.load_bars(bars, "XNYS", start, end, columns=columns)
        print(json.dumps({"bars": found["1m"].height, "imports": imports}))
        return
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        run = bt.replay(bars=bars, columns=columns, start=start, end=end, out=Path(folder, "run"), **settings(case))
    told = ("bars", "fills", "trades", "net_pnl", "seconds")
    print(json.dumps({name: run.summary[name] for name in told} | {"imports": imports}))


def measured(case: str, given: Data, *, found: bool) -> Used:
    """One run of a case in a process of its own."""
    bars, column = (given.found, "ts") if found else (given.ingested, "")
    return python("-m", "benchmarks.bench_whole", "--child", case, str(bars), given.first, given.last, column)


def middle(used: list[Used]) -> Used:
    """The run with the median CPU time."""
    return sorted(used, key=lambda u: u.cpu)[len(used) // 2]


def speed(size: str, runs: int, cases: Sequence[str]) -> None:
    """Bars a CPU second, and where the time goes."""
    given = data(size)
    results: dict[tuple[str, bool], list[Used]] = {(case, found): [] for found in (False, True) for case in cases}
    for found in (False, True):  # the first opening checks every file; the verdict is kept beside the store
        shutil.rmtree((given.found if found else given.ingested) / ".bt", ignore_errors=True)
        first = measured("cross", given, found=found)
        again = measured("cross", given, found=found)
        say(f"{'as found' if found else 'ingested'}: {first.cpu - again.cpu:.1f} CPU s to check the files, once")
    for number in range(runs):
        for (case, found), used in results.items():
            used.append(measured(case, given, found=found))
            say(f"{number + 1}/{runs} {case} {'as found' if found else 'ingested'} {used[-1].cpu:.2f} CPU s")
    print(f"{given.rows:,} bars, {machine()}; median of {runs}\n")
    print(row("", "store", "M bars / CPU s", "after imports", "CPU s", "wall s", "peak MB"))
    print(row("---", "---", "--:", "--:", "--:", "--:", "--:"))
    for (case, found), used in results.items():
        cpu, wall, peak = (statistics.median(getattr(u, name) for u in used) for name in ("cpu", "wall", "peak"))
        after = statistics.median(u.cpu - u.answer["imports"] for u in used)
        figures = (*(f"{given.rows / s / 1e6:.2f}" for s in (cpu, after)), f"{cpu:.2f}", f"{wall:.2f}", f"{peak:.0f}")
        print(row(CASES[case], "as found" if found else "ingested", *figures))
    print("\nWall seconds by part. Queues is waiting for what comes before it, which one thread does in turn.\n")
    print(row("", "store", *PARTS, "total"))
    print(row("---", "---", *["--:"] * (len(PARTS) + 1)))
    for (case, found), used in results.items():
        if case != "load":
            seconds = middle(used).answer["seconds"]
            figures = tuple(f"{seconds[part]:.2f}" for part in (*PARTS, "total"))
            print(row(CASES[case], "as found" if found else "ingested", *figures))


def memory(sessions: list[str], cases: Sequence[str]) -> None:
    """Peak memory as the number of sessions grows."""
    cases = [case for case in cases if case != "load"]
    sizes = {"60": "L"}
    print(f"Peak MB, 500 symbols, ingested, {machine()}\n")
    print(row("sessions", "bars", *(CASES[c] for c in cases), "fills"))
    print(row(*["--:"] * (len(cases) + 3)))
    for count in sessions:
        given = data(sizes.get(count, f"500x{count}"))
        used = {case: measured(case, given, found=False) for case in cases}
        figures = (f"{u.peak:.0f}" for u in used.values())
        fills = max(u.answer["fills"] for u in used.values())
        print(row(count, f"{given.rows:,}", *figures, f"{fills:,}"), flush=True)


def main() -> None:
    """Measure and print."""
    if asked := asked_for_child():
        child(*asked)
        return
    parser = arguments(__doc__)
    parser.add_argument("--memory", nargs="*", metavar="SESSIONS", help="instead: by default 10 60 250")
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", default=[""], help="cases whose name has a word: " + " ".join(CASES)
    )
    given = parser.parse_args()
    cases = [case for case in CASES if any(word in case for word in given.only)]
    if given.memory is None:
        speed(given.size, given.runs, cases)
    else:
        memory(given.memory or ["10", "60", "250"], cases)


if __name__ == "__main__":
    main()
