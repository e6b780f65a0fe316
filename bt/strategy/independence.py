"""`independent = True`: a strategy that looks at one symbol at a time, so that its symbols may be played apart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bt.errors import StrategyError
from bt.features import Feature


def looks_across(
    instance: Any, callbacks: Iterable[str], timers: Iterable[Any], features: Mapping[str, Feature]
) -> str:
    """The first thing of a strategy that sees several symbols at once, "" without any."""
    if "on_minute" in callbacks:
        return "on_minute sees every symbol"
    for timer in timers:
        return f"the timer {timer.method} sees every symbol"
    if hasattr(instance, "at_open"):
        return "at_open sees every symbol"
    for name, feature in features.items():
        if _of_others(feature):
            return f"feature {name!r} reads other symbols"
    return ""


def _of_others(feature: Feature) -> bool:
    kind: str = feature.kind
    inputs = getattr(feature, "inputs_", ())
    return kind in ("of", "cross") or any(_of_others(i) for i in inputs if isinstance(i, Feature))


def read_independent(instance: Any, owner: str, across: str) -> bool:
    """Whether a strategy says that it is independent; `across` is what `looks_across` found.

    Raises
    ------
    StrategyError
        It says so, but sees several symbols; or says neither True nor False.
    """
    said = getattr(instance, "independent", False)
    if not isinstance(said, bool):
        raise StrategyError(f"{owner}: independent must be True or False, was {said!r}")
    if said and across:
        raise StrategyError(
            f"{owner}: an independent strategy must look at one symbol at a time, but {across}; use on_bar, or leave "
            "`independent` out"
        )
    return said
