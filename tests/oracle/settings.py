"""What a backtest is given and what it returns: settings, row types, strategies, result tables."""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

from oracle.account import Commission
from oracle.features import Feature
from oracle.timers import Timer


@dataclass(frozen=True)
class Execution:
    """The [execution] table."""

    fill: str = "next_open"
    time_in_force: str = "day"
    slippage_bps: float = 0.0
    commission_per_share: float = 0.0
    close_price: str = "last_bar"
    at_end: str = "mark"
    limit_fill: str = "trade_through"
    intrabar: str = "pessimistic"
    participation: float = 0.0
    zero_volume: str = "fill"
    spread_bps: float = 0.0
    spread: str = "assumed"
    impact: float = 0.0
    commission_minimum: float = 0.0
    commission_per_trade: float = 0.0
    commission_bps: float = 0.0
    commission_tiers: tuple[tuple[int, float], ...] = ()

    @property
    def commission(self) -> Commission:
        return Commission(
            self.commission_per_share, self.commission_minimum, self.commission_per_trade, self.commission_bps, tuple(self.commission_tiers)
        )  # fmt: skip


@dataclass(frozen=True)
class Account:
    """The [account] table. `start_units`, where given, is the cash instead."""

    cash: float = 1_000_000.0
    leverage: float = 1.0
    shared: bool = False
    start_units: int | None = None
    borrow_bps: float = 0.0
    interest_bps: float = 0.0
    debit_bps: float = 0.0
    margin: str = "none"
    margin_call: str = "report"


@dataclass(frozen=True)
class Gate:
    """The [quality] table."""

    minimum: float = 0.0
    after_minutes: int = 30
    gate: str = "quality"


@dataclass(frozen=True)
class RowType:
    """What one row holds: `fields` by name in order, those that may be None in `optional`, and a feature by field name.

    `make` is called with the fields as keywords. open_time and close_time are microseconds, datetimes where in `dated`.
    Those in `opened` are columns of at_open's frame.
    """

    fields: tuple[str, ...]
    features: Mapping[str, Feature] = field(default_factory=dict)
    optional: frozenset[str] = frozenset()
    interval: str = "1m"
    make: Callable[..., Any] = SimpleNamespace
    dated: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()

    @classmethod
    def of(cls, row: type, features: Mapping[str, Feature] | None = None, *, opened: Sequence[str] = ()) -> RowType:
        """The row type a class declares by its annotations (and `interval`); rows are instances of it."""
        hints = {k: v for k, v in typing.get_type_hints(row).items() if typing.get_origin(v) is not typing.ClassVar}
        interval = getattr(row, "interval", "1m")
        if not isinstance(interval, str):  # a field of that name, which a struct shows as a descriptor
            interval = "1m"
        optional = frozenset(name for name, hint in hints.items() if type(None) in typing.get_args(hint))
        dated = frozenset(name for name, hint in hints.items() if hint is datetime)
        return cls(tuple(hints), dict(features or {}), optional, interval, row, dated, frozenset(opened))


@dataclass(frozen=True)
class Strategy:
    """A strategy's name, the object with the callbacks, its row types, its cash (None: the account's) and its timers, in the
    order in which they are called. `column` makes of a list what the cross-section holds, such as an array. `warm_up` sessions before the
    start are shown to it; all of a backtest must have the same."""

    name: str
    object: Any
    rows: Sequence[RowType] = ()
    cash: float | None = None
    timers: Sequence[Timer] = ()
    column: Callable[[list[Any]], Any] = list
    warm_up: int = 0

    @property
    def timers_alone(self) -> bool:
        """Whether it is shown rows at its timers only."""
        return bool(self.timers) and not (hasattr(self.object, "on_bar") or hasattr(self.object, "on_minute"))


@dataclass
class Result:
    """Tables as lists of dicts, sorted by session, minute, strategy, symbol and id. `guards` counts withheld rows by (session,
    symbol, reason), warming_up included; `iterations` counts the minutes stepped; `ambiguous` has a row for each bar whose two paths
    fill differently, with what the other would have been worth more at its close."""

    fills: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)
    trades: list[dict[str, Any]] = field(default_factory=list)
    equity: list[dict[str, Any]] = field(default_factory=list)
    positions: list[dict[str, Any]] = field(default_factory=list)
    cash: list[dict[str, Any]] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    log: list[dict[str, Any]] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)
    guards: Counter[tuple[date, str, str]] = field(default_factory=Counter)
    bars: int = 0
    iterations: int = 0
    universe: list[dict[str, Any]] = field(default_factory=list)
    finish_reason: str = "end_date"
    cash_units: dict[str, int] = field(default_factory=dict)
    ambiguous: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ambiguous_trades(self) -> Fraction:
        """The share of trades with a fill in an ambiguous bar; 0 without trades."""
        return Fraction(sum(t["ambiguous"] for t in self.trades), len(self.trades) or 1)

    @property
    def net_pnl_units(self) -> int:
        """Equity at the end less at the start, of all strategies."""
        last = {row.get("strategy"): row["equity_units"] for row in self.equity}
        return sum(last.values()) - sum(self.cash_units.values()) if last else 0

    @property
    def net_pnl_other_units(self) -> int:
        """The same, had each ambiguous bar taken its other path (decision 0028)."""
        return self.net_pnl_units + sum(row["other_units"] for row in self.ambiguous)
