"""What everybody knows now."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bt.execution import IntArray, divide_half_even
from bt.model import Session


class Latest(NamedTuple):
    """The last bars of some symbols in some minutes: their codes, closes in units, ends in UTC microseconds and how many `bars` each had; a
    number is that of all of them."""

    code: IntArray
    close: IntArray
    end: IntArray | int
    bars: IntArray | int


class Closes(Protocol):
    """A session's minute bars, as far as what everybody knows is made of them."""

    def between(self, known: int, end: int, visible: npt.NDArray[np.bool_] | None) -> Latest:
        """The last bars of the symbols with one in the minutes known <= slot < end, and of those marked in `visible` (None: any)."""


class Market:
    """What everybody knows now; kept by the engine, which moves `now` (UTC microseconds) and `elapsed`, the minutes of the session that
    are over. What follows from the bars of those minutes is worked out when somebody asks.

    Attributes
    ----------
    symbols : tuple of str
    index : dict
        Each symbol's code.
    session, number : Session, int
        The session, and its number in the schedule.
    known : array
        (3, symbols): `last`, `last_end` and `seen` as far as they have been worked out.
    seen_at_open, ended_at_open : array
        `seen` and `last_end` at the session's open.
    usual : array or None
        As in `PreparedSession`.
    member : array or None
        Marks the members of the session's universe; None: all are.
    visible : array or None
        Marks the symbols whose bars are shown to whom this market is known; None: all are.
    """

    __slots__ = (
        "_bars", "_caught_up", "_last", "_last_end", "_seen", "_version", "elapsed", "ended_at_open", "index", "known", "member", "now", "number", "seen_at_open",
        "session", "symbols", "usual", "visible",
    )  # fmt: skip

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self.symbols = symbols
        self.index = {s: i for i, s in enumerate(symbols)}
        self.session: Session | None = None
        self.number = self.now = self.elapsed = 0
        self.known: IntArray = np.zeros((3, len(symbols)), dtype=np.int64)
        self._last: IntArray
        self._last_end: IntArray
        self._seen: IntArray
        self._last, self._last_end, self._seen = self.known  # views of its rows
        self.seen_at_open, self.ended_at_open = self._seen.copy(), self._last_end.copy()
        self.usual: npt.NDArray[np.int32] | None = None
        self.member: npt.NDArray[np.bool_] | None = None
        self.visible: npt.NDArray[np.bool_] | None = None
        self._bars: Closes | None = None
        self._caught_up = self._version = 0

    def begin(self, session: Session, number: int) -> None:
        """A session opens."""
        self.session, self.number, self.now, self.elapsed = session, number, session.open, 0
        self.seen_at_open, self.ended_at_open = self._seen.copy(), self._last_end.copy()
        self._bars, self._caught_up = None, 0

    def act(self, renames: Mapping[int, int], ratios: Mapping[int, Fraction]) -> tuple[IntArray, IntArray]:
        """A session begins with symbols renamed (old code to new) and shares split (new for an old one): what is known of them is from then on as it
        would have been. The last closes by code as they were, and under the new names before the splits."""
        known, at_open = self.known.copy(), (self.seen_at_open.copy(), self.ended_at_open.copy())
        for old in set(renames) - set(renames.values()):
            self.known[:, old] = self.seen_at_open[old] = self.ended_at_open[old] = 0
        for old, new in renames.items():
            self.known[:, new] = known[:, old]
            self.seen_at_open[new], self.ended_at_open[new] = at_open[0][old], at_open[1][old]
        unsplit = self._last.copy()
        for code, ratio in ratios.items():
            self._last[code] = divide_half_even(int(unsplit[code]) * ratio.denominator, ratio.numerator)
        self._version += 1
        return known[0], unsplit

    def play(self, bars: Closes) -> None:
        """The session's bars, from which time takes what it passes."""
        self._bars = bars

    def end(self, played: int) -> None:
        """The session is over after `played` minutes: what they brought stays, their bars go."""
        self.elapsed = played
        self._catch_up()
        self.let_go()

    def let_go(self) -> None:
        """Whoever keeps the market keeps none of the session's bars."""
        self._bars = None

    def _catch_up(self) -> None:
        if self._bars is None or self._caught_up >= self.elapsed:
            return
        code, close, end, bars = self._bars.between(self._caught_up, self.elapsed, self.visible)
        self._caught_up = self.elapsed
        if len(code):
            self._last[code] = close
            self._last_end[code] = end
            self._seen[code] += bars
            self._version += 1

    @property
    def last(self) -> IntArray:
        """Each symbol's last close shown in units, 0 before its first."""
        if self._caught_up != self.elapsed:
            self._catch_up()
        return self._last

    @property
    def last_end(self) -> IntArray:
        """The end of that bar, UTC microseconds."""
        if self._caught_up != self.elapsed:
            self._catch_up()
        return self._last_end

    @property
    def seen(self) -> IntArray:
        """How many bars of each symbol have been shown since the start of the run."""
        if self._caught_up != self.elapsed:
            self._catch_up()
        return self._seen

    @property
    def version(self) -> int:
        """Changes with the closes."""
        if self._caught_up != self.elapsed:
            self._catch_up()
        return self._version
