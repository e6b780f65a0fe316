"""A run's report.html."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from bt.errors import ResultsError, UsageError
from bt.report import RunTold, SweepTold, Wish, run_page
from bt.results import damage_named, is_part
from bt.run.bars import bars_or_reason, zone_of

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
        The run is in memory and no path was given, the path is a run's table or document, or the run has no such symbol or session.
    DataError
        A table of the run is damaged.
    ResultsError
        It could not be written.
    """
    with damage_named(run.path):
        _check_wish(run, wish)
    target = path if path is not None else None if run.path is None else run.path / REPORT
    if target is None:
        raise UsageError("report: path must be given of a run in memory, was not; run.report('report.html')")
    write_page(target, report(run, wish, sweep, lines))
    return target


def report(run: Run, wish: Wish, sweep: SweepTold | None, lines: Sequence[tuple[str, str]] = ()) -> str:
    """The page; `lines` are the summary's."""
    with damage_named(run.path), bars_or_reason(run.manifest, run.data) as (bars, why):
        told = RunTold(
            run.summary, run.metrics.to_dict(), {name: m.to_dict() for name, m in run.strategy_metrics.items()},
            run.manifest, run.tables, run.outages, bars, why, sweep, lines, zone_of(run.manifest),
        )  # fmt: skip
        return run_page(told, wish=wish)


def _check_wish(run: Run, wish: Wish) -> None:
    """Refuse a symbol or session that the run has not."""
    if wish.symbol is not None:
        names = pl.concat([run.tables[name].lazy().select("symbol") for name in ("quality", "orders")])
        known = names.unique().drop_nulls().collect(engine="in-memory")["symbol"].sort().to_list()
        if wish.symbol not in known:
            near = get_close_matches(wish.symbol, known, 1, 0.0) or ["none"]
            raise UsageError(
                f"symbol: it must be one of the {len(known)} of the run, was {wish.symbol!r}; the nearest is {near[0]}"
            )
    if wish.session is not None:
        days = run.tables["sessions"].lazy().select("session").collect(engine="in-memory")["session"]
        if wish.session not in days:
            told = f"they are {days[0]} to {days[-1]}" if len(days) else "it has none"
            raise UsageError(f"session: it must be one of the run's, was {wish.session}; {told}")


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
    UsageError
        A run's table or document is there.
    ResultsError
        It could not be written.
    """
    if is_part(path):
        raise UsageError(f"{path}: the page must not replace a file of a run, was to; choose another name, as {REPORT}")
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
