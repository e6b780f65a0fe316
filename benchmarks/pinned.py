"""Runs Python in a process of its own on one core, and tells what it used; makes the data that benchmarks read."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[1]
"""Where `python -m benchmarks...` is run."""

FOLDER = Path(os.environ.get("BT_BENCH") or Path(tempfile.gettempdir(), "bt-bench")).absolute()
"""Where data, stores and runs go: BT_BENCH, or a folder in the temporary one; some 600 MB for size L."""


@dataclass(frozen=True)
class Used:
    """CPU seconds (user + system) and wall seconds of a whole process, its peak memory in MB, and what it answered."""

    cpu: float
    wall: float
    peak: float
    answer: dict[str, Any]


@dataclass(frozen=True)
class Process:
    """What a process used and printed, and its exit code: None where it was stopped because it took longer than it may."""

    cpu: float
    wall: float
    peak: float
    printed: str
    code: int | None

    @property
    def answer(self) -> dict[str, Any]:
        """The last line it printed, if that is a JSON object."""
        lines = self.printed.splitlines()
        return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}


def process(
    command: Sequence[str], environment: Mapping[str, str], *, limit: float | None = None, errors: IO[str] | None = None
) -> Process:
    """Run `command` on the last core of this process, for `limit` wall seconds at most; what it says on stderr goes to `errors`."""
    pin = ["taskset", "-c", str(max(os.sched_getaffinity(0)))] if shutil.which("taskset") else []
    began, stopped = time.perf_counter(), threading.Event()
    running = subprocess.Popen(
        [*pin, *command],
        stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=dict(environment), start_new_session=True,
    )  # fmt: skip

    def stop() -> None:
        stopped.set()
        os.killpg(running.pid, signal.SIGKILL)

    timer = threading.Timer(limit or threading.TIMEOUT_MAX, stop)
    timer.daemon = True
    timer.start()
    try:
        assert running.stdout is not None
        with running.stdout as pipe:
            printed = pipe.read()
        _, status, usage = os.wait4(running.pid, 0)  # what it used, exit included
    except BaseException:
        os.killpg(running.pid, signal.SIGKILL)
        raise
    finally:
        timer.cancel()
    running.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    peak = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    code = None if stopped.is_set() else running.returncode
    return Process(usage.ru_utime + usage.ru_stime, wall, peak, printed, code)


def python(*arguments: str) -> Used:
    """Run this Python with `arguments`, settings of bt taken away, also one that would have modules compiled at every start; the last line it prints
    may be a JSON object."""
    left_out = "PYTHONDONTWRITEBYTECODE"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BT_") and k != left_out}
    done = process([sys.executable, *arguments], {**environment, "POLARS_MAX_THREADS": "1"})
    if done.code:
        raise SystemExit(f"{' '.join(arguments)}: exit code must be 0, was {done.code}")
    return Used(done.cpu, done.wall, done.peak, done.answer)


@dataclass(frozen=True)
class Data:
    """One size of `peers_data`: the files as found (zstd, a column named ts), the same ingested, and what they hold."""

    found: Path
    ingested: Path
    rows: int
    first: str
    last: str


def data(size: str) -> Data:
    """Made and ingested unless it is there."""
    found, ingested = FOLDER / "found" / size, FOLDER / "store" / size
    if not (found / "meta.json").is_file():
        say(f"making size {size} in {found}")
        python("-m", "benchmarks.peers_data", str(found.parent), size)
    if not (ingested / "_store.json").is_file():
        say(f"ingesting it to {ingested}")
        python("-m", "bt", "ingest", str(found), "--to", str(ingested), "--column", "open_time=ts")
    meta = json.loads((found / "meta.json").read_text())
    return Data(found, ingested, meta["rows"], meta["first"], meta["last"])


def say(words: str) -> None:
    """Progress, on standard error: standard output is the result."""
    print(words, file=sys.stderr, flush=True)


def machine() -> str:
    """One line about where this was measured."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"one core of {os.cpu_count()} ({model}), Python {platform.python_version()}{busy}"
