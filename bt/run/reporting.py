"""A run's report.html."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from bt.errors import ResultsError, UsageError
from bt.report import RunTold, SweepTold, Wish, run_page
from bt.run.bars import bars_or_reason

if TYPE_CHECKING:
    from bt.run.result import Run

REPORT = "report.html"


def write_report(
    run: Run, path: Path | None, wish: Wish, sweep: SweepTold | None, lines: Sequence[tuple[str, str]] = ()
) -> Path:
    """Write the report of `run` to `path`, by default into its folder, whole or not at all; where it is.

    Raises
    ------
    UsageError
        The run is in memory and no path was given.
    ResultsError
        It could not be written.
    """
    target = path if path is not None else None if run.path is None else run.path / REPORT
    if target is None:
        raise UsageError("report: path must be given of a run in memory, was not; run.report('report.html')")
    write_page(target, report(run, wish, sweep, lines))
    return target


def report(run: Run, wish: Wish, sweep: SweepTold | None, lines: Sequence[tuple[str, str]] = ()) -> str:
    """The page; `lines` are the summary's."""
    with bars_or_reason(run.manifest, run.data) as (bars, why):
        told = RunTold(
            run.summary, run.metrics.to_dict(), {name: m.to_dict() for name, m in run.strategy_metrics.items()},
            run.manifest, run.tables, run.outages, bars, why, sweep, lines,
        )  # fmt: skip
        return run_page(told, wish=wish)


def session_given(session: date | str | None) -> date | None:
    """A session as it was asked for.

    Raises
    ------
    UsageError
        A text that is no ISO date.
    """
    if session is None or isinstance(session, date):
        return session
    try:
        return date.fromisoformat(session)
    except ValueError:
        raise UsageError(f"session: it must be a date such as 2024-11-25, was {session!r}") from None


def write_page(path: Path, page: str) -> None:
    """Write a page whole or not at all: beside its place, then renamed.

    Raises
    ------
    ResultsError
        It could not be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink()
        cause = error.strerror or str(error)
        raise ResultsError(
            f"{path}: the page must be written whole, was stopped by: {cause}; choose another place"
        ) from error
