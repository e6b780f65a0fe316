"""The values that pass between rooms: schedule, clock, run specification, orders and fills.

All are frozen but ``Clock``, the only thing here with state. Times are int64 UTC microseconds, money is int64 units of
1e-8 of the currency, sessions are tz-naive dates. The room is long because every value that two rooms share has its one
home here; none of them does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from bt.errors import ClockError

Int64Array = npt.NDArray[np.int64]

UNIT = 100_000_000
"""Units of money in one unit of the currency."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(us: int) -> datetime:
    """The aware UTC datetime of `us` microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=us)


# ---------------------------------------------------------------------------------------------------------------- time


@dataclass(frozen=True, slots=True)
class Session:
    """One trading day: ``[open, close)`` in UTC microseconds, its segments and how many minutes it trades.

    `segments` are half-open ``(open, close)`` pairs; a lunch break or a daily halt lies between two of them.
    `early_close` is True on a half day. `minutes` counts minutes inside segments.
    """

    name: date
    open: int
    close: int
    segments: tuple[tuple[int, int], ...]
    early_close: bool
    minutes: int


def slot_times(session: Session) -> Int64Array:
    """The open_time of every minute of the session, UTC microseconds."""
    return np.concatenate([np.arange(o, c, 60_000_000, dtype=np.int64) for o, c in session.segments])


class Column(NamedTuple):
    """Values with a mask of the rows where they are not known (None: all are)."""

    values: npt.NDArray[Any]
    null: npt.NDArray[np.bool_] | None = None


class Traded(NamedTuple):
    """Minute bars sorted by code and time: open_time in UTC microseconds, open and close in currency."""

    code: Int64Array
    open_time: Int64Array
    open: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]


@dataclass(frozen=True)
class PreparedBars:
    """The bars of one interval in one session, sorted by (code, end).

    `end` is the slot count at which a bar is known (a minute bar of slot s ends at s + 1), `begin` the slot at which it starts.
    """

    code: npt.NDArray[np.integer[Any]]
    begin: npt.NDArray[np.integer[Any]]
    end: npt.NDArray[np.integer[Any]]
    columns: Mapping[str, Column]


@dataclass(frozen=True)
class BarHistory:
    """Bars of one interval of some sessions, sorted by code, session and end: rows start[code] to start[code + 1] are a symbol's.

    `key` is session x STRIDE + end, with the session's number in the schedule and the slot count at which the bar is known. `columns` are
    open_time, close_time (UTC microseconds), open, high, low, close, volume.
    """

    STRIDE: ClassVar[int] = 1 << 16

    start: Int64Array
    key: Int64Array
    columns: Mapping[str, npt.NDArray[Any]]

    def begins(self, code: int) -> int:
        """A symbol's first row."""
        return int(self.start[code])

    def since(self, code: int, session: int) -> int:
        """A symbol's first row of session number `session` or later."""
        return self._row(code, session * self.STRIDE, "left")

    def until(self, code: int, session: int, elapsed: int) -> int:
        """The row after a symbol's last that is known when `elapsed` minutes of session number `session` are over."""
        return self._row(code, session * self.STRIDE + elapsed, "right")

    def _row(self, code: int, key: int, side: Literal["left", "right"]) -> int:
        a, b = int(self.start[code]), int(self.start[code + 1])
        return a + int(np.searchsorted(self.key[a:b], key, side=side))


@dataclass(frozen=True)
class PreparedSession:
    """One session, ready to be replayed.

    Attributes
    ----------
    minutes : PreparedBars
        Every good minute bar that was read, with open, close and volume: what fills and marks need.
    shown : mapping of int to PreparedBars
        By interval in minutes, the bars that strategies are shown, with their columns.
    unseen : mapping of int to PreparedBars
        Of intervals that are shown at timers only, every bar, without columns: time steps through their ends all the same.
    closing : mapping of int to float
        A symbol's code to the price stamped at the close, where `close_price = "closing_print"` asks for it.
    histories : mapping of int to BarHistory
        By interval in minutes, what `book.bars` may reach: earlier bars and those of the window.
    members : array or None
        Codes of the session's universe, sorted; None when every symbol is a member.
    ranking : array or None
        The same codes by rank.
    usual : int32 array (minutes, symbols) or None
        Twice the minutes that each symbol usually has by the end of each minute, 0 where not known (`bt.completeness`); None
        where nothing asks for completeness.
    """

    session: Session
    minutes: PreparedBars
    shown: Mapping[int, PreparedBars]
    closing: Mapping[int, float] = field(default_factory=dict)
    members: Int64Array | None = None
    ranking: Int64Array | None = None
    usual: npt.NDArray[np.int32] | None = None
    histories: Mapping[int, BarHistory] = field(default_factory=dict)
    unseen: Mapping[int, PreparedBars] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """The trading sessions of one calendar between two dates, as a frame.

    `frame` has one row per segment, sorted: session (Date), segment (Int32, 0-based), open, close (Datetime us UTC),
    early_close (Boolean). `zone` is the exchange's IANA time zone.
    """

    calendar: str
    zone: str
    frame: pl.DataFrame

    @cached_property
    def segment_open(self) -> Int64Array:
        """Open of every segment, UTC microseconds."""
        return self.frame["open"].to_physical().to_numpy().astype(np.int64)

    @cached_property
    def segment_close(self) -> Int64Array:
        """Close of every segment, UTC microseconds."""
        return self.frame["close"].to_physical().to_numpy().astype(np.int64)

    @cached_property
    def first_segment(self) -> Int64Array:
        """Row of each session's first segment, with the number of rows appended (length n + 1)."""
        first = np.flatnonzero(self.frame["segment"].to_numpy() == 0)
        return np.append(first, self.frame.height).astype(np.int64)

    @cached_property
    def names(self) -> list[date]:
        """The sessions' names, sorted."""
        return self.frame["session"].gather(self.first_segment[:-1]).to_list()

    @cached_property
    def index(self) -> dict[date, int]:
        """Position of each session by name."""
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def open(self) -> Int64Array:
        """Open of every session, UTC microseconds."""
        return self.segment_open[self.first_segment[:-1]]

    @cached_property
    def close(self) -> Int64Array:
        """Close of every session, UTC microseconds."""
        return self.segment_close[self.first_segment[1:] - 1]

    def __len__(self) -> int:
        return len(self.first_segment) - 1

    def session(self, i: int) -> Session:
        """The i-th session."""
        a, b = int(self.first_segment[i]), int(self.first_segment[i + 1])
        segments = tuple((int(o), int(c)) for o, c in zip(self.segment_open[a:b], self.segment_close[a:b], strict=True))
        minutes = sum(c - o for o, c in segments) // 60_000_000
        early = bool(self.frame["early_close"][a])
        return Session(self.names[i], segments[0][0], segments[-1][1], segments, early, minutes)


