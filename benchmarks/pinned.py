"""Runs Python in a process of its own on one core, and tells what it used; makes the data that benchmarks read."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FOLDER = Path(os.environ.get("BT_BENCH") or Path(tempfile.gettempdir(), "bt-bench"))
"""Where data, stores and runs go: BT_BENCH, or a folder in the temporary one; some 600 MB for size L."""


@dataclass(frozen=True)
class Used:
    """CPU seconds (user + system) and wall seconds of a whole process, its peak memory in MB, and what it answered."""

    cpu: float
    wall: float
    peak: float
    answer: dict[str, Any]


def python(*arguments: str) -> Used:
    """Run Python with `arguments` on the last core of this process; the last line it prints may be a JSON object."""
    pin = ["taskset", "-c", str(max(os.sched_getaffinity(0)))] if shutil.which("taskset") else []
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BT_")}
    began = time.perf_counter()
    running = subprocess.Popen(
        [*pin, sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "POLARS_MAX_THREADS": "1"},
    )
    assert running.stdout is not None
    with running.stdout as pipe:
        printed = pipe.read()
    _, status, usage = os.wait4(running.pid, 0)  # what it used, exit included
    running.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if running.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code must be 0, was {running.returncode}")
    lines = printed.splitlines()
    answer = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    peak = usage.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    return Used(usage.ru_utime + usage.ru_stime, wall, peak, answer)


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
        python(str(HERE / "peers_data.py"), str(found.parent), size)
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
