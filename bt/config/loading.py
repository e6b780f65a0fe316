"""TOML, environment and flags, merged and checked: `load` and `from_mapping` make the RunSpec."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bt.config.problems import Origin, Words, pattern, problems
from bt.config.tables import FILE_COLUMNS, KEYS, PATHS, DataAlone, Output, Parts, Root, Table
from bt.errors import ConfigError
from bt.model import (
    AccountSpec,
    DataSpec,
    ExecutionSpec,
    ForwardSpec,
    IndicatorSpec,
    QualitySpec,
    RunOptions,
    RunSpec,
    SessionSpec,
    StrategySpec,
    SweepSpec,
    TableSpec,
    UniverseSpec,
)
from bt.universe import fault

NOT_KEYS = frozenset({"BT_CACHE"})
"""``BT_`` variables that are no configuration."""

_ROW_FIELDS = ("close_time", "session", "minute", "minutes_left", "quality", "completeness", "interval", "local_time")


def _absolute(parts: Parts, value: str, base: Path) -> str:
    """One path made absolute; words that are no path stay."""
    if not value or "://" in value or (parts == ("data", "symbols") and value == "all"):
        return value
    if parts in (("data", "actions"), ("data", "instruments")) and value in ("auto", "none"):
        return value
    if parts == ("data", "calendar") and not value.endswith(".parquet"):
        return value
    file, colon, name = value.rpartition(":") if parts[-1] == "use" else (value, "", "")
    if parts[-1] == "use" and not file.endswith(".py"):
        return value
    return os.path.normpath(Path.cwd() / base / Path(file).expanduser()) + colon + name


def _locate(node: Any, parts: Parts, base: Path) -> Any:
    """A deep copy of tables in which every path is absolute."""
    if isinstance(node, Mapping):
        return {str(k): _locate(v, pattern((*parts, str(k))), base) for k, v in node.items()}
    if parts == ("strategies",) and isinstance(node, list | tuple):
        return [_locate(entry, ("strategies", "*"), base) for entry in node]
    if parts[-1:] == ("files",) and parts in PATHS:  # a list, the only one of paths
        files = node if isinstance(node, list | tuple) else []
        located = [_absolute(parts, os.fspath(p), base) if isinstance(p, str | os.PathLike) else p for p in files]
        return located or node
    if parts in PATHS and isinstance(node, str | os.PathLike):
        return _absolute(parts, os.fspath(node), base)
    return node


def _locate_tried(node: Any, parts: Parts, base: Path) -> Any:
    """A copy of a grid in which every path that is tried is absolute."""
    if isinstance(node, Mapping):
        return {str(k): _locate_tried(v, (*parts, *str(k).split(".")), base) for k, v in node.items()}
    if isinstance(node, list | tuple):
        return [_locate(value, pattern(parts), base) for value in node]
    return node


def _entry(entries: list[Any], name: str) -> int | None:
    """Position of one of [[strategies]], by position or name."""
    if name.isdecimal():
        return int(name) if int(name) < len(entries) else None
    names = [strategy_name(e.get("name"), e.get("use")) if isinstance(e, dict) else "" for e in entries]
    return names.index(name) if name in names else None


def strategy_name(name: object, use: object) -> str:
    """The name given, else the class's."""
    if isinstance(name, str):
        return name
    if isinstance(use, str):
        return use.rpartition(":")[2]
    return (use if isinstance(use, type) else type(use)).__name__


def _overlay(tables: dict[str, Any], key: Parts, value: Any, origin: Origin, label: str) -> None:
    """Put `value` at `key`; a table is merged key by key, anything else replaces."""
    node: Any = tables
    for depth, name in enumerate(key[:-1]):
        if isinstance(node, list):
            at = _entry(node, name)
            if at is None:
                origin.given[key] = label
                origin.fail(key[: depth + 1], "a position or name in [[strategies]]", Words("neither"))
            key = (*key[:depth], str(at), *key[depth + 1 :])
            node = node[at]
        else:
            node = node.setdefault(name, {})
        if not isinstance(node, dict | list):
            origin.given[key] = label
            origin.fail(key[: depth + 1], "a table", node, f"{'.'.join(key)} cannot be set")
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            _overlay(tables, (*key, str(name)), inner, origin, label)
        return
    origin.given[key] = label
    if isinstance(node, list):
        origin.fail(key, "a key inside one of [[strategies]]", value)
    node[key[-1]] = value


