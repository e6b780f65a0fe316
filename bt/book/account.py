"""The account behind a book: its ledger, its live orders, what they reserve, and how an order's life begins and ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction

import numpy as np

from bt.book.levels import Levels
from bt.book.purse import AccountPurse, Purse, SymbolPurse
from bt.book.records import EVERY, IntArray, LiveOrder, Market, OrderRecord, Output, Type
from bt.errors import StrategyError
from bt.execution import Costs, fits
from bt.ledger import Curve, Ledger, Marks, Trade
from bt.model import ExecutionSpec, Order, QualitySpec, instant


@dataclass(frozen=True, slots=True)
class Terms:
    """What an account may do: the rules of its orders, and its cash in units (with `by_symbol`, that of each symbol)."""

    execution: ExecutionSpec
    quality: QualitySpec
    leverage: float
    cash: int


def left_by(orders: Sequence[LiveOrder], position: int) -> int:
    """What is left of a position once the live `orders` in its symbol, by id, have reduced it: 0 at least, as seen from its side.

    An exit_at_close leaves them theirs: its turn is after them.
    """
    left = position
    for order in orders:
        if order.type == "exit_at_close":
            continue
        after = order.level if order.type == "target" else left + order.shares
        if abs(after) < abs(left) or after * left < 0:
            left = after if after * left > 0 else 0
    return left


class Account:
    """One strategy's money and orders, as the engine handles them. `bt.book.StrategyBook` is what the strategy sees of it.

    Attributes
    ----------
    live : dict
        Orders that fill at a bar's open, by symbol code.
    exits : dict
        Standing exit_at_close orders by code; `exit_all` is the one for every symbol.
    levels : Levels
        Of each symbol the level that a target is known not to change.
    output : Output
        What the session has produced so far; `pending` is what on_order has not been told.
    trading : bool
        Whether orders are taken: not while the strategy warms up.
    purse : Purse
        Whose money its orders may use: its own, that of several accounts, or with `by_symbol` each symbol's.
    """

    def __init__(
        self, name: str, market: Market, terms: Terms, *, purse: AccountPurse | None = None, by_symbol: bool = False
    ) -> None:
        self.name = name
        self.market = market
        self.execution = terms.execution
        self.costs = Costs.of(terms.execution)
        self.ledger = Ledger(len(market.symbols), fits(terms.cash * (len(market.symbols) if by_symbol else 1)))
        leverage = Fraction(Decimal(repr(float(terms.leverage))))
        self.leverage = (leverage.numerator, leverage.denominator)
        self.quality = terms.quality
        self.start_cash = self.equity_at_open = self.ledger.cash
        self.next_id = 1
        self.orders_given = 0
        self.ids: dict[int, int] | None = {} if by_symbol else None
        self.live: dict[int, list[LiveOrder]] = {}
        self.exits: dict[int, LiveOrder] = {}
        self.exit_all: LiveOrder | None = None
        self.levels = Levels(market.symbols)
        self.purse: Purse
        if by_symbol:
            self.purse = SymbolPurse(self, terms.cash)
        else:
            self.purse = AccountPurse() if purse is None else purse
            self.purse.members.append(self)
        self.valued = (-1, 0, 0)
        self.decided = 0
        self.trading = True
        self.pending: list[Order] = []
        self.output = Output()

    # ------------------------------------------------------------------------------------------------------------ worth

    def value(self) -> tuple[int, int]:
        """(net, gross) of the positions in units at the last closes shown; at cost while a symbol has shown none."""
        version, net, gross = self.valued
        if version != self.market.version:
            value = self.ledger.shares * self.market.last
            for code in np.flatnonzero((self.market.last == 0) & (self.ledger.shares != 0)).tolist():
                value[code] = self.ledger.positions[code].cost
            net, gross = int(value.sum()), int(np.abs(value).sum())
            self.valued = (self.market.version, net, gross)
        return net, gross

    def equity(self, code: int) -> int:
        """Cash and positions of its purse in units; of `code`, where every symbol has its own."""
        return self.purse.cash(code) + self.purse.value(code)[0]

    def power(self, code: int) -> tuple[int, int]:
        """Buying power as a fraction: numerator in units, denominator."""
        up, down = self.leverage
        net, gross = self.purse.value(code)
        return (self.purse.cash(code) + net) * up - (gross + self.purse.reserved(code)) * down, down

    def position(self, code: int) -> int:
        """Signed shares held."""
        held = self.ledger.positions.get(code)
        return 0 if held is None else held.shares

    @property
    def shares(self) -> IntArray:
        """Signed shares of every symbol; the ledger's own array."""
        return self.ledger.shares

    def held(self) -> list[tuple[int, int, int, int]]:
        """(code, shares, last close and value in units) of every position."""
        last = self.market.last
        return [
            (code, p.shares, int(last[code]), p.shares * int(last[code]))
            for code, p in sorted(self.ledger.positions.items())
        ]

    # ------------------------------------------------------------------------------------------------------ orders' lives

    def all_live(self) -> list[LiveOrder]:
        """Every live order, standing exits included, by id."""
        live = {(o.id, o.code): o for orders in self.live.values() for o in orders}
        live |= {(o.id, o.code): o for o in self.exits.values()}
        if self.exit_all is not None:
            live[self.exit_all.id, EVERY] = self.exit_all
        return [live[k] for k in sorted(live)]

    def new(
        self, code: int, type_: Type, shares: int, *, tif: str, level: int = 0, tag: str = "", before: int = 0
    ) -> LiveOrder:
        """The next order of this account; it is not live yet."""
        given: object = tag
        if not isinstance(given, str):
            raise StrategyError(f"strategy {self.name}: tag must be text, was {tag!r}; write str(...)")
        if self.ids is None:
            number = self.next_id
            self.next_id += 1
        else:
            number = self.ids[code] = self.ids.get(code, 0) + 1
        self.orders_given += 1
        return LiveOrder(number, code, type_, shares, level, tif, self.decided, self.market.number, tag, before=before)

    def aim(self, code: int, level: int, tag: str) -> None:
        """A target: make the orders such that the position becomes `level`, unless they are such."""
        live = self.live.get(code, ())
        if any(o.type == "target" and o.level == level for o in live):
            self.levels.keep(code, level)
            return
        for order in tuple(live):
            if order.type != "exit_at_close":
                self.end(order, "cancelled", "retargeted")
        position = self.position(code)
        if position == level:
            if code not in self.live:
                self.levels.keep(code, level)
            return
        order = self.new(code, "target", 0, level=level, tif=self.execution.time_in_force, tag=tag)
        self.admit(order, level - position)
        if order in self.live.get(code, ()) and order.level == level:
            self.levels.keep(code, level)

    def refuse_target(self, code: int, reason: str, tag: str) -> None:
        """A target whose level cannot be known: a rejected order without one; the symbol's other orders stay."""
        order = self.new(code, "target", 0, tif=self.execution.time_in_force, tag=tag)
        reason = reason if self.trading else "warm_up"
        self.output.orders.append(self.recorded(order, "rejected", reason, None)._replace(level=None))
        self.pending.append(replace(self.told(order, "rejected", reason), level=None))

    def gated(self, code: int) -> bool:
        """Whether quality or completeness as of now forbids entries in a symbol; what is not known forbids nothing."""
        gate, market = self.quality, self.market
        if gate.minimum <= 0 or market.elapsed == 0 or market.elapsed < gate.after_minutes:
            return False
        present = int(market.seen[code] - market.seen_at_open[code])
        if gate.gate == "quality":
            return 100.0 * present / market.elapsed < gate.minimum
        assert market.usual is not None
        twice = int(market.usual[market.elapsed - 1, code])
        return twice > 0 and 200.0 * present / twice < gate.minimum

    def _forbidden(self, code: int) -> str:
        """Why nothing may be opened in a symbol now, or ""."""
        member = self.market.member
        if member is not None and not member[code]:
            return "not_in_universe"
        return self.quality.gate if self.gated(code) else ""

    def cut(self, order: LiveOrder, left: int, reason: str) -> None:
        """Of an order that would turn what others leave of a position, keep the part that closes it."""
        order.reason = reason
        if order.type == "target":
            order.level = 0
        else:
            order.shares = -left
        if order.need:
            self.purse.reserve(order.code, -order.need)
            order.need = 0
        self.levels.forget(order.code)
        self.pending.append(self.told(order, "open", reason))

    def admit(self, order: LiveOrder, change: int) -> None:
        """Check an order that would change the position by `change`, and make it live, cut or rejected."""
        if not self.trading:
            self.end(order, "rejected", "warm_up")
            return
        code = order.code
        left = self.position(code)
        if left and code in self.live:
            left = left_by(self.live[code], left)
        after = left + change
        crosses = left * after < 0
        opening = abs(after) if crosses else max(0, abs(after) - abs(left))
        refused, need = self._forbidden(code) if opening else "", 0
        if opening and not refused and self.leverage[0]:
            need = opening * int(self.market.last[code])
            up, down = self.power(code)
            if need * down > up:
                refused, need = "buying_power", 0
        if refused:
            if not crosses:
                self.end(order, "rejected", refused)
                return
            self.cut(order, left, refused)
        order.need = need
        if need:
            self.purse.reserve(code, need)
        self.live.setdefault(code, []).append(order)
        if order.type != "target":
            live = self.live[code]
            if not any(o.type == "target" for o in live):
                self.levels.forget(code)

    def told(self, order: LiveOrder, status: str, reason: str) -> Order:
        """An order as on_order and open_orders tell of it."""
        return Order(
            id=order.id,
            symbol="" if order.code == EVERY else self.market.symbols[order.code],
            type=order.type,
            shares=order.shares if order.type == "market" else None,
            level=order.level if order.type == "target" else None,
            tif=order.tif,
            status=status,
            reason=reason,
            tag=order.tag,
            decided_at=instant(order.decided),
        )

    def end(self, order: LiveOrder, status: str, reason: str, *, shares: int | None = None) -> None:
        """An order's life is over: forget it, free its money, keep its record, tell the strategy unless it filled."""
        code = order.code
        live = self.live.get(code)
        if live is not None and order in live:
            live.remove(order)
            if not live:
                del self.live[code]
        if self.exits.get(code) is order:
            del self.exits[code]
        if self.exit_all is order:
            self.exit_all = None
        if order.need:
            self.purse.reserve(code, -order.need)
            order.need = 0
        if code != EVERY:
            self.levels.forget(code)
        self.output.orders.append(self.recorded(order, status, reason, shares))
        if status != "filled":
            self.pending.append(self.told(order, status, reason))

    @staticmethod
    def recorded(order: LiveOrder, status: str, reason: str, shares: int | None) -> OrderRecord:
        """An order's record."""
        return OrderRecord(
            order.id, order.code, order.session, order.decided, order.type,
            order.shares if order.type == "market" else shares,
            order.level if order.type == "target" else None,
            order.tif, status, reason or order.reason, order.tag,
        )  # fmt: skip

    # ---------------------------------------------------------------------------------------------------- a session's life

    def begin(self) -> None:
        """A session starts: its clock stands at the open."""
        self.purse.begin()
        self.ledger.begin()
        self.equity_at_open = self.ledger.cash + self.value()[0]
        self.decided = self.market.now
        self.orders_given = 0
        self.output = Output()

    @property
    def waiting(self) -> bool:
        """Whether any order could fill at a bar's open."""
        return bool(self.live) or bool(self.exits) or self.exit_all is not None

    @property
    def has_events(self) -> bool:
        """Whether on_order has something to be told."""
        return bool(self.pending)

    def decide_at(self, us: int) -> None:
        """Orders given from now on count as decided at `us`."""
        self.decided = us

    def events(self, of: Callable[[int], bool] | None = None) -> list[Order]:
        """What on_order has not been told yet; with `of`, of those symbols only."""
        pending, index = self.pending, self.market.index
        self.pending = [] if of is None else [order for order in pending if not of(index[order.symbol])]
        return pending if of is None else [order for order in pending if of(index[order.symbol])]

    def give_up(self) -> None:
        """The strategy raised and plays no more: its live orders are cancelled, its positions stay."""
        for order in self.all_live():
            self.end(order, "cancelled", "strategy_raised")
        self.pending = []

    def expire(self) -> None:
        """The session is over: day orders end."""
        for order in self.all_live():
            if order.tif == "day":
                self.end(order, "expired", "no_bar")

    def settle(self, marks: Marks) -> tuple[Curve, list[Trade]]:
        """The session's equity curve and closed trades."""
        return self.ledger.finish(marks)

    def abandon(self) -> list[OrderRecord]:
        """The records of the orders that are live at the end of the run."""
        return [self.recorded(o, "open", o.reason, None) for o in self.all_live()]
