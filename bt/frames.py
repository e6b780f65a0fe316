"""Polars frames and series on their way to another process.

Polars' own way to pickle them keeps Python's lock while it waits for its threads. One of those may need the lock, to let go of an array of NumPy's that a frame was made of: then neither goes
on. Written as Arrow's stream they are out of Python's lock meanwhile.
"""

from __future__ import annotations

import io

import polars as pl


def packed(frame: pl.DataFrame) -> bytes:
    """A frame as bytes, of which `unpacked` makes it again.

    Raises
    ------
    polars.exceptions.PolarsError
        It has a column of Python objects.
    """
    if pl.Object in frame.dtypes:  # told before anything is written: Polars would panic
        raise pl.exceptions.ComputeError("a column of Python objects cannot be carried")
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer)
    return buffer.getvalue()


def unpacked(data: bytes) -> pl.DataFrame:
    """What `packed` was given."""
    return pl.read_ipc_stream(io.BytesIO(data))


def unpacked_series(data: bytes) -> pl.Series:
    """The only column of what `packed` was given."""
    return unpacked(data).to_series()
