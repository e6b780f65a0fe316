"""Strategies carried to another process: by value where it could not import them.

What is defined in a notebook's cell, at a prompt, in a script or in a file that was loaded by its path travels with its
code, and with everything of its module that the code names; the modules beside such a file are imported from there again. cloudpickle does that but for three things done here: row
types, whose slots it cannot rebuild, what msgspec keeps on classes, and annotations written as text, which mean nothing where their names are unknown. Polars' frames travel as `bt.frames` has them.
"""

from __future__ import annotations

import inspect
import io
import pickle
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any

import cloudpickle
import msgspec
import polars as pl

from bt.errors import StrategyError
from bt.frames import packed, unpacked, unpacked_series
from bt.model import StrategySpec
from bt.strategy.neighbours import LOADED, by_reference, with_imports
from bt.strategy.sources import remember, source_of

CACHES = {"__msgspec_cache__"}
"""Attributes that msgspec sets on dataclasses, NamedTuples and enums."""

CONFIG = (
    "frozen",
    "eq",
    "order",
    "gc",
    "array_like",
    "omit_defaults",
    "forbid_unknown_fields",
    "weakref",
    "cache_hash",
)
"""What a row type's struct options are."""


def pack(spec: StrategySpec) -> bytes:
    """A strategy as bytes, from which `unpack` makes it in any process that has bt.

    Raises
    ------
    StrategyError
        Something that it holds cannot be pickled.
    """
    source = (
        None if isinstance(spec.use, str) else source_of(spec.use if isinstance(spec.use, type) else type(spec.use))
    )
    return dumps((spec, source), f"strategy {spec.name}")


def unpack(data: bytes) -> StrategySpec:
    """What `pack` was given. The bytes run code: take them from `pack` alone."""
    spec: StrategySpec
    spec, source = pickle.loads(data)  # noqa: S301 - our own
    if source is not None:
        remember([(spec.use if isinstance(spec.use, type) else type(spec.use), source)])
    return spec


def dumps(thing: Any, owner: str) -> bytes:
    """`thing` pickled, by value where another process could not import what it is made of; ``pickle.loads`` undoes it.

    Raises
    ------
    StrategyError
        It cannot be pickled; `owner` begins the message.
    """
    buffer = io.BytesIO()
    try:
        _dump(thing, buffer)
    except Exception as error:
        raise StrategyError(
            f"{owner}: it must pickle, was stopped by {type(error).__name__}: {error}; keep open files, locks, "
            f"connections and generators out of its attributes and parameters"
        ) from error
    return buffer.getvalue()


def check_state(instance: Any, owner: str) -> None:
    """A strategy's attributes are its state: they must pickle. Nothing is kept of it.

    Raises
    ------
    StrategyError
        One does not; the message names it.
    """
    state = instance.__getstate__()
    attributes: dict[str, Any] = {}
    for part in state if isinstance(state, tuple) else (state,):
        attributes.update(part if isinstance(part, Mapping) else {"__getstate__": part})
    try:
        _dump(attributes, _Nowhere())
    except Exception:  # noqa: BLE001 - objects may refuse to be pickled in any way; which one is found below
        for name, value in attributes.items():
            try:
                _dump(value, _Nowhere())
            except Exception as error:
                raise StrategyError(
                    f"{owner}: attribute {name!r} must pickle, was {type(value).__name__}: {type(error).__name__}: {error}; "
                    "a strategy's attributes are its state: keep open files, locks, connections and generators out of them, "
                    "or leave them out in __getstate__"
                ) from error


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: Any) -> int:
        """How much was given."""
        return memoryview(data).nbytes


