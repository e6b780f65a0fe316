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
    for order in account.all_live():
        if order.code != EVERY and not member[order.code]:
            _review(account, order, leave=leave)
    if leave:
        for code, held in sorted(account.ledger.positions.items()):
            if not member[code]:
                account.admit(account.new(code, "market", -held.shares, tif="day", tag=LEFT), -held.shares)


def _review(account: Account, order: LiveOrder, *, leave: bool) -> None:
    """One order in a symbol that is no member."""
    position = account.position(order.code)
    after = position + quantity(order, position)
    if position == 0 or (position * after > 0 and abs(after) > abs(position)):
        account.end(order, "cancelled", OUTSIDE)
    elif leave:
        account.end(order, "cancelled", LEFT)
    elif position * after < 0:
        account.cut(order, position, OUTSIDE)
