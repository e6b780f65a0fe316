"""Overnight gap: an open over yesterday's high comes back to yesterday's close."""

import bt


class Minute(bt.Row):
    """Yesterday's values are fixed at the open; `opened` is the open of the session's first bar."""

    symbol: str
    minute: int
    close: float
    opened: float
    prior_close: float
    prior_high: float


class OvernightGap:
    """Short `value` of what opened `gap` over its prior close and above its prior high, until the gap is closed."""

    row = Minute

    def __init__(self, gap: float = 0.005, value: float = 10_000.0, minutes: int = 15) -> None:
        self.gap, self.value, self.minutes = gap, value, minutes

    def features(self) -> dict[str, bt.Feature]:
        """Daily values of the session before, and the first open of this one."""
        prior = {"prior_close": bt.prior("close"), "prior_high": bt.prior("high")}
        return {"opened": bt.so_far("first", "open"), **prior}

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        """Enter in the session's first minutes; leave at the prior close, or at today's."""
        if row.close <= row.prior_close:
            book.target(row.symbol, 0, tag="closed")
        elif row.minute < self.minutes and row.opened > max(row.prior_high, row.prior_close * (1 + self.gap)):
            if book.position(row.symbol) == 0:
                book.target_value(row.symbol, -self.value, tag="gap")
                book.exit_at_close(row.symbol)
