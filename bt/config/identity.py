"""A RunSpec told in JSON's types, and its hash: what a run is known by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bt.model import RunSpec, StrategySpec
from bt.strategy import Source, files_hash, qualified, told

WITHOUT_EFFECT = (
    ("output", "dir"),
    ("engine", "threads"),
    ("engine", "workers"),
    ("session", "prefetch_days"),
    ("session", "speed"),
    ("run", "name"),
)
"""Keys that change no result: the spec hash leaves them out."""


def _strategy_dict(spec: StrategySpec) -> dict[str, Any]:
    use, params = spec.use, told(spec.params)
    if not isinstance(use, str):
        if not isinstance(use, type):  # an instance was made by its caller: its attributes are its parameters
            params = told(getattr(use, "__dict__", {}))
        use = qualified(use)
    return {"name": spec.name, "use": use, "params": params, "files": list(spec.files), "cash": spec.cash}


def to_dict(spec: RunSpec) -> dict[str, Any]:
    """The run as JSON-able tables named as in a configuration, for manifest.json."""
    bars = spec.data.bars
    data = told(replace(spec.data, bars=bars if isinstance(bars, str) else f"memory:{bars.digest}"))
    return {
        "data": {**data, "symbols": "all" if spec.data.symbols is None else data["symbols"]},
        "session": told(spec.session),
        "streams": {"intervals": list(spec.intervals)},
        "indicators": told(spec.indicators),
        "quality": told(spec.quality),
        "strategies": [_strategy_dict(s) for s in spec.strategies],
        "execution": told(spec.execution),
        "account": told(spec.account),
        "run": told(spec.run),
        "engine": {"threads": spec.threads, "workers": spec.workers},
        "output": {"dir": spec.output_dir},
    }


@dataclass(frozen=True, slots=True)
class Identity:
    """What a run is known by, as it was before the first minute: a strategy's attributes change while it plays.

    `spec` is `to_dict`, `code` each strategy's code hash (its files included), `hash` the `spec_hash` of both.
    """

    spec: Mapping[str, Any]
    code: Mapping[str, str]
    hash: str

    @classmethod
    def of(cls, spec: RunSpec, sources: Iterable[Source]) -> Identity:
        """Of a specification with resolved dates and its strategies' code, in their order."""
        pairs = zip(spec.strategies, sources, strict=True)
        code = {given.name: files_hash(source.hash, given.files) for given, source in pairs}
        return cls(to_dict(spec), code, spec_hash(spec, code))


def spec_hash(spec: RunSpec, code: Mapping[str, str] | None = None) -> str:
    """SHA-256 in hex of all that may change a result: `to_dict` without the keys in `WITHOUT_EFFECT`.

    With `code`, the hash of each strategy's code by its name (`bt.strategy.Source.hash`, files included), that stands
    for where the code and its files lie.
    """
    whole = to_dict(spec)
    for table, key in WITHOUT_EFFECT:
        del whole[table][key]
    if code is not None:
        for strategy in whole["strategies"]:
            del strategy["files"]
            strategy |= {"use": strategy["use"].rpartition(":")[2], "code": code[strategy["name"]]}
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
