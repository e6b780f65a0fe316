"""What a session came to, in arrays: what metrics are made of, without a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bt.engine.players import PlayerOutcome
from bt.errors import MoneyError
from bt.execution import INT64_MAX, counting
from bt.metrics import CAPACITY_SHARE, Counts, SessionFigures


def figures_of(done: PlayerOutcome) -> SessionFigures:
    """One strategy's session."""
    output, curve, made = done.output, done.curve, np.zeros(counting.COUNT_COLUMNS, dtype=np.int64)
    counting.count(output.fills, output.trades, output.orders, done.traded, CAPACITY_SHARE, made)
    return SessionFigures(curve.equity, curve.gross, curve.net, Counts.of(made))


def together(own: Sequence[SessionFigures]) -> SessionFigures:
    """The sum of several strategies' session."""
    if len(own) == 1:
        return own[0]
    equity, gross, net = (_sum(curves) for curves in zip(*((f.equity, f.gross, f.net) for f in own), strict=True))
    return SessionFigures(equity, gross, net, Counts.total(f.counts for f in own))


def _sum(curves: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """The sum of some curves, minute by minute.

    Raises
    ------
    MoneyError
        It does not fit.
    """
    if sum(np.abs(curve).max(initial=0).astype(float) for curve in curves) > INT64_MAX / 2:
        exact = np.sum([curve.astype(object) for curve in curves], axis=0)
        if any(abs(int(value)) > INT64_MAX for value in exact):
            raise MoneyError("metrics: the account's equity must fit int64 units of 1e-8, was more; use less cash")
        return np.asarray(exact, dtype=np.int64)
    return np.asarray(np.sum(curves, axis=0), dtype=np.int64)
