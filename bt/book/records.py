"""What a book is made of: what everybody knows (`Market`), an order's life, and the records it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bt.model import Session

IntArray = npt.NDArray[np.int64]
Type = Literal["market", "target", "exit_at_close"]


@dataclass(slots=True)
class Market:
    """What everybody knows now; one for the run, kept by the engine.

    `last` is each symbol's last close shown in units (0: none yet), `last_end` the end of that bar
    (UTC us), `seen` counts its bars shown since the start of the run, `seen_at_open` at the session's open; `elapsed` is the minutes of session gone by. `version` changes with the closes.
    `usual` is the session's, as `PreparedSession` has it.
    `member` marks the members of the session's universe; None: all are.
    """

    symbols: tuple[str, ...]
    last: IntArray
    last_end: IntArray
    seen: IntArray
    seen_at_open: IntArray
    index: dict[str, int]
    session: Session | None = None
    number: int = 0
    now: int = 0
    elapsed: int = 0
    version: int = 0
    usual: npt.NDArray[np.int32] | None = None
    member: npt.NDArray[np.bool_] | None = None

    @staticmethod
    def of(symbols: tuple[str, ...]) -> Market:
        """Before anything is known."""
        n = len(symbols)
        last, last_end, seen, at_open = (np.zeros(n, dtype=np.int64) for _ in range(4))
        return Market(symbols, last, last_end, seen, at_open, {s: i for i, s in enumerate(symbols)})


@dataclass(slots=True, eq=False)
class LiveOrder:
    """An order that may still fill. `need` is the money reserved for it."""

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


@dataclass(slots=True)
class Output:
    """What a book has to say about a session."""

    orders: list[OrderRecord] = field(default_factory=list)
    fills: list[FillRecord] = field(default_factory=list)
    records: list[tuple[int, str, float]] = field(default_factory=list)
    log: list[tuple[int, str, str]] = field(default_factory=list)
