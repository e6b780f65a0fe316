"""A moving-average crossover on minute rows, long or flat."""

import bt


class Minute(bt.Row):
    """What is read of each minute: these columns and no others."""

    symbol: str
    fast: float
    slow: float


class SmaCross:
    """Long `shares` while the fast mean of closes is above the slow one; on a tie what is held is kept."""

    row = Minute

    def __init__(self, fast: int = 10, slow: int = 30, shares: int = 100) -> None:
        self.fast, self.slow, self.shares = fast, slow, shares

    def features(self) -> dict[str, bt.Feature]:
        """Means over the last bars of each symbol, across sessions."""
        return {"fast": bt.sma("close", self.fast), "slow": bt.sma("close", self.slow)}

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        """Each finished minute of each symbol."""
        if row.fast != row.slow:
            book.target(row.symbol, self.shares if row.fast > row.slow else 0)
