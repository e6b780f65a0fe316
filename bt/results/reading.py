"""A finished run's folder, read back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from bt.errors import DataError, UsageError
from bt.results.tables import ABSENT_AS_NULL, SCHEMAS

DOCUMENTS = ("manifest", "metrics", "timings")
"""Files of JSON beside the tables."""


class Tables(dict[str, pl.LazyFrame]):
    """The tables of a run's folder by name; one that is not there is told."""

    def __init__(self, folder: Path, tables: Mapping[str, pl.LazyFrame]) -> None:
        super().__init__(tables)
        self._folder = folder

    def __missing__(self, name: str) -> pl.LazyFrame:
        raise DataError(
            f"{self._folder}: the table {name} must be there, was missing; the folder is damaged: replay again"
        )


def open_tables(path: str | os.PathLike[str]) -> dict[str, pl.LazyFrame]:
    """Every table of a run folder, lazily.

    Raises
    ------
    UsageError
        `path` is no run folder.
    DataError
        A table is damaged.
    """
    folder = _checked(path)
    return Tables(folder, tables_in(folder))


def tables_in(folder: Path) -> dict[str, pl.LazyFrame]:
    """Every table that is in a folder, finished or not."""
    files = {table: folder / f"{table}.parquet" for table in SCHEMAS}
    return {table: _opened(table, file) for table, file in files.items() if file.is_file()}


def _opened(table: str, file: Path) -> pl.LazyFrame:
    """A table whose file has a sound end; one that an earlier version wrote has the columns that came later, empty."""
    rows = pl.scan_parquet(file, glob=False)
    try:
        known = rows.collect_schema()
    except _UNREADABLE as error:
        raise _no_table(file, error) from error
    later = ABSENT_AS_NULL.get(table, ())
    lacking = [pl.lit(None, SCHEMAS[table][name]).alias(name) for name in later if name not in known]
    return rows.with_columns(lacking).select(SCHEMAS[table].names()) if lacking else rows


_UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What reading a damaged file raises."""


def _no_table(file: Path, error: BaseException) -> DataError:
    cause = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    return DataError(f"{file}: it must be the table that a run leaves, was not ({cause}); replay again")


@contextmanager
def damage_named(folder: Path | None) -> Iterator[None]:
    """While tables of a run are read: where that fails because one is damaged behind a sound end, its file is named. A `folder` of None is a run in memory.

    Raises
    ------
    DataError
        A table is damaged.
    """
    try:
        yield
    except _UNREADABLE:
        if folder is not None:
            _name_damage(folder)
        raise


def _name_damage(folder: Path) -> None:
    for name, rows in tables_in(folder).items():
        try:
            rows.collect(engine="in-memory")
        except _UNREADABLE as error:
            raise _no_table(folder / f"{name}.parquet", error) from error


def open_documents(path: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """manifest, metrics and timings of a run folder.

    Raises
    ------
    UsageError
        `path` is no run folder.
    DataError
        A document is missing or damaged.
    """
    folder = _checked(path)
    return {name: _read_json(folder / f"{name}.json") for name in DOCUMENTS}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        cause = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: it must be the JSON that a run leaves, was not ({cause}); replay again") from error
    if not isinstance(document, dict):
        raise DataError(f"{path}: it must be a JSON object, was {type(document).__name__}; replay again")
    return document


def is_run(path: Path) -> bool:
    """Whether `path` is a finished run's folder: a partial one, whose manifest may be there already, is hidden."""
    return not path.name.startswith(".") and (path / "manifest.json").is_file()


def is_part(path: Path) -> bool:
    """Whether `path` is a table or document of a finished run."""
    names = {f"{table}.parquet" for table in SCHEMAS} | {f"{document}.json" for document in DOCUMENTS}
    return path.name in names and path.is_file() and is_run(path.resolve().parent)


def runs_in(folder: Path) -> list[Path]:
    """The finished runs right below a folder, by name."""
    return sorted(child for child in folder.iterdir() if is_run(child)) if folder.is_dir() else []


def _checked(path: str | os.PathLike[str]) -> Path:
    folder = Path(path)
    if not is_run(folder):
        hint = "runs are in output.dir"
        if inside := runs_in(folder):
            several = f"it holds {len(inside):,} runs, name one, such as" if len(inside) > 1 else "it holds a run:"
            hint = f"{several} {inside[-1]}"
        raise UsageError(f"{folder}: it must be the folder of a finished run, was not; {hint}")
    return folder