def parse_value(text: str) -> Any:
    """The TOML value that `text` is, else `text` itself (so quotes around words may be left out)."""
    try:
        tables = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return tables["value"] if set(tables) == {"value"} else text


def parse_set(text: str) -> tuple[str, Any]:
    """Key and value of one ``--set a.b.c=value``.

    Raises
    ------
    ConfigError
        When there is no ``=`` or the key is not dotted names.
    """
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key.strip()):
        raise ConfigError(f"--set: it must be key=value, was {text!r}; for example --set session.prefetch_days=10")
    return key.strip(), parse_value(value.strip())


def load(
    path: str | os.PathLike[str],
    *,
    overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    override_source: str = "command line",
    without: Sequence[str] = (),
) -> RunSpec:
    """The run that a TOML file describes, with all paths and dates absolute.

    Parameters
    ----------
    path : path
        The configuration file.
    overrides : mapping, optional
        Dotted key to value, from flags and ``--set``; it beats everything.
    environ : mapping, optional
        Variables to read ``BT_`` names from; ``os.environ`` by default.
    override_source : str
        Begins every error message about `overrides`.
    without : sequence of str
        Tables of the file that do not count.

    Raises
    ------
    ConfigError
        A file that cannot be read, an unknown key or an impossible value; all of them are in its message, one a line.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        beside = [other.name for other in file.parent.glob("*.toml")] if not file.exists() else []
        near = difflib.get_close_matches(file.name, beside, 1)
        hint = f"; did you mean {file.parent / near[0]}?" if near else ""
        raise ConfigError(f"{file}: it must be a readable TOML file, was not: {error.strerror}{hint}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: it must be TOML in UTF-8, was not: {error}") from error
    variables = os.environ if environ is None else environ
    base = Path(os.path.normpath(Path.cwd() / file)).parent
    kept = {name: table for name, table in tables.items() if name not in without}
    return from_mapping(
        kept, base=base, source=str(file), overrides=overrides, environ=variables, text=text,
        override_source=override_source,
    )  # fmt: skip


def from_mapping(
    tables: Mapping[str, Any], *, base: Path, source: str, overrides: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None, text: str = "", override_source: str = "command line",
) -> RunSpec:  # fmt: skip
    """The run that nested tables describe: what a file holds, as Python values.

    Parameters
    ----------
    tables : mapping
        Tables as in a file; ``strategy.use`` may be a class or an instance, paths may be `Path`.
    base : Path
        Folder that relative paths in `tables` start from; those in `overrides` and `environ` start from the working one.
    source : str
        Begins every error message about `tables`.
    overrides, environ : mapping, optional
        As in `load`; without `environ` no variable is read.
    text : str
        The TOML text, to give lines in errors.
    override_source : str
        Begins every error message about `overrides`.

    Raises
    ------
    ConfigError
        An unknown key or an impossible value.
    """
    origin = Origin(source, text, {})
    merged: dict[str, Any] = _locate(tables, (), base)
    if isinstance(sweep := merged.get("sweep"), dict) and "grid" in sweep:
        sweep["grid"] = _locate_tried(sweep["grid"], (), base)
    variables = {k: v for k, v in sorted((environ or {}).items()) if k.startswith("BT_") and k not in NOT_KEYS}
    layers = [
        (tuple(k[3:].lower().split("__")), parse_value(v), f"environment variable {k}") for k, v in variables.items()
    ]
    layers += [(tuple(k.split(".")), v, override_source) for k, v in (overrides or {}).items()]
    for key, value, label in layers:
        _overlay(merged, key, _locate(value, pattern(key), Path.cwd()), origin, label)
    # A default path is what it would be if the file said it.
    merged.setdefault("output", {})
    if isinstance(merged["output"], dict):
        merged["output"].setdefault("dir", _absolute(("output", "dir"), Output().dir, base))
    merged.setdefault("data", {})
    merged.setdefault("session", {})
    try:
        root = Root.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(problems(error, origin)) from None
    return _spec(root, origin)


def data_spec(table: Mapping[str, Any], *, base: Path, source: str) -> DataSpec:
    """What [data] of a configuration alone says: `table` as Python values, `base` and `source` as in `from_mapping`.

    Raises
    ------
    ConfigError
        An unknown key or an impossible value.
    """
    try:
        found = DataAlone.model_validate(_locate({"data": table}, (), base))
    except ValidationError as error:
        raise ConfigError(problems(error, Origin(source, "", {}))) from None
    return DataSpec(**_fields(found.data))


def _fields(table: Table) -> dict[str, Any]:
    return {name: getattr(table, name) for name in type(table).model_fields}


def _strategies(root: Root, origin: Origin) -> tuple[StrategySpec, ...]:
    """The strategies asked for, names distinct."""
    if root.strategy is not None and root.strategies is not None:
        origin.fail(("strategies",), "absent beside [strategy]", Words("given"), "keep one of the two")
    if root.strategy is not None:
        one = root.strategy
        return (StrategySpec(strategy_name(None, one.use), one.use, one.params, files=one.files),)
    if not root.strategies:
        origin.fail(("strategy", "use"), KEYS["strategy", "use"], Words("absent"), "a run needs a strategy")
    made: dict[str, StrategySpec] = {}
    for i, entry in enumerate(root.strategies):
        name = strategy_name(entry.name if "name" in entry.model_fields_set else None, entry.use)
        if name in made:
            hint = "give each of [[strategies]] a name" if "name" not in entry.model_fields_set else "rename one"
            origin.fail(("strategies", str(i), "name"), "used once", name, hint)
        if root.account.shared and entry.cash is not None:
            origin.fail(("strategies", str(i), "cash"), "absent with account.shared", entry.cash, "set account.cash")
        made[name] = StrategySpec(name, entry.use, entry.params, entry.cash, entry.files)
    return tuple(made.values())


def _spec(root: Root, origin: Origin) -> RunSpec:
    """The checks that need two keys, then the RunSpec."""
    start, end = root.session.start, root.session.end
    if isinstance(start, date) and isinstance(end, date) and start > end:
        must = f"on or before session.end {end}"
        origin.fail(("session", "start"), must, Words(start), "both are included")
    taken = {*FILE_COLUMNS, *_ROW_FIELDS}
    for name in root.indicators:
        if not name.isidentifier() or name in taken:
            origin.fail(("indicators", name), "named as a new field of a row", name, "letters, digits and _ only")
    for name in root.tables:
        if not name.isidentifier():
            origin.fail(("tables", name), "named as fields of a row begin", name, "letters, digits and _ only")
    if root.execution.commission_tiers and root.execution.commission_per_share:
        a_share = root.execution.commission_per_share
        must = "absent beside execution.commission_tiers"
        origin.fail(("execution", "commission_per_share"), must, a_share, "keep one of the two")
    if root.account.margin == "reg_t" and root.account.leverage != 1.0:
        must = 'left at 1 with account.margin = "reg_t"'
        origin.fail(("account", "leverage"), must, root.account.leverage, "its initial margin of 50 % decides")
    universe = None if root.universe is None else UniverseSpec(**_fields(root.universe))
    if universe is not None and (found := fault(universe)) is not None:
        key, must, was, hint = found
        origin.fail(("universe", key), must, Words(was), hint)
    return RunSpec(
        data=DataSpec(**_fields(root.data)),
        session=SessionSpec(
            **{k: v for k, v in _fields(root.session).items() if k != "hours"},
            prefetch_given="prefetch_days" in root.session.model_fields_set,
        ),
        strategies=_strategies(root, origin),
        intervals=root.streams.intervals,
        indicators={name: IndicatorSpec(**_fields(table)) for name, table in sorted(root.indicators.items())},
        quality=QualitySpec(**_fields(root.quality)),
        tables={name: TableSpec(**_fields(table)) for name, table in sorted(root.tables.items())},
        universe=universe,
        execution=ExecutionSpec(**_fields(root.execution)),
        account=AccountSpec(**_fields(root.account)),
        run=RunOptions(**_fields(root.run)),
        threads=root.engine.threads,
        workers=root.engine.workers,
        output_dir=root.output.dir,
        html=root.output.html,
        source=origin.source,
        sweep=_sweep(root, origin),
    )


def _sweep(root: Root, origin: Origin) -> SweepSpec | None:
    """[sweep]."""
    if root.sweep is None:
        return None
    given = _fields(root.sweep)
    forward = given.pop("walk_forward")
    if forward is None:
        return SweepSpec(**given)
    folds = {**_fields(forward), "step": forward.test if forward.step is None else forward.step}
    if folds["step"] < forward.test:
        must = f'at least "{forward.test}d", as sweep.walk_forward.test'
        origin.fail(("sweep", "walk_forward", "step"), must, f"{forward.step}d", "test folds may not overlap")
    return SweepSpec(**given, walk_forward=ForwardSpec(**folds))
