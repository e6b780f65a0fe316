"""A calendar given as a Parquet file: one row a segment, columns session, segment, open, close, optionally early_close."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import NoReturn

import polars as pl

from bt.errors import CalendarError, DataError
from bt.model import Schedule
from bt.sessions.window import LONGEST_SESSION, SCHEMA, Window

DAYS = (date(1900, 1, 1), date(2199, 12, 31))
"""Days that a session may have."""

FARTHEST = 31
"""So many days a session may open before the day it is named after, or close after it."""

REQUIRED = ("session", "segment", "open", "close")


def read_calendar(path: Path) -> Window:
    """The calendar in the Parquet file `path`; its exchange zone is the time zone of the column ``open``.

    The file is all that is known: it bounds the calendar by its first and last session.

    Raises
    ------
    CalendarError
        There is no such file.
    DataError
        The file is unreadable, or a column is missing, of another type or holds an impossible value.
    """
    if not path.is_file():
        raise CalendarError(f"calendar: must be an existing Parquet file, was {str(path)!r}; check the path")
    try:
        raw = pl.read_parquet(path, hive_partitioning=False)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path}: the file must be readable Parquet, was not ({error}); write it again") from error
    zone = _check_columns(path, raw)
    frame = _checked(path, raw)
    names = frame["session"]
    first, last = names[0], names[-1]
    return Window(Schedule(str(path), zone, frame), first, last, first, last, asked_first=first, asked_last=last)


def _fault(path: Path, message: str) -> NoReturn:
    raise DataError(f"{path}: {message}")


def _check_columns(path: Path, raw: pl.DataFrame) -> str:
    """The exchange zone; raises where a column is missing, unknown or of another type."""
    for name in REQUIRED:
        if name not in raw.columns:
            _fault(path, f"column {name!r} must be present, was not; the columns are {', '.join(raw.columns)}")
    if unknown := [c for c in raw.columns if c not in SCHEMA]:
        _fault(path, f"column must be one of {', '.join(SCHEMA)}, was {unknown[0]!r}; remove or rename it")
    if raw.height == 0:
        _fault(path, "rows must be one a segment, were none; write at least one session")
    for name, told, good in (
        ("session", "a date", raw.schema["session"] == pl.Date),
        ("segment", "an integer", raw.schema["segment"].is_integer()),
        ("early_close", "a boolean", raw.schema.get("early_close", pl.Boolean) == pl.Boolean),
    ):
        if not good:
            _fault(path, f"column {name!r} must be {told}, was {raw.schema[name]}; cast it")
    zones = []
    for name in ("open", "close"):
        kind = raw.schema[name]
        if not isinstance(kind, pl.Datetime) or kind.time_zone is None:
            _fault(path, f"column {name!r} must be a timestamp with a time zone, was {kind}; localize it")
        zones.append(kind.time_zone)
    for name in raw.columns:
        if raw[name].null_count():
            row = raw[name].is_null().arg_max()
            _fault(path, f"column {name!r} must have no nulls, was null in row {row}; fill or remove that row")
    return str(zones[0])


def _checked(path: Path, raw: pl.DataFrame) -> pl.DataFrame:
    """The frame of a schedule; raises where a value is impossible."""
    for name in ("open", "close"):
        off = raw.filter(pl.col(name).dt.truncate("1m") != pl.col(name))
        if off.height:
            _fault(path, f"column {name!r} must lie on whole minutes, was {off[name][0]}; round it")
    if "early_close" not in raw.columns:
        raw = raw.with_columns(pl.lit(value=False).alias("early_close"))
    for name, low, high in (("segment", 0, LONGEST_SESSION), ("session", *DAYS)):
        beyond = raw.filter(~pl.col(name).is_between(low, high))
        if beyond.height:
            _fault(path, f"column {name!r} must be from {low} to {high}, was {beyond[name][0]}; mend that row")
    utc = [pl.col(c).dt.convert_time_zone("UTC").dt.cast_time_unit("us") for c in ("open", "close")]
    frame = raw.select("session", pl.col("segment").cast(pl.Int32), *utc, "early_close").sort("session", "segment")
    frame = frame.select(list(SCHEMA))
    number = pl.int_range(pl.len()).over("session").cast(pl.Int32)
    minutes = (pl.col("close") - pl.col("open")).dt.total_minutes().sum().over("session")
    apart = [(pl.col(name).dt.date() - pl.col("session")).dt.total_days().abs() for name in ("open", "close")]
    rules = (
        ("open", apart[0] <= FARTHEST, f"lie within {FARTHEST} days of its session", "mend that row"),
        ("close", apart[1] <= FARTHEST, f"lie within {FARTHEST} days of its session", "mend that row"),
        ("segment", pl.col("segment") == number, "count 0, 1, 2 ... within a session", "number the segments again"),
        ("close", pl.col("close") > pl.col("open"), "lie after its open", "a segment cannot be empty"),
        (
            "open",
            pl.col("open") >= pl.col("close").shift(1, fill_value=pl.col("open").first()),
            "not lie before the close of the row before",
            "segments and sessions cannot overlap",
        ),
        (
            "early_close",
            pl.col("early_close") == pl.col("early_close").first().over("session"),
            "be the same for all segments of a session",
            "repeat it",
        ),
        ("close", minutes <= LONGEST_SESSION, f"end at most {LONGEST_SESSION} minutes of session", "split the session"),
    )
    for name, rule, must, hint in rules:
        wrong = frame.filter(~rule)
        if wrong.height:
            where = f"session {wrong['session'][0]}, segment {wrong['segment'][0]}"
            _fault(path, f"column {name!r} must {must}, was {wrong[name][0]} ({where}); {hint}")
    return frame
