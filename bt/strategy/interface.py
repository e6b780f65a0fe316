"""What strategies are written against: `Row`, and what callbacks are handed, `Book`, `Rows` and a session's date."""

from __future__ import annotations

import datetime as dt
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from bt.model import Order, Session, instant


@typing.dataclass_transform(frozen_default=True)
class Row(msgspec.Struct, frozen=True, gc=False):
    """Base of row types: an immutable row whose annotated fields are the columns read, computed and shown.

    ``interval = "5m"`` on the class asks for bars of 5 minutes; the default is 1 minute.
    """


class Rows(Protocol):
    """One moment of the session's universe, symbols always in the same order. Arrays are read-only and end at now.

    Every declared float, int or bool field is an attribute: a float64 array, NaN where the symbol has no bar this minute. Fields that
    are the same for every symbol (session, minute, minutes_left, open_time, close_time, local_time, interval) are plain values.

    Attributes
    ----------
    symbol : tuple of str
        The universe's symbols, and those held that have left it.
    code : int64 array
        Their numbers among the run's symbols.
    fresh : bool array
        Whether a bar of the symbol ends now.
    age : float64 array
        Minutes since the end of its last bar by the clock, 0 where fresh, NaN before its first.
    position : int64 array
        Signed shares held.
    """

    symbol: tuple[str, ...]
    code: npt.NDArray[np.int64]
    fresh: npt.NDArray[np.bool_]
    position: npt.NDArray[np.int64]

    @property
    def age(self) -> npt.NDArray[np.float64]:
        """Minutes since the end of each symbol's last bar."""

    def __len__(self) -> int: ...
    def __getattr__(self, name: str) -> Any: ...
    def take(self, which: Sequence[str] | npt.ArrayLike) -> Rows:
        """The rows of some symbols: their names, their positions, or a boolean mask."""

    def matrix(self, *names: str) -> npt.NDArray[np.float64]:
        """Columns side by side, (symbols, names); a copy."""


class SessionDay(dt.date):
    """What on_session_start and on_session_end are told: the session's date, which also knows its hours.

    `open` and `close` are aware UTC datetimes, `early_close` is True on a half day, `minutes` counts minutes of session.
    """

    open: dt.datetime
    close: dt.datetime
    early_close: bool
    minutes: int


def hours(session: Session) -> SessionDay:
    """A session as callbacks are told of it."""
    day = SessionDay(session.name.year, session.name.month, session.name.day)
    day.open, day.close = instant(session.open), instant(session.close)
    day.early_close, day.minutes = session.early_close, session.minutes
    return day


@dataclass(frozen=True, slots=True)
class Holding:
    """A position. Prices and money in currency (NaN and at cost until the symbol has shown a close); `value` is of all shares, with the multiplier of an instrument; `opened` is the UTC time of the fill that opened it;
    `bars_held` counts the symbol's bars shown since."""

    symbol: str
    shares: int
    avg_price: float
    price: float
    value: float
    unrealized_pnl: float
    realized_pnl: float
    opened: dt.datetime
    bars_held: int


@dataclass(frozen=True, slots=True)
class PastBars:
    """Bars of one symbol as read-only arrays, oldest first: times in UTC microseconds, prices, volume."""

    open_time: npt.NDArray[np.int64]
    close_time: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[Any]

    def __len__(self) -> int:
        return len(self.close)


