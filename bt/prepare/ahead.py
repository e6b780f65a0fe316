"""The next window is prepared while the last one is played."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

from bt.cores import usable_cores

Waiting: TypeAlias = Callable[[], Any]
"""Waits for what was begun, and gives it."""


@contextmanager
def one_ahead(threads: int) -> Iterator[Callable[..., Waiting]]:
    """How the preparing of a window is begun, and waited for: on a thread of its own, unless there is one in all (0: one a core), which does it when it is waited for: two would take
    the core, and the memory near it, from each other."""
    if (threads or usable_cores()) == 1:
        yield partial
        return
    with ThreadPoolExecutor(1, "bt-prefetch") as pool:
        begun: list[Future[Any]] = []

        def begin(prepare: Callable[..., Any], *given: object) -> Waiting:
            begun[:] = [pool.submit(prepare, *given)]
            return partial(_patiently, begun)

        try:
            yield begin
        finally:
            for future in begun:
                future.cancel()


def _patiently(begun: list[Future[Any]]) -> Any:
    """The future's result, which is let go; waits in short steps so that an interrupt is noticed."""
    future = begun.pop()
    while True:
        try:
            return future.result(timeout=0.5)
        except TimeoutError:
            if future.done():
                raise
