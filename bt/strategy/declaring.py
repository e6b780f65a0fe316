"""What a strategy asks for, read off its class and refused before anything is replayed if it cannot be had."""

from __future__ import annotations

import datetime as dt
import inspect
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

from bt.errors import NoSuchField, StrategyError
from bt.features import Feature, linked
from bt.model import UniverseSpec
from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS, interval_minutes
from bt.strategy.independence import looks_across, read_independent
from bt.strategy.labels import ForwardReturn
from bt.strategy.loading import nearest
from bt.strategy.outside import TableColumns, annotated
from bt.strategy.reach import Reach, read_history, read_warm_up
from bt.strategy.sources import Source, source_of
from bt.strategy.timers import Timer, timers_of
from bt.universe import located

TAKES: Mapping[str, str] = {
    "on_session_start": "session, book", "on_session_end": "session, book", "on_bar": "row, book", "on_minute": "rows, book",
    "on_fill": "fill, book", "on_order": "order, book", "at_open": "session, past",
}  # fmt: skip
CALLBACKS = tuple(name for name in TAKES if name.startswith("on_"))
LATER = ("signals",)

# ------------------------------------------------------------------------------------------------------- declarations

CONSTANTS: Mapping[str, tuple[str, ...]] = {
    "session": ("date",),
    "minute": ("int",),
    "minutes_left": ("int",),
    "open_time": ("datetime", "int"),
    "close_time": ("datetime", "int"),
    "local_time": ("time",),
    "interval": ("str",),
}
"""Fields that are the same for every bar shown at one moment, with the annotations they allow."""

COARSE_ONLY = ("n_obs", "n_expected", "closed_by")
NUMBERS = ("float", "int")
TAKEN = frozenset(
    (
        *BAR_COLUMNS,
        *OPTIONAL_COLUMNS,
        *CONSTANTS,
        *COARSE_ONLY,
        "symbol",
        "quality",
        "completeness",
        "code",
        "fresh",
        "position",
        "age",
        "take",
        "matrix",
    )
)
"""Names that mean something else in rows."""