def _dump(thing: Any, file: Any) -> None:
    """Pickle to a file, by value what another process could not import."""
    loaded = [module for name, module in list(sys.modules.items()) if name.startswith(LOADED)]
    for module in loaded:
        cloudpickle.register_pickle_by_value(module)
    try:
        _Pickler(file).dump(thing)
    finally:
        for module in loaded:
            cloudpickle.unregister_pickle_by_value(module)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        if (known := _framed(obj) or _named(obj)) is not None:
            return known
        reduced = super().reducer_override(obj)
        if reduced is NotImplemented:  # by reference
            return reduced
        if isinstance(obj, type) and issubclass(obj, msgspec.Struct):
            return _remade, _parts(obj)
        if isinstance(obj, types.FunctionType):
            return with_imports(obj, _with_hints(obj, reduced))
        if isinstance(obj, type):
            return _with_hints(obj, _without_caches(reduced))
        return reduced


def _framed(thing: Any) -> tuple[Any, ...] | None:
    """How Polars' frames and series travel; classes made of them know themselves what they are."""
    if type(thing) is pl.DataFrame:
        return unpacked, (packed(thing),)
    if type(thing) is pl.Series:
        return unpacked_series, (packed(thing.to_frame()),)
    return None


def _named(thing: Any) -> Any:
    return by_reference(thing) if isinstance(thing, type | types.FunctionType | types.ModuleType) else None


def _without_caches(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """What cloudpickle makes of a class, without what msgspec has kept on it for checks of parameters, which only this process can use."""
    if len(reduced) < 3:  # as that of None
        return reduced
    own, *more = reduced[2]
    return (*reduced[:2], ({name: value for name, value in own.items() if name not in CACHES}, *more), *reduced[3:])


def _with_hints(thing: Any, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """What cloudpickle makes of a class or function, with the types that its annotations mean instead of their text."""
    own = inspect.get_annotations(thing)
    if not any(isinstance(hint, str | typing.ForwardRef) for hint in own.values()):
        return reduced
    try:
        hints = typing.get_type_hints(thing, include_extras=True)
    except (NameError, AttributeError, TypeError):
        return reduced  # they mean nothing here either
    # the state is (the class's own dict, more) or (a function's dict, its slots)
    state = [dict(part) if isinstance(part, Mapping) else part for part in reduced[2]]
    for part in state:
        if isinstance(part, dict) and "__annotations__" in part:
            part["__annotations__"] = {name: hints[name] for name in own if name in hints}
    return (*reduced[:2], tuple(state), *reduced[3:])


def _parts(cls: type[msgspec.Struct]) -> tuple[dict[str, Any]]:
    """What a row type is made of, its own bases that travel too folded into it."""
    travelling = [kind for kind in cls.__mro__ if kind.__module__ == cls.__module__]
    base = next(kind for kind in cls.__mro__ if kind not in travelling)
    own = {name for kind in travelling for name in inspect.get_annotations(kind)}
    known = msgspec.structs.fields(cls)
    fields = [
        _field(info) for info in known if info.name in own or info.name not in getattr(base, "__struct_fields__", ())
    ]
    hidden = {info.name for info in known}
    namespace: dict[str, Any] = {"__doc__": cls.__doc__}
    for kind in reversed(travelling):
        namespace |= {
            name: value
            for name, value in vars(kind).items()
            if name not in hidden and not name.startswith("__") and not isinstance(value, types.MemberDescriptorType)
        }
    options = {name: getattr(cls.__struct_config__, name) for name in CONFIG}
    return (
        {
            "name": cls.__name__,
            "fields": fields,
            "bases": (base,),
            "module": cls.__module__,
            "namespace": namespace,
            **options,
        },
    )


def _field(info: msgspec.structs.FieldInfo) -> tuple[str, Any, dict[str, Any]]:
    """A field's name, type and default, which msgspec's own objects for it could not carry."""
    if info.default is not msgspec.NODEFAULT:
        return info.name, info.type, {"default": info.default}
    if info.default_factory is not msgspec.NODEFAULT:
        return info.name, info.type, {"default_factory": info.default_factory}
    return info.name, info.type, {}


def _remade(parts: dict[str, Any]) -> type[msgspec.Struct]:
    """The row type again."""
    fields = [(name, kind, msgspec.field(**default)) for name, kind, default in parts["fields"]]
    return msgspec.defstruct(**{**parts, "fields": fields})
