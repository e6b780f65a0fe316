"""Sums in a fixed order: a hash group-by adds floats in whatever order it likes, and the same frame would give other last bits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl


def summed(frame: pl.DataFrame, keys: Sequence[str], columns: Sequence[str]) -> pl.DataFrame:
    """One row for each combination of `keys`, sorted by them: the sums of `columns` (Float64 where they are floats), added in row order.

    Null counts as 0.
    """
    ordered = frame.select(*keys, pl.col(*columns).fill_null(0)).sort(keys, maintain_order=True)
    if not ordered.height:
        return ordered
    starts = np.flatnonzero(ordered.select(pl.struct(*keys).rle_id().diff().fill_null(1) != 0).to_series().to_numpy())
    sums = {name: np.add.reduceat(ordered[name].to_numpy(), starts) for name in columns}
    return ordered[starts].select(keys).with_columns(**{name: pl.Series(values) for name, values in sums.items()})
