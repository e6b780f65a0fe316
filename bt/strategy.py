"""What a strategy is: a plain class with a row type, features and callbacks; and how one is loaded and read.

`Row` is the base of row types, `Book` and `Rows` are what callbacks are handed. `build` makes an instance from a
configuration, `declare` reads what an instance asks for, refusing what cannot be had before anything is replayed.
"""

from __future__ import annotations

import datetime as dt
import difflib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from bt.errors import StrategyError
from bt.features import Feature
from bt.model import Order, Session, instant
from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS, interval_minutes


@typing.dataclass_transform(frozen_default=True)
class Row(msgspec.Struct, frozen=True, gc=False):
    """Base of row types: an immutable row whose annotated fields are the columns read, computed and shown.

    ``interval = "5m"`` on the class asks for bars of 5 minutes; the default is 1 minute.
    """


class Rows(Protocol):
    """One minute of the whole universe, symbols always in the same order. Arrays are read-only and end at now.

    Every declared float or int field is an attribute: a float64 array, NaN where the symbol has no bar this minute. Fields that are
    the same for every symbol (session, minute, minutes_left, open_time, close_time, local_time, interval) are plain values.
    """

    symbol: tuple[str, ...]
    code: npt.NDArray[np.int64]
    fresh: npt.NDArray[np.bool_]
    position: npt.NDArray[np.int64]

    def __len__(self) -> int: ...
    def __getattr__(self, name: str) -> Any: ...


class SessionDay(dt.date):
    """What on_session_start and on_session_end are told: the session's date, which also knows its hours.

    `open` and `close` are aware UTC datetimes, `early_close` is True on a half day, `minutes` counts minutes of session.
    """

    open: dt.datetime
    close: dt.datetime
    early_close: bool
    minutes: int


def hours(session: Session) -> SessionDay:
    """A session as callbacks are told of it."""
    day = SessionDay(session.name.year, session.name.month, session.name.day)
    day.open, day.close = instant(session.open), instant(session.close)
    day.early_close, day.minutes = session.early_close, session.minutes
    return day


@dataclass(frozen=True, slots=True)
class Holding:
    """A position. Prices and money in currency; `opened` is the UTC time of the fill that opened it;
    `bars_held` counts the symbol's bars shown since."""

    symbol: str
    shares: int
    avg_price: float
    price: float
    value: float
    unrealized_pnl: float
    realized_pnl: float
    opened: dt.datetime
    bars_held: int


class Book(Protocol):
    """A strategy's account and its orders. Money is in currency, shares are whole and signed, times are UTC."""

    @property
    def now(self) -> dt.datetime:
        """The present."""

    @property
    def session(self) -> dt.date:
        """The name of the session."""

    @property
    def trading(self) -> bool:
        """Whether orders are taken."""

    @property
    def cash(self) -> float:
        """Cash."""

    @property
    def equity(self) -> float:
        """Cash plus positions at the last closes shown."""

    @property
    def buying_power(self) -> float:
        """leverage x equity - gross - reservations of live orders; inf when leverage is 0."""

    @property
    def gross(self) -> float:
        """Sum of the absolute values of the positions."""

    @property
    def net(self) -> float:
        """Sum of the signed values of the positions."""

    @property
    def session_pnl(self) -> float:
        """Equity now minus equity at the session's open."""

    @property
    def holdings(self) -> dict[str, Holding]:
        """Every position held, by symbol."""

    @property
    def rng(self) -> np.random.Generator:
        """A generator seeded from the run's seed, the strategy, the session (in on_bar also symbol and minute)."""

    def order(self, symbol: str, shares: int, *, tif: str | None = None, tag: str = "") -> int:
        """A market order for signed `shares`; its id. `tif` is "day" or "gtc", default the configuration's."""

    def target(self, symbol: str, shares: int, tag: str = "") -> None:
        """A level of signed `shares` to hold; may be set every minute and never doubles."""

    def cancel(self, id: int | None = None, *, symbol: str | None = None) -> bool:
        """Cancel one order, or all of a symbol's; whether any was live."""

    def exit_at_close(self, symbol: str | None = None, minutes_before: int = 0) -> None:
        """Be flat at the session's close, in `symbol` or in everything held."""

    def position(self, symbol: str) -> int:
        """Signed shares held, filled ones only; 0 if none."""

    def holding(self, symbol: str) -> Holding | None:
        """The position in detail, or None."""

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Live orders, by id."""

    def price(self, symbol: str) -> float | None:
        """The last close shown, or None."""

    def record(self, **values: float) -> None:
        """Keep named numbers with the time: the table `records`."""

    def log(self, message: str, **fields: Any) -> None:
        """Keep a message with the time: the table `log`."""

    def stop(self, reason: str) -> None:
        """End the run after this minute; finish_reason stopped."""


class Strategy(Protocol):
    """Any class with some of these; `row` is needed by on_bar and on_minute."""

    row: type | tuple[type, ...]


CALLBACKS = ("on_session_start", "on_session_end", "on_bar", "on_minute", "on_fill", "on_order")
LATER = ("signals", "universe", "history", "warm_up", "independent", "at_open")

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
_TYPES = {
    str: "str", float: "float", int: "int", bool: "bool", dt.datetime: "datetime", dt.date: "date", dt.time: "time",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RowField:
    """One field of a row type: where it comes from and what it becomes."""

    name: str
    source: Literal["symbol", "constant", "bar", "coarse", "quality", "feature"]
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
    """What one strategy asks for. `rows` is finest first; `features` are by field name."""

    name: str
    instance: Any
    rows: tuple[RowType, ...]
    features: Mapping[str, Feature]
    callbacks: frozenset[str]
    source: str
    source_hash: str


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint naming the nearest known word, or "" if none is near."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


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


def read_row(cls: type, features: Mapping[str, Feature], owner: str) -> RowType:
    """What a row type asks for.

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
    order = cls.__struct_fields__ if issubclass(cls, msgspec.Struct) else getattr(cls, "_fields")  # noqa: B009
    label = getattr(cls, "interval", "1m") if "interval" not in order else "1m"
    if not isinstance(label, str):
        label = "1m"
    try:
        interval = interval_minutes(label)
    except ValueError:
        raise StrategyError(f'{where}: interval must be like "5m", "1h" or "1d", was {label!r}') from None
    fields = tuple(_read_field(name, hints[name], interval, features, where) for name in order)
    return RowType(cls, interval, label, fields)


