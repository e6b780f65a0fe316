"""Tables written session by session in bounded memory: one row group holds whole sessions.

Where a row group ends depends on the values of whole sessions alone, never on how many frames a session came in, so
the same sessions give the same bytes.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bt.arrays import arrow, plain
from bt.results.rows import (
    COLUMNS,
    FREE_TEXT,
    GAP,
    NO_MULTIPLIERS,
    TEXT,
    Days,
    Deferred,
    Multipliers,
    Rows,
    alike,
    in_order,
    joined,
    settled,
)  # fmt: skip
from bt.results.tables import SCHEMAS

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


_CODED = [f.name for f in COLUMNS["orders"] if f.type == TEXT]


def _days(orders: Rows) -> Days:
    """The session of each decision."""
    return plain(orders["session"])


class _Spool:
    """Rows laid by in an unnamed file until they are asked for by session, as they came. Memory is a few numbers for each `append`."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - `close` does
        self._places: list[tuple[date, date, int, int]] = []

    def append(self, rows: Rows, days: Days) -> None:
        """Rows of orders that were decided on `days`."""
        with pa.BufferOutputStream() as sink:
            with pa.ipc.new_stream(sink, rows.schema) as stream:
                stream.write_table(rows)
            bytes_ = sink.getvalue()
        place = self._file.seek(0, io.SEEK_END)
        self._file.write(bytes_)
        self._places.append((days.min().item(), days.max().item(), place, bytes_.size))

    def read(self, first: date, last: date) -> Iterator[Rows]:
        """The rows of orders decided from session `first` to `last`, both included."""
        for earliest, latest, place, size in self._places:
            if earliest <= last and latest >= first:
                self._file.seek(place)
                rows = pa.ipc.open_stream(self._file.read(size)).read_all()
                if first <= earliest and latest <= last:
                    yield rows
                else:
                    days = _days(rows)
                    yield rows.filter(arrow((days >= np.datetime64(first)) & (days <= np.datetime64(last))))

    def close(self) -> None:
        """The file is gone."""
        self._file.close()


class OrdersWriter:
    """The orders table, sorted by the session of the decision although an order may end sessions later.

    Orders are held by the session that decided them, those of the newest one and of as many before it as make a row group, so that one which ends
    soon after is simply there. One that ends when its session has been written is laid by, and so are all that end after it. At `close` both are merged
    a few sessions at a time. Memory is a row group, the newest session, and a few numbers per session.

    Parameters
    ----------
    path : Path
        The file in the end; what is written before the first order that is laid by lies beside it, hidden, until then.
    multipliers : mapping
        As of `bt.results.rows.settled`.
    """

    def __init__(self, path: Path, multipliers: Multipliers = NO_MULTIPLIERS) -> None:
        self._multipliers = multipliers
        self._path = path
        self._early = path.with_name(".orders-early.parquet")
        self._writer = TableWriter(self._early, "orders", multipliers)
        self._spool: _Spool | None = None
        self._merged: TableWriter | None = None
        self._held: dict[date, list[tuple[Rows | Deferred, bool]]] = {}
        self._rows = 0
        self._written = np.datetime64(date.min)
        """The last session that was handed over."""
        self._late = False
        """Whether an order has ended that was decided in such a session."""
        self._counts: Counter[date] = Counter()

    def append(self, rows: Rows | Deferred, *, ordered: bool = False, sessions: Days | None = None) -> None:
        """Orders that have ended, each once; deferred ones come with the `sessions` that decided them, others tell. `ordered` as in `TableWriter`.

        Raises
        ------
        TypeError
            Deferred rows do not tell.
        """
        if not len(rows):
            return
        if isinstance(rows, Deferred):
            if sessions is None:
                raise TypeError("orders: deferred rows must come with the sessions that decided them")
            days = sessions
        else:
            days = _days(rows)
        names, counts = np.unique(days, return_counts=True)
        self._counts.update(dict(zip(names.tolist(), counts.tolist(), strict=True)))
        self._late |= bool(names[0] <= self._written)
        self._rows += len(rows)
        for name in names[:1] if self._late else names:  # what is laid by need not be apart
            some = rows if self._late or len(names) == 1 else _picked(rows, days == name)
            self._held.setdefault(name.item(), []).append((some, ordered))

    def end_session(self, session: date) -> None:
        """`session` is over: orders appended since the last one ended in it."""
        if self._late:
            self._lay_by()
        elif self._rows - self._counts[session] >= ROWS:
            self._hand_over(before=session)

    def _hand_over(self, before: date = date.max) -> None:
        """Write the sessions that are held, each whole."""
        for day in sorted(day for day in self._held if day < before):
            parts = self._held.pop(day)
            rows = alike(rows for rows, _ in parts)
            for some in rows:
                self._writer.append(some, ordered=len(rows) == 1 and all(ordered for _, ordered in parts))
            self._writer.end_session()
            self._written = np.datetime64(day)
            self._rows -= self._counts[day]

    def _lay_by(self) -> None:
        """All that is held, as it came."""
        self._spool = self._spool or _Spool(self._path.parent)
        if self._held:
            rows = joined(_by_maker([rows for parts in self._held.values() for rows, _ in parts]))
            self._spool.append(rows, _days(rows))
            self._held.clear()

    def close(self) -> None:
        """Orders appended after the last session are still open; merge, and write everything through to the disk."""
        self.end_session(date.max)
        self._hand_over()
        self._writer.close()
        if self._spool is None:
            self._early.rename(self._path)
            return
        self._merged = TableWriter(self._path, "orders", self._multipliers)
        with pq.ParquetFile(self._early, read_dictionary=_CODED) as file:
            for first, last in self._spans():
                early = _between(file, first, last)
                for rows in self._spool.read(first, last):
                    self._merged.append(
                        settled("orders", rows, self._multipliers) if early.num_rows else rows
                    )  # else all of them at once
                self._merged.append(settled("orders", early))
                self._merged.end_session()
        self._merged.close()
        self._spool.close()
        self._early.unlink()

    def _spans(self) -> Iterator[tuple[date, date]]:
        """First and last decision session of each piece of about one row group."""
        first, rows = None, 0
        last = None
        for last in sorted(self._counts):
            first = first or last
            rows += self._counts[last]
            if rows >= ROWS:
                yield first, last
                first, rows = None, 0
        if first is not None and last is not None:
            yield first, last

    def abort(self) -> None:
        """Let go of the files."""
        for writer in (self._writer, self._merged):
            if writer is not None:
                writer.abort()
        if self._spool is not None:
            self._spool.close()


