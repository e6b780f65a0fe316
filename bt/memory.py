"""How this process keeps its memory while it replays: freed blocks stay with it, and garbage is looked for less often.

A replay frees and asks for the same few dozen megabytes every session. glibc returns such blocks to the system at once and
gets them back page by page, zeroed: a fifth of a run's CPU time. Python's collector looks through every order and fill of the run again
and again, and finds nothing: a quarter where a strategy trades much (docs/decisions/0006).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from bt.collector import seldom

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_LARGE = 256 * 1024 * 1024
_RESIDENT = 650 * 1024 * 1024
"""Bytes in memory beyond which a session's end gives back what is free: a universe of 500 symbols stays below, one of 3000 does not."""
_STATM = Path("/proc/self/statm")
_RUNS, _WORTH = 10, 20
"""After so many runs the collector goes through all there is, if they took so many times as long as that does."""
_HEAP = 64 * 1024 * 1024
"""Size of the heaps from which glibc serves threads other than the first. It gives an empty one back, unless that would leave less
than the top pad."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed blocks up to 256 MB, and the heaps of other threads; whether it was told. Elsewhere nothing is done.

    Arrow then takes its memory from glibc too: what one library has freed the others can have.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        tell = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    pa.set_memory_pool(pa.system_memory_pool())
    told = ((_M_TOP_PAD, _HEAP), (_M_MMAP_THRESHOLD, _LARGE), (_M_TRIM_THRESHOLD, 2 * _LARGE))
    return all(bool(tell(option, size)) for option, size in told)


def give_back_memory(beyond: int = _RESIDENT) -> bool:
    """Give what is free back to the system where the process holds more than `beyond` bytes: what a wide universe's sessions need at one time each thread's
    allocator keeps for itself, and together they would keep much more than is ever in use. Whether it was asked to; elsewhere than on Linux nothing is done."""
    try:
        if int(_STATM.read_text().split()[1]) * mmap.PAGESIZE <= beyond:
            return False
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another system or C library
        return False
    return True


@dataclass
class _Collections:
    """Runs since the collector has been through all there is, when that was in the process's CPU seconds, and how long it took; 0 before the first time."""

    runs: int = 0
    ended: float = 0.0
    took: float = 0.0

    def run_ended(self) -> None:
        """Let it through everything again if it has been long enough."""
        self.runs += 1
        now = time.process_time()
        if gc.isenabled() and self.runs >= _RUNS and now - self.ended >= _WORTH * self.took:
            gc.collect()
            self.runs, self.ended = 0, time.process_time()
            self.took = self.ended - now


_collections = _Collections()


@contextlib.contextmanager
def calm_collector() -> Iterator[None]:
    """While a run lasts, Python's garbage collector looks seldom, and leaves alone what was there
    before. Cycles that a strategy makes are still found. What it has left alone counts as old from then on, and it would hardly come there
    by itself: after some runs it is sent."""
    gc.freeze()
    try:
        with seldom():
            yield
    finally:
        gc.unfreeze()
        _collections.run_ended()


def peak_rss_mb() -> float | None:
    """The process's largest resident memory so far, MB; None where the system does not tell.

    Linux's own figure is read where it is there: `getrusage` starts with that of the process this one was forked from.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024
    except (OSError, StopIteration):
        pass
    if resource is None:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)
