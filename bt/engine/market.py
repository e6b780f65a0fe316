"""The bars of a session as fills and marks need them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from bt.book import Latest
from bt.execution import Tape as Bars
from bt.execution import to_units, units
from bt.execution.layout import NULL
from bt.model import Instruments, PreparedBars, PreparedSession, Session, high_low, slot_times
from bt.schema import MINUTE, QUOTES


@dataclass(frozen=True)
class Market:
    """Every minute bar of a session as fills and marks need it, in canonical order (symbol, slot).

    `last` (symbols, minutes) is the row of each symbol's last bar when a minute ends, -1 before its first. `first` is the row of
    its first bar; a symbol's rows follow one another. `count` is how many bars end with each minute; `tape` is all of it as the rules of
    execution take it.
    """

    session: Session
    bars: PreparedBars
    times: npt.NDArray[np.int64]
    last: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    count: list[int]
    tape: Bars
    instruments: Instruments | None = None
    extremes: Callable[[], PreparedBars] | None = None

    @staticmethod
    def of(prepared: PreparedSession, prior: npt.NDArray[np.int64], instruments: Instruments | None = None) -> Market:
        """The bars of a prepared session; `prior` are the closes before it by code, units. By `instruments` prices become what a share is worth."""
        session, bars = prepared.session, prepared.minutes
        times = slot_times(session)
        prints = np.full(len(prior), NULL, dtype=np.int64)
        for code, price in prepared.closing.items():
            prints[code] = to_units(price) if instruments is None else instruments.worth(to_units(price), code)
        opens, closes = (bars.columns[k].values for k in ("open", "close"))
        if instruments is not None:
            opens, closes = instruments.worths(bars.code, opens, closes)
        tape = Bars.of(bars.code, bars.begin, opens, closes, time=times, prior=prior, prints=prints)
        return Market(
            session, bars, times, tape.last, tape.first, tape.per_minute.tolist(), tape, instruments, prepared.extremes
        )

    def bar(self, slot: int) -> npt.NDArray[np.int64]:
        """Each symbol's bar in a minute, -1 where there is none."""
        now = self.last[:, slot]
        return now if not slot else np.where(now > self.last[:, slot - 1], now, -1)

    def between(self, known: int, end: int, visible: npt.NDArray[np.bool_] | None) -> Latest:
        """The last bars of the symbols with one in the minutes known <= slot < end, and of those marked in `visible` (None: any)."""
        if end - known == 1:
            return self._minute(known, visible)
        now = self.last[:, end - 1]
        before = self.last[:, known - 1] if known else np.full(len(now), -1)
        code = np.flatnonzero((now > before) if visible is None else (now > before) & visible)
        rows, old = now[code], before[code]
        count = rows - np.where(old < 0, self.first[code] - 1, old)
        return Latest(code, units(self.tape.close[rows]), self.ends(rows), count)

    def _minute(self, slot: int, visible: npt.NDArray[np.bool_] | None) -> Latest:
        """As `between`, of one minute: that is asked most, at every minute in which orders wait, and much of it is the same for all."""
        code, close, start = self._playback
        which = slice(start[slot], start[slot + 1])
        code, close = code[which], close[which]
        if visible is not None:
            shown = visible[code]
            code, close = code[shown], close[shown]
        return Latest(code, units(close), int(self.times[slot]) + MINUTE, 1)

    @cached_property
    def measured(self) -> Bars:
        """The tape with what caps on what fills need, volumes: nobody looks at its highs and lows, and none are read."""
        return self._widened(None)

    @cached_property
    def wide(self) -> Bars:
        """The tape with what orders need that wait for a price besides. Where no strategy can give such orders nobody looks at highs and lows."""
        return self._widened(high_low(self.bars, self.extremes))

    def _widened(self, extremes: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None) -> Bars:
        columns = self.bars.columns
        high, low = extremes or (columns["close"].values,) * 2
        quotes = [columns[name].values for name in QUOTES if name in columns]
        volume = columns["volume"].values
        if self.instruments is not None:
            high, low, *quotes = self.instruments.worths(self.bars.code, high, low, *quotes)
            volume = self.instruments.volumes(self.bars.code, volume)
        return self.tape.widened(high, low, volume, *quotes)

    @cached_property
    def _playback(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], list[int]]:
        """The bars' codes and closes minute by minute, and where each minute begins: beside each other in memory, which the rows that end
        with a minute are not in canonical order."""
        order = np.argsort(self.bars.begin.astype(np.uint16), kind="stable")  # uint16: a radix sort
        start = [0, *np.cumsum(self.count).tolist()]
        return np.take(self.bars.code, order).astype(np.int64, copy=False), self.tape.close[order], start

    def has(self, code: int) -> bool:
        """Whether a symbol has any bar."""
        return int(self.last[code, -1]) >= 0

    def ends(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The ends of some bars, UTC microseconds."""
        return np.asarray(self.times[self.bars.begin[rows]] + MINUTE)

    def traded(self, code: npt.NDArray[np.int64], bar: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """The volume of the bar in minute `bar` of each `code`; 0 for a minute of -1."""
        volume = self.bars.columns["volume"].values
        if not len(volume):
            return np.zeros(len(code))
        volume = volume[self.last[code, bar]]
        if self.instruments is not None:
            volume = self.instruments.volumes(code, volume)
        return np.where(bar >= 0, volume, 0.0)
