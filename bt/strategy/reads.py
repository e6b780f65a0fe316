"""What a function or class reads beside its own text: globals, closure cells, defaults, attributes, and state of the modules it names."""

from __future__ import annotations

import dataclasses
import dis
import enum
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bt.strategy.neighbours import LOADED, module_of

OWN = "bt"
"""This package, whose version is in every manifest."""

BASES, DECORATED, CLOSED = "(bases)", "(decorators)", "(closure)"
"""Names of what has none: a class's bases, what decorators left on a function, and the scope of its closure's cells."""

UNREAD = {"_abc_impl", "_is_protocol", "_is_runtime_protocol"}
"""Attributes that Python keeps on classes for itself."""


class Read(NamedTuple):
    """A value that code reads, and where a text would say it: the module, the qualified name around it, its name there; `owner` is the
    module or class whose attribute it is."""

    module: str
    scope: str
    name: str
    value: Any
    owner: types.ModuleType | type | None = None


def reads(thing: type | types.FunctionType) -> Iterator[Read]:
    """What `thing` reads itself; what the functions and classes among that read is asked of them."""
    return _of_class(thing) if isinstance(thing, type) else _of_function(thing)


def functions(thing: type | types.FunctionType) -> Iterator[types.FunctionType]:
    """A function itself, or those of a class: methods, class and static methods, properties."""
    if isinstance(thing, types.FunctionType):
        yield thing
        return
    for value in vars(thing).values():
        yield from _parts(value)


