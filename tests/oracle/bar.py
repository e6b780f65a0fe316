"""What one bar does to the orders of one strategy in one symbol (decision 0028), one order at a time.

A `Standing` is what the strategy has of the symbol: shares held, live orders, and how much of the bar it may still fill. `fill` books a fill and
what it sets off there; `Standing.along` plays a path of prices; `both_paths` plays the two that a bar may have taken. Prices are whole units.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from oracle.account import Commission, Order, fill_price
from oracle.instruments import STOCK, Instrument


class Filled(NamedTuple):
    """A fill of signed `shares`: at the market's price, and at what was paid."""

    order: Order
    shares: int
    reference: int
    price: int
    commission: int


class Ended(NamedTuple):
    """An order that is over."""

    order: Order


@dataclass(frozen=True)
class Terms:
    """What of the [execution] table a bar needs."""

    limit_fill: str = "trade_through"
    slippage_bps: float = 0.0
    spread_bps: float = 0.0
    commission: Commission = field(default_factory=Commission)


def quantity(order: Order, held: int) -> int:
    """Signed shares an order would fill now, were there room: one that reduces no more than is held on the side it reduces."""
    if order.type == "target":
        assert order.level is not None
        return order.level - held
    if order.type == "exit_at_close":
        return -held
    if order.reduces:
        return order.side * min(abs(order.left), max(-order.side * held, 0))
    return order.left


def orphans(order: Order, orders: Sequence[Order]) -> list[tuple[Order, str]]:
    """Legs that wait for an order that is over, and the reason with which they end."""
    reason = "flat" if order.filled else "parent"
    return [(o, reason) for o in orders if o.live and o.waiting and o.parent == order.id]


def level_of(order: Order) -> int:
    """The price that an order waits for; a trailing stop's once it knows a price."""
    if order.works_as == "limit":
        assert order.limit is not None
        return order.limit
    if order.works_as == "stop":
        assert order.stop is not None
        return order.stop
    assert order.extreme is not None
    assert order.trail is not None
    return order.extreme + order.side * order.trail


def fills_at(order: Order, price: int) -> bool:
    """Whether a price at which the symbol trades (an open, the last close) fills an order that waits for one: a limit at that price or
    a better one, a stop reached, a stop-limit both."""
    side, kind = order.side, order.works_as
    if kind == "limit":
        return side * price <= side * level_of(order)
    if kind == "trail" and order.extreme is None:
        return False
    reached = kind in ("stop", "trail") and side * price >= side * level_of(order)
    return reached and (order.limit is None or side * price <= side * order.limit)


