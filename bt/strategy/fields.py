"""Row types read: which columns their fields show, and what each becomes. What signals read is found the same way."""

from __future__ import annotations

import datetime as dt
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bt.errors import NoSuchField, StrategyError
from bt.features import Feature
from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS, interval_minutes
from bt.strategy.labels import ForwardReturn
from bt.strategy.loading import nearest
from bt.strategy.outside import TableColumns, annotated

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
CODE = "__code"
"""The column of symbols' codes beside those that expressions read."""
TAKEN = frozenset(
    (
        CODE,
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


Origin = Literal["symbol", "constant", "bar", "coarse", "quality", "completeness", "feature", "table", "opened"]


@dataclass(frozen=True, slots=True)
class RowField:
    """One field of a row type: where it comes from and what it becomes."""

    name: str
    source: Origin
    type: str
    optional: bool


@dataclass(frozen=True, slots=True)
class RowType:
    """A row type read: its class, interval in minutes and fields in constructor order."""

    cls: type
    interval: int
    label: str
    fields: tuple[RowField, ...]

    @property
    def title(self) -> str:
        """What an error calls it."""
        return f"row type {self.cls.__name__}" if self.cls is not object else "signals()"


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
    own = Own(features, tables or {}, opens)
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
class Own:
    """Columns beyond the bars': the strategy's features by name, outside tables, and whether at_open gives others. `hint` is what
    to do about a name that none has."""

    features: Mapping[str, Feature]
    tables: Mapping[str, TableColumns]
    opens: bool
    hint: str = "declare it in features() or [indicators], or return it from at_open"

    def opened(self, name: str, at: str) -> tuple[str, ...]:
        """The annotations that a column of at_open's frame may have; a field that no column can be is refused."""
        if self.opens:
            return ("float", "int", "bool", "str")
        known = (
            "symbol", *CONSTANTS, *BAR_COLUMNS, *OPTIONAL_COLUMNS, "quality", "completeness", *COARSE_ONLY, *self.features,
            *(f"{table}_{column}" for table, columns in self.tables.items() for column in columns.kinds),
        )  # fmt: skip
        hint = nearest(name, known) or self.hint
        raise NoSuchField(f"{at} must be a bar column, a feature or an indicator; {hint}", name)


def _read_field(name: str, hint: Any, interval: int, own: Own, where: str) -> RowField:
    at = f"{where}, field {name!r}"
    kind, optional = _field_type(hint, at)
    source, allowed = _sourced(name, interval, own, at)
    if kind not in allowed:
        raise StrategyError(f"{at} must be annotated {' or '.join(allowed)}, was {kind}")
    return RowField(name, source, kind, optional)


def read_column(name: str, own: Own, at: str) -> RowField:
    """What a name that an expression over minute bars reads means: what a field of that name does.

    Raises
    ------
    StrategyError
        Nothing gives it.
    """
    if name in COARSE_ONLY and name not in own.features:
        raise StrategyError(f"{at} must be a column of minute bars; only coarser bars have it")
    source, allowed = _sourced(name, 1, own, at)
    return RowField(name, source, allowed[0], optional=True)


_ALWAYS: Mapping[str, tuple[Origin, tuple[str, ...]]] = {
    "symbol": ("symbol", ("str",)),
    **{name: ("constant", allowed) for name, allowed in CONSTANTS.items()},
    **dict.fromkeys((*BAR_COLUMNS, *OPTIONAL_COLUMNS), ("bar", NUMBERS)),
    "quality": ("quality", ("float",)),
    "completeness": ("completeness", ("float",)),
}
"""What bars of any interval have."""


def _sourced(name: str, interval: int, own: Own, at: str) -> tuple[Origin, tuple[str, ...]]:
    """Where a field comes from, and what it may be annotated."""
    outside = annotated(name, own.tables, at)
    if outside and (name in own.features or name in TAKEN):
        raise StrategyError(f"{at} must mean one thing, was a table's column too; give the table another name")
    if outside:
        return "table", outside
    if name in own.features or (name.endswith("_sessions") and name.removesuffix("_sessions") in own.features):
        return "feature", ("float", "int", "bool")
    if name in _ALWAYS:
        return _ALWAYS[name]
    if name in COARSE_ONLY:
        if interval == 1:
            raise StrategyError(f'{at} needs a coarser bar; set interval = "5m" (or another) on the class')
        return "coarse", ("str",) if name == "closed_by" else ("int",)
    return "opened", own.opened(name, at)
