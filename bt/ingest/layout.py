"""How a day is written: the Parquet layout that reads fastest (docs/decisions/0004-store-layout.md)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS, PRICES, QUOTES

COMPRESSION = "lz4"
DICTIONARY = ("symbol", "open_time", *BAR_COLUMNS, *QUOTES)
ROW_GROUP = 250_000
KINDS: Mapping[str, pa.DataType] = {
    name: pa.int64() if name == "n_trades" else pa.float64() for name in OPTIONAL_COLUMNS
}
"""The columns that a store has where one of its sources has them, null in the bars of others."""
_POLARS = pl.DataFrame(pa.schema(KINDS.items()).empty_table()).schema


@dataclass(frozen=True, slots=True)
class Written:
    """A file of the store: its name below it, size and content hash."""

    file: str
    bytes: int
    sha256: str


def schema(*, fractional: bool, optional: tuple[str, ...]) -> pa.Schema:
    """The columns of every day file: volume is double when any of the store's volumes is fractional."""
    return pa.schema(
        [
            ("symbol", pa.string()),
            ("open_time", pa.timestamp("us", "UTC")),
            *((name, pa.float64()) for name in PRICES),
            ("volume", pa.float64() if fractional else pa.int64()),
            *((name, KINDS[name]) for name in optional),
        ]
    )


def write_day(bars: pl.DataFrame, day: str, folder: Path, columns: pa.Schema) -> Written:
    """Write the sorted bars of `day` (ISO) as ``YYYY/YYYY-MM-DD.<hash>.parquet`` below `folder`, on disk when this returns.

    The name holds the content's hash, so two versions of a day never meet and the same bars make the same file.
    """
    time = pl.col("time").cast(pl.Datetime("us", "UTC")).alias("open_time")
    volume = pl.col("volume").cast(pl.Int64) if columns.field("volume").type == pa.int64() else pl.col("volume")
    frame = bars.with_columns(time, volume).select(columns.names)
    year = folder / day[:4]
    year.mkdir(parents=True, exist_ok=True)
    draft = year / f"{day}.part"
    pq.write_table(
        frame.to_arrow().cast(columns),
        draft,
        compression=COMPRESSION,
        use_dictionary=[name for name in DICTIONARY if name in columns.names],
        row_group_size=ROW_GROUP,
    )
    sha256, size = sync(draft)
    name = f"{day}.{sha256[:12]}.parquet"
    draft.rename(year / name)
    return Written(f"{day[:4]}/{name}", size, sha256)


def read_day(path: Path) -> pl.DataFrame:
    """The bars of a day file: symbol, time, prices and volume (Float64) and every column of `KINDS` (null where the store has none)."""
    frame = pl.read_parquet(path, memory_map=False)
    time = pl.col("open_time").dt.timestamp("us").alias("time")
    whole = frame.with_columns(time, pl.col("volume").cast(pl.Float64), *nulls(set(KINDS) - set(frame.columns)))
    return whole.select("symbol", "time", *BAR_COLUMNS, *KINDS)


def nulls(names: Collection[str]) -> list[pl.Expr]:
    """Those columns of `KINDS`, without a value."""
    return [pl.lit(None, _POLARS[name]).alias(name) for name in names]


def sync(path: Path) -> tuple[str, int]:
    """Flush a file to disk; its SHA-256 and size."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").hexdigest(), path.stat().st_size
