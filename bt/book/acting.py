"""What corporate actions do to accounts at a session's open: positions, their orders, cash, and what is known of the symbol.

The rules are docs/decisions/0031. It happens once a session and seldom, so it is Python on the desk's arrays; only what closes a position is compiled.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import trunc

import numpy as np

from bt.book.account import Account
from bt.book.desk import Desk
from bt.book.market import Market
from bt.execution import IntArray, closing, divide_half_even, fits
from bt.execution import layout as at
from bt.model import UNIT, Action

_NO_BARS = np.zeros(1, dtype=np.int64), np.zeros(1)
"""A tape that nobody looks at: what closes a position before the first minute meets no bar."""


def act(accounts: Sequence[Account], markets: Sequence[Market], actions: Sequence[Action]) -> None:
    """Apply a session's actions, in their order, to accounts whose session has just begun; `markets` are what they know, each once."""
    renames = {a.code: a.to for a in actions if a.kind == "rename" and a.to >= 0}
    ratios: dict[int, Fraction] = {}
    for action in actions:
        if action.kind == "split":
            ratios[action.code] = ratios.get(action.code, Fraction(1)) * action.ratio
    before = {id(market): market.act(renames, ratios) for market in markets}
    for account in accounts:
        desk, market = account.desk, account.market
        desk.known[desk.account[account.number, at.KNOWS], at.SEEN_BEFORE] = market.seen_at_open
        desk.look_again()
        desk.look()  # before a symbol's first bar nothing else tells the rules what is known of it
        one = _One(account, *before[id(market)])
        one.rename(renames)
        for code, ratio in ratios.items():
            one.split(code, ratio)
        for action in actions:
            if action.kind == "dividend":
                one.pay(action.code, action.amount)
            elif action.kind == "delisting":
                one.delist(action.code, action.price)
        desk.fixed[at.VALUED] = -1