def _read_field(name: str, hint: Any, interval: int, features: Mapping[str, Feature], where: str) -> RowField:
    at = f"{where}, field {name!r}"
    kind, optional = _field_type(hint, at)
    allowed: tuple[str, ...] = NUMBERS
    if name in features or (name.endswith("_sessions") and name.removesuffix("_sessions") in features):
        source: Any = "feature"
        allowed = ("float", "int", "bool")
    elif name == "symbol":
        source, allowed = "symbol", ("str",)
    elif name in CONSTANTS:
        source, allowed = "constant", CONSTANTS[name]
    elif name in (*BAR_COLUMNS, *OPTIONAL_COLUMNS):
        source = "bar"
    elif name == "quality":
        source, allowed = "quality", ("float",)
    elif name in COARSE_ONLY:
        if interval == 1:
            raise StrategyError(f'{at} needs a coarser bar; set interval = "5m" (or another) on the class')
        source, allowed = "coarse", ("str",) if name == "closed_by" else ("int",)
    else:
        known = ["symbol", *CONSTANTS, *BAR_COLUMNS, *OPTIONAL_COLUMNS, "quality", *COARSE_ONLY, *features]
        hint_text = nearest(name, known) or "declare it in features() or [indicators]"
        raise StrategyError(f"{at} must be a bar column, a feature or an indicator; {hint_text}")
    if kind not in allowed:
        raise StrategyError(f"{at} must be annotated {' or '.join(allowed)}, was {kind}")
    return RowField(name, source, kind, optional)


def declare(name: str, instance: Any, indicators: Mapping[str, Feature]) -> Declaration:
    """Read a strategy instance: row types, features and callbacks.

    `indicators` are those of the configuration; the strategy's own features may not repeat their names.

    Raises
    ------
    StrategyError
        Something it declares is unknown, contradictory or wrongly typed.
    """
    owner = f"strategy {name} ({type(instance).__name__})"
    for later in LATER:
        if hasattr(instance, later):
            raise StrategyError(f"{owner}: `{later}` must not be there; this version does not support it")
    named = [n for n in dir(instance) if n.startswith("on_") and callable(getattr(instance, n))]
    for callback in named:
        if callback not in CALLBACKS:
            hint = nearest(callback, CALLBACKS) or f"known callbacks are {', '.join(CALLBACKS)}"
            raise StrategyError(f"{owner}: callback must be known, was {callback!r}; {hint}")
    if not named:
        raise StrategyError(
            f"{owner} must have a callback; write on_bar(self, row, book) or on_minute(self, rows, book)"
        )
    features = dict(indicators)
    for key, made in dict(instance.features() if hasattr(instance, "features") else {}).items():
        if not isinstance(made, Feature):
            raise StrategyError(
                f"{owner}: feature {key!r} must be made by bt.feature, bt.sma or bt.trailing, was {made!r}"
            )
        if key in features or key in (*BAR_COLUMNS, *OPTIONAL_COLUMNS, *CONSTANTS, *COARSE_ONLY, "symbol", "quality"):
            raise StrategyError(f"{owner}: feature {key!r} must have a name of its own; that one is taken")
        features[key] = made
    declared = getattr(instance, "row", None)
    classes = (
        ()
        if declared is None
        else declared
        if isinstance(declared, tuple) and not hasattr(declared, "_fields")
        else (declared,)
    )
    if not classes and {"on_bar", "on_minute"} & set(named):
        raise StrategyError(f"{owner}: on_bar and on_minute need `row`; set row = YourRowType on the class")
    rows = sorted((read_row(c, features, owner) for c in classes), key=lambda r: r.interval)
    if len({r.interval for r in rows}) < len(rows):
        raise StrategyError(f"{owner}: row types must have different intervals, were {[r.label for r in rows]}")
    used = {f.name.removesuffix("_sessions") for r in rows for f in r.fields} | {f.name for r in rows for f in r.fields}
    wanted = {key: made for key, made in features.items() if key in used}
    text, digest = source_of(type(instance))
    return Declaration(name, instance, tuple(rows), wanted, frozenset(named), text, digest)