_TYPES = {
    str: "str", float: "float", int: "int", bool: "bool", dt.datetime: "datetime", dt.date: "date", dt.time: "time",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RowField:
    """One field of a row type: where it comes from and what it becomes."""

    name: str
    source: Literal["symbol", "constant", "bar", "coarse", "quality", "completeness", "feature", "table", "opened"]
    type: str
    optional: bool


@dataclass(frozen=True, slots=True)
class RowType:
    """A row type read: its class, interval in minutes and fields in constructor order."""

    cls: type
    interval: int
    label: str
    fields: tuple[RowField, ...]


@dataclass(frozen=True, slots=True)
class Declaration:
    """What one strategy asks for. `rows` is finest first; `features` are by field name; `across` is why its symbols cannot be played
    apart, "" where nothing but its account is in the way; `universe` None leaves it to the run."""

    name: str
    instance: Any
    rows: tuple[RowType, ...]
    features: Mapping[str, Feature]
    callbacks: frozenset[str]
    source: Source
    timers: tuple[Timer, ...] = ()
    warm_up: int = 0
    history: Mapping[int, Reach] = field(default_factory=dict)
    independent: bool = False
    across: str = ""
    universe: UniverseSpec | None = None

    @property
    def timers_alone(self) -> bool:
        """Whether rows are shown at timers only."""
        return bool(self.timers) and not {"on_bar", "on_minute"} & self.callbacks


def _field_type(hint: Any, where: str) -> tuple[str, bool]:
    """(type name, optional) of an annotation."""
    optional = False
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [a for a in typing.get_args(hint) if a is not type(None)]
        optional = len(members) < len(typing.get_args(hint))
        if len(members) != 1:
            raise StrategyError(f"{where}: annotation must be one type or `type | None`, was {hint}")
        hint = members[0]
    if hint not in _TYPES:
        raise StrategyError(f"{where}: annotation must be one of {', '.join(_TYPES.values())}, was {hint}")
    return _TYPES[hint], optional


def read_row(
    cls: type,
    features: Mapping[str, Feature],
    owner: str,
    tables: Mapping[str, TableColumns] | None = None,
    *,
    opens: bool = False,
) -> RowType:
    """What a row type asks for. With `opens`, a field of an unknown name is a column of what `at_open` returns.

    Raises
    ------
    StrategyError
        It is neither a `bt.Row` nor a NamedTuple, or a field is unknown or wrongly annotated.
    """
    where = f"{owner}: row type {cls.__name__}"
    if not (issubclass(cls, msgspec.Struct) or (issubclass(cls, tuple) and hasattr(cls, "_fields"))):
        raise StrategyError(f"{where} must be a bt.Row or a NamedTuple, was {cls.__mro__[1].__name__}")
    try:
        hints = typing.get_type_hints(cls)
    except NameError as error:
        raise StrategyError(f"{where}: an annotation cannot be resolved: {error}; import it at module level") from None
    if getattr(getattr(cls, "__struct_config__", None), "kw_only", False) or not hints:
        raise StrategyError(
            f"{where} must have fields, and take them by position; annotate what it shows, without kw_only"
        )
    order = cls.__struct_fields__ if issubclass(cls, msgspec.Struct) else getattr(cls, "_fields")  # noqa: B009
    if "interval" in order and isinstance(_default(cls, "interval"), str):
        raise StrategyError(
            f'{where}: interval must be written without an annotation, interval = "5m", to choose the bars'
        )
    label = getattr(cls, "interval", "1m") if "interval" not in order else "1m"
    if not isinstance(label, str):
        label = "1m"
    try:
        interval = interval_minutes(label)
    except ValueError:
        raise StrategyError(f'{where}: interval must be like "5m", "1h" or "1d", was {label!r}') from None
    for name in order:
        _check_default(f"{where}, field {name!r}", name, _default(cls, name), hints[name])
    own = _Own(features, tables or {}, opens)
    fields = tuple(_read_field(name, hints[name], interval, own, where) for name in order)
    return RowType(cls, interval, label, fields)


def _check_default(at: str, name: str, default: Any, hint: Any) -> None:
    """Refuse a label, which no row may show, and any other default, which would never be used."""
    if isinstance(default, ForwardReturn) or hint is ForwardReturn:
        raise StrategyError(
            f"{at} must not be a label: it tells what comes after a row; labels are for "
            f"bt.load_rows(..., label={{{name!r}: ...}}), which gives the same rows to train on"
        )
    if default is not msgspec.NODEFAULT:
        raise StrategyError(
            f"{at} must have no default, was {default!r}: nothing is ever filled in; annotate what may be unknown "
            "`| None`, and it is None until it is known"
        )


def _default(cls: type, name: str) -> Any:
    """A field's default, msgspec.NODEFAULT without one."""
    if issubclass(cls, msgspec.Struct):
        return next(
            f.default if f.default_factory is msgspec.NODEFAULT else f.default_factory
            for f in msgspec.structs.fields(cls)
            if f.name == name
        )
    return getattr(cls, "_field_defaults", {}).get(name, msgspec.NODEFAULT)


@dataclass(frozen=True, slots=True)
class _Own:
    """Columns beyond the bars': the strategy's features by name, outside tables, and whether at_open gives others."""

    features: Mapping[str, Feature]
    tables: Mapping[str, TableColumns]
    opens: bool

    def opened(self, name: str, at: str) -> tuple[str, ...]:
        """The annotations that a column of at_open's frame may have; a field that no column can be is refused."""
        if self.opens:
            return ("float", "int", "bool", "str")
        known = (
            "symbol", *CONSTANTS, *BAR_COLUMNS, *OPTIONAL_COLUMNS, "quality", "completeness", *COARSE_ONLY, *self.features,
            *(f"{table}_{column}" for table, columns in self.tables.items() for column in columns.kinds),
        )  # fmt: skip
        hint = nearest(name, known) or "declare it in features() or [indicators], or return it from at_open"
        raise NoSuchField(f"{at} must be a bar column, a feature or an indicator; {hint}", name)


def _read_field(name: str, hint: Any, interval: int, own: _Own, where: str) -> RowField:
    at = f"{where}, field {name!r}"
    kind, optional = _field_type(hint, at)
    outside = annotated(name, own.tables, at)
    allowed: tuple[str, ...] = NUMBERS
    if outside and (name in own.features or name in TAKEN):
        raise StrategyError(f"{at} must mean one thing, was a table's column too; give the table another name")
    if outside:
        source: Any = "table"
        allowed = outside
    elif name in own.features or (name.endswith("_sessions") and name.removesuffix("_sessions") in own.features):
        source = "feature"
        allowed = ("float", "int", "bool")
    elif name == "symbol":
        source, allowed = "symbol", ("str",)
    elif name in CONSTANTS:
        source, allowed = "constant", CONSTANTS[name]
    elif name in (*BAR_COLUMNS, *OPTIONAL_COLUMNS):
        source = "bar"
    elif name in ("quality", "completeness"):
        source, allowed = name, ("float",)
    elif name in COARSE_ONLY:
        if interval == 1:
            raise StrategyError(f'{at} needs a coarser bar; set interval = "5m" (or another) on the class')
        source, allowed = "coarse", ("str",) if name == "closed_by" else ("int",)
    else:
        source, allowed = "opened", own.opened(name, at)
    if kind not in allowed:
        raise StrategyError(f"{at} must be annotated {' or '.join(allowed)}, was {kind}")
    return RowField(name, source, kind, optional)


def _check_takes(instance: Any, method: str, owner: str) -> None:
    """Refuse a callback or a timer that cannot be called with what it is called with."""
    try:
        takes = inspect.signature(getattr(instance, method))
    except ValueError:  # compiled without one
        return
    wanted = TAKES.get(method, "rows, book")
    try:
        takes.bind(*wanted.split(", "))
    except TypeError:
        raise StrategyError(
            f"{owner}: {method} must take ({wanted}), was ({', '.join(takes.parameters)}); write `def {method}(self, {wanted})`"
        ) from None


def _callbacks(instance: Any, owner: str) -> frozenset[str]:
    for later in LATER:
        if hasattr(instance, later):
            raise StrategyError(f"{owner}: `{later}` must not be there; this version does not support it")
    named = [n for n in dir(instance) if n.startswith("on_") and callable(getattr(instance, n))]
    for callback in named:
        if callback not in CALLBACKS:
            hint = nearest(callback, CALLBACKS) or f"known callbacks are {', '.join(CALLBACKS)}"
            raise StrategyError(f"{owner}: callback must be known, was {callback!r}; {hint}")
        if inspect.iscoroutinefunction(getattr(instance, callback)):
            raise StrategyError(f"{owner}: {callback} must be a plain function, was async; write `def {callback}`")
        _check_takes(instance, callback, owner)
    for timer in timers_of(type(instance)):
        if inspect.iscoroutinefunction(getattr(instance, timer.method)):
            raise StrategyError(
                f"{owner}: {timer.method} must be a plain function, was async; write `def {timer.method}`"
            )
        _check_takes(instance, timer.method, owner)
    if not named and not timers_of(type(instance)):
        raise StrategyError(
            f"{owner} must have a callback; write on_bar(self, row, book), on_minute(self, rows, book) or a timer"
        )
    opens = getattr(instance, "at_open", None)
    if opens is None:
        return frozenset(named)
    if not callable(opens) or inspect.iscoroutinefunction(opens):
        raise StrategyError(f"{owner}: at_open must be a plain method (self, session, past), was {opens!r}")
    _check_takes(instance, "at_open", owner)
    return frozenset((*named, "at_open"))


def _features(instance: Any, owner: str, indicators: Mapping[str, Feature]) -> dict[str, Feature]:
    """The strategy's own features."""
    own = instance.features() if hasattr(instance, "features") else {}
    if not isinstance(own, Mapping):
        raise StrategyError(f"{owner}: features() must return a dict of features, was {own!r}")
    for key, made in own.items():
        if isinstance(made, ForwardReturn):
            raise StrategyError(
                f"{owner}: feature {key!r} must not be a label: it tells what comes after a row; labels are for "
                f"bt.load_rows(..., label={{{key!r}: ...}}), which gives the same rows to train on"
            )
        if not isinstance(made, Feature):
            raise StrategyError(
                f"{owner}: feature {key!r} must be made by bt.feature, bt.sma, bt.trailing and the like, was {made!r}"
            )
        if key in indicators or key in TAKEN:
            raise StrategyError(f"{owner}: feature {key!r} must have a name of its own; that one is taken")
    return dict(own)


def _rows(
    instance: Any, owner: str, features: Mapping[str, Feature], tables: Mapping[str, TableColumns], *, opens: bool
) -> tuple[RowType, ...]:
    """Its row types, finest first."""
    declared = getattr(instance, "row", None)
    several = isinstance(declared, tuple) and not hasattr(declared, "_fields")
    classes = () if declared is None else declared if several else (declared,)
    for cls in classes:
        if not isinstance(cls, type):
            raise StrategyError(f"{owner}: row must be a row type or a tuple of them, was {declared!r}")
    rows = sorted((read_row(c, features, owner, tables, opens=opens) for c in classes), key=lambda r: r.interval)
    if len({r.interval for r in rows}) < len(rows):
        raise StrategyError(f"{owner}: row types must have different intervals, were {[r.label for r in rows]}")
    return tuple(rows)


def _universe(instance: Any, owner: str) -> UniverseSpec | None:
    """The universe it declares; its table's path starts from the strategy's file, in a notebook from the working folder."""
    declared = getattr(instance, "universe", None)
    if declared is None:
        return None
    if not isinstance(declared, UniverseSpec):
        raise StrategyError(f"{owner}: universe must be made by bt.top or bt.members, was {declared!r}")
    try:
        folder = Path(inspect.getfile(type(instance))).resolve().parent
    except (TypeError, OSError):
        folder = Path.cwd()
    return located(declared, folder if folder.is_dir() else Path.cwd())


def declare(
    name: str, instance: Any, indicators: Mapping[str, Feature], tables: Mapping[str, TableColumns] | None = None
) -> Declaration:
    """Read a strategy instance: row types, features and callbacks.

    `indicators` and `tables` are those of the configuration; the strategy's own features may not repeat their names.

    Raises
    ------
    StrategyError
        Something it declares is unknown, contradictory or wrongly typed.
    """
    owner = f"strategy {name} ({type(instance).__name__})"
    callbacks = _callbacks(instance, owner)
    features = linked({**indicators, **_features(instance, owner, indicators)}, owner)
    rows = _rows(instance, owner, features, tables or {}, opens="at_open" in callbacks)
    if not rows and {"on_bar", "on_minute"} & callbacks:
        raise StrategyError(f"{owner}: on_bar and on_minute need `row`; set row = YourRowType on the class")
    used = {f.name.removesuffix("_sessions") for r in rows for f in r.fields} | {f.name for r in rows for f in r.fields}
    wanted = {key: made for key, made in features.items() if key in used}
    timers = timers_of(type(instance))
    across = looks_across(instance, callbacks, timers, wanted)
    independent = read_independent(instance, owner, across)
    return Declaration(
        name,
        instance,
        rows,
        wanted,
        callbacks,
        source_of(type(instance)),
        timers,
        independent=independent,
        across=across,
        universe=_universe(instance, owner),
        warm_up=read_warm_up(instance, owner),
        history=read_history(instance, owner),
    )
