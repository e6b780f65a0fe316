"""What a strategy's code is: its source, the local modules it imports, and one hash of both.

A local module is one whose file lies in the strategy's folder or package, or in the working directory, and belongs to
no installed distribution. Imports are read off the source, those inside functions too, from module to module; a module
that is imported by a computed name is not seen (name it in `files`). A class without a file, of a notebook's cell or a
prompt, is `bt.strategy.interactive`'s.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from bt.errors import StrategyError
from bt.strategy.bindings import Binding, Texts, bindings, by_place
from bt.strategy.interactive import gather
from bt.strategy.neighbours import is_imported
from bt.strategy.reads import OWN, library
from bt.strategy.statements import Statements, base_of, stated
from bt.strategy.values import digest, is_plain


@dataclass(frozen=True, slots=True)
class Source:
    """A strategy's code.

    Attributes
    ----------
    text : str
        The source of its module; of a class without a file, its definition and those it uses.
    modules : mapping
        The local modules it imports, by name, with the SHA-256 of their content.
    hash : str
        SHA-256 in hex of the text, the modules' names and content, and what names in them mean where the text does not say it
        (`bt.strategy.bindings`); where they lie does not matter.
    settings : sequence
        Plain values among these that are attributes of modules and classes which another process would import anew, each with its owner and name.
    """

    text: str
    modules: Mapping[str, str] = field(default_factory=dict)
    hash: str = ""
    settings: Sequence[tuple[types.ModuleType | type, str, Any]] = ()


CARRIED: WeakKeyDictionary[type, Source] = WeakKeyDictionary()
"""The code of classes that came from another process, as it was known there."""


def remember(sources: Iterable[tuple[type, Source]]) -> None:
    """Know the code of classes that came from another process, and set what was set there in what is imported here."""
    for cls, source in sources:
        CARRIED[cls] = replace(source, settings=())
        for owner, name, value in source.settings:
            setattr(owner, name, value)


def source_of(cls: type) -> Source:
    """The code of the strategy class `cls`."""
    if cls in CARRIED:
        return CARRIED[cls]
    file = file_of(cls)
    if file is not None:
        text, package = file.read_text(encoding="utf-8", errors="replace"), _package(cls, file)
        modules, code = _imported(file, text, package), None
    else:
        gathered, here, package = gather(cls), Path.cwd(), ""
        text, code, modules = gathered.text, gathered.code, {}
        for name in sorted(gathered.modules):
            modules |= _reached(name, here)
    statements = {name: partial(_stated, name, path) for name, path in modules.items()}
    statements[cls.__module__] = partial(stated, text, package)
    found = list(bindings(cls, Texts(cls.__module__, statements, code)))
    contents = {name: _digest_of(path) for name, path in sorted(modules.items())}
    own, values = hashlib.sha256(text.encode()).hexdigest(), by_place(found)
    whole = digest([own, contents, values]) if contents or values else own
    return Source(text, contents, whole, tuple(_settings(found)))


def _settings(found: Iterable[Binding]) -> Iterator[tuple[types.ModuleType | type, str, Any]]:
    for binding in found:
        read = binding.read
        if read is not None and read.owner is not None and is_plain(read.value) and is_imported(read.owner):
            yield read.owner, read.name, read.value


def _stated(name: str, path: Path) -> Statements:
    """What a local module's text states."""
    return stated(_text(path), _inner(name, path))


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.suffix == ".py" else ""


def _inner(name: str, path: Path) -> str:
    """The package that a module's relative imports start from."""
    return name if path.name == "__init__.py" else name.rpartition(".")[0]


def files_hash(source_hash: str, files: Iterable[str]) -> str:
    """The hash of a strategy's code and of the content of its `files`, in the order in which they are named.

    Raises
    ------
    StrategyError
        A file cannot be read.
    """
    contents = [_digest_of(Path(file)) for file in files]
    return digest([source_hash, contents]) if contents else source_hash


