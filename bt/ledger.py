"""The books of one strategy: cash, positions, trades, and the equity curve of a session.

Every amount is an int in units of 1e-8 of the currency, so cash and positions explain every fill exactly. `book_fill` is called once a
fill; `equity_curve` and `excursions` work on whole columns at the session's end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from bt.errors import MoneyError
from bt.execution import INT64_MAX, divide_half_even, fits

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Marks:
    """The closes of a session. `last` is (symbols, minutes): the row of the last bar when each minute ends, -1 before the first; `units`
    gives the closes of rows in units; `prior` each symbol's last close before the session, 0 if none."""

    last: npt.NDArray[np.int32]
    units: Callable[[IntArray], IntArray]
    prior: IntArray

    def closes(self, codes: list[int]) -> IntArray:
        """(codes, minutes): the last close known at each minute's end, units."""
        last = self.last[codes]
        made = np.repeat(self.prior[codes][:, None], last.shape[1], axis=1)
        known = last >= 0
        if known.any():
            made[known] = self.units(last[known].astype(np.int64))
        return made


@dataclass(frozen=True, slots=True)
class Curve:
    """One value a minute of the session, at its end, in units."""

    equity: IntArray
    cash: IntArray
    gross: IntArray
    net: IntArray


@dataclass(slots=True)
class Position:
    """An open position and the trade it belongs to. Money in units."""

    shares: int
    cost: int
    opened_at: int
    bars_at_open: int
    entry_tag: str
    realized: int = 0
    commission: int = 0
    entered: int = 0
    entered_cost: int = 0
    exited: int = 0
    exited_value: int = 0
    worst: int = 0
    best: int = 0


@dataclass(frozen=True, slots=True)
class Trade:
    """A closed trade, flat to flat. Money in units; `shares` is signed, the total that was opened."""

    code: int
    shares: int
    entry_time: int
    exit_time: int
    entry_value: int
    exit_value: int
    gross: int
    commission: int
    mae: int
    mfe: int
    entry_tag: str
    exit_reason: str


@dataclass(slots=True)
class Span:
    """A stretch of minutes in which a trade's position did not change: slots begin <= s < end of this session.

    Its unrealized plus realized P&L at a close is ``realized + shares x close - cost``.
    """

    position: Position
    code: int
    begin: int
    shares: int
    cost: int
    realized: int
    end: int = -1


@dataclass(slots=True)
class Change:
    """A fill as the equity curve sees it: from slot `slot` on, cash and the position differ by this much."""

    slot: int
    code: int
    shares: int
    cash: int


class Moment(NamedTuple):
    """When a fill happens: UTC microseconds, minute of session, at its open or its close; `seen` counts the symbol's bars
    shown before."""

    time: int
    slot: int
    seen: int
    at_close: bool = False


@dataclass(slots=True)
class Closed:
    """A trade that ended, waiting for its excursions at the session's end."""

    position: Position
    code: int
    side: int
    exit_time: int
    exit_reason: str


