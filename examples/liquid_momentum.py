"""A universe of the 100 most liquid symbols, chosen again before each open: hold the strongest of them."""

import numpy as np

import bt


class Stock(bt.Row):
    """Where the symbol's last hour stands in the universe, from 0 to 1."""

    strength: float | None


class LiquidMomentum:
    """Every half hour equal shares of equity in those whose hour is among the `best` of the universe."""

    row = Stock
    universe = bt.top(100, by="avg(close*volume, 10d)", where="prior(close) > 5")

    def __init__(self, best: float = 0.9) -> None:
        self.best = best

    def features(self) -> dict[str, bt.Feature]:
        """Ranks count members only; what has left the universe has none, and is sold."""
        return {"strength": bt.cross_rank(bt.ret("close", 60, within="session"))}

    @bt.every("30m", start="open+90m", end="close-5m")
    def rotate(self, rows: bt.Rows, book: bt.Book) -> None:
        """All of equity, less a little for the next price."""
        best = rows.strength >= self.best
        book.targets(rows, percent=np.where(best, 0.95 / max(best.sum(), 1), 0.0))

    @bt.at("close-5m")
    def flatten(self, rows: bt.Rows, book: bt.Book) -> None:
        """Nothing is held overnight."""
        book.targets(rows, shares=np.zeros(len(rows)))
