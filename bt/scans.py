"""A lazy frame that is read session by session as it is collected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import polars as pl
from polars.io.plugins import register_io_source


@dataclass(frozen=True)
class Wanted:
    """What a query needs of the frame.

    Attributes
    ----------
    sessions : list of (int, int)
        Runs of consecutive sessions, numbers from 0, both ends included.
    symbols : list of str or None
        None where all are.
    columns : list of str
        In the frame's order.
    """

    sessions: list[tuple[int, int]]
    symbols: list[str] | None
    columns: list[str]


Read = Callable[[Wanted], Iterator[pl.DataFrame]]
"""Gives frames in order. They may have more columns and, of `symbols`, more rows than what is wanted."""


def scan(read: Read, schema: pl.Schema, sessions: Sequence[date], symbols: Sequence[str]) -> pl.LazyFrame:
    """A lazy frame with columns session and symbol. Filters on each of them alone decide what `read` is asked for.

    Nothing is kept: each collection reads again, and what `read` raises is raised there.
    """

    def frames(
        columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _batch: int | None
    ) -> Iterator[pl.DataFrame]:
        # Polars cuts to `rows` first and filters then, so such a filter must not prune what is read
        shown = list(schema) if columns is None else columns
        needed = {*shown, *(() if predicate is None else predicate.meta.root_names())}
        pruning = predicate if rows is None else None
        sought = _wanted([c for c in schema if c in needed], pruning, sessions, symbols)
        left = rows
        for frame in read(sought):
            part = frame if left is None else frame.head(left)
            left = None if left is None else left - part.height
            if predicate is not None:
                part = part.filter(predicate)
            yield part.select(shown)
            if left == 0:
                return

    return register_io_source(frames, schema=schema, explain_name="bars")


def _wanted(
    needed: Sequence[str], predicate: pl.Expr | None, sessions: Sequence[date], symbols: Sequence[str]
) -> Wanted:
    """What passes `predicate`, as far as it is about session or symbol alone."""
    days, names = None, None
    if predicate is not None:
        days = _passing(predicate, "session", pl.Series("session", sessions, dtype=pl.Date))
        found = _passing(predicate, "symbol", pl.Series("symbol", symbols, dtype=pl.String))
        names = None if found is None else [symbols[i] for i in found]
    runs = _runs(range(len(sessions)) if days is None else days)
    return Wanted([] if names == [] else runs, names, list(needed))


def _passing(predicate: pl.Expr, column: str, values: pl.Series) -> list[int] | None:
    """Where `values` pass the conditions on `column` alone; None without such conditions.

    Polars hands down only what judges each row by itself.
    """
    about = [c for c in _conditions(predicate) if set(c.meta.root_names()) == {column}]
    if not about:
        return None
    passed = pl.select(values).select(pl.all_horizontal(about).fill_null(False)).to_series()
    return passed.arg_true().to_list()


def _conditions(predicate: pl.Expr) -> list[pl.Expr]:
    """The conditions that must all hold."""
    parts = predicate.meta.pop()
    if len(parts) == 2:
        for one, other in (parts, parts[::-1]):
            if (one & other).meta == predicate.meta:
                return [*_conditions(one), *_conditions(other)]
    return [predicate]


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of consecutive numbers, both ends included."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs
