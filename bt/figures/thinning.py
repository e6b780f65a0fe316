"""Series cut to what a screen can show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def thinned(columns: Sequence[npt.NDArray[np.float64]], most: int) -> Indices:
    """Which points of some parallel series to keep: at most `most`, sorted.

    The series are cut into buckets of equal length; each keeps its first and last point, and the lowest and highest of each column, so that no extreme
    is lost. A series of at most `most` points is kept whole.
    """
    n = len(columns[0])
    if n <= most:
        return np.arange(n)
    buckets = max(most // (2 + 2 * len(columns)), 1)
    edges = np.linspace(0, n, buckets + 1).astype(np.int64)
    kept = [edges[:-1], edges[1:] - 1]
    for values in columns:
        for pick in (np.argmin, np.argmax):
            lowest = [int(pick(values[a:b])) + a for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
            kept.append(np.array(lowest, dtype=np.int64))
    return np.unique(np.concatenate(kept))


def evenly(count: int, most: int) -> Indices:
    """Up to `most` of `count` places, evenly, the first and the last among them."""
    if count <= most:
        return np.arange(count)
    return np.unique(np.linspace(0, count - 1, most).round().astype(np.int64))
