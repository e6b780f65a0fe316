"""Batches of rows put into columns of one piece while each is still near: nothing is held twice but a batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

MARGIN = 1.05
"""How much more room is made than rows are expected."""


class Column:
    """One column of a table that is read in batches.

    Values of a fixed width lie in one array from the start, until a null comes: then they stay in pieces, as all others do.

    Parameters
    ----------
    kind : DataType
        Its type.
    room : int
        Rows that are expected; more are no error.
    """

    def __init__(self, kind: pa.DataType, room: int) -> None:
        self._kind = kind
        self._pieces: list[pa.Array] = []
        self._rows = 0
        plain = pa.types.is_primitive(kind) and not pa.types.is_boolean(kind)
        self._values: npt.NDArray[Any] | None = np.empty(room, dtype=f"V{kind.bit_width // 8}") if plain else None

    def append(self, piece: pa.Array) -> None:
        """The next rows."""
        if not len(piece):
            return
        if self._values is None or piece.null_count:
            self._pieces.extend([*self._taken(), piece])
            return
        count = len(piece)
        if self._rows + count > len(self._values):
            more = np.empty(2 * (self._rows + count), dtype=self._values.dtype)
            more[: self._rows] = self._values[: self._rows]
            self._values = more
        given = np.frombuffer(piece.buffers()[1], self._values.dtype, count, piece.offset * self._values.itemsize)
        self._values[self._rows : self._rows + count] = given
        self._rows += count

    def _taken(self) -> list[pa.Array]:
        """What lies in the one array, which is given up."""
        values, self._values = self._values, None
        if values is None or not self._rows:
            return []
        return [pa.Array.from_buffers(self._kind, self._rows, [None, pa.py_buffer(values[: self._rows])])]

    def finish(self) -> pa.ChunkedArray:
        """All rows."""
        return pa.chunked_array([*self._taken(), *self._pieces], type=self._kind)


def gathered(batches: Iterable[pa.RecordBatch], schema: pa.Schema, rows: int) -> pa.Table:
    """The rows of all batches; `rows` is how many are expected."""
    room = int(rows * MARGIN) + 1
    columns = [Column(field.type, room) for field in schema]
    for batch in batches:
        for column, piece in zip(columns, batch.columns, strict=True):
            column.append(piece)
    return pa.Table.from_arrays([column.finish() for column in columns], schema=schema)
