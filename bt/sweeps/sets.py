"""A grid becomes parameter sets: which there are, what each is called, and the run that each is."""

from __future__ import annotations

import copy
import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bt.config import WITHOUT_EFFECT, changed, grid, is_single
from bt.errors import BtError, ConfigError, StrategyError
from bt.model import RunSpec
from bt.strategy import arguments, load_class, nearest
from bt.sweeps.conditions import condition, unknown

Where = str | Callable[[Any], Any]

IDLE = {".".join(key) for key in (*WITHOUT_EFFECT, ("run", "tolerate_failed"))}
"""Keys that change no result: a sweep over one would be the same run many times."""


@dataclass(frozen=True)
class ParameterSet:
    """One set of a sweep.

    Attributes
    ----------
    number : int
        Counted from 0 in the order of the grid, its last key the fastest; those that `where` leaves out do not count.
    values : mapping
        What is tried, by the grid's keys as they were written.
    settings : mapping
        The same by dotted key of a configuration.
    """

    number: int
    values: Mapping[str, Any]
    settings: Mapping[str, Any]

    def applied(self, spec: RunSpec, source: str = "sweep.grid") -> RunSpec:
        """The run that it is. Instances and parameters are copies: what a run does to them stays with it.

        Raises
        ------
        ConfigError
            A key is unknown or its value impossible.
        """
        made = changed(spec, self.settings, source)
        own = (replace(s, use=_own(s.use, s.name), params=_own(dict(s.params), s.name)) for s in made.strategies)
        return replace(made, strategies=tuple(own), sweep=None)


def _own(given: Any, name: str) -> Any:
    """A class or where it is as it stands; of an instance, or parameters, a copy.

    Raises
    ------
    StrategyError
        It cannot be copied.
    """
    if isinstance(given, str | type):
        return given
    try:
        return copy.deepcopy(given)
    except Exception as error:
        raise StrategyError(
            f"strategy {name}: its parameters and what it is made of must be such that each set can have a copy, were not "
            f"({type(error).__name__}: {error}); make what cannot be copied where it is needed"
        ) from error


class Parameters:
    """The parameters of one set, as attributes: ``p.fast``, ``p.execution.slippage_bps``; also ``p["fast"]``."""

    def __init__(self, given: Mapping[str, Any], above: str = "") -> None:
        self.__dict__.update(_given=given, _above=above)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = self._above + name
        if full in self._given:
            return self._given[full]
        if any(key.startswith(f"{full}.") for key in self._given):
            return Parameters(self._given, f"{full}.")
        raise ConfigError(f"where: {full} must be a parameter, was unknown; {unknown(full, self._given)}")

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __repr__(self) -> str:
        return f"Parameters({', '.join(f'{k}={v!r}' for k, v in self._given.items())})"


def expand(
    spec: RunSpec, given: Mapping[str, Sequence[Any]], where: Where = "", source: str = "sweep"
) -> list[ParameterSet]:
    """The sets of a grid that meet `where`; every key and value is checked, nothing is played.

    Raises
    ------
    ConfigError
        A key is unknown or has no effect, a value is impossible or there twice, or no set is left.
    StrategyError
        A parameter is unknown, missing or of another type.
    """
    tried = checked_grid(given, source)
    keys = _keys(spec, tried, source)
    fixed, names = _fixed(spec), _parameters(spec, keys)
    meets = _meets(where, {**fixed, **_named({n: v[0] for n, v in tried.items()}, names)}, source)
    sets: list[ParameterSet] = []
    for values in itertools.product(*tried.values()):
        own = dict(zip(tried, values, strict=True))
        if meets({**fixed, **_named(own, names)}):
            sets.append(ParameterSet(len(sets), own, {keys[name]: value for name, value in own.items()}))
    if not sets:
        raise ConfigError(f"{source}.where: it must leave a set at least, was {_told(where)} and left none")
    _check(spec, sets, source)
    return sets


def checked_grid(given: Mapping[str, Sequence[Any]], source: str = "sweep") -> dict[str, tuple[Any, ...]]:
    """By dotted key, the values to try.

    Raises
    ------
    ConfigError
        It is something else, or empty.
    """
    try:
        tried = grid(given)
    except ValueError as error:
        raise ConfigError(
            f"{source}.grid: it must be a table of parameters or keys, each with a list of values, was not: {error}"
        ) from None
    if not tried:
        raise ConfigError(f"{source}.grid: it must have a parameter or key at least, was empty; as fast = [5, 10]")
    return tried


def _parameters(spec: RunSpec, keys: Mapping[str, str]) -> dict[str, str]:
    """The parameters of the one strategy that a grid names by longer keys, by those."""
    if len(spec.strategies) != 1:
        return {}
    found = {}
    for name, key in keys.items():
        place = _place(spec, key)
        for prefix in ("strategy.params.", "strategies.0.params."):
            if "." in name and place.startswith(prefix):
                found[name] = place.removeprefix(prefix)
    return found


