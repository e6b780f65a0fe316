"""Arrow arrays of NumPy's and back. pyarrow's own ways there (`pa.array`, `pa.table`, `to_numpy`) import pandas: a quarter of a second and 40 MB."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_KINDS = {
    np.dtype(np.int8): pa.int8(), np.dtype(np.int16): pa.int16(), np.dtype(np.int32): pa.int32(), np.dtype(np.int64): pa.int64(),
    np.dtype(np.uint8): pa.uint8(), np.dtype(np.uint16): pa.uint16(), np.dtype(np.uint32): pa.uint32(), np.dtype(np.uint64): pa.uint64(),
    np.dtype(np.float32): pa.float32(), np.dtype(np.float64): pa.float64(),
}  # fmt: skip
_BOOLEANS, _DAYS = np.dtype(np.bool_), np.dtype("datetime64[D]")


def arrow(values: npt.NDArray[Any], *, absent: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Numbers, booleans or days; null where `absent`. Numbers are not copied."""
    valid = None if absent is None or not absent.any() else _bits(~absent)
    kind = values.dtype
    if kind == _BOOLEANS:
        return pa.Array.from_buffers(pa.bool_(), len(values), [valid, _bits(values)])
    if kind == _DAYS:
        return pa.Array.from_buffers(pa.date32(), len(values), [valid, pa.py_buffer(values.astype(np.int32))])
    data = pa.py_buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(_KINDS[kind], len(values), [valid, data])


def text(words: Sequence[str]) -> pa.Array:
    """Text, each row its own."""
    encoded = [word.encode() for word in words]
    offsets = np.zeros(len(words) + 1, dtype=np.int32)
    np.cumsum([len(word) for word in encoded], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(words), buffers)


def table(columns: Mapping[str, npt.ArrayLike | pa.Array]) -> pa.Table:
    """A table of columns of either kind; lists are of numbers or booleans."""
    made = [c if isinstance(c, pa.Array) else arrow(np.asarray(c)) for c in columns.values()]
    return pa.Table.from_arrays(made, names=list(columns))


def whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """A column in one piece, not copied where it is; Arrow's own `combine_chunks` copies a piece that is alone."""
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def plain(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """The numbers of a column, days as datetime64[D] and times as their int64; not copied where it is in one piece. Where it is null they mean nothing."""
    piece = whole(column)
    kind = piece.type
    if pa.types.is_boolean(kind):
        return _unpacked(piece, piece.buffers()[1])
    name = ("float" if pa.types.is_floating(kind) else "uint" if pa.types.is_unsigned_integer(kind) else "int") + str(
        kind.bit_width
    )
    if not len(piece):
        found: npt.NDArray[Any] = np.zeros(0, dtype=name)
    else:
        size = kind.bit_width // 8
        found = np.frombuffer(piece.buffers()[1], dtype=name, count=len(piece), offset=piece.offset * size)
    return found.astype("datetime64[D]") if pa.types.is_date32(kind) else found


def absent(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Where a column is null."""
    piece = whole(column)
    valid = piece.buffers()[0]
    return np.zeros(len(piece), dtype=bool) if valid is None else ~_unpacked(piece, valid)


def _unpacked(piece: pa.Array, bits: pa.Buffer) -> npt.NDArray[np.bool_]:
    """A bit of each row."""
    found = np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=piece.offset + len(piece), bitorder="little")
    return found[piece.offset :].view(bool)


def _bits(flags: npt.NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