def _picked(rows: Rows | Deferred, mask: npt.NDArray[np.bool_]) -> Rows | Deferred:
    """Those that are marked."""
    return rows.only(mask) if isinstance(rows, Deferred) else rows.filter(arrow(mask))


def _by_maker(parts: Sequence[Rows | Deferred]) -> list[Rows | Deferred]:
    """Those that one callable makes beside each other: it makes them together."""
    places: dict[Any, int] = {}
    return sorted(
        parts, key=lambda part: places.setdefault(part.make if isinstance(part, Deferred) else None, len(places))
    )


def _between(file: pq.ParquetFile, first: date, last: date) -> Rows:
    """Orders that were decided from session `first` to `last`. Arrow's filters would do, and import pandas: a fifth of a second, 40 MB."""
    footer = file.metadata
    column = footer.schema.names.index("session")
    groups = []
    for group in range(footer.num_row_groups):
        days = footer.row_group(group).column(column).statistics
        if days.min <= last and days.max >= first:
            groups.append(group)
    rows = file.read_row_groups(groups)
    days = _days(rows)
    return rows.filter(arrow((days >= np.datetime64(first)) & (days <= np.datetime64(last))))


class TableSet:
    """Every table of a run, streamed to files in one folder.

    Parameters
    ----------
    folder : Path
        Where ``<table>.parquet`` are made.
    multipliers : mapping
        As of `bt.results.rows.settled`.
    """

    def __init__(self, folder: Path, multipliers: Multipliers = NO_MULTIPLIERS) -> None:
        self._writers: dict[str, TableWriter] = {}
        try:
            for table in SCHEMAS:
                if table != "orders":
                    self._writers[table] = TableWriter(folder / f"{table}.parquet", table, multipliers)
            self._orders = OrdersWriter(folder / "orders.parquet", multipliers)
        except OSError:
            for writer in self._writers.values():
                writer.abort()
            raise

    def append(self, table: str, rows: Rows | Deferred, *, ordered: bool = False, sessions: Days | None = None) -> None:
        """Rows of the open session; for orders those that ended in it, decided in `sessions`."""
        if table == "orders":
            self._orders.append(rows, ordered=ordered, sessions=sessions)
        else:
            self._writers[table].append(rows, ordered=ordered)

    def end_session(self, session: date) -> None:
        """`session` is complete in every table."""
        self._orders.end_session(session)
        for writer in self._writers.values():
            writer.end_session()

    def close(self) -> None:
        """Finish every file."""
        self._orders.close()
        for writer in self._writers.values():
            writer.close()

    def abort(self) -> None:
        """Let go of every file."""
        self._orders.abort()
        for writer in self._writers.values():
            writer.abort()
