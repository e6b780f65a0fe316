"""Symbols that are no candidates and are read along, because features of others look at them (`bt.of`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from bt.errors import StrategyError, UsageError
from bt.store import Store

Mask = npt.NDArray[np.bool_]


@contextmanager
def reading_along(store: Store, asked: Sequence[str], *, threads: int = 0) -> Iterator[Store]:
    """The store with those of the symbols `asked` that are not among its own after them; the store itself where all are.

    Raises
    ------
    StrategyError
        The data has no such symbol.
    """
    along = sorted(set(asked) - set(store.symbols))
    if not along:
        yield store
        return
    try:
        wider = Store.open(store.data, threads=threads, along=along)
    except UsageError as error:
        raise StrategyError(str(error)) from None
    try:
        yield wider
    finally:
        wider.close()


def candidates(store: Store, sessions: int) -> Mask | None:
    """The symbols of each session that are not only read along (sessions, symbols); None where all are."""
    if not store.along:
        return None
    return np.arange(len(store.symbols)) < np.full((sessions, 1), store.candidates)
