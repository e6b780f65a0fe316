"""What a strategy is told of its orders and fills."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

UNIT = 100_000_000
"""Units of money in one unit of the currency."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a strategy is told about an order it gave. `shares` is signed; None for a target (then `level`) and for
    exit_at_close. `status` is open, filled, cancelled, expired or rejected."""

    id: int
    symbol: str
    type: Literal["market", "target", "exit_at_close"]
    shares: int | None
    level: int | None
    tif: str
    status: str
    reason: str
    tag: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution. `shares` is signed, `price` includes slippage, money is in currency, `time` is UTC."""

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
