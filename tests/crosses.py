"""The strategies of the equality suite, written once for bt and for the oracle."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable
from datetime import date
from typing import Any, ClassVar

import oracle as o
import polars as pl

import bt


class Crossing(bt.Row):
    """Two means of a symbol, as known when the minute ends."""

    symbol: str
    open_time: int
    fast: float | None
    slow: float | None


class Cross:
    """Long 100 shares while the fast mean is above the slow one; a tie keeps what is held. From `flat_us` on wants to be flat."""

    row = Crossing
    fast: ClassVar[tuple[int, str]] = (10, "1m")
    slow: ClassVar[tuple[int, str]] = (30, "1m")

    def __init__(self, flat_us: int) -> None:
        self.flat_us = flat_us

    def features(self) -> dict[str, bt.Feature]:
        return {k: bt.sma("close", n, interval=i) for k, (n, i) in (("fast", self.fast), ("slow", self.slow))}

    def judged(self) -> dict[str, Any]:
        return {k: o.sma("close", n, interval=i) for k, (n, i) in (("fast", self.fast), ("slow", self.slow))}

    def on_bar(self, row: Crossing, book: bt.Book) -> None:
        if row.open_time >= self.flat_us:
            book.target(row.symbol, 0)
        elif row.fast is not None and row.slow is not None and row.fast != row.slow:
            book.target(row.symbol, 100 if row.fast > row.slow else 0)


class MultiInterval(Cross):
    """The same of 5 closes of five-minute bars against 5 of quarter hours, deciding on minute rows."""

    fast = (5, "5m")
    slow = (5, "15m")


class Busy(bt.Row):
    """A minute's volume and the mean volume of that minute of session over the last 10 sessions."""

    symbol: str
    open_time: int
    volume: float
    usual: float | None
    usual_sessions: int


class Stubborn(Cross):
    """Orders again whatever ended without a fill, also when it is told of that after the close."""

    def __init__(self, flat_us: int) -> None:
        super().__init__(flat_us)
        self.seen: list[Any] = []

    def on_bar(self, row: Crossing, book: bt.Book) -> None:
        super().on_bar(row, book)
        if row.open_time // 60_000_000 % 29 == 0:
            book.order(row.symbol, 3)

    def on_order(self, order: bt.Order, book: bt.Book) -> None:
        self.seen.append((order.id, order.symbol, order.status, order.reason, order.decided_at, book.now))
        if order.reason in ("no_bar", "retargeted"):
            book.order(order.symbol, -2 if order.id % 2 else 1, tif="gtc" if order.id % 5 == 0 else "day")


class VolumeSurge:
    """Long 100 shares from a minute with three times its usual volume to one with less than its usual volume."""

    row = Busy

    def __init__(self, flat_us: int) -> None:
        self.flat_us = flat_us

    def features(self) -> dict[str, bt.Feature]:
        return {"usual": bt.trailing("avg", "volume", "10d", at="minute")}

    def judged(self) -> dict[str, Any]:
        return {
            k: o.trailing("avg", "volume", "10d", at="minute", used=k != "usual") for k in ("usual", "usual_sessions")
        }

    def on_bar(self, row: Busy, book: bt.Book) -> None:
        if row.open_time >= self.flat_us:
            book.target(row.symbol, 0)
        elif row.usual is not None and row.usual_sessions >= 2:
            if row.volume > 3 * row.usual:
                book.target(row.symbol, 100)
            elif row.volume < row.usual:
                book.target(row.symbol, 0)


# ------------------------------------------------------------------------------------------------------ at random


class Minute(bt.Row):
    """Much of what a minute row can hold; `mean` is required, so rows are withheld while it warms up."""

    symbol: str
    session: date
    minute: int
    minutes_left: int
    open_time: int
    close_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quality: float
    mean: float
    quarter: float | None
    highest: float | None
    usual: float | None
    adv: float | None
    adv_sessions: int


class Five(bt.Row):
    """Five-minute bars."""

    interval = "5m"

    symbol: str
    minute: int
    open_time: int
    close: float
    volume: float
    n_obs: int
    n_expected: int
    closed_by: str
    quality: float


class Hour(bt.Row):
    """Hours, with a mean over them."""

    interval = "1h"

    symbol: str
    close_time: int
    high: float
    low: float
    steady: float | None


