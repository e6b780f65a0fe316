"""How volume moves a symbol's price, as of a session's open: what the square-root law (docs/decisions/0030) needs of the sessions before."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.prepare.past import PastBars
from bt.schema import DAY

SESSIONS = 20
"""So many sessions before are looked at."""

FloatArray = npt.NDArray[np.float64]


class Liquidity:
    """By number of a session, sigma / sqrt(ADV) of every symbol: by what part of itself one share moves the price, times a coefficient.

    sigma is the root mean square of the returns from one daily close to the next, ADV the mean daily volume, of the sessions with bars among the
    `SESSIONS` before. NaN of a symbol with fewer than two, or without volume.
    """

    def __init__(self, past: PastBars, symbols: Sequence[str]) -> None:
        self._past = past
        self._index = pl.DataFrame({"symbol": list(symbols), "code": np.arange(len(symbols))})
        self._known: tuple[int, FloatArray] = (-1, np.zeros(0))

    def __call__(self, number: int) -> FloatArray:
        """As of the open of session `number`."""
        if self._known[0] != number:
            first = max(number - SESSIONS, 0)
            frame = self._past.frame(DAY, ("close", "volume"), first, number, None).join(self._index, on="symbol")
            self._known = number, _moves(frame, self._index.height)
        return self._known[1]


def _moves(daily: pl.DataFrame, symbols: int) -> FloatArray:
    """From daily bars; sums go session by session, so that a symbol's do not depend on the others."""
    before, squares, volume, days = (np.zeros(symbols) for _ in range(4))
    for _, day in sorted(daily.partition_by("session", as_dict=True).items()):
        code = day["code"].to_numpy()
        close, shares = (day[name].to_numpy().astype(np.float64) for name in ("close", "volume"))
        change = np.divide(close, before[code], out=np.ones(len(code)), where=days[code] > 0) - 1.0
        squares[code] += change * change
        volume[code] += shares
        days[code] += 1.0
        before[code] = close
    known = (days >= 2.0) & (volume > 0.0)
    made = np.full(symbols, np.nan)
    made[known] = np.sqrt(squares[known] / (days[known] - 1.0)) / np.sqrt(volume[known] / days[known])
    return made