def _named(own: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The values of a set by the grid's keys, and by `names` of parameters."""
    return {**own, **{short: own[name] for name, short in names.items()}}


def _place(spec: RunSpec, key: str) -> str:
    """A key with a strategy's number for its name."""
    parts = key.split(".", 2)
    if parts[0] != "strategies" or len(parts) < 3:
        return key
    number = {s.name: i for i, s in enumerate(spec.strategies)}.get(parts[1], parts[1])
    return f"strategies.{number}.{parts[2]}"


def _keys(spec: RunSpec, tried: Mapping[str, Any], source: str) -> dict[str, str]:
    """The dotted key behind each of the grid's."""
    parameters = _signature(spec) if len(spec.strategies) == 1 else None
    prefix = "strategy.params." if is_single(spec) else "strategies.0.params."
    keys: dict[str, str] = {}
    for name in tried:
        key = name
        if "." not in name:
            if parameters is None:
                first = spec.strategies[0].name
                raise ConfigError(
                    f"{source}.grid: {name} must say whose it is, with several strategies, was without; as "
                    f"strategies.{first}.params.{name}"
                )
            if parameters and name not in parameters:
                hint = nearest(name, parameters) or "a key of another table has a dot: execution.slippage_bps"
                raise ConfigError(
                    f"{source}.grid: {name} must be a parameter of {_class_of(spec).__name__} "
                    f"({', '.join(parameters)}) or a key with a dot, was neither; {hint}"
                )
            key = prefix + name
        elif name.startswith("strategy.") and not is_single(spec) and len(spec.strategies) == 1:
            key = "strategies.0." + name.removeprefix("strategy.")
        if key in IDLE or key.startswith(("sweep.", "output.", "engine.")):
            raise ConfigError(f"{source}.grid: {name} must change a result, but does not; leave it out")
        if _place(spec, key) in {_place(spec, other) for other in keys.values()}:
            raise ConfigError(f"{source}.grid: {key} must be given once, was given twice; drop one")
        keys[name] = key
    return keys


def _class_of(spec: RunSpec) -> type:
    """The class of the one strategy."""
    use = spec.strategies[0].use
    cls: type = load_class(use) if isinstance(use, str) else use if isinstance(use, type) else type(use)
    return cls


def _signature(spec: RunSpec) -> dict[str, inspect.Parameter]:
    """The parameters of the one strategy's constructor; of an instance none can be set."""
    return dict(inspect.signature(_class_of(spec)).parameters)


def _fixed(spec: RunSpec) -> dict[str, Any]:
    """What `where` may name beside the grid: the one strategy's parameters as they are without it."""
    if len(spec.strategies) != 1:
        return {}
    use = spec.strategies[0].use
    if not isinstance(use, str | type):
        return {}
    defaults = {name: p.default for name, p in _signature(spec).items() if p.default is not p.empty}
    return {**defaults, **spec.strategies[0].params}


def _meets(where: Where, known: Mapping[str, Any], source: str) -> Callable[[Mapping[str, Any]], bool]:
    """`where` as a function of parameters by name; whatever it raises names the set."""
    if where == "":
        return lambda _given: True
    if isinstance(where, str):
        judge: Callable[[Any], Any] = condition(where, known, f"{source}.where")
    elif callable(where):
        own = where
        judge = lambda given: own(Parameters(given))  # noqa: E731
    else:
        raise ConfigError(f'{source}.where: it must be text such as "fast < slow" or a function, was {where!r}')

    def meets(given: Mapping[str, Any]) -> bool:
        try:
            return bool(judge(given))
        except BtError:
            raise
        except Exception as error:
            raise ConfigError(
                f"{source}.where: it must be true or false for every set, was stopped by {type(error).__name__}: {error} "
                f"at {', '.join(f'{k}={v!r}' for k, v in given.items())}"
            ) from error

    return meets


def _told(where: Where) -> str:
    return repr(where) if isinstance(where, str) else getattr(where, "__name__", "a function")


def _check(spec: RunSpec, sets: Sequence[ParameterSet], source: str) -> None:
    """Every set's keys and values are what they must be; no strategy is made."""
    classes: dict[str, type] = {}
    for one in sets:
        for strategy in changed(spec, one.settings, f"{source}.grid").strategies:
            use = strategy.use
            if isinstance(use, str):
                use = classes[use] if use in classes else classes.setdefault(use, load_class(use))
            if isinstance(use, type):
                arguments(use, strategy.params)
            elif strategy.params:
                raise ConfigError(
                    f"{source}.grid: parameters must be those of a class, was an instance of {type(use).__name__}; "
                    "pass the class"
                )
