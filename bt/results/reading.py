"""A finished run's folder, read back."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import polars as pl

from bt.errors import DataError, UsageError
from bt.results.tables import ABSENT_AS_NULL, SCHEMAS

DOCUMENTS = ("manifest", "metrics", "timings")
"""Files of JSON beside the tables."""


def open_tables(path: str | os.PathLike[str]) -> dict[str, pl.LazyFrame]:
    """Every table of a run folder, lazily.

    Raises
    ------
    UsageError
        `path` is no run folder.
    """
    folder = _checked(path)
    return tables_in(folder)


def tables_in(folder: Path) -> dict[str, pl.LazyFrame]:
    """Every table that is in a folder, finished or not."""
    files = {table: folder / f"{table}.parquet" for table in SCHEMAS}
    return {
        table: _with_all(table, pl.scan_parquet(file, glob=False)) for table, file in files.items() if file.is_file()
    }


def _with_all(table: str, rows: pl.LazyFrame) -> pl.LazyFrame:
    """A table of a run that an earlier version wrote has the columns that came later, empty."""
    later = ABSENT_AS_NULL.get(table, ())
    known = rows.collect_schema() if later else SCHEMAS[table]
    lacking = [pl.lit(None, SCHEMAS[table][name]).alias(name) for name in later if name not in known]
    return rows.with_columns(lacking).select(SCHEMAS[table].names()) if lacking else rows


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
