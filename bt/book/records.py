"""What a book is made of: what everybody knows (`Market`), an order's life, and the records it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from bt.model import Session

IntArray = npt.NDArray[np.int64]
Type = Literal["market", "target", "exit_at_close"]


class Closes(Protocol):
    """A session's minute bars, as far as what everybody knows is made of them."""

    def between(self, known: int, end: int) -> tuple[IntArray, IntArray, IntArray]:
        """The symbols with a bar in the minutes known <= slot < end: their codes, last bars and how many they had."""

    def closes(self, rows: IntArray) -> IntArray:
        """The closes of some bars, units."""

    def ends(self, rows: IntArray) -> IntArray:
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
        "_bars", "_known", "_last", "_last_end", "_seen", "_version", "elapsed", "ended_at_open", "index", "member", "now", "number",
        "seen_at_open", "session", "symbols", "usual", "visible",
    )  # fmt: skip

    def __init__(self, symbols: tuple[str, ...]) -> None:
        self.symbols = symbols
        self.index = {s: i for i, s in enumerate(symbols)}
        self.session: Session | None = None
        self.number = self.now = self.elapsed = 0
        self._last, self._last_end, self._seen = (np.zeros(len(symbols), dtype=np.int64) for _ in range(3))
        self.seen_at_open, self.ended_at_open = self._seen.copy(), self._last_end.copy()
        self.usual: npt.NDArray[np.int32] | None = None
        self.member: npt.NDArray[np.bool_] | None = None
        self.visible: npt.NDArray[np.bool_] | None = None
        self._bars: Closes | None = None
        self._known = self._version = 0

    def begin(self, session: Session, number: int) -> None:
        """A session opens."""
        self.session, self.number, self.now, self.elapsed = session, number, session.open, 0
        self.seen_at_open, self.ended_at_open = self._seen.copy(), self._last_end.copy()
        self._bars, self._known = None, 0

    def play(self, bars: Closes) -> None:
        """The session's bars, from which time takes what it passes."""
        self._bars = bars

    def end(self, played: int) -> None:
        """The session is over after `played` minutes: what they brought stays, their bars go."""
        self.elapsed = played
        self._catch_up()
        self._bars = None

    def _catch_up(self) -> None:
        if self._bars is None or self._known >= self.elapsed:
            return
        code, rows, count = self._bars.between(self._known, self.elapsed)
        self._known = self.elapsed
        if self.visible is not None:
            shown = self.visible[code]
            code, rows, count = code[shown], rows[shown], count[shown]
        if len(code):
            self._last[code] = self._bars.closes(rows)
            self._last_end[code] = self._bars.ends(rows)
            self._seen[code] += count
            self._version += 1

    @property
    def last(self) -> IntArray:
        """Each symbol's last close shown in units, 0 before its first."""
        if self._known != self.elapsed:
            self._catch_up()
        return self._last

    @property
    def last_end(self) -> IntArray:
        """The end of that bar, UTC microseconds."""
        if self._known != self.elapsed:
            self._catch_up()
        return self._last_end

    @property
    def seen(self) -> IntArray:
        """How many bars of each symbol have been shown since the start of the run."""
        if self._known != self.elapsed:
            self._catch_up()
        return self._seen

    @property
    def version(self) -> int:
        """Changes with the closes."""
        if self._known != self.elapsed:
            self._catch_up()
        return self._version


EVERY = -1
"""The code of an order that is about every symbol: exit_at_close without one."""


@dataclass(slots=True, eq=False)
class LiveOrder:
    """An order that may still fill. `need` is the money reserved for it. One of code `EVERY` leaves out the symbols in `but`."""

    id: int
    code: int
    type: Type
    shares: int
    level: int
    tif: str
    decided: int
    session: int
    tag: str
    need: int = 0
    reason: str = ""
    before: int = 0
    but: set[int] = field(default_factory=set)

    def concerns(self, code: int | None) -> bool:
        """Whether it may change what is held of a symbol; None asks for any."""
        return code is None or self.code == code or (self.code == EVERY and code not in self.but)


class OrderRecord(NamedTuple):
    """The end of an order's life; times in us, `session` the number of the session it was given in."""

    id: int
    code: int
    session: int
    decided: int
    type: str
    shares: int | None
    level: int | None
    tif: str
    status: str
    reason: str
    tag: str


class FillRecord(NamedTuple):
    """A fill; money in units of 1e-8, time in us, `slot` the minute of session, `bar` the one of the bar that gave the price, -1
    for an exit at the session's close."""

    order_id: int
    code: int
    time: int
    slot: int
    shares: int
    price: int
    reference: int
    commission: int
    position_after: int
    stale_minutes: int
    tag: str
    bar: int = -1


class Spoken(NamedTuple):
    """A row of the log: `code` is the symbol whose row, fill or order was being told, `EVERY` for none; `heard` 1 for a line that was
    printed or logged, 0 for what `book.log` was told, -n for n lines more that were not kept."""

    time: int
    message: str
    fields: str
    code: int = EVERY
    heard: int = 0


@dataclass(slots=True)
class Output:
    """What a book has to say about a session; of `records` the time, name, value and symbol (`EVERY` for none)."""

    orders: list[OrderRecord] = field(default_factory=list)
    fills: list[FillRecord] = field(default_factory=list)
    records: list[tuple[int, str, float, int]] = field(default_factory=list)
    log: list[Spoken] = field(default_factory=list)
