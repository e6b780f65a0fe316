"""The columns style read off a strategy: `signals()`, a dict of Polars expressions over the columns of minute bars.

Either one of ``target`` and ``target_percent``, alone, or ``entry``, ``exit``, ``short`` and ``cover`` with ``shares`` and the legs that entries
have: ``stop_loss``, ``take_profit``, ``trail``. What an expression
reads means what a row type's field of that name does.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import polars as pl

from bt.errors import StrategyError
from bt.strategy.fields import Own, RowField, RowType, read_column
from bt.strategy.loading import nearest

LEVELS = ("target", "target_percent")
ENTRIES = ("entry", "short")
EXITS: Mapping[str, str] = {"exit": "entry", "cover": "short"}
"""What closes, and what opens what it closes."""
BOOLEANS = (*ENTRIES, *EXITS)
LEGS = ("stop_loss", "take_profit", "trail")
"""What an entry's legs are made of: two prices and a distance, evaluated on the bar that enters; null is none."""
KEYS = (*LEVELS, *BOOLEANS, "shares", *LEGS)


@dataclass(frozen=True, slots=True)
class Signals:
    """The expressions by signal, those of `columns` alone: of levels one, of entries ``shares``, the booleans and the legs that are there. `reads` has
    the columns that they read as its fields."""

    columns: Mapping[str, pl.Expr]
    reads: RowType

    @property
    def has_legs(self) -> bool:
        """Whether entries have legs."""
        return any(key in self.columns for key in LEGS)

    @property
    def style(self) -> Literal["target", "target_percent", "entries"]:
        """What the expressions say: levels in shares, levels as a fraction of equity, or when to enter and exit."""
        if "target" in self.columns:
            return "target"
        return "target_percent" if "target_percent" in self.columns else "entries"


def read_signals(instance: Any, owner: str, own: Own, *, acts: bool) -> Signals | None:
    """The strategy's signals, None without any. `own` are its columns, `acts` says that it has callbacks or timers too.

    Raises
    ------
    StrategyError
        They are no dict of expressions, or of ones that mean nothing together; or an expression reads what nothing gives.
    """
    if not hasattr(instance, "signals"):
        return None
    where = f"{owner}: signals()"
    given = _given(instance, where)
    for key, expr in given.items():
        _check_key(key, where)
        if key != "shares" and not isinstance(expr, pl.Expr):
            raise StrategyError(
                f"{where}: {key!r} must be a Polars expression, was {expr!r}; write pl.col(...) or pl.lit(...)"
            )
    _check_together(given, where, acts=acts)
    columns = {key: _shares(value, where) if key == "shares" else value for key, value in given.items()}
    found: dict[str, None] = {}
    for key, expr in columns.items():
        found |= dict.fromkeys(_names(expr, f"{where}: {key!r}"))
    fields = tuple(_field(name, columns, own, where) for name in found)
    return Signals(columns, RowType(object, 1, "1m", fields))


def _given(instance: Any, where: str) -> dict[Any, Any]:
    """What `signals()` returns."""
    method = instance.signals
    if not callable(method) or inspect.iscoroutinefunction(method) or inspect.isgeneratorfunction(method):
        raise StrategyError(f"{where} must be a plain method (self), was {method!r}")
    try:
        inspect.signature(method).bind()
    except TypeError:
        raise StrategyError(f"{where} must take (self) alone; write `def signals(self)`") from None
    given = method()
    if not isinstance(given, Mapping) or not given:
        raise StrategyError(
            f"{where} must return a dict of Polars expressions, was {given!r}; its keys are {', '.join(KEYS)}"
        )
    return dict(given)


def _check_key(key: object, where: str) -> None:
    if key not in KEYS:
        hint = nearest(str(key), KEYS) or f"known keys are {', '.join(KEYS)}"
        raise StrategyError(f"{where}: a key must be known, was {key!r}; {hint}")


def _check_together(given: Mapping[str, Any], where: str, *, acts: bool) -> None:
    """Refuse keys that mean nothing beside each other, or without another."""
    level = next((key for key in LEVELS if key in given), None)
    if level is not None:
        if len(given) > 1:
            others = ", ".join(key for key in given if key != level)
            raise StrategyError(
                f"{where}: {level!r} must stand alone, was beside {others}; it already says when to be flat"
            )
        return
    enters = any(key in given for key in ENTRIES)
    if enters != ("shares" in given):
        have, lack = ("entry or short", "shares") if enters else ("shares", "entry or short")
        raise StrategyError(
            f"{where}: {have} must come with {lack}, was without; shares is how many an entry buys or a short sells"
        )
    for key in LEGS:
        if key in given and not enters:
            raise StrategyError(f"{where}: {key!r} must come with entry or short, was without; it ends what they open")
    for key, opens in EXITS.items():
        if key in given and opens not in given and not acts:
            raise StrategyError(
                f"{where}: {key!r} must come with {opens!r}, was without: there is never anything that it closes"
            )


def _shares(given: Any, where: str) -> pl.Expr:
    """How many shares an entry is of, as an expression."""
    if isinstance(given, pl.Expr):
        return given
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise StrategyError(
            f"{where}: 'shares' must be a whole number of at least 1 or a Polars expression, was {given!r}"
        )
    return pl.lit(given, dtype=pl.Int64)


def _names(expr: pl.Expr, at: str) -> list[str]:
    """The columns that an expression reads, each once."""
    if expr.meta.has_multiple_outputs():
        raise StrategyError(f'{at} must be one column made of named ones, was {expr}; name each by pl.col("...")')
    if any(key in ("Over", "Rolling") for key in _nodes(expr)):
        raise StrategyError(
            f"{at} must not use over or rolling(index): it is evaluated symbol by symbol and session by session as it is; leave it out. "
            "bt.cross_rank and its kin compare symbols, bt.feature looks back across sessions"
        )
    return list(dict.fromkeys(expr.meta.root_names()))


def _nodes(expr: pl.Expr) -> Iterator[str]:
    """The kinds of an expression's nodes, as Polars names them (among other keys)."""
    try:
        waiting: list[Any] = [json.loads(expr.meta.serialize(format="json"))]
    except pl.exceptions.PolarsError:  # it calls Python that has no serial form
        yield from ("Over",) if ".over(" in str(expr) else ()
        return
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield from node
        waiting.extend(node.values() if isinstance(node, dict) else node if isinstance(node, list) else ())


def _field(name: str, columns: Mapping[str, pl.Expr], own: Own, where: str) -> RowField:
    key = next(k for k, expr in columns.items() if name in expr.meta.root_names())
    return read_column(name, own, f"{where}: {key!r}, column {name!r}")
