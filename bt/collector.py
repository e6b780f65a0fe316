"""How often Python's garbage collector looks: while modules are imported, or a run is played, it goes through everything again and again and finds next to nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (100_000, 20, 100)
"""New objects after which it looks at those, and how often it does until it looks at older ones; Python's own are 700, 10 and 10."""


@contextmanager
def seldom() -> Iterator[None]:
    """Until the end it looks after 100,000 new objects instead of 700. Cycles are still found."""
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