# ------------------------------------------------------------------------------------------------------------ loading


def source_of(cls: type) -> tuple[str, str]:
    """The source of the module a class comes from (of the class alone where there is no file), and its SHA-256."""
    try:
        path = inspect.getsourcefile(cls)
        text = Path(path).read_text() if path and Path(path).is_file() else inspect.getsource(cls)
    except (OSError, TypeError):
        text = f"{cls.__module__}.{cls.__qualname__}"
    return text, hashlib.sha256(text.encode()).hexdigest()


def load_class(use: str) -> type:
    """The class of ``path/file.py:Class`` or ``package.module:Class``."""
    place, _, name = use.rpartition(":")
    if not place or not name:
        raise StrategyError(f'strategy.use must be "file.py:Class" or "package.module:Class", was {use!r}')
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise StrategyError(f"strategy.use: file must exist, was {place!r}")
        module = _load_file(path)
    else:
        try:
            module = importlib.import_module(place)
        except ImportError as error:
            raise StrategyError(f"strategy.use: module {place!r} cannot be imported: {error}") from error
    found = getattr(module, name, None)
    if not isinstance(found, type):
        classes = [n for n, v in vars(module).items() if isinstance(v, type) and v.__module__ == module.__name__]
        raise StrategyError(
            f"{place}: class must be one of {', '.join(classes) or '(none)'}, was {name!r}; "
            + (nearest(name, classes) or "name it after the colon")
        )
    return found


def _load_file(path: Path) -> types.ModuleType:
    name = f"bt_strategy_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StrategyError(f"{path}: must be a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # a strategy may import the modules beside it
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise StrategyError(f"{path}: cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    return module


def build(use: Any, params: Mapping[str, Any]) -> Any:
    """A strategy instance: `use` is a class, an instance, or where the class is; `params` its constructor's arguments.

    Raises
    ------
    StrategyError
        The class cannot be loaded, or a parameter is unknown, missing or of another type.
    """
    cls = load_class(use) if isinstance(use, str) else use
    if not isinstance(cls, type):
        if params:
            raise StrategyError(f"strategy.params must be empty for an instance, was {dict(params)}; pass the class")
        return cls
    signature = inspect.signature(cls)
    try:
        hints = typing.get_type_hints(inspect.getattr_static(cls, "__init__"))
    except NameError:
        hints = {}
    given = {}
    for key, value in params.items():
        if key not in signature.parameters:
            known = ", ".join(signature.parameters) or "none"
            raise StrategyError(
                f"strategy.params.{key} must be a parameter of {cls.__name__} ({known}); {nearest(key, signature.parameters)}"
            )
        given[key] = _coerce(f"strategy.params.{key}", value, hints.get(key))
    missing = [
        n for n, p in signature.parameters.items()
        if n not in given and p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]  # fmt: skip
    if missing:
        raise StrategyError(f"strategy.params must give {', '.join(missing)} of {cls.__name__}, which have no default")
    return cls(**given)


def _coerce(where: str, value: Any, hint: Any) -> Any:
    """`value` as its annotation says: whole floats become int, ints become float; anything else must fit."""
    try:
        return msgspec.convert(value, hint, strict=True) if hint is not None else value
    except msgspec.ValidationError:
        pass
    except TypeError:  # an annotation msgspec does not know: the constructor judges
        return value
    if hint is int and isinstance(value, float) and value.is_integer():
        return int(value)
    wanted = getattr(hint, "__name__", str(hint))
    raise StrategyError(f"{where} must be {wanted}, was {value!r}")