class Book(Protocol):
    """A strategy's account and its orders. Money is in currency, shares are whole and signed, times are UTC.

    Raises
    ------
    StrategyError
        By every method: what it is given cannot be, such as a symbol that is none (the nearest is named), shares that are not whole, a price that is not finite, a
        `history` that is not declared, or a question that a strategy with ``independent = True`` may not ask. It ends the run as any error of a strategy does
        (`StrategyRaised`). An order that is merely refused raises nothing: `on_order` tells its reason.
    """

    @property
    def now(self) -> dt.datetime:
        """The present."""

    @property
    def session(self) -> dt.date:
        """The name of the session."""

    @property
    def trading(self) -> bool:
        """Whether orders are taken: not while the strategy warms up."""

    @property
    def cash(self) -> float:
        """Cash; below 0 while futures are held that are worth more, for which nothing is owed."""

    @property
    def equity(self) -> float:
        """Cash plus positions at the last closes shown."""

    @property
    def buying_power(self) -> float:
        """leverage x equity - gross (of an instrument with a margin that, instead of its value) - reservations of live orders; inf when leverage is 0."""

    @property
    def gross(self) -> float:
        """Sum of the absolute values of the positions."""

    @property
    def net(self) -> float:
        """Sum of the signed values of the positions."""

    @property
    def session_pnl(self) -> float:
        """Equity now minus equity at the session's open."""

    @property
    def holdings(self) -> dict[str, Holding]:
        """Every position held, by symbol."""

    @property
    def rng(self) -> np.random.Generator:
        """A generator seeded from the run's seed, the strategy, the session (in on_bar also symbol and minute, then it lasts for the minute)."""

    def order(  # noqa: PLR0913 - all that an order may be
        self,
        symbol: str,
        shares: int,
        *,
        limit: float | None = None,
        stop: float | None = None,
        trail: float | None = None,
        at: str | None = None,
        tif: str | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        trailing_loss: float | None = None,
        oco: int | None = None,
        tag: str = "",
    ) -> int:
        """An order for signed `shares`; its id, also where it is refused. What a bar fills: docs/fills.md.

        Parameters
        ----------
        limit, stop, trail : float, optional
            A limit, a stop, both, or a stop that trails the best price by that distance; none: a market order.
        at : str, optional
            "open" or "close": a market order for the next session's open, or this session's close.
        tif : str, optional
            "day", "gtc" or "ioc" (the next minute alone), default the configuration's.
        stop_loss, take_profit, trailing_loss : float, optional
            Legs on the other side, live for what the order fills: two prices, and the distance of a stop that trails.
        oco : int, optional
            A live order of the symbol: the first of the group that fills ends the others.
        """

    def replace(
        self,
        id: int,
        *,
        shares: int | None = None,
        limit: float | None = None,
        stop: float | None = None,
        trail: float | None = None,
    ) -> int:
        """Change a live order: it ends, and its successor's id is returned; 0 if it was not live. If the successor is refused, the old one stays."""

    def target(  # noqa: PLR0917 - keyword-only parameters are slower to call, and this is called for every row
        self,
        symbol: str,
        shares: int,
        tag: str = "",
        stop_loss: float | None = None,
        take_profit: float | None = None,
        trailing_loss: float | None = None,
    ) -> None:
        """A level of signed `shares` to hold; may be set every minute and never doubles. With legs that protect what is held, as of `order`."""

    def target_percent(self, symbol: str, fraction: float, tag: str = "") -> None:
        """A level worth a fraction of equity (0.10 is 10 %) at the last close shown, cut toward zero to whole shares now."""

    def target_value(self, symbol: str, money: float, tag: str = "") -> None:
        """A level worth `money` (currency) at the last close shown, cut toward zero to whole shares now."""

    def target_risk(self, symbol: str, fraction: float, stop: float, tag: str = "") -> None:
        """A level that loses `fraction` of equity (0.01 is 1 %) between the last close shown and `stop`, cut toward zero to whole shares now: long
        if the stop is below that close, short if above. It has a stop_loss there."""

    def targets(
        self,
        rows: Rows,
        *,
        shares: npt.ArrayLike | None = None,
        percent: npt.ArrayLike | None = None,
        value: npt.ArrayLike | None = None,
        others: str = "keep",
        tag: str = "",
    ) -> None:
        """A target for each of `rows`: one of the three arrays, an entry a row; NaN is no decision.

        `others` is what happens without a decision, in the rows or outside them: "keep" nothing, "flat" a target of 0.
        """

    def cancel(self, id: int | None = None, *, symbol: str | None = None) -> bool:
        """Cancel one order, or all of a symbol's; whether any was live. An exit_at_close of everything then leaves the symbol out."""

    def exit_at_close(self, symbol: str | None = None, minutes_before: int = 0) -> None:
        """Be flat at the session's close, in `symbol` or in everything held: then it is an order of the symbol ""."""

    def position(self, symbol: str) -> int:
        """Signed shares held, filled ones only; 0 if none."""

    def holding(self, symbol: str) -> Holding | None:
        """The position in detail, or None."""

    def open_orders(self, symbol: str | None = None) -> list[Order]:
        """Live orders, by id; of a symbol also an exit_at_close of everything."""

    def price(self, symbol: str) -> float | None:
        """The last close shown, or None."""

    def bars(self, symbol: str, n: int, interval: str = "1m") -> PastBars:
        """The symbol's last `n` bars that have ended by now, across sessions; fewer where its data begins later.

        `history` on the class declares how far back an interval reaches: ``{"1m": 200, "15m": "20d"}``.
        """

    def age(self, symbol: str) -> float:
        """Minutes by the clock since the end of the symbol's last bar shown; NaN before its first."""

    def record(self, **values: float) -> None:
        """Keep named numbers with the time: the table `records`."""

    def log(self, message: str, **fields: Any) -> None:
        """Keep a message with the time: the table `log`."""

    def stop(self, reason: str) -> None:
        """End the run after this minute; finish_reason stopped."""


