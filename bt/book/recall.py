"""What a book remembers: the last bars of a symbol that have ended by now, as far back as the strategy declared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bt.errors import StrategyError
from bt.model import BarHistory
from bt.schema import interval_minutes
from bt.strategy import PastBars, Reach


@dataclass(frozen=True)
class Recall:
    """The bars that one strategy may ask for in session `number`; `visible` marks the symbols it sees, None all."""

    owner: str
    reach: Mapping[int, Reach]
    histories: Mapping[int, BarHistory]
    number: int
    visible: npt.NDArray[np.bool_] | None

    def bars(self, code: int, n: int, interval: str, elapsed: int) -> PastBars:
        """The last `n` bars that have ended when `elapsed` minutes of the session are over."""
        reach = self._reach(interval, n)
        if self.visible is not None and not self.visible[code]:
            raise StrategyError(
                f"{self.owner}: bars must be asked of a symbol of the session's universe, or held as it opened; ask rows.symbol"
            )
        minutes = interval_minutes(interval)
        history = self.histories[minutes]
        first = history.since(code, self.number - reach.sessions) if reach.sessions else 0
        stop = history.until(code, self.number, elapsed)
        start = max(stop - int(n), first, history.begins(code))
        columns = {}
        for name, values in history.columns.items():
            columns[name] = values[start:stop].copy()
            columns[name].flags.writeable = False
        return PastBars(**columns)

    def _reach(self, interval: str, n: int) -> Reach:
        given: object = n
        if isinstance(given, bool) or not isinstance(given, int | np.integer) or n < 1:
            raise StrategyError(f"{self.owner}: bars must be asked for by a whole number >= 1, was {n!r}")
        try:
            reach = self.reach.get(interval_minutes(interval))
        except (ValueError, TypeError):
            reach = None
        if reach is None:
            others = ", ".join(f'"{r.label}": {r.bars or f"{r.sessions}d"!r}' for r in self.reach.values())
            raise StrategyError(
                f"{self.owner}: bars of {interval!r} must be declared, were not; write "
                f'history = {{{others + ", " if others else ""}"{interval}": {n}}} on the class'
            )
        if reach.bars and n > reach.bars:
            raise StrategyError(
                f"{self.owner}: bars of {reach.label} must be at most the {reach.bars} declared, was {n}; write "
                f'history = {{"{reach.label}": {n}}} on the class'
            )
        return reach
