"""Compiling the rules of execution to machine code, once for each version of them.

Numba keeps what it has compiled beside the source (or in the user's cache folder where that cannot be written). Its own stamp is of a
function's file alone; the rules use constants and functions of each other's files, so here the stamp is of the whole package.
"""

from __future__ import annotations

import atexit
import gc
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import (
    CacheImpl,
    FunctionCache,
    InTreeCacheLocator,
    UserProvidedCacheLocator,
    UserWideCacheLocator,
)
from numba.core.event import Event, Listener, install_listener
from numba.core.runtime.nrt import rtsys
from numba.core.types import unliteral

Function = TypeVar("Function", bound=Callable[..., Any])
FOLDER = Path(__file__).resolve().parent
COMPILING = "compiling the rules of execution (once for this version of bt and Python; some half a minute)"
"""What a first start says."""


@cache
def stamp() -> str:
    """What the rules are: a digest of every source file of the package."""
    digest = hashlib.sha256()
    for file in sorted(FOLDER.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _short() -> str:
    return stamp()[:12]


class _OfPackage:
    """Locates the cache of this package's functions: fresh as long as no file of it has changed."""

    def get_source_stamp(self) -> str:
        return stamp()

    def get_disambiguator(self) -> str:
        """Part of the file's name: what another version has left, which may not load here, is never opened."""
        return f"{super().get_disambiguator()}-{_short()}"  # type: ignore[misc]

    @classmethod
    def from_function(cls, function: Any, file: str) -> Any:
        return super().from_function(function, file) if Path(file).parent == FOLDER else None  # type: ignore[misc]


_OURS: list[Any] = [
    type(f"Of{base.__name__}", (_OfPackage, base), {})
    for base in (UserProvidedCacheLocator, InTreeCacheLocator, UserWideCacheLocator)
]
# Python's last search for garbage goes through all that the compiler and the calendars have made, only to free what ends with the process.
atexit.register(gc.freeze)
CacheImpl._locator_classes = [*_OURS, *CacheImpl._locator_classes]  # noqa: SLF001 - numba's only seam for it


class _Kept(FunctionCache):
    """Loads what was compiled without all that compiling takes: Numba would first import what it knows of NumPy, and of SciPy where that is installed."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What there is for a signature, None for nothing."""
        rtsys.initialize(target_context)  # who counts references
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]


def compiled(function: Function) -> Function:
    """The function, compiled when it is first called; `.py_func` is what was written."""
    return _compiled(function, _nrt=True)


def inner(function: Function) -> Function:
    """Likewise one that only compiled functions call and that makes no array: without what a call from Python takes, and without counting who refers to
    the arrays it is handed, which costs more than what most rules do with them."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=False)


def allocating(function: Function) -> Function:
    """Likewise one that makes arrays."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True, _nrt=True)


def _compiled(function: Function, *, cache: bool = True, **options: bool) -> Function:
    made: Any = numba.njit(nogil=True, error_model="numpy", **options)(function)  # type: ignore[call-overload]
    if cache:
        made._cache = _Kept(function)  # type: ignore[no-untyped-call]  # noqa: SLF001 - what njit(cache=True) does with Numba's own
    typed = made.get_call_template
    # Numba would compile a function anew for every constant that it is called with: a status, a reason, a column.
    made.get_call_template = lambda args, kws: typed(
        tuple(_of_any(a) for a in args), {k: _of_any(a) for k, a in kws.items()}
    )
    return cast("Function", made)


def _of_any(kind: Any) -> Any:
    """The type of any value of a constant's type."""
    return unliteral(kind)  # type: ignore[no-untyped-call]


def _forget_others(folder: Path) -> None:
    """Delete what other versions of the package have compiled."""
    for file in folder.glob("*.nb[ic]"):
        if _short() not in file.name:
            with suppress(OSError):
                file.unlink()


class _Saying(Listener):
    """Says once that something is being compiled."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say: Callable[[str], object] | None = say

    def on_start(self, event: Event) -> None:
        say = self._say
        self._say = None
        if say is not None:
            say(COMPILING)
            folder = event.data["dispatcher"]._cache.cache_path  # noqa: SLF001 - as above
            if folder is not None:
                _forget_others(Path(folder))

    def on_end(self, event: Event) -> None:
        pass


def saying(say: Callable[[str], object]) -> AbstractContextManager[Listener]:
    """While this is entered, `say` is told what is going on before the first function is compiled; never where all are on disk."""
    return cast("AbstractContextManager[Listener]", install_listener("numba:compile", _Saying(say)))