class Past(Protocol):
    """What `at_open` is handed beside the session: bars of earlier sessions, never of the one that opens."""

    def __call__(
        self, interval: str, sessions: int, columns: str | Sequence[str] = ("open", "high", "low", "close", "volume")
    ) -> pl.DataFrame:
        """The bars of the `sessions` calendar sessions before this one, as far as the data goes back.

        Parameters
        ----------
        interval : str
            "1m", "15m", "1d" ...
        sessions : int
            At least 1; a session without bars counts.
        columns : str or sequence of str
            open, high, low, close, volume; of minute bars also vwap and n_trades where the data has them.

        Returns
        -------
        DataFrame
            symbol (String), session (Date), open_time and close_time (Datetime us UTC), then `columns`; sorted by symbol and
            time. With a universe, the symbols of this session's.

        Raises
        ------
        StrategyError
            Something else is asked for, or at_open is over.
        """


class Strategy(Protocol):
    """Any class with some of these; nothing is inherited. Rows need `row`; a strategy with `signals` alone, or with timers alone, does without.

    Attributes
    ----------
    row : type or tuple of types
        The row types it is shown, finest first; their fields are the projection (`bt.Row`).
    history : mapping of str to int or str
        How far `book.bars` reaches back, by interval: ``{"1m": 200, "15m": "20d"}``.
    universe : Universe
        ``bt.top(...)`` or ``bt.members(...)``: who is shown, as of each open.
    warm_up : str
        Sessions that are shown before the start without trading: ``"5d"``.
    independent : bool
        True promises that what is done in a symbol depends on that symbol alone; then symbols may be divided among workers.

    Notes
    -----
    Methods, each optional. A session is a `bt.Session`, `rows` the cross-section of a minute (`bt.Rows`), `book` a `bt.Book`.

    ``features() -> dict[str, bt.Feature]``
        Columns that are computed, by the name of their field.
    ``signals() -> dict[str, pl.Expr]``
        Columns style, decided at every bar's close: `target` or `target_percent`, or `entry`, `exit`, `short`, `cover` with `shares`, `stop_loss`, `take_profit`,
        `trail`; null is no decision.
    ``at_open(session, past) -> DataFrame or None``
        Before a session: bars of earlier ones (`bt.Past`); the frame becomes fields by symbol.
    ``on_session_start(session, book)``, ``on_session_end(session, book)``
        Before the open, whose orders meet the first bar's open, and at the close.
    ``on_bar(row, book)``
        Each finished bar, by symbol.
    ``on_minute(rows, book)``
        Each minute with a bar, after every `on_bar`.
    methods ``(rows, book)`` under `bt.every` or `bt.at`
        By the exchange's clock, half days included.
    ``on_fill(fill, book)``, ``on_order(order, book)``
        A `bt.Fill`; a `bt.Order` that was refused, expired or cancelled, with its reason.
    """
