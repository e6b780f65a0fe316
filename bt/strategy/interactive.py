"""The code of a class that is in no file: typed into a notebook's cell or at a prompt.

IPython keeps the source of every cell, from which the definitions are cut out. A bare prompt, ``exec`` and ``python -``
keep none: there the compiled code stands for it.
"""

from __future__ import annotations

import ast
import hashlib
import linecache
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

UNKNOWN = (
    "# The source of {name} is not known: it was typed where Python keeps none (a bare prompt, exec, `python -`).\n"
    "# Write it in a file or in a notebook's cell to have it saved. Its compiled code has the SHA-256\n# {digest}\n"
)


@dataclass
class Gathered:
    """A class with everything of its own module that it uses.

    Attributes
    ----------
    text : str
        The definitions, one after another, the class first.
    values : dict
        Plain values of the module that the code reads, by name, as text.
    modules : set of str
        Names of the modules that the code reads something from.
    """

    text: str = ""
    values: dict[str, str] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)


def gather(cls: type) -> Gathered:
    """`cls`, and the classes, functions and values of its module that its code names, from one to the next."""
    found = Gathered()
    texts: list[str] = []
    waiting: list[Any] = [cls]
    seen: set[int] = set()
    while waiting:
        thing = waiting.pop(0)
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        texts.append(_text(thing))
        for name, value in _used(thing):
            if isinstance(value, types.ModuleType):
                found.modules.add(value.__name__)
            elif isinstance(value, type | types.FunctionType):
                if value.__module__ == cls.__module__:
                    waiting.append(value)
                else:
                    found.modules.add(value.__module__)
            elif _plain(value):
                found.values[name] = repr(value)
            else:
                found.modules.add(type(value).__module__)
    found.text = "\n\n".join(texts)
    return found


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_plain(inner) for inner in value)
    if isinstance(value, dict):
        return all(_plain(inner) for pair in value.items() for inner in pair)
    return value is None or isinstance(value, bool | int | float | str | bytes)


def _functions(thing: Any) -> Iterator[types.FunctionType]:
    """A function itself, or those of a class: methods, class and static methods, properties."""
    if isinstance(thing, types.FunctionType):
        yield thing
        return
    for value in vars(thing).values():
        parts = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "__func__", value),)
        yield from (part for part in parts if isinstance(part, types.FunctionType))


def _used(thing: Any) -> Iterator[tuple[str, Any]]:
    """What the code of `thing` reads of its module, by name, and a class's bases and row types."""
    for function in _functions(thing):
        names = {name for code in _nested(function.__code__) for name in code.co_names}
        yield from ((name, function.__globals__[name]) for name in sorted(names) if name in function.__globals__)
        closed = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        yield from ((name, cell.cell_contents) for name, cell in closed if name != "__class__" and _filled(cell))
    if isinstance(thing, type):
        yield from ((base.__name__, base) for base in thing.__bases__ if base is not object)
        row = vars(thing).get("row")
        yield from (
            (kind.__name__, kind) for kind in (row if isinstance(row, tuple) else (row,)) if isinstance(kind, type)
        )


def _filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


# ------------------------------------------------------------------------------------------------------------ sources


def _text(thing: Any) -> str:
    """The source of a class or function, or what stands for it."""
    files = dict.fromkeys(function.__code__.co_filename for function in _functions(thing))
    cells = [
        name for name in reversed(list(linecache.cache)) if not name.startswith("<frozen") and not Path(name).is_file()
    ]
    for name in [*files, *(cells if isinstance(thing, type) else [])]:
        text = _cut(linecache.getlines(name), thing)
        if text:
            return text
    return UNKNOWN.format(name=thing.__qualname__, digest=code_digest(thing))


def _cut(lines: list[str], thing: Any) -> str:
    """The definition of `thing` in the lines of a cell, the last of its name that holds its code; "" if there is none."""
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return ""
    first = [function.__code__.co_firstlineno for function in _functions(thing)]
    kinds = (ast.ClassDef,) if isinstance(thing, type) else (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
    best = ""
    for node in ast.walk(tree):
        if not isinstance(node, kinds) or getattr(node, "name", thing.__name__) != thing.__name__:
            continue
        begin = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        end = node.end_lineno or begin
        if all(begin <= line <= end for line in first):
            best = textwrap.dedent("".join(lines[begin - 1 : end]))
    return best


def code_digest(thing: Any) -> str:
    """SHA-256 in hex of compiled code: bytecode, constants and names; of a class its annotations and plain values too."""
    told: list[Any] = []
    for function in _functions(thing):
        told += [function.__qualname__, repr(function.__defaults__), repr(function.__kwdefaults__)]
        told += [_code_told(code) for code in _nested(function.__code__)]
    if isinstance(thing, type):
        told += sorted(f"{name}: {hint}" for name, hint in vars(thing).get("__annotations__", {}).items())
        told += sorted(
            f"{name}={value!r}" for name, value in vars(thing).items() if _plain(value) and name != "__firstlineno__"
        )
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _code_told(code: types.CodeType) -> list[Any]:
    constants = [sorted(map(repr, c)) if isinstance(c, frozenset) else repr(c) for c in code.co_consts if not isinstance(c, types.CodeType)]  # fmt: skip
    return [code.co_code.hex(), constants, code.co_names, code.co_varnames, code.co_freevars]
