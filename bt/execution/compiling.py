"""Compiling the rules of execution to machine code, once for each version of them.

Numba keeps what it has compiled beside the source (or in the user's cache folder where that cannot be written). Its own stamp is of a
function's file alone; the rules use constants and functions of each other's files, so here the stamp is of the whole package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import CacheImpl, InTreeCacheLocator, UserProvidedCacheLocator, UserWideCacheLocator

Function = TypeVar("Function", bound=Callable[..., Any])
FOLDER = Path(__file__).resolve().parent


@cache
def stamp() -> str:
    """What the rules are: a digest of every source file of the package."""
    digest = hashlib.sha256()
    for file in sorted(FOLDER.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


class _OfPackage:
    """Locates the cache of this package's functions: fresh as long as no file of it has changed."""

    def get_source_stamp(self) -> str:
        return stamp()

    @classmethod
    def from_function(cls, function: Any, file: str) -> Any:
        return super().from_function(function, file) if Path(file).parent == FOLDER else None  # type: ignore[misc]


_OURS: list[Any] = [
    type(f"Of{base.__name__}", (_OfPackage, base), {})
    for base in (UserProvidedCacheLocator, InTreeCacheLocator, UserWideCacheLocator)
]
CacheImpl._locator_classes = [*_OURS, *CacheImpl._locator_classes]  # noqa: SLF001 - numba's only seam for it


def compiled(function: Function) -> Function:
    """The function, compiled when it is first called with new types; `.py_func` is what was written."""
    return cast("Function", numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def is_ready(*functions: Any) -> bool:
    """Whether every one of the compiled functions is loaded or on disk: then a first call takes no compiling."""
    return all(f.signatures or f._cache._cache_file._load_index() for f in functions)  # noqa: SLF001 - as above
