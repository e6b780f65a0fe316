"""Tables written session by session in bounded memory: one row group holds whole sessions.

Where a row group ends depends on the values of whole sessions alone, never on how many frames a session came in, so
the same sessions give the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bt.results.rows import (
    COLUMNS,
    FREE_TEXT,
    GAP,
    NO_MULTIPLIERS,
    TEXT,
    Deferred,
    Multipliers,
    Rows,
    in_order,
    joined,
    settled,
)  # fmt: skip

ROWS = 25_000
"""Rows after which a row group ends, at the next session boundary."""

BYTES = 2_000_000
"""Bytes of free text and lists after which it ends, likewise."""

_BATCH = 1 << 16
"""Values that are encoded at a time."""

_BUFFER = 1 << 18
"""Bytes that are written at a time."""


def _wide(table: str) -> dict[str, tuple[Callable[[pa.Array], pa.Array], int]]:
    """What tells how long the values of columns without a fixed width are, and bytes of one of that."""
    lists = [f.name for f in COLUMNS[table] if pa.types.is_large_list(f.type)]
    free = FREE_TEXT.get(table, ())
    return dict.fromkeys(free, (pc.binary_length, 1)) | dict.fromkeys(lists, (pc.list_value_length, GAP))


_REPEATED = {"fills": ("session",), "orders": ("session", "ended_at")}
"""Columns whose values come again row after row, however few rows there are."""

_SCATTERED = ("entry_time", "longest_gap_start")
"""Times of any rows' order."""

_STEPPING = ("shares", "level", "position_after", "filled", "parent")
"""Whole numbers that change their sign, or are none, from row to row."""

_RATIOS = ("bar_share", "return")
"""Numbers of which hardly a byte repeats."""


def _parquet(table: str) -> dict[str, Any]:
    """How a table is written. Text by its words. Numbers as they are: few repeat, and looking for those that do costs more than
    the rest. Statistics where rows lie in order."""
    columns = COLUMNS[table]
    return {
        "compression": "zstd",
        "compression_level": dict.fromkeys([name for name in _RATIOS if name in columns.names], -1) or None,
        "use_dictionary": [f.name for f in columns if f.type == TEXT],
        "column_encoding": {f.name: kind for f in columns if (kind := _encoding(table, f)) is not None},
        "write_statistics": [f.name for f in columns if pa.types.is_temporal(f.type)],
        "write_batch_size": _BATCH,
        "store_schema": False,  # or text would be read as what it is here, codes
    }


def _encoding(table: str, column: pa.Field) -> str | None:
    """How numbers lie in a file, so that zstd finds what repeats: as they are where whole ones do, by their differences where those are small, or byte by byte."""
    temporal, whole = pa.types.is_temporal(column.type), pa.types.is_integer(column.type)
    if column.name in _REPEATED.get(table, ()):
        return "PLAIN"
    if pa.types.is_floating(column.type) or column.name in _SCATTERED or (whole and column.name not in _STEPPING):
        return "BYTE_STREAM_SPLIT"
    return "DELTA_BINARY_PACKED" if whole or temporal else None


class _Sink(io.RawIOBase):
    """A new file that can be given up. Arrow's writers write a footer whenever they end, even when they are garbage
    collected after a full disk: once given up, what they write goes nowhere instead of raising where nobody listens.
    """

    def __init__(self, path: Path) -> None:
        self._file: Any = path.open("wb")
        self._given_up = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        size = memoryview(data).nbytes
        if not self._given_up:
            self._file.write(data)
        return size

    def finish(self) -> None:
        """Through to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def give_up(self) -> None:
        self._given_up = True
        with contextlib.suppress(OSError):
            self._file.close()


class TableWriter:
    """One table streamed to one Parquet file (zstd).

    Parameters
    ----------
    path : Path
        The file; it is created.
    table : str
        Its name in `SCHEMAS`.
    multipliers : mapping
        As of `bt.results.rows.settled`.
    """

    def __init__(self, path: Path, table: str, multipliers: Multipliers = NO_MULTIPLIERS) -> None:
        self._table, self._multipliers = table, multipliers
        self._wide = _wide(table)
        self._session: list[Rows | Deferred] = []
        self._ready: list[Rows | Deferred] = []
        self._rows = self._bytes = 0
        self._ordered = False
        self._sink = _Sink(path)
        try:
            self._stream = pa.BufferedOutputStream(pa.PythonFile(self._sink, mode="w"), _BUFFER)
            self._writer = pq.ParquetWriter(self._stream, COLUMNS[table], **_parquet(table))
        except OSError:
            self._sink.give_up()
            raise

    def append(self, rows: Rows | Deferred, *, ordered: bool = False) -> None:
        """Rows of the session that is open, in any order; `ordered` if they are known to lie as the table's do."""
        if len(rows):
            self._session.append(rows)
            self._ordered = ordered and len(self._session) == 1

    def end_session(self) -> None:
        """The session's rows are complete: sort them, and write a row group if enough has gathered."""
        if not self._session:
            return
        first = self._session[0]
        if self._ordered and (isinstance(first, Deferred) or not self._wide):
            self._ready.append(first)
            self._bytes += first.wide if isinstance(first, Deferred) else 0
        else:
            rows = joined(self._session)
            self._ready.append(rows if self._ordered else in_order(self._table, rows))
            self._bytes += sum(
                (pc.sum(length(rows[name])).as_py() or 0) * size for name, (length, size) in self._wide.items()
            )
        self._rows += sum(len(rows) for rows in self._session)
        self._session.clear()
        if self._rows >= ROWS or self._bytes >= BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._ready:
            # One contiguous chunk: page boundaries must not show how the rows arrived.
            rows = settled(self._table, joined(self._ready), self._multipliers)
            self._writer.write_table(rows, row_group_size=rows.num_rows)
        self._ready.clear()
        self._rows = self._bytes = 0

    def close(self) -> None:
        """Write the rest, the footer, and everything through to the disk."""
        self.end_session()
        self._flush()
        self._writer.close()
        self._stream.flush()
        self._sink.finish()

    def abort(self) -> None:
        """Let go of the file, whatever state it is in."""
        self._sink.give_up()
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()
