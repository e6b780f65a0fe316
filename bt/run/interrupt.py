"""Ctrl-C while a run replays, and while what it leaves is written."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time as wall
from collections.abc import Iterator
from types import FrameType
from typing import Protocol

from bt.engine import Pace

SAME = 1.0
"""Seconds in which presses of Ctrl-C are one: some hit it twice, and a wrapper may pass on what the terminal sends too."""


class Waiting(Protocol):
    """Who knows whether the run waits for data now, so that it may be left at once."""

    waiting: bool


@contextlib.contextmanager
def interruptible(pace: Pace, coordinator: Waiting) -> Iterator[None]:
    """Ctrl-C ends the run after the minute being played; while data is loaded, at once; pressed again, always at once. What comes within `SAME` seconds of a
    press is part of it, also where the run is over by then: it would end what the run leaves."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = [-math.inf]

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        if wall.monotonic() - pressed[0] < SAME:
            return
        again = pace.stop.is_set()
        pressed[0] = wall.monotonic()
        if again or coordinator.waiting:
            raise KeyboardInterrupt
        pace.stop.set()

    before = signal.signal(signal.SIGINT, interrupt)

    def afterwards(number: int, _frame: FrameType | None) -> None:
        if wall.monotonic() - pressed[0] >= SAME:
            signal.signal(signal.SIGINT, before)
            signal.raise_signal(number)

    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before if pressed[0] < 0 else afterwards)


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
