"""The code of a class that is in no file: typed into a notebook's cell or at a prompt.

IPython keeps the source of every cell, from which the definitions are cut out. A bare prompt, ``exec`` and ``python -``
keep none: there the compiled code stands for it.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import textwrap
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bt.strategy.reads import functions, nested, reads

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
    code : list
        The classes and functions that it has the definitions of.
    modules : set of str
        Names of the modules that the code reads something from.
    """

    text: str = ""
    code: list[type | types.FunctionType] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)


def gather(cls: type) -> Gathered:
    """`cls`, and the classes and functions of its module that its code names, from one to the next."""
    found, texts, seen = Gathered(), list[str](), set[int]()
    waiting: list[type | types.FunctionType] = [cls]
    while waiting:
        thing = waiting.pop(0)
        if id(thing) in seen:
            continue
        parts = [thing, *(part for part in functions(thing) if part.__qualname__.startswith(f"{thing.__qualname__}."))]
        found.code += parts
        seen |= {id(part) for part in parts}
        texts.append(_text(thing))
        for value in _used(parts):
            if isinstance(value, types.ModuleType):
                found.modules.add(value.__name__)
            elif isinstance(value, type | types.FunctionType) and value.__module__ == cls.__module__:
                waiting.append(value)
            else:
                kind = value if isinstance(value, type | types.FunctionType) else type(value)
                found.modules.add(kind.__module__ or "")
    found.text = "\n\n".join(texts)
    return found


def _used(parts: list[type | types.FunctionType]) -> Iterator[Any]:
    """What code reads, and the classes and functions in lists of that."""
    for read in (read for part in parts for read in reads(part)):
        yield read.value
        if isinstance(read.value, list | tuple):
            yield from (one for one in read.value if isinstance(one, type | types.FunctionType))


# ------------------------------------------------------------------------------------------------------------ sources


def _text(thing: Any) -> str:
    """The source of a class or function, or what stands for it."""
    files = dict.fromkeys(function.__code__.co_filename for function in functions(thing))
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
    first = [function.__code__.co_firstlineno for function in functions(thing)]
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


def code_digest(thing: type | types.FunctionType) -> str:
    """SHA-256 in hex of compiled code: bytecode, constants and names; of a class its annotations too."""
    told: list[Any] = [[one.__qualname__, *map(_code_told, nested(one.__code__))] for one in functions(thing)]
    if isinstance(thing, type):
        told += sorted(f"{name}: {hint}" for name, hint in inspect.get_annotations(thing).items())
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _code_told(code: types.CodeType) -> list[Any]:
    constants = [sorted(map(repr, c)) if isinstance(c, frozenset) else repr(c) for c in code.co_consts if not isinstance(c, types.CodeType)]  # fmt: skip
    return [code.co_code.hex(), constants, code.co_names, code.co_varnames, code.co_freevars]
