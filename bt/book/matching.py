"""Orders meet prices: at a bar's open, and at the close. The rules are docs/decisions/0002."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bt.book.account import Account
from bt.book.records import FillRecord, LiveOrder
from bt.execution import to_units
from bt.ledger import Moment
from bt.schema import MINUTE

ClosePrice = Callable[[int], tuple[int, int] | None]
"""A symbol's (price in units, minutes stale) at the close; None without a bar in the session."""


def match(
    account: Account, rows: npt.NDArray[np.int32], open_of: Callable[[int], float], opened: int, slot: int
) -> list[FillRecord]:
    """Fill what meets a bar that opens at `opened` in minute `slot`; `rows` gives each symbol's bar, -1 for none, `open_of` its open.

    Returns the fills in the order in which they happened; all are booked.
    """
    _wake_exits(account, opened)
    met = []
    for code, orders in account.live.items():
        row = int(rows[code])
        if row < 0:
            continue
        position = account.position(code)
        for order in orders:
            enters = _quantity(order, position) * position >= 0
            met.append((enters, order.id, row, order))
    if not met:
        return []
    met.sort(key=lambda m: m[:2])
    fills = []
    for _, _, row, order in met:
        shares = _quantity(order, account.position(order.code))
        if shares == 0:
            if order.type == "target":
                account.end(order, "cancelled", "at_target")
            continue
        fills.append(_fill(account, order, shares, to_units(open_of(row)), time=opened, slot=slot))
    return fills


def _quantity(order: LiveOrder, position: int) -> int:
    if order.type == "market":
        return order.shares
    return order.level - position if order.type == "target" else -position


def _wake_exits(account: Account, opened: int) -> None:
    """exit_at_close(minutes_before=n) is a live market order from close - n on."""
    assert account.market.session is not None
    close = account.market.session.close
    if account.exit_all and close - account.exit_all * MINUTE <= opened:
        _exit_everything(account, close - account.exit_all * MINUTE)
        account.exit_all = 0  # what is held again at the close is closed there
    for code, order in account.exits.items():
        if order.before and close - order.before * MINUTE <= opened and order not in account.live.get(code, ()):
            account.live.setdefault(code, []).append(order)
            account.levels.forget(code)


def _exit_everything(account: Account, decided: int) -> None:
    """exit_at_close without a symbol: one order for each symbol held that has none of its own, decided now."""
    if account.exit_all is not None:
        for code in sorted(account.ledger.positions):
            if code not in account.exits:
                made = account.exits[code] = account.new(code, "exit_at_close", 0, tif="day", before=account.exit_all)
                made.decided = decided


def _fill(
    account: Account,
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
    price = account.costs.price(reference, shares)
    commission = account.costs.commission(shares)
    moment = Moment(time, slot, int(account.market.seen[code]), at_close)
    after = account.ledger.book_fill(code, shares, price, commission, moment, reason=order.type, tag=order.tag)
    account.valued = (-1, 0, 0)
    account.end(order, "filled", "", shares=shares)
    if order.type == "target" and after == order.level and code not in account.live:
        account.levels.keep(code, after)
    fill = FillRecord(order.id, code, time, slot, shares, price, reference, commission, after, stale, order.tag)
    account.output.fills.append(fill)
    return fill


def close_exits(account: Account, price: ClosePrice) -> list[FillRecord]:
    """exit_at_close at the close. `price(code)` is the (price in units, stale minutes) of a symbol's close, None without a bar."""
    session = account.market.session
    assert session is not None
    _exit_everything(account, session.close)
    fills = []
    for order in sorted(account.exits.values(), key=lambda o: o.id):
        code = order.code
        for other in tuple(account.live.get(code, ())):
            if other is not order:
                account.end(other, "cancelled", "exit_at_close")
        held = account.ledger.positions.get(code)
        if held is None:
            account.end(order, "cancelled", "flat")
            continue
        found = price(code)
        if found is None:
            account.end(order, "expired", "no_bar")
            continue
        reference, stale = found
        fills.append(
            _fill(
                account,
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
        reference, stale = price(code) or (int(account.market.last[code]), old)
        fills.append(
            _fill(account,
                order, -account.ledger.positions[code].shares, reference,
                time=session.close, slot=session.minutes - 1, stale=stale, at_close=True,
            )
        )  # fmt: skip
    return fills