class _One:
    """One account; `closes` are the last ones by code, as they were, and `unsplit` under the new names before the session's splits."""

    def __init__(self, account: Account, closes: IntArray, unsplit: IntArray) -> None:
        self._account = account
        self._desk: Desk = account.desk
        self._closes, self._unsplit = closes, unsplit
        self._number = account.number

    # ------------------------------------------------------------------------------------------------------------- renames

    def rename(self, renames: dict[int, int]) -> None:
        """Position, orders and money of a symbol go on under another; what was still there under that name ends as if it were delisted."""
        if not renames:
            return
        self._account.rename_events(renames)
        displaced = {new: self._displace(new) for new in renames.values() if new not in renames}
        place = _permutation(renames)
        old, new = (np.array(codes, dtype=np.int64) for codes in (list(place), list(place.values())))
        positions, shares, levels = self._account.positions, self._account.shares, self._account.levels
        positions[new], shares[new] = positions[old], shares[old]
        levels[new] = at.NULL
        positions[new, at.OWN_ID] = positions[new, at.OWN_ID].max()  # no id that a symbol has by now is given again
        for code, held in displaced.items():
            positions[code, at.AT_OPEN] += held
        for k in self._orders():
            order = self._order(k)
            order[at.O_CODE] = place.get(int(order[at.O_CODE]), int(order[at.O_CODE]))

    def _displace(self, code: int) -> int:
        """End what is held and ordered under a name that now is another's; the shares that were held as the session opened."""
        self.delist(code, None, last=int(self._closes[code]))
        row = self._account.positions[code]
        held, row[at.AT_OPEN] = int(row[at.AT_OPEN]), 0
        return held

    # -------------------------------------------------------------------------------------------------------------- splits

    def split(self, code: int, ratio: Fraction) -> None:
        """Shares times the ratio, cut toward zero; what is left of a share is paid at the last close. A position of which no share is left is
        closed there."""
        row, held = self._account.positions[code], self._account.position(code)
        last = int(self._unsplit[code])
        after = trunc(held * ratio)
        if held and not after:
            self._close(code, at.SPLIT_AT, last)
        elif held:
            rest = (held * ratio - after) * last / ratio
            out = trunc(int(row[at.EXITED]) * ratio)
            row[at.EXITED], row[at.ENTERED] = out, out + abs(after)
            row[at.AT_OPEN] += after - held
            self._account.shares[code] = fits(after)
            if amount := round(rest):
                self._desk.move_cash(self._number, code, "in_lieu", amount)
        self._account.levels[code] = at.NULL
        for k in self._orders(code):
            if self._order(k)[at.O_USED]:  # a leg ends with its parent
                self._split_order(k, ratio)
        self._flatten(code)

    def _split_order(self, k: int, ratio: Fraction) -> None:
        """An order in the terms after a split; one that was for less than a new share ends."""
        order = self._order(k)
        filled, is_over = int(order[at.O_FILLED]), False
        if order[at.O_TYPE] == at.TARGET:
            level = int(order[at.O_LEVEL])
            order[at.O_LEVEL] = fits(trunc(level * ratio))
            is_over = level != 0 and order[at.O_LEVEL] == 0
        elif order[at.O_SHARES] != at.NULL:
            left = int(order[at.O_SHARES]) - filled
            order[at.O_SHARES] = fits(filled + trunc(left * ratio))
            is_over = left != 0 and order[at.O_SHARES] == filled
        for column in (at.O_LIMIT, at.O_STOP, at.O_TRAIL, at.O_BEST):
            if order[column] != at.NULL:
                order[column] = max(rescaled(int(order[column]), ratio), 1)
        self._reserve(order, ratio)
        if is_over:
            self._end(k, at.SPLIT)

    def _reserve(self, order: IntArray, ratio: Fraction) -> None:
        """What an order was checked for, and the money that it reserves."""
        filled = abs(int(order[at.O_FILLED]))
        asked = trunc(max(int(order[at.O_ASKED]) - filled, 0) * ratio)
        order[at.O_ASKED], order[at.O_OPENING] = filled + asked, trunc(int(order[at.O_OPENING]) * ratio)
        if not self._desk.ties[int(order[at.O_CODE])]:  # a margin of its own stays
            order[at.O_EACH] = rescaled(int(order[at.O_EACH]), ratio)
        if order[at.O_NEED]:
            need = fits(int(order[at.O_EACH]) * min(int(order[at.O_OPENING]), asked))
            more, order[at.O_NEED] = need - int(order[at.O_NEED]), need
            if self._desk.by_symbol:
                self._account.positions[int(order[at.O_CODE]), at.OWN_RESERVED] += more
            else:
                self._desk.fixed[at.RESERVED] += more

    def _flatten(self, code: int) -> None:
        """Orders that only reduce end where nothing is held on their side; legs of a parent that may fill on wait for that."""
        held = self._account.position(code)
        for k in self._orders(code):
            order = self._order(k)
            if not order[at.O_USED] or not order[at.O_REDUCES] or order[at.O_WAITS] or -order[at.O_SIDE] * held > 0:
                continue
            lives = any(self._order(one)[at.O_ID] == order[at.O_PARENT] for one in self._orders(code))
            if order[at.O_TYPE] >= at.STOP_LOSS and lives:
                order[at.O_WAITS], order[at.O_SHARES], order[at.O_BEST] = 1, at.NULL, at.NULL
            else:
                self._end(k, at.FLAT)

    # ------------------------------------------------------------------------------------------- dividends and delistings

    def pay(self, code: int, amount: Fraction) -> None:
        """A dividend on what is held: to who is long, from who is short."""
        if paid := round(self._account.position(code) * amount * self._multiplier(code) * UNIT):
            self._desk.move_cash(self._number, code, "dividend", fits(paid))

    def delist(self, code: int, price: int | None, *, last: int | None = None) -> None:
        """Orders of a symbol end, and what is held is closed: at a price in units, or at the last close."""
        closing.cancel(*self._desk.arrays(0), self._number, code, at.NULL, at.DELISTED)
        if self._account.position(code):
            known = int(self._account.market.last[code]) if last is None else last
            self._close(code, at.DELISTED_AT, known if price is None else round(price * self._multiplier(code)))

    def _multiplier(self, code: int) -> Fraction:
        listed = self._desk.instruments
        return Fraction(1) if listed is None else listed.multiplier[code]

    # ---------------------------------------------------------------------------------------------------------- foundations

    def _orders(self, code: int | None = None) -> list[int]:
        """The rows of its orders, of a symbol alone where a code is given, by id."""
        rows = self._desk.tables.order[: int(self._desk.fixed[at.HIGH])]
        mine = (rows[:, at.O_USED] == 1) & (rows[:, at.O_ACCOUNT] == self._number)
        if code is not None:
            mine &= rows[:, at.O_CODE] == code
        found = np.flatnonzero(mine)
        by_id: list[int] = found[np.argsort(rows[found, at.O_ID], kind="stable")].tolist()
        return by_id

    def _order(self, k: int) -> IntArray:
        """An order's row, the desk's own: until it makes room for more."""
        row: IntArray = self._desk.tables.order[k]
        return row

    def _end(self, k: int, reason: int) -> None:
        """An order is cancelled, and legs that wait for it are."""
        order = self._order(k)
        code, number = int(order[at.O_CODE]), int(order[at.O_ID])
        closing.cancel(*self._desk.arrays(0), self._number, code, number, reason)

    def _close(self, code: int, kind: int, price: int) -> None:
        """What is held is closed at a price."""
        opens = int(self._desk.fixed[at.OPENS])
        closing.close_out(*self._desk.arrays(1), *_NO_BARS, self._number, code, kind, price, opens)


def rescaled(price: int, ratio: Fraction) -> int:
    """A price in units in the terms after a split."""
    return divide_half_even(price * ratio.denominator, ratio.numerator)


def _permutation(renames: dict[int, int]) -> dict[int, int]:
    """Where what is kept of each symbol goes: the renamed to their new places, and what those had to the places that are left."""
    place = dict(renames)
    for start in [old for old in renames if old not in renames.values()]:
        end = start
        while end in renames:
            end = renames[end]
        place[end] = start
    return place
