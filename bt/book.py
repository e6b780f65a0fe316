"""The book: what a strategy trades with. Orders are collected, checked against money and quality, matched at a bar's open.

The rules are docs/decisions/0002. A book knows the present only: the last closes shown, its own ledger, its live orders.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bt.errors import StrategyError
from bt.execution import Costs, to_units
from bt.ledger import Curve, Ledger, Marks, Moment, Trade
from bt.model import UNIT, AccountSpec, ExecutionSpec, Fill, Order, QualitySpec, Session, instant
from bt.schema import MINUTE
from bt.strategy import Holding, nearest

IntArray = npt.NDArray[np.int64]
Type = Literal["market", "target", "exit_at_close"]


@dataclass(slots=True)
class Market:
    """What everybody knows now; one for the run, kept by the engine.

    `last` is each symbol's last close shown in units (0: none yet), `last_end` the end of its last bar in an earlier session
    (us), `seen` counts its bars shown since the start of the run, `seen_at_open` at the session's open; `elapsed` is the minutes of session gone by. `version` changes with the closes.
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
    """A fill; money in units of 1e-8, time in us, `slot` the minute of session."""

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


@dataclass(slots=True)
class Output:
    """What a book has to say about a session."""

    orders: list[OrderRecord] = field(default_factory=list)
    fills: list[FillRecord] = field(default_factory=list)
    records: list[tuple[int, str, float]] = field(default_factory=list)
    log: list[tuple[int, str, str]] = field(default_factory=list)


