"""The value a strategy declares: which column, over which bars, behind how much warm-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import StrategyError
from bt.schema import BAR_COLUMNS, OPTIONAL_COLUMNS, interval_minutes

AGGREGATES = ("avg", "max", "min", "sum", "std", "first", "last")

Within = Literal["session"] | None
Predict = Callable[[npt.NDArray[np.float64]], Any]


@dataclass(frozen=True, eq=False)
class Feature:
    """A column over one symbol's bars of `interval`, or over other features; made by the functions of `bt.features`.

    `kind` says how it is evaluated: an ``expression`` on pieces, a ``recursive`` one step by step, a ``window`` or the session so far (``today``) by
    a kernel, ``trailing`` over past sessions; ``of`` another symbol, ``cross`` the universe, a ``ratio``, and a ``score`` work on the
    values of `inputs_`. `aggregate` is the statistic. `bars` and `sessions` are the warm-up it needs: bars of the symbol
    before the first bar shown, or whole sessions. `skip` is how many of the last sessions a trailing one leaves out.
    """

    kind: Literal["expression", "window", "recursive", "today", "trailing", "of", "cross", "ratio", "score"]
    interval: str = "1m"
    within: Within = None
    expr: pl.Expr | None = None
    column: str = ""
    n: int = 0
    bars: int = 0
    sessions: int = 0
    aggregate: str = ""
    period: str = ""
    at: Literal["session", "minute", "cumulative"] = "session"
    min_sessions: int = 1
    skip: int = 0
    symbol: str = ""
    inputs_: tuple[Feature | str, ...] = ()
    predict: Predict | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for two features that are the same column."""
        source: Any = None
        if self.expr is not None:
            try:
                source = self.expr.meta.serialize()
            except pl.exceptions.PolarsError:  # an expression that calls Python has no serial form
                source = id(self.expr)
        return (
            self.kind, self.interval, self.within, source, self.column, self.n, self.bars, self.sessions,
            self.aggregate, self.period, self.at, self.min_sessions, self.skip, self.symbol,
            tuple(i if isinstance(i, str) else i.key for i in self.inputs_),
            None if self.predict is None else id(self.predict),
        )  # fmt: skip

    @property
    def minutes(self) -> int:
        """Length of the interval in minutes; schema.DAY for 1d."""
        return interval_minutes(self.interval)

    @property
    def needs(self) -> tuple[Feature, ...]:
        """The features it is made from; names among its inputs must have been resolved."""
        for one in self.inputs_:
            if isinstance(one, str):
                raise StrategyError(f"{self.kind}: input must be a feature of the strategy, was the name {one!r}")
        return tuple(i for i in self.inputs_ if isinstance(i, Feature))

    def inputs(self) -> tuple[str, ...]:
        """Bar columns it reads, in bar order; closes where an expression reads none, for it has a value of every bar."""
        if self.aggregate == "vwap" and self.kind == "today":
            return ("high", "low", "close", "volume")
        if self.aggregate == "atr":
            return ("high", "low", "close")
        names = [self.column] if self.expr is None else self.expr.meta.root_names()
        return tuple(c for c in (*BAR_COLUMNS, *OPTIONAL_COLUMNS) if c in (names or ("close",)))


def checked(feature: Feature, name: str) -> Feature:
    """The feature, if its interval, its `within` and the columns it names are ones; StrategyError otherwise."""
    check_interval(feature.interval, name)
    check_within(feature.within, name)
    names = [feature.column] if feature.expr is None else feature.expr.meta.root_names()
    for column in names:
        if column not in (*BAR_COLUMNS, *OPTIONAL_COLUMNS):
            raise StrategyError(f"{name}: a column must be one of {', '.join(BAR_COLUMNS)}, was {column!r}")
    return feature


def check_interval(interval: str, name: str) -> None:
    """Refuse what is no interval."""
    try:
        interval_minutes(interval)
    except ValueError:
        raise StrategyError(f'{name}: interval must be like "5m", "1h" or "1d", was {interval!r}') from None


def check_within(within: object, name: str) -> None:
    """Refuse what is neither None nor "session"."""
    if within not in (None, "session"):
        raise StrategyError(f'{name}: within must be None or "session", was {within!r}')


def whole(value: object, name: str, what: str, least: int) -> int:
    """`value` if it is a whole number of at least `least`; StrategyError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise StrategyError(f"{name}: {what} must be a whole number >= {least}, was {value!r}")
    return value
