"""A progress bar on standard error, for people only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

Told = Callable[[int, int, int], None]


@contextmanager
def progress_bar(unit: str, rows: str, *, shown: bool) -> Iterator[Told | None]:
    """A callable ``(done, total, rows_done)`` that draws the bar; None where nobody looks.

    `unit` is what is counted (sessions, files), `rows` what flows (bars, rows).
    """
    with progress_stages((unit, rows), shown=shown) as (tell,):
        yield tell


@contextmanager
def progress_stages(*stages: tuple[str, str], shown: bool) -> Iterator[list[Told | None]]:
    """As `progress_bar`, one callable a stage; the stages follow each other on one bar, each with its own rate."""
    if not shown:
        yield [None] * len(stages)
        return
    columns = (
        TextColumn("{task.fields[doing]}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(file=sys.stderr), transient=True) as bar:
        task = bar.add_task("", total=None, doing="checking the data", rate="")
        current, began, told_at = stages[0], time.perf_counter(), time.perf_counter()

        def tell(stage: tuple[str, str], done: int, total: int, flowed: int) -> None:
            nonlocal current, began, told_at
            if stage is not current:
                current, began = stage, told_at
                bar.reset(task, total=total)
            told_at = time.perf_counter()
            rate = flowed / max(told_at - began, 1e-9)
            unit, rows = stage
            doing = f"{done:,} of {total:,} {unit}"
            bar.update(task, completed=done, total=total, doing=doing, rate=f"{rate:,.0f} {rows}/s")

        yield [partial(tell, stage) for stage in stages]
