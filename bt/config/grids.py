"""The grid of a sweep, and the lengths of a walk-forward, as people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bt.errors import ConfigError
from bt.model import ForwardSpec

_SESSIONS = re.compile(r"(\d{1,5})d")


def grid(given: object) -> dict[str, tuple[Any, ...]]:
    """By dotted key, the values to try; tables inside are keys with a dot.

    Raises
    ------
    ValueError
        Something else; its text is a hint.
    """
    if not isinstance(given, Mapping):
        raise ValueError("write { fast = [5, 10], slow = [20, 30] }")  # noqa: TRY004 - pydantic collects ValueErrors only
    found: dict[str, tuple[Any, ...]] = {}
    for key, values in given.items():
        if isinstance(values, Mapping):
            inside = {f"{key}.{name}": one for name, one in grid(values).items()}
        else:
            inside = {str(key): _values(str(key), values)}
        for name, one in inside.items():
            if name in found:
                raise ValueError(f"{name} is given twice")
            found[name] = one
    return found


def _values(key: str, given: object) -> tuple[Any, ...]:
    """The values of one key."""
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise ValueError(f"{key} needs a list of values, was {given!r}; write [{given!r}]")  # noqa: TRY004
    values = tuple(_plain(one) for one in given)
    if not values:
        raise ValueError(f"{key} needs at least one value, was an empty list")
    for number, one in enumerate(values):
        if any(_same(one, other) for other in values[:number]):
            raise ValueError(f"{key} has {one!r} twice")
    return values


def _plain(value: Any) -> Any:
    """A NumPy scalar as Python's."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "ndim", None) == 0 else value


def _same(one: Any, other: Any) -> bool:
    """Whether two values make one and the same parameter set; what cannot be compared does not."""
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - objects may refuse to be compared in any way
        return False


def sessions(least: int, given: object) -> int:
    """The 120 of ``"120d"``, of at least `least`.

    Raises
    ------
    ValueError
        It is no such length; its text is a hint.
    """
    if isinstance(given, int) and not isinstance(given, bool):
        raise ValueError(f'write "{given}d": lengths are in sessions')  # noqa: TRY004
    found = _SESSIONS.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is None:
        raise ValueError('write "20d": lengths are in sessions of the calendar')
    if int(found[1]) < least:
        raise ValueError(f'at least "{least}d"')
    return int(found[1])


LEAST = {"train": 2, "test": 1, "step": 1, "embargo": 0}
"""The fewest sessions of each length."""


def forward_days(own: ForwardSpec | None, given: Mapping[str, Any]) -> ForwardSpec:
    """A walk-forward as keywords ask for it; what they leave out (None) is as in `own`, or as usual.

    Raises
    ------
    ConfigError
        A length that is none, or test folds that overlap.
    """
    made: dict[str, Any] = {}
    for name, value in given.items():
        if value is not None and name in LEAST:
            try:
                made[name] = sessions(LEAST[name], value)
            except ValueError as error:
                raise ConfigError(
                    f'walk_forward: {name} must be a number of sessions such as "20d", was {value!r}; {error}'
                ) from None
    anchored = given.get("anchored")
    if anchored is not None and not isinstance(anchored, bool):
        raise ConfigError(f"walk_forward: anchored must be True or False, was {anchored!r}")
    usual = own or ForwardSpec(120, 20, 20)
    train, test, embargo = (made.get(name, getattr(usual, name)) for name in ("train", "test", "embargo"))
    step = made.get("step", test if "test" in made else usual.step)
    if step < test:
        raise ConfigError(
            f'walk_forward: step must be at least test, "{test}d", was "{step}d"; test folds may not overlap'
        )
    return ForwardSpec(train, test, step, embargo, usual.anchored if anchored is None else anchored)
