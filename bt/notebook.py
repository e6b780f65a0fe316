"""A progress bar in a notebook. Elsewhere nothing is shown, and IPython is not imported."""

from __future__ import annotations

import sys
import time as wall
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

from bt.model import Progress

PAUSE = 0.2
"""Seconds between two drawings at least: each goes through the kernel to the browser."""


def in_notebook() -> bool:
    """Whether a kernel of Jupyter's runs this code."""
    ipython = sys.modules.get("IPython")
    shell: Any = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


@contextmanager
def notebook_progress(given: Progress | None, units: str, parts: str) -> Iterator[Progress | None]:
    """What tells the progress of work in `units` of many `parts`: `given` if there is one, else a bar in a notebook, else None."""
    if given is not None or not in_notebook():
        yield given
        return
    bar = _Bar(units, parts)
    yield bar
    bar.end()


class _Bar:
    """A bar that appears with the first call."""

    def __init__(self, units: str, parts: str) -> None:
        self._units, self._parts = units, parts
        self._began = self._drawn = wall.perf_counter()
        self._handle: Any = None
        self._last = (0, 0, 0)

    def __call__(self, done: int, total: int, parts: int) -> None:
        self._last = (done, total, parts)
        now = wall.perf_counter()
        if self._handle is None or now - self._drawn >= PAUSE:
            self._draw(f'<progress max="{total}" value="{done}"></progress> {self._told}')
            self._drawn = now

    def end(self) -> None:
        """The work is done."""
        if self._handle is not None:
            self._draw(f"{self._told}, {wall.perf_counter() - self._began:.1f} s")

    @property
    def _told(self) -> str:
        done, total, parts = self._last
        return escape(f"{done:,} of {total:,} {self._units}, {parts:,} {self._parts}")

    def _draw(self, html: str) -> None:
        from IPython import display as module

        shown: Any = module  # which is partly typed
        if self._handle is None:
            self._handle = shown.display(shown.HTML(html), display_id=True)
        else:
            self._handle.update(shown.HTML(html))
