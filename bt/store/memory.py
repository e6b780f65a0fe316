"""Bars that are handed over as a table instead of files: known by their content, checked and read as one file is."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import polars as pl
import pyarrow as pa

from bt.errors import DataError
from bt.model import MemoryBars


def in_memory(table: Any) -> MemoryBars:
    """A Polars DataFrame or LazyFrame or an Arrow table as bars; equal rows in the same order are the same bars.

    Raises
    ------
    TypeError
        It is none of them; the text is a hint.
    DataError
        A lazy frame cannot be collected, or a column has a type that Polars or Arrow has not.
    """
    try:
        if isinstance(table, pl.LazyFrame):
            table = table.collect(engine="in-memory")
        elif isinstance(table, pa.Table | pa.RecordBatch):
            _check_types({field.name: field.type for field in table.schema})
            table = pl.DataFrame(table)
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"data.bars: the table must be readable by Polars, was refused: {error}") from error
    if not isinstance(table, pl.DataFrame):
        hint = "; convert it with polars.from_pandas" if type(table).__module__.startswith("pandas") else ""
        raise TypeError(f"it is a {type(table).__module__}.{type(table).__qualname__}{hint}")
    _check_types(table.schema)
    frame = table.with_columns(
        pl.col(pl.Categorical, pl.Enum).cast(pl.String),
        *(_in_microseconds(table[name], kind) for name, kind in table.schema.items() if isinstance(kind, pl.Datetime)),
    ).rechunk()
    return MemoryBars(_digest(frame), frame)


def _check_types(schema: Mapping[str, Any]) -> None:
    """Refuse what Polars panics at, and what Arrow has no name for."""
    for name, kind in schema.items():
        for wide, instead in (("decimal256", "decimal128 or a float"), ("Int128", "Int64 or Float64")):
            if wide in str(kind):
                raise DataError(
                    f"data.bars: column {name!r} must be of a type that Polars and Arrow share, was {kind}; cast it to {instead}"
                )


def _in_microseconds(times: pl.Series, kind: pl.Datetime) -> pl.Series:
    """Equal times in one unit, whatever they were given in; as they are where they lie between microseconds."""
    made = times.dt.cast_time_unit("us")
    return made if made.dt.cast_time_unit(kind.time_unit).equals(times, null_equal=True) else times


def _digest(frame: pl.DataFrame) -> str:
    """Hex digest of names, types and values in their order; how the frame lies in memory does not matter."""
    digest = hashlib.blake2b(digest_size=20)
    for column in frame.get_columns():
        digest.update(f"{column.name}\n{column.dtype}\n{len(column)}\n".encode())
        digest.update(column.is_null().to_numpy().tobytes())
        digest.update(_content(column))
    return digest.hexdigest()


def _content(column: pl.Series) -> bytes:
    kind = column.dtype
    if kind == pl.String:
        texts = column.drop_nulls().unique().sort()
        codes = column.cast(pl.Enum(texts)).to_physical().cast(pl.UInt32).fill_null(0)
        return "\0".join(texts).encode() + b"\0" + codes.to_numpy().tobytes()
    if kind == pl.Boolean:
        return column.fill_null(False).to_numpy().tobytes()
    if kind.is_integer() or kind.is_float() or kind.is_temporal():
        return column.to_physical().fill_null(0).to_numpy().tobytes()
    return repr(column.to_list()).encode()  # decimals; what else there is can be no bar's column
