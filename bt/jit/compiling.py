"""Compiling functions to machine code, once for each version of them; how they are kept is `libraries`'."""

from __future__ import annotations

import atexit
import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.event import Event, Listener, install_listener
from numba.core.types import unliteral
from numba.extending import intrinsic

from bt.jit.ahead import Ahead
from bt.jit.libraries import KeptPart, KeptWhole, MakingPart, MakingWhole, folder_of, short

Function = TypeVar("Function", bound=Callable[..., Any])
COMPILING = "compiling inner loops (each once for this version of bt and Python; some ten seconds)"
"""What a first start says."""

# Python's last search for garbage goes through all that the compiler and the calendars have made, only to free what ends with the process.
atexit.register(gc.freeze)


def compiled(function: Function, *, cache: bool = True) -> Function:
    """The function, compiled when it is first called; `.py_func` is what was written. Where compiled functions call it, it is `inner`: one that makes arrays
    for them has to be `allocating`."""
    made: Any = numba.njit(nogil=True, error_model="numpy", pipeline_class=MakingWhole, no_cfunc_wrapper=True)(function)  # type: ignore[call-overload]
    part: Any = _part(function, counts=False, cache=cache)
    made.get_call_template, made.get_overload = part.get_call_template, part.get_overload
    made._compilation_chain_init_hook = lambda: None  # noqa: SLF001 - they need no extension of Numba's, and asking who offers one takes time
    if cache:
        made._cache = KeptWhole(function)  # noqa: SLF001 - what njit(cache=True) does with Numba's own
    return cast("Function", made)


def inner(function: Function) -> Function:
    """Likewise one that only compiled functions call and that makes no array: without what a call from Python takes, and without counting who refers to
    the arrays it is handed, which costs more than what most do with them."""
    return _part(function, counts=False)


def allocating(function: Function, *, cache: bool = True) -> Function:
    """Likewise one that makes arrays."""
    return _part(function, counts=True, cache=cache)


def _part(function: Function, *, counts: bool, cache: bool = True) -> Function:
    made: Any = numba.njit(  # type: ignore[call-overload]
        nogil=True,
        error_model="numpy",
        pipeline_class=MakingPart,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
        _nrt=counts,
    )(function)
    if cache:
        made._cache = KeptPart(function)  # noqa: SLF001 - as above
    typed = made.get_call_template
    # Numba would compile a function anew for every constant that it is called with: a status, a reason, a column.
    made.get_call_template = lambda args, kws: typed(
        tuple(_of_any(a) for a in args), {k: _of_any(a) for k, a in kws.items()}
    )
    return cast("Function", made)


def _of_any(kind: Any) -> Any:
    """The type of any value of a constant's type."""
    return unliteral(kind)


@intrinsic
def _prefetch(typing: Any, array: Any, place: Any) -> Any:  # noqa: ARG001
    """As `prefetch`, in LLVM's terms."""

    def lowered(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, given[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(prefetch, [builder.bitcast(builder.gep(data, [given[1]]), byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, place), lowered


LINE = 8
"""Numbers that the processor brings near at once."""

prefetch = cast("Callable[[Any, int], None]", _prefetch)
"""In a compiled function, have the processor bring an element of an array near; the place may be past its end."""


def _forget_others(folder: Path, stamp: str) -> None:
    """Delete what other versions of a package have compiled, in whose files' names its stamp is not, and what writing was broken off of."""
    broken_off = [file for file in folder.glob("*.nb[ic].tmp.*") if _age(file) > ABANDONED]
    for file in [*(file for file in folder.glob("*.nb[ic]") if stamp not in file.name), *broken_off]:
        with suppress(OSError):
            file.unlink()


ABANDONED = 3600.0
"""Seconds after which nobody is writing a file any more."""


def _age(file: Path) -> float:
    """Seconds since a file was written; 0 where it is gone."""
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return 0.0


def _is_ours(dispatcher: Any) -> bool:
    """Whether what Numba compiles is a function of this package's, not a strategy's or a library's."""
    return _pipeline(dispatcher) in (MakingPart, MakingWhole)


def _pipeline(dispatcher: Any) -> Any:
    return getattr(getattr(dispatcher, "_compiler", None), "pipeline_class", None)


class _Saying(Listener):
    """Says once that something is being compiled, forgets what other versions have, and has another process help."""

    def __init__(self, say: Callable[[str], object], helped: Callable[[], Ahead] | None) -> None:
        self._say: Callable[[str], object] | None = say
        self._helped = helped
        self._folders: set[str] = set()
        self.ahead: Ahead | None = None

    def on_start(self, event: Event) -> None:
        dispatcher = event.data["dispatcher"]
        if not _is_ours(dispatcher):  # a strategy may compile what it likes
            return
        say = self._say
        self._say = None
        if say is not None:
            say(COMPILING)
            self.ahead = None if self._helped is None else self._helped()
        if self.ahead is not None and _pipeline(dispatcher) is MakingWhole:
            self.ahead.tell(dispatcher)
        folder = dispatcher._cache.cache_path  # noqa: SLF001 - as above
        if folder is not None and folder not in self._folders:
            self._folders.add(folder)
            _forget_others(Path(folder), short(folder_of(dispatcher.py_func)))

    def on_end(self, event: Event) -> None:
        pass


@contextmanager
def saying(say: Callable[[str], object], helped: Callable[[], Ahead] | None = None) -> Iterator[None]:
    """While this is entered, `say` is told what is going on before the first function is compiled, and `helped` may have another process compile what will be
    asked for later; neither where all are on disk."""
    listener = _Saying(say, helped)
    try:
        with install_listener("numba:compile", listener):
            yield
    finally:
        if listener.ahead is not None:
            listener.ahead.stop()
