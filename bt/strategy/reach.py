"""How far back a strategy wants to see: `history`, which `book.bars` reaches back to, and `warm_up`, sessions before the start."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bt.errors import StrategyError
from bt.schema import interval_minutes

_SESSIONS = re.compile(r"([1-9]\d{0,3})d")


@dataclass(frozen=True, slots=True)
class Reach:
    """How far `book.bars` of an interval reaches back: so many bars, or where those are 0 the bars of so many sessions before
    this one and of this one."""

    label: str
    bars: int
    sessions: int


def read_warm_up(instance: Any, owner: str) -> int:
    """How many sessions before the start a strategy is shown.

    Raises
    ------
    StrategyError
        `warm_up` is not like "5d".
    """
    said = getattr(instance, "warm_up", None)
    if said is None:
        return 0
    found = _SESSIONS.fullmatch(said) if isinstance(said, str) else None
    if found is None:
        raise StrategyError(f'{owner}: warm_up must be a number of sessions like "5d", was {said!r}')
    return int(found[1])


def read_history(instance: Any, owner: str) -> dict[int, Reach]:
    """How far back each interval (in minutes) is wanted.

    Raises
    ------
    StrategyError
        `history` is not like {"1m": 200, "15m": "20d"}.
    """
    said = getattr(instance, "history", None)
    if said is None:
        return {}
    if not isinstance(said, Mapping):
        raise StrategyError(f'{owner}: history must be like {{"1m": 200, "15m": "20d"}}, was {said!r}')
    found: dict[int, Reach] = {}
    for label, depth in said.items():
        try:
            minutes = interval_minutes(label)
        except (ValueError, TypeError):
            raise StrategyError(f'{owner}: history interval must be like "1m", "15m" or "1d", was {label!r}') from None
        if minutes in found:
            raise StrategyError(f"{owner}: history must name an interval once, was {found[minutes].label} and {label}")
        found[minutes] = _reach(label, depth, owner)
    return found


def _reach(label: str, depth: Any, owner: str) -> Reach:
    if isinstance(depth, int) and not isinstance(depth, bool) and depth >= 1:
        return Reach(label, depth, 0)
    sessions = _SESSIONS.fullmatch(depth) if isinstance(depth, str) else None
    if sessions is None:
        raise StrategyError(
            f'{owner}: history of {label} must be a number of bars like 200, or of sessions like "20d", was {depth!r}'
        )
    return Reach(label, 0, int(sessions[1]))