def nested(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from nested(constant)


def installed(thing: Any) -> bool:
    """Whether a module, class or function is Python's, an installed distribution's or this package's, and is known by its name.

    What such a module's function has made when it was called is known by what it holds.
    """
    if isinstance(thing, types.ModuleType):
        return _is_installed(thing.__name__, getattr(thing, "__file__", None))
    if isinstance(thing, type):
        return "<locals>" not in thing.__qualname__ and _is_class_installed(thing)
    return thing.__module__ == home(thing) and "<locals>" not in thing.__qualname__ and _is_home_installed(thing)


def _is_class_installed(cls: type) -> bool:
    name = cls.__module__
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if name != "builtins" and _is_installed(name, file):
        return True
    # a class that is made where modules have no name is "of builtins" too, but compiled ones have no functions
    return module is not None and file is None and name != "__main__" and next(functions(cls), None) is None


def module_name(name: str | None) -> str:
    """What a module is called wherever it lies: one that was loaded from a strategy's file by that file."""
    name = name or ""
    return name.removeprefix(LOADED).partition("_")[2] if name.startswith(LOADED) else name


def home(function: types.FunctionType) -> str:
    """The module whose globals a function reads."""
    return str(function.__globals__.get("__name__", ""))


def is_generated(function: types.FunctionType) -> bool:
    """Whether a dataclass has written it: its fields say all of it."""
    return function.__code__.co_qualname.startswith("__create_fn__") or home(function) == "dataclasses"


@lru_cache(maxsize=4096)
def _is_installed(name: str, file: str | None) -> bool:
    top = name.partition(".")[0]
    if top == OWN or (file is None and (top in sys.builtin_module_names or top in sys.stdlib_module_names)):
        return top != "__main__"
    if file is None or top == "__main__":
        return False
    path = Path(file).resolve()
    return bool({"site-packages", "dist-packages"} & set(path.parts)) or library() in path.parents


def _is_home_installed(function: types.FunctionType) -> bool:
    return _is_installed(home(function), function.__globals__.get("__file__"))


@cache
def library() -> Path:
    """The folder of Python's own modules."""
    return Path(sysconfig.get_path("stdlib")).resolve()


# ---------------------------------------------------------------------------------------------------------- functions


@lru_cache(maxsize=1024)
def _names(code: types.CodeType) -> tuple[tuple[str, ...], frozenset[str]]:
    """The globals that code names, and the attributes of anything."""
    found: set[str] = set()
    attributes: set[str] = set()
    for inner in nested(code):
        for instruction in dis.get_instructions(inner):
            if instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                attributes.add(instruction.argval)
            elif instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"):
                found.add(instruction.argval)
    return tuple(sorted(found)), frozenset(attributes)


def _of_function(function: types.FunctionType) -> Iterator[Read]:
    if not _is_home_installed(function):
        names, attributes = _names(function.__code__)
        owner = module_of(function.__globals__)
        for name in names:
            if name in function.__globals__ and not _is_dunder(name):
                value = function.__globals__[name]
                yield Read(home(function), "", name, value, owner)
                if isinstance(value, types.ModuleType):
                    yield from _of_module(value, attributes, set())
    module, scope, code = function.__module__ or "", function.__qualname__, function.__code__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if name != "__class__" and _is_filled(cell):
            yield Read(module, f"{scope}.{CLOSED}", name, cell.cell_contents)
    defaults = function.__defaults__ or ()
    taken = code.co_varnames[: code.co_argcount][code.co_argcount - len(defaults) :]
    yield from (Read(module, scope, name, value) for name, value in zip(taken, defaults, strict=True))
    yield from (Read(module, scope, name, value) for name, value in (function.__kwdefaults__ or {}).items())
    if vars(function):
        yield Read(module, scope, DECORATED, vars(function))


def _of_module(module: types.ModuleType, names: frozenset[str], seen: set[int]) -> Iterator[Read]:
    """What is read of a module that is not installed, by code that names these attributes."""
    if installed(module) or id(module) in seen:
        return
    seen.add(id(module))
    for name in sorted(names & vars(module).keys()):
        if not _is_dunder(name):
            value = vars(module)[name]
            yield Read(module.__name__, "", name, value, module)
            if isinstance(value, types.ModuleType):
                yield from _of_module(value, names, seen)


def _is_filled(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty one raises
    except ValueError:
        return False
    return True


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


# ------------------------------------------------------------------------------------------------------------ classes


def _of_class(cls: type) -> Iterator[Read]:
    module, scope = cls.__module__, cls.__qualname__
    if bases := [base for base in cls.__bases__ if base is not object]:
        yield Read(module, scope, BASES, bases)
    for name, value in _attributes(cls).items():
        parts = list(_parts(value))
        if not parts and not _is_dunder(name):
            yield Read(module, scope, name, value, cls)
        yield from (Read(module, scope, name, part, cls) for part in parts if not is_generated(part))


def _attributes(cls: type) -> Mapping[str, Any]:
    """A class's attributes, without what Python makes of its fields and members, and with those fields' defaults."""
    own = {
        name: value
        for name, value in vars(cls).items()
        if name not in UNREAD
        and not isinstance(value, types.MemberDescriptorType | types.GetSetDescriptorType)
        and name not in {"__annotate__", "__annotate_func__"}
    }
    if issubclass(cls, enum.Enum):
        members = {name: member.value for name, member in cls.__members__.items()}
        return {name: v for name, v in own.items() if not (name.startswith("_") and name.endswith("_"))} | members
    if issubclass(cls, msgspec.Struct):
        defaults = [
            getattr(default, "factory", default) for default in cls.__struct_defaults__
        ]  # msgspec's for [] is list
        return own | dict(
            zip(cls.__struct_fields__[len(cls.__struct_fields__) - len(defaults) :], defaults, strict=True)
        )
    if issubclass(cls, tuple) and hasattr(cls, "_field_defaults"):
        made = {"_fields", "_field_defaults", "_make", "_replace", "_asdict", *getattr(cls, "_fields", ())}
        fields: dict[str, Any] = cls._field_defaults
        return {name: v for name, v in own.items() if name not in made and not _is_dunder(name)} | fields
    if dataclasses.is_dataclass(cls):
        for one in dataclasses.fields(cls):
            for given in (one.default, one.default_factory):
                if given is not dataclasses.MISSING:
                    own[one.name] = given
    return own


def _parts(value: Any) -> Iterator[types.FunctionType]:
    """The functions that an attribute of a class is made of."""
    parts: tuple[Any, ...] = (value,)
    if isinstance(value, property):
        parts = (value.fget, value.fset, value.fdel)
    elif isinstance(value, staticmethod | classmethod):
        parts = (value.__func__,)
    yield from (part for part in parts if isinstance(part, types.FunctionType))
