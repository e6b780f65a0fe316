"""A RunSpec told in JSON's types, and its hash: what a run is known by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bt.model import MemoryBars, RunSpec, StrategySpec
from bt.strategy import Source, attributes, files_hash, qualified, told

WITHOUT_EFFECT = (
    ("output", "dir"),
    ("output", "html"),
    ("engine", "threads"),
    ("engine", "workers"),
    ("session", "prefetch_days"),
    ("session", "speed"),
    ("run", "name"),
)
"""Keys that change no result: the spec hash leaves them out."""

UNIVERSE_TABLE = "universe.table"
"""The name of the universe's membership table among the tables of a run."""

ACTIONS_TABLE = "data.actions"
"""The name of the table of corporate actions among them; where there is none, it is absent."""


INSTRUMENTS_TABLE = "data.instruments"
"""The name of the table of instruments, likewise."""

NO_INSTRUMENTS = ("auto", "none", "")


def _strategy_dict(spec: StrategySpec) -> dict[str, Any]:
    use, params = spec.use, told(spec.params)
    if not isinstance(use, str):
        if not isinstance(use, type):  # an instance was made by its caller: its attributes are its parameters
            params = told(attributes(use))
        use = qualified(use)
    return {"name": spec.name, "use": use, "params": params, "files": list(spec.files), "cash": spec.cash}


def _path(given: str | MemoryBars) -> str:
    return given if isinstance(given, str) else f"memory:{given.digest}"


def to_dict(spec: RunSpec) -> dict[str, Any]:
    """The run as JSON-able tables named as in a configuration, for manifest.json."""
    data = told(
        replace(
            spec.data,
            bars=_path(spec.data.bars),
            actions=_path(spec.data.actions),
            instruments=_path(spec.data.instruments),
        )
    )
    return {
        "data": {**data, "symbols": "all" if spec.data.symbols is None else data["symbols"]},
        "session": {key: value for key, value in told(spec.session).items() if key != "prefetch_given"},
        "streams": {"intervals": list(spec.intervals)},
        "indicators": told(spec.indicators),
        "quality": told(spec.quality),
        "tables": {name: told(replace(t, path=_path(t.path))) for name, t in spec.tables.items()},
        **({} if spec.universe is None else {"universe": told(spec.universe)}),
        "strategies": [_strategy_dict(s) for s in spec.strategies],
        "execution": told(spec.execution),
        "account": told(spec.account),
        "run": told(spec.run),
        "engine": {"threads": spec.threads, "workers": spec.workers},
        "output": {"dir": spec.output_dir, "html": spec.html},
    }


@dataclass(frozen=True, slots=True)
class Identity:
    """What a run is known by, as it was before the first minute: a strategy's attributes change while it plays.

    `spec` is `to_dict`, `code` each strategy's code hash (its files included), `tables` the content hash of each outside
    table, `hash` the `spec_hash` of all.
    """

    spec: Mapping[str, Any]
    code: Mapping[str, str]
    tables: Mapping[str, str]
    hash: str

    @classmethod
    def of(cls, spec: RunSpec, sources: Iterable[Source], tables: Mapping[str, str]) -> Identity:
        """Of a specification with resolved dates, its strategies' code, in their order, and its tables' content."""
        pairs = zip(spec.strategies, sources, strict=True)
        code = {given.name: files_hash(source.hash, given.files) for given, source in pairs}
        return cls(to_dict(spec), code, tables, spec_hash(spec, code, tables))

    def fingerprint(self, bars: str) -> str:
        """Of all data: that of the bars, and the content of outside tables where there are any."""
        if not self.tables:
            return bars
        parts = [bars, *(f"{name} {content}" for name, content in sorted(self.tables.items()))]
        return hashlib.blake2b("\n".join(parts).encode(), digest_size=20).hexdigest()


def spec_hash(spec: RunSpec, code: Mapping[str, str] | None = None, tables: Mapping[str, str] | None = None) -> str:
    """SHA-256 in hex of all that may change a result: `to_dict` without the keys in `WITHOUT_EFFECT`.

    With `code`, the hash of each strategy's code by its name (`bt.strategy.Source.hash`, files included), that stands
    for where the code and its files lie; so do `tables`, the hash of each outside table's content.
    """
    whole = to_dict(spec)
    for table, key in WITHOUT_EFFECT:
        del whole[table][key]
    if code is not None:
        for strategy in whole["strategies"]:
            del strategy["files"]
            strategy |= {"use": strategy["use"].rpartition(":")[2], "code": code[strategy["name"]]}
    if whole["data"]["instruments"] in NO_INSTRUMENTS or (tables is not None and INSTRUMENTS_TABLE not in tables):
        del whole["data"]["instruments"]  # a run without is known by what it was before there were any
    if tables is not None and ACTIONS_TABLE not in tables:
        whole["data"]["actions"] = "none"
    for name, content in (tables or {}).items():
        if name == UNIVERSE_TABLE:
            whole["universe"]["table"] = content
        elif name == ACTIONS_TABLE:
            whole["data"]["actions"] = content
        elif name == INSTRUMENTS_TABLE:
            whole["data"]["instruments"] = content
        else:
            whole["tables"][name]["path"] = content
    return hashlib.sha256(json.dumps(whole, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
