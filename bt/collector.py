"""How often Python's garbage collector looks: while modules are imported, or a run is played, it goes through everything again and again and finds next to nothing."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

RUN = 100_000
"""New objects of a run after which it looks at them; Python's own are 700."""

START = 1_000_000
"""Likewise while modules are imported: those of all that a run needs are 230,000."""

OLDER = (20, 100)
"""How often it looks at new objects until it looks at older ones; Python's own are 10 and 10."""


@contextmanager
def seldom(objects: int = RUN) -> Iterator[None]:
    """Until the end it looks after so many new objects. Cycles are still found. What was imported counts as old in the end: as new it would all be looked
    at twice more, which takes a tenth of a second."""
    before = gc.get_threshold()
    gc.set_threshold(objects, *OLDER)
    try:
        yield
    finally:
        if objects >= START and not gc.get_freeze_count():  # what somebody has set aside stays there
            gc.freeze()
            gc.unfreeze()
        gc.set_threshold(*before)