@dataclass(slots=True)
class Ledger:
    """Cash and positions of one strategy, for the run; what changed, for the session."""

    symbols: int
    cash: int
    positions: dict[int, Position] = field(default_factory=dict)
    shares: IntArray = field(init=False)
    opening: dict[int, int] = field(default_factory=dict)
    opening_cash: int = 0
    changes: list[Change] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    closed: list[Closed] = field(default_factory=list)
    _span: dict[int, Span] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shares = np.zeros(self.symbols, dtype=np.int64)
        self.opening_cash = self.cash

    def begin(self) -> None:
        """Start a session: forget what changed in the last one."""
        self.opening = {code: p.shares for code, p in self.positions.items()}
        self.opening_cash = self.cash
        self.changes, self.closed = [], []
        self._span = {code: Span(p, code, 0, p.shares, p.cost, p.realized) for code, p in self.positions.items()}
        self.spans = list(self._span.values())

    def book_fill(
        self, code: int, shares: int, price: int, commission: int, moment: Moment, *, reason: str, tag: str
    ) -> int:
        """Book a fill of signed `shares` at `price`; the position after it. `reason` is the order's type."""
        held = self.positions.get(code)
        before = held.shares if held is not None else 0
        after = before + shares
        self.cash = fits(self.cash - shares * price - commission)
        self.changes.append(Change(moment.slot, code, shares, -shares * price - commission))
        span = self._span.pop(code, None)
        if span is not None:
            span.end = moment.slot + moment.at_close
        reducing = 0 if before * shares >= 0 else min(abs(before), abs(shares))
        if held is not None and reducing:
            part = commission if reducing == abs(shares) else divide_half_even(commission * reducing, abs(shares))
            self._reduce(held, reducing, price, part)
            if held.shares == 0:
                self.closed.append(Closed(held, code, 1 if before > 0 else -1, moment.time, reason))
                del self.positions[code]
                held = None
            commission -= part
            shares += reducing if before > 0 else -reducing
        if shares:
            if held is None:
                held = self.positions[code] = Position(0, 0, moment.time, moment.seen, tag)
            held.shares += shares
            held.cost = fits(held.cost + shares * price)
            held.entered += abs(shares)
            held.entered_cost += abs(shares) * price
            held.commission += commission
        self.shares[code] = after
        if held is not None:
            begin = moment.slot + moment.at_close  # a minute's close comes before what fills at it
            span = self._span[code] = Span(held, code, begin, held.shares, held.cost, held.realized)
            self.spans.append(span)
        return after

    @staticmethod
    def _reduce(held: Position, shares: int, price: int, commission: int) -> None:
        """Close `shares` (a positive count) of a position at `price`."""
        size = abs(held.shares)
        removed = divide_half_even(held.cost * shares, size)
        sign = 1 if held.shares > 0 else -1
        held.realized += sign * shares * price - removed
        held.cost -= removed
        held.shares -= sign * shares
        held.exited += shares
        held.exited_value += shares * price
        held.commission += commission

    def finish(self, marks: Marks) -> tuple[Curve, list[Trade]]:
        """End the session: its equity curve, and the trades that closed, in order of closing."""
        codes = sorted({*self.opening, *(c.code for c in self.changes)})
        closes = marks.closes(codes)
        curve = self._curve(codes, closes)
        excursions(self.spans, codes, closes)
        trades = [
            Trade(
                c.code, c.side * c.position.entered, c.position.opened_at, c.exit_time, c.position.entered_cost,
                c.position.exited_value, c.position.realized, c.position.commission, c.position.worst,
                c.position.best, c.position.entry_tag, c.exit_reason,
            )
            for c in self.closed
        ]  # fmt: skip
        return curve, trades

    def _curve(self, codes: list[int], closes: IntArray) -> Curve:
        """Cash, equity, gross and net at every minute's end."""
        minutes = closes.shape[1]
        column = {code: k for k, code in enumerate(codes)}
        shares = np.zeros((len(codes), minutes), dtype=np.int64)
        cash = np.zeros(minutes, dtype=np.int64)
        for code, held in self.opening.items():
            shares[column[code], 0] += held
        for change in self.changes:
            shares[column[change.code], change.slot] += change.shares
            cash[change.slot] += change.cash
        np.cumsum(shares, axis=1, out=shares)
        cash = self.opening_cash + np.cumsum(cash)
        if codes:
            largest = np.abs(shares).max(axis=1).astype(float) @ closes.max(axis=1).astype(float)
            if largest + abs(float(self.opening_cash)) > INT64_MAX:
                raise MoneyError(f"money: the positions' value must fit int64 units of 1e-8, was {largest / 1e8:.6g}")
        value = shares * closes
        net = value.sum(axis=0)
        return Curve(equity=cash + net, cash=cash, gross=np.abs(value).sum(axis=0), net=net)


def excursions(spans: list[Span], codes: list[int], closes: IntArray) -> None:
    """Widen each trade's worst and best P&L by the closes of the minutes in which it was held.

    `closes` is (codes, minutes), units; a span without an end reaches the session's end.
    """
    minutes = closes.shape[1]
    row = {code: k * minutes for k, code in enumerate(codes)}
    lived = [s for s in spans if (minutes if s.end < 0 else s.end) > s.begin]
    if not lived:
        return
    # reduceat over [begin, end) pairs; the stretches between the pairs are computed too and dropped
    pairs = np.array([(row[s.code] + s.begin, row[s.code] + (minutes if s.end < 0 else s.end)) for s in lived]).ravel()
    line = np.append(closes.ravel(), 0)
    low = np.minimum.reduceat(line, pairs)[::2].tolist()
    high = np.maximum.reduceat(line, pairs)[::2].tolist()
    for span, least, greatest in zip(lived, low, high, strict=True):
        one = span.realized + span.shares * least - span.cost
        other = span.realized + span.shares * greatest - span.cost
        held = span.position
        held.worst = min(held.worst, one, other)
        held.best = max(held.best, one, other)