class Dice:
    """Trades by chance: what it does follows from its seed, the symbol and the moment alone."""

    row = (Minute, Five, Hour)

    def __init__(
        self,
        seed: int,
        *,
        busy: int = 1,
        shares: int = 40,
        notes: bool = True,
        known: Iterable[str] = (),
        stop: str = "",
    ) -> None:
        self.seed, self.busy, self.shares, self.notes, self.stop = seed, busy, shares, notes, stop
        self.seen: list[Any] = []
        self.known = dict.fromkeys(known)

    def features(self) -> dict[str, bt.Feature]:
        return {
            "mean": bt.sma("close", 4),
            "quarter": bt.sma("high", 3, interval="15m"),
            "highest": bt.feature(pl.col("high").rolling_max(7), lookback=6),
            "usual": bt.trailing("max", "volume", "3d", at="minute"),
            "adv": bt.trailing("avg", "volume", "2d"),
            "steady": bt.sma("close", 2, interval="1h", within="session"),
        }

    def judged(self) -> dict[str, Any]:
        return {
            "mean": o.sma("close", 4),
            "quarter": o.sma("high", 3, interval="15m"),
            "highest": o.window_feature(lambda w: max(b.high for b in w), 7),
            "usual": o.trailing("max", "volume", "3d", at="minute"),
            "adv": o.trailing("avg", "volume", "2d"),
            "adv_sessions": o.trailing("avg", "volume", "2d", used=True),
            "steady": o.sma("close", 2, interval="1h", within="session"),
        }

    # ---------------------------------------------------------------------------------------------------- callbacks

    def on_session_start(self, session: date, book: bt.Book) -> None:
        self.note("start", session, book)
        dice = self.dice("start", session)
        for symbol in self.symbols(book)[:3]:
            if dice % 3 == 0:
                book.order(symbol, self.size(dice), tag="open")
            dice = self.dice(dice, symbol)
        if dice % 4 == 0:
            book.exit_at_close(minutes_before=(0, 0, 7, 20)[dice // 4 % 4])

    def on_session_end(self, session: date, book: bt.Book) -> None:
        self.note("end", session, book)
        dice = self.dice("end", session)
        for symbol in self.symbols(book)[:2]:
            if dice % 2 == 0:
                book.order(symbol, self.size(dice), tif=("gtc", "day", None)[dice // 2 % 3], tag="night")
            dice = self.dice(dice, symbol)

    def on_bar(self, row: Minute | Five | Hour, book: bt.Book) -> None:
        if self.notes:
            self.seen.append(tuple(getattr(row, name) for name in type(row).__annotations__))
        self.known.setdefault(row.symbol)
        dice = self.dice(type(row).__name__, row.symbol, book.now)
        if dice % 1000 < 60 * self.busy:
            self.act(row.symbol, dice // 1000, book)

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        dice = self.dice("minute", book.now)
        if dice % 11 == 0:
            self.seen.append((list(rows.symbol), list(map(bool, rows.fresh)), list(map(int, rows.position))))
            self.seen.append([list(map(float, getattr(rows, c))) for c in ("close", "mean", "quarter", "adv_sessions")])
        if dice % 97 == 0:
            for i, symbol in enumerate(rows.symbol):
                if rows.fresh[i] and rows.position[i] > 0:
                    book.target(symbol, 0, tag="across")

    def on_fill(self, fill: bt.Fill, book: bt.Book) -> None:
        self.seen.append(("fill", fill.order_id, fill.symbol, fill.time, fill.shares, fill.price, fill.reference_price))
        self.seen.append((fill.slippage, fill.commission, fill.position_after, fill.stale_minutes, fill.tag))
        self.note("fill", fill.order_id, book)
        dice = self.dice("fill", fill.symbol, fill.time, fill.order_id)
        if dice % 9 == 0:
            book.order(fill.symbol, self.size(dice), tag="again")
        if dice % 13 == 0:
            book.target(fill.symbol, self.size(dice))

    def on_order(self, order: bt.Order, book: bt.Book) -> None:
        told = (order.id, order.symbol, order.type, order.shares, order.level, order.tif, order.status, order.reason)
        self.seen.append(("order", *told, order.tag, order.decided_at, book.now))

    # ------------------------------------------------------------------------------------------------------ what it does

    def act(self, symbol: str, dice: int, book: bt.Book) -> None:
        match dice % 16:
            case 0 | 1 | 2 | 3:
                made = book.order(symbol, self.size(dice), tif=(None, "gtc", "day")[dice // 16 % 3], tag=f"t{dice % 5}")
                self.seen.append(made)
                self.last = made
            case 4 | 5 | 6 | 7:
                book.target(symbol, self.size(dice), tag="level")
            case 8:
                self.seen.append(book.cancel(symbol=symbol))
            case 9:
                self.seen.append(book.cancel(self.last))
            case 10:
                book.exit_at_close(symbol, minutes_before=(0, 1, 9, 40)[dice // 16 % 4])
            case 11:
                book.order(symbol, -2 * book.position(symbol))  # a reversal, or no shares at all
            case 12:
                book.record(cash=book.cash, equity=book.equity, power=book.buying_power, gross=book.gross, net=book.net)
                book.log("dice", number=dice)
            case 13:
                book.target(symbol, 0)
            case 14:
                book.exit_at_close(minutes_before=(0, 3)[dice // 16 % 2])
            case _:
                self.note("state", symbol, book)

    last = 1

    def note(self, kind: str, what: Any, book: bt.Book) -> None:
        """What the book says of itself; and the end of the run, if it is time."""
        if self.stop == f"{kind} {book.session}":
            book.stop(self.stop)
        self.seen.append((kind, what, book.now, book.session, book.cash, book.equity, book.buying_power))
        self.seen.append((book.gross, book.net, book.session_pnl, [order.id for order in book.open_orders()]))
        for symbol, h in book.holdings.items():
            self.seen.append((symbol, h.shares, h.avg_price, h.price, h.value, h.unrealized_pnl, h.realized_pnl))
            price = book.price(symbol)
            self.seen.append((h.opened, h.bars_held, math.nan if price is None else price))  # before the first close

    def symbols(self, book: bt.Book) -> list[str]:
        """Some symbols: those held, those known from the start, and the first ones seen."""
        return list(dict.fromkeys([*book.holdings, *self.known]))

    def size(self, dice: int) -> int:
        """Signed shares."""
        return dice // 64 % (2 * self.shares + 1) - self.shares

    def dice(self, *of: Any) -> int:
        """A number that follows from the seed and `of`."""
        return zlib.crc32("|".join(map(str, (self.seed, *of))).encode()) * 2654435761 % 2**61
