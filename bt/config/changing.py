"""A RunSpec with some keys changed, each checked as in a configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from bt.config.loading import from_mapping, strategy_name
from bt.model import RunSpec, StrategySpec


def changed(spec: RunSpec, settings: Mapping[str, Any], source: str) -> RunSpec:
    """`spec` with the value of every dotted key of `settings`; `source` begins errors about them.

    The one strategy's keys are ``strategy.params.fast``; one of several is reached by position or name,
    ``strategies.slow.params.fast``.

    Raises
    ------
    ConfigError
        A key is unknown or its value impossible.
    """
    made = from_mapping(
        tables_of(spec), base=Path.cwd(), source=spec.source, overrides=settings, override_source=source
    )
    return replace(made, sweep=spec.sweep)


def tables_of(spec: RunSpec) -> dict[str, Any]:
    """A specification as the tables that `from_mapping` makes it of, its sweep left out."""
    data = _fields(spec.data)
    data["symbols"] = "all" if spec.data.symbols is None else list(spec.data.symbols)
    session = _fields(spec.session)
    if not session.pop("prefetch_given"):
        del session["prefetch_days"]
    tables: dict[str, Any] = {
        "data": data,
        "session": session,
        "streams": {"intervals": list(spec.intervals)},
        "indicators": {name: _fields(one) for name, one in spec.indicators.items()},
        "quality": _fields(spec.quality),
        "tables": {name: _fields(one) for name, one in spec.tables.items()},
        "execution": _fields(spec.execution),
        "account": _fields(spec.account),
        "run": _fields(spec.run),
        "engine": {"threads": spec.threads, "workers": spec.workers},
        "output": {"dir": spec.output_dir, "html": spec.html},
    }
    if spec.universe is not None:
        tables["universe"] = _fields(spec.universe)
    if is_single(spec):
        one = _fields(spec.strategies[0])
        del one["name"]
        tables["strategy"] = one
    else:
        tables["strategies"] = [_fields(one) for one in spec.strategies]
    return tables


def is_single(spec: RunSpec) -> bool:
    """Whether its strategy is that of a table [strategy]."""
    return len(spec.strategies) == 1 and _is_plain(spec.strategies[0])


def _is_plain(one: StrategySpec) -> bool:
    return one.cash is None and one.name == strategy_name(None, one.use)


def _fields(table: Any) -> dict[str, Any]:
    """A table's keys that are given; what it holds is not copied."""
    return {f.name: value for f in fields(table) if (value := getattr(table, f.name)) is not None}
