"""Values told in JSON's types, the same in every process: what parameters, states and the surroundings of code are known by."""

from __future__ import annotations

import copyreg
import dataclasses
import enum
import hashlib
import inspect
import json
import logging
import math
import os
import threading
import types
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bt.strategy.reads import installed, module_name

Code = type | types.FunctionType | types.ModuleType

EMPTY = (type(threading.Lock()), type(threading.RLock()), logging.Logger)
"""Kinds of objects that hold nothing a result could depend on: their class's name tells them."""


def qualified(thing: object) -> str:
    """The module and name of a class or function, or of another thing's class; of a file loaded by its path its stem."""
    kind: Any = thing if isinstance(thing, type | types.FunctionType) else type(thing)
    return f"{module_name(kind.__module__)}:{kind.__qualname__}"


Known = dict[int, tuple[Any, Any]]
"""Objects by id, each with what it is told as; one that is being told with its class's name."""


def tell(value: Any, code: Callable[[Code], str], known: Known | None = None) -> Any:  # noqa: PLR0911 - one return a type
    """`value` in JSON's types, equal for equal values and not for others.

    Functions, classes and modules become what `code` calls them; arrays, frames and objects their class's name with a hash of what is in
    them, an object that has nothing in it its class's name. One that cannot be told by value is told as no other is, nor the
    same again. `known` are those that need not be told again.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, np.generic):
        return tell(value.item(), code)
    if isinstance(value, np.ndarray):
        return _array(value, code)
    if isinstance(value, Path):
        return os.fspath(value)
    if isinstance(value, Code):
        return code(value)
    known = {} if known is None else known
    if id(value) not in known:
        known[id(value)] = value, qualified(value)
        known[id(value)] = value, _held(value, code, known)
    return known[id(value)][1]


def _held(value: Any, code: Callable[[Code], str], known: Known) -> Any:
    """What is in a dataclass, container or other object; with the class's code where that is the user's."""
    held: Any
    if dataclasses.is_dataclass(value):
        held = {f.name: tell(getattr(value, f.name, None), code, known) for f in dataclasses.fields(value)}
    elif isinstance(value, Mapping):
        held = {str(k): tell(v, code, known) for k, v in value.items()}
    elif isinstance(value, list | tuple):
        held = [tell(v, code, known) for v in value]
    elif isinstance(value, set | frozenset):
        held = sorted((tell(v, code, known) for v in value), key=repr)
    else:
        return _object(value, code, known)
    kind = type(value)
    return held if installed(kind) else {"class": code(kind), "value": held}


def attributes(thing: Any) -> dict[str, Any]:
    """All that an object holds by name: what its class has slots for, too."""
    state = object.__getstate__(thing)
    held: dict[str, Any] = {}
    for part in state if isinstance(state, tuple) else (state,):
        held.update(part or {})
    return held


def digest(told: Any) -> str:
    """SHA-256 in hex of something told."""
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _array(value: np.ndarray[Any, Any], code: Callable[[Code], str]) -> Any:
    if value.dtype.hasobject:
        return {"array": digest(tell(value.tolist(), code)), "shape": list(value.shape)}
    return {"array": _sha(np.ascontiguousarray(value).tobytes()), "shape": list(value.shape)}


def _object(value: Any, code: Callable[[Code], str], known: Known) -> str:
    """An object by its class and what is in it."""
    kind = type(value)
    name = qualified(value) if installed(kind) else code(kind)
    if kind is object or isinstance(value, EMPTY):
        return name
    if isinstance(value, enum.Enum):
        return f"{name}.{value.name or value.value}"
    if isinstance(value, bytes | bytearray):
        return f"{name}:{_sha(value)[:16]}"
    if isinstance(value, pl.DataFrame | pl.Series):
        frame = value.to_frame() if isinstance(value, pl.Series) else value
        return f"{name}:{_sha(frame.write_ipc(None).getvalue())[:16]}"
    plain = plain_state(value)
    state: Any
    if not plain and callable(
        wrapped := inspect.getattr_static(value, "__wrapped__", None)
    ):  # by functools.cache, Numba
        state = [wrapped]
    else:
        try:
            state = list(_reduced(value))
        except Exception:  # noqa: BLE001 - a class may refuse to be taken apart in any way
            return untold(value)
        state = vars(value) if plain else state
    return f"{name}:{digest(tell(state, code, known))[:16]}" if state else name


def _reduced(value: Any) -> Iterator[Any]:
    """What pickle would make an object of."""
    reduce = copyreg.dispatch_table.get(type(value))
    reduced = value.__reduce_ex__(4) if reduce is None else reduce(value)
    if isinstance(reduced, str):  # a name in its module
        yield getattr(value, "__module__", None)
        yield reduced
        return
    for part in reduced:
        yield list(part) if isinstance(part, Iterator) else part


def untold(value: Any) -> str:
    """What stands for an object that cannot be told: the class's name and what nothing else is told as."""
    return f"{qualified(value)}:{uuid.uuid4().hex}"


def is_plain(value: Any) -> bool:
    """Whether a value is a number, a text, None, or a container of such alone."""
    if type(value) is dict:
        return all(is_plain(inner) for pair in value.items() for inner in pair)
    if type(value) in {list, tuple, set, frozenset}:
        return all(is_plain(inner) for inner in value)
    return value is None or type(value) in {bool, int, float, str, bytes}


def plain_state(value: Any) -> bool:
    """Whether all that pickle would keep of an object stands in its ``__dict__``."""
    kind = type(value)
    usual = all(
        getattr(kind, name) is getattr(object, name) for name in ("__reduce_ex__", "__reduce__", "__getstate__")
    )
    return usual and hasattr(value, "__dict__") and getattr(kind, "__slots__", ()) == ()


def _sha(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()
