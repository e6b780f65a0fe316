"""What order() makes of its keywords (decision 0028): the type, the prices in units, the legs; and the strategy's mistakes."""

from __future__ import annotations

import math
from typing import Any

from oracle.account import LIMIT, units

Legs = dict[str, tuple[str, int]]
"""By type, which price a leg has and how much it is."""


def in_units(name: str, value: Any) -> int | None:
    """A price or a distance; anything but a finite number above 0 raises in the strategy."""
    if value is None:
        return None
    if isinstance(value, bool | str) or not math.isfinite(value) or not 0 < (found := units(value)) <= LIMIT:
        raise ValueError(f"book: {name} must be finite and above 0, was {value!r}")
    return found


def type_of(*, limit: Any, stop: Any, trail: Any, at: str | None, tif: str | None) -> str:
    """The type that the keywords given make; those that do not go together raise."""
    if tif not in (None, "day", "gtc", "ioc"):
        raise ValueError(f"book: tif must be day, gtc or ioc, was {tif!r}")
    if at is not None:
        if at not in ("open", "close"):
            raise ValueError(f"book: at must be open or close, was {at!r}")
        if any(x is not None for x in (limit, stop, trail, tif)):
            raise ValueError("book: at must be without limit, stop, trail and tif")
        return f"market_on_{at}"
    if trail is not None and (limit is not None or stop is not None):
        raise ValueError("book: trail must be without limit and stop")
    if tif == "ioc" and (stop is not None or trail is not None):
        raise ValueError("book: ioc must be of a market order or a limit")
    if trail is not None:
        return "trailing_stop"
    return {(0, 0): "market", (1, 0): "limit", (0, 1): "stop", (1, 1): "stop_limit"}[
        limit is not None, stop is not None
    ]


def legs_of(side: int, *, stop_loss: Any, take_profit: Any, trailing_loss: Any) -> Legs:
    """The legs of what is held on `side` (0: nothing to compare)."""
    given = (
        ("stop_loss", "stop", stop_loss),
        ("take_profit", "limit", take_profit),
        ("trailing_loss", "trail", trailing_loss),
    )
    legs = {kind: (price, found) for kind, price, value in given if (found := in_units(kind, value)) is not None}
    if "stop_loss" in legs and "take_profit" in legs:
        loss, profit = legs["stop_loss"][1], legs["take_profit"][1]
        if side * (profit - loss) < 0 or (side and profit == loss):
            word = "below" if side > 0 else "above"
            raise ValueError(f"book: stop_loss must be {word} take_profit, was {stop_loss!r} and {take_profit!r}")
    return legs
