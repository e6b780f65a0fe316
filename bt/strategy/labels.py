"""Labels: what happened after a row. They exist in `bt.load_rows` only; a strategy cannot see them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from bt.errors import UsageError

WITHIN: tuple[str | None, ...] = ("session", None)
PRICES: tuple[str, ...] = ("next_open", "close")
_PERIOD = re.compile(r"([1-9]\d{0,4})([mh])")


@dataclass(frozen=True, slots=True)
class ForwardReturn:
    """A return from a row on. Made by `bt.forward_return`."""

    minutes: int
    within: Literal["session"] | None
    price: Literal["next_open", "close"]


def forward_return(
    period: str, *, within: Literal["session"] | None = "session", price: Literal["next_open", "close"] = "next_open"
) -> ForwardReturn:
    """The return of the `period` after a row is known, a fraction; a label for `bt.load_rows`, nowhere else.

    exit / entry - 1. The exit is the symbol's last close known when `period` has passed by the clock since the row's
    close_time.

    Parameters
    ----------
    period : str
        "15m", "4h".
    within : "session" or None
        "session" gives null where the session closes before the period is over; None goes on over nights, as far as the
        last session that is loaded.
    price : "next_open" or "close"
        The entry: the open of the symbol's next real bar, as an order would fill (null where none opens before the period
        is over), or the row's own close.

    Raises
    ------
    UsageError
        Something else is asked for.
    """
    given: object = period
    found = _PERIOD.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise UsageError(f'forward_return: period must be like "15m" or "4h", was {period!r}')
    if within not in WITHIN:
        raise UsageError(f'forward_return: within must be "session" or None, was {within!r}')
    if price not in PRICES:
        raise UsageError(f'forward_return: price must be "next_open" or "close", was {price!r}')
    return ForwardReturn(int(found[1]) * (60 if found[2] == "h" else 1), within, price)
