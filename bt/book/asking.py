"""What `order`, `target` and `replace` make of their keywords: the type, prices in units, legs; and the strategy's mistakes (docs/decisions/0028)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bt.errors import StrategyError
from bt.execution import INT64_MAX
from bt.execution import layout as at
from bt.execution.layout import OrderType
from bt.model import UNIT

TIFS = ("day", "gtc", "ioc")


class Legs(NamedTuple):
    """The prices and the distance of a bracket's legs, units; None where there is none."""

    stop_loss: int | None = None
    take_profit: int | None = None
    trailing_loss: int | None = None


class Asked(NamedTuple):
    """An order as it was asked for: prices and the distance `trail` in units, the `partner` in an oco group by id."""

    type: OrderType
    tif: str
    limit: int | None = None
    stop: int | None = None
    trail: int | None = None
    legs: Legs = Legs()
    partner: int | None = None


NO_LEGS = Legs()


def in_units(owner: str, name: str, value: Any) -> int | None:
    """A price or a distance; None where there is none.

    Raises
    ------
    StrategyError
        It is no finite number above 0, rounds to 0, or does not fit.
    """
    if value is None:
        return None
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or not (found := round(float(value) * UNIT)) > 0:
        raise StrategyError(f"{owner}: {name} must be finite and above 0, was {value!r}; leave it out for none")
    if found > INT64_MAX:
        raise StrategyError(f"{owner}: {name} must be at most {INT64_MAX / UNIT:.0f}, was {value!r}")
    return found


def legs_of(owner: str, shares: int, stop_loss: Any, take_profit: Any, trailing_loss: Any) -> Legs:
    """The legs of what is held long or short by `shares`; of 0 nothing is compared.

    Raises
    ------
    StrategyError
        One is no price, or the stop_loss is not below the take_profit (where shares are sold: above).
    """
    legs = Legs(
        in_units(owner, "stop_loss", stop_loss), in_units(owner, "take_profit", take_profit), in_units(owner, "trailing_loss", trailing_loss)
    )  # fmt: skip
    loss, profit = legs.stop_loss, legs.take_profit
    if shares and loss is not None and profit is not None and (loss >= profit if shares > 0 else loss <= profit):
        word = "below" if shares > 0 else "above"
        raise StrategyError(
            f"{owner}: stop_loss must be {word} take_profit, was {stop_loss!r} with a take_profit of {take_profit!r}"
        )
    return legs


def check_change(owner: str, order: Sequence[int], shares: int | None, prices: Sequence[int | None]) -> None:
    """Refuse what replace() may not change of an order, a row of live ones.

    Raises
    ------
    StrategyError
        It is no order for shares, has no such price, or would change its side.
    """
    kind, number = at.TYPES[order[at.O_TYPE]], order[at.O_ID]
    if kind in ("target", "exit_at_close"):
        raise StrategyError(f"{owner}: replace must be of an order for shares, {number} is a {kind}; give another")
    columns = (("limit", at.O_LIMIT), ("stop", at.O_STOP), ("trail", at.O_TRAIL))
    for (name, column), price in zip(columns, prices, strict=True):
        if price is not None and order[column] == at.NULL:
            raise StrategyError(f"{owner}: {name} must be of an order that has one, {number} is a {kind}")
    if shares is not None and (order[at.O_WAITS] or shares * order[at.O_SIDE] < 0):
        raise StrategyError(
            f"{owner}: shares must keep their side, and of a leg that waits be left alone, was {shares} for order {number}"
        )


def type_of(owner: str, *, limit: Any, stop: Any, trail: Any, at: Any, tif: Any) -> OrderType:
    """The type that an order's keywords make.

    Raises
    ------
    StrategyError
        They do not go together.
    """
    if tif is not None and tif not in TIFS:
        raise StrategyError(f"{owner}: tif must be day, gtc or ioc, was {tif!r}")
    if at is not None:
        if at not in ("open", "close"):
            raise StrategyError(f"{owner}: at must be open or close, was {at!r}")
        if any(given is not None for given in (limit, stop, trail, tif)):
            raise StrategyError(f"{owner}: at must be without limit, stop, trail and tif; leave them out")
        return "market_on_open" if at == "open" else "market_on_close"
    if trail is not None and (limit is not None or stop is not None):
        raise StrategyError(f"{owner}: trail must be without limit and stop, was {trail!r}; give two orders with oco=")
    if tif == "ioc" and (stop is not None or trail is not None):
        raise StrategyError(f"{owner}: ioc must be of a market order or a limit; leave stop and trail out")
    if trail is not None:
        return "trailing_stop"
    if stop is not None:
        return "stop" if limit is None else "stop_limit"
    return "market" if limit is None else "limit"
