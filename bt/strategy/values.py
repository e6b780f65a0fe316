"""Values told in JSON's types, the same in every process: what parameters and states are known by."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import pickle
import types
from collections.abc import Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bt.strategy.interactive import code_digest


def qualified(thing: object) -> str:
    """The module and name of a class, or of a thing's class."""
    kind = thing if isinstance(thing, type) else type(thing)
    return f"{kind.__module__}:{kind.__qualname__}"


def told(value: Any, around: tuple[int, ...] = ()) -> Any:  # noqa: PLR0911 - one return a type
    """`value` in JSON's types, equal for equal values and not for others.

    Arrays, frames and objects become their class's name with a hash of what is in them; an object that has nothing in
    it, or that cannot be told by value, its class's name. `around` are the ids of the objects being told.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, np.generic):
        return told(value.item())
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Path):
        return os.fspath(value)
    if id(value) in around:
        return qualified(value)
    inside = (*around, id(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: told(getattr(value, f.name), inside) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): told(v, inside) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [told(v, inside) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((told(v, inside) for v in value), key=repr)
    return _object(value, inside)


def _array(value: np.ndarray[Any, Any]) -> Any:
    if value.dtype.hasobject:
        return {"array": _sha(json.dumps(told(value.tolist())).encode()), "shape": list(value.shape)}
    return {"array": _sha(np.ascontiguousarray(value).tobytes()), "shape": list(value.shape)}


def _object(value: Any, inside: tuple[int, ...]) -> str:
    """A class or function by its name (a function also by its code), another object by its class and its state."""
    if isinstance(value, type):
        return qualified(value)
    if isinstance(value, types.FunctionType):
        return f"{value.__module__}:{value.__qualname__}:{code_digest(value)[:16]}"
    if isinstance(value, pl.DataFrame | pl.Series):
        frame = value.to_frame() if isinstance(value, pl.Series) else value
        state = frame.write_ipc(None).getvalue()
    elif plain_state(value):
        if not vars(value):
            return qualified(value)
        state = json.dumps(told(vars(value), inside), sort_keys=True).encode()
    else:
        try:
            state = b"" if type(value) is object else pickle.dumps(value, 5)
        except Exception:  # noqa: BLE001 - a class may refuse to be pickled in any way
            state = b""
    return f"{qualified(value)}:{_sha(state)[:16]}" if state else qualified(value)


def plain_state(value: Any) -> bool:
    """Whether all that an object is stands in its ``__dict__``."""
    kind = type(value)
    usual = all(getattr(kind, name) is getattr(object, name) for name in ("__reduce_ex__", "__reduce__"))
    return usual and hasattr(value, "__dict__") and getattr(kind, "__slots__", ()) == ()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