class Clock:
    """Simulated or real time inside one session. It only moves forward and never past the close.

    Parameters
    ----------
    start, close : int
        UTC microseconds; the clock begins at `start` and `close` is the last instant it can show.

    Raises
    ------
    ClockError
        From `advance`, when time would go backwards or past `close`.
    """

    __slots__ = ("_close", "_now")

    def __init__(self, start: int, close: int) -> None:
        if start > close:
            raise ClockError(f"clock: start must be <= close {instant(close)}, was {instant(start)}")
        self._now = start
        self._close = close

    @property
    def now(self) -> int:
        """The present, UTC microseconds."""
        return self._now

    @property
    def close(self) -> int:
        """The session's close, UTC microseconds."""
        return self._close

    def advance(self, to: int) -> None:
        """Move to `to`, UTC microseconds."""
        if to < self._now:
            raise ClockError(f"clock: time must be >= {instant(self._now)}, was {instant(to)}; it never goes back")
        if to > self._close:
            raise ClockError(f"clock: time must be <= the close {instant(self._close)}, was {instant(to)}")
        self._now = to


# ------------------------------------------------------------------------------------------------- run specification


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
    `symbols` None means all. `timezone` is the zone of naive timestamps, "" refuses them.
    """

    bars: str | MemoryBars
    calendar: str
    symbols: tuple[str, ...] | None = None
    stamp: Literal["start", "end"] = "start"
    timezone: str = ""
    price_decimals: int | Literal["auto"] = "auto"
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """First and last session (both included), sessions per window, and speed (0 as fast as possible).

    `start` may be ``"-60 sessions"``, `end` ``"last"`` or ``"previous"``, until `bt.run.resolved` makes them dates.
    """

    start: date | str
    end: date | str
    prefetch_days: int = 5
    speed: float = 0.0

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
    """How orders become fills. Slippage in basis points of the reference price, commission in currency a share."""

    fill: Literal["next_open", "next_close", "same_close"] = "next_open"
    time_in_force: Literal["day", "gtc"] = "day"
    slippage_bps: float = 0.0
    commission_per_share: float = 0.0
    close_price: Literal["last_bar", "closing_print"] = "last_bar"
    at_end: Literal["mark", "close"] = "mark"


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """Starting cash in currency, and leverage of buying power (0 never refuses for money).

    `cash_per_symbol` is that of each symbol of an independent strategy, 0 an equal part; `shared` gives all strategies one cash.
    """

    cash: float = 1_000_000.0
    leverage: float = 1.0
    cash_per_symbol: float = 0.0
    shared: bool = False


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
class RunSpec:
    """Everything that decides a run's result, resolved: absolute paths, absolute dates."""

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
    source: str = "keywords"


# -------------------------------------------------------------------------------------------------- orders and fills


@dataclass(frozen=True, slots=True)
class Order:
    """What a strategy is told about an order it gave. `shares` is signed; None for a target (then `level`) and for
    exit_at_close. `status` is open, filled, cancelled, expired or rejected."""

    id: int
    symbol: str
    type: Literal["market", "target", "exit_at_close"]
    shares: int | None
    level: int | None
    tif: str
    status: str
    reason: str
    tag: str
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Fill:
    """An execution. `shares` is signed, `price` includes slippage, money is in currency, `time` is UTC."""

    order_id: int
    symbol: str
    time: datetime
    shares: int
    price: float
    reference_price: float
    slippage: float
    commission: float
    position_after: int
    stale_minutes: int
    tag: str


Progress = Callable[[int, int, int], None]
"""Called as ``progress(sessions_done, sessions_total, bars_done)``."""
