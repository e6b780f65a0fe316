"""Small tables that a run is given, such as corporate actions: read whole before the run, and refused by file, column, value and row."""

from __future__ import annotations

import hashlib
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bt.errors import DataError
from bt.model import MemoryBars

AUTO, NO_TABLE = "auto", "none"
"""What stands for the table of the store's own folder, and for no table."""


class Found(NamedTuple):
    """A table as it is, with what messages call it and what it is known by."""

    source: str
    hash: str
    rows: pl.DataFrame


def found_table(given: str | MemoryBars, bars: str | MemoryBars, own: str, key: str) -> Found | None:
    """The table `given` in a configuration as `key`: one in memory, a file's, or with `AUTO` the file `own` in the store's folder; None for none.

    Raises
    ------
    DataError
        It cannot be read.
    """
    if isinstance(given, MemoryBars):
        return Found(key, given.digest, given.frame)
    if given == AUTO:
        beside = Path(bars, own) if isinstance(bars, str) else Path()
        given = str(beside) if beside.is_file() else NO_TABLE
    return None if given in ("", NO_TABLE) else Found(given, *read_table(given, key))


def read_table(path: str, key: str) -> tuple[str, pl.DataFrame]:
    """What a Parquet or CSV file is known by, and its rows (CSV as text); `key` is what names it in a configuration.

    Raises
    ------
    DataError
        It cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        is_csv = path.endswith(".csv")
        return content, pl.read_csv(path, infer_schema=False) if is_csv else pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        why = getattr(error, "strerror", None) or str(error).partition("\n")[0]
        raise DataError(f"{path}: {key} must be a readable Parquet or CSV file, was not: {why}") from error


class Refusal:
    """Refuses a row of a table, by its number (the first is 1)."""

    def __init__(self, source: str, rows: pl.DataFrame) -> None:
        self._source, self._rows = source, rows

    def where(self, bad: pl.Expr, column: str, must: str) -> None:
        """Refuse the first row of which `bad` is true."""
        for row, value in self._rows.filter(bad).select("row", column).head(1).iter_rows():
            self.refuse(row, column, must, value)

    def refuse(self, row: int, column: str, must: str, value: object) -> None:
        """Refuse a row."""
        shown = "empty" if value is None else repr(str(value))
        raise DataError(
            f"{self._source}: column {column!r} must be {must}, was {shown} in row {row}; mend the row or leave it out"
        )


def text_of(frame: pl.DataFrame, column: str) -> pl.Series:
    """A column as text; a float as the shortest decimal that is it, and what is not finite or empty as it is written."""
    values = frame[column]
    if values.dtype.is_float():
        return pl.Series(column, [None if v is None else repr(float(v)) for v in values.to_list()], dtype=pl.String)
    return values.cast(pl.String).str.strip_chars().replace("", None).alias(column)


def days_of(values: pl.Series, source: str) -> pl.Series:
    """A column of dates."""
    if values.dtype == pl.Date:
        return values
    if values.dtype == pl.String:
        made = values.str.to_date("%Y-%m-%d", strict=False)
        wrong = made.is_null() & values.is_not_null()
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            raise DataError(
                f"{source}: column {values.name!r} must be dates as 2014-06-09, was {values[row]!r} in row {row + 1}; write them so"
            )
        return made
    raise DataError(f"{source}: column {values.name!r} must be dates, was {values.dtype}; cast it to Date")


def number_of(text: str) -> Fraction | None:
    """A finite number exactly as written."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        return None
    return Fraction(value) if value.is_finite() else None
