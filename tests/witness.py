"""A strategy that asks for every kind of field, trades, and logs a digest of the rows of each session it was shown.

As a program it makes one run, so that what is fixed when a process starts (Polars' threads) can be varied:
``python tests/witness.py OUT '{"bars": ..., "calendar": ..., ...}'``.
"""

from __future__ import annotations

import hashlib
import json
import sys
import zlib
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

import bt


class Minute(bt.Row):
    """A minute with every kind of feature."""

    symbol: str
    close_time: int
    minutes_left: int
    open: float
    close: float
    volume: float
    quality: float
    mean: float
    mean5: float | None
    spread: float | None
    wave: float | None
    today: float | None
    wide: float | None
    adv: float | None
    adv_sessions: int
    money: float | None
    usual: float | None
    usual_sessions: int
    rough: float | None
    swing: float | None
    score: float | None
    momentum: float | None
    smooth: float | None
    strength: float | None
    typical: float | None
    traded: float | None
    opened: float | None
    gap: float | None
    busy: float | None
    rank: float | None
    apart: float | None
    edge: float | None


class Five(bt.Row):
    """Five minutes."""

    interval = "5m"

    symbol: str
    open_time: int
    high: float
    volume: float
    n_obs: int
    closed_by: str
    quality: float
    pace: float | None
    adv: float | None


class Day(bt.Row):
    """A session's bar at its close."""

    interval = "1d"

    symbol: str
    open: float
    high: float
    low: float
    close: float
    volume: float
    n_obs: int


def edge(table: Any) -> Any:
    return table[:, 0] - table[:, 1]


class Witness:
    """Buys and sells by chance; logs at each session's end how many rows it was shown and their SHA-256."""

    row = (Minute, Five, Day)

    def __init__(self) -> None:
        self.rows, self.digest = 0, b""

    def note(self, data: bytes) -> None:
        """Add to the digest; a hash object is no state that pickles."""
        self.digest = hashlib.sha256(self.digest + data).digest()

    def features(self) -> dict[str, bt.Feature]:
        close, volume = pl.col("close"), pl.col("volume")
        return {
            "mean": bt.sma("close", 20),
            "mean5": bt.sma("high", 5, interval="5m"),
            "spread": bt.feature(close.rolling_std(15) / close.rolling_mean(15), lookback=15),
            "wave": bt.feature((close * volume).rolling_sum(6) / volume.rolling_sum(6), lookback=6, interval="15m"),
            "today": bt.feature((close * volume).cum_sum() / volume.cum_sum(), lookback=0, within="session"),
            "wide": bt.feature(pl.col("high").rolling_max(400), lookback="3d"),
            "pace": bt.feature(close.ewm_mean(span=3, adjust=False).rolling_mean(2), lookback=200, interval="5m"),
            "adv": bt.trailing("avg", "volume", "5d"),
            "money": bt.trailing("std", "close*volume", "5d"),
            "usual": bt.trailing("avg", "volume", "4d", at="minute"),
            "rough": bt.trailing("std", "close", "1w", at="minute", min_sessions=2),
            "swing": bt.std("close", 30),
            "score": bt.zscore("volume", 25),
            "momentum": bt.ret("close", 15),
            "smooth": bt.ema("volume", 12),
            "strength": bt.rsi("close", 9, interval="5m"),
            "typical": bt.vwap(),
            "traded": bt.so_far("sum", "close*volume"),
            "opened": bt.opening_range("low", 15),
            "gap": bt.prior("last(close) - first(open)"),
            "busy": bt.relative_volume("4d"),
            "rank": bt.cross_rank("momentum"),
            "apart": bt.cross_zscore("mean"),
            "edge": bt.score(edge, ["rank", "apart"]),
        }

    def on_session_start(self, session: date, book: bt.Book) -> None:
        self.rows, self.digest = 0, b""
        book.exit_at_close(minutes_before=3 * (session.day % 2))

    def on_bar(self, row: Minute | Five | Day, book: bt.Book) -> None:
        self.rows += 1
        self.note(repr(row).encode())
        if isinstance(row, Minute):
            dice = zlib.crc32(f"{row.symbol}{row.close_time}".encode())
            if dice % 37 == 0:
                book.target(row.symbol, dice // 64 % 41 - 20, tag="t")
            elif dice % 53 == 0:
                book.order(row.symbol, dice // 64 % 41 - 20, tif="gtc")

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        self.note(rows.fresh.tobytes() + rows.close.tobytes() + rows.money.tobytes() + rows.position.tobytes())

    def on_session_end(self, session: date, book: bt.Book) -> None:
        book.log(self.digest.hex(), rows=self.rows)


class Onlooker(Witness):
    """Sees the same rows and trades nothing, so that what it notes does not depend on where the run began."""

    def on_bar(self, row: Minute | Five | Day, book: bt.Book) -> None:
        self.rows += 1
        self.note(repr(row).encode())

    def on_session_start(self, session: date, book: bt.Book) -> None:
        self.rows, self.digest = 0, b""


if __name__ == "__main__":
    made = bt.replay(strategy=Witness, out=Path(sys.argv[1]), **json.loads(sys.argv[2]))
    sys.stdout.write(json.dumps({"fills": made.fills.height, "polars": pl.thread_pool_size()}))
