"""Opening-range breakout: the first half hour sets the range, the first close outside of it the side."""

import bt


class Minute(bt.Row):
    """Rows begin when the range is complete: `top` and `bottom` are not known before."""

    symbol: str
    close: float
    minutes_left: int
    top: float
    bottom: float


class OpeningRange:
    """Follow the first break out of the range with `value` of each symbol, until the close."""

    row = Minute

    def __init__(self, minutes: int = 30, value: float = 10_000.0) -> None:
        self.minutes, self.value = minutes, value
        self.broken: set[str] = set()

    def features(self) -> dict[str, bt.Feature]:
        """The highest high and the lowest low of the session's first minutes."""
        return {"top": bt.opening_range("high", self.minutes), "bottom": bt.opening_range("low", self.minutes)}

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        """Every symbol may break out once a session; whatever is held is sold at the close."""
        self.broken.clear()
        book.exit_at_close()

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        """The first close outside the range, but not in the last half hour."""
        side = (row.close > row.top) - (row.close < row.bottom)
        if side and row.minutes_left >= 30 and row.symbol not in self.broken:
            self.broken.add(row.symbol)
            book.target_value(row.symbol, side * self.value, tag="breakout")
