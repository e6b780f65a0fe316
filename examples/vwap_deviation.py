"""VWAP deviation: buy weakness under the session's VWAP, but only while quarter hours trend up."""

import bt


class Minute(bt.Row):
    """A minute, the VWAP of the session so far, and means of finished quarter hours as known when the minute ends."""

    symbol: str
    close: float
    minutes_left: int
    fair: float
    fast: float
    slow: float


class VwapDeviation:
    """Long `value` from `below` under the VWAP until back at it, where the last hour is above the last session."""

    row = Minute

    def __init__(self, below: float = 0.002, value: float = 10_000.0) -> None:
        self.below, self.value = below, value

    def features(self) -> dict[str, bt.Feature]:
        quarters = {"fast": bt.sma("close", 4, interval="15m"), "slow": bt.sma("close", 26, interval="15m")}
        return {"fair": bt.vwap(), **quarters}

    def on_session_start(self, session: bt.Session, book: bt.Book) -> None:
        book.exit_at_close()

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        weak = row.close < row.fair * (1 - self.below) and row.fast > row.slow and row.minutes_left >= 30
        if row.close >= row.fair:
            book.target(row.symbol, 0, tag="at the vwap")
        elif weak and book.position(row.symbol) == 0:
            book.target_value(row.symbol, self.value, tag="below")
