"""A table of symbols and sessions, shrunk to cells that a screen can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl


@dataclass(frozen=True)
class Grid:
    """Cells of a table, row by row.

    Attributes
    ----------
    rows, columns : sequence of (first, last)
        What each row and column stands for: a name twice, or the first and last of a bin.
    values : float array of rows x columns
        The worst (lowest) value of the bin; NaN where it has none.
    binned : tuple of int
        How many rows and columns there were.
    """

    rows: Sequence[tuple[str, str]]
    columns: Sequence[tuple[str, str]]
    values: npt.NDArray[np.float64]
    binned: tuple[int, int]


def grid(frame: pl.DataFrame, rows: str, columns: str, value: str, *, most: tuple[int, int] = (100, 260)) -> Grid:
    """The lowest `value` (a number) of each row and column; names sorted, neighbours put together where there are more than `most`."""
    row_names, column_names = (frame[name].cast(pl.String).unique().sort() for name in (rows, columns))
    row_edges, column_edges = (_edges(len(n), m) for n, m in zip((row_names, column_names), most, strict=True))
    places = [
        np.searchsorted(edges, _codes(frame[name], names), side="right") - 1
        for name, names, edges in ((rows, row_names, row_edges), (columns, column_names, column_edges))
    ]
    values = np.full((len(row_edges) - 1, len(column_edges) - 1), np.inf)
    numbers = frame[value].cast(pl.Float64).fill_null(np.nan).to_numpy()
    sound = np.isfinite(numbers)
    np.minimum.at(values, (places[0][sound], places[1][sound]), numbers[sound])
    values[np.isinf(values)] = np.nan
    return Grid(
        _bins(row_names, row_edges), _bins(column_names, column_edges), values, (len(row_names), len(column_names))
    )


def _codes(column: pl.Series, names: pl.Series) -> npt.NDArray[np.int64]:
    codes = pl.DataFrame({"name": names, "code": np.arange(len(names))})
    texts = column.cast(pl.String).alias("name").to_frame()
    return texts.join(codes, on="name", how="left", maintain_order="left")["code"].to_numpy().astype(np.int64)


def _edges(count: int, most: int) -> npt.NDArray[np.int64]:
    """Where each bin begins, and the end."""
    return np.unique(np.linspace(0, count, min(count, most) + 1).astype(np.int64))


def _bins(names: pl.Series, edges: npt.NDArray[np.int64]) -> list[tuple[str, str]]:
    return [(names[a], names[b - 1]) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
