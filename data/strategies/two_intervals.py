"""Two row types: quarter hours decide the trend, minutes the entry."""

import bt


class Minute(bt.Row):
    """A minute row; `pace` is a five-minute feature, as known when the minute ends."""

    symbol: str
    close: float
    pace: float


class Quarter(bt.Row):
    """A row for each finished bar of 15 minutes, shown after the minute rows of its last minute."""

    interval = "15m"

    symbol: str
    close: float
    trend: float


class DipInTrend:
    """Long `shares` from the first minute below the pace of an up trend until a quarter hour ends below it."""

    row = (Minute, Quarter)

    def __init__(self, pace: int = 5, trend: int = 12, shares: int = 100) -> None:
        self.pace, self.trend, self.shares = pace, trend, shares
        self.rising: set[str] = set()

    def features(self) -> dict[str, bt.Feature]:
        """The mean of the last five-minute closes, and of the last quarter-hour closes."""
        return {
            "pace": bt.sma("close", self.pace, interval="5m"),
            "trend": bt.sma("close", self.trend, interval="15m"),
        }

    def on_bar(self, row: Minute | Quarter, book: bt.Book) -> None:
        """Minute rows first, then the quarter hours that end with them."""
        if isinstance(row, Minute):
            if row.symbol in self.rising and row.close < row.pace:
                book.target(row.symbol, self.shares, tag="dip")
        elif row.close > row.trend:
            self.rising.add(row.symbol)
        else:
            self.rising.discard(row.symbol)
            book.target(row.symbol, 0, tag="trend over")
