"""Money that does not fit: when, and whose order is likely to blame."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from bt.book import Market
from bt.engine.players import Player
from bt.errors import MoneyError
from bt.model import instant


def explained(error: MoneyError, market: Market, players: Sequence[Player]) -> MoneyError:
    """The error with the session and the minute, and the largest of the orders that wait."""
    assert market.session is not None
    where = f"session {market.session.name}, minute {market.elapsed}, {instant(market.now):%Y-%m-%d %H:%M} UTC"
    return MoneyError(f"{error}{_largest(market, players)} ({where})")


def _largest(market: Market, players: Sequence[Player]) -> str:
    most, words = 0, ""
    for player in players:
        with suppress(MoneyError):  # an order that is on its way may be the one
            for order in player.account.open_orders(None):
                shares = order.level if order.shares is None else order.shares
                code = market.index.get(order.symbol)
                if code is not None and shares and (worth := abs(shares) * max(int(market.last[code]), 1)) > most:
                    most = worth
                    words = f"; the largest order that waits is of strategy {player.declaration.name}: {shares:,} {order.symbol}"
    return words