@dataclass
class Standing:
    """`held` shares, the live `orders` of the symbol by id, the `room` left in its bar (None: no cap), the shares of the `month`, by what part of itself one share moves the price. What happens is put
    down in `events`. Orders in `fresh` became what they are at the price that the path is at."""

    held: int
    orders: list[Order]
    room: int | None
    terms: Terms
    month: int = 0
    a_share: float | None = None
    instrument: Instrument = STOCK
    events: list[Filled | Ended] = field(default_factory=list)
    fresh: set[int] = field(default_factory=set)

    def copied(self) -> Standing:
        """The same with orders of its own, nothing happened yet."""
        return Standing(
            self.held,
            [copy.copy(o) for o in self.orders],
            self.room,
            self.terms,
            self.month,
            self.a_share,
            self.instrument,
        )

    # ------------------------------------------------------------------------------------------------------- one fill

    def possible(self, order: Order) -> int:
        """Signed shares it would fill now, cut to the room that is left."""
        wanted = quantity(order, self.held)
        return wanted if self.room is None else max(min(wanted, self.room), -self.room)

    def fill(self, order: Order, reference: int, *, legs_us: int, quotes: tuple[Any, Any] = (None, None)) -> None:
        """Fill what is possible at a price of the market, or at its bid and ask, and what that sets off. Legs may meet bars that open at `legs_us` or
        later."""
        shares = self.possible(order)
        assert shares != 0
        before, terms = self.held, self.terms
        price = reference
        if order.slips:
            quote = quotes[1] if shares > 0 else quotes[0]
            price = fill_price(
                reference, shares, terms.slippage_bps, spread_bps=terms.spread_bps,
                quoted=None if quote is None else self.instrument.worth(quote), a_share=self.a_share,
            )  # fmt: skip
        self.held += shares
        if self.room is not None:
            self.room -= abs(shares)
        order.filled += shares
        order.triggered |= order.works_as in ("stop", "trail")
        if order.reserved:
            order.reserved = order.each * min(order.opening, max(order.asked - abs(order.filled), 0))
        self.events.append(
            Filled(
                order,
                shares,
                reference,
                price,
                terms.commission.charge(order, shares, price, self.month, self.instrument.commission),
            )
        )
        self.month += abs(shares) if self.instrument.commission is None else 0
        self._legs(order, before, price, legs_us)
        if quantity(order, self.held) == 0 if order.shares is None else order.left == 0:
            self.end(order, "filled")
        for other in self._others(order):
            if other.group == order.group:
                self.end(other, "cancelled", "oco")
        if order.leg:
            self._bracket(order)
        self._flat()

    def end(self, order: Order, status: str, reason: str = "") -> None:
        """An order is over, and so are legs that still wait for it."""
        if not order.live:
            return
        order.end(status, reason)
        self.events.append(Ended(order))
        for leg, why in orphans(order, self.orders):
            self.end(leg, "cancelled", why)

    def _others(self, order: Order) -> list[Order]:
        return [o for o in self.orders if o.live and o is not order]

    def _legs(self, parent: Order, before: int, price: int, legs_us: int) -> None:
        """The legs of what has filled: of a target for all that is held on its side, of an order for what it opened or added. None of them
        has filled: the first one to do so ends the parent."""
        for leg in self.orders:
            if not leg.live or leg.parent != parent.id:
                continue
            protected = max(-leg.side * self.held, 0)
            if parent.type != "target":
                protected = max(protected - max(-leg.side * before, 0), 0) + abs(leg.shares or 0)
            if protected == 0:
                continue
            leg.shares = leg.side * protected
            if leg.waiting:
                leg.waiting, leg.live_us = False, legs_us
                leg.extreme = price if leg.trail is not None else None
                self.fresh.add(leg.id)

    def _bracket(self, leg: Order) -> None:
        """A leg has filled: nothing more of its parent does; once it is whole the other legs end."""
        for other in self._others(leg):
            if other.id == leg.parent or (other.parent == leg.parent and leg.left == 0):
                self.end(other, "cancelled", "oco")

    def _flat(self) -> None:
        """Orders that reduce end when there is nothing to reduce; legs of a parent that may fill on wait for that."""
        for order in self.orders:
            if not order.live or not order.reduces or order.waiting or -order.side * self.held > 0:
                continue
            if order.leg and any(o.live and o.id == order.parent for o in self.orders):
                order.waiting, order.shares, order.extreme = True, None, None
            else:
                self.end(order, "cancelled", "flat")

    # ------------------------------------------------------------------------------------------------------ one path

    def along(self, points: Sequence[int], open_us: int) -> None:
        """Play a path: the price moves straight from each of `points` to the next, the first is the open."""
        price = points[0]
        self.fresh = {o.id for o in self.orders}  # whatever waits for the open's price, or a better one, has it
        self._follow(price, open_us)
        self._at_price(price, points[1], open_us)
        for to in points[1:]:
            while (ahead := self._ahead(price, to, open_us)) is not None:
                price = ahead
                self.fresh = set()
                self._follow(price, open_us)
                self._at_price(price, to, open_us)
            price = to
            self.fresh = set()
            self._follow(price, open_us)

    def _active(self, open_us: int) -> list[Order]:
        """What may fill within the bar."""
        return [
            o
            for o in self.orders
            if o.live and not o.waiting and o.tif != "ioc" and o.works_as != "market" and o.decided_us <= open_us
        ]

    def _follow(self, price: int, open_us: int) -> None:
        """Trailing stops see a price."""
        for order in self._active(open_us):
            if order.works_as == "trail" and (order.extreme is None or order.side * price < order.side * order.extreme):
                order.extreme = price

    def _at_price(self, price: int, to: int, open_us: int) -> None:
        """What is reached at a price, before the path goes on toward `to`: those that reduce what is held first, then by id."""
        while reached := [o for o in self._active(open_us) if self._reached(o, price, to)]:
            order = min(reached, key=lambda o: (o.side * self.held >= 0, o.id))
            if order.works_as != "limit":
                order.triggered = True
                self.fresh.add(order.id)
                if order.limit is not None:
                    continue
            if self.possible(order) != 0:
                self.fill(order, price, legs_us=open_us)

    def _reached(self, order: Order, price: int, to: int) -> bool:
        side, level = order.side, level_of(order)
        if order.works_as != "limit":
            return side * price >= side * level
        if self.possible(order) == 0 or side * price > side * level:
            return False
        on = price != level or order.id in self.fresh
        return on or self._goes_beyond(order, to)

    def _goes_beyond(self, limit: Order, to: int) -> bool:
        """Whether the way to `to` reaches a limit ahead: through it, or with "touch" just to it."""
        side, level = limit.side, level_of(limit)
        return side * to < side * level or (to == level and self.terms.limit_fill == "touch")

    def _ahead(self, price: int, to: int, open_us: int) -> int | None:
        """The next price on the way to `to` at which an order is reached."""
        found = []
        for order in self._active(open_us):
            side, level = order.side, level_of(order)
            if order.works_as != "limit":
                if side * price < side * level <= side * to:
                    found.append(level)
            elif side * price > side * level and self.possible(order) != 0 and self._goes_beyond(order, to):
                found.append(level)
        return min(found, key=lambda level: abs(level - price), default=None)


class Prices(NamedTuple):
    """A bar's prices in units, and when it opens."""

    open: int
    high: int
    low: int
    close: int
    open_us: int


class Outcome(NamedTuple):
    """What a path made of a standing, and what of the account is there at the bar's close: cash moved and shares held, units."""

    standing: Standing
    worth: int

    @property
    def fills(self) -> list[tuple[int, int, int]]:
        """(order, shares, price) of every fill, by order."""
        return sorted((e.order.id, e.shares, e.reference) for e in self.standing.events if isinstance(e, Filled))


def both_paths(standing: Standing, bar: Prices) -> tuple[Outcome, Outcome]:
    """Low first and high first, each from a copy."""
    outcomes = []
    for middle in ((bar.low, bar.high), (bar.high, bar.low)):
        own = standing.copied()
        own.along((bar.open, *middle, bar.close), bar.open_us)
        moved = sum(-e.shares * e.price - e.commission for e in own.events if isinstance(e, Filled))
        outcomes.append(Outcome(own, moved + own.held * bar.close))
    return outcomes[0], outcomes[1]


def chosen(low: Outcome, high: Outcome, intrabar: str) -> tuple[Outcome, Outcome]:
    """The path that counts and the other: worth less, or with "optimistic" more; equal ones: low first."""
    better = high.worth < low.worth if intrabar == "pessimistic" else high.worth > low.worth
    return (high, low) if better else (low, high)
