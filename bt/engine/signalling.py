"""The columns style played: at each minute, what a strategy's signals say of each symbol that has a bar.

Signals are decided in symbol order, before any row of the minute is shown: as an `on_bar` that calls the book's `target` would. They go
through the strategy's book, so that every order is refused, sized and recorded as one given there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bt.book import Account
from bt.engine.players import Player
from bt.errors import StrategyError
from bt.model import Column, PreparedSession
from bt.strategy import BOOLEANS

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Signalled:
    """What one strategy's signals say in a session, in playback order: rows `start[e]` to `start[e + 1]` are decided when e minutes are
    over. Rows that decide nothing whatever is held are left out. `columns` have an entry a row, None where it decides nothing."""

    style: str
    start: Sequence[int]
    code: IntArray
    columns: Mapping[str, Sequence[Any]]

    @staticmethod
    def of(prepared: PreparedSession, number: int, player: Player) -> Signalled | None:
        """Those of strategy `number`, which plays; None where it has none or has not begun."""
        signals = player.declaration.signals
        if signals is None or player.asleep:
            return None
        bars, said = prepared.minutes, prepared.decided[number]
        seen = np.zeros(len(player.account.market.symbols), dtype=bool)
        seen[player.visible(prepared.members)] = True
        rows = np.flatnonzero(seen[bars.code] & _decides(said, len(bars.code)))
        order = rows[np.argsort(bars.end[rows].astype(np.uint16), kind="stable")]
        count = np.bincount(bars.end[order], minlength=prepared.session.minutes + 1)
        start = [0, *np.cumsum(count).tolist()]
        columns = {name: _listed(column.pick(order)) for name, column in said.items()}
        return Signalled(signals.style, start, bars.code[order].astype(np.int64), columns)

    def at(self, end: int) -> bool:
        """Whether anything is decided when `end` minutes are over."""
        return self.start[end] < self.start[end + 1]

    def decide(self, end: int, player: Player) -> None:
        """Give the orders of the minute.

        Raises
        ------
        StrategyError
            A level is not a whole number of shares, or not finite; or `shares` is not a whole number, 0 or more.
        """
        rows = slice(self.start[end], self.start[end + 1])
        code = self.code[rows].copy()
        symbols, book = player.account.market.symbols, player.book
        progress = iter(range(len(code)))
        book.shown = progress, code  # the symbol that is decided, for errors and for an independent strategy's book
        said = {name: column[rows] for name, column in self.columns.items()}
        for i in progress:
            symbol = symbols[code[i]]
            if self.style == "target":
                book.target(symbol, said["target"][i])
            elif self.style == "target_percent":
                book.target_percent(symbol, said["target_percent"][i])
            else:
                level = entered(
                    _coming(player.account, int(code[i])), {name: column[i] for name, column in said.items()}
                )
                if level is not None:
                    book.target(symbol, level)
        book.shown = None


def entered(held: int, said: Mapping[str, Any]) -> int | None:
    """The level that entries and exits ask for, None for none: `held` are the shares held and on their way.

    While flat ``entry`` buys and ``short`` sells `shares`; both at once decide nothing. While long ``exit``, while short ``cover`` asks
    for 0; entries are ignored.

    Raises
    ------
    StrategyError
        An entry's `shares` are not a whole number, 0 or more.
    """
    if held:
        closes = said.get("exit" if held > 0 else "cover")
        return 0 if closes else None
    entry, short, shares = said.get("entry"), said.get("short"), said.get("shares")
    if bool(entry) == bool(short) or shares is None:
        return None
    if shares < 0 or shares != shares // 1:
        raise StrategyError(f"signals(): shares must be a whole number, 0 or more, was {shares!r}; round it first")
    return int(shares) if entry else -int(shares)


def _coming(account: Account, code: int) -> int:
    """The signed shares of a symbol once its live orders have filled."""
    held = account.position(code)
    for order in account.live.get(code, ()):
        held = order.level if order.type == "target" else held + order.shares
    return held


def _decides(said: Mapping[str, Column], rows: int) -> npt.NDArray[np.bool_]:
    """The rows that may decide something."""
    found = np.zeros(rows, dtype=bool)
    for name, (values, null) in said.items():
        if name in BOOLEANS:
            found |= values
        elif name != "shares":
            found |= True if null is None else ~null
    return found


def _listed(column: Column) -> Sequence[Any]:
    """Python values, None where null."""
    values = column.values
    if column.null is not None and column.null.any():
        values = values.astype(object)
        values[column.null] = None
    listed: list[Any] = values.tolist()
    return listed
