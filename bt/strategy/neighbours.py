"""The modules beside a strategy's file, which are its own: imported at its top, in a callback, from one another, and in other processes."""

from __future__ import annotations

import builtins
import importlib
import sys
import threading
import types
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

LOADED = "bt_strategy_"
"""Names of modules that were loaded from a strategy's file begin with it."""

_IMPORTING = threading.RLock()
"""Held while a neighbour is imported: models may be called on another thread than the strategy."""

_EVERY: WeakValueDictionary[str, Neighbours] = WeakValueDictionary()
"""Those of all files loaded in this process, and of those that came from others, by key."""


class Neighbours:
    """The modules in the folder of one strategy's file, as its code and theirs import them.

    Another strategy's ``helper.py`` is another module, so none stays in ``sys.modules``: `imported` stands for ``__import__`` in the file
    and in its neighbours, and has them there while it works.
    """

    def __init__(self, folder: Path, key: str = "") -> None:
        self._folder = folder
        self._key = key or uuid.uuid4().hex
        self._own: dict[str, types.ModuleType] = {}
        self._known: dict[str, bool] = {}
        self._depth = 0
        self.builtins = {**vars(builtins), "__import__": self.imported}
        self._finder = _Finder(folder, self.builtins)
        _EVERY[self._key] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return neighbours, (str(self._folder), self._key)

    def imported(self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:  # noqa: A002
        """``__import__`` of the strategy's file and its neighbours."""
        of = (globals or {}).get("__package__") or "" if level else name
        if not self._is_beside(of.partition(".")[0]):
            return builtins.__import__(name, globals, locals, fromlist, level)
        with self.present():
            return builtins.__import__(name, globals, locals, fromlist, level)

    def module(self, name: str) -> types.ModuleType:
        """A neighbour by its whole name."""
        with self.present():
            return importlib.import_module(name)

    def own(self, name: str) -> types.ModuleType | None:
        """A neighbour that has been imported."""
        return self._own.get(name)

    @contextmanager
    def present(self) -> Iterator[None]:
        """Python knows the neighbours meanwhile."""
        with _IMPORTING:
            if self._depth:  # a neighbour imports another
                yield
                return
            before, self._depth = set(sys.modules), 1
            sys.modules.update({n: m for n, m in self._own.items() if n not in sys.modules})
            at = sys.meta_path.index(PathFinder) if PathFinder in sys.meta_path else len(sys.meta_path)
            sys.meta_path.insert(at, self._finder)
            importlib.invalidate_caches()
            try:
                yield
            finally:
                self._depth = 0
                sys.meta_path.remove(self._finder)
                ours = {name for name in set(sys.modules) - before if name.partition(".")[0] in self._finder.tops}
                self._own.update({name: sys.modules.pop(name) for name in ours})

    def place(self, thing: Any) -> tuple[str, str] | None:
        """The neighbour that a module, class or function is (in), and its name there; None if it is in none."""
        if isinstance(thing, types.ModuleType):
            return (thing.__name__, "") if self._own.get(thing.__name__) is thing else None
        found: Any = self._own.get(getattr(thing, "__module__", None) or "")
        if found is None:
            return None
        for part in thing.__qualname__.split("."):
            found = getattr(found, part, None)
        return (thing.__module__, thing.__qualname__) if found is thing else None

    def _is_beside(self, top: str) -> bool:
        """Whether a name is that of a neighbour; what Python has loaded already goes before."""
        if top in self._finder.tops:
            return True
        if top not in self._known:
            found = top and top not in sys.modules and PathFinder.find_spec(top, [str(self._folder)])
            self._known[top] = bool(found)
        return self._known[top]


class _Finder:
    """Finds modules in a folder, and those in packages there (`tops`); what they import is looked for there too, whenever they do."""

    def __init__(self, folder: Path, own: dict[str, Any]) -> None:
        self._folder, self._builtins = folder, own
        self.tops: set[str] = set()

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """As importlib asks."""
        if path is not None and name.partition(".")[0] not in self.tops:
            return None
        spec = PathFinder.find_spec(name, [str(self._folder)] if path is None else path, target)
        if spec is not None and path is None:
            self.tops.add(name)
        if spec is not None and type(spec.loader) is SourceFileLoader and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin, self._builtins)
        return spec


class SourceLoader(SourceFileLoader):
    """Loads what a file says now. What Python keeps compiled counts as the same file's for a second, if it is as long."""

    def get_code(self, fullname: str) -> types.CodeType:
        """As importlib asks; nothing is kept."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _Loader(SourceLoader):
    def __init__(self, name: str, path: str, own: dict[str, Any]) -> None:
        super().__init__(name, path)
        self._builtins = own

    def exec_module(self, module: types.ModuleType) -> None:
        """Run the module's code, which has the file's own ``__import__``."""
        module.__dict__["__builtins__"] = self._builtins
        super().exec_module(module)


def neighbours(folder: str, key: str) -> Neighbours:
    """Those that another process knows by `key`: once a process."""
    with _IMPORTING:
        return _EVERY.get(key) or Neighbours(Path(folder), key)


def found(beside: Neighbours, module: str, name: str) -> Any:
    """A neighbour, or what is in it by its qualified name."""
    thing: Any = beside.module(module)
    for part in name.split(".") if name else ():
        thing = getattr(thing, part)
    return thing


def by_reference(thing: Any) -> tuple[Any, ...] | None:
    """How a neighbour, or a class or function in one, is pickled: where to import it from; None for anything else."""
    for beside in list(_EVERY.values()):
        if place := beside.place(thing):
            return found, (beside, *place)
    return None


def module_of(namespace: dict[str, Any]) -> types.ModuleType | None:
    """The module that globals are those of, a neighbour or anybody's; None if they are of none."""
    name, own = namespace.get("__name__", ""), namespace.get("__builtins__")
    beside = getattr(own.get("__import__"), "__self__", None) if isinstance(own, dict) else None
    mine = beside.own(name) if isinstance(beside, Neighbours) else None
    return next((m for m in (mine, sys.modules.get(name)) if m is not None and vars(m) is namespace), None)


def is_imported(thing: types.ModuleType | type) -> bool:
    """Whether another process would import a module or class, rather than be told what it is made of."""
    if by_reference(thing) is not None:
        return True
    name, *parts = (thing.__module__, *thing.__qualname__.split(".")) if isinstance(thing, type) else (thing.__name__,)
    here: Any = None if name == "__main__" or name.startswith(LOADED) else sys.modules.get(name)
    for part in parts:
        here = getattr(here, part, None)
    return here is thing


def with_imports(function: types.FunctionType, reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """What cloudpickle makes of a function, to be made with the ``__import__`` of its file where it has one of its own."""
    own = function.__globals__.get("__builtins__")
    beside = getattr(own.get("__import__"), "__self__", None) if isinstance(own, dict) else None
    return (_made, (beside, *reduced[1]), *reduced[2:]) if isinstance(beside, Neighbours) else reduced


def _made(beside: Neighbours, code: types.CodeType, namespace: dict[str, Any], *more: Any) -> types.FunctionType:
    """A function that imports as its file does."""
    namespace["__builtins__"] = beside.builtins
    return types.FunctionType(code, namespace, *more)
