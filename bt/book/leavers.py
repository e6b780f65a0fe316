"""Symbols that are no members of the session's universe: what happens to orders and positions in them at its start.

An order decided while its symbol was a member may still wait. Where it would open or add it ends (`not_in_universe`), where it would
turn the position it is cut to close it; where it reduces it stays. With `leavers = "exit"` every such order ends and what is held
is sold at the next open.
"""

from __future__ import annotations

from bt.book.account import Account
from bt.book.matching import quantity
from bt.book.records import EVERY, LiveOrder

OUTSIDE = "not_in_universe"
"""Why an order is refused in a symbol that is no member."""

LEFT = "left_universe"
"""The tag of the order that sells what left, and why the other orders in it end."""


def review(account: Account, *, leave: bool) -> None:
    """Apply the session's universe to an account, before its strategy is told of the session; `leave` sells what left."""
    member = account.market.member
    if member is None:
        return
    left = {code: held.shares for code, held in account.ledger.positions.items()}
    for order in account.all_live():
        if order.code != EVERY and not member[order.code]:
            left[order.code] = _review(account, order, left.get(order.code, 0), leave=leave)
    if leave:
        for code, held in sorted(account.ledger.positions.items()):
            if not member[code]:
                account.admit(account.new(code, "market", -held.shares, tif="day", tag=LEFT), -held.shares)


def _review(account: Account, order: LiveOrder, left: int, *, leave: bool) -> int:
    """One order in a symbol that is no member, of whose position the orders before it leave `left`; what this one leaves."""
    after = left + quantity(order, left)
    if left == 0 or (left * after > 0 and abs(after) > abs(left)):
        account.end(order, "cancelled", OUTSIDE)
    elif leave:
        account.end(order, "cancelled", LEFT)
    elif left * after < 0:
        account.cut(order, left, OUTSIDE)
        return 0
    else:
        return after
    return left
