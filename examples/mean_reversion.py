"""Cross-sectional mean reversion: every quarter of an hour against the last one, dollar neutral."""

import numpy as np

import bt


class Stock(bt.Row):
    """One number a symbol: how far its move stands out from the universe's."""

    move: float | None


class MeanReversion:
    """Weights against the z-score of the last `bars` returns, `gross` of equity in all, long and short alike."""

    row = Stock

    def __init__(self, bars: int = 15, gross: float = 0.9, most: float = 3.0) -> None:
        self.bars, self.gross, self.most = bars, gross, most

    def features(self) -> dict[str, bt.Feature]:
        """Ranked against every symbol that has a bar in the same minute."""
        return {"move": bt.cross_zscore(bt.ret("close", self.bars, within="session"))}

    @bt.every("15m", start="open+30m", end="close-5m")
    def rebalance(self, rows: bt.Rows, book: bt.Book) -> None:
        """Symbols without a bar in this minute, or without a move yet, are sold."""
        move = np.clip(rows.move, -self.most, self.most)
        weight = np.nan_to_num(np.nanmean(move) - move) if np.isfinite(move).any() else np.zeros(len(rows))
        total = np.abs(weight).sum()
        book.targets(rows, percent=self.gross * weight / total if total else weight)

    @bt.at("close-5m")
    def flatten(self, rows: bt.Rows, book: bt.Book) -> None:
        """Nothing is held overnight."""
        book.targets(rows, shares=np.zeros(len(rows)))
