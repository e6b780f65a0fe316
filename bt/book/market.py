"""What everybody knows now."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from bt.execution import IntArray
from bt.model import Session

RowArray = npt.NDArray[np.int32]


class Closes(Protocol):
    """A session's minute bars, as far as what everybody knows is made of them."""

    def between(self, known: int, end: int) -> tuple[IntArray, RowArray, IntArray | int]:
        """The symbols with a bar in the minutes known <= slot < end: their codes, last bars and how many they had, 1 for all in one minute."""

    def closes(self, rows: RowArray) -> IntArray:
        """The closes of some bars, units."""

    def ends(self, rows: RowArray) -> IntArray:
        """The ends of some bars, UTC microseconds."""


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

    def play(self, bars: Closes) -> None:
        """The session's bars, from which time takes what it passes."""
        self._bars = bars

    def end(self, played: int) -> None:
        """The session is over after `played` minutes: what they brought stays, their bars go."""
        self.elapsed = played
        self._catch_up()
        self._bars = None

    def _catch_up(self) -> None:
        if self._bars is None or self._caught_up >= self.elapsed:
            return
        code, rows, count = self._bars.between(self._caught_up, self.elapsed)
        self._caught_up = self.elapsed
        if self.visible is not None:
            shown = self.visible[code]
            code, rows, count = code[shown], rows[shown], count if isinstance(count, int) else count[shown]
        if len(code):
            self._last[code] = self._bars.closes(rows)
            self._last_end[code] = self._bars.ends(rows[:1] if isinstance(count, int) else rows)
            self._seen[code] += count
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
