"""What studies are asked: frames with the columns they need, and lengths of time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from bt.errors import UsageError

RETURN = "ret_"
"""What the name of a column of forward returns begins with."""

_LENGTH = re.compile(r"([1-9]\d{0,4})([mh])")


def eager(frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """The frame, collected if it is lazy."""
    return frame.collect() if isinstance(frame, pl.LazyFrame) else frame


def require(frame: pl.DataFrame, columns: Mapping[str, pl.DataType | type[pl.DataType] | None], source: str) -> None:
    """Refuse a frame that lacks one of the columns, has it in another type than is given, or as null.

    Raises
    ------
    UsageError
    """
    for name, kind in columns.items():
        if name not in frame.columns:
            raise UsageError(f"{source}: the frame must have a column {name!r}, has {', '.join(frame.columns)}")
        was = frame.schema[name]
        if kind is not None and was != kind:
            hint = (
                "; naive times have no place on the exchange's clock: dt.replace_time_zone"
                if was == pl.Datetime("us")
                else ""
            )
            raise UsageError(f"{source}: column {name!r} must be {kind}, was {was}{hint}")
        if kind is not None and frame[name].null_count():
            raise UsageError(f"{source}: column {name!r} must not be null, was in {frame[name].null_count()} rows")


def minutes(length: str, source: str, name: str) -> int:
    """Minutes of "30m" or "2h".

    Raises
    ------
    UsageError
        It is neither.
    """
    given: object = length
    found = _LENGTH.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise UsageError(f'{source}: {name} must be like "30m" or "2h", was {length!r}')
    return int(found[1]) * (60 if found[2] == "h" else 1)


def returns_of(frame: pl.DataFrame, horizons: Sequence[str] | None, source: str) -> list[str]:
    """The columns of forward returns of the `horizons`, by default all that the frame has.

    Raises
    ------
    UsageError
        There are none, or one is missing or not Float64.
    """
    held = [c for c in frame.columns if c.startswith(RETURN)]
    asked = held if horizons is None else [RETURN + h for h in horizons]
    for column in asked:
        if frame.schema.get(column) != pl.Float64:
            raise UsageError(
                f"{source}: horizon {column.removeprefix(RETURN)!r} must have a column {column} of Float64; the frame has "
                f"{', '.join(held) or 'no such columns'}; bt.forward_returns adds them"
            )
    if not asked:
        raise UsageError(f"{source}: the frame must have forward returns, has none; bt.forward_returns adds them")
    return asked


def check_whole(value: object, least: int, source: str, name: str) -> None:
    """Refuse what is no whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UsageError(f"{source}: {name} must be a whole number >= {least}, was {value!r}")


def check_within(within: object, source: str) -> None:
    """Refuse what is neither "session" nor None."""
    if within not in ("session", None):
        raise UsageError(f'{source}: within must be "session" or None, was {within!r}')
