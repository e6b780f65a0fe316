"""Bars on their way to their day: spilled to disk in pieces, taken back one UTC day at a time.

Memory holds one piece and one day. A piece is an Arrow file with one record batch a day, read without memory mapping so that what was read
does not stay resident.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from bt.ingest.layout import KINDS, nulls
from bt.schema import BAR_COLUMNS

DAY = 86_400_000_000
"""Microseconds in a day."""

ROWS = 250_000
"""Rows of a piece."""

SCHEMA = pa.schema(
    [
        ("symbol", pa.large_string()),
        ("time", pa.int64()),
        *((name, pa.float64()) for name in BAR_COLUMNS),
        *KINDS.items(),
        ("source", pa.int32()),
    ]
)


class Spool:
    """An external partition by day, in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._waiting: list[pl.DataFrame] = []
        self._rows = 0
        self._files: list[Path] = []
        self._places: dict[int, list[tuple[int, int]]] = {}

    def add(self, bars: pl.DataFrame, source: int) -> None:
        """Take the bars of source number `source`: symbol, time, prices, volume, and columns of `KINDS` or not."""
        if bars.is_empty():
            return
        whole = bars.with_columns(*nulls(set(KINDS) - set(bars.columns)), pl.lit(source, pl.Int32).alias("source"))
        self._waiting.append(whole.select(SCHEMA.names))
        self._rows += bars.height
        if self._rows >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as one piece."""
        if not self._waiting:
            return
        frame = pl.concat(self._waiting)
        self._waiting, self._rows = [], 0
        day = frame["time"].to_numpy() // DAY
        order = np.argsort(day, kind="stable")
        table = frame[order].to_arrow().cast(SCHEMA)
        days, starts = np.unique(day[order], return_index=True)
        path = self._folder / f"{len(self._files):06d}"
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
            for number, (which, start, end) in enumerate(
                zip(days.tolist(), starts.tolist(), [*starts[1:].tolist(), len(day)], strict=True)
            ):
                writer.write_batch(table.slice(start, end - start).combine_chunks().to_batches()[0])
                self._places.setdefault(which, []).append((len(self._files), number))
        self._files.append(path)

    def days(self) -> list[int]:
        """The days with bars, as days since the epoch, sorted; flush first."""
        return sorted(self._places)

    def take(self, day: int) -> pl.DataFrame:
        """Every bar of a day in the order added: symbol, time, prices, volume, every column of `KINDS`, source."""
        batches = []
        for file, number in self._places.get(day, ()):
            with pa.OSFile(str(self._files[file])) as raw, pa.ipc.open_file(raw) as reader:
                batches.append(reader.get_batch(number))
        found: Any = pl.from_arrow(pa.Table.from_batches(batches, SCHEMA))
        return found if isinstance(found, pl.DataFrame) else pl.DataFrame(found)
