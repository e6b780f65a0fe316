"""A RunSpec told in JSON's types, and its hash: what a run is known by."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping
from datetime import date, time
from pathlib import Path
from typing import Any

import numpy as np

from bt.model import RunSpec, StrategySpec

WITHOUT_EFFECT = (
    ("output", "dir"),
    ("engine", "threads"),
    ("session", "prefetch_days"),
    ("session", "speed"),
    ("run", "name"),
)
"""Keys that change no result: the spec hash leaves them out."""


def _qualified(thing: object) -> str:
    kind = thing if isinstance(thing, type) else type(thing)
    return f"{kind.__module__}:{kind.__qualname__}"


def _jsonable(value: Any) -> Any:  # noqa: PLR0911 - one return a type
    """`value` in JSON's types, the same in every process: an object without a plain form becomes its class's name."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, np.generic):
        return _jsonable(value.item())
    if isinstance(value, np.ndarray):
        return {"array": hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest(), "shape": list(value.shape)}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): _jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(v) for v in value]
    if isinstance(value, set | frozenset):
        return sorted((_jsonable(v) for v in value), key=repr)
    return os.fspath(value) if isinstance(value, Path) else _qualified(value)


def _strategy_dict(spec: StrategySpec) -> dict[str, Any]:
    told: dict[str, Any] = {"name": spec.name, "use": spec.use, "params": _jsonable(spec.params), "cash": spec.cash}
    if not isinstance(spec.use, str):
        told["use"] = _qualified(spec.use)
        if not isinstance(spec.use, type):  # an instance was made by its caller: its attributes are its parameters
            told["params"] = _jsonable(getattr(spec.use, "__dict__", {}))
    return told


def to_dict(spec: RunSpec) -> dict[str, Any]:
    """The run as JSON-able tables named as in a configuration, for manifest.json."""
    data = _jsonable(spec.data)
    return {
        "data": {**data, "symbols": "all" if spec.data.symbols is None else data["symbols"]},
        "session": _jsonable(spec.session),
        "streams": {"intervals": list(spec.intervals)},
        "indicators": _jsonable(spec.indicators),
        "quality": _jsonable(spec.quality),
        "strategies": [_strategy_dict(s) for s in spec.strategies],
        "execution": _jsonable(spec.execution),
        "account": _jsonable(spec.account),
        "run": _jsonable(spec.run),
        "engine": {"threads": spec.threads},
        "output": {"dir": spec.output_dir},
    }


def spec_hash(spec: RunSpec) -> str:
    """SHA-256 in hex of all that may change a result: `to_dict` without the keys in `WITHOUT_EFFECT`."""
    told = to_dict(spec)
    for table, key in WITHOUT_EFFECT:
        del told[table][key]
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
