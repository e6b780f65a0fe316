"""What decides a run's result: the run specification, table by table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

import polars as pl


@dataclass(frozen=True, slots=True)
class MemoryBars:
    """Bars (or an outside table) in memory, known by the digest of their content. Made by `bt.store.in_memory`."""

    digest: str
    frame: pl.DataFrame = field(compare=False, repr=False)

    def __str__(self) -> str:
        return IN_MEMORY


IN_MEMORY = "bars in memory"
"""What stands for a path where there is no file."""


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Where the bars are and what their columns mean.

    `bars` is an absolute folder, file or glob, or the bars themselves. `columns` maps our names to the files' names where they differ.
    `symbols` None means all. `timezone` is the zone of naive timestamps, "" refuses them. `actions` is a table of corporate actions (an absolute path, or
    the rows themselves), "auto" the store's own, "none" none; `adjust` says of which of them what looks back is in the terms of the session shown.
    `instruments` is likewise a table of what is traded.
    """

    bars: str | MemoryBars
    calendar: str
    symbols: tuple[str, ...] | None = None
    stamp: Literal["start", "end"] = "start"
    timezone: str = ""
    price_decimals: int | Literal["auto"] = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)
    actions: str | MemoryBars = "auto"
    adjust: Literal["splits", "all", "none"] = "splits"
    instruments: str | MemoryBars = "auto"


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """First and last session (both included), sessions per window, and speed (0 as fast as possible).

    `prefetch_given` says whether the user has set `prefetch_days`; else a window of little data has more.
    `start` may be ``"-60 sessions"``, `end` ``"last"`` or ``"previous"``, until `bt.run.resolved` makes them dates.
    """

    start: date | str
    end: date | str
    prefetch_days: int = 5
    speed: float = 0.0
    prefetch_given: bool = False

    @property
    def dates(self) -> tuple[date, date]:
        """First and last session as dates, which they are once resolved."""
        if isinstance(self.start, str) or isinstance(self.end, str):
            raise TypeError(f"session: start and end must be resolved first, were {self.start} and {self.end}")
        return self.start, self.end


@dataclass(frozen=True, slots=True)
class IndicatorSpec:
    """A trailing indicator: `aggregate` of a bar column or expression `of` over `period`, at session or minute."""

    aggregate: str
    of: str
    period: str
    at: Literal["session", "minute"] = "session"
    min_sessions: int = 1


@dataclass(frozen=True, slots=True)
class QualitySpec:
    """Entries are refused while quality (or completeness) as of now is below `minimum` percent, once `after_minutes` have
    passed."""

    minimum: float = 0.0
    gate: Literal["quality", "completeness"] = "quality"
    after_minutes: int = 30