def file_of(cls: type) -> Path | None:
    """The file in which a class is written, None where it is in none."""
    module = sys.modules.get(cls.__module__)
    names = [getattr(module, "__file__", None), *(code.co_filename for code in _codes(cls))]
    for name in names:
        if name and Path(name).is_file():
            return Path(name).resolve()
    return None


def _codes(cls: type) -> Iterator[types.CodeType]:
    for value in vars(cls).values():
        function = getattr(value, "__func__", value)
        if isinstance(function, types.FunctionType) and function.__module__ == cls.__module__:
            yield function.__code__


def _digest_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StrategyError(f"{path}: file of a strategy must be readable, was not: {error.strerror}") from error


# ------------------------------------------------------------------------------------------------------ local modules


def _package(cls: type, file: Path) -> str:
    """The package that relative imports of a class's module start from."""
    module = sys.modules.get(cls.__module__)
    if module is not None and getattr(module, "__file__", None) == str(file):
        return module.__package__ or ""
    return cls.__module__.rpartition(".")[0]


def _home(file: Path) -> Path:
    """The folder of a file, or of the outermost package it is in."""
    home = file.parent
    while (home / "__init__.py").is_file() and (home.parent / "__init__.py").is_file():
        home = home.parent
    return home


def _imported(file: Path, text: str, package: str) -> dict[str, Path]:
    """The local modules that a file imports, directly or through others, by name."""
    near = _near(_home(file))
    found: dict[str, Path] = {}
    apart: set[str] = set()
    waiting = [(text, package)]
    while waiting:
        code, base = waiting.pop()
        for name in _named(code, base):
            if name in found or name.rpartition(".")[0] in apart:
                apart |= {name} - found.keys()
                continue
            origin = _origin(name, file.parent)
            path = _local(origin, near)
            if path is None and origin:
                apart.add(name)  # what is in a package that is not local is not local
            if path is None or path == file:
                continue
            found[name] = path
            if path.suffix == ".py":
                waiting.append((_text(path), _inner(name, path)))
    return found


def _reached(name: str, home: Path) -> dict[str, Path]:
    """The local module `name` and those it imports."""
    path = _local(_origin(name, home), _near(home))
    if path is None:
        return {}
    return {name: path, **_imported(path, _text(path), _inner(name, path))}


@lru_cache(maxsize=256)
def _named(text: str, package: str) -> tuple[str, ...]:
    """Every module that a source names in an import, with the packages around it."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ()
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = base_of(node, package)
            names += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    whole: dict[str, None] = {}
    for name in names:
        parts = name.strip(".").split(".")
        whole |= {".".join(parts[:n]): None for n in range(1, len(parts) + 1)}
    return tuple(name for name in whole if name and name.partition(".")[0] != OWN)


def _origin(name: str, beside: Path) -> str | None:
    """The file that an import of `name` would load, without importing it; None where there is none."""
    loaded = sys.modules.get(name)
    return _found(name, [str(beside), *sys.path]) if loaded is None else getattr(loaded, "__file__", None)


def _near(home: Path) -> tuple[Path, Path]:
    """The folders whose modules are local: a strategy's own and the working directory."""
    return home.resolve(), Path.cwd().resolve()


def _local(origin: str | None, near: tuple[Path, Path]) -> Path | None:
    """The file of a module if it is local: in one of the folders that are `near`."""
    if not origin or not Path(origin).is_file():
        return None
    path = Path(origin).resolve()
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    around = set(path.parents)
    return path if not installed and library() not in around and not around.isdisjoint(near) else None


def _found(name: str, places: list[str]) -> str | None:
    """The file that an import of `name` would load, looked for in `places`."""
    origin = None
    parts = name.split(".")
    for n in range(1, len(parts) + 1):
        try:
            spec = PathFinder.find_spec(".".join(parts[:n]), places)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        origin = spec.origin if spec.has_location else None
        places = list(spec.submodule_search_locations or [])
    return origin