class StrategyBook:
    """The `Book` of one strategy. See `bt.strategy.Book` for what its methods mean."""

    def __init__(
        self,
        name: str,
        market: Market,
        execution: ExecutionSpec,
        account: AccountSpec,
        quality: QualitySpec,
        *,
        seed: tuple[int, ...],
    ) -> None:
        self._name = name
        self._market = market
        self._execution = execution
        self._costs = Costs.of(execution)
        self._ledger = Ledger(len(market.symbols), to_units(account.cash))
        leverage = Fraction(Decimal(repr(float(account.leverage))))
        self._leverage = (leverage.numerator, leverage.denominator)
        self._quality = quality
        self._seed = seed
        self._start_cash = self._ledger.cash
        self._next_id = self._first_id = 1
        self._live: dict[int, list[LiveOrder]] = {}
        self._level: dict[str, int] = {}
        self._exits: dict[int, LiveOrder] = {}
        self._exit_all: int | None = None  # minutes before the close
        self._reserved = 0
        self._valued = (-1, 0, 0)
        self._decided = 0
        self._equity_at_open = self._ledger.cash
        self.shown: tuple[Any, IntArray] | None = None
        self._rng: tuple[Any, np.random.Generator] | None = None
        self._events: list[Order] = []
        self.output = Output()
        self.stop_reason: str | None = None

    # ------------------------------------------------------------------------------------------------- what it knows

    @property
    def now(self) -> Any:
        return instant(self._market.now)

    @property
    def session(self) -> Any:
        assert self._market.session is not None
        return self._market.session.name

    @property
    def trading(self) -> bool:
        return True

    def _value(self) -> tuple[int, int]:
        """(net, gross) of the positions in units at the last closes shown; at cost while a symbol has shown none."""
        version, net, gross = self._valued
        if version != self._market.version:
            value = self._ledger.shares * self._market.last
            for code in np.flatnonzero((self._market.last == 0) & (self._ledger.shares != 0)).tolist():
                value[code] = self._ledger.positions[code].cost
            net, gross = int(value.sum()), int(np.abs(value).sum())
            self._valued = (self._market.version, net, gross)
        return net, gross

    @property
    def cash(self) -> float:
        return self._ledger.cash / UNIT

    @property
    def equity(self) -> float:
        return (self._ledger.cash + self._value()[0]) / UNIT

    @property
    def gross(self) -> float:
        return self._value()[1] / UNIT

    @property
    def net(self) -> float:
        return self._value()[0] / UNIT

    @property
    def session_pnl(self) -> float:
        return (self._ledger.cash + self._value()[0] - self._equity_at_open) / UNIT

    def _power(self) -> tuple[int, int]:
        """Buying power as a fraction: numerator in units, denominator."""
        up, down = self._leverage
        net, gross = self._value()
        return (self._ledger.cash + net) * up - (gross + self._reserved) * down, down

    @property
    def buying_power(self) -> float:
        if self._leverage[0] == 0:
            return math.inf
        up, down = self._power()
        return up / (down * UNIT)

    @property
    def holdings(self) -> dict[str, Holding]:
        symbols = self._market.symbols
        return {symbols[code]: self._holding(code) for code in sorted(self._ledger.positions)}

    def _holding(self, code: int) -> Holding:
        held = self._ledger.positions[code]
        price = int(self._market.last[code])
        value = held.shares * price if price else held.cost  # filled at the open of its first bar: no close yet
        return Holding(
            symbol=self._market.symbols[code],
            shares=held.shares,
            avg_price=held.cost / (held.shares * UNIT),
            price=price / UNIT if price else math.nan,
            value=value / UNIT,
            unrealized_pnl=(value - held.cost) / UNIT,
            realized_pnl=held.realized / UNIT,
            opened=instant(held.opened_at),
            bars_held=int(self._market.seen[code]) - held.bars_at_open,
        )

    def _code(self, symbol: str) -> int:
        code = self._market.index.get(symbol)
        if code is None:
            hint = nearest(symbol, self._market.symbols) or "it is not among the run's symbols"
            raise StrategyError(f"strategy {self._name}: symbol must be known, was {symbol!r}; {hint}")
        return code

    def position(self, symbol: str) -> int:
        held = self._ledger.positions.get(self._code(symbol))
        return 0 if held is None else held.shares

    def holding(self, symbol: str) -> Holding | None:
        code = self._code(symbol)
        return self._holding(code) if code in self._ledger.positions else None

    def price(self, symbol: str) -> float | None:
        last = int(self._market.last[self._code(symbol)])
        return last / UNIT if last else None

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        code = None if symbol is None else self._code(symbol)
        return [self._told(o, "open", o.reason) for o in self._all_live() if code in (None, o.code)]

    def _all_live(self) -> list[LiveOrder]:
        """Every live order, standing exits included, by id."""
        live = {o.id: o for orders in self._live.values() for o in orders}
        live |= {o.id: o for o in self._exits.values()}
        return [live[k] for k in sorted(live)]

    @property
    def rng(self) -> np.random.Generator:
        market = self._market
        key: tuple[int, ...] = (*self._seed, market.number)
        if (code := self.current_code) is not None:
            key = (*key, code, market.elapsed)
        if self._rng is None or self._rng[0] != key:
            self._rng = (key, np.random.default_rng(key))
        return self._rng[1]

    # ----------------------------------------------------------------------------------------------------- what it does

    def order(self, symbol: str, shares: int, *, tif: str | None = None, tag: str = "") -> int:
        code = self._code(symbol)
        shares = self._whole(shares)
        tif = self._execution.time_in_force if tif is None else tif
        if tif not in ("day", "gtc"):
            raise StrategyError(f'strategy {self._name}: tif must be "day" or "gtc", was {tif!r}')
        order = self._new(code, "market", shares, tif=tif, tag=tag)
        if shares == 0:
            self._end(order, "rejected", "zero_shares")
        else:
            self._admit(order, shares)
        return order.id

    def target(self, symbol: str, shares: int, tag: str = "") -> None:
        if self._level.get(symbol) == shares:
            return
        code, level = self._code(symbol), self._whole(shares)
        live = self._live.get(code, ())
        if any(o.type == "target" and o.level == level for o in live):
            self._level[symbol] = level
            return
        for order in tuple(live):
            if order.type != "exit_at_close":
                self._end(order, "cancelled", "retargeted")
        held = self._ledger.positions.get(code)
        position = 0 if held is None else held.shares
        if position == level:
            if code not in self._live:
                self._level[symbol] = level
            return
        order = self._new(code, "target", 0, level=level, tif=self._execution.time_in_force, tag=tag)
        self._admit(order, level - position)
        if order in self._live.get(code, ()) and order.level == level:
            self._level[symbol] = level

    def cancel(self, id: int | None = None, *, symbol: str | None = None) -> bool:
        if (id is None) == (symbol is None):
            raise StrategyError(f"strategy {self._name}: cancel takes an order id or symbol=, one of them")
        code = None if symbol is None else self._code(symbol)
        found = [o for o in self._all_live() if o.id == id or (code is not None and o.code == code)]
        for order in found:
            self._end(order, "cancelled", "cancelled")
        return bool(found)

    def exit_at_close(self, symbol: str | None = None, minutes_before: int = 0) -> None:
        given: object = minutes_before
        if isinstance(given, bool) or not isinstance(given, int) or given < 0:
            raise StrategyError(
                f"strategy {self._name}: minutes_before must be a whole number >= 0, was {minutes_before!r}"
            )
        if symbol is None:
            if self._exit_all is None:
                self._exit_all = minutes_before
            return
        code = self._code(symbol)
        if code not in self._exits:
            self._exits[code] = self._new(code, "exit_at_close", 0, tif="day", before=minutes_before)

    def record(self, **values: float) -> None:
        for name, value in values.items():
            self.output.records.append((self._market.now, name, float(value)))

    def log(self, message: str, **fields: Any) -> None:
        text = json.dumps(fields, default=str, sort_keys=True) if fields else "{}"
        self.output.log.append((self._market.now, str(message), text))

    def stop(self, reason: str) -> None:
        if self.stop_reason is None:
            self.stop_reason = str(reason)

    # ------------------------------------------------------------------------------------------------------ orders' lives

    def _whole(self, shares: Any) -> int:
        if isinstance(shares, int | np.integer) and not isinstance(shares, bool):
            return int(shares)
        if isinstance(shares, float | np.floating) and float(shares).is_integer():
            return int(shares)
        raise StrategyError(f"strategy {self._name}: shares must be a whole number, was {shares!r}; round it first")

    def _new(
        self, code: int, type_: Type, shares: int, *, tif: str, level: int = 0, tag: str = "", before: int = 0
    ) -> LiveOrder:
        order = LiveOrder(
            self._next_id, code, type_, shares, level, tif, self._decided, self._market.number, tag, before=before
        )
        self._next_id += 1
        return order

    def _gated(self, code: int) -> bool:
        """Whether quality as of now forbids entries in a symbol."""
        gate, market = self._quality, self._market
        if gate.minimum <= 0 or market.elapsed == 0 or market.elapsed < gate.after_minutes:
            return False
        present = int(market.seen[code] - market.seen_at_open[code])
        return 100.0 * present / market.elapsed < gate.minimum

    def _admit(self, order: LiveOrder, change: int) -> None:
        """Check an order that would change the position by `change`, and make it live, cut or rejected."""
        code = order.code
        held = self._ledger.positions.get(code)
        position = 0 if held is None else held.shares
        after = position + change
        crosses = position * after < 0
        opening = abs(after) if crosses else max(0, abs(after) - abs(position))
        refused = ""
        if opening and self._gated(code):
            refused = "quality"
        elif opening and self._leverage[0]:
            order.need = opening * int(self._market.last[code])
            up, down = self._power()
            if order.need * down > up:
                refused, order.need = "buying_power", 0
        if refused:
            if not crosses:
                self._end(order, "rejected", refused)
                return
            order.reason = refused
            if order.type == "target":
                order.level = 0
            else:
                order.shares = -position
            self._events.append(self._told(order, "open", refused))
        self._reserved += order.need
        self._live.setdefault(code, []).append(order)
        if order.type != "target":
            live = self._live[code]
            if not any(o.type == "target" for o in live):
                self._level.pop(self._market.symbols[code], None)

    def _told(self, order: LiveOrder, status: str, reason: str) -> Order:
        return Order(
            id=order.id,
            symbol=self._market.symbols[order.code],
            type=order.type,
            shares=order.shares if order.type == "market" else None,
            level=order.level if order.type == "target" else None,
            tif=order.tif,
            status=status,
            reason=reason,
            tag=order.tag,
            decided_at=instant(order.decided),
        )

    def _end(self, order: LiveOrder, status: str, reason: str, *, shares: int | None = None) -> None:
        """An order's life is over: forget it, free its money, keep its record, tell the strategy unless it filled."""
        code = order.code
        live = self._live.get(code)
        if live is not None and order in live:
            live.remove(order)
            if not live:
                del self._live[code]
        if self._exits.get(code) is order:
            del self._exits[code]
        self._reserved -= order.need
        order.need = 0
        self._level.pop(self._market.symbols[code], None)
        self.output.orders.append(self._recorded(order, status, reason, shares))
        if status != "filled":
            self._events.append(self._told(order, status, reason))

    @staticmethod
    def _recorded(order: LiveOrder, status: str, reason: str, shares: int | None) -> OrderRecord:
        return OrderRecord(
            order.id, order.code, order.session, order.decided, order.type,
            order.shares if order.type == "market" else shares,
            order.level if order.type == "target" else None,
            order.tif, status, reason or order.reason, order.tag,
        )  # fmt: skip

    # ----------------------------------------------------------------------------------------------- called by the engine

    @property
    def current_code(self) -> int | None:
        """The symbol whose row is being shown, read off how far the rows' iterator has come; None outside on_bar."""
        if self.shown is None:
            return None
        progress, codes = self.shown
        return int(codes[len(codes) - progress.__length_hint__() - 1])

    @property
    def waiting(self) -> bool:
        """Whether any order could fill at a bar's open."""
        return bool(self._live) or bool(self._exits) or self._exit_all is not None

    @property
    def has_events(self) -> bool:
        """Whether on_order has something to be told."""
        return bool(self._events)

    @property
    def shares(self) -> IntArray:
        """Signed shares of every symbol; the ledger's own array."""
        return self._ledger.shares

    def decide_at(self, us: int) -> None:
        """Orders given from now on count as decided at `us`."""
        self._decided = us

    @property
    def start_cash(self) -> int:
        """Cash before the run, units."""
        return self._start_cash

    @property
    def orders_given(self) -> int:
        """Orders given in this session, refused ones included."""
        return self._next_id - self._first_id

    def give_up(self) -> None:
        """The strategy raised and plays no more: its live orders are cancelled, its positions stay."""
        for order in self._all_live():
            self._end(order, "cancelled", "strategy_raised")
        self._exit_all = None
        self._events = []

    def settle(self, marks: Marks) -> tuple[Curve, list[Trade]]:
        """The session's equity curve and closed trades."""
        return self._ledger.finish(marks)

    def held(self) -> list[tuple[int, int, int, int]]:
        """(code, shares, last close and value in units) of every position."""
        last = self._market.last
        return [
            (code, p.shares, int(last[code]), p.shares * int(last[code]))
            for code, p in sorted(self._ledger.positions.items())
        ]

    def begin(self) -> None:
        """A session starts: its clock stands at the open."""
        self._ledger.begin()
        self._equity_at_open = self._ledger.cash + self._value()[0]
        self._decided = self._market.now
        self._first_id = self._next_id
        self.output = Output()

    def match(
        self, rows: npt.NDArray[np.int32], opens: npt.NDArray[np.float64], opened: int, slot: int
    ) -> list[FillRecord]:
        """Fill what meets a bar that opens at `opened` in minute `slot`; `rows` gives each symbol's bar, -1 for none.

        Returns the fills in the order in which they happened; all are booked.
        """
        self._wake_exits(opened)
        met = []
        for code, orders in self._live.items():
            row = int(rows[code])
            if row < 0:
                continue
            held = self._ledger.positions.get(code)
            position = 0 if held is None else held.shares
            for order in orders:
                enters = self._quantity(order, position) * position >= 0
                met.append((enters, order.id, row, order))
        if not met:
            return []
        met.sort(key=lambda m: m[:2])
        fills = []
        for _, _, row, order in met:
            held = self._ledger.positions.get(order.code)
            shares = self._quantity(order, 0 if held is None else held.shares)
            if shares == 0:
                if order.type == "target":
                    self._end(order, "cancelled", "at_target")
                continue
            fills.append(self._fill(order, shares, to_units(float(opens[row])), time=opened, slot=slot))
        return fills

    @staticmethod
    def _quantity(order: LiveOrder, position: int) -> int:
        if order.type == "market":
            return order.shares
        return order.level - position if order.type == "target" else -position

    def _wake_exits(self, opened: int) -> None:
        """exit_at_close(minutes_before=n) is a live market order from close - n on."""
        assert self._market.session is not None
        close = self._market.session.close
        if self._exit_all and close - self._exit_all * MINUTE <= opened:
            self._exit_everything(close - self._exit_all * MINUTE)
            self._exit_all = 0  # what is held again at the close is closed there
        for code, order in self._exits.items():
            if order.before and close - order.before * MINUTE <= opened and order not in self._live.get(code, ()):
                self._live.setdefault(code, []).append(order)
                self._level.pop(self._market.symbols[code], None)

    def _exit_everything(self, decided: int) -> None:
        """exit_at_close without a symbol: one order for each symbol held that has none of its own, decided now."""
        if self._exit_all is not None:
            for code in sorted(self._ledger.positions):
                if code not in self._exits:
                    made = self._exits[code] = self._new(code, "exit_at_close", 0, tif="day", before=self._exit_all)
                    made.decided = decided

    def _fill(
        self,
        order: LiveOrder,
        shares: int,
        reference: int,
        *,
        time: int,
        slot: int,
        stale: int = 0,
        at_close: bool = False,
    ) -> FillRecord:
        code = order.code
        price = self._costs.price(reference, shares)
        commission = self._costs.commission(shares)
        moment = Moment(time, slot, int(self._market.seen[code]), at_close)
        after = self._ledger.book_fill(code, shares, price, commission, moment, reason=order.type, tag=order.tag)
        self._valued = (-1, 0, 0)
        self._end(order, "filled", "", shares=shares)
        if order.type == "target" and after == order.level and code not in self._live:
            self._level[self._market.symbols[code]] = after
        fill = FillRecord(order.id, code, time, slot, shares, price, reference, commission, after, stale, order.tag)
        self.output.fills.append(fill)
        return fill

    def told_fill(self, fill: FillRecord) -> Fill:
        """A fill as on_fill is told of it."""
        return Fill(
            order_id=fill.order_id,
            symbol=self._market.symbols[fill.code],
            time=instant(fill.time),
            shares=fill.shares,
            price=fill.price / UNIT,
            reference_price=fill.reference / UNIT,
            slippage=abs(fill.price - fill.reference) * abs(fill.shares) / UNIT,
            commission=fill.commission / UNIT,
            position_after=fill.position_after,
            stale_minutes=fill.stale_minutes,
            tag=fill.tag,
        )

    def close_exits(self, price: Callable[[int], tuple[int, int] | None]) -> list[FillRecord]:
        """exit_at_close at the close. `price(code)` is the (price in units, stale minutes) of a symbol's close, None without a bar."""
        session = self._market.session
        assert session is not None
        self._exit_everything(session.close)
        fills = []
        for order in sorted(self._exits.values(), key=lambda o: o.id):
            code = order.code
            for other in tuple(self._live.get(code, ())):
                if other is not order:
                    self._end(other, "cancelled", "exit_at_close")
            held = self._ledger.positions.get(code)
            if held is None:
                self._end(order, "cancelled", "flat")
                continue
            found = price(code)
            if found is None:
                self._end(order, "expired", "no_bar")
                continue
            reference, stale = found
            fills.append(
                self._fill(
                    order,
                    -held.shares,
                    reference,
                    time=session.close,
                    slot=session.minutes - 1,
                    stale=stale,
                    at_close=True,
                )
            )
        return fills

    def close_all(self, price: Callable[[int], tuple[int, int] | None]) -> list[FillRecord]:
        """at_end = "close": every position is closed at its last close."""
        session = self._market.session
        assert session is not None
        fills = []
        for code in sorted(self._ledger.positions):
            for other in tuple(self._live.get(code, ())):
                self._end(other, "cancelled", "exit_at_close")
            order = self._new(code, "exit_at_close", 0, tif="day", tag="at_end")
            old = (session.close - int(self._market.last_end[code])) // MINUTE
            reference, stale = price(code) or (int(self._market.last[code]), old)
            fills.append(
                self._fill(
                    order, -self._ledger.positions[code].shares, reference,
                    time=session.close, slot=session.minutes - 1, stale=stale, at_close=True,
                )
            )  # fmt: skip
        return fills

    def expire(self) -> None:
        """The session is over: day orders end."""
        self._exit_all = None
        for order in self._all_live():
            if order.tif == "day":
                self._end(order, "expired", "no_bar")

    def abandon(self) -> list[OrderRecord]:
        """The records of the orders that are live at the end of the run."""
        return [self._recorded(o, "open", o.reason, None) for o in self._all_live()]

    def events(self) -> Iterator[Order]:
        """What on_order has not been told yet."""
        told, self._events = self._events, []
        return iter(told)