@dataclass(frozen=True, slots=True)
class TableSpec:
    """An outside table: an absolute Parquet file or the rows themselves, its column of symbols (None: every row is about the
    whole market), and the column that says when each row became known."""

    path: str | MemoryBars
    known_at: str
    by: str | None = None


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """One strategy: a name, where its class is (``file.py:Class`` or ``package.module:Class``) or the class or
    instance itself (`use`), its constructor parameters, its starting cash (currency; None takes the account's) and the
    absolute paths of the files it reads, whose content is part of what it is."""

    name: str
    use: Any
    params: Mapping[str, Any] = field(default_factory=dict)
    cash: float | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecutionSpec:
    """How orders become fills. Slippage in basis points of the reference price, commission in currency a share; `participation` is the part of a bar's
    volume that one strategy may fill, 0 for no cap. Commission is in currency a share, or by `commission_tiers` (from so many shares of the calendar month on, currency a share), and in basis
    points of the value; currency an order, and at least so much an order. What pays slippage pays half of a spread too, of `spread_bps` or as it is quoted, and what its volume moves the price: `impact` is the
    coefficient of the square-root law."""

    fill: Literal["next_open", "next_close", "same_close"] = "next_open"
    time_in_force: Literal["day", "gtc"] = "day"
    slippage_bps: float = 0.0
    commission_per_share: float = 0.0
    close_price: Literal["last_bar", "closing_print"] = "last_bar"
    at_end: Literal["mark", "close"] = "mark"
    limit_fill: Literal["trade_through", "touch"] = "trade_through"
    intrabar: Literal["pessimistic", "optimistic"] = "pessimistic"
    participation: float = 0.0
    zero_volume: Literal["fill", "skip"] = "fill"
    spread_bps: float = 0.0
    spread: Literal["assumed", "quotes"] = "assumed"
    impact: float = 0.0
    commission_minimum: float = 0.0
    commission_per_trade: float = 0.0
    commission_bps: float = 0.0
    commission_tiers: tuple[tuple[int, float], ...] = ()

    @property
    def has_costs(self) -> bool:
        """Whether fills cost anything."""
        commission = self.commission_per_share, self.commission_minimum, self.commission_per_trade, self.commission_bps
        slippage = self.slippage_bps, self.spread_bps, self.impact, self.spread == "quotes"
        return any(commission) or any(slippage) or any(rate for _, rate in self.commission_tiers)


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """Starting cash in currency, and leverage of buying power (0 never refuses for money).

    `cash_per_symbol` is that of each symbol of an independent strategy, 0 an equal part; `shared` gives all strategies one cash. Basis points a year are
    paid on the value of shorts (`borrow_bps`) and on cash below 0 (`debit_bps`), and got on cash above 0 (`interest_bps`). With `margin` as of Regulation T calls are told, or met by orders.
    """

    cash: float = 1_000_000.0
    leverage: float = 1.0
    cash_per_symbol: float = 0.0
    shared: bool = False
    borrow_bps: float = 0.0
    interest_bps: float = 0.0
    debit_bps: float = 0.0
    margin: Literal["none", "reg_t"] = "none"
    margin_call: Literal["report", "liquidate"] = "report"

    @property
    def buying_power(self) -> float:
        """Of equity: the leverage, or what an initial margin of 50 % comes to."""
        return 2.0 if self.margin == "reg_t" else self.leverage


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Seed, name, the symbol that metrics compare with ("" for none), and what a fault does."""

    seed: int = 0
    name: str = ""
    benchmark: str = ""
    tolerate_failed: float = 0.0
    on_data_error: Literal["isolate", "raise"] = "isolate"
    on_strategy_error: Literal["raise", "isolate"] = "raise"


@dataclass(frozen=True, slots=True)
class UniverseSpec:
    """Which symbols are members, as of each open: the `top` by an expression, those that meet `where`, or those of a `table` (an
    absolute Parquet path). None and "" mean not given."""

    top: int | None = None
    by: str = ""
    where: str = ""
    table: str = ""
    rebalance: Literal["1d", "1w", "1mo"] = "1d"
    leavers: Literal["hold", "exit"] = "hold"


@dataclass(frozen=True, slots=True)
class ForwardSpec:
    """A walk-forward in sessions: `train` of them to choose by, then `embargo` that nobody sees, then `test`; the next fold begins `step` later.
    `anchored` training begins with the first session always."""

    train: int
    test: int
    step: int
    embargo: int = 1
    anchored: bool = False


@dataclass(frozen=True, slots=True)
class SweepSpec:
    """Parameter sets to try: for each key of `grid` (a parameter or a dotted key) its values, of their combinations those that meet `where`,
    ranked by `choose`; with `walk_forward`, fold by fold."""

    grid: Mapping[str, tuple[Any, ...]]
    where: str = ""
    choose: str = "sharpe"
    walk_forward: ForwardSpec | None = None


@dataclass(frozen=True, slots=True)
class RunSpec:
    """Everything that decides a run's result, resolved: absolute paths, absolute dates. `sweep` decides nothing of it: it says which
    other runs to try."""

    data: DataSpec
    session: SessionSpec
    strategies: tuple[StrategySpec, ...]
    intervals: tuple[str, ...] = ()
    indicators: Mapping[str, IndicatorSpec] = field(default_factory=dict)
    quality: QualitySpec = field(default_factory=QualitySpec)
    tables: Mapping[str, TableSpec] = field(default_factory=dict)
    universe: UniverseSpec | None = None
    execution: ExecutionSpec = field(default_factory=ExecutionSpec)
    account: AccountSpec = field(default_factory=AccountSpec)
    run: RunOptions = field(default_factory=RunOptions)
    threads: int = 0
    workers: int = 1
    output_dir: str = "runs/"
    html: bool = False
    source: str = "keywords"
    sweep: SweepSpec | None = None
