"""Whose money an order may use: an account's own, one that several strategies share, or a symbol's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from bt.book.account import Account


class Purse(Protocol):
    """Money as checks and the book see it; amounts in units. `code` is the symbol that asks; only `SymbolPurse` minds."""

    def begin(self) -> None:
        """A session starts."""

    def cash(self, code: int) -> int:
        """Cash."""

    def value(self, code: int) -> tuple[int, int]:
        """(net, gross) of the positions at the last closes shown."""

    def at_open(self, code: int) -> int:
        """Equity at the session's open."""

    def reserved(self, code: int) -> int:
        """What live orders have reserved."""

    def reserve(self, code: int, amount: int) -> None:
        """Reserve more, or less."""


class AccountPurse:
    """The money of one account, or of several that share it: sums over its members, whose ledgers stay their own."""

    def __init__(self) -> None:
        self.members: list[Account] = []
        self._reserved = 0

    def begin(self) -> None:
        """Nothing: the members remember their opens."""

    def cash(self, _code: int) -> int:
        """Cash of all."""
        if len(self.members) == 1:
            return self.members[0].ledger.cash
        return sum(m.ledger.cash for m in self.members)

    def value(self, _code: int) -> tuple[int, int]:
        """(net, gross) of all; a long and a short of two members both count."""
        if len(self.members) == 1:
            return self.members[0].value()
        values = [m.value() for m in self.members]
        return sum(v[0] for v in values), sum(v[1] for v in values)

    def at_open(self, _code: int) -> int:
        """Equity of all at the session's open."""
        return sum(m.equity_at_open for m in self.members)

    def reserved(self, _code: int) -> int:
        """What all have reserved."""
        return self._reserved

    def reserve(self, _code: int, amount: int) -> None:
        """Reserve more, or less."""
        self._reserved += amount


class SymbolPurse:
    """The money of an independent strategy: every symbol has `start` units of its own, and no other symbol's."""

    def __init__(self, account: Account, start: int) -> None:
        self._account = account
        self._start = start
        self._cash: dict[int, int] = {}
        self._booked = 0  # of the session's changes
        self._reserved: dict[int, int] = {}
        self._at_open: dict[int, int] = {}

    def begin(self) -> None:
        """Before the ledger forgets the last session's changes."""
        self._book()
        self._booked = 0
        held = self._account.ledger.positions
        self._at_open = {code: self._cash[code] + self.value(code)[0] for code in held}

    def _book(self) -> None:
        changes = self._account.ledger.changes
        for change in changes[self._booked :]:
            self._cash[change.code] = self._cash.get(change.code, self._start) + change.cash
        self._booked = len(changes)

    def cash(self, code: int) -> int:
        """A symbol's cash."""
        self._book()
        return self._cash.get(code, self._start)

    def value(self, code: int) -> tuple[int, int]:
        """(net, gross) of a symbol's position; at cost while it has shown no close."""
        held = self._account.ledger.positions.get(code)
        if held is None:
            return 0, 0
        last = int(self._account.market.last[code])
        net = held.shares * last if last else held.cost
        return net, abs(net)

    def at_open(self, code: int) -> int:
        """A symbol's equity at the session's open."""
        if code in self._at_open:
            return self._at_open[code]
        self._book()
        changes = self._account.ledger.changes
        return self._cash.get(code, self._start) - sum(c.cash for c in changes if c.code == code)

    def reserved(self, code: int) -> int:
        """What a symbol's live orders have reserved."""
        return self._reserved.get(code, 0)

    def reserve(self, code: int, amount: int) -> None:
        """Reserve more, or less."""
        self._reserved[code] = self._reserved.get(code, 0) + amount
