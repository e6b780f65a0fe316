"""Ctrl-C while a run replays, and while what it leaves is written."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

from bt.engine import Pace


class Waiting(Protocol):
    """Who knows whether the run waits for data now, so that it may be left at once."""

    waiting: bool


@contextlib.contextmanager
def interruptible(pace: Pace, coordinator: Waiting) -> Iterator[None]:
    """Ctrl-C ends the run after the minute being played; while data is loaded, at once; pressed again, always at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if pace.stop.is_set() or coordinator.waiting:
            raise KeyboardInterrupt
        pace.stop.set()

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def unheard() -> Iterator[None]:
    """Ctrl-C is not heard: what was played is being written, and whoever presses twice has asked for that already."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
