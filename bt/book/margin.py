"""Maintenance margin: who has less than is required at a close, and what is sold or covered for it at the open (docs/decisions/0030).

It happens once a session, so it is Python on the desk's arrays; the orders are the rules' own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from bt.book.account import Account
from bt.book.asking import Asked
from bt.book.records import Spoken
from bt.execution import layout as at
from bt.model import UNIT

LONG, SHORT = 25, 30
"""Percent of the value of what is held long or short."""

CALL = "margin_call"
"""The tag of orders that meet a call."""


class Held(NamedTuple):
    """A position: whose, how many shares, the last close in units of money a share, and its own margin (units, 0 for none)."""

    account: Account
    code: int
    shares: int
    price: int
    margin: int = 0

    @property
    def required(self) -> int:
        """Hundredths of a unit that are required for one share."""
        return 100 * self.margin or (LONG if self.shares > 0 else SHORT) * self.price


class Purse(NamedTuple):
    """Those who share their money, or one symbol's of an independent strategy: what they hold, their equity and what is required, in hundredths of a
    unit."""

    account: Account
    code: int
    held: Sequence[Held]
    equity: int
    required: int

    @property
    def lacks(self) -> int:
        """What is missing, in hundredths of a unit; 0 or less if nothing is."""
        return self.required - self.equity


def tell_calls(accounts: Sequence[Account], now: int) -> None:
    """At a close: every call is a line of the log of who comes first among those who share the money."""
    for purse in _purses(accounts):
        if purse.lacks > 0:
            told = {"equity": purse.equity, "required": purse.required, "missing": purse.lacks}
            fields: dict[str, float | str] = {name: amount / (100 * UNIT) for name, amount in told.items()}
            if purse.code != at.EVERY:
                fields["symbol"] = purse.account.market.symbols[purse.code]
            purse.account.margin_calls += 1
            purse.account.log.append(Spoken(now, "margin call", json.dumps(fields, sort_keys=True), purse.code))


def meet_calls(accounts: Sequence[Account]) -> None:
    """As a session opens: where something is missing, market orders for what is held, the largest first, until nothing would be."""
    for purse in _purses([account for account in accounts if account.desk.liquidates]):
        lacks = purse.lacks
        for held in sorted(purse.held, key=lambda h: -abs(h.shares * h.price)):
            if lacks <= 0:
                break
            count = -(-lacks // held.required)
            count += -count % lot_of(held.account, held.code)
            count = min(count, abs(held.shares))
            lacks -= count * held.required
            held.account.order(held.code, -count if held.shares > 0 else count, Asked("market", "day"), CALL)


def _purses(accounts: Sequence[Account]) -> Iterator[Purse]:
    """The purses of some accounts that are under rules of margin, in their order."""
    desks = {id(account.desk): account.desk for account in accounts if account.desk.margin != "none"}
    for key in desks:
        sharing = [account for account in accounts if id(account.desk) == key]
        first = sharing[0]
        held = [
            Held(a, code, shares, price, margin_of(a, code))
            for a in sharing
            for code, shares, price, _ in a.held().tolist()
        ]
        if not first.by_symbol:
            yield _purse(first, at.EVERY, held)
        else:
            cash = first.positions[:, at.OWN_CASH]
            codes = {h.code for h in held} | set(np.flatnonzero(cash < 0).tolist())
            yield from (_purse(first, code, [h for h in held if h.code == code]) for code in sorted(codes))


def _purse(account: Account, code: int, held: Sequence[Held]) -> Purse:
    equity = account.cash(code) + sum(h.shares * h.price for h in held)
    return Purse(account, code, held, 100 * equity, sum(abs(h.shares) * h.required for h in held))


def margin_of(account: Account, code: int) -> int:
    """What a share of a symbol ties up by the table of instruments, units; 0 where it says nothing."""
    listed = account.desk.instruments
    return 0 if listed is None else int(listed.margin[code])


def lot_of(account: Account, code: int) -> int:
    """The shares of a lot."""
    listed = account.desk.instruments
    return 1 if listed is None else int(listed.lot[code])
