"""Scores of a model: its inputs gathered for each symbol and session, and a check that it judges row by row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bt.errors import BtError, ExpressionRaised, FeatureError
from bt.features.declared import Predict
from bt.model import Column
from bt.prepare.universal import known

IntArray = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Scorer:
    """Scores windows in order; each model is checked on the first rows it gets, and on those of ever fewer of the groups that follow."""

    def __init__(self, *, isolate: bool) -> None:
        self._isolate = isolate
        self._checked: set[tuple[str, int]] = set()
        self._given: dict[tuple[str, int], int] = {}

    def column(
        self, name: str, predict: Predict, inputs: Sequence[Column], group: IntArray
    ) -> tuple[Column, dict[int, str]]:
        """The score of every row whose inputs are all known, and the groups it raised for, with why.

        `group` numbers the symbol and session of each row; rows of one are together.
        """
        there = np.logical_and.reduce([known(c) for c in inputs])
        rows = np.flatnonzero(there)
        table = np.stack([c.values[rows].astype(np.float64) for c in inputs], axis=1)
        starts = np.flatnonzero(np.diff(group[rows], prepend=-1))
        values = np.full(len(there), np.nan)
        failed: dict[int, str] = {}
        model = (name, id(predict))  # two strategies may give theirs one name
        for low, high in zip(starts.tolist(), [*starts[1:].tolist(), len(rows)], strict=True) if len(rows) else ():
            try:
                number = self._given[model] = self._given.get(model, -1) + 1
                if model not in self._checked or is_sampled(number):
                    check_rowwise(name, predict, table[low:high], seed=number)
                    self._checked.add(model)
                values[rows[low:high]] = called(name, predict, table[low:high])
            except BtError:
                raise
            except Exception as error:
                if not self._isolate:
                    raise ExpressionRaised(f"score {name!r}: predict must not raise, but did: {error!r}") from error
                failed[int(group[rows[low]])] = f"score {name!r}: {type(error).__name__}: {error}".splitlines()[0]
        null = np.isnan(values)
        return Column(values, null if null.any() else None), failed


def called(name: str, predict: Predict, table: Floats) -> Floats:
    """`predict` of a copy of the rows: one float each."""
    found = np.asarray(predict(np.array(table)), dtype=np.float64)
    if found.shape not in ((len(table),), (len(table), 1)):
        raise FeatureError(
            f"score {name!r}: predict must give one number a row, was shape {found.shape} for {len(table)} rows"
        )
    return found.reshape(-1)


SAMPLE = 4
"""Rows of a symbol and session that are scored again."""

NOISE_ROWS = 8
"""So many rows more are around them."""


def is_sampled(number: int) -> bool:
    """Whether a model is checked on the `number`-th symbol and session it gets: on one of the groups 1, one of 2 and 3, one of 4 to 7, and so
    on, drawn by a fixed seed. So the checks of a run are few, fall mostly before its first session, and do not depend on how it is cut."""
    return number > 0 and number == _drawn(number.bit_length() - 1)


@lru_cache(maxsize=64)
def _drawn(power: int) -> int:
    return int(np.random.default_rng(power).integers(1 << power, 2 << power))


def check_rowwise(name: str, predict: Predict, table: Floats, *, seed: int = 0) -> None:
    """Score a seeded sample of rows again among noise.

    Raises
    ------
    FeatureError
        A score depends on the rows beside it.
    """
    rng = np.random.default_rng(seed)
    n = len(table) + NOISE_ROWS
    kept = rng.choice(len(table), min(SAMPLE, len(table)), replace=False)
    places = 1 + rng.choice(n - 1, len(kept), replace=False)  # never first: something that looks back sees noise
    noise = rng.normal(table.mean(axis=0), table.std(axis=0) + np.abs(table.mean(axis=0)) + 1.0, (n, table.shape[1]))
    noise[places] = table[kept]
    alone, among = called(name, predict, table)[kept], called(name, predict, noise)[places]
    apart = ~np.isclose(alone, among, rtol=1e-9, atol=0.0, equal_nan=True)
    if apart.any():
        i = int(np.flatnonzero(apart)[0])
        raise FeatureError(
            f"score {name!r}: predict must judge each row by itself, but the score of a row changed from {alone[i]} to "
            f"{among[i]} when the rows beside it were replaced; take out what looks across rows (a mean, a rank, a fit)"
        )
