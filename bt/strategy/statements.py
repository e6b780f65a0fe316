"""What a text states: the value, import or definition behind each name, read off without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from bt.strategy.reads import BASES, DECORATED


class Imported(NamedTuple):
    """A module, or what is in it by name."""

    module: str
    name: str = ""


class Defined(NamedTuple):
    """A function or class of the text, by its qualified name."""

    name: str


class Decorated(NamedTuple):
    """A function under decorators that are told nothing but literals, by the names that they start from."""

    names: tuple[str, ...]


Stated = ast.expr | Imported | Defined | Decorated
Statements = Mapping[tuple[str, str], Stated]
"""What a name is made by last, by the qualified name around it ("": the module itself) and the name."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@lru_cache(maxsize=64)
def stated(text: str, package: str = "") -> Statements:
    """The statements of a module's text; relative imports start from `package`."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return {}
    found: dict[tuple[str, str], Stated] = {}
    _look(tree.body, "", package, found)
    return found


def base_of(node: ast.ImportFrom, package: str) -> str:
    """The module that a ``from`` import names."""
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    return ".".join([*above, *([node.module] if node.module else [])])


def _look(body: Iterable[ast.AST], scope: str, package: str, found: dict[tuple[str, str], Stated]) -> None:
    for node in body:
        if isinstance(node, _Function | ast.ClassDef):
            _define(node, scope, package, found)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name, _, deeper = alias.name.partition(".")
                whole = alias.name if alias.asname or not deeper else name
                found[scope, alias.asname or name] = Imported(whole)
        elif isinstance(node, ast.ImportFrom):
            base = base_of(node, package)
            found |= {(scope, alias.asname or alias.name): Imported(base, alias.name) for alias in node.names}
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                found |= {(scope, name): value for name, value in _assigned(target, node.value)}
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None and isinstance(node.target, ast.Name):
                found[scope, node.target.id] = node.value
        else:  # what is within an if, try, with or loop stands in the same scope
            _look(ast.iter_child_nodes(node), scope, package, found)


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """The names that an assignment gives a value each."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, part in zip(target.elts, value.elts, strict=True):
            yield from _assigned(one, part)


def _define(node: _Function | ast.ClassDef, scope: str, package: str, found: dict[tuple[str, str], Stated]) -> None:
    name = f"{scope}.{node.name}" if scope else node.name
    found[scope, node.name] = Defined(name)
    if isinstance(node, ast.ClassDef):
        found[name, BASES] = ast.List(node.bases)
        _look(node.body, name, package, found)
        return
    given = node.args
    taken = [arg.arg for arg in (*given.posonlyargs, *given.args)]
    pairs = [*zip(taken[len(taken) - len(given.defaults) :], given.defaults, strict=True)]
    pairs += [
        (arg.arg, value) for arg, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value is not None
    ]
    found |= {(name, arg): value for arg, value in pairs}
    roots = [_root(decorator) for decorator in node.decorator_list]
    if roots and None not in roots:
        found[name, DECORATED] = Decorated(tuple(root for root in roots if root))
    _look(node.body, f"{name}.<locals>", package, found)


def _root(decorator: ast.expr) -> str | None:
    """The name that a decorator starts from, if it is that, its attribute, or a call of either with literals alone."""
    if isinstance(decorator, ast.Call):
        given = [*decorator.args, *(keyword.value for keyword in decorator.keywords)]
        return _root(decorator.func) if all(isinstance(value, ast.Constant) for value in given) else None
    while isinstance(decorator, ast.Attribute):
        decorator = decorator.value
    return decorator.id if isinstance(decorator, ast.Name) else None
