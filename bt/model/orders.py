"""What a strategy is told of its orders and fills."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

UNIT = 100_000_000
"""Units of money in one unit of the currency."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a strategy is told about an order it gave. `shares` is signed; None for a target (then `level`), for
    exit_at_close, and for a leg whose parent has not opened anything; `filled` is what has filled. `limit`, `stop` and the distance `trail` are in currency,
    `parent` is the id of a leg's order. `status` is open, filled, cancelled, expired or rejected."""

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
    """An execution. `shares` is signed, `price` includes slippage, `slippage` and `commission` are in currency for all shares, `time` is UTC. What a share is worth is its price, times the multiplier of
    an instrument."""

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
