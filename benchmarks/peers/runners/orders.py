"""The common run of orders: what is asked at which bar of the one symbol, in words that every engine has.

    ENVIRONMENT/bin/python orders_ENGINE.py FOLDER MODE

Every few bars an order of 100 shares: at the market, with a limit or with a stop some cents from the bar's close, now inside the next bar's range, now far
outside it. While flat it is on the side that is asked, else it closes what is held. One that has not filled after some bars is withdrawn. No costs. This file
is read by the environments of all engines: it needs nothing but NumPy.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import numpy as np

SHARES = 100
SEED = 20_240_102
KINDS = ("market", "limit", "stop")


class Asked(NamedTuple):
    """An order given when bar number `bar` has closed: `cents` is how far its price is from the close, on the side where it waits; withdrawn when
    bar number `until` has closed."""

    bar: int
    kind: str
    buys: bool
    cents: int
    until: int


def asked(bars: int) -> dict[int, Asked]:
    """The orders by the number of their bar, none of them beside another; the same for every engine."""
    draw = np.random.default_rng(SEED)
    made: dict[int, Asked] = {}
    bar = 5
    while bar < bars - 40:
        kind = KINDS[int(draw.integers(len(KINDS)))]
        waits = int(draw.integers(1, 25))
        made[bar] = Asked(bar, kind, bool(draw.integers(2)), int(draw.integers(0, 30)), bar + waits)
        bar += waits + int(draw.integers(1, 10))
    return made


def price_of(order: Asked, *, buys: bool, close: float) -> float:
    """The price at which an order waits: a limit on the near side of the close, a stop beyond it."""
    below = buys == (order.kind == "limit")
    return round(close - order.cents / 100 if below else close + order.cents / 100, 2)


def tell(version: str, fills: list[tuple[int, int, float]]) -> None:
    """Print the fills: open_time of the bar in UTC microseconds, signed shares, price."""
    print(json.dumps({"version": version, "fills": [(int(t), int(n), float(p)) for t, n, p in fills]}))
