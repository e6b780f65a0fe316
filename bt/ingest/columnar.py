"""Parquet and Arrow (Feather) files: columns by name or by the user's map."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bt.errors import DataError
from bt.ingest.columns import Picked, pick, symbol_for
from bt.ingest.options import IngestOptions
from bt.ingest.seam import Batch, Convention, convention
from bt.ingest.sources import reading

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
        picked = pick(file.schema_arrow.names, options, path)
        row = 1
        for batch in file.iter_batches(batch_size=ROWS, columns=picked.used):
            yield _batch(pa.Table.from_batches([batch]), picked, options, path, row)
            row += batch.num_rows


def _arrow(path: Path, options: IngestOptions) -> Iterator[Batch]:
    with pa.OSFile(str(path)) as raw, pa.ipc.open_file(raw) as reader:
        picked = pick(reader.schema.names, options, path)
        row = 1
        for number in range(reader.num_record_batches):
            batch = reader.get_batch(number)
            yield _batch(pa.Table.from_batches([batch]).select(picked.used), picked, options, path, row)
            row += batch.num_rows


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
    """Dictionaries and decimals as text, which is parsed exactly."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return column.cast(kind.value_type)
    return column.cast(pa.string()) if pa.types.is_decimal(kind) else column
