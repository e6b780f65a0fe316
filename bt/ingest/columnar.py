"""Parquet and Arrow (Feather) files: columns by name or by the user's map."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bt.errors import DataError
from bt.ingest.columns import Picked, pick, symbol_for
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention, convention
from bt.ingest.sources import reading
from bt.schema import OPTIONAL_COLUMNS

ROWS = 250_000
"""Rows of a Parquet batch."""

PARQUET, ARROW, FEATHER_1 = b"PAR1", b"ARROW1", b"FEA1"


class Columnar:
    """Files whose columns have types: stamps may be Datetimes (naive ones need a zone), epochs or text; prices numbers, decimals or text."""

    name = "parquet"

    def sniff(self, path: Path, head: bytes) -> bool:
        """Whether `head` has the magic bytes of Parquet or Arrow."""
        del path
        return head.startswith((PARQUET, ARROW, FEATHER_1))

    def told(self, path: Path, options: IngestOptions) -> str:
        """The symbol."""
        return symbol_for(path, options)

    def batches(self, path: Path, options: IngestOptions) -> Iterator[Batch]:
        """Bars, row group by row group."""
        with reading(path), path.open("rb") as raw:
            magic = raw.read(6)
        with reading(path):
            if magic == ARROW:
                yield from _arrow(path, options)
            elif magic.startswith(PARQUET):
                yield from _parquet(path, options)
            else:
                raise DataError(
                    f"{path}: file must be Parquet or Arrow (Feather 2), was not; write it again as one of them"
                )


def _parquet(path: Path, options: IngestOptions) -> Iterator[Batch]:
    with pq.ParquetFile(path) as file:
        picked = _picked(file.schema_arrow, options, path)
        row = 1
        for batch in file.iter_batches(batch_size=ROWS, columns=picked.used):
            yield _batch(pa.Table.from_batches([batch]), picked, options, path, row)
            row += batch.num_rows


def _arrow(path: Path, options: IngestOptions) -> Iterator[Batch]:
    with pa.OSFile(str(path)) as raw, pa.ipc.open_file(raw) as reader:
        picked = _picked(reader.schema, options, path)
        row = 1
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            yield _batch(pa.Table.from_batches([batch]).select(picked.used), picked, options, path, row)
            row += batch.num_rows


def _picked(schema: pa.Schema, options: IngestOptions, path: Path) -> Picked:
    """Our columns in a file of this schema, without optional ones that nobody asked for and that hold no numbers.

    Raises
    ------
    DataError
        When another column has a type that cannot hold what it is for.
    """
    picked = pick(schema.names, options, path)
    source = dict(picked.source)
    for ours, theirs in picked.source.items():
        unfit = [name for name in theirs if not _fits(ours, schema.field(name).type)]
        if unfit and ours in OPTIONAL_COLUMNS and ours not in options.columns:
            del source[ours]
        elif unfit:
            column = "open_time" if ours == "time" else ours
            what = {"time": "stamps", "symbol": "text"}.get(ours, "numbers")
            raise DataError(
                f"{path}: column {unfit[0]!r} must hold {what}, was {schema.field(unfit[0]).type}; "
                f"write it again, or take another: --column {column}=NAME"
            )
    return replace(picked, source=source)


def _fits(ours: str, kind: pa.DataType) -> bool:
    """Whether values of a type can be our column: numbers may be written as text, stamps as whole numbers or text."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if ours in ("time", "symbol"):
        return not pa.types.is_nested(kind)
    tests = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_string, pa.types.is_large_string,
        pa.types.is_string_view, pa.types.is_null,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _batch(table: pa.Table, picked: Picked, options: IngestOptions, path: Path, row: int) -> Batch:
    plain = {field.name: _plain(table[field.name]) for field in table.schema}
    frame = pl.DataFrame({name: pl.from_arrow(pa.chunked_array(column)) for name, column in plain.items()})
    ours = [pl.col(theirs[0]).alias(name) for name, theirs in picked.source.items() if len(theirs) == 1]
    joined = [
        pl.concat_str([pl.col(c).cast(pl.String) for c in theirs], separator=" ").alias(name)
        for name, theirs in picked.source.items()
        if len(theirs) > 1
    ]
    zero = [pl.lit(0, pl.Int64).alias("volume")] if picked.volume_zero else []
    lines = pl.int_range(row, row + frame.height, dtype=pl.Int64).alias("line")
    symbol = "" if "symbol" in picked.source else symbol_for(path, options)
    return Batch(frame.select(*ours, *joined, *zero, lines), convention(options, Convention()), picked.names, symbol)


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dictionaries as their values, decimals as text, which is parsed exactly, and stamps with a zone as the same moments in UTC: Polars does
    not know every way to write a zone."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp(kind.unit, "UTC"))
    return column.cast(pa.string()) if pa.types.is_decimal(kind) else column
