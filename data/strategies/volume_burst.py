"""Volume against what is usual at this minute of the session."""

import bt


class Minute(bt.Row):
    """`usual` is the mean volume of this minute over the last ten sessions; rows without it are withheld."""

    symbol: str
    open: float
    close: float
    volume: int
    minutes_left: int
    usual: float


class VolumeBurst:
    """Long `shares` for the rest of the session after a rising minute with `times` its usual volume."""

    row = Minute

    def __init__(self, times: float = 4.0, shares: int = 100) -> None:
        self.times, self.shares = times, shares
        self.bursts = 0

    def features(self) -> dict[str, bt.Feature]:
        """The ten-session average of each minute of the session; today is not in it."""
        return {"usual": bt.trailing("avg", "volume", "10d", at="minute")}

    def on_bar(self, row: Minute, book: bt.Book) -> None:
        """Buy once, and leave at the close."""
        if row.minutes_left < 30 or row.volume <= self.times * row.usual or row.close <= row.open:
            return
        self.bursts += 1
        if book.position(row.symbol) == 0:
            book.target(row.symbol, self.shares, tag="burst")
            book.exit_at_close(row.symbol)

    def on_session_end(self, session: bt.Session, book: bt.Book) -> None:
        """Keep how many bursts there have been, for `run.records`."""
        book.record(bursts=float(self.bursts))
