"""What the day files of a store still hold for an ingest that changes them, and what is to be done where one is damaged."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from pathlib import Path

import polars as pl

from bt.errors import DataError
from bt.ingest.days import Origins, expand
from bt.ingest.layout import read_day
from bt.ingest.manifest import Manifest, StoredDay

EPOCH = date(1970, 1, 1)
SHOWN = 5
"""Sources that a message names."""


def iso_day(number: int) -> str:
    """The ISO date of a day since the epoch."""
    return (EPOCH + timedelta(days=number)).isoformat()


def damaged(store: Path, old: Manifest) -> set[int]:
    """Ids of the sources with bars in a day file that is missing or not as long as it was written: such a source is read again."""
    days = [day for day, stored in old.days.items() if _size(store / stored.written.file) != stored.written.bytes]
    numbers = [(date.fromisoformat(day) - EPOCH).days for day in days]
    return _sources(old, old.index.filter(pl.col("day").is_in(numbers))) if days else set()


def staying(store: Path, old: Manifest, number: int, origins: Origins, without: Collection[int]) -> list[pl.DataFrame]:
    """The bars of a stored day with one row per bar and source, those of the sources `without` left out: one frame, or none where the
    store has nothing of the day that stays.

    Raises
    ------
    DataError
        When the day file cannot be read, or has other rows than were written.
    """
    places = old.index.filter(pl.col("day") == number)
    if not _sources(old, places) - set(without):
        return []
    stored = old.days[iso_day(number)]
    try:
        bars = read_day(store / stored.written.file)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _damage(store, old, stored, places, str(error).splitlines()[0]) from error
    if bars.height != stored.rows:
        raise _damage(store, old, stored, places, f"one of {bars.height:,} rows where {stored.rows:,} were written")
    return [expand(bars, places, origins, {e.id: e.has for e in old.entries if e.id not in without})]


def _sources(old: Manifest, places: pl.DataFrame) -> set[int]:
    return {source for origin in places["origin"].unique() for source in old.origins[origin]}


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1


def _damage(store: Path, old: Manifest, stored: StoredDay, places: pl.DataFrame, what: str) -> DataError:
    """What is the matter with a day file, and what brings it back."""
    ids = _sources(old, places)
    paths = [e.report.path for e in old.entries if e.id in ids]
    rest = f" and {len(paths) - SHOWN} more (the sources of that day in _store.json)" if len(paths) > SHOWN else ""
    path = store / stored.written.file
    first = "" if _size(path) != stored.written.bytes else "delete it and "
    return DataError(
        f"{path}: day must be as bt ingest wrote it, was not ({what}); nothing was changed, "
        f"{first}ingest in one command what it was made of: {', '.join(paths[:SHOWN])}{rest}"
    )
