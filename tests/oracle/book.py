"""What a strategy may ask for, and when it is refused (decision 0002, docs/strategies.md)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from oracle.account import RESTING, UNIT, Ledger, Order, money, whole
from oracle.asking import Legs, in_units, legs_of, type_of
from oracle.bar import Standing, Terms, orphans
from oracle.bins import completeness
from oracle.features import as_decimal
from oracle.instruments import Instrument, of
from oracle.market import Bar, Day, History, instant
from oracle.past import remembered
from oracle.terms import float_bars


@dataclass
class Present:
    """What is known now, the same for every strategy. `now_us` is the clock; `decided_us` is when an order given now
    counts as decided (later than the clock while `on_fill` runs); `elapsed` counts the session minutes that closed. `today` has each
    symbol's last bar of the session, `traded` the last that may fill. `members` are those of the session's universe, None where every symbol is
    one; `a_share` is by what part of itself one share moves a symbol's price. `marks` are what a share is worth at the last close, units; `retired` symbols have had their last
    session."""

    symbols: list[str]
    day: Day | None = None
    now_us: int = 0
    decided_us: int = 0
    elapsed: int = 0
    stopped: str | None = None
    marks: dict[str, int] = field(default_factory=dict)
    last: dict[str, Bar] = field(default_factory=dict)
    today: dict[str, Bar] = field(default_factory=dict)
    traded: dict[str, Bar] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    pool: frozenset[str] = frozenset()
    members: set[str] | None = None
    history: History | None = None
    a_share: dict[str, float] = field(default_factory=dict)
    as_of: Callable[[Day], History] | None = None
    instruments: dict[str, Instrument] = field(default_factory=dict)
    retired: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.pool = frozenset(self.symbols)

    def listed(self, symbol: str) -> Instrument:
        """The terms of a symbol."""
        return of(self.instruments, symbol)

    def quality(self, symbol: str) -> Fraction:
        """Percent of the minutes closed so far in which the symbol has a bar; 100 before the first has closed."""
        return Fraction(100 * self.rows.get(symbol, 0), self.elapsed) if self.elapsed else Fraction(100)

    def completeness(self, symbol: str) -> float | None:
        """Percent of what the symbol usually has of the minutes closed so far; None where that cannot be said."""
        assert self.day is not None
        assert self.history is not None
        if not self.elapsed:
            return None
        return completeness(self.history.days, self.history.bars, symbol, self.day.name, self.elapsed - 1)


class Book:
    """One strategy's orders and account. Fills wait in `filled`, orders that ended in `events`, until they are told."""

    def __init__(
        self,
        strategy: str,
        cash: int,
        present: Present,
        *,
        tif: str,
        leverage: float,
        minimum: float,
        gate: str,
        after_minutes: int,
    ) -> None:
        self.strategy = strategy
        self.ledger = Ledger(strategy, cash)
        self.orders: list[Order] = []
        self.live: dict[int, Order] = {}
        self.events: list[SimpleNamespace] = []
        self.filled: list[SimpleNamespace] = []
        self.record_rows: list[dict[str, Any]] = []
        self.log_rows: list[dict[str, Any]] = []
        self.close_all: Order | None = None
        self.spared: set[str] = set()
        self.session_start = cash
        self.purse: list[Book] = [self]
        self.only: str | None = None
        self.trading = True
        self.held_at_open: set[str] = set()
        self.warm = 0
        self.reach: dict[str, Any] = {}
        self.opened: dict[str, dict[str, Any]] = {}
        self.room: dict[str, int] = {}
        self.month = 0
        self.initial = Fraction(0)
        self._present = present
        self._tif = tif
        self._leverage = Fraction(as_decimal(leverage))
        self._minimum = Fraction(as_decimal(minimum))
        self._gate = gate
        self._after_minutes = after_minutes

    # --------------------------------------------------------------------------------------------------------- orders

    def order(
        self,
        symbol: str,
        shares: Any,
        *,
        limit: float | None = None,
        stop: float | None = None,
        trail: float | None = None,
        at: str | None = None,
        tif: str | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        trailing_loss: float | None = None,
        oco: int | None = None,
        tag: str = "",
    ) -> int:
        """An order for signed `shares`; its id, also when it is refused."""
        count = whole(shares)
        side = (count > 0) - (count < 0)
        kind = type_of(limit=limit, stop=stop, trail=trail, at=at, tif=tif)
        prices = {"limit": in_units("limit", limit), "stop": in_units("stop", stop), "trail": in_units("trail", trail)}
        legs = legs_of(side, stop_loss=stop_loss, take_profit=take_profit, trailing_loss=trailing_loss)
        partner = self.live.get(oco) if oco is not None else None  # before its own legs have ids
        order = self.make(symbol, kind, shares=count, tif="day" if at else tif or self._tif, tag=tag)
        order.side = side
        listed = self._present.listed(symbol)
        order.limit, order.stop, order.trail = map(listed.asked, prices.values())
        self._begin_trail(order)
        own = self._attach(order, legs, -side)
        held = self.ledger.position(symbol)
        unfit = self._refusal(symbol, count, order.limit, order.stop, order.trail, *own, held=held)
        if count == 0 and self.trading:
            self.end(order, "rejected", "zero_shares")
        elif unfit and self.trading:
            self.end(order, "rejected", unfit)
        elif self.trading and oco is not None and (partner is None or not may_join(partner, order)):
            self.end(order, "rejected", "oco")
        else:
            order.group_number = partner.group if partner is not None else 0
            self._check(order, count)
        return order.id

    def _refusal(self, symbol: str, shares: int, *prices: int | None, held: int = 0) -> str:
        """Why the table of instruments refuses an order, "" where it does not; one that takes all that is `held` may be no whole lots."""
        assert self._present.day is not None
        reason = self._present.listed(symbol).refuses(self._present.day.name, shares, held, *prices)
        return "not_listed" if symbol in self._present.retired and reason != "not_tradable" else reason

    def _begin_trail(self, order: Order) -> None:
        """A trailing stop begins with the last close shown."""
        if order.trail is not None:
            order.extreme = self._present.marks.get(order.symbol)

    def _attach(self, parent: Order, legs: Legs, side: int) -> list[int | None]:
        """Legs on `side` that wait with their parent; their prices in money of a share."""
        prices = self._worths(parent.symbol, legs)
        for (kind, (name, _)), price in zip(legs.items(), prices, strict=True):
            leg = self.make(parent.symbol, kind, tif="gtc", tag=parent.tag)
            setattr(leg, name, price)
            leg.parent, leg.side, leg.waiting, leg.reduces = parent.id, side, True, True
        return prices

    def _worths(self, symbol: str, legs: Legs) -> list[int | None]:
        """The prices of legs in money of a share."""
        return [self._present.listed(symbol).asked(price) for _, price in legs.values()]

    def target(
        self,
        symbol: str,
        shares: Any,
        tag: str = "",
        *,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        trailing_loss: float | None = None,
    ) -> int | None:
        """A level to hold; the new order's id, or None when nothing changes. Legs protect the level: one of 0 has none."""
        level = whole(shares)
        side = (level > 0) - (level < 0)
        legs = legs_of(side, stop_loss=stop_loss, take_profit=take_profit, trailing_loss=trailing_loss)
        self._known(symbol)
        working = [o for o in self.own_orders(symbol) if o.type != "exit_at_close"]
        if any(o.type == "target" and o.level == level for o in working):
            return None
        needed = level - self.position(symbol)
        if needed == 0 and all(o.leg for o in working):
            return None
        unfit = self._refusal(symbol, level, *(self._worths(symbol, legs) if level else ())) if needed != 0 else ""
        if unfit:  # what is on its way stays
            order = self.make(symbol, "target", level=level, tif=self._tif, tag=tag)
            if level != 0:
                self._attach(order, legs, -side)
            self.end(order, "rejected", unfit if self.trading else "warm_up")
            return order.id
        for o in working:
            if needed != 0 or not o.leg:
                self.end(o, "cancelled", "retargeted")
        if needed == 0:
            return None
        order = self.make(symbol, "target", level=level, tif=self._tif, tag=tag)
        if level != 0:
            self._attach(order, legs, -side)
        self._check(order, needed)
        return order.id

    def replace(
        self,
        id: int,
        *,
        shares: Any = None,
        limit: float | None = None,
        stop: float | None = None,
        trail: float | None = None,
    ) -> int:
        """A live order's successor with what is given changed, its id also when it is refused (then the old one stays); 0 if there is none."""
        raw = {"limit": in_units("limit", limit), "stop": in_units("stop", stop), "trail": in_units("trail", trail)}
        count = None if shares is None else whole(shares)
        old = self.live.get(id)
        if old is None:
            return 0
        may_replace(old, count, [name for name, price in raw.items() if price is not None])
        given = {name: self._present.listed(old.symbol).asked(price) for name, price in raw.items()}
        left = old.left if count is None else count
        new = self.make(old.symbol, old.type, shares=None if old.waiting else left, tif=old.tif, tag=old.tag)
        for name in ("limit", "stop", "trail"):
            setattr(new, name, getattr(old, name) if given[name] is None else given[name])
        for name in ("side", "parent", "waiting", "live_us", "extreme", "triggered"):
            setattr(new, name, getattr(old, name))
        new.triggered &= given["stop"] is None and given["trail"] is None
        new.group_number, new.reduces = old.group, old.leg
        if left == 0 and not old.waiting:
            self.end(new, "rejected", "zero_shares")
            return new.id
        if unfit := self._refusal(old.symbol, count or 0, *given.values(), held=self.position(old.symbol)):
            self.end(new, "rejected", unfit)
            return new.id
        if not old.leg:
            del self.live[old.id]
            self._check(new, left)
            self.live = {o.id: o for o in sorted([old, *self.live.values()], key=lambda o: o.id)}
        if new.live:
            for leg in self.own_orders(old.symbol):
                if leg.parent == old.id:
                    leg.parent = new.id
            self.end(old, "cancelled", "replaced")
        return new.id

    def target_percent(self, symbol: str, fraction: float, tag: str = "") -> int | None:
        """A level worth a fraction of equity; equity of 0 or less is worth no share."""
        return self._target_worth(symbol, max(self._equity(), 0), fraction, tag)

    def target_value(self, symbol: str, money_: float, tag: str = "") -> int | None:
        """A level worth an amount of currency."""
        return self._target_worth(symbol, UNIT, money_, tag)

    def _target_worth(self, symbol: str, base: int, number: float, tag: str) -> int | None:
        """`base` units x `number` at the last close shown, cut toward zero."""
        self._known(symbol)
        worth = base * Fraction(as_decimal(number))
        if worth == 0:
            return self.target(symbol, 0, tag)
        if symbol not in self._present.marks:
            order = self.make(symbol, "target", tif=self._tif, tag=tag)
            self.end(order, "rejected", "no_price" if self.trading else "warm_up")
            return order.id
        shares = math.trunc(worth / self._present.marks[symbol])
        return self.target(symbol, self._present.listed(symbol).lots(shares), tag)

    def target_risk(self, symbol: str, fraction: float, stop: float, tag: str = "") -> int | None:
        """A level that loses a fraction of equity from the last close shown to `stop`, where a leg ends it; cut toward zero."""
        self._known(symbol)
        risk, level = (
            max(self._equity(), 0) * Fraction(as_decimal(fraction)),
            self._present.listed(symbol).asked(in_units("stop", stop)),
        )
        assert level is not None
        if symbol not in self._present.marks:
            return self._target_worth(symbol, 1, float(risk > 0), tag)
        distance = self._present.marks[symbol] - level
        if distance == 0 or risk < 0:
            raise ValueError(f"book: stop must not be the last close shown, was {stop!r}")
        shares = self._present.listed(symbol).lots(math.trunc(risk / distance))
        return self.target(symbol, shares, tag, stop_loss=stop if shares else None)

    def targets(
        self,
        rows: Any,
        *,
        shares: Any = None,
        percent: Any = None,
        value: Any = None,
        others: str = "keep",
        tag: str = "",
    ) -> None:
        """One target a row in their order; then, with others="flat", 0 for every other symbol."""
        for i, symbol in enumerate(rows.symbol):
            number = float(next(x for x in (shares, percent, value) if x is not None)[i])
            if math.isnan(number):
                if others == "flat":
                    self.target(symbol, 0, tag)
            elif shares is not None:
                self.target(symbol, number, tag)
            elif percent is not None:
                self.target_percent(symbol, number, tag)
            else:
                self.target_value(symbol, number, tag)
        if others == "flat":
            for symbol in self._present.symbols:
                if symbol not in rows.symbol:
                    self.target(symbol, 0, tag)

    def age(self, symbol: str) -> float:
        """Minutes by the clock since the end of the last bar shown, NaN before the first."""
        bar = self._present.last.get(symbol)
        return math.nan if bar is None else (self._present.now_us - bar.end_us) / 60_000_000

    def bars(self, symbol: str, n: int, interval: str = "1m") -> list[Any]:
        """The last `n` bars that have ended by now, no more than `reach` declares; only of symbols that are shown in the session."""
        present, depth = self._present, self.reach[interval]
        if self._outside(symbol) and symbol not in self.held_at_open:
            raise ValueError(f"book: bars must be asked of a member or of what was held at the open, was {symbol!r}")
        assert present.history is not None
        assert present.day is not None
        since = None
        if isinstance(depth, str):
            days = present.history.days
            at = [d.name for d in days].index(present.day.name)
            since = days[max(at - int(depth[:-1]), 0)]
        history = present.history if present.as_of is None else present.as_of(present.day)
        return float_bars(remembered(history, symbol, interval, present.now_us, since=since)[-n:])

    def exit_at_close(self, symbol: str | None = None, minutes_before: int = 0, tag: str = "") -> int | None:
        """A standing order until the close. With symbol None it is of the symbol "", and when it acts one order is made for each symbol
        held that is not `spared`; where there is `only` one symbol, that is meant."""
        symbol = symbol or self.only or ""
        if symbol:
            self._known(symbol)
        elif self.close_all is not None:
            self.spared = set()
        for o in self.own_orders(symbol):
            if o.type == "exit_at_close":
                return o.id
        order = self.make(symbol, "exit_at_close", tif="day", tag=tag)
        order.minutes_before = minutes_before
        if not self.trading:
            self.end(order, "rejected", "warm_up")
        elif not symbol:
            self.close_all, self.spared = order, set()
        return order.id

    def cancel(self, id: int | None = None, *, symbol: str | None = None) -> bool:
        """Cancel a live order, or all of a symbol; False when there was none. What closes everything then spares the symbol."""
        found = [self.live[id]] if id in self.live else self.open_orders(symbol) if symbol is not None else []
        for o in found:
            if symbol is not None and o is self.close_all:
                self.spared.add(symbol)
            else:
                self.end(o, "cancelled", "cancelled")
        return bool(found)

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Live orders by id; of a symbol also what closes everything, unless the symbol is spared."""
        return [
            o
            for o in self.live.values()
            if symbol is None or o.symbol == symbol or (o is self.close_all and symbol not in self.spared)
        ]

    def own_orders(self, symbol: str) -> list[Order]:
        """Live orders of a symbol by id; of "" what closes everything."""
        return [o for o in self.live.values() if o.symbol == symbol]

    def make(
        self,
        symbol: str,
        kind: str,
        *,
        shares: int | None = None,
        level: int | None = None,
        tif: str,
        tag: str,
    ) -> Order:
        if symbol:
            self._known(symbol)
        assert self._present.day is not None
        order = Order(
            id=len(self.orders) + 1,
            symbol=symbol,
            type=kind,
            shares=shares,
            level=level,
            tif=tif,
            tag=tag,
            session=self._present.day.name,
            decided_us=self._present.decided_us,
        )
        self.orders.append(order)
        self.live[order.id] = order
        return order

    def _check(self, order: Order, shares: int) -> None:
        """Refuse the part of `shares` that opens or adds, if it must be; else reserve what it needs."""
        if not self.trading:
            self.end(order, "rejected", "warm_up")
            return
        held = self._left(order)
        after = held + shares
        reverses = held * after < 0
        opening = abs(after) if reverses else max(0, abs(after) - abs(held))
        order.each = order.limit or order.stop or self._present.marks.get(order.symbol, 0)
        order.each = self._present.listed(order.symbol).tied(1, order.each, self._lends)
        order.opening, order.asked = opening, abs(shares)
        order.reduces |= opening == 0 and order.type in RESTING
        need = opening * order.each
        refusal = ""
        if opening > 0 and self._outside(order.symbol):
            refusal = "not_in_universe"
        elif opening > 0 and self._gated(order.symbol):
            refusal = self._gate
        elif opening > 0 and self._leverage > 0 and need > self._buying_power():
            refusal = "buying_power"
        if refusal and not reverses:
            self.end(order, "rejected", refusal)
            return
        if refusal:
            self._cut(order, held, refusal)
        elif self._leverage > 0:
            order.reserved = need

    def _left(self, order: Order) -> int:
        """The position without what the symbol's earlier open orders may still take of it: an exit_at_close, legs and the order's own group
        left out, one of each other group; orders that wait for a price count only for one that does."""
        held = self.position(order.symbol)
        side = 1 if held > 0 else -1
        left = abs(held)
        taken: dict[int, int] = {}
        for other in self.own_orders(order.symbol):
            if other.id >= order.id or other.type == "exit_at_close" or other.leg or other.group == order.group:
                continue
            if other.type == "target":
                assert other.level is not None
                left = min(left, max(side * other.level, 0))
            elif other.works_as == "market" or order.type in RESTING:
                taken[other.group] = max(taken.get(other.group, 0), -side * other.left)
        return side * max(left - sum(taken.values()), 0)

    def _cut(self, order: Order, held: int, reason: str) -> None:
        """What would turn the position only closes it: what others leave of it."""
        order.reason = reason
        if order.type == "target":
            order.level = 0
        else:
            order.shares = order.filled - held
            order.reduces |= order.type in RESTING
        order.reserved = order.opening = 0
        self._tell(order)

    def _outside(self, symbol: str) -> bool:
        return self._present.members is not None and symbol not in self._present.members

    def review(self, *, leave: bool) -> None:
        """A session begins: live orders in symbols that are no members may only reduce; with `leave` what is held of them is sold."""
        self.held_at_open = set(self.ledger.positions)
        for order in [o for o in self.open_orders() if self._outside(o.symbol)]:
            if order.reduces or not order.live:
                if leave and not order.waiting:
                    self.end(order, "cancelled", "left_universe")
                continue
            held = self._left(order)
            after = order.level if order.type == "target" else held + order.left
            assert after is not None
            if held == 0 or (held * after > 0 and abs(after) > abs(held)):
                self.end(order, "cancelled", "not_in_universe")
            elif leave:
                self.end(order, "cancelled", "left_universe")
            elif held * after < 0:
                self._cut(order, held, "not_in_universe")
        for symbol in sorted(self.ledger.positions) if leave else []:
            if self._outside(symbol):
                order = self.make(symbol, "market", shares=-self.position(symbol), tif="day", tag="left_universe")
                self._check(order, -self.position(symbol))

    def _gated(self, symbol: str) -> bool:
        if self._minimum == 0 or self._present.elapsed < self._after_minutes:
            return False
        if self._gate == "quality":
            return self._present.quality(symbol) < self._minimum
        percent = self._present.completeness(symbol)
        return percent is not None and percent < float(self._minimum)

    def standing(self, symbol: str, terms: Terms, *, capped: bool = True) -> Standing:
        """What a bar finds of a symbol."""
        room = self.room.get(symbol) if capped else None
        listed = self._present.listed(symbol)
        return Standing(
            self.position(symbol),
            self.own_orders(symbol),
            room,
            terms,
            self.purse[0].month,
            self._present.a_share.get(symbol),
            listed,
        )

    def end(self, order: Order, status: str, reason: str, us: int | None = None) -> None:
        """An order is over at `us` (None: when decisions count as made), and with it the legs that wait for it; one that was over already is left alone."""
        if not order.live:
            return
        us = self._present.decided_us if us is None else us
        order.end(status, reason)
        self.gone(order, us)
        for leg, why in orphans(order, list(self.live.values())):
            self.end(leg, "cancelled", why, us)

    def gone(self, order: Order, us: int) -> None:
        """An order that is over at `us` leaves the book, and is told unless it filled."""
        order.ended_us = us
        del self.live[order.id]
        if order is self.close_all:
            self.close_all = None
        if order.status != "filled":
            self._tell(order)

    def _tell(self, order: Order) -> None:
        price = self._present.listed(order.symbol).price
        told = SimpleNamespace(
            id=order.id,
            symbol=order.symbol,
            type=order.type,
            shares=order.shares,
            level=order.level,
            limit=None if order.limit is None else price(order.limit),
            stop=None if order.stop is None else price(order.stop),
            trail=None if order.trail is None else price(order.trail),
            parent=order.parent,
            filled=order.filled,
            tif=order.tif,
            status=order.status,
            reason=order.reason,
            tag=order.tag,
            decided_at=instant(order.decided_us),
        )
        self.events.append(told)

    def _known(self, symbol: str) -> None:
        if symbol not in self._present.pool:
            raise ValueError(f"book: symbol must be one of the run's, was {symbol!r}")

    # -------------------------------------------------------------------------------------------------------- account

    def position(self, symbol: str) -> int:
        """Signed shares held, filled only."""
        self._known(symbol)
        return self.ledger.position(symbol)

    def holding(self, symbol: str) -> SimpleNamespace | None:
        """What is held of a symbol, in currency; the P&L is gross and since the symbol was last flat."""
        self._known(symbol)
        held = self.ledger.positions.get(symbol)
        if held is None:
            return None
        value = self.ledger.value(symbol, self._present.marks)
        return SimpleNamespace(
            shares=held.shares,
            avg_price=float(Fraction(held.cost, abs(held.shares) * UNIT) / self._present.listed(symbol).multiplier),
            price=self.price(symbol),
            value=money(value),
            unrealized_pnl=money(value - held.side * held.cost),
            realized_pnl=money(held.realized),
            opened=instant(held.opened_us),
            bars_held=held.bars_held,
        )

    @property
    def holdings(self) -> dict[str, SimpleNamespace]:
        return {s: h for s in sorted(self.ledger.positions) if (h := self.holding(s)) is not None}

    def price(self, symbol: str) -> float:
        """The last close shown, NaN before the first."""
        bar = self._present.last.get(symbol)
        return math.nan if bar is None else float(bar.close)

    def _buying_power(self) -> Fraction:
        reserved = sum(o.reserved for book in self.purse for o in book.live.values())
        if self.initial:  # what is not yet tied up as initial margin buys so many times itself
            return (self._equity() - (self._tied() + reserved) * self.initial) / self.initial
        return self._leverage * self._equity() - self._tied() - reserved

    def _equity(self) -> int:
        """What the purse is worth: this book's money, or that of all who share it."""
        return sum(book.ledger.equity(self._present.marks) for book in self.purse)

    @property
    def _lends(self) -> Fraction:
        """Of its own money, what it may hold."""
        return 1 / self.initial if self.initial else self._leverage

    def _tied(self) -> int:
        """What positions take of buying power."""
        return sum(
            self._present.listed(s).tied(held.shares, book.ledger.value(s, self._present.marks), self._lends)
            for book in self.purse
            for s, held in book.ledger.positions.items()
        )

    def _gross(self) -> int:
        return sum(book.ledger.gross(self._present.marks) for book in self.purse)

    @property
    def buying_power(self) -> float:
        return float(self._buying_power() / 10**8) if self._leverage > 0 else math.inf

    @property
    def cash(self) -> float:
        return money(sum(book.ledger.cash for book in self.purse))

    @property
    def equity(self) -> float:
        return money(self._equity())

    @property
    def gross(self) -> float:
        return money(self._gross())

    @property
    def net(self) -> float:
        return money(sum(book.ledger.net(self._present.marks) for book in self.purse))

    @property
    def session_pnl(self) -> float:
        """Equity now less equity at the end of the session before."""
        return money(self._equity() - sum(book.session_start for book in self.purse))

    # ------------------------------------------------------------------------------------------------- clock and notes

    @property
    def now(self) -> datetime:
        return instant(self._present.now_us)

    @property
    def session(self) -> date:
        assert self._present.day is not None
        return self._present.day.name

    def record(self, **values: float) -> None:
        """Numbers to keep, one row each."""
        for name, value in values.items():
            self.record_rows.append({"time": self.now, "strategy": self.strategy, "name": name, "value": value})

    def log(self, message: str, **fields: Any) -> None:
        self.log_rows.append({"time": self.now, "strategy": self.strategy, "message": message, "fields": fields})

    def stop(self, reason: str = "") -> None:
        """End the run after the present minute."""
        if self._present.stopped is None:
            self._present.stopped = reason


def may_join(partner: Order, order: Order) -> bool:
    """Whether an order may be in one group with a live one."""
    return partner.symbol == order.symbol and partner.type != "exit_at_close" and partner.id != order.id


def may_replace(old: Order, shares: int | None, prices: list[str]) -> None:
    """What replace() may not change raises in the strategy."""
    if old.type in ("target", "exit_at_close"):
        raise ValueError(f"book: replace must be of an order for shares, {old.id} is of type {old.type}")
    for name in prices:
        if getattr(old, name) is None:
            raise ValueError(f"book: {name} must be of an order that has one, {old.id} is of type {old.type}")
    if shares is not None and (old.waiting or shares * old.side < 0):
        raise ValueError(f"book: shares must keep their side, and of a leg that waits be left alone, was {shares}")
