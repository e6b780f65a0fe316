"""Where the CPU time of a replay goes: seconds by stage, for strategies that each ask for one thing more.

    python -m benchmarks.stages                            500 symbols x 60 sessions, ingested
    python -m benchmarks.stages --picture stages.svg       and draws it

Every case is a replay in a fresh process on one core with one thread. The next window is prepared in turn, as it is then, so that the CPU clock of the process belongs to one stage at a time; a stage inside
another one is not counted in it. `benchmarks.bench_read` says what DuckDB alone takes to read the same columns of the same files.
"""

from __future__ import annotations

import functools
import json
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, arguments, asked_for_child, median, repeated, row
from benchmarks.pinned import FOLDER, data, machine
from benchmarks.stages_chart import svg

CASES = {
    "cross": "cross-section",
    "rows": "rows",
    "timer": "15-minute timer, five features",
    "sma": "rows, SMA 10/30",
    "columns": "columns, SMA 10/30",
    "expression": "cross, rolling_std(20)",
    "trailing": "cross, 10-day minute average",
    "intervals": "cross, 5 coarser intervals",
}
STAGES = {
    "read": "read",
    "order": "guards and order",
    "features": "bars and features",
    "assembly": "assembly of sessions",
    "indicators": "trailing indicators",
    "quality": "quality",
    "signals": "signals",
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


def counted() -> Stages:
    """From now on every second of this process is counted in its stage."""
    from bt.engine import Engine
    from bt.prepare import preparer
    from bt.recorder import Recorder
    from bt.results import RunFolder
    from bt.store import Store

    stages = Stages()
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
    stages.time("signals", preparer.Decider, "decide")
    stages.time("replay", Engine, "play")
    for owner, name in ((Recorder, "session"), (Recorder, "finish"), (RunFolder, "finish")):
        stages.time("results", owner, name)
    return stages


def staged(bars: str, start: str, end: str, asked: dict[str, Any]) -> dict[str, float]:
    """CPU seconds by stage of one replay in this process, and how many fills it had."""
    import bt

    stages = counted()
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        run = bt.replay(bars=bars, start=start, end=end, out=Path(folder, "run"), **asked)
    return {**stages.finish(), "fills": run.summary["fills"]}


def child(case: str, bars: str, start: str, end: str) -> None:
    """One replay of a workload; its stages as JSON."""
    from benchmarks.workloads import settings

    print(json.dumps(staged(bars, start, end, settings(case))))


def main() -> None:
    """Measure and print."""
    if asked := asked_for_child():
        child(*asked)
        return
    parser = arguments(__doc__)
    parser.add_argument("--picture", type=Path, metavar="FILE", help="an SVG to write")
    given = parser.parse_args()
    source = data(given.size)
    cells = {
        (case, part): Figure(name, "benchmarks.stages", case, (part,))
        for case, name in CASES.items()
        for part in STAGES
    }
    answers = repeated(list(cells.values()), source, given.runs)
    seconds = {cell: median(figure, answers) for cell, figure in cells.items()}
    print(f"CPU seconds, {source.rows:,} bars, {machine()}; medians of {given.runs}\n")
    print(row("", *CASES.values()))
    print(row("---", *["--:"] * len(CASES)))
    for part, name in STAGES.items():
        print(row(name, *(f"{seconds[case, part]:.2f}" for case in CASES)))
    print(row("**sum**", *(f"**{sum(seconds[case, part] for part in STAGES):.2f}**" for case in CASES)))
    if given.picture is not None:
        found = {name: {STAGES[part]: seconds[case, part] for part in STAGES} for case, name in CASES.items()}
        heading = f"{source.rows / 1e6:.1f} M bars, {machine().partition(', load')[0]}"
        given.picture.write_text(svg(found, heading), encoding="utf-8")


if __name__ == "__main__":
    main()
