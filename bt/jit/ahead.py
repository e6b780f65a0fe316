"""Compiling beside who needs it: a process of its own makes what a first start asks for later, while that makes what it asks for now.

It is told names: ``bt.execution.matching.match -- bt.execution.ledger.finish_session -- bt.execution.signalling.play``. First comes what the functions before the dashes are made of, from the last that each calls to the first, where Numba goes from the first to the last: both find on disk what the
other has made, and meet in the middle. Then the functions after the dashes are compiled themselves; after the next dashes it is again what functions are made of. That can be done before anything is called because
every compiled function has one signature, that of its annotations. Whatever it is about, it turns to what the function is made of that it is told is being compiled now.

It is told on its standard input, and ends with that: who started it holds the other end, and whatever becomes of that one, nothing is left running.
"""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba.core import types
from numba.core.dispatcher import Dispatcher

from bt.cores import usable_cores

ROOT = Path(__file__).resolve().parents[2]


START = f"import sys; {str(ROOT)!r} in sys.path or sys.path.insert(0, {str(ROOT)!r}); from {__name__} import main; main(sys.argv[1:])"


def _array(of: Any, dimensions: int = 1) -> Any:
    return types.Array(of, dimensions, "C")


def _read(of: Any) -> Any:
    return types.Array(of, 1, "C", readonly=True)


TYPES: dict[str, Any] = {
    "int": types.int64, "float": types.float64, "bool": types.boolean, "np.uint64": types.uint64,
    "IntArray": _array(types.int64), "FloatArray": _array(types.float64), "BoolArray": _array(types.boolean), "ByteArray": _array(types.uint8), "SmallInts": _array(types.int16),
    "ReadFloats": _read(types.float64), "ReadInts": _read(types.int64), "ReadCodes": _read(types.uint16),
    "IntTable": _array(types.int64, 2), "SmallTable": _array(types.int32, 2), "FloatTable": _array(types.float64, 2), "BoolTable": _array(types.boolean, 2),
    "IntCube": _array(types.int64, 3), "FloatCube": _array(types.float64, 3),
}  # fmt: skip
"""What annotations of compiled functions mean."""


def signature(function: Dispatcher) -> tuple[Any, ...] | None:
    """The types that a function is compiled for; None where it takes any number of arguments.

    Raises
    ------
    KeyError
        A parameter has another annotation than `TYPES` knows.
    """
    parameters = list(inspect.signature(function.py_func).parameters.values())
    if parameters and parameters[-1].kind == inspect.Parameter.VAR_POSITIONAL:
        return None
    return tuple(TYPES[p.annotation] for p in parameters)


def calls(function: Dispatcher) -> list[Dispatcher]:
    """The compiled functions that one calls, in the order in which it first names them."""
    code, known = function.py_func.__code__, function.py_func.__globals__
    return [known[name] for name in code.co_names if isinstance(known.get(name), Dispatcher)]


def parts(function: Dispatcher, seen: set[Dispatcher] | None = None) -> Iterator[Dispatcher]:
    """What a function is made of, from the last that it calls to the first; each comes after what it calls itself."""
    seen = set() if seen is None else seen
    for part in reversed(calls(function)):
        if part not in seen:
            seen.add(part)
            yield from parts(part, seen)
            yield part


def compiled_in_turn(groups: Iterable[Iterable[Dispatcher]], now: deque[str]) -> Iterator[None]:
    """Compile what the functions of a group are made of, then those of the next themselves, and so on, one at a time; nothing where it is on disk already. What those are made of that
    are being compiled `now`, by name, comes first."""
    for number, group in enumerate(groups):
        for function in group:
            for one in [function] if number % 2 else parts(function):
                while now:
                    yield from _made(parts(_named(now.popleft())), now)
                if (types_ := signature(one)) is None:
                    continue
                if number % 2:
                    one.compile(types_)
                else:
                    one.get_call_template(types_, {})
                yield


def _made(some: Iterable[Dispatcher], now: deque[str]) -> Iterator[None]:
    """Compile some parts, until another function is being compiled."""
    for part in some:
        if now:
            return
        if (types_ := signature(part)) is not None:
            part.get_call_template(types_, {})
            yield


class Ahead:
    """Another process that compiles what the functions of a group are made of, then those of the next group themselves, and so on, until it is done or `stop` is called. There is
    none where there is no other core for it."""

    PATIENCE = 2.0
    """Seconds that it has to end what it is about."""

    def __init__(self, *groups: Iterable[Any]) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        if usable_cores() < 2 or not sys.executable or getattr(sys, "frozen", False):
            return
        names = [name for group in groups for name in ("--", *map(_name, group))][1:]
        # Ctrl-C at a terminal is for who started it
        apart: dict[str, Any] = {} if os.name == "nt" else {"process_group": 0}
        with suppress(OSError):  # it is no more than a help
            self._process = subprocess.Popen(  # noqa: S603 - this Python, and names of ours
                [sys.executable, "-P", "-c", START, *names],  # not `-m`, which would look where the user happens to be
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **apart,
            )  # fmt: skip

    def tell(self, function: Dispatcher) -> None:
        """Say what is being compiled now, if it is made of anything."""
        pipe = None if self._process is None else self._process.stdin
        if pipe is not None and calls(function):
            with suppress(OSError, ValueError):  # it has ended, or the pipe is closed
                pipe.write(f"{_name(function)}\n".encode())
                pipe.flush()

    def stop(self) -> None:
        """Nobody waits for it any more."""
        if self._process is None:
            return
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(self.PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _name(function: Dispatcher) -> str:
    return f"{function.py_func.__module__}.{function.py_func.__name__}"


def _named(name: str) -> Dispatcher:
    module, _, function = name.rpartition(".")
    found: Dispatcher = getattr(importlib.import_module(module), function)
    return found


def main(names: Sequence[str]) -> None:
    """Compile what was named until it is done or nobody waits for it."""
    over, now = threading.Event(), deque[str]()

    def listen() -> None:
        try:
            for line in sys.stdin:
                now.append(line.strip())
        finally:
            over.set()

    threading.Thread(target=listen, daemon=True).start()
    groups: list[list[Dispatcher]] = [[]]
    for name in names:
        if name == "--":
            groups.append([])
        else:
            groups[-1].append(_named(name))
    for _ in compiled_in_turn(groups, now):
        if over.is_set():
            return
