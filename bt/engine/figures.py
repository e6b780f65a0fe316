"""What a session came to, in arrays: what metrics are made of, without a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bt.engine.players import PlayerOutcome
from bt.errors import MoneyError
from bt.exact import total
from bt.execution import INT64_MAX
from bt.execution import layout as at
from bt.metrics import CAPACITY_SHARE, SessionFigures


def figures_of(done: PlayerOutcome) -> SessionFigures:
    """One strategy's session."""
    fills, trades, curve = done.output.fills, done.output.trades, done.curve
    size, price = np.abs(fills[:, at.F_SHARES]), fills[:, at.F_PRICE]
    costs = total((price - fills[:, at.F_REFERENCE]) * fills[:, at.F_SHARES]) + total(fills[:, at.F_COMMISSION])
    with_volume = done.traded > 0
    large = int((size[with_volume] / done.traded[with_volume] > CAPACITY_SHARE).sum())
    net = trades[:, at.T_GROSS] - trades[:, at.T_COMMISSION]
    return SessionFigures(curve.equity, curve.gross, curve.net, total(size * price), costs, len(fills), large, net)


def together(own: Sequence[SessionFigures]) -> SessionFigures:
    """The sum of several strategies' session."""
    if len(own) == 1:
        return own[0]
    return SessionFigures(
        _sum([f.equity for f in own]), _sum([f.gross for f in own]), _sum([f.net for f in own]),
        sum(f.value for f in own), sum(f.costs for f in own), sum(f.fills for f in own), sum(f.large for f in own),
        np.concatenate([f.trades for f in own]),
    )  # fmt: skip


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
