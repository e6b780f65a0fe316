"""One engine at one size: a process of its own on one core, some times, and what came of it."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks.peers.engines import Engine
from benchmarks.peers.environments import Environment
from benchmarks.pinned import FOLDER, Data, Process, process

State = Literal["done", "stopped", "failed", "absent", "left out"]
ONE_THREAD = (
    "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS",
    "ARROW_NUM_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS",
)  # fmt: skip
LOGS = FOLDER / "peers" / "logs"


@dataclass(frozen=True)
class Figures:
    """Medians of the runs of an engine: seconds, MB, and what it answered.

    `cpu` counts from when the engine is imported, `cpu_whole` and `wall` are the process's.
    """

    version: str
    bars: int
    trades: int
    pnl: float
    cpu: float
    cpu_whole: float
    wall: float
    peak: float


@dataclass(frozen=True)
class Outcome:
    """What came of an engine at a size: its figures if it is done, else why not."""

    engine: str
    size: str
    state: State
    why: str = ""
    note: str = ""
    runs: int = 0
    figures: Figures | None = None


def once(engine: Engine, environment: Environment, given: Data, limit: float) -> Process:
    """One run; what it says on stderr is kept in a log."""
    LOGS.mkdir(parents=True, exist_ok=True)
    variables = {k: v for k, v in os.environ.items() if not k.startswith("BT_")}
    variables |= dict.fromkeys(ONE_THREAD, "1") | {"PYTHONWARNINGS": "ignore", "PYTHONHASHSEED": "0"}
    command = [str(environment.python), str(engine.script), str(given.found), engine.mode, str(given.ingested)]
    with log(engine).open("w") as errors:
        return process(command, variables, limit=limit, errors=errors)


def log(engine: Engine) -> Path:
    """Where an engine's last words are."""
    return LOGS / f"{engine.script.stem}{engine.mode and f'-{engine.mode}'}.log"


def outcome(engine: Engine, size: str, runs: Sequence[Process], *, limit: float, said: str = "") -> Outcome:
    """What some runs of an engine come to: the first that did not end well, or the medians. `said` is its last word on stderr."""
    for run in runs:
        if run.code is None:
            return Outcome(engine.name, size, "stopped", f"stopped after {limit:.0f} s", engine.note, len(runs))
        if run.code or not run.answer:
            return Outcome(
                engine.name, size, "failed", f"failed: {said or f'exit code {run.code}'}", engine.note, len(runs)
            )
    answers = [run.answer for run in runs]
    for name in ("trades", "pnl", "bars"):
        # pnl to the cent: sums that are made in another order differ in their last bits
        if len({round(answer[name], 2) for answer in answers}) > 1:
            told = ", ".join(str(answer[name]) for answer in answers)
            return Outcome(
                engine.name, size, "failed", f"failed: {name} differ between runs: {told}", engine.note, len(runs)
            )
    last = answers[-1]
    figures = Figures(
        last["version"], last["bars"], last["trades"], round(last["pnl"], 2),
        cpu=statistics.median(answer["cpu"] for answer in answers),
        cpu_whole=statistics.median(run.cpu for run in runs),
        wall=statistics.median(run.wall for run in runs),
        peak=statistics.median(run.peak for run in runs),
    )  # fmt: skip
    return Outcome(engine.name, size, "done", "", engine.note, len(runs), figures)


@dataclass(frozen=True)
class Often:
    """How often an engine is run: `runs` times, once where that takes more than `long` wall seconds; after `limit` it is stopped."""

    runs: int
    long: float
    limit: float

    def __str__(self) -> str:
        if self.runs == 1:
            return f"one run each, stopped after {self.limit:.0f} s"
        once = f", one run where it takes more than {self.long:.0f} s" if self.long < self.limit else ""
        return f"medians of {self.runs}{once}, stopped after {self.limit:.0f} s"


def measured(engine: Engine, environment: Environment, size: str, given: Data, often: Often) -> Outcome:
    """An engine at a size, run as often as is said, fewer times if one does not end well."""
    if environment.missing:
        return Outcome(engine.name, size, "absent", environment.missing, engine.note)
    if not engine.runs(size):
        return Outcome(engine.name, size, "left out", f"not run above {engine.largest}", engine.note)
    done: list[Process] = []
    while len(done) < often.runs and all(run.code == 0 and run.wall <= often.long for run in done):
        done.append(once(engine, environment, given, often.limit))
    words = log(engine).read_text().strip().splitlines()
    return outcome(engine, size, done, limit=often.limit, said=words[-1] if words else "")
