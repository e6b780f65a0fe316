"""The orders table, streamed like the others although an order may end sessions after it was decided."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bt.arrays import arrow, plain
from bt.results import writers
from bt.results.rows import COLUMNS, NO_MULTIPLIERS, TEXT, Days, Deferred, Multipliers, Rows, alike, joined, settled
from bt.results.writers import TableWriter

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
        elif self._rows - self._counts[session] >= writers.ROWS:
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
            if rows >= writers.ROWS:
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
