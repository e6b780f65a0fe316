"""Any other expression: evaluated apart for each symbol and session on its warm-up bars plus the session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import FeatureError
from bt.features.declared import Feature
from bt.features.ordered import Ordered, ranges
from bt.model import Column

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """Expressions over one interval's bars, all with the same warm-up, as a lazy frame with one column each.

    Its rows are pieces: a symbol's session behind its warm-up. `rows` names the bar behind each and `keep` marks those of
    the session; `total` is the number of bars.
    """

    lazy: pl.LazyFrame
    rows: IntArray
    keep: npt.NDArray[np.bool_]
    total: int

    def place(self, values: pl.Series) -> Column:
        """A collected column, aligned to the bars; not known on rows that were only warm-up."""
        values = values.head(1) if len(self.rows) == 1 else values
        if len(values) != len(self.rows):
            raise FeatureError(
                f"feature: an expression must give one value a bar, gave {len(values)} for {len(self.rows)} bars"
            )
        made = column(values)
        out = np.zeros(self.total, dtype=made.values.dtype)
        null = np.ones(self.total, dtype=bool)
        at = self.rows[self.keep]
        out[at] = made.values[self.keep]
        null[at] = False if made.null is None else made.null[self.keep]
        return Column(out, null)


def column(values: pl.Series) -> Column:
    """A Polars column as NumPy values and a null mask."""
    values = values.rechunk()
    if values.null_count() == 0:
        return Column(values.to_numpy())
    null = values.is_null().to_numpy()
    known = values.fill_null(False if values.dtype == pl.Boolean else 0).to_numpy()
    return Column(np.where(null, np.nan, known) if known.dtype.kind == "f" else known, null)


def warm_up_of(feature: Feature) -> tuple[int, int, str | None]:
    """What two expressions must have in common to be evaluated on the same pieces."""
    return feature.bars, feature.sessions, feature.within


def pieces(bars: Ordered, features: Sequence[Feature], *, factor: int = 1) -> Pieces:
    """The plan of some expressions with the same warm-up. `factor` widens it: the start-up check uses 1 and 2."""
    start, first, stop = edges(bars, features[0], factor)
    length = stop - start
    piece = np.repeat(np.arange(len(start)), length)
    rows = ranges(start, stop)
    keep = rows >= np.repeat(first, length)
    columns = tuple(dict.fromkeys(c for f in features for c in f.inputs()))
    frame = bars.frame(columns)[rows].with_columns(pl.Series("__piece", piece))
    made = [f.expr.over("__piece").alias(str(k)) for k, f in enumerate(features) if f.expr is not None]
    return Pieces(lazily(frame, "__piece", made), rows, keep, len(bars.code))


def lazily(frame: pl.DataFrame, group: str, made: Sequence[pl.Expr]) -> pl.LazyFrame:
    """The plan of some expressions over the rows of groups; a row that is alone comes twice, of which the second means nothing.

    Polars divides a column by a number through its reciprocal, but not a column of one row: its value would depend on how the work was cut.
    """
    if frame.height == 1:  # made of lists: two rows that are one twice would be taken for a number
        twice = ((c, [c[0], c[0] + 1 if c.name == group else c[0]]) for c in frame)
        frame = pl.DataFrame([pl.Series(c.name, values, c.dtype) for c, values in twice])
    return frame.lazy().select(made)


def edges(bars: Ordered, feature: Feature, factor: int) -> tuple[IntArray, IntArray, IntArray]:
    """Rows of every piece: its warm-up is [start, first), its session [first, stop)."""
    runs = bars.runs
    first, stop, code, session = (x[bars.chosen] for x in (runs.start, runs.stop(len(bars)), runs.code, runs.session))
    if feature.sessions:
        span = int(runs.session.max(initial=0)) + 1
        earliest = np.maximum(session - feature.sessions * factor, 0)
        start = runs.start[np.searchsorted(runs.code * span + runs.session, code * span + earliest)]
    elif feature.within == "session":
        start = first
    else:
        lower = bars.by_symbol[np.searchsorted(bars.by_symbol, first, side="right") - 1]
        start = np.maximum(first - feature.bars * factor, lower)
    return start.astype(np.int64), first, stop
