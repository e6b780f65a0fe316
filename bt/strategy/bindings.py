"""What names mean to code when a run begins: all that a strategy's code reads and its text does not say.

Functions and classes are followed from one to the next, wherever they are found: as globals, in closures, in containers and objects. Those of installed
distributions are known by their names, and so are modules, whose texts count where they are local. A value that the text says itself (a literal, a definition, an import)
is left out: what nobody has set from outside adds nothing.
"""

from __future__ import annotations

import ast
import builtins
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bt.strategy.interactive import code_digest
from bt.strategy.reads import Read, home, installed, is_generated, module_name, reads
from bt.strategy.statements import Decorated, Defined, Imported, Stated, Statements
from bt.strategy.values import Code, Known, digest, qualified, tell, untold


class _UnsaidError(LookupError):
    """No text says it."""


@dataclass(frozen=True)
class Texts:
    """Texts that are part of what a strategy is known by.

    Attributes
    ----------
    module : str
        Of the strategy's class; what names it is told without, so that it may lie anywhere.
    statements : mapping
        What the texts state, by module, each read when it is asked for.
    code : list
        Functions and classes that the texts define, beside those of modules in `statements` other than `module`; None: all of `module`.
    """

    module: str = ""
    statements: Mapping[str, Callable[[], Statements]] = field(default_factory=dict)
    code: Iterable[Any] | None = None

    def name(self, thing: Code) -> str:
        """What a function, class or module is called."""
        if isinstance(thing, types.ModuleType):
            return f"module {module_name(thing.__name__)}"
        return f"code {qualified(thing)}" if installed(thing) else self._own(thing.__module__, thing.__qualname__)

    def _own(self, module: str | None, name: str) -> str:
        return f"code {'' if module == self.module else module_name(module)}:{name}"

    def defines(self, thing: type | types.FunctionType) -> bool:
        """Whether a text has the definition of a function or class."""
        if self.code is not None and thing.__module__ == self.module:
            return any(thing is one for one in self.code)
        if isinstance(thing, type):
            return thing.__module__ in self.statements
        return is_generated(thing) or (home(thing) in self.statements and Path(thing.__code__.co_filename).is_file())

    def says(self, read: Read, told: Any) -> bool:
        """Whether a text says of a name that it means what it was told as."""
        try:
            return digest(self._told(read.module, read.scope, read.name, told)) == digest(told)
        except (_UnsaidError, RecursionError):
            return False

    def _told(self, module: str, scope: str, name: str, told: Any = None) -> Any:
        stated_ = self._stated(module, scope, name)
        if isinstance(stated_, Defined):
            return self._own(module, stated_.name)
        if isinstance(stated_, Imported):
            return self._imported(stated_)
        if isinstance(stated_, Decorated):
            if all(self._is_installed(self._stated(module, "", root)) for root in stated_.names):
                return told
            raise _UnsaidError
        return self._expression(module, stated_)

    def _stated(self, module: str, scope: str, name: str) -> Stated:
        found = self.statements[module]().get((scope, name)) if module in self.statements else None
        if found is None:
            raise _UnsaidError
        return found

    def _is_installed(self, stated_: Stated) -> bool:
        loaded = sys.modules.get(stated_.module) if isinstance(stated_, Imported) else None
        return loaded is not None and installed(loaded)

    def _imported(self, what: Imported) -> Any:
        if not what.name:
            return f"module {what.module}"
        if self._is_installed(what):
            return self._installed(what)
        if f"{what.module}.{what.name}" in self.statements:
            return f"module {what.module}.{what.name}"
        return self._told(what.module, "", what.name)

    def _installed(self, what: Imported) -> Any:
        missing = object()
        value = getattr(sys.modules[what.module], what.name, missing)
        if value is missing:
            raise _UnsaidError
        return tell(value, self._known)

    def _known(self, thing: Code) -> str:
        if not installed(thing):
            raise _UnsaidError
        return self.name(thing)

    def _expression(self, module: str, node: ast.expr) -> Any:
        """What a literal is told as, a name that the module states, or a list or tuple of them."""
        try:
            return tell(ast.literal_eval(node), self._known)
        except (ValueError, TypeError):
            pass
        if isinstance(node, ast.List | ast.Tuple):
            return [self._expression(module, one) for one in node.elts]
        if isinstance(node, ast.Name):
            try:
                return self._told(module, "", node.id)
            except _UnsaidError:
                return self._installed(Imported("builtins", node.id)) if hasattr(builtins, node.id) else _raise()
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            of = self._stated(module, "", node.value.id)
            if isinstance(of, Imported) and not of.name:
                return self._imported(Imported(of.module, node.attr))
        raise _UnsaidError


def _raise() -> Any:
    raise _UnsaidError


class Binding(NamedTuple):
    """What code reads and no text says: where, what it is told as, and the read itself; None stands for the code's own text."""

    place: str
    told: Any
    read: Read | None = None


def bindings(thing: type | types.FunctionType, texts: Texts | None = None) -> Iterator[Binding]:
    """What `thing`, and all code that it reaches, reads beside `texts`."""
    known = texts or Texts(thing.__module__ or "")
    names = {id(thing): known.name(thing)}
    waiting = [thing]
    values: Known = {}

    def named(other: Code) -> str:
        if isinstance(other, types.ModuleType) or installed(other):
            return known.name(other)
        if id(other) not in names:
            name = known.name(other)
            taken = sum(1 for one in names.values() if one.partition("#")[0] == name)
            names[id(other)] = f"{name}#{taken + 1}" if taken else name
            waiting.append(other)
        return names[id(other)]

    for one in waiting:  # which grows meanwhile
        place = names[id(one)].removeprefix("code ")
        if not known.defines(one):
            yield Binding(place, code_digest(one))
        for read in reads(one):
            value = _value(read.value, named, values)
            if not known.says(read, value):
                yield Binding(f"{place} {'' if read.scope else module_name(read.module)}.{read.name}", value, read)


def by_place(found: Iterable[Binding]) -> dict[str, Any]:
    """Bindings in JSON's types."""
    return {one.place: one.told for one in found}


def _value(value: Any, code: Callable[[Code], str], known: Known) -> Any:
    try:
        return tell(value, code, known)
    except Exception:  # noqa: BLE001 - what is around a strategy may be anything, and refuse to be looked at
        return untold(value)


def told(value: Any) -> Any:
    """`value` in JSON's types, equal for equal values and not for others, as `tell` has it; functions and classes by their names, and those
    that are not installed by their code and all that it reads too."""
    return tell(value, _called)


def _called(thing: Code) -> str:
    if isinstance(thing, types.ModuleType):
        return f"module {module_name(thing.__name__)}"
    return qualified(thing) if installed(thing) else f"{qualified(thing)}:{digest(by_place(bindings(thing)))[:16]}"
