"""Strategies from where they are: a file, a module, a class or an instance; parameters checked by their annotations."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec

from bt.errors import StrategyError
from bt.strategy.neighbours import LOADED, Neighbours, SourceLoader

PLAIN = {bool, int, float, str, bytes, bytearray, list, tuple, set, frozenset, dict, datetime, date, time, timedelta}
"""Types whose instances other types' instances are too: True is an int, a moment a date."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint naming the nearest known word, or "" if none is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def meant(error: BaseException) -> str:
    """A hint at what a strategy that raised may have meant: the attribute or name nearest to one that is not there, how a run is ended; "" if none is known."""
    if isinstance(error, SystemExit):
        return "book.stop(reason) ends a run"
    if isinstance(error, AttributeError) and error.name and error.obj is not None:
        return nearest(error.name, [name for name in dir(error.obj) if not name.startswith("_")])
    if isinstance(error, NameError) and error.name and error.__traceback__ is not None:
        last = error.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        return nearest(error.name, {**last.tb_frame.f_globals, **last.tb_frame.f_locals})
    return ""


def load_class(use: str) -> type:
    """The class of ``path/file.py:Class`` or ``package.module:Class``."""
    place, _, name = use.rpartition(":")
    if not place or not name:
        raise StrategyError(f'strategy.use must be "file.py:Class" or "package.module:Class", was {use!r}')
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise StrategyError(f"strategy.use: file must exist, was {place!r}")
        module = _load_file(path)
    else:
        try:
            module = importlib.import_module(place)
        except ImportError as error:
            raise StrategyError(f"strategy.use: module {place!r} cannot be imported: {error}") from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        classes = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
        raise StrategyError(
            f"{place}: class must be one of {', '.join(classes) or '(none)'}, was {name!r}; "
            + (nearest(name, classes) or "name it after the colon")
        )
    return found


def _load_file(path: Path) -> types.ModuleType:
    name = f"{LOADED}{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceLoader(name, str(path)))
    if spec is None or spec.loader is None:
        raise StrategyError(f"{path}: must be a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    neighbours = Neighbours(path.resolve().parent)
    module.__dict__["__builtins__"] = neighbours.builtins
    try:
        with neighbours.present():
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise StrategyError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    return module


def build(use: Any, params: Mapping[str, Any]) -> Any:
    """A strategy instance: `use` is a class, an instance, or where the class is; `params` its constructor's arguments.

    Raises
    ------
    StrategyError
        The class cannot be loaded, or a parameter is unknown, missing or of another type.
    """
    cls = load_class(use) if isinstance(use, str) else use
    if not isinstance(cls, type):
        if params:
            raise StrategyError(f"strategy.params must be empty for an instance, was {dict(params)}; pass the class")
        return cls
    return cls(**arguments(cls, params))


def arguments(cls: type, params: Mapping[str, Any]) -> dict[str, Any]:
    """The constructor's arguments that `params` are, as its annotations say; the strategy is not made.

    Raises
    ------
    StrategyError
        A parameter is unknown, missing or of another type.
    """
    signature = inspect.signature(cls)
    try:
        hints = typing.get_type_hints(inspect.getattr_static(cls, "__init__"))
    except NameError:
        hints = {}
    given = {}
    for key, value in params.items():
        if key not in signature.parameters:
            known = ", ".join(signature.parameters) or "none"
            hint = nearest(key, signature.parameters) or "its parameters are its constructor's"
            raise StrategyError(f"strategy.params.{key} must be a parameter of {cls.__name__} ({known}); {hint}")
        given[key] = _coerce(f"strategy.params.{key}", value, hints.get(key))
    missing = [
        n for n, p in signature.parameters.items()
        if n not in given and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]  # fmt: skip
    if missing:
        raise StrategyError(f"strategy.params must give {', '.join(missing)} of {cls.__name__}, which have no default")
    return given


def _coerce(where: str, value: Any, hint: Any) -> Any:
    """`value` as its annotation says: whole floats become int, ints become float; anything else must fit."""
    if _is_one(value, hint):
        return value
    try:
        return msgspec.convert(value, hint, strict=True) if hint is not None else value
    except msgspec.ValidationError:
        pass
    except TypeError:  # an annotation msgspec does not know: the constructor judges
        return value
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    raise StrategyError(f"{where} must be {_wanted(hint)}, was {value!r}")


def _is_one(value: Any, hint: Any) -> bool:
    """Whether `value` is an instance of the class that an annotation names, or of one of several; of those that are `PLAIN` msgspec judges."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_is_one(value, one) for one in typing.get_args(hint))
    return isinstance(hint, type) and hint not in PLAIN and hint in type(value).__mro__


def _wanted(hint: Any) -> str:
    """An annotation as a reader would say it."""
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(hint))
    return str(hint) if typing.get_origin(hint) else str(getattr(hint, "__name__", hint))
