"""A progress bar on standard error, for people only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Told = Callable[[int, int, int], None]


@contextmanager
def progress_bar(unit: str, rows: str, *, shown: bool) -> Iterator[Told | None]:
    """A callable ``(done, total, rows_done)`` that draws the bar; None where nobody looks.

    `unit` is what is counted (sessions, files), `rows` what flows (bars, rows).
    """
    if not shown:
        yield None
        return
    columns = (
        TextColumn("{task.fields[doing]}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=None, doing="checking the data", rate="")
        began = time.perf_counter()

        def tell(done: int, total: int, flowed: int) -> None:
            rate = flowed / max(time.perf_counter() - began, 1e-9)
            told = f"{done:,} of {total:,} {unit}"
            bar.update(task, completed=done, total=total, doing=told, rate=f"{rate:,.0f} {rows}/s")

        yield tell
