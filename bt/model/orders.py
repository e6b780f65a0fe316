"""What a strategy is told of its orders and fills."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

UNIT = 100_000_000
"""Units of money in one unit of the currency."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a strategy is told about an order it gave.

    Attributes
    ----------
    id : int
        Counts from 1, by strategy (of an independent one by symbol).
    symbol : str
        "" for an exit_at_close of everything.
    type : str
        What it waits for. `delisting`, `split` and `expiry` are made by bt where a symbol ends or changes.
    shares : int or None
        Signed; None for a target (then `level`), for exit_at_close, and for a leg whose parent has not opened anything.
    level : int or None
        The signed shares that a target wants held.
    tif : str
        "day", "gtc" or "ioc".
    status : str
        open, filled, cancelled, expired or rejected.
    reason : str
        Why it was refused, expired or cancelled, such as `buying_power`, `no_bar` or `retargeted`; "" otherwise.
    tag : str
        The strategy's own word.
    decided_at : datetime
        UTC: when it was given.
    limit, stop, trail : float or None
        Prices, and the distance of a stop that trails, in currency.
    parent : int or None
        The id of a leg's order.
    filled : int
        Signed shares that have filled.
    """

    id: int
    symbol: str
    type: Literal[
        "market", "target", "exit_at_close", "market_on_open", "market_on_close", "limit", "stop", "stop_limit", "trailing_stop",
        "stop_loss", "take_profit", "trailing_loss", "delisting", "split", "expiry",
    ]  # fmt: skip
    shares: int | None
    level: int | None
    tif: str
    status: str
    reason: str
    tag: str
    decided_at: datetime
    limit: float | None = None
    stop: float | None = None
    trail: float | None = None
    parent: int | None = None
    filled: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution.

    Attributes
    ----------
    order_id : int
    symbol : str
    time : datetime
        UTC.
    shares : int
        Signed.
    price : float
        Currency, slippage included; what a share is worth is this, times the multiplier of an instrument.
    reference_price : float
        The price before slippage.
    slippage, commission : float
        Currency, for all shares.
    position_after : int
        Signed shares held after it.
    stale_minutes : int
        Of an exit at the close, and with same_close: minutes from the end of the symbol's last bar to the fill; else 0.
    tag : str
        The order's.
    """

    order_id: int
    symbol: str
    time: datetime
    shares: int
    price: float
    reference_price: float
    slippage: float
    commission: float
    position_after: int
    stale_minutes: int
    tag: str
