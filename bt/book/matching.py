"""Orders meet prices: at a bar's open or close, and at the session's close. The rules are docs/decisions/0002."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from bt.book.account import Account
from bt.book.records import FillRecord, LiveOrder
from bt.ledger import Moment
from bt.schema import MINUTE

ClosePrice = Callable[[int], tuple[int, int] | None]
"""A symbol's (price in units, minutes stale) at the close; None without a bar in the session."""


SPLIT = "split"
"""Why exit_at_close without a symbol ends: each symbol held got an order of its own."""


@dataclass(frozen=True, slots=True)
class Quotes:
    """What a moment offers to live orders.

    Attributes
    ----------
    price : callable
        A symbol's price in units; None where it has none now.
    bar : callable or None
        The minute of session of the bar that a symbol's price is of; None where it is `slot`.
    time, due : int
        When fills happen, and until when an exit_at_close(minutes_before=n) must be due; UTC microseconds.
    slot : int
        The minute of session that the fills belong to, at its open or (`at_close`) at its end.
    """

    price: Callable[[int], int | None]
    time: int
    due: int
    slot: int
    at_close: bool = False
    bar: Callable[[int], int] | None = None


def match(accounts: Sequence[Account], quotes: Quotes) -> list[list[FillRecord]]:
    """Fill what finds a price: over all accounts exits first, then by account and order id; an exit_at_close closes what the symbol's
    other exits leave.

    Returns each account's fills in the order in which they happened; all are booked.
    """
    met: list[tuple[bool, int, float, int, int, LiveOrder]] = []
    for number, account in enumerate(accounts):
        _wake_exits(account, quotes.due)
        for code, orders in account.live.items():
            price = quotes.price(code)
            if price is None:
                continue
            position = account.position(code)
            for order in orders:
                enters = quantity(order, position) * position >= 0
                met.append((enters, number, _turn(order, orders), code, price, order))
    if len(met) > 1:
        met.sort(key=itemgetter(0, 1, 2, 3))
    fills: list[list[FillRecord]] = [[] for _ in accounts]
    for _, number, _, code, price, order in met:
        account = accounts[number]
        shares = quantity(order, account.position(code))
        if shares == 0:
            if order.type == "target":
                account.end(order, "cancelled", "at_target")
            continue
        fills[number].append(_fill(account, order, shares, price, quotes))
    return fills


def _turn(order: LiveOrder, orders: Sequence[LiveOrder]) -> float:
    """An order's place among those of its account: its id, of an exit_at_close after all of the symbol's `orders`."""
    if order.type != "exit_at_close" or len(orders) == 1:
        return order.id
    return max(o.id for o in orders) + 0.5


def quantity(order: LiveOrder, position: int) -> int:
    """The signed shares an order fills with `position` held."""
    if order.type == "market":
        return order.shares
    return order.level - position if order.type == "target" else -position


def _wake_exits(account: Account, due: int) -> None:
    """exit_at_close(minutes_before=n) is a live market order from close - n on."""
    assert account.market.session is not None
    close = account.market.session.close
    every = account.exit_all
    if every is not None and every.before and close - every.before * MINUTE <= due:
        _exit_everything(account, every, close - every.before * MINUTE)
        every.before = 0  # what is held again at the close is closed there
    for code, order in account.exits.items():
        if order.before and close - order.before * MINUTE <= due and order not in account.live.get(code, ()):
            account.live.setdefault(code, []).append(order)
            account.levels.forget(code)


def _exit_everything(account: Account, every: LiveOrder, decided: int) -> None:
    """exit_at_close without a symbol: one order for each symbol held that has none of its own, decided now."""
    for code in sorted(account.ledger.positions):
        if code not in account.exits and every.concerns(code):
            made = account.exits[code] = account.new(code, "exit_at_close", 0, tif="day", before=every.before)
            made.decided, every.reason = decided, SPLIT


def _fill(account: Account, order: LiveOrder, shares: int, reference: int, quotes: Quotes) -> FillRecord:
    code, market = order.code, account.market
    price = account.costs.price(reference, shares)
    commission = account.costs.commission(shares)
    moment = Moment(quotes.time, quotes.slot, int(market.seen[code]), quotes.at_close)
    after = account.ledger.book_fill(code, shares, price, commission, moment, reason=order.type, tag=order.tag)
    account.valued = (-1, 0, 0)
    account.end(order, "filled", "", shares=shares)
    if order.type == "target" and after == order.level and code not in account.live:
        account.levels.keep(code, after)
    bar, stale = quotes.slot, 0
    if quotes.bar is not None and (bar := quotes.bar(code)) != quotes.slot:
        stale = (quotes.time - int(market.last_end[code])) // MINUTE
    fill = FillRecord(
        order.id, code, quotes.time, quotes.slot, shares, price, reference, commission, after, stale, order.tag, bar
    )
    account.output.fills.append(fill)
    return fill


def _exit(account: Account, order: LiveOrder, price: int, stale: int) -> FillRecord:
    """An exit at the session's close; no bar is behind it that one could have a share of."""
    session = account.market.session
    assert session is not None
    slot = session.minutes - 1
    quotes = Quotes(lambda _: price, session.close, session.close, slot, at_close=True)
    shares = -account.ledger.positions[order.code].shares
    made = _fill(account, order, shares, price, quotes)._replace(stale_minutes=stale, bar=-1)
    account.output.fills[-1] = made
    return made


def close_exits(account: Account, price: ClosePrice) -> list[FillRecord]:
    """exit_at_close at the close. `price(code)` is the (price in units, stale minutes) of a symbol's close, None without a bar."""
    session = account.market.session
    assert session is not None
    if (every := account.exit_all) is not None:
        _exit_everything(account, every, session.close)
        account.end(every, "cancelled", every.reason or "flat")
    fills = []
    for order in sorted(account.exits.values(), key=lambda o: (o.id, o.code)):
        code = order.code
        for other in tuple(account.live.get(code, ())):
            if other is not order:
                account.end(other, "cancelled", "exit_at_close")
        if code not in account.ledger.positions:
            account.end(order, "cancelled", "flat")
            continue
        found = price(code)
        if found is None:
            account.end(order, "expired", "no_bar")
            continue
        fills.append(_exit(account, order, *found))
    return fills


def close_all(account: Account, price: ClosePrice) -> list[FillRecord]:
    """at_end = "close": every position is closed at its last close."""
    session = account.market.session
    assert session is not None
    fills = []
    for code in sorted(account.ledger.positions):
        for other in tuple(account.live.get(code, ())):
            account.end(other, "cancelled", "exit_at_close")
        order = account.new(code, "exit_at_close", 0, tif="day", tag="at_end")
        old = (session.close - int(account.market.last_end[code])) // MINUTE
        fills.append(_exit(account, order, *(price(code) or (int(account.market.last[code]), old))))
    return fills
