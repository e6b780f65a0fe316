"""The universe side by side: one call a minute, one array a column."""

import numpy as np
import polars as pl

import bt


class Stock(bt.Row):
    """What is read of each symbol; `adv10` is an indicator of the configuration."""

    move: float
    adv10: float


class Reversal:
    """Every half hour long the `n` liquid symbols that fell most in 30 bars and short those that rose most."""

    row = Stock

    def __init__(self, n: int = 3, shares: int = 100, liquid: float = 1e6) -> None:
        self.n, self.shares, self.liquid = n, shares, liquid

    def features(self) -> dict[str, bt.Feature]:
        """The return over the last 30 bars of the session."""
        return {"move": bt.feature(pl.col("close") / pl.col("close").shift(30) - 1.0, lookback=30, within="session")}

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        """Whatever is held at the close is sold there."""
        book.exit_at_close()

    def on_minute(self, rows: bt.Rows, book: bt.Book) -> None:
        """Rank at the full and the half hour; arrays are in the order of `rows.symbol`."""
        if book.now.minute % 30:
            return
        known = np.flatnonzero(rows.fresh & np.isfinite(rows.move) & (rows.adv10 > self.liquid))
        if len(known) < 2 * self.n:
            return
        ranked = known[np.argsort(rows.move[known], kind="stable")]
        wanted = np.zeros(len(rows.symbol), dtype=np.int64)
        wanted[ranked[: self.n]] = self.shares
        wanted[ranked[-self.n :]] = -self.shares
        for symbol, shares in zip(rows.symbol, wanted.tolist(), strict=True):
            book.target(symbol, shares)
