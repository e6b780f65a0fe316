"""`bt.replay`'s arguments as a RunSpec: a file, a specification, or keywords for what a file would say."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bt.config.loading import from_mapping, load
from bt.config.tables import KEYS, Root
from bt.errors import ConfigError, UsageError
from bt.model import RunSpec

SHORT = {
    **{key[1]: ".".join(key) for key in KEYS if key[0] in ("data", "session") and len(key) == 2},
    "cash": "account.cash", "seed": "run.seed", "name": "run.name",
}  # fmt: skip
"""Keywords for single keys: those of [data] and [session], and three more."""

TABLES = tuple(Root.model_fields)
"""Keywords for whole tables."""

OTHERS = ("strategy", "set", "save", "out", "progress")


def asked(
    source: Any, *, strategy: Any = None, settings: Mapping[str, Any] | None = None,
    keywords: Mapping[str, Any] | None = None, caller: str = "replay",
) -> RunSpec:  # fmt: skip
    """The run that `bt.replay` is asked for.

    Parameters
    ----------
    source : path, RunSpec or None
        A configuration file, a specification (then nothing else may be given), or nothing.
    strategy : class, instance, text or mapping
        What [strategy] would say: ``use`` alone, or the table. Beside a file it stands for the file's strategies.
    settings : mapping
        Any dotted key to its value.
    keywords : mapping
        Names of `SHORT` and `TABLES`.
    caller : str
        Begins every error message.

    Raises
    ------
    ConfigError
        An unknown keyword or key, one given twice, or an impossible value.
    UsageError
        `source` is something else.
    """
    if settings is not None and not isinstance(settings, Mapping):
        raise UsageError(f"{caller}: set must be a dict of dotted keys, was {settings!r}; as {{'run.seed': 1}}")
    given = _given(strategy, settings or {}, keywords or {}, caller)
    if isinstance(source, RunSpec):
        if given:
            more = ", ".join(given)
            raise ConfigError(
                f"{caller}: nothing must be given beside a RunSpec, was {more}; change it with dataclasses.replace"
            )
        return source
    if source is None:
        inside = {key: value for key, value in given.items() if key not in (settings or {})}
        tables: dict[str, Any] = {}
        for key, value in inside.items():
            table, _, name = key.partition(".")
            if not name:
                tables[table] = value
            elif isinstance(within := tables.setdefault(table, {}), dict):  # else it is refused as it is
                within[name] = value
        return from_mapping(tables, base=Path.cwd(), source=caller, overrides=settings, override_source="set")
    if not isinstance(source, str | os.PathLike):
        raise UsageError(
            f"{caller}: it must be given a configuration's path or a RunSpec, was {type(source).__name__}; "
            f"other things have keywords: bars=, strategy=, start=, end="
        )
    without = ("strategy", "strategies") if strategy is not None else ()
    return load(source, overrides=given, override_source=caller, without=without)


def _given(strategy: Any, settings: Mapping[str, Any], keywords: Mapping[str, Any], caller: str) -> dict[str, Any]:
    """Every dotted key that is given, once; tables that are empty or no mapping stay whole, to be judged as such."""
    given: dict[str, Any] = {}
    names: dict[str, str] = {}

    def take(key: str, value: Any, name: str) -> None:
        if isinstance(value, Mapping) and value and key in TABLES:
            for inner, one in value.items():
                take(f"{key}.{inner}", one, name)
            return
        if key in given:
            raise ConfigError(f"{caller}: {key} must be given once, was given by {names[key]} and by {name}; drop one")
        given[key], names[key] = value, name

    for keyword, value in keywords.items():
        if keyword not in SHORT and keyword not in TABLES:
            raise ConfigError(
                f"{caller}: {keyword} must be a known keyword, was an unknown one; {_nearest(keyword, caller)}"
            )
        take(SHORT.get(keyword, keyword), value, keyword)
    if strategy is not None:
        take("strategy" if isinstance(strategy, Mapping) else "strategy.use", strategy, "strategy")
    for key, value in settings.items():
        take(str(key), value, "set")
    return given


def _nearest(keyword: str, caller: str) -> str:
    """A hint: how an unknown keyword is said."""
    if keyword in OTHERS:
        return f"bt.replay has it, bt.{caller} does without"
    deeper: dict[str, str] = {}
    for key in KEYS:
        if len(key) == 2 and key[0] not in ("data", "session") and "*" not in key:
            deeper.setdefault(key[1], ".".join(key))
    if keyword in deeper:
        return f'set={{"{deeper[keyword]}": ...}} sets that key'
    known = (*SHORT, *TABLES, *OTHERS)
    if near := difflib.get_close_matches(keyword, known, 1):
        return f"did you mean {near[0]}?"
    if near := difflib.get_close_matches(keyword, deeper, 1, 0.75):
        return f'did you mean set={{"{deeper[near[0]]}": ...}}?'
    return f"keywords are {', '.join(dict.fromkeys(known))}; any other key is set by set={{...}}"
